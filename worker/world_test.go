package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/govalues/decimal"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// world is everything between a producer and the simulator's ledger, in virtual
// time: real asynq, real scripts, real HTTP over connections in memory.
type world struct {
	t     *testing.T
	redis *miniredis.Miniredis
	rdb   *redis.Client
	sim   *sandbox.Simulator
	jobs  *enqueue.Client
	dial  func(context.Context, string, string) (net.Conn, error)
	epoch string
}

// bubble runs f in a world in virtual time, on one thread at a time: two goroutines of a
// bubble that take from fired timers at once break the race detector (golang/go#78156).
func bubble(t *testing.T, cfg sandbox.Config, f func(w *world)) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // the scripts of virtual days are mostly garbage
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cfg)
		defer w.close() // also where f ends early: what stays open would hide why
		f(w)
	})
}

func newWorld(t *testing.T, cfg sandbox.Config) *world {
	t.Helper()
	w := &world{t: t, redis: miniredis.NewMiniRedis(), epoch: "first"}
	w.redis.ClockTTL(true)
	w.rdb = w.client()
	cfg.DuplicateWindow = 300 * time.Millisecond // its check is not atomic
	sim, err := sandbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.sim = sim
	w.serve(sim)
	w.jobs = w.producer()
	t.Cleanup(func() { _ = sim.Close() })
	return w
}

// serve puts a handler in Reloadly's place for everyone who connects from now on.
func (w *world) serve(handler http.Handler) {
	listener := newPipeListener()
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }() // ends with Close below
	w.dial = listener.dial
	w.t.Cleanup(func() { _ = server.Close() })
}

func (w *world) close() {
	_ = w.jobs.Close()
	_ = w.rdb.Close()
	w.redis.Close()
}

// client is a connection pool of its own to the world's Redis.
func (w *world) client() *redis.Client {
	return redis.NewClient(&redis.Options{
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			conn, err := w.redis.Dial()
			if err != nil {
				return nil, err
			}
			return worker.NewBufferedConn(conn), nil
		},
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		DialerRetries:            1,
	})
}

func (w *world) producer() *enqueue.Client {
	return enqueue.NewClient(w.rdb, enqueue.ClientConfig{Ledger: enqueue.LedgerConfig{Epoch: w.epoch}})
}

func (w *world) ledger() *enqueue.Ledger {
	return enqueue.NewLedger(w.rdb, enqueue.LedgerConfig{Epoch: w.epoch, Who: "test"})
}

// worker makes a worker; change, where not nil, alters its configuration.
func (w *world) worker(name string, change func(*worker.Config)) *worker.Worker {
	w.t.Helper()
	client := w.provider()
	cfg := worker.Config{
		Redis: w.rdb, Reloadly: client, Name: name, Servers: 1, InFlight: 10, Poll: time.Second, Feed: time.Minute, // virtual hours of polling are real minutes
		NumberKey: []byte("number key"), Ledger: enqueue.LedgerConfig{Epoch: w.epoch},
		Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	made, err := worker.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

// provider is a client of the world's simulator, for what does not go through a worker.
func (w *world) provider() *reloadly.Client {
	w.t.Helper()
	client, err := reloadly.New(reloadly.Config{
		ClientID: "id", ClientSecret: "canary-secret", AuthURL: "http://127.0.0.1", APIURL: "http://127.0.0.1", Dial: w.dial,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	return client
}

// run runs a worker until the returned function is called, which waits for its end.
func (w *world) run(made *worker.Worker) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- made.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("worker: %v", err)
		}
	})
}

func job(id string) enqueue.TopUp {
	return enqueue.TopUp{
		ID: id, OperatorID: 1100, Amount: decimal.MustParse("832"),
		RecipientPhone: enqueue.Phone{CountryCode: "AE", Number: "0503971821"},
	}
}

// numbered is a job to a number of its own, which can be a magic one.
func numbered(id string, lastFour int) enqueue.TopUp {
	j := job(id)
	j.RecipientPhone.Number = fmt.Sprintf("050397%04d", lastFour)
	return j
}

func (w *world) submit(j enqueue.TopUp) {
	w.t.Helper()
	if _, err := w.jobs.TopUp(context.Background(), j); err != nil {
		w.t.Fatalf("submit %s: %v", j.ID, err)
	}
}

// settled waits, in virtual time, until the job is final or needs a person.
func (w *world) settled(id string) enqueue.Result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Hour)
	defer cancel()
	r, err := w.jobs.Wait(ctx, id)
	if err != nil {
		w.t.Fatalf("wait for %s: %v (state %s, reason %s, code %s)", id, err, r.State, r.Reason, r.Code)
	}
	return r
}

// expect checks a job's end against the simulator's own ledger.
func (w *world) expect(id string, state enqueue.State, paid int) enqueue.Result {
	w.t.Helper()
	r := w.settled(id)
	if r.State != state {
		w.t.Errorf("%s is %s (code %q), want %s", id, r.State, r.Code, state)
	}
	executed := 0
	for _, e := range w.sim.Paid() {
		if e.CustomIdentifier == id || e.CustomIdentifier == id+"~2" || e.CustomIdentifier == id+"~3" {
			executed++
		}
	}
	if executed != paid {
		w.t.Errorf("%s was paid %d times, want %d", id, executed, paid)
	}
	if err := w.sim.Audit(); err != nil {
		w.t.Errorf("the account does not add up: %v", err)
	}
	if overlaps := w.sim.Overlaps(); len(overlaps) > 0 {
		w.t.Errorf("two requests under way at once: %v", overlaps)
	}
	return r
}

// pipeListener connects an HTTP client and server in memory, which virtual time
// can see through.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
