package reloadly

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/govalues/decimal"
)

// TopUpRequest is one top-up. The identifier must come from the job alone, so that sending it again after
// anything at all is refused as the second.
type TopUpRequest struct {
	OperatorID int64
	// Amount is in the account's currency, or in the recipient's with UseLocalAmount.
	Amount         decimal.Decimal
	UseLocalAmount bool
	// CustomIdentifier has 1 to 150 characters [doc]. The provider compares it with case when it is used and
	// without when it is searched [obs]: never let two differ by case alone.
	CustomIdentifier string
	// RecipientPhone or RecipientEmail (Nauta Cuba) says who gets it.
	RecipientPhone *Phone
	RecipientEmail string
	SenderPhone    *Phone // optional
}

// Phone is an ISO country code and a number; the safe form of the number is the national one [obs].
type Phone struct {
	CountryCode string `json:"countryCode"`
	Number      string `json:"number"`
}

const (
	maxIdentifier = 150 // characters [doc]

	opTopUp      = "topup"
	opTopUpAsync = "topup_async"
)

// TopUp sends one top-up and waits for its outcome, usually 0.3 to 1.5 s [obs]. It makes one HTTP attempt.
// The transaction may not be final: follow its Status. The error is an *Error; unless it says NotSent or
// Refused, the top-up may have been paid.
func (c *Client) TopUp(ctx context.Context, r TopUpRequest, opts ...CallOption) (*Transaction, error) {
	return c.pay(ctx, opTopUp, "/topups", r, opts)
}

// TopUpAsync sends one top-up and does not wait for its outcome: the answer has only the transaction's
// id, and its Status is Processing. The error is as in TopUp.
func (c *Client) TopUpAsync(ctx context.Context, r TopUpRequest, opts ...CallOption) (*Transaction, error) {
	t, err := c.pay(ctx, opTopUpAsync, "/topups-async", r, opts)
	if err == nil && t.Status == "" {
		t.Status = Processing
	}
	return t, err
}

// send makes the one attempt of a payment. It is a variable only so that
// worker/chaostest can show what a second one does.
var send = (*Client).authorized

func (c *Client) pay(ctx context.Context, op, path string, r TopUpRequest, opts []CallOption) (*Transaction, error) {
	if err := r.check(); err != nil {
		return nil, invalidRequest(op, "%s", err)
	}
	var t Transaction
	e := send(c, ctx, call{
		op: op, method: http.MethodPost, url: c.cfg.APIURL + path, accept: apiAccept,
		body: bodyOf(r.wire()), pays: true, permission: newPermission(c.cfg.Now(), opts),
		timeout: c.cfg.PostTimeout, limit: maxPostAnswer,
		take: func(ans answer) error {
			if err := json.Unmarshal(ans.body, &t); err != nil {
				return err
			}
			return r.Matches(&t)
		},
	})
	if e != nil {
		return nil, e
	}
	return &t, nil
}

func (r TopUpRequest) check() error {
	switch {
	case r.OperatorID <= 0:
		return errors.New("operator id is missing")
	case !r.Amount.IsPos():
		return errors.New("amount is not more than zero")
	case strings.TrimSpace(r.CustomIdentifier) == "":
		return errors.New("custom identifier is missing: without it nothing protects from paying twice")
	case utf8.RuneCountInString(r.CustomIdentifier) > maxIdentifier:
		return fmt.Errorf("custom identifier is longer than %d characters", maxIdentifier)
	case r.RecipientPhone == nil && r.RecipientEmail == "":
		return errors.New("recipient phone and recipient e-mail are both missing")
	case r.RecipientPhone != nil && (r.RecipientPhone.CountryCode == "" || onlyDigits(r.RecipientPhone.Number) == ""):
		return errors.New("recipient phone needs a country code and a number")
	}
	return nil
}

// wireRequest is the provider's form [doc]; an amount is a JSON number made of the decimal's own digits.
type wireRequest struct {
	OperatorID       int64       `json:"operatorId"`
	Amount           json.Number `json:"amount"`
	UseLocalAmount   bool        `json:"useLocalAmount"`
	CustomIdentifier string      `json:"customIdentifier"`
	RecipientPhone   *Phone      `json:"recipientPhone,omitempty"`
	RecipientEmail   string      `json:"recipientEmail,omitempty"`
	SenderPhone      *Phone      `json:"senderPhone,omitempty"`
}

func (r TopUpRequest) wire() wireRequest {
	return wireRequest{
		OperatorID: r.OperatorID, Amount: json.Number(r.Amount.String()), UseLocalAmount: r.UseLocalAmount,
		CustomIdentifier: r.CustomIdentifier, RecipientPhone: r.RecipientPhone,
		RecipientEmail: r.RecipientEmail, SenderPhone: r.SenderPhone,
	}
}

// mismatchError is a well-formed answer about something else than what was asked.
type mismatchError struct {
	what          string
	transactionID int64
}

func (e *mismatchError) Error() string { return "the answer is about another " + e.what }

// aCent is the difference of amounts that is no rounding.
var aCent = decimal.MustNew(1, 2)

// Matches checks that a transaction is about this request: the error names what differs. What either
// leaves out is not held against it, nor are the form of a phone number, less than a cent, or a text that
// hides the number. It does not compare operators.
func (r TopUpRequest) Matches(t *Transaction) error {
	mismatch := func(what string) error { return &mismatchError{what: what, transactionID: t.TransactionID} }
	switch {
	case t.TransactionID <= 0:
		return errors.New("the answer has no transactionId")
	case t.CustomIdentifier != "" && t.CustomIdentifier != r.CustomIdentifier:
		return mismatch("custom identifier")
	case r.RecipientPhone != nil && t.RecipientPhone != nil && !samePhone(r.RecipientPhone.Number, *t.RecipientPhone):
		return mismatch("recipient")
	case r.RecipientEmail != "" && t.RecipientEmail != nil && *t.RecipientEmail != "" && !strings.EqualFold(r.RecipientEmail, *t.RecipientEmail):
		return mismatch("recipient")
	// A local order's requestedAmount is the converted one, and what is delivered is only estimated.
	case !r.UseLocalAmount && !r.Amount.IsZero() && t.RequestedAmount.Valid && !sameAmount(r.Amount, t.RequestedAmount.Decimal):
		return mismatch("amount")
	}
	return nil
}

func sameAmount(a, b decimal.Decimal) bool {
	diff, err := a.Sub(b)
	return err == nil && diff.CmpAbs(aCent) < 0
}

// samePhone compares the last seven digits: national and international forms and their trunk prefixes
// differ only before them. A text that is no plain number, such as a masked one, proves nothing.
func samePhone(ours, theirs string) bool {
	if strings.Trim(theirs, "0123456789+-(). ") != "" {
		return true
	}
	a, b := onlyDigits(ours), onlyDigits(theirs)
	n := min(len(a), len(b), 7)
	return a[len(a)-n:] == b[len(b)-n:]
}
