package reloadly

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestConfigDefaults(t *testing.T) {
	for environment, api := range map[Environment]string{"": sandboxAPI, Sandbox: sandboxAPI, Live: liveAPI} {
		cfg, err := Config{Environment: environment, ClientID: "id", ClientSecret: "s"}.withDefaults()
		if err != nil || cfg.APIURL != api || cfg.Audience != api || cfg.AuthURL != "https://auth.reloadly.com/oauth/token" {
			t.Errorf("%q: %s %s %s %v", environment, cfg.APIURL, cfg.Audience, cfg.AuthURL, err)
		}
		if cfg.PostTimeout != 90*time.Second || cfg.ReadTimeout != 30*time.Second || cfg.ReadRetryFor != time.Minute || cfg.InFlight != 100 {
			t.Errorf("%+v", cfg.PostTimeout)
		}
	}
	cfg, err := Config{ClientID: "id", ClientSecret: "s", APIURL: "http://127.0.0.1:8081/", AuthURL: "http://127.0.0.1:8081/x/token"}.withDefaults()
	if err != nil || cfg.APIURL != "http://127.0.0.1:8081" || cfg.AuthURL != "http://127.0.0.1:8081/x/token" || cfg.Audience != sandboxAPI {
		t.Errorf("%s %s %s %v", cfg.APIURL, cfg.AuthURL, cfg.Audience, err)
	}
}

func TestConfigErrors(t *testing.T) {
	good := Config{ClientID: "id", ClientSecret: testSecret}
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no id":            {func(c *Config) { c.ClientID = "" }, "client id is missing"},
		"no secret":        {func(c *Config) { c.ClientSecret = "" }, "client secret is missing"},
		"secret's newline": {func(c *Config) { c.ClientSecret += "\n" }, "client secret has blanks"},
		"environment":      {func(c *Config) { c.Environment = "production" }, "environment"},
		"api":              {func(c *Config) { c.APIURL = "topups.reloadly.com" }, "api url"},
		"api with login":   {func(c *Config) { c.APIURL = "https://me:" + testSecret + "@example.com" }, "api url"},
		"auth":             {func(c *Config) { c.AuthURL = "ftp://" + testSecret }, "auth url"},
		"live by http":     {func(c *Config) { c.Environment, c.APIURL = Live, "http://proxy.example.com" }, "https"},
		"sandbox at live":  {func(c *Config) { c.APIURL = "https://Topups.reloadly.com" }, "of the other one"},
		"live at sandbox":  {func(c *Config) { c.Environment, c.APIURL = Live, sandboxAPI+"/" }, "of the other one"},
		"other audience":   {func(c *Config) { c.Audience = liveAPI }, "of the other one"},
		"negative":         {func(c *Config) { c.PostTimeout = -1 }, "negative"},
	} {
		cfg := good
		tc.change(&cfg)
		_, err := New(cfg)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
			continue
		}
		assertNoCanary(t, err.Error())
	}
	good.Environment, good.APIURL, good.AuthURL = Live, "http://localhost:1", "http://[::1]:1"
	if c, err := New(good); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
}

