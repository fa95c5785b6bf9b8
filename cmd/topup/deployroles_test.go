package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
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

// daemon is a program that the test started, with what it wrote.
type daemon struct {
	name string
	cmd  *exec.Cmd
	out  *lockedBuffer
	done chan error
}

// lockedBuffer is what a process wrote, also while it writes.
type lockedBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *lockedBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

// startDaemon starts a program with this environment alone; it is killed at the
// test's end where it still runs.
func startDaemon(t *testing.T, name string, env []string, args ...string) *daemon {
	t.Helper()
	p := &daemon{name: name, out: &lockedBuffer{}, done: make(chan error, 1)}
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.WaitDelay = 10 * time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() {
		if is, _ := p.ended(); !is {
			_ = p.cmd.Process.Kill()
			p.done <- <-p.done // it was killed; the next who asks hears it too
		}
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, p.out.text())
		}
	})
	return p
}

// ended reports whether the process has ended, and how.
func (p *daemon) ended() (bool, error) {
	select {
	case err := <-p.done:
		p.done <- err // for the next who asks
		return true, err
	default:
		return false, nil
	}
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
	for _, user := range []string{"worker", "serve", "operator", "asynqmon", "exporter", "scaler", "admin"} {
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
		"RELOADLY_CLIENT_ID=demo-client", "RELOADLY_CLIENT_SECRET=demo-secret", "TOPUP_TIME_SCALE=0.02",
	}
}

