package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

var quickStartTime = time.Date(2022, 6, 6, 14, 57, 48, 0, time.UTC)

type rig struct {
	t     *testing.T
	sim   *Simulator
	srv   *httptest.Server
	token string
	clock struct {
		sync.Mutex
		now time.Time
	}
}

func newRig(t *testing.T, cfg Config) *rig {
	t.Helper()
	r := &rig{t: t}
	r.clock.now = quickStartTime
	cfg.Now = func() time.Time { r.clock.Lock(); defer r.clock.Unlock(); return r.clock.now }
	var err error
	if r.sim, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	r.srv = httptest.NewServer(r.sim)
	t.Cleanup(func() { r.srv.Close(); _ = r.sim.Close() })
	_, body := r.call("POST", "/oauth/token", tokenBody("id", "secret", audienceSandbox))
	r.token, _ = body["access_token"].(string)
	return r
}

func (r *rig) pass(d time.Duration) {
	r.clock.Lock()
	defer r.clock.Unlock()
	r.clock.now = r.clock.now.Add(d)
}

func tokenBody(id, secret, audience string) string {
	return fmt.Sprintf(`{"client_id":%q,"client_secret":%q,"grant_type":"client_credentials","audience":%q}`, id, secret, audience)
}

func (r *rig) call(method, path, body string) (int, map[string]any) {
	r.t.Helper()
	status, text, err := r.raw(method, path, body)
	if err != nil {
		r.t.Error(err)
		return 0, nil
	}
	out := map[string]any{}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &out); err != nil {
			r.t.Errorf("%s: %v in %s", path, err, text)
		}
	}
	return status, out
}

func (r *rig) raw(method, path, body string) (int, []byte, error) {
	req, err := http.NewRequest(method, r.srv.URL+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, nil, err
	}
	text, err := io.ReadAll(res.Body)
	if closeErr := res.Body.Close(); err == nil {
		err = closeErr
	}
	return res.StatusCode, text, err
}

func topup(identifier, number string) string {
	return fmt.Sprintf(`{"operatorId":"1100","amount":"832","customIdentifier":%q,"recipientPhone":{"countryCode":"AE","number":%q}}`, identifier, number)
}

func (r *rig) want(status int, code string, gotStatus int, got map[string]any) {
	r.t.Helper()
	have, _ := got["errorCode"].(string)
	if gotStatus != status || have != code {
		r.t.Errorf("got %d %v, want %d %s", gotStatus, got, status, code)
	}
}

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

func TestAsyncAndLaterFailure(t *testing.T) {
	r := newRig(t, Config{})
	r.call("POST", "/topups-async", topup("ok", "0503971821"))
	r.call("POST", "/topups", topup("fails", "0503970032")) // PROCESSING, then FAILED
	_, body := r.call("GET", "/topups/33469/status", "")
	if body["status"] != statusProcessing || body["transaction"] != nil {
		t.Errorf("early: %v", body)
	}
	r.pass(11 * time.Second)
	_, body = r.call("GET", "/topups/33469/status", "")
	if body["status"] != statusSuccessful || body["transaction"] == nil {
		t.Errorf("late: %v", body)
	}
	_, body = r.call("GET", "/topups/33470/status", "")
	if body["status"] != statusFailed {
		t.Errorf("failed: %v", body)
	}
	if got := r.sim.Balance(); got != "809021.29103" || len(r.sim.Paid()) != 1 {
		t.Errorf("balance %s, paid %v", got, r.sim.Paid())
	}
	if err := r.sim.Reverse(33469); err != nil {
		t.Error(err)
	}
	if err := r.sim.Audit(); err != nil || r.sim.Balance() != "809811.69103" {
		t.Errorf("%v, balance %s", err, r.sim.Balance())
	}
}

func TestReport(t *testing.T) {
	r := newRig(t, Config{})
	for i := range 3 {
		r.call("POST", "/topups", topup(fmt.Sprintf("Job-%d", i), fmt.Sprintf("050397182%d", i)))
		r.pass(time.Second)
	}
	for _, c := range []struct {
		query string
		total float64
		ids   []float64
	}{
		{"", 3, []float64{33469, 33470, 33471}},
		{"page=0&size=2", 3, []float64{33469, 33470}},
		{"page=2&size=2", 3, []float64{33471}},
		{"page=9", 3, nil},
		{"customIdentifier=JOB-1", 1, []float64{33470}},
		{"customIdentifier=job", 0, nil},
		{"startDate=" + url.QueryEscape("2022-06-06 10:57:49") + "&endDate=" + url.QueryEscape("2022-06-06 10:57:49"), 1, []float64{33470}},
		{"operatorId=1", 0, nil},
	} {
		_, body := r.call("GET", "/topups/reports/transactions?"+c.query, "")
		var ids []float64
		for _, x := range body["content"].([]any) {
			ids = append(ids, x.(map[string]any)["transactionId"].(float64))
		}
		if body["totalElements"] != c.total || !reflect.DeepEqual(ids, c.ids) {
			t.Errorf("%q: %v %v", c.query, body["totalElements"], ids)
		}
	}
	if _, body := r.call("GET", "/topups/reports/transactions?size=9999", ""); body["size"] != 500.0 {
		t.Errorf("size %v", body["size"])
	}
}

func TestAuthErrors(t *testing.T) {
	r := newRig(t, Config{TokenLife: time.Hour, Credentials: []Credential{
		{ClientID: "id", ClientSecret: "secret"}, {ClientID: "l", ClientSecret: "s", Environment: "live"},
	}})
	good := r.token
	for _, c := range []struct {
		body   string
		status int
		code   string
	}{
		{tokenBody("id", "no", audienceSandbox), 401, "INVALID_CREDENTIALS"},
		{tokenBody("id", "secret", audienceLive), 401, "INVALID_AUDIENCE"},
		{tokenBody("id", "secret", "https://example.com"), 401, "INVALID_AUDIENCE"},
		{tokenBody("id", secretOlderForm, audienceSandbox), 401, ""},
		{tokenBody("id", secretGatewayForm, audienceSandbox), 403, ""},
		{"client_id=id", 400, "JSON_SYNTAX_ERROR"},
	} {
		status, body := r.call("POST", "/oauth/token", c.body)
		r.want(c.status, c.code, status, body)
	}
	ask := func(token string, status int, code string) {
		t.Helper()
		r.token = token
		got, body := r.call("GET", "/accounts/balance", "")
		r.want(status, code, got, body)
	}
	_, body := r.call("POST", "/oauth/token", tokenBody("l", "s", audienceLive))
	ask(body["access_token"].(string), 401, "INVALID_TOKEN") // a live token
	ask("", 401, "MISSING_TOKEN")
	ask("x", 401, "INVALID_TOKEN")
	ask(good, 200, "")
	r.pass(time.Hour)
	ask(good, 401, "TOKEN_EXPIRED")
	r.sim.RevokeTokens()
	ask(good, 401, "INVALID_TOKEN")
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
