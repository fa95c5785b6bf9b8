package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

var inRedis = regexp.MustCompile(`(?m)^ {4,}redis-cli (.+)$`)

// cli runs redis-cli as the runbook says it is called: as admin.
func (r *roles) cli(t *testing.T, line string) string {
	t.Helper()
	_, port, _ := strings.Cut(r.addr, ":")
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "redis-cli -e -p "+port+" --user admin --no-auth-warning "+line)
	cmd.Env = append(os.Environ(), "REDISCLI_AUTH=canary admin")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(out), "NOPERM") {
		t.Errorf("redis-cli %s: %v: %s", line, err, out)
	}
	return string(out)
}

// Every redis-cli of the runbook works as the user admin; a password changes without a
// moment in which neither works.
func TestRunbookRedis(t *testing.T) {
	t.Parallel()
	r := startRoles(t)
	login := func(password string) error {
		rdb := redis.NewClient(&redis.Options{Addr: r.addr, Username: "worker", Password: password})
		defer func() { _ = rdb.Close() }() // nothing is left to lose
		return rdb.Ping(t.Context()).Err()
	}
	lines := inRedis.FindAllStringSubmatch(runbook(t), -1)
	if len(lines) < 8 {
		t.Fatalf("found %d lines", len(lines))
	}
	for _, match := range lines {
		line := match[1]
		if strings.HasPrefix(line, "-p 26379") {
			continue // TestSentinel has fail-overs
		}
		r.cli(t, strings.NewReplacer("'>NEW'", "'>another'", "'<OLD'", "'<canary worker'").Replace(line))
		switch {
		case strings.Contains(line, ">NEW"):
			if login("another") != nil || login("canary worker") != nil {
				t.Error("the new and the old password do not both work")
			}
		case strings.Contains(line, "<OLD"):
			if login("another") != nil || login("canary worker") == nil {
				t.Error("the new password does not work, or the old one still does")
			}
		}
	}
	if got := r.cli(t, "CONFIG GET maxmemory"); !strings.Contains(got, "3221225472") {
		t.Error(got)
	}
}

// A backup that is put back knows nothing of what was paid since: as the runbook says
// it, nobody is paid twice for it, neither what was open in it nor what it never saw.
func TestRunbookRestore(t *testing.T) {
	t.Parallel() // it mostly waits
	r := startRoles(t)
	address := "127.0.0.1:" + freePort(t)
	simulator := "http://" + address
	startDaemon(t, "simulator", []string{"TOPUP_TIME_SCALE=0.02"}, "topup", "sandbox", "--listen", address)
	eventually(t, 30*time.Second, "the simulator answers", func() bool { return askHealth(t.Context(), simulator+"/sandbox/livez") == nil })
	worker := startDaemon(t, "worker", r.settings("worker", simulator), "topup", "worker")
	send := func(id string, n int, more ...string) []string {
		return append([]string{"send", "--id", id, "--operator", "341", "--amount", "500", "--country", "NG", "--number", fmt.Sprintf("803%03d1234", n)}, more...)
	}
	run := func(args ...string) { r.topup(t, "operator", simulator, exitOK, args...) }
	run(send("early", 400, "--wait")...)
	run("hold", "all")
	run(send("open", 401)...)

	data, backup := filepath.Join(r.dir, "appendonlydir"), filepath.Join(t.TempDir(), "appendonlydir")
	r.cli(t, "CONFIG SET auto-aof-rewrite-percentage 0")
	if text := r.cli(t, "INFO persistence"); !strings.Contains(text, "aof_rewrite_in_progress:0") {
		t.Fatal(text)
	}
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", data, backup).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r.cli(t, "CONFIG SET auto-aof-rewrite-percentage 100")

	run("release", "all")
	run("get", "open", "--wait")
	run(send("late", 402, "--wait")...)
	if got := paidBy(t, simulator); got["early"] != 1 || got["open"] != 1 || got["late"] != 1 {
		t.Fatalf("before the loss: %v", got)
	}

	if err := worker.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the worker stops", func() bool { is, _ := worker.ended(); return is })
	if err := r.process.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "redis is gone", func() bool { is, _ := r.process.ended(); return is })
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(backup, data); err != nil {
		t.Fatal(err)
	}
	r.start(t)
	run("hold", "all")
	if out := r.topup(t, "operator", simulator, exitOK, "get", "open"); !strings.Contains(out, "queued") {
		t.Errorf("the backup was not taken while it waited: %s", out)
	}
	startDaemon(t, "worker", r.settings("worker", simulator), "topup", "worker")
	run("release", "all")
	run("get", "open", "--wait")
	run(send("late", 402, "--wait")...) // its caller repeats it
	run("get", "early")
	for id, n := range paidBy(t, simulator) {
		if n != 1 {
			t.Errorf("%s was paid %d times", id, n)
		}
	}
}

// paidBy counts the simulator's paid executions by identifier.
func paidBy(t *testing.T, simulator string) map[string]int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, simulator+"/sandbox/executions?paid=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Timeout: busy * time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // it was only read
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var executions []struct{ CustomIdentifier string }
	if err := json.Unmarshal(text, &executions); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	counts := map[string]int{}
	for _, e := range executions {
		counts[e.CustomIdentifier]++
	}
	return counts
}
