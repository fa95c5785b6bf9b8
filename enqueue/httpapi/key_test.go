package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

func (w *world) key(k Key) string {
	w.Helper()
	secret, _, err := w.server.keys.Create(context.Background(), k)
	if err != nil {
		w.Fatal(err)
	}
	w.forgetKeys()
	return "Bearer " + secret
}

func TestKeysOpenDoors(t *testing.T) {
	w := newWorld(t, nil)
	w.result(w.ask("POST", "/v1/topups", quickStart), 202) // loopback, and no key yet
	submit := w.key(Key{Name: "shop", Scopes: []Scope{Submit}})
	read := w.key(Key{Name: "reports", Scopes: []Scope{Read, Read}})
	old := w.key(Key{Name: "old", Scopes: Scopes(), Expires: time.Now().Add(time.Hour)})

	for _, path := range []string{"/v1/topups", "/v1/topups/airtime-top-up", "/nothing", "/"} {
		a := w.ask("GET", path, "")
		w.problem(a, 401, CodeUnauthorized)
		if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%v", a.header)
		}
	}
	w.problem(w.ask("DELETE", "/v1/topups", ""), 401, CodeUnauthorized)
	for _, path := range []string{"/livez", "/readyz", "/openapi.json"} {
		if a := w.ask("GET", path, ""); a.status != 200 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	secret := strings.TrimPrefix(submit, "Bearer ")
	for _, wrong := range []string{secret, "Basic " + secret, "Bearer", "Bearer x", submit + "x", "Bearer " + strings.ToUpper(secret), "Bearer topup_" + strings.Repeat("A", 43), "Bearer " + hashSecret(secret)} {
		w.problem(w.ask("POST", "/v1/topups", quickStart, "Authorization", wrong), 401, CodeUnauthorized)
	}
	w.result(w.ask("POST", "/v1/topups", quickStart, "Authorization", submit), 200)
	w.result(w.ask("POST", "/v1/topups", quickStart, "Authorization", "bearer  "+secret), 200)
	w.result(w.ask("GET", "/v1/topups/airtime-top-up", "", "Authorization", read), 200)
	w.result(w.ask("GET", "/v1/topups/airtime-top-up", "", "Authorization", read, "Host", "topup.example"), 200)
	w.problem(w.ask("GET", "/v1/topups/airtime-top-up", "", "Authorization", submit), 403, CodeForbidden)
	w.problem(w.ask("GET", "/v1/topups", "", "Authorization", submit), 403, CodeForbidden)
	for _, path := range []string{"/v1/topups", "/v1/topups:batch", "/topups", "/v1/topups/airtime-top-up/cancel"} {
		w.problem(w.ask("POST", path, quickStart, "Authorization", read), 403, CodeForbidden)
	}
	w.problem(w.ask("GET", "/nothing", "", "Authorization", read), 404, CodeNotFound)
	w.result(w.ask("GET", "/v1/topups/airtime-top-up", "", "Authorization", old), 200)

	// An end that has come, and a key that is revoked: the others go on.
	w.server.keys.mu.Lock()
	for _, known := range w.server.keys.known {
		if known.key != nil && known.key.Name == "old" {
			known.key.Expires = time.Now().Add(-time.Second)
		}
	}
	w.server.keys.mu.Unlock()
	w.problem(w.ask("GET", "/v1/topups/airtime-top-up", "", "Authorization", old), 401, CodeUnauthorized)
	if err := w.server.keys.Revoke(context.Background(), "shop"); err != nil {
		t.Fatal(err)
	}
	revoked := time.Now()
	eventually(t, "it still holds", func() bool {
		asked := time.Since(revoked) // an answer may take long on a busy machine
		if w.ask("POST", "/v1/topups", quickStart, "Authorization", submit).status == 401 {
			return true
		}
		if asked > KeyCacheTime {
			t.Fatalf("it holds %v later", asked)
		}
		return false
	})
	// With the last one gone the door does not open.
	for _, name := range []string{"reports", "old"} {
		if err := w.server.keys.Revoke(context.Background(), name); err != nil {
			t.Fatal(err)
		}
	}
	w.forgetKeys()
	w.problem(w.ask("POST", "/v1/topups", quickStart), 401, CodeUnauthorized)

	for _, place := range []string{w.log.String(), fmt.Sprint(w.m.Dump())} {
		for _, s := range []string{submit, read, old} {
			if strings.Contains(place, strings.TrimPrefix(s, "Bearer ")) {
				t.Error("a secret is written down")
			}
		}
	}
	if !strings.Contains(w.log.String(), `"key":"shop"`) || !strings.Contains(w.log.String(), `"route":"/v1/topups/{id}"`) {
		t.Error("the log does not say who asked for what")
	}
}

func TestRateOfAKey(t *testing.T) {
	w := newWorld(t, nil)
	key := w.key(Key{Name: "slow", Scopes: Scopes(), PerSecond: 1})
	fast := w.key(Key{Name: "fast", Scopes: Scopes()})
	limited := 0
	for i := range 5 {
		a := w.ask("GET", "/v1/topups/x", "", "Authorization", key)
		if a.header.Get("RateLimit-Policy") != `"key";q=1;w=1` || !strings.HasPrefix(a.header.Get("RateLimit"), `"key";r=`) {
			t.Errorf("%d: %v", i, a.header)
		}
		if a.status == 429 {
			limited++
			w.problem(a, 429, CodeRateLimited)
			if a.header.Get("Retry-After") != "1" {
				t.Errorf("%v", a.header)
			}
		}
	}
	if limited == 0 {
		t.Error("five at once were not too many") // the bucket holds one
	}
	if a := w.ask("GET", "/v1/topups/x", "", "Authorization", fast); a.status != 404 || a.header.Get("RateLimit-Policy") != `"key";q=100;w=1` {
		t.Errorf("%d %v", a.status, a.header)
	}
	eventually(t, "it never goes on", func() bool { return w.ask("GET", "/v1/topups/x", "", "Authorization", key).status == 404 })
}

