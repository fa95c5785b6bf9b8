package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

const deployFolder = "../../deploy"

// roles is a Redis started as deploy/ does it, with a password for each user.
type roles struct {
	addr, dir string
	passwords string // the folder
	admin     *redis.Client
	process   *daemon
}

func startRoles(t *testing.T) *roles {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on PATH: `make redis` installs it")
	}
	dir, port := t.TempDir(), freePort(t)
	r := &roles{addr: "127.0.0.1:" + port, dir: dir, passwords: filepath.Join(dir, "passwords")}
	if err := os.Mkdir(r.passwords, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"worker", "serve", "operator", "exporter", "scaler", "admin"} {
		if err := os.WriteFile(filepath.Join(r.passwords, user), []byte("canary "+user+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.admin = r.client(t, "admin")
	r.start(t)
	return r
}

// start runs the server, again after its end.
func (r *roles) start(t *testing.T) {
	t.Helper()
	_, port, _ := strings.Cut(r.addr, ":")
	r.process = startDaemon(t, "redis", []string{"REDIS_PASSWORDS=" + r.passwords, "REDIS_RUN=" + filepath.Join(r.dir, "run")},
		"sh", deployFolder+"/redis-start.sh", "--port", port, "--dir", r.dir, "--bind", "0.0.0.0")
	eventually(t, 30*time.Second, "redis-server answers", func() bool { return r.admin.Ping(t.Context()).Err() == nil })
}

func (r *roles) client(t *testing.T, user string) *redis.Client {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: r.addr, Username: user, Password: "canary " + user})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// settings are those of a process with this role.
func (r *roles) settings(user, simulator string) []string {
	return []string{
		"REDIS_URL=redis://" + user + "@" + r.addr + "/0", "REDIS_PASSWORD_FILE=" + filepath.Join(r.passwords, user),
		"RELOADLY_AUTH_URL=" + simulator, "RELOADLY_API_URL=" + simulator,
		"RELOADLY_CLIENT_ID=demo-client", "RELOADLY_CLIENT_SECRET=demo-secret", "TOPUP_TIME_SCALE=0.02", "TOPUP_MAX_PER_NUMBER_PER_DAY=5",
	}
}

// topup runs one command of the role and wants its exit code; it returns what was printed.
func (r *roles) topup(t *testing.T, user, simulator string, want int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), busy*2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "topup", args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, r.settings(user, simulator)...)
	out, err := cmd.CombinedOutput()
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if code != want {
		t.Errorf("%s: topup %s: exit %d, want %d: %s", user, strings.Join(args, " "), code, want, out)
	}
	return string(out)
}

// noneDenied wants Redis to have noted no refused command.
func (r *roles) noneDenied(t *testing.T) {
	t.Helper()
	entries, err := r.admin.Do(t.Context(), "acl", "log", "128").Slice()
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		t.Errorf("refused on the way: %v", entry)
	}
}

// startPlayMoney starts the simulator, and returns its address.
func startPlayMoney(t *testing.T) string {
	t.Helper()
	address := "127.0.0.1:" + freePort(t)
	startDaemon(t, "simulator", []string{"TOPUP_TIME_SCALE=0.02"}, "topup", "sandbox", "--listen", address)
	eventually(t, 30*time.Second, "the simulator answers", func() bool { return askHealth(t.Context(), "http://"+address+"/sandbox/livez") == nil })
	return "http://" + address
}

