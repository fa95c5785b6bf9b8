package reloadly

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// New credentials count from the moment in which access was granted for them; those that are
// refused change nothing, and neither the old nor the new secret gets out.
func TestRotate(t *testing.T) {
	const second, wrong = "canary-second-Qq7", "canary-wrong-Kk6"
	var mu sync.Mutex
	var used []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path != "/oauth/token" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"errorCode":"X","message":"`+testSecret+` `+second+`"}`)
			return
		}
		var ask struct {
			ClientSecret string `json:"client_secret"`
		}
		_ = json.Unmarshal(body, &ask)
		mu.Lock()
		used = append(used, ask.ClientSecret)
		mu.Unlock()
		if ask.ClientSecret == wrong {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"message":"what is `+wrong+`?"}`)
			return
		}
		_, _ = io.WriteString(w, `{"access_token":"of-`+ask.ClientSecret+`","expires_in":86400}`)
	}))
	defer server.Close()
	_, rdb := newRedis(t)
	c := newClient(t, Config{
		ClientID: "id", ClientSecret: testSecret, AuthURL: server.URL, APIURL: server.URL,
		TokenCache: NewRedisTokenCache(rdb, Sandbox, "id", testSecret),
	})
	ctx := t.Context()
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	err := c.Rotate(ctx, "id", wrong, nil)
	if e := wantError(t, err); e.Advice != HoldAccount || strings.Contains(e.Error(), wrong) {
		t.Errorf("got %v", e)
	}
	if token, e := c.access.get(ctx); e != nil || token.Value != "of-"+testSecret {
		t.Fatalf("refused credentials changed something: %v, %v", token, e)
	}
	if err := c.Rotate(ctx, "id", " ", nil); err == nil {
		t.Error("a blank secret was taken")
	}
	cache := NewRedisTokenCache(rdb, Sandbox, "id", second)
	if err := c.Rotate(ctx, "id", second, cache); err != nil {
		t.Fatal(err)
	}
	if token, e := c.access.get(ctx); e != nil || token.Value != "of-"+second {
		t.Fatalf("got %v, %v", token, e)
	}
	if shared, err := cache.Get(ctx); err != nil || shared == nil || shared.Value != "of-"+second {
		t.Errorf("the new access is not shared: %v, %v", shared, err)
	}
	c.access.drop(ctx, "of-"+second)
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if last := used[len(used)-1]; last != second {
		t.Errorf("the next token was asked for with another secret")
	}
	_, err = c.TopUp(ctx, quickStart())
	if e := wantError(t, err); strings.Contains(e.Error(), second) {
		t.Errorf("%v shows the new secret", e)
	}
}

// Only what a person has to explain is unrecognised.
func TestUnrecognisedCodes(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		want   bool
	}{
		"paid":                {200, quickStartAnswer, false},
		"a known refusal":     {400, structured, false},
		"a new code":          {400, `{"errorCode":"SOME_NEW_CODE","message":"?"}`, true},
		"no code at all":      {400, `{"errorCode":null,"message":"?"}`, true},
		"a new code with 500": {500, `{"errorCode":"SOME_NEW_CODE","message":"?"}`, true},
		"an empty 500":        {500, ``, false},
		"too many requests":   {429, `{"errorCode":"NEW_LIMIT","message":"?"}`, false},
	} {
		p := newProvider(t, reply(test.status, test.body))
		got := false
		cfg := p.config()
		cfg.Observe = func(o Observation) { got = got || o.Unrecognised }
		_, _ = newClient(t, cfg).TopUp(t.Context(), quickStart()) // the observation is what is looked at
		if got != test.want {
			t.Errorf("%s: unrecognised %v, want %v", name, got, test.want)
		}
	}
}
