package enqueue

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/govalues/decimal"
)

// Limits of a job's fields.
const (
	MaxIDLength       = 100  // characters
	MaxMetadataBytes  = 1024 // bytes of the metadata's JSON
	MaxCampaignLength = 64   // characters
	MaxEmailLength    = 254  // characters
	maxAmountScale    = 5    // digits behind the point (facts page: amounts have up to five decimals [obs])
	maxAmountDigits   = 12   // digits before the point
)

// TopUp is one top-up to send. Its JSON names are those of Reloadly's own
// request, with customIdentifier for the ID.
type TopUp struct {
	// ID names the job for ever: the same id is never paid twice. 1 to 100 of
	// a-z A-Z 0-9 . _ : - and compared without case.
	ID string `json:"customIdentifier"`
	// OperatorID is Reloadly's operator; 0 detects it from the number.
	OperatorID int64 `json:"operatorId,omitempty"`
	// Amount is in the account's currency, or in the destination's with
	// UseLocalAmount. More than 0, at most five decimals.
	Amount decimal.Decimal `json:"amount"`
	// UseLocalAmount says that Amount is in the destination's currency.
	UseLocalAmount bool `json:"useLocalAmount,omitempty"`
	// RecipientPhone is who gets it. A recipient needs a phone or an e-mail.
	RecipientPhone Phone `json:"recipientPhone,omitzero"`
	// RecipientEmail is for the few operators that deliver by e-mail.
	RecipientEmail string `json:"recipientEmail,omitempty"`
	// SenderPhone is optional.
	SenderPhone Phone `json:"senderPhone,omitzero"`
	// Campaign groups jobs; a campaign can be held.
	Campaign string `json:"campaign,omitempty"`
	// NotBefore is the earliest time to send it; zero is at once.
	NotBefore time.Time `json:"notBefore,omitzero"`
	// Expires is the time after which it is not sent any more. Zero: 24 hours
	// after it was submitted (or after NotBefore), time on hold not counted.
	Expires time.Time `json:"expires,omitzero"`
	// Metadata is echoed in the result; at most 1 KiB as JSON.
	Metadata map[string]string `json:"metadata,omitempty"`
}

// Phone is a number and the country it belongs to.
type Phone struct {
	// CountryCode is ISO 3166 alpha-2, such as "AE".
	CountryCode string `json:"countryCode"`
	// Number is national or international: digits, and a plus in front if it
	// likes; blanks, dashes, dots and brackets are dropped.
	Number string `json:"number"`
}

// IsZero reports whether no number was given.
func (p Phone) IsZero() bool { return p == Phone{} }

// Mask hides a number but for its first five and last two digits:
// +97150*****21. It is for logs and lists.
func (p Phone) Mask() string { return MaskNumber(p.Number) }

// MaskNumber hides the middle of a phone number.
func MaskNumber(number string) string {
	plus := ""
	if strings.HasPrefix(number, "+") {
		plus, number = "+", number[1:]
	}
	show := min(5, max(0, len(number)-7))
	tail := min(2, len(number)/3)
	return plus + number[:show] + strings.Repeat("*", len(number)-show-tail) + number[len(number)-tail:]
}