// The whole path with each process under its own role: nobody meets a refusal.
func TestRolesAreEnough(t *testing.T) {
	t.Parallel() // it mostly waits
	r := startRoles(t)
	simulator := startPlayMoney(t)
	metrics := "127.0.0.1:" + freePort(t)
	worker := startDaemon(t, "worker", append(r.settings("worker", simulator),
		"TOPUP_PER_SECOND=200", "TOPUP_FLEET_IN_FLIGHT=50", "TOPUP_METRICS_LISTEN="+metrics), "topup", "worker")
	eventually(t, 30*time.Second, "the worker shows its metrics", func() bool { return askHealth(t.Context(), "http://"+metrics+"/metrics") == nil })

	number := 0
	send := func(user, id string, want int, more ...string) string {
		number++
		return r.topup(t, user, simulator, want, append([]string{
			"send", "--id", id, "--operator", "341", "--amount", "500", "--country", "NG", "--number", fmt.Sprintf("803%03d1234", 300+number), "--wait",
		}, more...)...)
	}
	// A producer submits and reads.
	send("serve", "plain", exitOK)
	if out := r.topup(t, "serve", simulator, exitOK, "get", "plain"); !strings.Contains(out, "succeeded") {
		t.Error(out)
	}
	serveUnderRole(t, r, simulator)
	// A person holds, releases, reviews and looks after everything.
	r.topup(t, "operator", simulator, exitOK, "hold", "all")
	send("serve", "held", exitTimeout, "--timeout", "2s")
	r.topup(t, "operator", simulator, exitOK, "release", "all")
	r.topup(t, "operator", simulator, exitOK, "get", "held", "--wait")
	send("operator", "own", exitOK)
	out := r.topup(t, "operator", simulator, exitOK, "doctor")
	for _, line := range []string{"append-only file, appendfsync always", "1 running"} {
		if !strings.Contains(out, line) {
			t.Errorf("doctor does not say %q:\n%s", line, out)
		}
	}
	for _, id := range []string{"review-1", "review-2"} { // a code that nobody knows
		r.topup(t, "serve", simulator, exitOutcome, "send", "--id", id, "--operator", "341", "--amount", "500", "--country", "NG",
			"--number", map[string]string{"review-1": "8032220047", "review-2": "8032230047"}[id], "--wait")
	}
	if out := r.topup(t, "operator", simulator, exitOK, "review", "list"); !strings.Contains(out, "review-1") {
		t.Error(out)
	}
	r.topup(t, "operator", simulator, exitGuard, "review", "adopt", "review-1")
	r.topup(t, "operator", simulator, exitOK, "review", "fail", "review-1")
	r.topup(t, "operator", simulator, exitOK, "review", "resend", "review-2")
	for _, user := range []string{"operator", "worker"} { // a worker does it once a day
		r.topup(t, user, simulator, exitOK, "audit")
	}
	stop(t, worker)

	// KEDA's redis scaler asks with this script, as does whoever wants any kind of list.
	length := r.client(t, "scaler").Eval(t.Context(), `
local name = KEYS[1]
local kind = redis.call('type', name).ok
local command = {zset='zcard', set='scard', list='llen', hash='hlen', none='llen'}
return redis.call(command[kind], name)`, []string{queueKey("topups", "pending")})
	if n, err := length.Int(); err != nil || n != 0 {
		t.Errorf("scaler: %d, %v", n, err)
	}
	if info, err := r.client(t, "exporter").Info(t.Context(), "memory").Result(); err != nil || !strings.Contains(info, "used_memory") {
		t.Errorf("exporter: %v", err)
	}
	r.noneDenied(t)
	for _, secret := range []string{"canary", "demo-secret"} {
		if strings.Contains(worker.out.text(), secret) || strings.Contains(r.process.out.text(), secret) {
			t.Errorf("a log has %q", secret)
		}
	}
}

// keyOf makes an API key as a person does.
func keyOf(t *testing.T, r *roles, simulator string) string {
	t.Helper()
	_, key, _ := strings.Cut(strings.TrimSpace(r.topup(t, "operator", simulator, exitOK, "key", "create", "shop", "--scopes", "submit,read,control")), "\n") // after a line for people
	return key
}

// A worker without Redis is alive: the liveness probe of deploy/kubernetes asks for
// /metrics, and must not restart workers because Redis is away.
func TestWorkerIsAliveWithoutRedis(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	simulator, metrics := startPlayMoney(t), "127.0.0.1:"+freePort(t)
	worker := startDaemon(t, "worker", append(r.settings("worker", simulator), "TOPUP_METRICS_LISTEN="+metrics), "topup", "worker")
	alive := func() bool { return askHealth(t.Context(), "http://"+metrics+"/metrics") == nil }
	eventually(t, 30*time.Second, "the worker shows its metrics", alive)
	eventually(t, 30*time.Second, "the worker works", func() bool {
		servers, err := asynq.NewInspectorFromRedisClient(r.admin).Servers()
		return err == nil && len(servers) > 0
	})
	if err := r.process.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the worker has noticed that Redis is gone", func() bool { return strings.Contains(worker.out.text(), "refused") })
	for range 3 {
		if !alive() {
			t.Error("it does not answer while Redis is away")
		}
	}
	if is, err := worker.ended(); is {
		t.Errorf("it has ended: %v", err)
	}
}

// serveUnderRole has a caller go through the whole API.