// topup runs one command of the role and wants its exit code; it returns what was printed.
func (r *roles) topup(t *testing.T, user, simulator string, want int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
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

// denied is what Redis noted of refused commands, but for those that the test tried itself.
func (r *roles) denied(t *testing.T) []string {
	t.Helper()
	entries, err := r.admin.Do(t.Context(), "acl", "log", "128").Slice()
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, e := range entries {
		texts = append(texts, fmt.Sprint(e))
	}
	return texts
}

// The whole path with each process under its own role: nobody meets a refusal.
func TestRolesAreEnough(t *testing.T) {
	t.Parallel() // it mostly waits
	r := startRoles(t)
	port := freePort(t)
	simulator := "http://127.0.0.1:" + port
	startDaemon(t, "simulator", []string{"TOPUP_TIME_SCALE=0.02"}, "topup", "sandbox", "--listen", "127.0.0.1:"+port)
	eventually(t, 30*time.Second, "the simulator answers", func() bool { return askHealth(t.Context(), simulator+"/sandbox/stats") == nil })
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
	if err := worker.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the worker stops", func() bool { is, err := worker.ended(); return is && err == nil })

	// asynq's own programs.
	for _, list := range []string{"completed", "pending"} {
		if err := r.client(t, "asynqmon").Exists(t.Context(), queueKey("topups", list)).Err(); err != nil {
			t.Error(err)
		}
	}
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
	if texts := r.denied(t); len(texts) > 0 {
		t.Errorf("refused on the way:\n%s", strings.Join(texts, "\n"))
	}
	for _, secret := range []string{"canary", "demo-secret"} {
		if strings.Contains(worker.out.text(), secret) || strings.Contains(r.process.out.text(), secret) {
			t.Errorf("a log has %q", secret)
		}
	}
}

// keyOf makes an API key as a person does.
func keyOf(t *testing.T, r *roles, simulator string) string {
	t.Helper()
	_, key, _ := strings.Cut(strings.TrimSpace(r.topup(t, "operator", simulator, exitOK, "key", "create", "shop")), "\n") // after a line for people
	return key
}

// A worker without Redis is alive: the liveness probe of deploy/kubernetes asks for
// /metrics, and must not restart workers because Redis is away.
func TestWorkerIsAliveWithoutRedis(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	simulator, metrics := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	startDaemon(t, "simulator", nil, "topup", "sandbox", "--listen", simulator)
	eventually(t, 30*time.Second, "the simulator answers", func() bool { return askHealth(t.Context(), "http://"+simulator+"/sandbox/livez") == nil })
	worker := startDaemon(t, "worker", append(r.settings("worker", "http://"+simulator), "TOPUP_METRICS_LISTEN="+metrics), "topup", "worker")
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
func serveUnderRole(t *testing.T, r *roles, simulator string) {
	t.Helper()
	key := keyOf(t, r, simulator)
	addr := "127.0.0.1:" + freePort(t)
	serve := startDaemon(t, "serve", append(r.settings("serve", simulator), "TOPUP_LISTEN="+addr), "topup", "serve")
	eventually(t, 30*time.Second, "serve is ready", func() bool { return askHealth(t.Context(), "http://"+addr+"/readyz") == nil })
	if answer := postTopUp(t, "http://"+addr, key); answer.State != "succeeded" {
		t.Errorf("%+v", answer)
	}
	for _, call := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "/v1/topups/composed", "", 200},
		{"GET", "/v1/topups?limit=10", "", 200},
		{"GET", "/v1/topups?state=queued", "", 200},
		{"GET", "/v1/campaigns", "", 200},
		{"GET", "/v1/campaigns/nobody", "", 404},
		{"POST", "/v1/topups", `{"operatorId": 341, "amount": 500, "customIdentifier": "later", "notBefore": "2126-01-01T00:00:00Z", "expires": "2126-01-02T00:00:00Z", "recipientPhone": {"countryCode": "NG", "number": "8033341234"}}`, 202},
		{"POST", "/v1/topups/later/cancel", "", 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), call.method, "http://"+addr+call.path, strings.NewReader(call.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("Content-Type", "application/json")
		res, err := (&http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != call.want {
			t.Errorf("%s %s: %d, want %d", call.method, call.path, res.StatusCode, call.want)
		}
	}
	r.topup(t, "operator", simulator, exitOK, "key", "list")
	r.topup(t, "operator", simulator, exitOK, "key", "revoke", "shop")
	if err := serve.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "serve stops", func() bool { is, err := serve.ended(); return is && err == nil })
}

// What no role may do, and what only others may.
func TestRolesRefuse(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	ctx := t.Context()
	for _, seed := range [][]any{
		{"hset", "topup:{keys}:hash", "h", "key"},
		{"set", "topup:reloadly:token:sandbox:x", "sealed"},
		{"hset", "topup:{s00}:job:a", "state", "queued"},
		{"set", "stranger", "1"},
	} {
		if err := r.admin.Do(ctx, seed...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	all := []string{"worker", "serve", "operator", "asynqmon", "exporter", "scaler"}
	refused := func(users []string, command ...any) {
		t.Helper()
		for _, user := range users {
			err := r.client(t, user).Do(ctx, command...).Err()
			if err == nil || !redis.HasErrorPrefix(err, "NOPERM") {
				t.Errorf("%s may %v: %v", user, command, err)
			}
		}
	}
	for _, command := range [][]any{
		{"flushall"},
		{"flushdb"},
		{"swapdb", 0, 1},
		{"keys", "*"},
		{"monitor"},
		{"shutdown", "nosave"},
		{"config", "set", "appendonly", "no"},
		{"config", "rewrite"},
		{"config", "resetstat"},
		{"acl", "list"},
		{"acl", "setuser", "x"},
		{"acl", "load"},
		{"replicaof", "127.0.0.1", "1"},
		{"failover"},
		{"bgrewriteaof"},
		{"save"},
		{"script", "flush"},
		{"function", "flush"},
		{"module", "list"},
		{"client", "kill", "user", "worker"},
		{"client", "list"},
		{"client", "pause", "10"},
		{"slowlog", "get"},
		{"psync", "?", "-1"},
		{"restore", "topup:{s00}:job:a", 0, "x"},
		{"dump", "topup:{s00}:job:a"},
		{"migrate", "127.0.0.1", "1", "x", 0, 1},
		{"rename", "stranger", "topup:x"},
		{"get", "stranger"},
		{"set", "stranger", "2"},
		{"eval", "return redis.call('get', KEYS[1])", 1, "stranger"},
		{"publish", "stranger", "x"},
		{"sort", "topup:{s00}:due"},
		{"object", "freq", "stranger"},
		{"copy", "topup:{s00}:job:a", "topup:{s00}:job:b"},
	} {
		refused(all, command...)
	}
	// A script may what its caller may.
	for _, user := range []string{"worker", "serve", "operator", "asynqmon", "scaler"} {
		for _, body := range []string{"return redis.call('flushall')", "return redis.call('get', 'stranger')"} {
			if err := r.client(t, user).Eval(ctx, body, nil).Err(); err == nil || !strings.Contains(err.Error(), "The user executing the script can't") {
				t.Errorf("%s: %s: %v", user, body, err)
			}
		}
	}
	// Only a person makes API keys, and only a worker (and a person) has Reloadly's token.
	refused([]string{"worker", "asynqmon", "scaler", "exporter"}, "hgetall", "topup:{keys}:hash")
	refused([]string{"worker", "serve", "asynqmon"}, "hset", "topup:{keys}:hash", "h", "mine")
	refused([]string{"worker", "serve", "asynqmon"}, "hdel", "topup:{keys}:hash", "h")
	refused([]string{"serve", "asynqmon", "exporter", "scaler"}, "get", "topup:reloadly:token:sandbox:x")
	refused([]string{"serve", "asynqmon"}, "del", "topup:hold:all")
	// Those who only look change nothing and see no job.
	refused([]string{"asynqmon", "exporter", "scaler"}, "hgetall", "topup:{s00}:job:a")
	refused([]string{"asynqmon", "exporter", "scaler"}, "del", "asynq:{topups}:pending")
	refused([]string{"asynqmon", "exporter", "scaler"}, "lpush", "asynq:{topups}:pending", "x")
	refused([]string{"asynqmon", "exporter", "scaler"}, "publish", "asynq:cancel", "x")
	refused([]string{"exporter"}, "llen", "asynq:{topups}:pending")
	// The probe, and the person who may nearly everything.
	probe := redis.NewClient(&redis.Options{Addr: r.addr, Username: "probe", Password: "any"})
	t.Cleanup(func() { _ = probe.Close() })
	if err := probe.Ping(ctx).Err(); err != nil {
		t.Error(err)
	}
	if err := probe.Info(ctx).Err(); !redis.HasErrorPrefix(err, "NOPERM") {
		t.Errorf("probe: %v", err)
	}
	refused([]string{"admin"}, "flushall")
	for _, user := range append(all, "admin") { // Redis' own refusal of DEBUG would come first
		if text, err := r.admin.Do(ctx, "acl", "dryrun", user, "debug", "sleep", "0").Text(); err != nil || !strings.Contains(text, "no permissions") {
			t.Errorf("%s may DEBUG: %s, %v", user, text, err)
		}
	}
	if err := r.admin.Get(ctx, "stranger").Err(); err != nil {
		t.Error(err)
	}
	// Nobody without a name, and no wrong password.
	for _, login := range []redis.Options{{}, {Username: "default", Password: ""}, {Username: "worker", Password: "canary serve"}, {Username: "nobody", Password: "x"}} {
		login.Addr = r.addr
		rdb := redis.NewClient(&login)
		if err := rdb.Ping(ctx).Err(); err == nil || !redis.HasErrorPrefix(err, "NOAUTH") && !redis.HasErrorPrefix(err, "WRONGPASS") {
			t.Errorf("logged in as %q: %v", login.Username, err)
		}
		_ = rdb.Close()
	}
	// Redis serves other addresses than loopback too, since there is nobody without a password.
	far := redis.NewClient(&redis.Options{Addr: r.addr, Username: "worker", Password: "canary worker", Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext(ctx, network, addr)
	}})
	t.Cleanup(func() { _ = far.Close() })
	if err := far.Ping(ctx).Err(); err != nil {
		t.Errorf("from another address: %v", err)
	}
}

var luaCall = regexp.MustCompile(`redis\.p?call\(\s*["']([A-Za-z]+)["']`)

// A path that is seldom taken must not meet a refusal: each command in a script of
// ours, of asynq and of the libraries is granted to those who run it.
func TestRolesMayWhatScriptsDo(t *testing.T) {
	users := rolesOf(t)
	folder := func(module string) string {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	asynq := folder("github.com/hibiken/asynq") + "/internal/rdb/"
	for _, source := range []struct {
		files string
		users []string
	}{
		{"../../enqueue/lua/*.lua", []string{"worker", "serve", "operator"}},
		{"../../enqueue/campaign/lua/*.lua", []string{"worker", "operator"}},
		{"../../enqueue/campaign/lua/snapshot.lua", []string{"serve"}}, // which shows campaigns and changes none
		{"../../enqueue/httpapi/*.go", []string{"operator"}},           // making and revoking a key
		{"../../worker/*.go", []string{"worker", "operator"}},
		{folder("github.com/go-redis/redis_rate/v10") + "/*.go", []string{"worker", "serve"}},
		{folder("github.com/bsm/redislock") + "/*.go", []string{"worker"}},
		{asynq + "rdb.go", []string{"worker"}},
		{asynq + "inspect.go", []string{"worker", "operator"}},
	} {
		files, err := filepath.Glob(source.files)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range luaCall.FindAllStringSubmatch(string(text), -1) {
				command := strings.ToLower(match[1])
				for _, user := range source.users {
					if !slices.ContainsFunc(users[user], func(rule string) bool { return rule == "+"+command || strings.HasPrefix(rule, "+"+command+"|") }) {
						t.Errorf("%s may not %s, which %s does", user, command, filepath.Base(file))
					}
				}
			}
		}
	}
}

// rolesOf reads the rules of each user.
func rolesOf(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(deployFolder + "/users.acl")
	if err != nil {
		t.Fatal(err)
	}
	users, name := map[string][]string{}, ""
	for line := range bytes.Lines(text) {
		words := strings.Fields(string(line))
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if words[0] == "user" {
			name, words = words[1], words[2:]
		}
		users[name] = append(users[name], words...)
	}
	return users
}

// Redis is not started without its users: then everybody could do everything.
func TestRolesAreNeeded(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{"redis-start.sh", "redis.conf"} {
		text, err := os.ReadFile(filepath.Join(deployFolder, file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := startDaemon(t, "redis", []string{"REDIS_RUN=" + dir + "/run"}, "sh", dir+"/redis-start.sh", "--port", freePort(t), "--dir", dir)
	eventually(t, 20*time.Second, "it refuses", func() bool { is, err := p.ended(); return is && err != nil })
	if !strings.Contains(p.out.text(), "users.acl cannot be read") {
		t.Error(p.out.text())
	}
}
