package monitor

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/topup/enqueue/httpapi"
)

func TestLogin(t *testing.T) {
	rdb := realRedis(t)
	read := makeKey(t, rdb, httpapi.Key{Name: "reports", Scopes: []httpapi.Scope{httpapi.Read}})
	submit := makeKey(t, rdb, httpapi.Key{Name: "shop", Scopes: []httpapi.Scope{httpapi.Submit, httpapi.Control}})
	w := newWorld(t, rdb, nil)

	// Without a session there is the form, and nothing else.
	for _, path := range []string{"/monitor/", "/monitor/queues/topups", "/monitor/static/js/main.5adda2da.chunk.js", "/monitor/favicon.ico", "/monitor/logout/x"} {
		w.want(303, "/monitor/login", "GET", path)
	}
	w.want(401, "a key is needed", "GET", "/monitor/api/queues")
	w.want(401, "a key is needed", "POST", "/monitor/api/queues/topups:pause")
	form := w.want(200, `name="key" type="password"`, "GET", "/monitor/login")
	if strings.Contains(form.body, "<script") || strings.Contains(form.body, "//") || strings.Contains(form.body, `role="alert"`) || len(form.cookies) != 0 {
		t.Error(form.body)
	}
	if a := w.ask("HEAD", "/monitor/login", ""); a.status != 200 || a.body != "" {
		t.Errorf("%+v", a)
	}
	w.want(405, "alone", "DELETE", "/monitor/login")
	w.want(405, "alone", "PUT", "/monitor/logout")
	w.want(405, "alone", "POST", "/monitor/")

	// What is no key gets none.
	refused := func(a answer, status int, text string) {
		t.Helper()
		if a.status != status || !strings.Contains(a.body, text) || len(a.cookies) != 0 {
			t.Errorf("%d %v %s, want %d", a.status, a.cookies, a.body, status)
		}
	}
	made := "topup_" + strings.Repeat("A", 43)
	for _, wrong := range []string{"", "x", made, read + "x", strings.ToUpper(read), "Bearer " + read} {
		refused(w.tryLogin(wrong), 401, "this is no key")
		if len(wrong) > 1 && strings.Contains(w.tryLogin(wrong).body, wrong) {
			t.Error("the form repeats what was pasted")
		}
	}
	refused(w.tryLogin(submit), 403, "scope read")
	refused(w.tryLogin(read, "Content-Type", "text/plain"), 415, "not the form")
	refused(w.ask("POST", "/monitor/login?key="+read, "", "Content-Type", asForm, "Origin", w.url), 401, "this is no key")
	refused(w.ask("POST", "/monitor/login", "key="+strings.Repeat("x", 8<<10), "Content-Type", asForm, "Origin", w.url), 400, "cannot be read")
	refused(w.tryLogin(read, "Sec-Fetch-Site", "cross-site"), 403, "another site")
	refused(w.tryLogin(read, "Sec-Fetch-Site", "same-site"), 403, "another site")
	refused(w.tryLogin(read, "Sec-Fetch-Site", "", "Origin", "http://evil.example"), 403, "another site")
	refused(w.tryLogin(read, "Sec-Fetch-Site", "", "Origin", "null"), 403, "another site")
	refused(w.ask("POST", "/monitor/login", "key="+read, "Content-Type", asForm), 403, "does not say")

	// A key that may read gets a cookie that only this site's pages send, and no script sees.
	a := w.tryLogin("  " + read + "\n")
	if a.status != 303 || len(a.cookies) != 1 {
		t.Fatalf("%+v", a)
	}
	c := a.cookies[0]
	if c.Name != "topup_monitor" || len(c.Value) != cookieLength || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/monitor" ||
		c.Secure || c.MaxAge != 8*3600 || c.Domain != "" {
		t.Errorf("%+v", c)
	}
	if secure := w.tryLogin(read, "X-Forwarded-Proto", "https").cookies; len(secure) != 1 || !secure[0].Secure {
		t.Errorf("%+v", secure)
	}
	session := []string{"Cookie", c.String(), "Origin", w.url}
	page := w.want(200, "reports: log out", "GET", "/monitor/", session...)
	if !strings.Contains(page.body, `href="/monitor/logout"`) {
		t.Error(page.body)
	}
	w.want(200, "queues", "GET", "/monitor/api/queues", session...)
	w.want(200, "webpackJsonp", "GET", "/monitor/static/js/main.5adda2da.chunk.js", session...)

	// Redis has neither the key nor the cookie, and forgets the session by itself.
	everything := w.everything()
	if strings.Contains(everything, c.Value) || strings.Contains(everything, read) {
		t.Error("a secret is written down")
	}
	if ttl := rdb.TTL(context.Background(), sessionKey(c.Value)).Val(); ttl <= 7*time.Hour || ttl > 8*time.Hour {
		t.Errorf("it holds for %v", ttl)
	}

	// The cookie is of no use to the API, nor any other cookie here.
	if a := w.ask("GET", "/v1/topups", "", session...); a.status != 401 {
		t.Errorf("%+v", a)
	}
	for _, other := range []string{"", "x", strings.Repeat("A", 43), c.Value[1:] + "A", read} {
		w.want(401, "a key is needed", "GET", "/monitor/api/queues", "Cookie", "topup_monitor="+other)
	}

	// A new login ends the old session of the same browser; the way out ends the new one.
	again := w.login(read, "Cookie", c.String())
	w.want(401, "", "GET", "/monitor/api/queues", session...)
	w.want(200, "queues", "GET", "/monitor/api/queues", again...)
	w.want(200, `action="/monitor/logout"`, "GET", "/monitor/logout", again...)
	w.want(200, "queues", "GET", "/monitor/api/queues", again...)
	w.want(403, "another site", "POST", "/monitor/logout", append(again, "Sec-Fetch-Site", "cross-site")...)
	w.want(200, "queues", "GET", "/monitor/api/queues", again...)
	out := w.want(303, "/monitor/login", "POST", "/monitor/logout", again...)
	if len(out.cookies) != 1 || out.cookies[0].MaxAge != -1 || out.cookies[0].Value != "" || out.cookies[0].Path != "/monitor" {
		t.Errorf("%+v", out.cookies)
	}
	w.want(401, "", "GET", "/monitor/api/queues", again...)
	w.want(303, "/monitor/login", "POST", "/monitor/logout", "Origin", w.url) // nobody was in

	// A key may come by itself too.
	w.want(200, "queues", "GET", "/monitor/api/queues", "Authorization", "Bearer "+read)
	w.want(200, `id="root"`, "GET", "/monitor/", "Authorization", "Bearer "+read)
	w.want(403, "scope read", "GET", "/monitor/api/queues", "Authorization", "Bearer "+submit)
	w.want(403, "scope read", "GET", "/monitor/", "Authorization", "Bearer "+submit)
	w.want(401, "", "GET", "/monitor/api/queues", "Authorization", "Bearer "+made)

	// So many sessions of one key are not for people.
	limited := false
	for range loginsPerMinute {
		if a := w.tryLogin(read); a.status == 429 {
			refused(a, 429, "too many logins")
			limited = true
		}
	}
	if !limited {
		t.Error("logins have no limit")
	}
	log := w.log.String()
	for _, secret := range []string{read, submit, made, c.Value} {
		if strings.Contains(log, secret) {
			t.Error("a secret is logged")
		}
	}
	if !strings.Contains(log, `"msg":"monitor login","key":"reports"`) || !strings.Contains(log, `"msg":"monitor login refused"`) {
		t.Error(log)
	}
}

