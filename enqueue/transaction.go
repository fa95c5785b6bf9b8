package enqueue

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

// Transaction is Reloadly's answer, every field under its own name. Amounts are
// decimal text, times are the text that Reloadly sent (they carry no zone).
// Absent values are null.
type Transaction struct {
	TransactionID               int64        `json:"transactionId"`
	Status                      string       `json:"status"`
	OperatorTransactionID       *string      `json:"operatorTransactionId"`
	CustomIdentifier            *string      `json:"customIdentifier"`
	RecipientPhone              *string      `json:"recipientPhone"`
	RecipientEmail              *string      `json:"recipientEmail"`
	SenderPhone                 *string      `json:"senderPhone"`
	CountryCode                 *string      `json:"countryCode"`
	OperatorID                  int64        `json:"operatorId"`
	OperatorName                *string      `json:"operatorName"`
	Discount                    *string      `json:"discount"`
	DiscountCurrencyCode        *string      `json:"discountCurrencyCode"`
	RequestedAmount             *string      `json:"requestedAmount"`
	RequestedAmountCurrencyCode *string      `json:"requestedAmountCurrencyCode"`
	DeliveredAmount             *string      `json:"deliveredAmount"`
	DeliveredAmountCurrencyCode *string      `json:"deliveredAmountCurrencyCode"`
	Fee                         *string      `json:"fee,omitempty"`
	TransactionDate             *string      `json:"transactionDate"`
	PinDetail                   *PinDetail   `json:"pinDetail"`
	BalanceInfo                 *BalanceInfo `json:"balanceInfo"`
}

// PinDetail is what a PIN operator sold.
type PinDetail struct {
	Serial    *string `json:"serial"`
	Info1     *string `json:"info1"`
	Info2     *string `json:"info2"`
	Info3     *string `json:"info3"`
	Value     *string `json:"value"`
	Code      *string `json:"code"`
	IVR       *string `json:"ivr"`
	Validity  *string `json:"validity"`
	FirstUsed *string `json:"firstUsed,omitempty"`
}

// BalanceInfo is the account's balance around the transaction.
type BalanceInfo struct {
	OldBalance   *string `json:"oldBalance"`
	NewBalance   *string `json:"newBalance"`
	Cost         *string `json:"cost"`
	CurrencyCode *string `json:"currencyCode"`
	CurrencyName *string `json:"currencyName"`
	UpdatedAt    *string `json:"updatedAt"`
}

// A transaction is kept in pieces of at most 64 bytes: a Redis hash with a longer
// value leaves its compact form and takes three times the memory. Deflate with the
// shape of an answer as the dictionary makes some 650 bytes of JSON into about 110.
const pieceLength = 64

// transactionShape begins with the places where an answer names the account's currency.
// It ends as it always did: matches are counted from its end, so what is added goes to
// the front and older records stay readable.
const transactionShape = `","discountCurrencyCode":"EUR","requestedAmount":"","requestedAmountCurrencyCode":"EUR","deliveredAmount":"","currencyCode":"EUR","currencyName":"Euro","updatedAt":"202` +
	`","discountCurrencyCode":"USD","requestedAmount":"","requestedAmountCurrencyCode":"USD","deliveredAmount":"","currencyCode":"USD","currencyName":"US Dollar","updatedAt":"202` +
	`","discountCurrencyCode":"NGN","requestedAmount":"","requestedAmountCurrencyCode":"NGN","deliveredAmount":"","currencyCode":"NGN","currencyName":"Nigerian Naira","updatedAt":"202` +
	`{"status":"SUCCESSFUL","operatorTransactionId":null,"customIdentifier":"=","recipientPhone":"` +
	`{"transactionId":123456789,"status":"PROCESSING","operatorTransactionId":null,"customIdentifier":"","recipientPhone":"97150","recipientEmail":null,"senderPhone":null,"countryCode":"AE","operatorId":341,"operatorName":"MTN Orange Airtel Digicel Etisalat United Arab Emirates","discount":"0","discountCurrencyCode":"EUR","requestedAmount":"10.00","requestedAmountCurrencyCode":"USD","deliveredAmount":"100","deliveredAmountCurrencyCode":"HTG","transactionDate":"2026-11-24 10:57:48","pinDetail":null,"balanceInfo":{"oldBalance":"809811.69103","newBalance":"809021.29103","cost":"790.4","currencyCode":"NGN","currencyName":"Nigerian Naira US Dollar Euro","updatedAt":"2026-11-24 14:57:48"}}{"transactionId":33469,"status":"SUCCESSFUL","operatorTransactionId":null,"customIdentifier":"`

