package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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
