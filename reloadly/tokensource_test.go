package reloadly

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// manualClock is a Config.Now that only a test moves.
type manualClock struct{ at atomic.Pointer[time.Time] }

func newManualClock() *manualClock {
	c := &manualClock{}
	now := time.Now()
	c.at.Store(&now)
	return c
}

func (c *manualClock) now() time.Time { return *c.at.Load() }

func (c *manualClock) advance(d time.Duration) {
	later := c.now().Add(d)
	c.at.Store(&later)
}

func newRedis(t *testing.T) (*miniredis.Miniredis, redis.UniversalClient) {
	t.Helper()
	m := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{
		Addr: m.Addr(), DisableIdentity: true, MaxRetries: -1, DialerRetries: 1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { _ = rdb.Close() })
	return m, rdb
}

func numbered(life string) func(int) (int, string) {
	return func(n int) (int, string) {
		return 200, fmt.Sprintf(`{"access_token":"%s-%d","expires_in":%s,"token_type":"Bearer"}`, testToken, n, life)
	}
}

// eventually waits for a condition that background work brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(5 * time.Minute); !ok(); {
		if time.Now().After(limit) {
			t.Fatalf("never happened: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

func TestTokenRequestIsJSON(t *testing.T) {
	var body, contentType string
	p := newProvider(t, nil)
	p.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body, contentType = string(b), r.Header.Get("Content-Type")
		reply(200, `{"access_token":"x"}`)(w, r)
	})
	if err := newClient(t, p.config()).Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := `{"client_id":"id","client_secret":"` + testSecret + `","grant_type":"client_credentials","audience":"https://topups-sandbox.reloadly.com"}`
	if body != want || contentType != "application/json" {
		t.Errorf("%s %s", contentType, body)
	}
}

func TestTokenLife(t *testing.T) {
	now := time.Now()
	for answer, want := range map[string]time.Duration{
		`{"access_token":"x","expires_in":86400}`:       24 * time.Hour,
		`{"access_token":"x","expires_in":"5184000"}`:   60 * 24 * time.Hour,
		`{"access_token":"x","expires_in":3600.9}`:      time.Hour,
		`{"access_token":"x"}`:                          time.Hour,
		`{"access_token":"x","expires_in":null}`:        time.Hour,
		`{"access_token":"x","expires_in":"soon"}`:      time.Hour,
		`{"access_token":"x","expires_in":-5}`:          time.Hour,
		`{"access_token":"x","expires_in":1e300}`:       time.Hour,
		`{"access_token":"x","expires_in":99999999999}`: maxLife,
		`{"access_token":"x","expires_in":0.5}`:         time.Second,
	} {
		got, err := parseToken([]byte(answer), now)
		if err != nil || got.Expires.Sub(now) != want {
			t.Errorf("%s: %v, %v", answer, got, err)
		}
	}
	for _, answer := range []string{``, `[]`, `{}`, `{"access_token":""}`, `{"access_token":"a b"}`, `{"access_token":"a\nb"}`, html} {
		if _, err := parseToken([]byte(answer), now); err == nil {
			t.Errorf("%q was taken", answer)
		}
	}
}

func TestTokenErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
		advice Advice
		code   string
	}{
		"wrong secret":   {401, `{"message":"Access Denied","errorCode":"INVALID_CREDENTIALS"}`, HoldAccount, "INVALID_CREDENTIALS"},
		"older form":     {401, `{"message":"Access Denied","errorCode":null}`, HoldAccount, ""},
		"gateway form":   {403, `{"error":"access_denied","error_description":"Unauthorized"}`, HoldAccount, ""},
		"wrong audience": {400, `{"message":"Invalid audience","errorCode":"INVALID_AUDIENCE"}`, HoldAccount, "INVALID_AUDIENCE"},
		"bare 401":       {401, ``, HoldAccount, ""},
		"down":           {503, html, RetryLater, ""},
		"no token":       {200, `{}`, RetryLater, CodeBadAnswer},
		"page":           {200, html, RetryLater, CodeBadAnswer},
		"redirect":       {302, ``, RetryLater, ""},
		"firewall":       {403, html, RetryLater, ""},
		"rate limited":   {429, ``, RateLimited, ""},
		"echoed secret":  {400, `{"message":"client_secret ` + testSecret + ` of +971503971821 is wrong","errorCode":"AUTH_ERROR"}`, HoldAccount, "AUTH_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, reply(200, quickStartAnswer))
			p.token = func(int) (int, string) { return tc.status, tc.body }
			cfg := p.config()
			cfg.ReadRetryFor = 20 * time.Millisecond
			c := newClient(t, cfg)
			_, err := c.TopUp(t.Context(), quickStart())
			for _, err := range []error{c.Ready(t.Context()), err} {
				e := wantError(t, err)
				if e.Outcome != NotSent || e.Advice != tc.advice || e.Code != tc.code || e.Op != "token" {
					t.Errorf("got %v %v %q: %v", e.Outcome, e.Advice, e.Code, e)
				}
			}
			if len(p.seen()) != 0 {
				t.Error("the top-up was sent")
			}
			if tc.advice == HoldAccount && p.tokenRequests() != 2 {
				t.Errorf("refused credentials were tried %d times, want once a call", p.tokenRequests())
			}
		})
	}
}

