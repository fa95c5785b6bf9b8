package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// What is mounted answers for its own path alone, and gets the keys, their rate, the
// log's line and the guards of every path.
func TestMount(t *testing.T) {
	w := newWorld(t, nil)
	w.server.Mount("/beside/", http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if open, err := w.server.Open(r); open || err != nil {
			_, _ = fmt.Fprint(out, "open ", err)
			return
		}
		key, err := w.server.FindKey(r.Context(), Bearer(r))
		if err != nil || key == nil {
			_, _ = fmt.Fprint(out, "no key ", err)
			return
		}
		same, err := w.server.FindKeyByHash(context.Background(), key.Hash())
		if err != nil || same.Name != key.Name {
			t.Error(same, err)
		}
		if p := w.server.Visit(r, key, r.URL.Path == "/beside/counts"); p != nil {
			p.ServeHTTP(out, r)
			return
		}
		_, _ = fmt.Fprint(out, "hello ", key.Name)
	}))
	says := func(want, path string, headers ...string) {
		t.Helper()
		if a := w.ask("GET", path, "", headers...); string(a.body) != want || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %q %v, want %q", path, a.body, a.header, want)
		}
	}
	says("open <nil>", "/beside/")
	key := w.key(Key{Name: "slow", Scopes: []Scope{Read}, PerSecond: 1})
	says("no key <nil>", "/beside/", "Authorization", "Bearer topup_"+strings.Repeat("A", 43))
	for range 5 {
		says("hello slow", "/beside/x", "Authorization", key)
	}
	says("hello slow", "/beside/counts", "Authorization", key)
	eventually(t, "its rate has no end", func() bool { return w.ask("GET", "/beside/counts", "", "Authorization", key).status == 429 })
	key = w.key(Key{Name: "fast", Scopes: []Scope{Read}})
	w.problem(w.ask("GET", "/besides", "", "Authorization", key), 404, CodeNotFound)
	w.problem(w.ask("GET", "/beside//x", "", "Authorization", key), 404, CodeNotFound)
	w.problem(w.ask("POST", "/beside/", "", "Authorization", key, "Sec-Fetch-Site", "cross-site"), 403, CodeCrossOrigin)
	if log := w.log.String(); !strings.Contains(log, `"route":"/beside/","status":200`) || !strings.Contains(log, `"key":"slow"`) {
		t.Error(log)
	}
}