// Without a key nobody can listen where others can connect.
func TestListensOnLoopbackAlone(t *testing.T) {
	w := newWorld(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	elsewhere := func() net.Listener {
		l, err := net.Listen("tcp", "0.0.0.0:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	server, err := New(Config{Redis: w.rdb, Client: w.client})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(ctx, elsewhere()); !errors.Is(err, ErrNeedsKey) {
		t.Fatal(err)
	}
	w.m.SetError("LOADING")
	if server, err = New(Config{Redis: w.rdb, Client: w.client}); err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(ctx, elsewhere()); err == nil || errors.Is(err, ErrNeedsKey) {
		t.Fatal(err)
	}
	w.m.SetError("")
	w.key(Key{Name: "one", Scopes: Scopes()})
	server, err = New(Config{Redis: w.rdb, Client: w.client})
	if err != nil {
		t.Fatal(err)
	}
	listener := elsewhere()
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	w.url = "http://127.0.0.1:" + port
	w.problem(w.ask("GET", "/v1/topups", ""), 401, CodeUnauthorized)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if isLoopback(&net.IPAddr{IP: net.IPv4(127, 0, 0, 1)}) || !isLoopback(&net.UnixAddr{}) {
		t.Error("addresses")
	}
	_ = listener.Close()
	if err := server.Serve(context.Background(), listener); err == nil {
		t.Error("it serves on a closed listener")
	}
}

func TestKeyStore(t *testing.T) {
	w := newWorld(t, nil)
	ctx := context.Background()
	keys := w.server.keys
	for _, bad := range []Key{
		{},
		{Name: "a b", Scopes: Scopes()},
		{Name: "a"},
		{Name: "a", Scopes: []Scope{"all"}},
		{Name: "a", Scopes: Scopes(), PerSecond: -1},
		{Name: "a", Scopes: Scopes(), Expires: time.Now().Add(-time.Hour)},
		{Name: strings.Repeat("a", 65), Scopes: Scopes()},
	} {
		if _, _, err := keys.Create(ctx, bad); !errors.Is(err, ErrKeyInvalid) {
			t.Errorf("%+v", bad)
		}
	}
	secret, made, err := keys.Create(ctx, Key{Name: "b", Scopes: []Scope{Submit, Read, Submit}, Expires: time.Now().Add(time.Hour)})
	if err != nil || len(secret) != secretLength || made.PerSecond != DefaultPerSecond || len(made.Scopes) != 2 {
		t.Fatalf("%+v %v", made, err)
	}
	if _, _, err := keys.Create(ctx, Key{Name: "b", Scopes: Scopes()}); !errors.Is(err, ErrKeyExists) {
		t.Error(err)
	}
	if _, _, err := keys.Create(ctx, Key{Name: "a", Scopes: Scopes(), PerSecond: 7}); err != nil {
		t.Error(err)
	}
	all, err := keys.List(ctx)
	if err != nil || len(all) != 2 || all[0].Name != "a" || all[0].PerSecond != 7 || !all[1].Expires.Equal(made.Expires) {
		t.Errorf("%+v %v", all, err)
	}
	if err := keys.Revoke(ctx, "a"); err != nil {
		t.Error(err)
	}
	if err := keys.Revoke(ctx, "a"); !errors.Is(err, ErrNoKey) {
		t.Error(err)
	}
	// What strangers try does not fill the memory.
	for i := range cachedKeys + 10 {
		if k, err := keys.find(ctx, fmt.Sprintf("topup_%043d", i)); k != nil || err != nil {
			t.Fatal(k, err)
		}
	}
	if n := len(keys.known); n > cachedKeys {
		t.Errorf("%d are remembered", n)
	}
	w.forgetKeys()
	w.m.SetError("LOADING")
	_, _, createErr := keys.Create(ctx, Key{Name: "c", Scopes: Scopes()})
	_, listErr := keys.List(ctx)
	_, findErr := keys.find(ctx, secret)
	_, existErr := keys.exist(ctx)
	for _, err := range []error{createErr, listErr, findErr, existErr, keys.Revoke(ctx, "b")} {
		if err == nil {
			t.Error("no error without Redis")
		}
	}
	w.m.SetError("")
	w.m.HSet(keysByHash, hashSecret(secret), "damaged")
	if _, err := keys.List(ctx); err == nil {
		t.Error("a damaged key is listed")
	}
	if _, err := keys.find(ctx, secret); err == nil {
		t.Error("a damaged key holds")
	}
	w.problem(w.ask("GET", "/v1/topups", "", "Authorization", "Bearer "+secret), 503, CodeUnavailable)
}

func TestLocalHost(t *testing.T) {
	for host, want := range map[string]bool{"localhost": true, "localhost:80": true, "127.0.0.1:8080": true, "127.9.9.9": true, "[::1]:80": true, "::1": true, "[::1]": true, "": false, "evil.example": false, "10.0.0.1": false, "127.0.0.1.evil.example": false, "localhost.evil.example:80": false} {
		if localHost(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
}
