package reloadly

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/govalues/decimal"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(unhurried{m}) }

// unhurried lets what ends by itself do so: goleak looks for half a second alone, and a busy machine takes longer.
type unhurried struct{ *testing.M }

func (u unhurried) Run() int {
	code := u.M.Run()
	for deadline := time.Now().Add(time.Minute); code == 0 && goleak.Find() != nil && time.Now().Before(deadline); {
	}
	return code
}

const (
	testSecret = "canary-secret-Zz9"
	testToken  = "canary-token-Yy8"
	testPhone  = "0503971821"
)

// provider is a server of the test's own making, with the token address already there.
type provider struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string // method, path and body of every call but the token's
	tokens   int
	token    func(n int) (int, string) // the n-th token answer; nil: testToken for a day
}

func newProvider(t *testing.T, handler http.HandlerFunc) *provider {
	t.Helper()
	p := &provider{}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/oauth/token" {
			p.mu.Lock()
			p.tokens++
			status, text := 200, `{"access_token":"`+testToken+`","scope":"x","expires_in":86400,"token_type":"Bearer"}`
			if p.token != nil {
				status, text = p.token(p.tokens)
			}
			p.mu.Unlock()
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
			return
		}
		p.mu.Lock()
		p.requests = append(p.requests, r.Method+" "+r.RequestURI+" "+string(body))
		p.mu.Unlock()
		handler(w, r)
	}))
	p.Config.ErrorLog = quiet
	p.Start()
	t.Cleanup(p.Close)
	return p
}

func (p *provider) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.requests...)
}

func (p *provider) tokenRequests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tokens
}

// config has patience for a slow machine; a test that waits for the end of it sets ReadRetryFor.
func (p *provider) config() Config {
	return Config{
		ClientID: "id", ClientSecret: testSecret, AuthURL: p.URL, APIURL: p.URL,
		BackoffInitial: time.Millisecond,
	}
}

func newClient(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func reply(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// quickStart is the request of the facts page, number for number.
func quickStart() TopUpRequest {
	return TopUpRequest{
		OperatorID: 1100, Amount: decimal.MustParse("832"), CustomIdentifier: "airtime-top-up",
		RecipientEmail: "jeanb@reloadly.com", RecipientPhone: &Phone{"AE", testPhone},
		SenderPhone: &Phone{"CA", "11231231231"},
	}
}

const quickStartAnswer = `{"transactionId":33469,"status":"SUCCESSFUL","operatorTransactionId":null,
"customIdentifier":"airtime-top-up","recipientPhone":"971503971821","recipientEmail":null,"senderPhone":"11231231231",
"countryCode":"AE","operatorId":1100,"operatorName":"Etisalat United Arab Emirates","discount":41.6,
"discountCurrencyCode":"NGN","requestedAmount":832,"requestedAmountCurrencyCode":"NGN","deliveredAmount":5.6,
"deliveredAmountCurrencyCode":"AED","transactionDate":"2022-06-06 10:57:48","pinDetail":null,
"balanceInfo":{"oldBalance":809811.69103,"newBalance":809021.29103,"cost":790.4,"currencyCode":"NGN",
"currencyName":"Nigerian Naira","updatedAt":"2022-06-06 14:57:48"}}`

// wantError is the *Error in err, or the end of the test.
func wantError(t *testing.T, err error) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %v, want an *Error", err)
	}
	assertNoCanary(t, e.Error()+e.Message+e.Code)
	return e
}

func assertNoCanary(t *testing.T, text string) {
	t.Helper()
	for _, canary := range []string{testSecret, testToken, testPhone, testPhone[1:], "971503971821"} {
		if strings.Contains(text, canary) {
			t.Errorf("%q shows %q", text, canary)
		}
	}
}

// quiet is for servers whose own complaints are part of the test.
var quiet = log.New(io.Discard, "", 0)