func TestTokenSurvivesPassingTrouble(t *testing.T) {
	p := newProvider(t, nil)
	p.token = func(n int) (int, string) {
		return []int{500, 503, 429, 408, 200}[min(n, 5)-1], []string{html, ``, ``, ``, `{"access_token":"x"}`}[min(n, 5)-1]
	}
	if err := newClient(t, p.config()).Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// A herd of processes at an expiry: two requests at most, by the lock in Redis.
func TestTokenHerdOfAFleet(t *testing.T) {
	_, rdb := newRedis(t)
	p := newProvider(t, nil)
	p.token = numbered("86400")
	clock := newManualClock()
	clients := make([]*Client, 50)
	for i := range clients {
		cfg := p.config()
		cfg.Now, cfg.TokenCache = clock.now, NewRedisTokenCache(rdb, Sandbox, "id", testSecret)
		clients[i] = newClient(t, cfg)
	}
	for round := 1; round <= 2; round++ {
		before := p.tokenRequests()
		var herd sync.WaitGroup
		for _, c := range clients {
			for range 4 {
				herd.Go(func() {
					if err := c.Ready(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
		}
		herd.Wait()
		if n := p.tokenRequests() - before; n < 1 || n > 2 {
			t.Errorf("round %d: %d requests for one expiry", round, n)
		}
		clock.advance(24 * time.Hour)
	}
}

// A caller looks, another one's flight lands, and only then the first takes off.
func TestTokenFlightThatComesTooLate(t *testing.T) {
	p := newProvider(t, nil)
	p.token = numbered("3600")
	c := newClient(t, p.config())
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := c.access.fly(nil)
	if err != nil || got.(*Token).Value != testToken+"-1" || p.tokenRequests() != 1 {
		t.Errorf("%v, %v after %d requests", got, err, p.tokenRequests())
	}
}

func TestTokenIsRenewedEarlyWithoutDelayOrHarm(t *testing.T) {
	p := newProvider(t, nil)
	var down atomic.Bool
	p.token = func(n int) (int, string) {
		if down.Load() {
			return 401, `{"message":"Access Denied","errorCode":"INVALID_CREDENTIALS"}`
		}
		return numbered("3600")(n)
	}
	clock := newManualClock()
	cfg := p.config()
	cfg.Now = clock.now
	c := newClient(t, cfg)
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	clock.advance(50 * time.Minute)
	_ = c.Ready(t.Context())
	if n := p.tokenRequests(); n != 1 {
		t.Fatalf("renewed %d times ten minutes before the end", n-1)
	}

	clock.advance(5*time.Minute + time.Second)
	down.Store(true)
	if err := c.Ready(t.Context()); err != nil {
		t.Errorf("an early renewal that fails is felt: %v", err)
	}
	eventually(t, "the early renewal", func() bool { return p.tokenRequests() == 2 })
	c.access.work.Wait() // a try that is still under way would be the next one's, too
	for range 10 {       // the next try is for later
		if err := c.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	}
	down.Store(false)
	clock.advance(31 * time.Second)
	if err := c.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	eventually(t, "the second try", func() bool {
		got, e := c.access.get(t.Context())
		return e == nil && got.Value == testToken+"-3"
	})
}

func TestTokenOfAShortLife(t *testing.T) {
	for _, life := range []string{"1", "4", `"40"`} {
		p := newProvider(t, nil)
		p.token = numbered(life)
		clock := newManualClock()
		cfg := p.config()
		cfg.Now = clock.now
		c := newClient(t, cfg)
		for round := range 3 {
			if err := c.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := p.tokenRequests(); n != round+1 {
				t.Errorf("life %s: %d requests after round %d", life, n, round)
			}
			clock.advance(time.Minute)
		}
	}
}

func TestUnauthorizedIsRepeatedOnce(t *testing.T) {
	for _, body := range []string{
		`{"message":"Token expired","errorCode":"TOKEN_EXPIRED"}`,
		`{"message":"Invalid token","errorCode":"INVALID_TOKEN"}`, html, ``,
	} {
		_, rdb := newRedis(t)
		var revoked atomic.Bool
		p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
			if revoked.Load() || r.Header.Get("Authorization") == "Bearer "+testToken+"-1" {
				reply(401, body)(w, r)
				return
			}
			reply(200, quickStartAnswer)(w, r)
		})
		p.token = numbered("86400")
		cfg := p.config()
		cfg.TokenCache = NewRedisTokenCache(rdb, Sandbox, "id", testSecret)
		c := newClient(t, cfg)
		if _, err := c.TopUp(t.Context(), quickStart()); err != nil {
			t.Fatal(err)
		}
		if n := len(p.seen()); n != 2 || p.tokenRequests() != 2 {
			t.Errorf("%d requests, %d tokens, want 2 and 2", n, p.tokenRequests())
		}
		cached, err := cfg.TokenCache.Get(t.Context())
		if err != nil || cached == nil || cached.Value != testToken+"-2" {
			t.Errorf("the cache has %v, %v", cached, err)
		}
		revoked.Store(true)
		_, err = c.TopUp(t.Context(), quickStart())
		if e := wantError(t, err); e.Outcome != Refused || e.Advice != HoldAccount || e.HTTPStatus != 401 {
			t.Errorf("second 401: %v", e)
		}
		if n := len(p.seen()); n != 4 {
			t.Errorf("%d requests, want 4", n)
		}
	}
}

// The token is renewed after a 401, and by then the permission has run out.
func TestUnauthorizedIsNotRepeatedTooLate(t *testing.T) {
	clock := newManualClock()
	p := newProvider(t, reply(401, ``))
	p.token = func(n int) (int, string) {
		if n == 2 {
			clock.advance(11 * time.Second)
		}
		return numbered("86400")(n)
	}
	cfg := p.config()
	cfg.Now = clock.now
	_, err := newClient(t, cfg).TopUp(t.Context(), quickStart(), FirstByteBy(clock.now().Add(10*time.Second)))
	if e := wantError(t, err); e.Outcome != NotSent || e.Code != CodePermissionExpired || len(p.seen()) != 1 {
		t.Errorf("%v after %d requests", e, len(p.seen()))
	}
}

func TestWaitingForAccessEndsWithThePermission(t *testing.T) {
	release := make(chan struct{})
	p := newProvider(t, nil)
	p.token = func(int) (int, string) { <-release; return 200, `{}` }
	cfg := p.config()
	cfg.ReadRetryFor = time.Millisecond
	c := newClient(t, cfg)
	_, err := c.TopUp(t.Context(), quickStart(), FirstByteBy(time.Now().Add(20*time.Millisecond)))
	if e := wantError(t, err); e.Outcome != NotSent || e.Code != CodePermissionExpired {
		t.Errorf("got %v", e)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	if err := c.Ready(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(release)
}

func TestTokenWithoutRedis(t *testing.T) {
	m, rdb := newRedis(t)
	p := newProvider(t, reply(200, `{"balance":1}`))
	p.token = numbered("86400")
	clock := newManualClock()
	cfg := p.config()
	cfg.Now, cfg.TokenCache = clock.now, NewRedisTokenCache(rdb, Sandbox, "id", testSecret)
	c := newClient(t, cfg)
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.Close()
	if _, err := c.Balance(t.Context()); err != nil || p.tokenRequests() != 1 {
		t.Errorf("the token in memory does not go on: %v, %d requests", err, p.tokenRequests())
	}
	clock.advance(48 * time.Hour)
	if _, err := c.Balance(t.Context()); err != nil || p.tokenRequests() != 2 {
		t.Errorf("no token of our own: %v, %d requests", err, p.tokenRequests())
	}
	c.access.drop(t.Context(), testToken+"-2") // must not fail or hang either
}

// Somebody took the lock and died. The others help themselves when it ends.
func TestTokenLockOfADeadProcess(t *testing.T) {
	p := newProvider(t, nil)
	cache := &heldCache{}
	cfg := p.config()
	cfg.TokenCache = cache
	c := newClient(t, cfg)
	go func() {
		for cache.asked.Load() < 3 {
			<-time.After(time.Millisecond)
		}
		cache.free.Store(true)
	}()
	if err := c.Ready(t.Context()); err != nil || cache.asked.Load() < 3 {
		t.Errorf("%v after %d tries", err, cache.asked.Load())
	}
}

type heldCache struct {
	asked atomic.Int32
	free  atomic.Bool
}

func (*heldCache) Get(context.Context) (*Token, error) { return nil, nil }
func (*heldCache) Set(context.Context, Token) error    { return nil }
func (*heldCache) Drop(context.Context, string) error  { return nil }
func (h *heldCache) Lock(context.Context, time.Duration) (func(context.Context), bool, error) {
	h.asked.Add(1)
	return func(context.Context) {}, h.free.Load(), nil
}

// The cache failed to drop a token that a 401 has ended, and goes on offering it.
func TestDeadTokenIsNotTakenFromTheCacheAgain(t *testing.T) {
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer dead" {
			reply(401, ``)(w, r)
			return
		}
		reply(200, quickStartAnswer)(w, r)
	})
	cfg := p.config()
	cfg.TokenCache = stuckCache{Token{Value: "dead", Audience: sandboxAPI, Source: p.URL + authPath, Issued: time.Now(), Expires: time.Now().Add(time.Hour)}}
	if _, err := newClient(t, cfg).TopUp(t.Context(), quickStart()); err != nil {
		t.Error(err)
	}
}

type stuckCache struct{ token Token }

func (s stuckCache) Get(context.Context) (*Token, error) { return &s.token, nil }
func (stuckCache) Set(context.Context, Token) error      { return errors.New("away") }
func (stuckCache) Drop(context.Context, string) error    { return errors.New("away") }
func (stuckCache) Lock(context.Context, time.Duration) (func(context.Context), bool, error) {
	return func(context.Context) {}, true, nil
}

func TestClosedClient(t *testing.T) {
	p := newProvider(t, nil)
	c := newClient(t, p.config())
	c.Close()
	if e := wantError(t, c.Ready(t.Context())); e.Outcome != NotSent || !errors.Is(e, errClosed) {
		t.Errorf("got %v", e)
	}
}

func TestTokenCacheIsSealed(t *testing.T) {
	m, rdb := newRedis(t)
	ctx := t.Context()
	cache := NewRedisTokenCache(rdb, Sandbox, "id", testSecret)
	now := time.Now().UTC().Truncate(time.Second)
	if err := cache.Set(ctx, Token{Value: testToken, Issued: now, Expires: now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	const key = "topup:reloadly:token:sandbox:a56145270ce6b3be" // of "id": permanent, other processes read it
	stored, err := m.Get(key)
	if err != nil || strings.Contains(stored, testToken) || strings.Contains(key, testSecret) {
		t.Fatalf("%q, %v; keys %q", stored, err, m.Keys())
	}
	if ttl := m.TTL(key); ttl != time.Hour {
		t.Errorf("ttl %v", ttl)
	}
	if got, err := cache.Get(ctx); err != nil || got.Value != testToken || !got.Expires.Equal(now.Add(time.Hour)) {
		t.Errorf("%v, %v", got, err)
	}
	for name, other := range map[string]TokenCache{
		"wrong secret":      NewRedisTokenCache(rdb, Sandbox, "id", "other"),
		"other environment": NewRedisTokenCache(rdb, Live, "id", testSecret),
		"other client":      NewRedisTokenCache(rdb, Sandbox, "id2", testSecret),
	} {
		if got, err := other.Get(ctx); got != nil || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, damage := range map[string]string{"flipped": stored[:len(stored)-1] + "\x00", "short": stored[:5], "empty": "", "text": "hello"} {
		if err := m.Set(key, damage); err != nil {
			t.Fatal(err)
		}
		if got, err := cache.Get(ctx); got != nil || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if err := cache.Drop(ctx, testToken); err != nil || !m.Exists(key) {
			t.Errorf("%s: dropped what it could not read (%v)", name, err)
		}
	}
	if err := m.Set(key, stored); err != nil {
		t.Fatal(err)
	}
	if err := cache.Drop(ctx, "another"); err != nil || !m.Exists(key) {
		t.Errorf("a newer token was dropped: %v", err)
	}
	if err := cache.Drop(ctx, testToken); err != nil || m.Exists(key) {
		t.Errorf("not dropped: %v", err)
	}
	if err := cache.Set(ctx, Token{Value: "x", Issued: now, Expires: now}); err != nil || m.Exists(key) {
		t.Errorf("a token that has ended was stored: %v", err)
	}
	unlock, held, err := cache.Lock(ctx, time.Minute)
	if !held || err != nil || !m.Exists(key+":lock") {
		t.Errorf("lock: %v %v %q", held, err, m.Keys())
	}
	if _, again, err := cache.Lock(ctx, time.Minute); again || err != nil {
		t.Errorf("locked twice: %v", err)
	}
	unlock(ctx)
	if _, again, err := cache.Lock(ctx, time.Minute); !again || err != nil {
		t.Errorf("not unlocked: %v", err)
	}
}

// What another process stored is taken only if it is for us.
func TestTokenOfAnotherProcess(t *testing.T) {
	_, rdb := newRedis(t)
	p := newProvider(t, nil)
	p.token = numbered("86400")
	cfg := p.config()
	cfg.TokenCache = NewRedisTokenCache(rdb, Sandbox, "id", testSecret)
	now := time.Now()
	good := Token{Value: "theirs", Audience: sandboxAPI, Source: p.URL + authPath, Issued: now, Expires: now.Add(time.Hour)}
	for name, tc := range map[string]struct {
		change func(*Token)
		taken  bool
	}{
		"theirs":         {func(*Token) {}, true},
		"other audience": {func(t *Token) { t.Audience = liveAPI }, false},
		"other source":   {func(t *Token) { t.Source = "https://auth.example.com" }, false},
		"ended":          {func(t *Token) { t.Issued, t.Expires = now.Add(-time.Hour), now.Add(5*time.Second) }, false},
	} {
		stored := good
		tc.change(&stored)
		if err := cfg.TokenCache.Set(t.Context(), stored); err != nil {
			t.Fatal(err)
		}
		got, e := newClient(t, cfg).access.get(t.Context())
		if e != nil || (got.Value == "theirs") != tc.taken {
			t.Errorf("%s: %v, %v", name, got, e)
		}
	}
}
