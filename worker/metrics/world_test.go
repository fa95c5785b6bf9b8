package metrics_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/govalues/decimal"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
	"example.com/topup/worker/metrics"
)

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{})
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

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

const (
	canaryCampaign = "canary-campaign"
	canaryJob      = "canary-job-"
	canarySecret   = "canary-secret"
	canaryNumber   = "5039" // the beginning of every number, behind its 0
)

// startRedis starts a redis-server of the test's own on a free port, and ends that very
// process with the test. The returned function ends it before.
func startRedis(t testing.TB) (*redis.Client, func()) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on PATH: `make redis` installs it")
	}
	addr := freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--daemonize", "no",
		"--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory", "512mb", "--maxmemory-policy", "noeviction")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() {
		_ = rdb.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	eventually(t, "redis-server answers", func() bool { return rdb.Ping(t.Context()).Err() == nil })
	return rdb, func() { _ = cmd.Process.Kill() }
}

func freeAddr(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }() // the server needs the port
	return listener.Addr().String()
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within five minutes: " + what)
		}
	}
}

// run is a worker and a simulator on a real Redis, watched by metrics.
type run struct {
	t       *testing.T
	rdb     *redis.Client
	kill    func() // ends Redis
	jobs    *enqueue.Client
	holds   *worker.Holds
	metrics *metrics.Metrics
	url     string // of the scrapes
}

// startRun starts all of it. It ends with the test, the worker first.
func startRun(t *testing.T) *run {
	t.Helper()
	r := &run{t: t}
	r.rdb, r.kill = startRedis(t)
	sim, err := sandbox.New(sandbox.Config{Balance: "50000 NGN"})
	if err != nil {
		t.Fatal(err)
	}
	provider := httptest.NewServer(sim)
	t.Cleanup(func() {
		provider.Close()
		_ = sim.Close()
	})
	client, err := reloadly.New(reloadly.Config{
		ClientID: "canary-client", ClientSecret: canarySecret, AuthURL: provider.URL, APIURL: provider.URL,
		Observe: func(o reloadly.Observation) { r.metrics.Call(o) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	r.metrics, err = metrics.New(metrics.Config{
		Redis: r.rdb, Ledger: enqueue.NewLedger(r.rdb, enqueue.LedgerConfig{}),
		Interval: 100 * time.Millisecond, BalanceInterval: 200 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	w, err := worker.New(worker.Config{
		Redis: r.rdb, Reloadly: client, InFlight: 10, Servers: 1, NumberKey: []byte("key"), Name: "w1",
		OnChange: r.metrics.Change, OnArchived: r.metrics.ArchivedTask,
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + listener.Addr().String() + "/metrics"
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	worked, watched := make(chan error, 1), make(chan error, 1)
	go func() { worked <- w.Run(ctx) }()
	go func() { watched <- r.metrics.Serve(ctx, listener, client.Balance) }()
	t.Cleanup(func() {
		stop()
		if err := <-worked; err != nil {
			t.Log(err) // where the test took Redis away
		}
		if err := <-watched; err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	r.jobs = enqueue.NewClient(r.rdb, enqueue.ClientConfig{})
	t.Cleanup(func() { _ = r.jobs.Close() })
	r.holds = worker.NewHolds(r.rdb, worker.HoldConfig{Who: "test"})
	return r
}

// submit submits a job whose number asks the simulator for something by its last four digits.
func (r *run) submit(name, lastFour, campaign string) string {
	r.t.Helper()
	id := canaryJob + name
	_, err := r.jobs.TopUp(r.t.Context(), enqueue.TopUp{
		ID: id, OperatorID: 1100, Amount: decimal.MustParse("832"), Campaign: campaign,
		RecipientPhone: enqueue.Phone{CountryCode: "AE", Number: "0" + canaryNumber + "7" + lastFour},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

func (r *run) becomes(id string, state enqueue.State) {
	r.t.Helper()
	var last enqueue.Result
	defer func() {
		if r.t.Failed() {
			r.t.Logf("%+v", last)
		}
	}()
	eventually(r.t, id+" is "+string(state), func() bool {
		var err error
		last, err = r.jobs.Get(r.t.Context(), id)
		return err == nil && last.State == state
	})
}

// scrape is the exposition.
func (r *run) scrape() string {
	r.t.Helper()
	res, err := http.Get(r.url)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		r.t.Fatalf("%d, %v: %s", res.StatusCode, err, text)
	}
	return string(text)
}

// shows waits until the exposition has a line.
func (r *run) shows(lines ...string) {
	r.t.Helper()
	for _, line := range lines {
		eventually(r.t, "the metrics show "+line, func() bool { return strings.Contains("\n"+r.scrape(), "\n"+line) })
	}
}

// busy brings every kind of outcome, and holds.
func (r *run) busy() {
	r.t.Helper()
	for i := range 4 {
		r.becomes(r.submit(fmt.Sprintf("paid-%d", i), fmt.Sprintf("9%03d", i), ""), enqueue.Succeeded)
	}
	r.becomes(r.submit("bulk", "9100", canaryCampaign), enqueue.Succeeded)
	r.becomes(r.submit("lost", "0007", ""), enqueue.Unknown)    // 500, and nothing is executed
	r.becomes(r.submit("odd", "0047", ""), enqueue.NeedsReview) // SOME_NEW_CODE
	r.becomes(r.submit("open", "0033", ""), enqueue.Processing) // for ever
	eventually(r.t, "a job is put off", func() bool {           // refused for now
		result, err := r.jobs.Get(r.t.Context(), r.submit("later", "0050", ""))
		return err == nil && result.Reason == enqueue.Backoff
	})
	for _, scope := range []string{worker.ScopeCampaign(canaryCampaign), worker.ScopeCampaign(canaryCampaign + "-2"), worker.ScopeOperator(4711)} {
		if err := r.holds.Place(r.t.Context(), worker.Hold{Scope: scope}); err != nil {
			r.t.Fatal(err)
		}
	}
	eventually(r.t, "a job is on hold", func() bool {
		result, err := r.jobs.Get(r.t.Context(), r.submit("held", "9101", canaryCampaign))
		return err == nil && result.Reason == enqueue.Paused
	})
}

// tool runs a program of Prometheus' package, or skips the test.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(name + " is not on PATH: `make prometheus` installs it")
	}
	return path
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), tool(t, name), args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out.String())
	}
	return out.String()
}