func TestObservations(t *testing.T) {
	answers := []http.HandlerFunc{reply(200, quickStartAnswer), reply(400, structured), reply(500, ""), reply(401, ""), reply(200, quickStartAnswer)}
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
		next := answers[0]
		answers = answers[1:]
		next(w, r)
	})
	var mu sync.Mutex
	var got []string
	cfg := p.config()
	cfg.Observe = func(o Observation) {
		mu.Lock()
		defer mu.Unlock()
		if o.Duration <= 0 {
			t.Errorf("%+v", o)
		}
		got = append(got, fmt.Sprintf("%s %s %d %v", o.Op, o.Outcome, o.Status, o.TokenRefresh))
	}
	c := newClient(t, cfg)
	for range 4 {
		_, _ = c.TopUp(t.Context(), quickStart()) // the outcomes are what is looked at
	}
	p.Server.Close()
	c.transport.CloseIdleConnections() // else the outcome is that of a connection that has died: unknown
	_, _ = c.TopUp(t.Context(), quickStart())
	want := []string{
		"token ok 200 true", "topup ok 200 false", "topup refused 400 false", "topup unknown 500 false",
		"topup refused 401 false", "token ok 200 true", "topup ok 200 false", "topup not_sent 0 false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Everything hostile quotes everything secret, and none of it comes out: not in an error, not in a log
// line, not by printing the configuration or a token.
func TestNothingSecretGetsOut(t *testing.T) {
	quote := testSecret + ` Bearer ` + testToken + ` +971 50 397-1821 971503971821 ` + testPhone + ` ` + testPhone[1:]
	var log bytes.Buffer
	for _, answer := range []http.HandlerFunc{
		reply(400, `{"message":"`+quote+`","errorCode":"`+quote+`"}`),
		reply(403, `{"error":"`+quote+`","error_description":"`+quote+`"}`),
		reply(401, `{"message":"`+quote+`"}`),
		reply(200, `{"message":"`+quote+`"}`),
		reply(200, quote),
		reply(200, `{"transactionId":1,"customIdentifier":"`+quote+`"}`),
		reply(500, quote),
		func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "ftp://example.com/"+testPhone, http.StatusFound)
		},
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		p := newProvider(t, answer)
		cfg := p.config()
		cfg.ReadRetryFor = time.Millisecond
		cfg.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c := newClient(t, cfg)
		_, err := c.TopUp(t.Context(), quickStart())
		all := []error{err}
		_, err = c.DetectOperator(t.Context(), Phone{"AE", testPhone})
		all = append(all, err)
		_, err = c.FindByIdentifier(t.Context(), testPhone)
		all = append(all, err)
		p.mu.Lock()
		p.token = func(int) (int, string) { return 400, `{"message":"` + quote + `","access_token":"` + testToken + `"}` }
		p.mu.Unlock()
		all = append(all, newClient(t, cfg).Ready(t.Context()))
		p.Server.Close()
		_, err = c.DetectOperator(t.Context(), Phone{"AE", testPhone})
		all = append(all, err)
		for _, err := range all {
			_ = wantError(t, err)
			for cause := err; cause != nil; cause = errors.Unwrap(cause) {
				assertNoCanary(t, fmt.Sprintf("%v %+v %s", cause, cause, cause))
			}
			slog.New(slog.NewTextHandler(&log, nil)).Error("failed", "error", err)
		}
	}
	secret := Config{ClientID: "id", ClientSecret: testSecret}
	token := Token{Value: testToken}
	fmt.Fprintf(&log, "%v %+v %#v %v %+v %#v", secret, secret, secret, token, token, token)
	slog.New(slog.NewJSONHandler(&log, nil)).Error("printed", "config", secret, "token", token, "pointer", &token)
	assertNoCanary(t, log.String())
	if log.Len() < 1000 {
		t.Errorf("nothing was logged: %s", log.String())
	}
}

func TestErrorText(t *testing.T) {
	for want, e := range map[string]*Error{
		"reloadly topup: refused (HTTP 400 INSUFFICIENT_BALANCE): no funds; hold the account: check balance, limits and credentials": {Op: "topup", Outcome: Refused, Advice: HoldAccount, Code: CodeInsufficientBalance, HTTPStatus: 400, Message: "no funds"},
		"reloadly topup: unknown (HTTP 502); it may have been executed: look it up by its identifier":                                {Op: "topup", HTTPStatus: 502},
		"reloadly topup: not sent (NOT_CONNECTED): dial failed; try again later":                                                     {Op: "topup", Outcome: NotSent, Advice: RetryLater, Code: CodeNotConnected, Err: errors.New("dial failed")},
		"reloadly status: refused; ask a person to look at it":                                                                       {Op: "status", Outcome: Refused},
	} {
		if got := e.Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	for advice := AskPerson; advice <= GiveUp; advice++ {
		e := &Error{Op: "topup", Outcome: Refused, Advice: advice}
		if advice.String() == "" || e.Error() == "" || (advice != AskPerson && e.Error() == (&Error{Op: "topup", Outcome: Refused}).Error()) {
			t.Errorf("%d: %s %s", advice, advice, e)
		}
	}
	if Advice(99).String() != "ask_person" || Outcome(99).String() != "unknown" {
		t.Error("a value of next year has no safe word")
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"phone 971503971821 is bad":                "phone 97150*****21 is bad",
		"+971 50 397-1821":                         "+97150*****21",
		"0503971821":                               "050*****21",
		"7612345":                                  "*****45",
		"operator 640, 100.00 XOF, 50000.00 XOF":   "operator 640, 100.00 XOF, 50000.00 XOF",
		"two\nlines\t\x1b[31mred":                  "two lines [31mred",
		"Bearer abc.def and eyJhbGc.eyJzdWIi.c2ln": "[redacted] and [redacted]",
		"the secret is sesame":                     "the secret is [redacted]",
		strings.Repeat("a", 301):                   strings.Repeat("a", 300) + "…",
	} {
		if got := clean(in, "", "sesame"); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}
