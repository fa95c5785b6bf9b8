package monitor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/httpapi"
)

// What TestMain makes longer, as it is shipped.
var shippedTime, shippedShare = lookupTime, lookupShare

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{})
	// A busy machine is no Redis that is away.
	redisTime, lookupTime, lookupShare = time.Minute, time.Minute, time.Hour
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

// world is a server with a monitor, a Redis and a browser without a screen.
type world struct {
	*testing.T
	rdb     redis.UniversalClient
	client  *enqueue.Client
	server  *httpapi.Server
	monitor *Monitor
	url     string
	http    *http.Client
	log     *lockedBuffer
}

// key is made before the server starts, which therefore never is open.
func newWorld(t *testing.T, rdb redis.UniversalClient, change func(*Config)) *world {
	t.Helper()
	w := &world{T: t, rdb: rdb, log: &lockedBuffer{}}
	epoch := ""
	if !strings.Contains(rdb.Info(t.Context()).Val(), "run_id") {
		epoch = "memory"
	}
	w.client = enqueue.NewClient(rdb, enqueue.ClientConfig{Ledger: enqueue.LedgerConfig{Epoch: epoch}})
	log := slog.New(slog.NewJSONHandler(w.log, nil))
	var err error
	if w.server, err = httpapi.New(httpapi.Config{Redis: rdb, Client: w.client, Logger: log}); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Redis: rdb, Ledger: w.client.Ledger(), Door: w.server, Logger: log}
	if change != nil {
		change(&cfg)
	}
	if w.monitor, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	w.server.Mount(Path, w.monitor)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.server.Serve(ctx, listener) }()
	transport := &http.Transport{}
	w.http = &http.Client{Transport: transport, Timeout: 5 * time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = w.client.Close()
	})
	return w
}

// realRedis starts a redis-server of the test's own on a free port, and ends that very
// process with the test.
func realRedis(t *testing.T) *redis.Client {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on PATH: `make redis` installs it")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	_ = listener.Close() // the server needs the port
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--daemonize", "no", "--rdbcompression", "no")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{ // on a busy machine the defaults give up after some seconds
		Addr: addr, DialTimeout: time.Minute, ReadTimeout: time.Minute, WriteTimeout: time.Minute, PoolTimeout: time.Minute,
	})
	t.Cleanup(func() {
		_ = rdb.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	for deadline := time.Now().Add(time.Minute); rdb.Ping(context.Background()).Err() != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("redis-server does not answer on " + addr)
		}
	}
	return rdb
}

// inMemory is a Redis that can be told to fail.
func inMemory(t *testing.T) (*miniredis.Miniredis, redis.UniversalClient) {
	t.Helper()
	m := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	return m, rdb
}

// makeKey returns a key's secret.
func makeKey(t *testing.T, rdb redis.UniversalClient, k httpapi.Key) string {
	t.Helper()
	secret, _, err := httpapi.NewKeys(rdb).Create(context.Background(), k)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// answer is what a browser gets.
type answer struct {
	status  int
	header  http.Header
	body    string
	cookies []*http.Cookie
}

// ask sends one request; headers are name, value, name, value.
func (w *world) ask(method, path, body string, headers ...string) answer {
	w.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := w.http.Do(r)
	if err != nil {
		w.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(text), response.Cookies()}
}

const asForm = "application/x-www-form-urlencoded"

// tryLogin sends the form as a browser does.
func (w *world) tryLogin(secret string, headers ...string) answer {
	w.Helper()
	all := append([]string{"Content-Type", asForm, "Origin", w.url, "Sec-Fetch-Site", "same-origin"}, headers...)
	return w.ask("POST", "/monitor/login", url.Values{"key": {secret}}.Encode(), all...)
}

// login returns the headers of a browser that is logged in.
func (w *world) login(secret string, headers ...string) []string {
	w.Helper()
	a := w.tryLogin(secret, headers...)
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/monitor/" || len(a.cookies) != 1 {
		w.Fatalf("%+v", a)
	}
	return []string{"Cookie", a.cookies[0].Name + "=" + a.cookies[0].Value, "Origin", w.url, "Sec-Fetch-Site", "same-origin"}
}

