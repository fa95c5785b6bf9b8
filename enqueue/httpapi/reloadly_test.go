package httpapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/topup/enqueue"
)

// Reloadly's own paths answer in Reloadly's own form.
func TestReloadlysForm(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxWait = 5 * time.Second })
	accept := []string{"Accept", "application/com.reloadly.topups-v1+json"}
	answered := w.later("POST", "/topups", quickStart, accept...)
	eventually(t, "no job", func() bool { return w.jobs() == 1 })
	w.succeed("airtime-top-up")
	a := <-answered
	var got any
	w.read(a, 200, "application/json", &got)
	want := `{"transactionId":33469,"status":"SUCCESSFUL","operatorTransactionId":null,"customIdentifier":"airtime-top-up","recipientPhone":"971503971821",
		"recipientEmail":null,"senderPhone":"11231231231","countryCode":"AE","operatorId":1100,"operatorName":"Etisalat United Arab Emirates",
		"discount":41.6,"discountCurrencyCode":"NGN","requestedAmount":832,"requestedAmountCurrencyCode":"NGN","deliveredAmount":5.6,"deliveredAmountCurrencyCode":"AED",
		"transactionDate":"2022-06-06 10:57:48","pinDetail":null,
		"balanceInfo":{"oldBalance":809811.69103,"newBalance":809021.29103,"cost":790.4,"currencyCode":"NGN","currencyName":"Nigerian Naira","updatedAt":"2022-06-06 14:57:48"}}`
	var wanted any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	gotText, _ := json.Marshal(got)
	wantText, _ := json.Marshal(wanted)
	if string(gotText) != string(wantText) || a.header.Get("Location") != "/v1/topups/airtime-top-up" {
		t.Errorf("%s\nwant %s", gotText, wantText)
	}
	if b := w.ask("POST", "/topups", quickStart, accept...); b.status != 200 || string(b.body) != string(a.body) {
		t.Errorf("again: %d %s", b.status, b.body)
	}

	job := func(id string) string { return strings.Replace(quickStart, "airtime-top-up", id, 1) }
	end := func(id string, status int, code Code, o enqueue.Outcome) Problem {
		t.Helper()
		w.result(w.ask("POST", "/v1/topups", job(id)), 202)
		w.settle(id, o)
		p := w.problem(w.ask("POST", "/topups", job(id), accept...), status, code)
		if p.Message == "" || p.Message != p.Detail || p.ID != id {
			t.Errorf("%+v", p)
		}
		return p
	}
	if p := end("refused", 400, CodeNotPaid, enqueue.Outcome{Kind: enqueue.KindFailed, Code: "INVALID_RECIPIENT_PHONE"}); p.ErrorCode != "INVALID_RECIPIENT_PHONE" || p.State != enqueue.Failed {
		t.Errorf("%+v", p)
	}
	ended := executed("ended") // a transaction is no success by itself
	ended.Status = "FAILED"
	end("ended", 400, CodeNotPaid, enqueue.Outcome{Kind: enqueue.KindFailed, Code: enqueue.CodeTransaction, Transaction: ended})
	end("reviewed", 504, CodeNeedsReview, enqueue.Outcome{Kind: enqueue.KindReview, Code: "NEW"})
	w.problem(w.ask("POST", "/topups", strings.Replace(job("refused"), "832", "833", 1)), 409, CodeConflict)
	w.problem(w.ask("POST", "/topups", "{}"), 400, CodeMissingID)

	// What goes on is no success: 504, which a caller repeats.
	w.server.cfg.MaxWait = 30 * time.Millisecond
	w.result(w.ask("POST", "/v1/topups", job("accepted")), 202)
	transaction := executed("accepted")
	transaction.Status, transaction.Fee = "PROCESSING", transaction.Discount
	odd := "odd"
	transaction.DeliveredAmount = &odd
	w.settle("accepted", enqueue.Outcome{Kind: enqueue.KindProcessing, Transaction: transaction, Delay: time.Hour})
	if a := w.ask("POST", "/topups", job("accepted")); a.status != 200 || !strings.Contains(string(a.body), `"status":"PROCESSING"`) || !strings.Contains(string(a.body), `"fee":41.6`) || !strings.Contains(string(a.body), `"deliveredAmount":null`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if p := w.problem(w.ask("POST", "/topups", job("waits")), 504, CodeNotSettled); p.State != enqueue.Queued || p.ID != "waits" {
		t.Errorf("%+v", p)
	}
}

