package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// serving is a topup serve under its own role.
type serving struct {
	*daemon
	url, key string
}

// startServe starts one; the key may do everything.
func startServe(t *testing.T, r *roles, simulator string, more ...string) *serving {
	t.Helper()
	s := &serving{key: keyOf(t, r, simulator)}
	address := "127.0.0.1:" + freePort(t)
	s.url = "http://" + address
	s.daemon = startDaemon(t, "serve", append(append(r.settings("serve", simulator), "TOPUP_LISTEN="+address), more...), "topup", "serve")
	eventually(t, 30*time.Second, "serve is ready", func() bool { return askHealth(t.Context(), s.url+"/readyz") == nil })
	return s
}

// ask sends one request with the key, or with these headers, and returns what came.
func (s *serving) ask(t *testing.T, method, path, body string, headers ...string) (int, string) {
	t.Helper()
	status, text, _ := s.answer(t, method, path, body, headers...)
	return status, text
}

// answer returns the cookies too.
func (s *serving) answer(t *testing.T, method, path, body string, headers ...string) (int, string, []*http.Cookie) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if len(headers) == 0 {
		headers = []string{"Authorization", "Bearer " + s.key, "Content-Type", "application/json"}
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{
		Timeout: busy * time.Minute, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // it was only read
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text), res.Cookies()
}

// serveUnderRole has every call of the API answered.
func serveUnderRole(t *testing.T, r *roles, simulator string) {
	t.Helper()
	serve := startServe(t, r, simulator)
	if answer := postTopUp(t, serve.url, serve.key); answer.State != "succeeded" {
		t.Errorf("%+v", answer)
	}
	for _, call := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "/v1/topups/composed", "", 200},
		{"GET", "/v1/topups?limit=10", "", 200},
		{"GET", "/v1/topups?state=queued", "", 200},
		{"GET", "/v1/campaigns", "", 200},
		{"GET", "/v1/campaigns/nobody", "", 404},
		{"POST", "/v1/topups", `{"operatorId": 341, "amount": 500, "customIdentifier": "later", "notBefore": "2126-01-01T00:00:00Z", "expires": "2126-01-02T00:00:00Z", "recipientPhone": {"countryCode": "NG", "number": "8033341234"}}`, 202},
		{"POST", "/v1/topups/later/cancel", "", 200},
	} {
		if status, text := serve.ask(t, call.method, call.path, call.body); status != call.want {
			t.Errorf("%s %s: %d %s, want %d", call.method, call.path, status, text, call.want)
		}
	}
	r.topup(t, "operator", simulator, exitOK, "key", "list")
	r.topup(t, "operator", simulator, exitOK, "key", "revoke", "shop")
	stop(t, serve.daemon)
}
