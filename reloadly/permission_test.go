package reloadly

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// wireTap is a TCP listener that counts the raw bytes that arrive, and answers nothing.
type wireTap struct {
	net.Listener
	conns atomic.Int32
	bytes atomic.Int64
	done  sync.WaitGroup
}

func newWireTap(t *testing.T) *wireTap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tap := &wireTap{Listener: l}
	tap.done.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			tap.conns.Add(1)
			tap.done.Go(func() {
				n, _ := io.Copy(io.Discard, conn)
				tap.bytes.Add(n)
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() { _ = l.Close() })
	return tap
}

// received waits for the other end of every connection and counts.
func (w *wireTap) received(c *Client) int64 {
	c.Close()
	_ = w.Close()
	w.done.Wait()
	return w.bytes.Load()
}

// tapped is a client that has its access already and whose calls go to the tap.
func tapped(t *testing.T, tap *wireTap, now func() time.Time) *Client {
	t.Helper()
	p := newProvider(t, reply(200, `{}`))
	cfg := p.config()
	cfg.APIURL, cfg.Now = "http://"+tap.Addr().String(), now
	c := newClient(t, cfg)
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// The clock jumps while the connection is being made: past the check at the start, and only the guard
// in front of the first byte is left.
func TestNoByteAfterThePermissionRanOut(t *testing.T) {
	start := time.Now()
	for name, later := range map[string]time.Time{
		"both clocks": start.Add(11 * time.Second),
		// A stopped process: the wall clock went on, the monotonic one did not.
		"wall clock": start.Round(0).Add(11 * time.Second),
	} {
		t.Run(name, func(t *testing.T) {
			tap := newWireTap(t)
			var clock atomic.Pointer[time.Time]
			clock.Store(&start)
			c := tapped(t, tap, func() time.Time { return *clock.Load() })
			dial := c.transport.DialContext
			c.transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				defer clock.Store(&later)
				return dial(ctx, network, addr)
			}
			_, err := c.TopUp(t.Context(), quickStart(), FirstByteBy(start.Add(10*time.Second)))
			e := wantError(t, err)
			if e.Outcome != NotSent || e.Code != CodePermissionExpired {
				t.Errorf("got %v", e)
			}
			if n := tap.received(c); n != 0 || tap.conns.Load() != 1 {
				t.Errorf("%d bytes over %d connections, want none over one", n, tap.conns.Load())
			}
		})
	}
}

func TestPermissionThatRanOutBeforeTheCall(t *testing.T) {
	tap := newWireTap(t)
	c := tapped(t, tap, nil)
	_, err := c.TopUp(t.Context(), quickStart(), FirstByteBy(time.Now().Add(-time.Second)))
	if e := wantError(t, err); e.Outcome != NotSent || e.Code != CodePermissionExpired {
		t.Errorf("got %v", e)
	}
	if n := tap.received(c); n != 0 || tap.conns.Load() != 0 {
		t.Errorf("%d bytes over %d connections", n, tap.conns.Load())
	}
}

