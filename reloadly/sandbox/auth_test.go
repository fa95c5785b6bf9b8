package sandbox

import (
	"testing"
	"time"
)

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
