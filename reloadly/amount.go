package reloadly

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/govalues/decimal"
)

// Amount is an exact decimal that may be absent. It is read from a JSON number, a string of one or null,
// and never passes through a float. The value is rounded only beyond 19 significant digits, where the
// provider's own arithmetic leaves noise (amounts have at most five decimals and balances six [obs]).
type Amount struct {
	Decimal decimal.Decimal
	// Valid is false for null, for a missing field and for what is not a number.
	Valid bool

	// unreadable tells "not a number" from null: a transaction with an odd amount is still that
	// transaction, but a balance or a bound that cannot be read must not pass for an absent one.
	unreadable bool
}

// NewAmount returns d as a present Amount.
func NewAmount(d decimal.Decimal) Amount { return Amount{Decimal: d, Valid: true} }

// String is the decimal text, or empty when absent.
func (a Amount) String() string {
	if !a.Valid {
		return ""
	}
	return a.Decimal.String()
}

// MarshalJSON writes the decimal as text, or null: a reader in another language would make a float of a number.
func (a Amount) MarshalJSON() ([]byte, error) {
	if !a.Valid {
		return []byte("null"), nil
	}
	return json.Marshal(a.Decimal.String())
}

// UnmarshalJSON never fails: what is not a number leaves the Amount absent.
func (a *Amount) UnmarshalJSON(b []byte) error {
	*a = Amount{}
	text := scalarText(b)
	if text == "" {
		return nil
	}
	d, err := decimal.Parse(text)
	*a = Amount{Decimal: d, Valid: err == nil, unreadable: err != nil}
	return nil
}

// readable is nil unless one of the amounts was there and was not a number.
func readable(amounts ...Amount) error {
	for _, a := range amounts {
		if a.unreadable {
			return errors.New("an amount is not a number this program can hold")
		}
	}
	return nil
}

// scalarText is the text of a JSON string, number or boolean, empty for null, and the JSON itself for
// anything else. Phones, PIN codes and ids come as a string, a number or null [doc].
func scalarText(b []byte) string {
	b = bytes.TrimSpace(b)
	if len(b) == 0 || string(b) == "null" {
		return ""
	}
	if b[0] == '"' {
		var s string
		if json.Unmarshal(b, &s) != nil {
			return ""
		}
		return strings.TrimSpace(s)
	}
	return string(b)
}

// wireText reads what scalarText accepts; present is false for null.
type wireText struct {
	text    string
	present bool
}

func (t *wireText) UnmarshalJSON(b []byte) error {
	*t = wireText{text: scalarText(b), present: string(bytes.TrimSpace(b)) != "null"}
	return nil
}

func (t wireText) pointer() *string {
	if !t.present {
		return nil
	}
	return &t.text
}

// wireID reads an id from a number or a string of one; what is neither is 0, which is nobody's id.
type wireID int64

func (id *wireID) UnmarshalJSON(b []byte) error {
	*id = 0
	d, err := decimal.Parse(scalarText(b))
	if err != nil || !d.IsInt() {
		return nil
	}
	if whole, _, ok := d.Int64(0); ok {
		*id = wireID(whole)
	}
	return nil
}

// Amounts is a list of amounts that also comes as {} or null when it is empty [doc].
type Amounts []decimal.Decimal

// UnmarshalJSON fails on an element that is not a number: a plan must not vanish from a price list.
func (l *Amounts) UnmarshalJSON(b []byte) error {
	*l = nil
	if !isKind(b, '[') {
		return nil
	}
	var items []Amount
	if err := json.Unmarshal(b, &items); err != nil {
		return err
	}
	for _, a := range items {
		if !a.Valid {
			return errors.New("a list of amounts has an element that is not a number")
		}
		*l = append(*l, a.Decimal)
	}
	return nil
}

// Texts is a JSON object of texts, keyed by the amount as the provider writes it ("4.07"); it also comes
// as [] or null when it is empty [doc].
type Texts map[string]string

// UnmarshalJSON takes values of any scalar kind as text.
func (m *Texts) UnmarshalJSON(b []byte) error {
	*m = nil
	if !isKind(b, '{') {
		return nil
	}
	var items map[string]wireText
	if err := json.Unmarshal(b, &items); err != nil {
		return err
	}
	*m = make(Texts, len(items))
	for k, v := range items {
		(*m)[k] = v.text
	}
	return nil
}

// isKind reports whether the JSON value begins with c: '{' an object, '[' an array.
func isKind(b []byte, c byte) bool {
	b = bytes.TrimSpace(b)
	return len(b) > 0 && b[0] == c
}
