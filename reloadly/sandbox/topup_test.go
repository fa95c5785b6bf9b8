package sandbox

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

const quickStart = `{"operatorId":1100,"amount":832,"useLocalAmount":false,"customIdentifier":"airtime-top-up",
"recipientEmail":"jeanb@reloadly.com","recipientPhone":{"countryCode":"AE","number":"0503971821"},
"senderPhone":{"countryCode":"CA","number":"11231231231"}}`

const quickStartAnswer = `{"transactionId":33469,"status":"SUCCESSFUL","operatorTransactionId":null,
"customIdentifier":"airtime-top-up","recipientPhone":"971503971821","recipientEmail":null,"senderPhone":"11231231231",
"countryCode":"AE","operatorId":1100,"operatorName":"Etisalat United Arab Emirates","discount":41.6,
"discountCurrencyCode":"NGN","requestedAmount":832,"requestedAmountCurrencyCode":"NGN","deliveredAmount":5.6,
"deliveredAmountCurrencyCode":"AED","transactionDate":"2022-06-06 10:57:48","pinDetail":null,
"balanceInfo":{"oldBalance":809811.69103,"newBalance":809021.29103,"cost":790.4,"currencyCode":"NGN",
"currencyName":"Nigerian Naira","updatedAt":"2022-06-06 14:57:48"}}`

func exact(t *testing.T, text string) (v map[string]any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestQuickStart(t *testing.T) {
	r := newRig(t, Config{})
	for _, c := range [][3]string{
		{"POST", "/topups", quickStart},
		{"GET", "/topups/reports/transactions/33469", ""},
	} {
		status, text, err := r.raw(c[0], c[1], c[2])
		if err != nil || status != 200 {
			t.Fatalf("%s: %d %s %v", c[1], status, text, err)
		}
		if got, want := exact(t, string(text)), exact(t, quickStartAnswer); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %v\nwant %v", c[1], got, want)
		}
	}
	_, text, _ := r.raw("GET", "/accounts/balance", "")
	if !strings.Contains(string(text), `"balance":809021.29103`) {
		t.Errorf("balance: %s", text)
	}
	if err := r.sim.Audit(); err != nil {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	r := newRig(t, Config{Balance: "1000 NGN"})
	status, body := r.call("POST", "/topups", topup("a", "0503971821"))
	r.want(200, "", status, body)
	status, body = r.call("POST", "/topups", topup("b", "+971 50 397 1821"))
	r.want(400, "PHONE_RECENTLY_RECHARGED", status, body)
	r.pass(2 * time.Minute)
	status, body = r.call("POST", "/topups", topup("b", "0503971821"))
	r.want(400, "INSUFFICIENT_BALANCE", status, body)
	if err := r.sim.Refill("1000"); err != nil {
		t.Fatal(err)
	}
	status, body = r.call("POST", "/topups", topup("b", "0503971821"))
	r.want(200, "", status, body)
	status, body = r.call("POST", "/topups", "{")
	r.want(400, "JSON_SYNTAX_ERROR", status, body)
	status, body = r.call("POST", "/topups", strings.Replace(topup("c", "0503971821"), "1100", "999999", 1))
	r.want(503, "OPERATOR_UNAVAILABLE_OR_CURRENTLY_INACTIVE", status, body)
	status, body = r.call("GET", "/topups/1/status", "")
	r.want(404, "TRANSACTION_NOT_FOUND", status, body)
	if got := r.sim.Balance(); got != "419.2" {
		t.Errorf("balance %s", got)
	}
	if err := r.sim.Audit(); err != nil {
		t.Error(err)
	}
}

func TestFaultsAroundTheExecution(t *testing.T) {
	for name, executed := range map[string]int{
		"drop-before": 0, "html-before": 0, "500-before": 0, "redirect": 0, "401-once": 0, "429": 0,
		"drop-after": 1, "html-after": 1, "500-after": 1, "truncated": 1, "oversized": 1,
		"empty-200": 1, "no-id": 1, "no-status": 1, "wrong-echo": 1, "failed": 1, "slow": 1, "slow-refuse": 0,
		"late": 1,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{TimeScale: 0.001})
			r.sim.Script(func(Attempt) string { return name })
			_, _, err := r.raw("POST", "/topups", topup("x", "0503971821"))
			if n := len(r.sim.Executions()); n != executed {
				t.Errorf("%d executions, want %d (%v)", n, executed, err)
			}
			if err := r.sim.Audit(); err != nil {
				t.Error(err)
			}
		})
	}
}
