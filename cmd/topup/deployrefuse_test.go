package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

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
	all := []string{"worker", "serve", "operator", "exporter", "scaler"}
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
	for _, user := range []string{"worker", "serve", "operator", "scaler"} {
		for _, body := range []string{"return redis.call('flushall')", "return redis.call('get', 'stranger')"} {
			if err := r.client(t, user).Eval(ctx, body, nil).Err(); err == nil || !strings.Contains(err.Error(), "The user executing the script can't") {
				t.Errorf("%s: %s: %v", user, body, err)
			}
		}
	}
	// Only a person makes API keys, and only a worker (and a person) has Reloadly's token.
	refused([]string{"worker", "scaler", "exporter"}, "hgetall", "topup:{keys}:hash")
	refused([]string{"worker", "serve"}, "hset", "topup:{keys}:hash", "h", "mine")
	refused([]string{"worker", "serve"}, "hdel", "topup:{keys}:hash", "h")
	refused([]string{"serve", "exporter", "scaler"}, "get", "topup:reloadly:token:sandbox:x")
	refused([]string{"serve"}, "del", "topup:hold:all")
	// Those who only look change nothing and see no job.
	refused([]string{"exporter", "scaler"}, "hgetall", "topup:{s00}:job:a")
	refused([]string{"exporter", "scaler"}, "del", "asynq:{topups}:pending")
	refused([]string{"exporter", "scaler"}, "lpush", "asynq:{topups}:pending", "x")
	refused([]string{"exporter", "scaler"}, "publish", "asynq:cancel", "x")
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

var (
	luaCall = regexp.MustCompile(`redis\.p?call\(\s*["']([A-Za-z]+)["']`)
	// goCall is a command of asynq's outside of its scripts.
	goCall = regexp.MustCompile(`r\.client\.([A-Z][A-Za-z]+?)(?:WithScores|XX|NX)?\(`)
)

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
		{asynq + "inspect.go", []string{"worker", "serve", "operator"}},
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
			for _, match := range append(luaCall.FindAllStringSubmatch(string(text), -1), goCall.FindAllStringSubmatch(string(text), -1)...) {
				command := strings.ToLower(match[1])
				if command == "close" || strings.HasPrefix(command, "cluster") { // this is none
					continue
				}
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