// Who revokes a key ends its sessions with it.
func TestRevokedKeyEndsItsSessions(t *testing.T) {
	rdb := realRedis(t)
	keys := httpapi.NewKeys(rdb)
	read := makeKey(t, rdb, httpapi.Key{Name: "reports", Scopes: []httpapi.Scope{httpapi.Read}})
	makeKey(t, rdb, httpapi.Key{Name: "other", Scopes: httpapi.Scopes()})
	w := newWorld(t, rdb, nil)
	session := w.login(read)
	w.want(200, "queues", "GET", "/monitor/api/queues", session...)
	if err := keys.Revoke(t.Context(), "reports"); err != nil {
		t.Fatal(err)
	}
	revoked := time.Now()
	w.eventually("the session goes on", func() bool {
		asked := time.Since(revoked) // an answer may take long on a busy machine
		if w.ask("GET", "/monitor/api/queues", "", session...).status == 401 {
			return true
		}
		if asked > httpapi.KeyCacheTime {
			t.Fatalf("it holds %v later", asked)
		}
		return false
	})
	w.want(303, "/monitor/login", "GET", "/monitor/", session...)
	makeKey(t, rdb, httpapi.Key{Name: "reports", Scopes: httpapi.Scopes()}) // another one of the same name
	w.want(401, "", "GET", "/monitor/api/queues", session...)
}