var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriterDict(io.Discard, flate.BestCompression, []byte(transactionShape))
	if err != nil { // only an invalid level fails
		panic(err)
	}
	return w
}}

// inflaters keep the 40 KB that a reader needs, which each look at an ended job would
// throw away.
var inflaters = sync.Pool{New: func() any { return flate.NewReader(strings.NewReader("")) }}

// maxPieces is what a script writes at once; an answer has three or four.
const maxPieces = 200

// trailer ends every deflated text; it is not stored. A reader takes no notice of a
// second one, so a record that has it is read all the same.
const trailer = "\x00\x00\xff\xff"

// packedTransaction leaves out what the record has already. The transaction's id is
// the field tx: both are written, and deleted, together.
type packedTransaction struct {
	TransactionID int64 `json:"transactionId,omitempty"` // hides the one below
	Transaction
}

// packTransaction leaves of an answer that is far too large what says whose it is and
// what was paid: it has to be booked in any case.
func packTransaction(id string, t *Transaction) ([]string, error) {
	if t == nil {
		return nil, nil
	}
	pieces, err := pack(id, *t)
	if err == nil && len(pieces) > maxPieces {
		pieces, err = pack(id, Transaction{Status: t.Status, OperatorID: t.OperatorID})
	}
	return pieces, err
}

func pack(id string, t Transaction) ([]string, error) {
	if t.CustomIdentifier != nil {
		short := shortenIdentifier(id, *t.CustomIdentifier)
		t.CustomIdentifier = &short
	}
	text, err := json.Marshal(packedTransaction{Transaction: t})
	if err != nil {
		return nil, fmt.Errorf("encode the transaction: %w", err)
	}
	var out bytes.Buffer
	w := deflaters.Get().(*flate.Writer) //nolint:forcetypeassert // the pool holds nothing else
	defer deflaters.Put(w)
	w.Reset(&out)
	if _, err := w.Write(text); err != nil {
		return nil, fmt.Errorf("pack the transaction: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack the transaction: %w", err)
	}
	var pieces []string
	for rest := strings.TrimSuffix(out.String(), trailer); rest != ""; {
		n := min(pieceLength, len(rest))
		pieces, rest = append(pieces, rest[:n]), rest[n:]
	}
	return pieces, nil
}

// ownID stands for the job's id at the beginning of a customIdentifier. One that
// really begins with it gets it twice.
const ownID = "="

func shortenIdentifier(id, identifier string) string {
	for g := range MaxGeneration + 1 {
		if identifier == Identifier(id, g) {
			return ownID + strings.TrimPrefix(identifier, CanonicalID(id))
		}
	}
	if strings.HasPrefix(identifier, ownID) {
		return ownID + identifier
	}
	return identifier
}

func expandIdentifier(id, short string) string {
	rest, marked := strings.CutPrefix(short, ownID)
	if marked && !strings.HasPrefix(rest, ownID) {
		return CanonicalID(id) + rest
	}
	return rest
}

// unpackTransaction joins the fields x0, x1, … of a record and fills in what was left out.
func unpackTransaction(id string, txID int64, fields map[string]string) (*Transaction, error) {
	var packed strings.Builder
	for i := 0; ; i++ {
		piece, ok := fields[fieldTransaction+strconv.Itoa(i)]
		if !ok {
			break
		}
		packed.WriteString(piece)
	}
	if packed.Len() == 0 {
		return nil, nil
	}
	packed.WriteString(trailer)
	r := inflaters.Get().(io.Reader) //nolint:forcetypeassert // the pool holds nothing else
	defer inflaters.Put(r)
	err := r.(flate.Resetter).Reset(strings.NewReader(packed.String()), []byte(transactionShape)) //nolint:forcetypeassert // every reader of compress/flate is one
	if err != nil {
		return nil, fmt.Errorf("unpack the transaction: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("unpack the transaction: %w", err)
	}
	var t Transaction
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, fmt.Errorf("decode the transaction: %w", err)
	}
	if t.TransactionID == 0 {
		t.TransactionID = txID
	}
	if t.CustomIdentifier != nil {
		*t.CustomIdentifier = expandIdentifier(id, *t.CustomIdentifier)
	}
	return &t, nil
}