func TestToken(t *testing.T) {
	w := newWorld(t, nil)
	request := func(id, secret string) string {
		text, _ := json.Marshal(map[string]string{"client_id": id, "client_secret": secret, "grant_type": "client_credentials", "audience": "https://topups-sandbox.reloadly.com"})
		return string(text)
	}
	type token struct {
		AccessToken string `json:"access_token"`
		Scope       string
		ExpiresIn   int    `json:"expires_in"`
		TokenType   string `json:"token_type"`
	}
	var got token
	w.read(w.ask("POST", "/oauth/token", request("any", "thing")), 200, "application/json", &got)
	if got.AccessToken != keyless || got.TokenType != "Bearer" || got.ExpiresIn != 86400 {
		t.Errorf("%+v", got)
	}
	w.result(w.ask("POST", "/v1/topups", quickStart, "Authorization", "Bearer "+got.AccessToken), 202)

	secret := strings.TrimPrefix(w.key(Key{Name: "shop", Scopes: []Scope{Submit, Read}, Expires: time.Now().Add(time.Hour)}), "Bearer ")
	w.problem(w.ask("POST", "/v1/topups", quickStart, "Authorization", "Bearer "+keyless), 401, CodeUnauthorized)
	w.read(w.ask("POST", "/oauth/token", request("shop", secret)), 200, "application/json", &got)
	if got.Scope != "read submit" || got.ExpiresIn < 3500 || got.ExpiresIn > 3600 {
		t.Errorf("%+v", got)
	}
	w.result(w.ask("POST", "/v1/topups", quickStart, "Authorization", "Bearer "+got.AccessToken), 200)
	for _, wrong := range []string{request("shop", "x"), request("other", secret), request("", secret), request("shop", ""), request("shop", hashSecret(secret)), `{}`} {
		if p := w.problem(w.ask("POST", "/oauth/token", wrong), 401, CodeUnauthorized); p.ErrorCode != "INVALID_CREDENTIALS" || p.Message != "Access Denied" {
			t.Errorf("%+v", p)
		}
	}
	w.problem(w.ask("POST", "/oauth/token", `{"client_id":7}`), 400, CodeWrongType)
	w.problem(w.ask("POST", "/oauth/token", `x`), 400, CodeBadJSON)
	w.problem(w.ask("POST", "/oauth/token", "client_id=shop", "Content-Type", "application/x-www-form-urlencoded"), 415, CodeMediaType)

	slow := strings.TrimPrefix(w.key(Key{Name: "slow", Scopes: Scopes(), PerSecond: 1}), "Bearer ")
	eventually(t, "its rate does not count here", func() bool { return w.ask("POST", "/oauth/token", request("slow", slow)).status == 429 })
	w.forgetKeys()
	w.m.SetError("LOADING")
	w.problem(w.ask("POST", "/oauth/token", request("shop", secret)), 503, CodeUnavailable)
	w.m.SetError("")
}

// A bug is a 500 that says nothing, and the server goes on.
func TestBug(t *testing.T) {
	w := newWorld(t, nil)
	w.server.mux.HandleFunc("GET /bug", func(http.ResponseWriter, *http.Request) { panic("canary 971503971821") })
	w.server.mux.HandleFunc("GET /half", func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = rw.Write([]byte("half"))
		panic("canary")
	})
	p := w.problem(w.ask("GET", "/bug", ""), 500, CodeInternal)
	if strings.Contains(p.Detail, "canary") {
		t.Errorf("%+v", p)
	}
	if _, err := w.try("GET", "/half", ""); err == nil {
		t.Error("half an answer looks whole")
	}
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest("BREW", "/livez", nil)
	request.Host = "localhost"
	w.server.ServeHTTP(recorder, request)
	if recorder.Code != 405 || !strings.Contains(w.log.String(), `"method":"other"`) || strings.Contains(w.log.String(), "BREW") {
		t.Errorf("%d %s", recorder.Code, w.log)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a server of nothing")
	}
	w.result(w.ask("POST", "/v1/topups", quickStart), 202)
}
