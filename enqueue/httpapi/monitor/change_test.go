package monitor

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hibiken/asynq"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/httpapi"
)

// endpoint is one of asynqmon's, as its source has it.
type endpoint struct{ method, path string }

// fill puts a queue and a task of this test in place of the variables.
func (e endpoint) fill(task string) string {
	return "/monitor/api" + strings.NewReplacer("{qname}", enqueue.QueueTopUps, "{task_id}", task, "{gname}", "group", "{entry_id}", "entry").Replace(e.path)
}

// endpoints reads those of the version in go.mod, so that a new one is tested too.
func endpoints(t *testing.T) (reading, changing []endpoint) {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/hibiken/asynqmon").Output()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "handler.go"))
	if err != nil {
		t.Fatal(err)
	}
	routes := regexp.MustCompile(`\.HandleFunc\("([^"]+)", .*\)\.Methods\(([^)]*)\)`).FindAllSubmatch(source, -1)
	if all := strings.Count(string(source), ".HandleFunc("); len(routes) != all || strings.Contains(string(source), ".Handle(") {
		t.Fatalf("%d of %d routes were understood", len(routes), all)
	}
	for _, route := range routes {
		method := strings.Trim(string(route[2]), `"`)
		e := endpoint{method, string(route[1])}
		switch method {
		case http.MethodGet:
			reading = append(reading, e)
		case http.MethodPost, http.MethodDelete:
			changing = append(changing, e)
		default:
			t.Fatalf("%s %s", method, route[1])
		}
	}
	if len(reading) < 15 || len(changing) < 40 {
		t.Fatalf("%d and %d endpoints: they are not all", len(reading), len(changing))
	}
	return reading, changing
}

// Nothing of asynqmon's changes anything, but for who may.
func TestReadOnly(t *testing.T) {
	_, changing := endpoints(t)
	rdb := realRedis(t)
	scopes := func(s ...httpapi.Scope) httpapi.Key {
		return httpapi.Key{Name: string(s[len(s)-1]), Scopes: s, PerSecond: 10_000}
	}
	control := makeKey(t, rdb, scopes(httpapi.Read, httpapi.Submit, httpapi.Control))
	read := makeKey(t, rdb, scopes(httpapi.Submit, httpapi.Read))
	readOnly := newWorld(t, rdb, nil)
	readOnly.submit("done", "broken-1")
	readOnly.work()
	readOnly.submit("one", "two")
	writable := newWorld(t, rdb, func(c *Config) { c.Write = true })

	bearer := func(secret string) []string { return []string{"Authorization", "Bearer " + secret} }
	crossed := func(headers []string, more ...string) []string {
		return append(append([]string{}, headers...), more...)
	}
	for _, visitor := range []struct {
		name    string
		w       *world
		headers []string
		text    string
	}{
		{"read-only, control by cookie", readOnly, readOnly.login(control), "read-only"},
		{"read-only, control", readOnly, bearer(control), "read-only"},
		{"read-only, read", readOnly, bearer(read), "read-only"},
		{"writable, read by cookie", writable, writable.login(read), "scope control"},
		{"writable, read", writable, bearer(read), "scope control"},
		{"writable, control from another site", writable, crossed(writable.login(control), "Sec-Fetch-Site", "cross-site"), "another site"},
		{"writable, control from a sister site", writable, crossed(writable.login(control), "Sec-Fetch-Site", "same-site"), "another site"},
		{"writable, control from another origin", writable, crossed(writable.login(control), "Sec-Fetch-Site", "", "Origin", "http://evil.example"), "another site"},
		{"writable, control from nowhere", writable, writable.login(control)[:2], "does not say"},
		{"writable, key of another site", writable, crossed(bearer(control), "Origin", "http://evil.example"), "another site"},
	} {
		before := visitor.w.everything()
		for _, e := range changing {
			for _, task := range []string{"one", "done", "broken-1"} {
				for _, method := range []string{e.method, http.MethodPut, http.MethodPatch, "ANY"} {
					a := visitor.w.ask(method, e.fill(task), `{"task_ids":["one","two","done","broken-1"]}`, visitor.headers...)
					if a.status != http.StatusForbidden || !strings.Contains(a.body, visitor.text) {
						t.Fatalf("%s: %s %s: %d %s", visitor.name, method, e.path, a.status, a.body)
					}
				}
			}
		}
		if visitor.w.everything() != before {
			t.Errorf("%s: something has changed", visitor.name)
		}
	}
	readOnly.want(200, `FLAG_READ_ONLY="true"`, "GET", "/monitor/", bearer(control)...)
	writable.want(200, `FLAG_READ_ONLY="true"`, "GET", "/monitor/", bearer(read)...)
	writable.want(200, `FLAG_READ_ONLY="false"`, "GET", "/monitor/", bearer(control)...)

	// Who may: with the scope control, by either way.
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	state := func(id string) asynq.TaskState {
		info, err := inspector.GetTaskInfo(enqueue.QueueTopUps, id)
		if err != nil {
			return 0
		}
		return info.State
	}
	session := writable.login(control)
	writable.want(204, "", "POST", "/monitor/api/queues/topups:pause", session...)
	if info, err := inspector.GetQueueInfo(enqueue.QueueTopUps); err != nil || !info.Paused {
		t.Errorf("%+v %v", info, err)
	}
	writable.want(204, "", "POST", "/monitor/api/queues/topups:resume", bearer(control)...)
	if state("broken-1") != asynq.TaskStateArchived {
		t.Fatal("the broken task is not archived")
	}
	writable.want(204, "", "POST", "/monitor/api/queues/topups/archived_tasks/broken-1:run", session...)
	writable.want(204, "", "POST", "/monitor/api/queues/topups/pending_tasks/two:archive", session...)
	writable.want(204, "", "DELETE", "/monitor/api/queues/topups/completed_tasks/done", session...)
	if state("broken-1") != asynq.TaskStatePending || state("two") != asynq.TaskStateArchived || state("done") != 0 {
		t.Errorf("broken-1 %v, two %v, done %v", state("broken-1"), state("two"), state("done"))
	}
	// Whatever became of the tasks, the ledger knows what it knew.
	for id, want := range map[string]enqueue.State{"done": enqueue.Succeeded, "two": enqueue.Queued, "one": enqueue.Queued} {
		if r, err := writable.client.Get(t.Context(), id); err != nil || r.State != want {
			t.Errorf("%s: %+v %v", id, r, err)
		}
	}
	if log := writable.log.String(); !strings.Contains(log, `"msg":"monitor is used to change the queues","key":"control","method":"POST"`) {
		t.Error(log)
	}
}

