package enqueue

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/govalues/decimal"
)

// Every bad input is named by its field, and nothing is written.
func TestBadInput(t *testing.T) {
	for _, test := range []struct {
		name, field string
		change      func(*TopUp)
	}{
		{"empty id", "customIdentifier", func(t *TopUp) { t.ID = "" }},
		{"long id", "customIdentifier", func(t *TopUp) { t.ID = strings.Repeat("x", 101) }},
		{"blank in id", "customIdentifier", func(t *TopUp) { t.ID = "a b" }},
		{"brace in id", "customIdentifier", func(t *TopUp) { t.ID = "{a}" }},
		{"tilde in id", "customIdentifier", func(t *TopUp) { t.ID = "a~2" }},
		{"umlaut in id", "customIdentifier", func(t *TopUp) { t.ID = "ä" }},
		{"line in id", "customIdentifier", func(t *TopUp) { t.ID = "a\nb" }},
		{"negative operator", "operatorId", func(t *TopUp) { t.OperatorID = -1 }},
		{"no amount", "amount", func(t *TopUp) { t.Amount = decimal.Decimal{} }},
		{"zero amount", "amount", func(t *TopUp) { t.Amount = decimal.MustParse("0.00") }},
		{"negative amount", "amount", func(t *TopUp) { t.Amount = decimal.MustParse("-5") }},
		{"six decimals", "amount", func(t *TopUp) { t.Amount = decimal.MustParse("1.000001") }},
		{"thirteen digits", "amount", func(t *TopUp) { t.Amount = decimal.MustParse("1000000000000") }},
		{"no recipient", "recipientPhone", func(t *TopUp) { t.RecipientPhone = Phone{} }},
		{"no number", "recipientPhone.number", func(t *TopUp) { t.RecipientPhone.Number = "" }},
		{"no country", "recipientPhone.countryCode", func(t *TopUp) { t.RecipientPhone.CountryCode = "" }},
		{"odd country", "recipientPhone.countryCode", func(t *TopUp) { t.RecipientPhone.CountryCode = "A1" }},
		{"letters", "recipientPhone.number", func(t *TopUp) { t.RecipientPhone.Number = "05012E4521" }},
		{"extension", "recipientPhone.number", func(t *TopUp) { t.RecipientPhone.Number = "0501234521x12" }},
		{"exponent", "recipientPhone.number", func(t *TopUp) { t.RecipientPhone.Number = "9.7150E+11" }},
		{"two plus", "recipientPhone.number", func(t *TopUp) { t.RecipientPhone.Number = "++97150" }},
		{"three digits", "recipientPhone.number", func(t *TopUp) { t.RecipientPhone.Number = "123" }},
		{"sixteen digits", "recipientPhone.number", func(t *TopUp) { t.RecipientPhone.Number = "1234567890123456" }},
		{"sender", "senderPhone.number", func(t *TopUp) { t.SenderPhone = Phone{"AE", "12"} }},
		{"e-mail", "recipientEmail", func(t *TopUp) { t.RecipientEmail = "someone" }},
		{"e-mail without operator", "operatorId", func(t *TopUp) {
			t.OperatorID, t.RecipientPhone, t.RecipientEmail = 0, Phone{}, "jeanb@reloadly.com"
		}},
		{"two at signs", "recipientEmail", func(t *TopUp) { t.RecipientEmail = "a@b@c" }},
		{"campaign", "campaign", func(t *TopUp) { t.Campaign = "{may}" }},
		{"year", "notBefore", func(t *TopUp) { t.NotBefore = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"ends before it begins", "expires", func(t *TopUp) {
			t.NotBefore = time.Date(2026, 5, 2, 0, 0, 0, 0, time.UTC)
			t.Expires = t.NotBefore
		}},
		{"metadata", "metadata", func(t *TopUp) { t.Metadata = map[string]string{"k": strings.Repeat("x", 1024)} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				bad := job("bad")
				test.change(&bad)
				_, err := w.c.TopUp(w.Context(), bad)
				many := w.c.TopUps(w.Context(), []TopUp{bad})
				for _, err := range []error{err, many[0].Err} {
					var field *FieldError
					if !errors.Is(err, ErrInvalid) || !errors.As(err, &field) || field.Field != test.field || field.Fix == "" || field.Problem == "" {
						w.Fatalf("%v does not name %s", err, test.field)
					}
					if strings.Contains(err.Error(), "501234521") {
						w.Fatalf("a phone number in %q", err)
					}
				}
				if keys := w.m.Keys(); len(keys) != 0 {
					w.Fatal("written:", keys)
				}
			})
		})
	}
}

