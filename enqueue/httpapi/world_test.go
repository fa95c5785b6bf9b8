package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"example.com/topup/enqueue"
)

var update = flag.Bool("update", false, "write openapi.json")

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{})
	redisTime, readyTime = 5*time.Minute, time.Minute // there are ten thousand callers at once, and busy machines
	goleak.VerifyTestMain(unhurried{m})
}

// unhurried lets what ends by itself do so: goleak looks for half a second alone, and a busy machine takes longer.
type unhurried struct{ *testing.M }

func (u unhurried) Run() int {
	code := u.M.Run()
	for deadline := time.Now().Add(time.Minute); code == 0 && goleak.Find() != nil && time.Now().Before(deadline); {
	}
	return code
}

// quiet is go-redis' own log: what matters of it comes back as an error.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// quickStart is the body of Reloadly's quick start.
const quickStart = `{
  "operatorId": 1100,
  "amount": 832,
  "useLocalAmount": false,
  "customIdentifier": "airtime-top-up",
  "recipientEmail": "jeanb@reloadly.com",
  "recipientPhone": {"countryCode": "AE", "number": "0503971821"},
  "senderPhone": {"countryCode": "CA", "number": "11231231231"}
}`

// world is a server with a Redis of its own, and a caller.
type world struct {
	*testing.T
	m      *miniredis.Miniredis // nil on a real Redis
	rdb    redis.UniversalClient
	client *enqueue.Client
	server *Server
	url    string
	http   *http.Client
	log    *lockedBuffer
	stop   func() error
}

// patient waits for Redis on a busy machine, where the defaults give up after some seconds.
func patient(addr string, retries int) *redis.Options {
	return &redis.Options{
		Addr: addr, MaxRetries: retries, DialTimeout: time.Minute, ReadTimeout: time.Minute, WriteTimeout: time.Minute, PoolTimeout: time.Minute,
	}
}

// newWorld serves on a loopback address, on a Redis in memory.
func newWorld(t *testing.T, change func(*Config)) *world {
	t.Helper()
	m := miniredis.RunT(t)
	m.ClockTTL(true)
	rdb := redis.NewClient(patient(m.Addr(), -1))
	t.Cleanup(func() { _ = rdb.Close() })
	w := serve(t, rdb, "memory", change)
	w.m = m
	return w
}

func serve(t *testing.T, rdb redis.UniversalClient, epoch string, change func(*Config)) *world {
	t.Helper()
	w := &world{T: t, rdb: rdb, log: &lockedBuffer{}}
	w.client = enqueue.NewClient(rdb, enqueue.ClientConfig{Ledger: enqueue.LedgerConfig{Epoch: epoch}})
	cfg := Config{Redis: rdb, Client: w.client, Logger: slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if change != nil {
		change(&cfg)
	}
	server, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.server = server
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	w.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	w.http = &http.Client{Transport: transport, Timeout: 5 * time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		_ = w.client.Close()
		w.documented()
	})
	w.ask("GET", "/livez", "") // it has asked Redis for keys, and serves
	return w
}

// realRedis starts a redis-server of the test's own on a free port, and ends that very
// process with the test.
func realRedis(tb testing.TB, args ...string) *redis.Client {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		tb.Skip("redis-server is not on PATH: `make redis` installs it")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	addr := listener.Addr().String()
	_ = listener.Close() // the server needs the port
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command("redis-server", append([]string{
		"--port", port, "--bind", "127.0.0.1", "--dir", tb.TempDir(), "--save", "", "--daemonize", "no",
		"--appendonly", "yes", "--appendfsync", "everysec",
	}, args...)...)
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	rdb := redis.NewClient(patient(addr, 0))
	tb.Cleanup(func() {
		_ = rdb.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	for deadline := time.Now().Add(time.Minute); rdb.Ping(context.Background()).Err() != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatal("redis-server does not answer on " + addr)
		}
	}
	return rdb
}

