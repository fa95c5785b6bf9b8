package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Jobs of a test are never paid with real money, nor real ones looked up where they are not:
// the first worker decides whose a Redis is.
func TestEnvironmentsAreKeptApart(t *testing.T) {
	data, reloadly := startData(t), startAccount(t)
	sandbox := []string{
		"REDIS_URL=redis://" + data.addr + "/0", "RELOADLY_CLIENT_ID=id", "RELOADLY_CLIENT_SECRET=secret",
		"RELOADLY_AUTH_URL=" + reloadly.URL, "RELOADLY_API_URL=" + reloadly.URL, "TOPUP_ACCEPT_UNSAFE_REDIS=true",
	}
	live := slices.Concat(sandbox, []string{"RELOADLY_ENV=live"})
	send := []string{"send", "--id", "a", "--operator", "1100", "--amount", "832", "--country", "AE", "--number", "0503971821"}
	if err := startProcess(t, live, send...).cmd.Wait(); err != nil { // nobody's yet
		t.Fatal(err)
	}
	worker := startProcess(t, sandbox, "worker")
	eventually(t, time.Minute, "the worker has started", func() bool { return strings.Contains(worker.text(), "worker started") })
	for _, args := range [][]string{{"worker"}, {"audit"}, send} {
		p := startProcess(t, live, args...)
		_ = p.cmd.Wait() // its exit code says it
		if code := p.cmd.ProcessState.ExitCode(); code != exitGuard || !strings.Contains(p.text(), "sandbox, and RELOADLY_ENV is live") {
			t.Errorf("%s: exit %d: %s", args[0], code, p.text())
		}
	}
	if p := startProcess(t, live, "get", "a"); p.cmd.Wait() != nil { // reading mixes nothing
		t.Error(p.text())
	}
	worker.ends()
	if again := startProcess(t, sandbox, send...); again.cmd.Wait() != nil {
		t.Error(again.text())
	}
}
