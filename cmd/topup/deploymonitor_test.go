package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The monitor of serve, under serve's own role: login, each question of asynqmon's pages,
// and with --monitor-write each change. asynq leaves out what it was refused without a
// word, so Redis' own note of refusals counts.
func TestRolesMonitor(t *testing.T) {
	t.Parallel() // it mostly waits
	r := startRoles(t)
	simulator := startPlayMoney(t)
	worker := startDaemon(t, "worker", r.settings("worker", simulator), "topup", "worker")
	for i, id := range []string{"paid", "another"} {
		r.topup(t, "serve", simulator, exitOK, "send", "--id", id, "--operator", "341", "--amount", "500", "--country", "NG", "--number", fmt.Sprintf("803%d1234", 701+i), "--wait")
	}
	// A worker that has something under way, and a scheduler: asynq's keys of them are there for moments.
	soon := fmt.Sprint(time.Now().Add(time.Hour).Unix())
	for _, command := range [][]any{
		{"zadd", "asynq:workers", soon, "asynq:workers:{host:1:a}"},
		{"hset", "asynq:workers:{host:1:a}", "task", "x"},
		{"zadd", "asynq:schedulers", soon, "asynq:schedulers:{host:1:a}"},
		{"rpush", "asynq:schedulers:{host:1:a}", "x"},
	} {
		if err := r.admin.Do(t.Context(), command...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	serve := startServe(t, r, simulator, "TOPUP_MONITOR_WRITE=true")
	from := []string{"Origin", serve.url, "Content-Type", "application/x-www-form-urlencoded"}
	status, text, cookies := serve.answer(t, "POST", "/monitor/login", "key="+serve.key, from...)
	if status != 303 || len(cookies) != 1 {
		t.Fatalf("login: %d %s", status, text)
	}
	visitor := []string{"Origin", serve.url, "Content-Type", "application/json", "Cookie", cookies[0].Name + "=" + cookies[0].Value}
	want := func(method, path, body string, want int, has string) {
		t.Helper()
		if status, text := serve.ask(t, method, "/monitor/"+path, body, visitor...); status != want || !strings.Contains(text, has) {
			t.Errorf("%s %s: %d %s, want %d with %q", method, path, status, text, want, has)
		}
	}
	want("GET", "", "", 200, `id="root"`)
	want("GET", "api/queues", "", 200, `"topups"`)
	want("GET", "api/queue_stats", "", 200, `"topups"`)
	want("GET", "api/queues/topups", "", 200, `"history"`)
	for _, list := range []string{"active", "pending", "scheduled", "retry", "archived", "completed"} {
		want("GET", "api/queues/topups/"+list+"_tasks?page=1&size=20", "", 200, `"tasks"`)
	}
	want("GET", "api/queues/topups/groups", "", 200, "groups")
	want("GET", "api/servers", "", 200, `"servers"`)
	want("GET", "api/scheduler_entries", "", 200, "entries")
	want("GET", "api/redis_info", "", 200, "redis_version")
	stop(t, worker)
	serve.ask(t, "POST", "/v1/topups", `{"operatorId": 341, "amount": 500, "customIdentifier": "waits", "recipientPhone": {"countryCode": "NG", "number": "8037091234"}}`)
	want("GET", "api/queues/topups/pending_tasks?page=1&size=20", "", 200, "waits")
	want("POST", "api/queues/topups:pause", "", 204, "")
	want("POST", "api/queues/topups:resume", "", 204, "")
	want("POST", "api/queues/topups/pending_tasks:archive_all", "", 200, "1")
	want("POST", "api/queues/topups/archived_tasks:run_all", "", 200, "1")
	want("DELETE", "api/queues/topups/pending_tasks:delete_all", "", 200, "1")
	want("DELETE", "api/queues/topups/completed_tasks:delete_all", "", 200, "2")
	want("POST", "logout", "", 303, "")
	want("GET", "api/queues", "", 401, "")
	stop(t, serve.daemon)
	r.noneDenied(t)
}