func TestEveryWrongFieldIsNamed(t *testing.T) {
	_, err := TopUp{}.Validate()
	for _, field := range []string{"customIdentifier", "amount", "recipientPhone"} {
		if !strings.Contains(err.Error(), field+": ") {
			t.Errorf("%q does not name %s", err, field)
		}
	}
}

func TestValidateStoresOneForm(t *testing.T) {
	got, err := TopUp{
		ID: "A", Amount: decimal.MustParse("10.500"), RecipientPhone: Phone{" ae ", "+971 (50) 123-45.21"},
		NotBefore: time.Date(2026, 5, 1, 12, 0, 0, 1, time.FixedZone("x", 3600)),
	}.Validate()
	if err != nil || got.Amount.String() != "10.5" || got.RecipientPhone != (Phone{"AE", "+971501234521"}) || got.NotBefore.Format(time.RFC3339Nano) != "2026-05-01T11:00:00Z" {
		t.Fatalf("%+v %v", got, err)
	}
	if got.RecipientPhone.Mask() != "+97150*****21" || MaskNumber("1234") != "***4" || MaskNumber("") != "" {
		t.Fatal(got.RecipientPhone.Mask(), MaskNumber("1234"))
	}
}

func TestParseAmount(t *testing.T) {
	for text, want := range map[string]string{"10": "10", " 10.50 ": "10.5", "0.00001": "0.00001", "007": "7", "1.0000000000": "1", "999999999999.99999": "999999999999.99999"} {
		if got, err := ParseAmount(text); err != nil || got.String() != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-1", "+1", "1e9", "1E9", "NaN", "Inf", "1,000", "1O.00", "1.", ".5", "0x10", "1.2.3", "1 000", "1.000001", "1000000000000", "١"} {
		if got, err := ParseAmount(text); !errors.Is(err, ErrInvalid) || !strings.HasPrefix(err.Error(), "amount: ") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// The quick start's request is a valid job as it stands.
func TestReadQuickStart(t *testing.T) {
	for _, text := range []string{
		`{"operatorId":"535","amount":"10","useLocalAmount":false,"customIdentifier":"airtime-top-up","recipientEmail":"peter@nauta.com.cu","recipientPhone":{"countryCode":"GB","number":"447951631337"},"senderPhone":{"countryCode":"CA","number":"11231231231"}}`,
		`{"operatorId":535,"amount":10.00,"customIdentifier":"airtime-top-up","recipientEmail":"peter@nauta.com.cu","recipientPhone":{"countryCode":"GB","number":"447951631337"},"senderPhone":{"countryCode":"CA","number":"11231231231"}}`,
	} {
		var got TopUp
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		got, err := got.Validate()
		if err != nil || got.OperatorID != 535 || got.Amount.String() != "10" || got.ID != "airtime-top-up" || got.SenderPhone.Number != "11231231231" {
			t.Fatalf("%+v %v", got, err)
		}
		written, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var again TopUp
		if err := json.Unmarshal(written, &again); err != nil || fingerprint(again) != fingerprint(got) {
			t.Fatalf("%s: %v", written, err)
		}
	}
	for text, field := range map[string]string{
		`{"amount":1e9}`:                          "amount",
		`{"amount":-1}`:                           "amount",
		`{"amount":true}`:                         "amount",
		`{"amount":"NaN"}`:                        "amount",
		`{"operatorId":1.5}`:                      "operatorId",
		`{"operatorId":"x"}`:                      "operatorId",
		`{"operatorId":{}}`:                       "operatorId",
		`{"customIdentifier":7}`:                  "customIdentifier",
		`{"recipientPhone":"0501"}`:               "recipientPhone",
		`{"operatorId":1` + `000000000000000000}`: "operatorId",
	} {
		var got TopUp
		err := json.Unmarshal([]byte(text), &got)
		var problem *FieldError
		if !errors.As(err, &problem) || problem.Field != field {
			t.Errorf("%s: %v", text, err)
		}
	}
	var got TopUp
	if err := json.Unmarshal([]byte(`{"amount":null,"operatorId":null}`), &got); err != nil {
		t.Error(err)
	}
	if err := got.UnmarshalJSON([]byte(`{`)); err == nil {
		t.Error("half a document was read")
	}
}

func TestIdentifiers(t *testing.T) {
	if Identifier("Ab", 0) != "ab" || Identifier("Ab", 1) != "ab~2" || Identifier("Ab", 2) != "ab~3" {
		t.Fatal(Identifier("Ab", 1))
	}
	if shardOf("ABC") != shardOf("abc") || jobKey("ABC") != jobKey("abc") {
		t.Fatal("ids are compared with case")
	}
}
