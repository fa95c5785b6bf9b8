package reloadly

import (
	"encoding/json"
	"testing"
	"time"
)

func TestAmountForms(t *testing.T) {
	for in, want := range map[string]struct {
		text       string
		unreadable bool
	}{
		`809811.69103`:              {"809811.69103", false},
		`"790.4"`:                   {"790.4", false},
		`" 5.60 "`:                  {"5.60", false},
		`0.1`:                       {"0.1", false},
		`8.3E+2`:                    {"830", false},
		`1e-5`:                      {"0.00001", false},
		`-41.6`:                     {"-41.6", false},
		`null`:                      {"", false},
		`""`:                        {"", false},
		`0.12345678901234567890123`: {"0.1234567890123456789", false},
		`790.40000000000003410605`:  {"790.4000000000000341", false},
		`12345678901234567890`:      {"", true},
		`1e999`:                     {"", true},
		`1e-999`:                    {"", true},
		`"832 NGN"`:                 {"", true},
		`"NaN"`:                     {"", true},
		`true`:                      {"", true},
		`{}`:                        {"", true},
		`[1]`:                       {"", true},
	} {
		var a Amount
		if err := json.Unmarshal([]byte(in), &a); err != nil || a.String() != want.text || a.unreadable != want.unreadable || a.Valid == (want.text == "") {
			t.Errorf("%s: %+v, %v", in, a, err)
		}
		out, err := json.Marshal(a)
		if err != nil || (a.Valid && string(out) != `"`+want.text+`"`) || (!a.Valid && string(out) != "null") {
			t.Errorf("%s: written %s, %v", in, out, err)
		}
	}
}

func TestLooseForms(t *testing.T) {
	var v struct {
		ID    wireID
		Text  wireText
		List  Amounts
		Texts Texts
	}
	for in, want := range map[string]int64{`7`: 7, `"7"`: 7, `7.0`: 7, `7e2`: 700, `null`: 0, `7.5`: 0, `99999999999999999999`: 0, `{}`: 0} {
		if err := json.Unmarshal([]byte(`{"ID":`+in+`}`), &v); err != nil || int64(v.ID) != want {
			t.Errorf("id %s: %d, %v", in, v.ID, err)
		}
	}
	for in, want := range map[string]string{`"a"`: "a", `773709733097662`: "773709733097662", `null`: "", `true`: "true", `{"a":1}`: `{"a":1}`} {
		if err := json.Unmarshal([]byte(`{"Text":`+in+`}`), &v); err != nil || v.Text.text != want || v.Text.present == (in == `null`) {
			t.Errorf("text %s: %+v, %v", in, v.Text, err)
		}
	}
	for in, want := range map[string]int{`[]`: 0, `{}`: 0, `null`: 0, `[1,"2.50"]`: 2} {
		if err := json.Unmarshal([]byte(`{"List":`+in+`}`), &v); err != nil || len(v.List) != want {
			t.Errorf("list %s: %v, %v", in, v.List, err)
		}
	}
	for in, want := range map[string]int{`[]`: 0, `{}`: 0, `null`: 0, `{"1":2,"3":"x"}`: 2} {
		if err := json.Unmarshal([]byte(`{"Texts":`+in+`}`), &v); err != nil || len(v.Texts) != want {
			t.Errorf("texts %s: %v, %v", in, v.Texts, err)
		}
	}
}

// FuzzAnswers feeds every decoder: none may panic, and none may make success out of what names no transaction.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		quickStartAnswer, structured, nullCode, springForm, gatewayForm, html, operatorDown, ``, `{}`, `[]`, `null`,
		`{"transactionId":"7"}`, `{"transactionId":1e400}`, `{"transactionId":7,"requestedAmount":0.00000000000000000000000000001}`,
		`{"status":"PROCESSING","transaction":null}`, `{"content":[` + quickStartAnswer + `],"last":true,"totalElements":1}`,
		`{"access_token":"x","expires_in":"86400"}`, `{"id":1,"fixedAmounts":[1],"fixedAmountsDescriptions":[]}`, quickStartAnswer[:200],
	} {
		f.Add(seed, 200)
		f.Add(seed, 400)
	}
	c := &Client{cfg: Config{Now: time.Now}}
	c.mask(testSecret)
	f.Fuzz(func(t *testing.T, body string, status int) {
		e := classifyOrTake(c, status, body)
		var tx Transaction
		accepted := json.Unmarshal([]byte(body), &tx) == nil && tx.TransactionID > 0
		switch {
		case e == nil && (!accepted || status < 200 || status > 299):
			t.Errorf("%d %q was accepted", status, body)
		case e != nil && e.Outcome == NotSent:
			t.Errorf("%d %q: an answer cannot prove that nothing was sent", status, body)
		case e != nil && e.Outcome == Refused && (status < 400 || status == 408 || (status >= 500 && e.Code != CodeOperatorUnavailable)):
			t.Errorf("%d %q was taken for a refusal", status, body)
		}
		if report, err := parseStatus([]byte(body), 33469); err == nil && report.Transaction != nil && report.Transaction.TransactionID != 33469 {
			t.Errorf("%q is the status of another transaction", body)
		}
		if p, err := parsePage[Transaction]([]byte(body), 1); err == nil {
			p.final(1)
		}
		if token, err := parseToken([]byte(body), time.Now()); err == nil && token.Value == "" {
			t.Errorf("%q grants nothing", body)
		}
		for _, v := range []any{new(Operator), new(Promotion), new(Discount), new(Country)} {
			_ = json.Unmarshal([]byte(body), v) // only the panic matters here
		}
	})
}