func TestPermissionLooksAtBothClocks(t *testing.T) {
	start := time.Now() // has both readings
	wallOnly := start.Round(0)
	for name, tc := range map[string]struct {
		by, now time.Time
		want    bool
	}{
		"in time":                      {start.Add(10 * time.Second), start.Add(9 * time.Second), false},
		"at the instant":               {start.Add(10 * time.Second), start.Add(10 * time.Second), false},
		"late":                         {start.Add(10 * time.Second), start.Add(11 * time.Second), true},
		"stored, in time":              {wallOnly.Add(10 * time.Second), start.Add(9 * time.Second), false},
		"stored, late":                 {wallOnly.Add(10 * time.Second), start.Add(11 * time.Second), true},
		"wall late, monotonic unknown": {start.Add(10 * time.Second), wallOnly.Add(11 * time.Second), true},
	} {
		if got := newPermission(start, []CallOption{FirstByteBy(tc.by)}).expired(tc.now); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	// The wall clock was set back by an hour, the monotonic one tells.
	p := newPermission(start, []CallOption{FirstByteBy(start.Add(10 * time.Second))})
	p.wall = p.wall.Add(time.Hour)
	if !p.expired(start.Add(11 * time.Second)) {
		t.Error("a wall clock set back revived the permission")
	}
	// The process was stopped and the monotonic clock with it; the wall clock has gone on and tells.
	p = newPermission(start, []CallOption{FirstByteBy(start.Add(10 * time.Second))})
	p.wall = p.wall.Add(-time.Hour)
	if !p.expired(start.Add(time.Second)) {
		t.Error("a monotonic clock that stood still revived the permission")
	}
	if newPermission(start, nil).expired(start.Add(1000 * time.Hour)) {
		t.Error("a call without a permission expired")
	}
}

// refuse has to win against what comes later, and must not lie about what came before.
func TestGuard(t *testing.T) {
	yes := func() bool { return true }
	g := &guard{may: yes}
	if !g.refuse() {
		t.Error("nothing passed, and it says something did")
	}
	if n, err := (guardedBody{g, bytes.NewReader([]byte("money"))}).Read(make([]byte, 8)); n != 0 || err == nil {
		t.Errorf("read %d bytes after the refusal", n)
	}
	g = &guard{may: yes}
	if got, err := io.ReadAll(guardedBody{g, bytes.NewReader([]byte("money"))}); string(got) != "money" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if g.refuse() {
		t.Error("it was read, and it says it was not")
	}
	// Stopped between headers and body: the rest stays here, and what is out cannot be denied.
	inTime := true
	g = &guard{may: func() bool { return inTime }}
	if !g.pass() {
		t.Error("in time and refused")
	}
	inTime = false
	if g.pass() || g.refuse() {
		t.Error("late and let out, or out and denied")
	}
}

func TestCancelledBeforeAndAfterTheFirstByte(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	p := newProvider(t, func(http.ResponseWriter, *http.Request) { close(arrived); <-release })
	c := newClient(t, p.config())
	defer close(release)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.TopUp(ctx, quickStart())
	if e := wantError(t, err); e.Outcome != NotSent || e.Code != CodeCancelled || !errors.Is(err, context.Canceled) {
		t.Errorf("before: %v", e)
	}

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	go func() { <-arrived; cancel() }()
	_, err = c.TopUp(ctx, quickStart())
	if e := wantError(t, err); e.Outcome != Unknown || e.Code != CodeNoAnswer || !errors.Is(err, context.Canceled) {
		t.Errorf("after: %v", e)
	}
}

func TestCancelledWhileConnecting(t *testing.T) {
	tap := newWireTap(t)
	c := tapped(t, tap, nil)
	ctx, cancel := context.WithCancel(t.Context())
	dial := c.transport.DialContext
	c.transport.DialContext = func(dialCtx context.Context, network, addr string) (net.Conn, error) {
		cancel()
		return dial(context.WithoutCancel(dialCtx), network, addr) // the connection comes up all the same
	}
	_, err := c.TopUp(ctx, quickStart())
	if e := wantError(t, err); e.Outcome != NotSent || e.Code != CodeCancelled {
		t.Errorf("got %v", e)
	}
	if n := tap.received(c); n != 0 {
		t.Errorf("%d bytes", n)
	}
}

func TestPostTimeoutIsUnknown(t *testing.T) {
	release := make(chan struct{})
	p := newProvider(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	cfg := p.config()
	cfg.PostTimeout = 50 * time.Millisecond
	c := newClient(t, cfg)
	_, err := c.TopUp(t.Context(), quickStart())
	for range 100 { // on a slow machine the time can be up before there is a connection
		if wantError(t, err).Outcome == Unknown {
			break
		}
		_, err = c.TopUp(t.Context(), quickStart())
	}
	if e := wantError(t, err); e.Outcome != Unknown || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(e.Error(), "no answer within 50ms") {
		t.Errorf("got %v", e)
	}
}

func TestConnectionsThatWereNeverMade(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	stranger := httptest.NewUnstartedServer(reply(200, quickStartAnswer)) // its certificate is nobody's
	stranger.Config.ErrorLog = quiet
	stranger.StartTLS()
	defer stranger.Close()
	plain := newProvider(t, reply(200, quickStartAnswer))

	for name, api := range map[string]string{
		"refused": "http://" + closed.Addr().String(), "dns": "http://does-not-exist.invalid",
		"certificate": stranger.URL, "no tls there": strings.Replace(plain.URL, "http:", "https:", 1),
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, reply(500, ""))
			cfg := p.config()
			cfg.APIURL = api
			_, err := newClient(t, cfg).TopUp(t.Context(), quickStart())
			if e := wantError(t, err); e.Outcome != NotSent || e.Code != CodeNotConnected || e.Advice != RetryLater {
				t.Errorf("got %v", e)
			}
		})
	}
}