// ParseAmount reads an amount as people write it: digits and a decimal point.
// Exponents, grouping, signs and words are errors; nothing is guessed.
func ParseAmount(text string) (decimal.Decimal, error) {
	bad := func(problem, fix string) (decimal.Decimal, error) {
		return decimal.Decimal{}, &FieldError{Field: "amount", Problem: problem, Fix: fix}
	}
	text = strings.TrimSpace(text)
	whole, fraction, point := strings.Cut(text, ".")
	switch {
	case text == "":
		return bad("is missing", "give the amount, such as 10.50")
	case strings.HasPrefix(text, "-"):
		return bad("is negative", "give an amount greater than 0")
	case strings.ContainsRune(text, ','):
		return bad("has a comma", "write a decimal point and no grouping, such as 1000.50")
	case !digits(whole) || (point && !digits(fraction)):
		return bad("is not a plain number", "write digits and a decimal point, such as 10.50")
	case len(strings.TrimRight(fraction, "0")) > maxAmountScale:
		return bad("has more than five decimals", "round it to five")
	case len(strings.TrimLeft(whole, "0")) > maxAmountDigits:
		return bad("is too large", "give at most 12 digits before the point")
	}
	amount, err := decimal.Parse(whole + "." + strings.TrimRight(fraction, "0") + "0")
	if err != nil {
		return bad("is not a plain number", "write digits and a decimal point, such as 10.50")
	}
	return amount.Trim(0), nil
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// UnmarshalJSON reads Reloadly's own request form: amount and operatorId as a
// number or as text. An amount with an exponent is refused, not converted.
func (t *TopUp) UnmarshalJSON(data []byte) error {
	type plain TopUp
	wire := struct {
		*plain
		Amount     json.RawMessage `json:"amount"`
		OperatorID json.RawMessage `json:"operatorId"`
	}{plain: (*plain)(t)}
	if err := json.Unmarshal(data, &wire); err != nil {
		var typed *json.UnmarshalTypeError
		if errors.As(err, &typed) {
			return &FieldError{Field: strings.TrimPrefix(typed.Field, "plain."), Problem: "is of the wrong type: " + typed.Value, Fix: "see the request's form in the README"}
		}
		return fmt.Errorf("read the top-up: %w", err)
	}
	text, err := textOrNumber("amount", wire.Amount)
	if err != nil {
		return err
	}
	if text != "" {
		if t.Amount, err = ParseAmount(text); err != nil {
			return err
		}
	}
	text, err = textOrNumber("operatorId", wire.OperatorID)
	if err != nil {
		return err
	}
	if text != "" {
		if !digits(text) || len(text) > 18 {
			return &FieldError{Field: "operatorId", Problem: "is not a whole number", Fix: "give Reloadly's operator id, or leave it out to detect the operator"}
		}
		if _, err := fmt.Sscan(text, &t.OperatorID); err != nil {
			return &FieldError{Field: "operatorId", Problem: "is not a whole number", Fix: "give Reloadly's operator id"}
		}
	}
	return nil
}

func textOrNumber(field string, raw json.RawMessage) (string, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	if raw[0] == '"' {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return "", &FieldError{Field: field, Problem: "is not readable text", Fix: "give a number"}
		}
		return text, nil
	}
	if raw[0] == '-' || (raw[0] >= '0' && raw[0] <= '9') {
		return string(raw), nil
	}
	return "", &FieldError{Field: field, Problem: "is not a number", Fix: "give a number, or a number as text"}
}

// Validate checks the job and returns it in the one form that is stored:
// numbers without separators, country codes in capitals, the amount without
// trailing zeros. Every field that is wrong is named.
func (t TopUp) Validate() (TopUp, error) {
	var errs []error
	wrong := func(field, problem, fix string) {
		errs = append(errs, &FieldError{Field: field, Problem: problem, Fix: fix})
	}
	switch {
	case t.ID == "":
		wrong("customIdentifier", "is empty", "give each top-up an id of its own, and repeat it when you repeat the request")
	case len(t.ID) > MaxIDLength:
		wrong("customIdentifier", fmt.Sprintf("is longer than %d characters", MaxIDLength), "shorten it, or use a hash of it")
	case !validID(t.ID):
		wrong("customIdentifier", "has a character that is not allowed", "use letters, digits and . _ : - alone")
	}
	switch {
	case t.OperatorID < 0:
		wrong("operatorId", "is negative", "give Reloadly's operator id, or 0 to detect it")
	case t.OperatorID == 0 && t.RecipientPhone.IsZero() && t.RecipientEmail != "":
		wrong("operatorId", "is missing", "give Reloadly's operator id: it cannot be detected from an e-mail address")
	}
	switch amount := t.Amount.Trim(0); {
	case amount.IsZero():
		wrong("amount", "is missing or zero", "give an amount greater than 0")
	case amount.IsNeg():
		wrong("amount", "is negative", "give an amount greater than 0")
	case amount.Scale() > maxAmountScale:
		wrong("amount", "has more than five decimals", "round it to five")
	case amount.Prec()-amount.Scale() > maxAmountDigits:
		wrong("amount", "is too large", "give at most 12 digits before the point")
	default:
		t.Amount = amount
	}
	if t.RecipientPhone.IsZero() && t.RecipientEmail == "" {
		wrong("recipientPhone", "is missing", "give a recipientPhone, or a recipientEmail for an operator that delivers by e-mail")
	}
	t.RecipientPhone = validatePhone("recipientPhone", t.RecipientPhone, wrong)
	t.SenderPhone = validatePhone("senderPhone", t.SenderPhone, wrong)
	if t.RecipientEmail != "" && (len(t.RecipientEmail) > MaxEmailLength || !plausibleEmail(t.RecipientEmail)) {
		wrong("recipientEmail", "is not an e-mail address", "write name@host")
	}
	if len(t.Campaign) > MaxCampaignLength || (t.Campaign != "" && !validID(t.Campaign)) {
		wrong("campaign", "is not a campaign name", fmt.Sprintf("use at most %d letters, digits and . _ : -", MaxCampaignLength))
	}
	for field, when := range map[string]time.Time{"notBefore": t.NotBefore, "expires": t.Expires} {
		if !when.IsZero() && (when.Year() < 2000 || when.Year() > 2200) {
			wrong(field, "is not a sensible time", "write RFC 3339 with an offset")
		}
	}
	if !t.Expires.IsZero() && !t.Expires.After(t.NotBefore) {
		wrong("expires", "is not after notBefore", "leave time to send it")
	}
	if len(t.Metadata) > 0 {
		text, err := json.Marshal(t.Metadata)
		if err != nil || len(text) > MaxMetadataBytes {
			wrong("metadata", fmt.Sprintf("is larger than %d bytes as JSON", MaxMetadataBytes), "keep large data on your side, under the id")
		}
	}
	t.NotBefore, t.Expires = milliseconds(t.NotBefore), milliseconds(t.Expires)
	return t, errors.Join(errs...)
}