func TestSessionsEndByThemselves(t *testing.T) {
	rdb := realRedis(t)
	read := makeKey(t, rdb, httpapi.Key{Name: "reports", Scopes: httpapi.Scopes()})
	w := newWorld(t, rdb, func(c *Config) { c.SessionTime = time.Second })
	session := w.login(read)
	w.eventually("the session goes on", func() bool { return w.ask("GET", "/monitor/api/queues", "", session...).status == 401 })
	if n := rdb.Exists(t.Context(), sessionKey(strings.TrimPrefix(session[1], "topup_monitor="))).Val(); n != 0 {
		t.Error("Redis keeps it")
	}
}

// Each key has its rate here too; the files of the page are free.
func TestRate(t *testing.T) {
	rdb := realRedis(t)
	slow := makeKey(t, rdb, httpapi.Key{Name: "slow", Scopes: httpapi.Scopes(), PerSecond: 1})
	w := newWorld(t, rdb, nil)
	for range 5 {
		w.want(200, "", "GET", "/monitor/favicon.ico", "Authorization", "Bearer "+slow)
	}
	w.eventually("its rate has no end", func() bool {
		return w.ask("GET", "/monitor/api/queues", "", "Authorization", "Bearer "+slow).status == 429
	})
	if a := w.tryLogin(slow); a.status != 303 && a.status != 429 {
		t.Errorf("%+v", a)
	}
}

// Without any key, on loopback, it is as open as the API, and to this machine alone.
func TestOpenWithoutAKey(t *testing.T) {
	rdb := realRedis(t)
	w := newWorld(t, rdb, func(c *Config) { c.Write = true })
	w.submit("one")
	w.want(303, "/monitor/", "GET", "/monitor/login")
	page := w.want(200, `FLAG_READ_ONLY="false"`, "GET", "/monitor/")
	if strings.Contains(page.body, "log out") {
		t.Error("nobody is in, and there is a way out")
	}
	w.want(200, "topups", "GET", "/monitor/api/queues")
	w.want(303, "/monitor/login", "GET", "/monitor/", "Host", "evil.example") // a name that was made to mean this machine
	w.want(401, "", "GET", "/monitor/api/queues", "Host", "evil.example")
	w.want(403, "another site", "POST", "/monitor/api/queues/topups:pause", "Origin", "http://evil.example")
	w.want(403, "another site", "POST", "/monitor/api/queues/topups:pause", "Sec-Fetch-Site", "cross-site")
	if paused := rdb.Exists(t.Context(), "asynq:{topups}:paused").Val(); paused != 0 {
		t.Error("another site has paused the queue")
	}
	w.want(204, "", "POST", "/monitor/api/queues/topups:pause", "Origin", w.url, "Sec-Fetch-Site", "same-origin")
	if paused := rdb.Exists(t.Context(), "asynq:{topups}:paused").Val(); paused != 1 {
		t.Error("it is not paused")
	}
}

func TestWithoutRedis(t *testing.T) {
	m, rdb := inMemory(t)
	read := makeKey(t, rdb, httpapi.Key{Name: "reports", Scopes: httpapi.Scopes()})
	w := newWorld(t, rdb, nil)
	session := w.login(read)
	m.SetError("LOADING")
	w.want(503, "cannot be looked up", "GET", "/monitor/", session...)
	w.want(503, "cannot be looked up", "GET", "/monitor/api/queues", session...)
	w.want(503, "the session goes on", "POST", "/monitor/logout", session...)
	if a := w.tryLogin(read); a.status != 503 || len(a.cookies) != 0 { // the key is remembered, and the session cannot be
		t.Errorf("%+v", a)
	}
	m.SetError("")
	w.want(200, "", "GET", "/monitor/", session...)

	// Where it is not known whether a key is needed, none is let in.
	m, rdb = inMemory(t)
	open := newWorld(t, rdb, nil)
	open.want(200, "", "GET", "/monitor/")
	m.SetError("LOADING")
	open.eventually("it is open without Redis", func() bool { return open.ask("GET", "/monitor/", "").status == 503 })
	open.want(503, "Redis does not answer", "GET", "/monitor/login")
}