// asynqmon does not even hear of what is refused: that it refuses too is not relied on.
func TestNothingRefusedReachesAsynqmon(t *testing.T) {
	_, changing := endpoints(t)
	rdb := realRedis(t)
	control := makeKey(t, rdb, httpapi.Key{Name: "control", Scopes: httpapi.Scopes(), PerSecond: 10_000})
	w := newWorld(t, rdb, nil)
	heard := 0
	w.monitor.looking.asynqmon = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { heard++ })
	w.want(200, "", "GET", "/monitor/api/queues", "Authorization", "Bearer "+control)
	if heard != 1 {
		t.Fatal("it hears nothing at all")
	}
	for _, e := range changing {
		w.want(403, "", e.method, e.fill("one"), "Authorization", "Bearer "+control)
		w.want(403, "", "HEAD", e.fill("one"), "Authorization", "Bearer "+control, "X-Http-Method-Override", e.method)
	}
	w.want(404, "no metrics", "GET", "/monitor/api/metrics", "Authorization", "Bearer "+control)
	if heard != 1 {
		t.Errorf("it heard of %d requests", heard-1)
	}
}

// A list has no more rows than it shows, whatever is asked for.
func TestListsAreBounded(t *testing.T) {
	rdb := realRedis(t)
	w := newWorld(t, rdb, nil)
	ids := make([]string, 0, 130)
	for i := range cap(ids) {
		ids = append(ids, "many"+string(rune('a'+i/26))+string(rune('a'+i%26)))
	}
	w.submit(ids...)
	for query, want := range map[string]int{"": 20, "?size=30": 30, "?size=100&page=1": 100, "?size=101": 100, "?size=100000000": 100, "?size=-1": 100, "?size=": 100, "?size=0": 100, "?size=1e9": 100} {
		var list struct {
			Tasks []struct{ ID string }
		}
		a := w.want(200, "", "GET", "/monitor/api/queues/topups/pending_tasks"+query)
		if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list.Tasks) != want {
			t.Errorf("%s: %d rows, want %d: %v", query, len(list.Tasks), want, err)
		}
	}
}

func TestNew(t *testing.T) {
	_, rdb := inMemory(t)
	client := enqueue.NewClient(rdb, enqueue.ClientConfig{})
	defer func() { _ = client.Close() }()
	server, err := httpapi.New(httpapi.Config{Redis: rdb, Client: client})
	if err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []Config{{}, {Redis: rdb, Ledger: client.Ledger()}, {Redis: odd{rdb}, Ledger: client.Ledger(), Door: server}} {
		if _, err := New(cfg); err == nil || !strings.HasPrefix(err.Error(), "monitor: ") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	m, err := New(Config{Redis: rdb, Ledger: client.Ledger(), Door: server})
	if err != nil {
		t.Fatal(err)
	}
	// It guards itself against other sites, whoever stands in front of it.
	other := httptest.NewRequestWithContext(context.Background(), "POST", "/monitor/api/queues/topups:pause", nil)
	other.Header.Set("Sec-Fetch-Site", "cross-site")
	refused := httptest.NewRecorder()
	if m.ServeHTTP(refused, other); refused.Code != http.StatusForbidden {
		t.Error(refused.Code)
	}
	// In a server of one's own a key is always needed.
	out := httptest.NewRecorder()
	server.Mount(Path, m)
	server.ServeHTTP(out, httptest.NewRequestWithContext(context.Background(), "GET", "/monitor/api/queues", nil))
	if out.Code != http.StatusUnauthorized {
		t.Error(out.Code)
	}
}
