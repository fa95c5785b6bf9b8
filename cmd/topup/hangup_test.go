package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/govalues/decimal"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// A worker in a process of its own shows its metrics and its log, and takes new secrets at
// SIGHUP: the next request for access and the next connection to Redis show them.
func TestWorkerIsWatchedAndRereadsItsSecrets(t *testing.T) {
	t.Parallel() // it mostly waits
	const first, second, number = "canary-secret-1", "canary-secret-2", "0503971"
	const passOne, passTwo = "canary-password-1", "canary-password-2"
	data := startData(t, "--requirepass", passOne)
	dir := t.TempDir()
	put := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	reloadly, address := startAccount(t), net.JoinHostPort("127.0.0.1", freePort(t))
	p := startProcess(t, []string{
		"REDIS_URL=redis://" + data.addr + "/0", "REDIS_PASSWORD_FILE=" + put("password", passOne), "RELOADLY_CLIENT_ID=canary-client",
		"RELOADLY_CLIENT_SECRET_FILE=" + put("secret", first), "RELOADLY_AUTH_URL=" + reloadly.URL, "RELOADLY_API_URL=" + reloadly.URL,
	}, "worker", "--metrics-listen", address)
	eventually(t, time.Minute, "the worker shows metrics", func() bool { return strings.Contains(scrape(address), "\ntopup_redis_up 1\n") })

	rdb := redis.NewClient(&redis.Options{Addr: data.addr, Password: passOne, MaxRetries: 10})
	defer func() { _ = rdb.Close() }()
	pay := func(client *redis.Client, id string) {
		t.Helper()
		jobs := enqueue.NewClient(client, enqueue.ClientConfig{})
		defer func() { _ = jobs.Close() }()
		if _, err := jobs.TopUp(t.Context(), enqueue.TopUp{
			ID: id, OperatorID: 1100, Amount: decimal.MustParse("832"),
			RecipientPhone: enqueue.Phone{CountryCode: "AE", Number: number + "9" + id[len(id)-2:]},
		}); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, id+" is paid", func() bool {
			r, err := jobs.Get(t.Context(), id)
			return err == nil && r.State == enqueue.Succeeded
		})
	}
	pay(rdb, "job-10")
	if got := reloadly.last(); got != first {
		t.Fatalf("access was asked for with %q", got)
	}

	put("secret", "canary-wrong") // the simulator refuses what says so
	p.signal(syscall.SIGHUP)
	eventually(t, time.Minute, "a refused secret is told of", func() bool { return strings.Contains(p.text(), "send SIGHUP again") })
	pay(rdb, "job-11")

	put("secret", second)
	put("password", passTwo)
	if err := rdb.ConfigSet(t.Context(), "requirepass", passTwo).Err(); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGHUP)
	eventually(t, time.Minute, "the new secret counts", func() bool { return strings.Contains(p.text(), "granted access for the new credentials") })
	if got := reloadly.last(); got != second {
		t.Errorf("access was asked for with %q", got)
	}
	after := redis.NewClient(&redis.Options{Addr: data.addr, Password: passTwo})
	defer func() { _ = after.Close() }()
	if err := after.Do(t.Context(), "client", "kill", "type", "normal", "skipme", "yes").Err(); err != nil {
		t.Fatal(err)
	}
	pay(after, "job-12") // over connections that the worker made with the new password

	if err := os.Remove(filepath.Join(dir, "secret")); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGHUP)
	eventually(t, time.Minute, "a file that is gone is told of", func() bool { return strings.Contains(p.text(), "secrets stay as they are") })

	shown := scrape(address)
	p.ends()
	for _, canary := range []string{"canary", number} {
		if strings.Contains(shown, canary) {
			t.Errorf("the metrics show %q", canary)
		}
	}
	for _, canary := range []string{first, second, "canary-wrong", passOne, passTwo, number + "9"} {
		if strings.Contains(p.text(), canary) {
			t.Errorf("the log shows %q", canary)
		}
	}
	checkTransitions(t, p.text(), "job-10")
}

// checkTransitions wants one line for each transition of a job that was paid at once.
func checkTransitions(t *testing.T, log, job string) {
	t.Helper()
	var states []string
	for line := range strings.Lines(log) {
		var l struct {
			Message          string `json:"msg"`
			Job, State, From string
			Reason           *string
			Attempt          *int
			Duration         *int64
		}
		if json.Unmarshal([]byte(line), &l) != nil || l.Message != "job" || l.Job != job {
			continue
		}
		if l.Reason == nil || l.Attempt == nil || *l.Attempt != 1 || l.Duration == nil || *l.Duration <= 0 {
			t.Errorf("the line lacks something: %s", line)
		}
		states = append(states, l.From+" "+l.State)
	}
	if got := strings.Join(states, ", "); got != "queued sending, sending succeeded" {
		t.Errorf("the log shows %q", got)
	}
}

// An address that is taken ends the command before any work begins.
func TestMetricsAddressIsTaken(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	data := startData(t)
	t.Setenv("REDIS_URL", "redis://"+data.addr+"/0")
	t.Setenv("RELOADLY_CLIENT_ID", "id")
	t.Setenv("RELOADLY_CLIENT_SECRET", "secret")
	var out strings.Builder
	if code := execute(t.Context(), []string{"worker", "--metrics-listen", listener.Addr().String()}, strings.NewReader(""), &out, &out); code != exitUsage || !strings.Contains(out.String(), "TOPUP_METRICS_LISTEN") {
		t.Errorf("exit %d: %s", code, out.String())
	}
}