// Each server takes the connection and does something rude with it. One request, and nobody knows.
func TestConnectionsThatBreak(t *testing.T) {
	for name, rude := range map[string]func(net.Conn){
		"closed after the request": func(c net.Conn) { readRequest(c) },
		"reset after the request": func(c net.Conn) {
			readRequest(c)
			_ = c.(*net.TCPConn).SetLinger(0)
		},
		"half a status line": func(c net.Conn) { readRequest(c); _, _ = io.WriteString(c, "HTTP/1.1 20") },
		"not http":           func(c net.Conn) { readRequest(c); _, _ = io.WriteString(c, "SSH-2.0-OpenSSH\r\n\r\n") },
		"half a body": func(c net.Conn) {
			readRequest(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"transactionId\":1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var conns atomic.Int32
			var served sync.WaitGroup
			served.Go(func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					conns.Add(1)
					rude(conn)
					_ = conn.Close()
				}
			})
			p := newProvider(t, reply(500, ""))
			cfg := p.config()
			cfg.APIURL = "http://" + l.Addr().String()
			_, err = newClient(t, cfg).TopUp(t.Context(), quickStart())
			if e := wantError(t, err); e.Outcome != Unknown {
				t.Errorf("got %v", e)
			}
			_ = l.Close()
			served.Wait()
			if n := conns.Load(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// readRequest reads the quick start's request to its end.
func readRequest(c net.Conn) {
	var got []byte
	for b := make([]byte, 4096); !strings.HasSuffix(string(got), "}}"); {
		n, err := c.Read(b)
		got = append(got, b[:n]...)
		if err != nil {
			return
		}
	}
}

// A server that closes a kept-alive connection after it has read the request on it: this is where
// net/http sends a request again by itself, if it may.
func TestReusedConnectionThatClosesIsNotReplayed(t *testing.T) {
	var posts atomic.Int32
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			reply(200, `{"balance":1,"currencyCode":"USD"}`)(w, r)
			return
		}
		posts.Add(1)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	})
	c := newClient(t, p.config())
	for range 20 {
		if _, err := c.Balance(t.Context()); err != nil { // leaves a connection in the pool
			t.Fatal(err)
		}
		before := posts.Load()
		_, err := c.TopUp(t.Context(), quickStart())
		if e := wantError(t, err); e.Outcome != Unknown {
			t.Errorf("got %v", e)
		}
		if n := posts.Load() - before; n != 1 {
			t.Fatalf("the POST arrived %d times", n)
		}
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" { // what looks like success to one who follows
				reply(200, quickStartAnswer)(w, r)
				return
			}
			http.Redirect(w, r, "/elsewhere", status)
		})
		_, err := newClient(t, p.config()).TopUp(t.Context(), quickStart())
		if e := wantError(t, err); e.Outcome != Unknown || e.HTTPStatus != status || len(p.seen()) != 1 {
			t.Errorf("%d: %v after %d requests", status, e, len(p.seen()))
		}
	}
}

// Over HTTP/2 the header frame may precede the body's first Read; the body never follows.
func TestHTTP2PermissionAndReplay(t *testing.T) {
	var posts, bodies atomic.Int32
	p := newProvider(t, reply(500, ""))
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		posts.Add(1)
		if body, _ := io.ReadAll(r.Body); len(body) > 0 {
			bodies.Add(1)
		}
		panic(http.ErrAbortHandler) // resets the stream
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = quiet
	s.StartTLS()
	defer s.Close()
	start := time.Now()
	var clock atomic.Pointer[time.Time]
	clock.Store(&start)
	cfg := p.config()
	cfg.APIURL, cfg.TLS = s.URL, &tls.Config{RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	cfg.Now = func() time.Time { return *clock.Load() }
	c := newClient(t, cfg)

	_, err := c.TopUp(t.Context(), quickStart(), FirstByteBy(start.Add(10*time.Second)))
	if e := wantError(t, err); e.Outcome != Unknown || posts.Load() != 1 || bodies.Load() != 1 {
		t.Errorf("reset stream: %v after %d posts", e, posts.Load())
	}
	c.transport.CloseIdleConnections()
	later := start.Add(11 * time.Second)
	dial := c.transport.DialContext
	c.transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		clock.Store(&later)
		return dial(ctx, network, addr)
	}
	_, err = c.TopUp(t.Context(), quickStart(), FirstByteBy(start.Add(10*time.Second)))
	e := wantError(t, err)
	s.Close() // ends every handler
	if e.Outcome != NotSent || e.Code != CodePermissionExpired || bodies.Load() != 1 {
		t.Errorf("expired: %v, %d bodies", e, bodies.Load())
	}
}
