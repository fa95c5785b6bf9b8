package reloadly

import (
	"encoding/json"
	"errors"
)

// Status is how a transaction stands, in the provider's own word; a word that is not listed here is kept
// as it came. Empty means that the answer had none, as older answers had not [obs]: ask Client.Status.
type Status string

// The statuses of the facts page [doc, obs].
const (
	Successful Status = "SUCCESSFUL"
	Processing Status = "PROCESSING"
	Pending    Status = "PENDING"
	Failed     Status = "FAILED"
	Refunded   Status = "REFUNDED"
)

// Final reports whether the status ends the top-up. Anything unknown is not final. A final SUCCESSFUL can
// still be reversed to REFUNDED by the operator later: only a later look at the report shows it [doc].
func (s Status) Final() bool {
	switch s {
	case Successful, Failed, Refunded:
		return true
	default:
		return false
	}
}

// Transaction is one top-up as the provider recorded it, every field under the provider's own JSON name.
//
// A field of an unexpected type is left empty instead of failing the whole: what was paid must not
// become invisible because something beside it changed.
type Transaction struct {
	TransactionID               int64   `json:"transactionId"`
	Status                      Status  `json:"status"`
	OperatorTransactionID       *string `json:"operatorTransactionId"`
	CustomIdentifier            string  `json:"customIdentifier"`
	RecipientPhone              *string `json:"recipientPhone"` // international digits, no plus
	RecipientEmail              *string `json:"recipientEmail"`
	SenderPhone                 *string `json:"senderPhone"`
	CountryCode                 string  `json:"countryCode"`
	OperatorID                  int64   `json:"operatorId"`
	OperatorName                string  `json:"operatorName"`
	Discount                    Amount  `json:"discount"` // absent where the operator has a percentage fee [obs]
	DiscountCurrencyCode        string  `json:"discountCurrencyCode"`
	RequestedAmount             Amount  `json:"requestedAmount"` // in the account's currency, also for a local order
	RequestedAmountCurrencyCode string  `json:"requestedAmountCurrencyCode"`
	DeliveredAmount             Amount  `json:"deliveredAmount"`
	DeliveredAmountCurrencyCode string  `json:"deliveredAmountCurrencyCode"`
	Fee                         Amount  `json:"fee"`             // added later by the provider, usually 0
	TransactionDate             string  `json:"transactionDate"` // without a zone: decide nothing from it
	PinDetail                   *Pin    `json:"pinDetail"`
	BalanceInfo                 *Debit  `json:"balanceInfo"`
}

// Pin is what a PIN product delivers instead of a top-up. Numbers among the fields are kept digit by digit.
type Pin struct {
	Serial   string `json:"serial"`
	Info1    string `json:"info1"`
	Info2    string `json:"info2"`
	Info3    string `json:"info3"`
	Value    string `json:"value"`
	Code     string `json:"code"`
	IVR      string `json:"ivr"`
	Validity string `json:"validity"`
}

// Debit is what the top-up did to the account's balance: Cost is requestedAmount − discount + fee.
type Debit struct {
	OldBalance   Amount `json:"oldBalance"`
	NewBalance   Amount `json:"newBalance"`
	Cost         Amount `json:"cost"`
	CurrencyCode string `json:"currencyCode"`
	CurrencyName string `json:"currencyName"`
	UpdatedAt    string `json:"updatedAt"` // without a zone, not that of transactionDate
}

// UnmarshalJSON reads the provider's form; it fails only when the value is not an object.
func (t *Transaction) UnmarshalJSON(b []byte) error {
	if !isKind(b, '{') {
		return errors.New("a transaction is not a JSON object")
	}
	*t = Transaction{}
	type plain Transaction
	wire := struct {
		*plain
		TransactionID         wireID   `json:"transactionId"`
		OperatorID            wireID   `json:"operatorId"`
		OperatorTransactionID wireText `json:"operatorTransactionId"`
		CustomIdentifier      wireText `json:"customIdentifier"`
		RecipientPhone        wireText `json:"recipientPhone"`
		RecipientEmail        wireText `json:"recipientEmail"`
		SenderPhone           wireText `json:"senderPhone"`
	}{plain: (*plain)(t)}
	if err := tolerant(json.Unmarshal(b, &wire)); err != nil {
		return err
	}
	t.TransactionID, t.OperatorID = int64(wire.TransactionID), int64(wire.OperatorID)
	t.CustomIdentifier = wire.CustomIdentifier.text
	t.OperatorTransactionID = wire.OperatorTransactionID.pointer()
	t.RecipientPhone = wire.RecipientPhone.pointer()
	t.RecipientEmail = wire.RecipientEmail.pointer()
	t.SenderPhone = wire.SenderPhone.pointer()
	return nil
}

// UnmarshalJSON takes every field as text: code and serial come as a string, a number or null [doc].
func (p *Pin) UnmarshalJSON(b []byte) error {
	*p = Pin{}
	var wire struct {
		Serial, Info1, Info2, Info3, Value, Code, IVR, Validity wireText
	}
	if err := tolerant(json.Unmarshal(b, &wire)); err != nil {
		return err
	}
	*p = Pin{
		Serial: wire.Serial.text, Info1: wire.Info1.text, Info2: wire.Info2.text, Info3: wire.Info3.text,
		Value: wire.Value.text, Code: wire.Code.text, IVR: wire.IVR.text, Validity: wire.Validity.text,
	}
	return nil
}

// tolerant drops the error of a field whose type is not the expected one: encoding/json has read all the
// other fields by then.
func tolerant(err error) error {
	if _, wrongType := errors.AsType[*json.UnmarshalTypeError](err); wrongType {
		return nil
	}
	return err
}