// want asks, and fails unless the answer has the status and some text.
func (w *world) want(status int, text, method, path string, headers ...string) answer {
	w.Helper()
	a := w.ask(method, path, "", headers...)
	if a.status != status || !strings.Contains(a.body+a.header.Get("Location"), text) {
		w.Errorf("%s %s: %d %q, want %d %q", method, path, a.status, a.body, status, text)
	}
	return a
}

const number = "0503971821"

func job(w *world, id string) enqueue.TopUp {
	amount, err := enqueue.ParseAmount("832")
	if err != nil {
		w.Fatal(err)
	}
	return enqueue.TopUp{
		ID: id, OperatorID: 1100, Amount: amount, RecipientEmail: "canary@example.com",
		RecipientPhone: enqueue.Phone{CountryCode: "AE", Number: number}, SenderPhone: enqueue.Phone{CountryCode: "CA", Number: "11231231231"},
	}
}

// submit leaves a pending task.
func (w *world) submit(ids ...string) {
	w.Helper()
	for _, id := range ids {
		if _, err := w.client.TopUp(context.Background(), job(w, id)); err != nil {
			w.Fatal(err)
		}
	}
}

// work does what a worker does with all pending tasks: it pays, and leaves a summary.
// One named broken fails.
func (w *world) work() {
	w.Helper()
	text := func(s string) *string { return &s }
	server := asynq.NewServerFromRedisClient(w.rdb, asynq.Config{
		Concurrency: 2, Queues: map[string]int{enqueue.QueueTopUps: 1}, LogLevel: asynq.FatalLevel, TaskCheckInterval: 10 * time.Millisecond,
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return time.Hour },
	})
	err := server.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		id, _, err := enqueue.DecodeTask(task.Payload())
		if err != nil || strings.HasPrefix(id, "broken") {
			return fmt.Errorf("no worker knows this: %w", asynq.SkipRetry)
		}
		claim := enqueue.NewClaim()
		if _, err := w.client.Ledger().Begin(ctx, id, claim); err != nil {
			return err
		}
		_, err = w.client.Ledger().Settle(ctx, id, enqueue.Outcome{Kind: enqueue.KindSucceeded, Claim: claim, Transaction: &enqueue.Transaction{
			TransactionID: 33469, Status: "SUCCESSFUL", CustomIdentifier: &id, RecipientPhone: text("971503971821"), OperatorID: 1100,
			RequestedAmount: text("832"), RequestedAmountCurrencyCode: text("NGN"), DeliveredAmount: text("5.6"), DeliveredAmountCurrencyCode: text("AED"),
			BalanceInfo: &enqueue.BalanceInfo{NewBalance: text("809021.29103"), CurrencyCode: text("NGN")},
		}}, nil)
		if err == nil {
			_, err = task.ResultWriter().Write([]byte("succeeded 33469"))
		}
		return err
	}))
	if err != nil {
		w.Fatal(err)
	}
	inspector := asynq.NewInspectorFromRedisClient(w.rdb)
	w.eventually("tasks are left", func() bool {
		info, err := inspector.GetQueueInfo(enqueue.QueueTopUps)
		return err == nil && info.Pending == 0 && info.Active == 0
	})
	server.Shutdown()
}

// eventually waits for a condition.
func (w *world) eventually(what string, holds func() bool) {
	w.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatal(what)
		}
	}
}

// everything is each key of Redis with its value, but those that only count or remember
// who looked.
func (w *world) everything() string {
	w.Helper()
	ctx := context.Background()
	var lines []string
	keys := w.rdb.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		name := keys.Val()
		if strings.HasPrefix(name, "rate:") {
			continue
		}
		dumped, err := w.rdb.Dump(ctx, name).Result()
		if err != nil {
			w.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s=%q", name, dumped))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
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

// odd is a Redis client of a type that asynqmon does not know.
type odd struct{ redis.UniversalClient }