// milliseconds is the precision in which the ledger keeps times.
func milliseconds(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}

func validID(id string) bool {
	return strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-") == ""
}

func plausibleEmail(address string) bool {
	name, host, found := strings.Cut(address, "@")
	return found && name != "" && host != "" && !strings.ContainsAny(address, " \t\r\n\x00<>\"") && !strings.Contains(host, "@")
}

// separators are what people write into numbers.
var separators = strings.NewReplacer(" ", "", "-", "", ".", "", "(", "", ")", "", "\u00a0", "")

func validatePhone(field string, p Phone, wrong func(field, problem, fix string)) Phone {
	if p.IsZero() {
		return p
	}
	country := strings.ToUpper(strings.TrimSpace(p.CountryCode))
	if len(country) != 2 || strings.Trim(country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		wrong(field+".countryCode", "is not a country", "give two letters of ISO 3166, such as AE")
	}
	number := separators.Replace(p.Number)
	bare := strings.TrimPrefix(number, "+")
	const fix = "give the number alone, national or with + and country code"
	switch {
	case bare == "":
		wrong(field+".number", "is missing", fix)
	case !digits(bare):
		wrong(field+".number", "has something that is not a digit (letters, an extension, an exponent)", fix)
	case len(bare) < 4:
		wrong(field+".number", "has fewer than 4 digits", fix)
	case len(bare) > 15:
		wrong(field+".number", "has more than 15 digits", fix)
	}
	return Phone{CountryCode: country, Number: number}
}

// Differs names the fields in which two valid jobs differ, by their JSON names.
func (t TopUp) Differs(o TopUp) []string {
	var fields []string
	add := func(same bool, name string) {
		if !same {
			fields = append(fields, name)
		}
	}
	add(t.Amount.Equal(o.Amount), "amount")
	add(t.Campaign == o.Campaign, "campaign")
	add(t.Expires.Equal(o.Expires), "expires")
	add(metadataText(t.Metadata) == metadataText(o.Metadata), "metadata")
	add(t.NotBefore.Equal(o.NotBefore), "notBefore")
	add(t.OperatorID == o.OperatorID, "operatorId")
	add(t.RecipientEmail == o.RecipientEmail, "recipientEmail")
	add(t.RecipientPhone == o.RecipientPhone, "recipientPhone")
	add(t.SenderPhone == o.SenderPhone, "senderPhone")
	add(t.UseLocalAmount == o.UseLocalAmount, "useLocalAmount")
	return fields
}

// metadataText is the metadata as it is stored: JSON with sorted names.
func metadataText(m map[string]string) string {
	if len(m) == 0 {
		return ""
	}
	text, err := json.Marshal(m)
	if err != nil { // a map of texts always encodes
		return ""
	}
	return string(text)
}

// CanonicalID is the form in which ids are compared, stored and sent.
func CanonicalID(id string) string { return strings.ToLower(id) }

// Identifier is the customIdentifier under which a job is sent to Reloadly.
// It comes from the id alone, so that a ledger that lost its last writes sends
// the same one again. Generation 1 and 2 are taken only where Reloadly insists,
// or where a person sends a job again whose transaction FAILED or was REFUNDED.
// The tilde cannot stand in an id, so no other job's identifier is the same.
func Identifier(id string, generation int) string {
	if generation == 0 {
		return CanonicalID(id)
	}
	return fmt.Sprintf("%s~%d", CanonicalID(id), generation+1)
}

// JobOf is the id of the job that is sent under an identifier; ours is false where no
// job's can be.
func JobOf(identifier string) (id string, ours bool) {
	id, suffix, later := strings.Cut(identifier, "~")
	if id == "" || len(id) > MaxIDLength || !validID(id) {
		return "", false
	}
	if later {
		n, err := strconv.Atoi(suffix)
		if err != nil || n < 2 || n > MaxGeneration+1 || Identifier(id, n-1) != CanonicalID(identifier) {
			return "", false
		}
	}
	return CanonicalID(id), true
}