// answer is what a caller gets.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask sends one request; headers are name, value, name, value.
func (w *world) ask(method, path, body string, headers ...string) answer {
	w.Helper()
	a, err := w.try(method, path, body, headers...)
	if err != nil {
		w.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (w *world) try(method, path, body string, headers ...string) (answer, error) {
	return w.tryWith(context.Background(), method, path, body, headers...)
}

func (w *world) tryWith(ctx context.Context, method, path, body string, headers ...string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, w.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if method == http.MethodPost && body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		switch {
		case headers[i+1] == "":
			r.Header.Del(headers[i])
		case headers[i] == "Host":
			r.Host = headers[i+1]
		default:
			r.Header[http.CanonicalHeaderKey(headers[i])] = append(r.Header[http.CanonicalHeaderKey(headers[i])], headers[i+1])
			if headers[i] == "Content-Type" {
				r.Header.Set("Content-Type", headers[i+1])
			}
		}
	}
	response, err := w.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil {
		w.described(r, response.StatusCode, response.Header, text)
	}
	return answer{response.StatusCode, response.Header, text}, err
}

// result reads an answer that is a top-up.
func (w *world) result(a answer, status int) enqueue.Result {
	w.Helper()
	var r enqueue.Result
	w.read(a, status, "application/json", &r)
	return r
}

// problem reads an answer that is none.
func (w *world) problem(a answer, status int, code Code) Problem {
	w.Helper()
	var p Problem
	w.read(a, status, problemType, &p)
	if p.Code != code || p.Status != status || p.Title == "" || p.Detail == "" || p.Type != "about:blank" {
		w.Fatalf("%+v, want %d %s", p, status, code)
	}
	return p
}

func (w *world) read(a answer, status int, media string, v any) {
	w.Helper()
	if a.status != status || a.header.Get("Content-Type") != media {
		w.Fatalf("%d %s, want %d: %s", a.status, a.header.Get("Content-Type"), status, a.body)
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		w.Fatalf("%v: %s", err, a.body)
	}
}

// executed is the quick start's transaction.
func executed(identifier string) *enqueue.Transaction {
	text := func(s string) *string { return &s }
	return &enqueue.Transaction{
		TransactionID: 33469, Status: "SUCCESSFUL", CustomIdentifier: &identifier, RecipientPhone: text("971503971821"), SenderPhone: text("11231231231"),
		CountryCode: text("AE"), OperatorID: 1100, OperatorName: text("Etisalat United Arab Emirates"), Discount: text("41.6"), DiscountCurrencyCode: text("NGN"),
		RequestedAmount: text("832"), RequestedAmountCurrencyCode: text("NGN"), DeliveredAmount: text("5.6"), DeliveredAmountCurrencyCode: text("AED"),
		TransactionDate: text("2022-06-06 10:57:48"),
		BalanceInfo: &enqueue.BalanceInfo{
			OldBalance: text("809811.69103"), NewBalance: text("809021.29103"), Cost: text("790.4"), CurrencyCode: text("NGN"), CurrencyName: text("Nigerian Naira"), UpdatedAt: text("2022-06-06 14:57:48"),
		},
	}
}

// settle does what a worker does with a queued job.
func (w *world) settle(id string, o enqueue.Outcome) {
	w.Helper()
	ctx := context.Background()
	o.Claim = enqueue.NewClaim()
	if a, err := w.client.Ledger().Begin(ctx, id, o.Claim); err != nil || a.Word != enqueue.AnswerSend {
		w.Fatalf("begin %s: %+v %v", id, a, err)
	}
	if _, err := w.client.Ledger().Settle(ctx, id, o, nil); err != nil {
		w.Fatal(err)
	}
}

func (w *world) succeed(id string) {
	w.Helper()
	w.settle(id, enqueue.Outcome{Kind: enqueue.KindSucceeded, Transaction: executed(id)})
}

// jobs is how many records there are.
func (w *world) jobs() int {
	w.Helper()
	var n int
	keys := w.rdb.Scan(context.Background(), 0, "topup:{s*}:job:*", 1000).Iterator()
	for keys.Next(context.Background()) {
		n++
	}
	if keys.Err() != nil {
		w.Fatal(keys.Err())
	}
	return n
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// forgetKeys does what time does: nothing is remembered of any key.
func (w *world) forgetKeys() {
	k := w.server.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.known)
	k.any = knownAny{}
}

// documented checks every answer that was logged against the description of the API.
func (w *world) documented() {
	w.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			Responses map[string]any
		}
	}
	if err := json.Unmarshal(w.server.spec, &doc); err != nil {
		w.Fatal(err)
	}
	for line := range strings.Lines(w.log.String()) {
		var request struct {
			Msg, Method, Route string
			Status             int
		}
		if err := json.Unmarshal([]byte(line), &request); err != nil || request.Msg != "request" {
			continue
		}
		op, known := doc.Paths[request.Route][strings.ToLower(request.Method)]
		if _, described := op.Responses[fmt.Sprint(request.Status)]; known && !described {
			w.Errorf("%s %s answered %d, which openapi.json does not know", request.Method, request.Route, request.Status)
		}
	}
}
