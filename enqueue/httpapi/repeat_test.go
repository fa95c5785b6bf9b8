package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// Where a part of Redis fails in the middle of a batch, each answer says what is known of
// its own job, and the same batch again completes it.
func TestBatchHalfWay(t *testing.T) {
	w := newWorld(t, nil)
	broken := &failing{key: ":job:b7 "}
	w.rdb.AddHook(broken)
	var jobs []string
	for i := range 20 {
		jobs = append(jobs, strings.Replace(quickStart, "airtime-top-up", fmt.Sprint("B", i), 1))
	}
	body := `{"topups":[` + strings.Join(jobs, ",") + `]}`
	ask := func() map[int]int {
		var out struct{ Answers []BatchAnswer }
		w.read(w.ask("POST", "/v1/topups:batch", body), 200, "application/json", &out)
		statuses := map[int]int{}
		for i, a := range out.Answers {
			statuses[a.Status]++
			if a.Index != i || a.ID != fmt.Sprint("B", i) || (a.Status == 503) != (a.Problem != nil) {
				t.Errorf("%+v", a)
			}
			if a.Problem != nil && (a.Problem.Code != CodeUnavailable || !strings.Contains(a.Problem.Detail, "repeat it with the same id")) {
				t.Errorf("%+v", a.Problem)
			}
		}
		return statuses
	}
	broken.on.Store(true)
	first := ask()
	if first[503] == 0 || first[202] == 0 || first[202]+first[503] != len(jobs) || w.jobs() != first[202] {
		t.Fatalf("%v, %d jobs", first, w.jobs())
	}
	broken.on.Store(false)
	if second := ask(); second[200] != first[202] || second[202] != first[503] || w.jobs() != len(jobs) {
		t.Errorf("%v after %v, %d jobs", second, first, w.jobs())
	}
	if third := ask(); third[200] != len(jobs) {
		t.Errorf("%v", third)
	}
	w.m.SetError("LOADING")
	w.problem(w.ask("POST", "/v1/topups:batch", body), 503, CodeUnavailable)
}

// One id is one job, whichever way it comes in and however it is written; another top-up
// under it is refused on every way.
func TestEveryWayKnowsTheID(t *testing.T) {
	w := newWorld(t, nil)
	named := func(body, id string) string { return strings.Replace(body, "airtime-top-up", id, 1) }
	fromGo := func(body string) (int, string) {
		var job enqueue.TopUp
		if err := json.Unmarshal([]byte(body), &job); err != nil {
			t.Fatal(err)
		}
		switch a := w.client.Submit(context.Background(), job); {
		case a.Err != nil:
			return http.StatusConflict, ""
		case a.Created:
			return http.StatusAccepted, a.Result.ID
		default:
			return http.StatusOK, a.Result.ID
		}
	}
	over := func(path string) func(string, ...string) (int, string) {
		return func(body string, headers ...string) (int, string) {
			a := w.ask("POST", path, body, headers...)
			var r struct{ ID string }
			_ = json.Unmarshal(a.body, &r)
			return a.status, r.ID
		}
	}
	single := over("/v1/topups")
	ways := map[string]func(id, body string) (int, string){
		"enqueue":  func(id, body string) (int, string) { return fromGo(named(body, id)) },
		"the body": func(id, body string) (int, string) { return single(named(body, id)) },
		"Idempotency-Key": func(id, body string) (int, string) {
			return single(strings.Replace(body, `"customIdentifier": "airtime-top-up",`, "", 1), "Idempotency-Key", id)
		},
		"both": func(id, body string) (int, string) {
			return single(named(body, id), "Idempotency-Key", `"`+strings.ToUpper(id)+`"`)
		},
		"a batch": func(id, body string) (int, string) {
			var out struct{ Answers []BatchAnswer }
			w.read(w.ask("POST", "/v1/topups:batch", `{"topups":[`+named(body, id)+`]}`), 200, "application/json", &out)
			if a := out.Answers[0]; a.TopUp != nil {
				return a.Status, a.TopUp.ID
			}
			return out.Answers[0].Status, ""
		},
	}
	otherwise := strings.NewReplacer("832", `"832.000"`, `"AE"`, `"ae"`, "0503971821", "050 397-1821") // the same in other words
	n := 0
	for first, begin := range ways {
		n++
		id := fmt.Sprint("Way-", n)
		if status, got := begin(id, quickStart); status != http.StatusAccepted || got != id {
			t.Fatalf("first by %s: %d %s", first, status, got)
		}
		for then, again := range ways {
			if status, got := again(strings.ToUpper(id), otherwise.Replace(quickStart)); status != http.StatusOK || got != id {
				t.Errorf("by %s after %s: %d %q", then, first, status, got)
			}
			if status, _ := again(strings.ToLower(id), strings.Replace(quickStart, "832", "832.1", 1)); status != http.StatusConflict {
				t.Errorf("another one by %s after %s: %d", then, first, status)
			}
		}
	}
	if got := w.jobs(); got != n {
		t.Errorf("%d jobs of %d ids", got, n)
	}
	// Reloadly's own path answers by the same ledger.
	w.succeed("way-1")
	if status, _ := over("/topups")(named(quickStart, "WAY-1")); status != http.StatusOK {
		t.Errorf("%d", status)
	}
	w.problem(w.ask("POST", "/topups", strings.Replace(named(quickStart, "way-1"), "832", "1", 1)), 409, CodeConflict)
}

// goes is a caller who has gone as soon as the ledger has the job.
type goes struct{ away func() }

func (g *goes) DialHook(next redis.DialHook) redis.DialHook { return next }

func (g *goes) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if strings.Contains(fmt.Sprint(cmd.Args()...), ":job:") {
			g.away()
		}
		return err
	}
}

func (g *goes) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		g.away()
		return err
	}
}

// A job whose caller has gone meanwhile is woken all the same.
func TestCallerGoesAway(t *testing.T) {
	for path, body := range map[string]string{"/v1/topups": quickStart, "/v1/topups:batch": `{"topups":[` + quickStart + `]}`} {
		w := newWorld(t, nil)
		ctx, cancel := context.WithCancel(context.Background())
		w.rdb.AddHook(&goes{cancel})
		r := httptest.NewRequestWithContext(ctx, "POST", path, strings.NewReader(body))
		r.Host = "127.0.0.1"
		r.Header.Set("Content-Type", "application/json")
		w.server.ServeHTTP(httptest.NewRecorder(), r)
		if ctx.Err() == nil || w.jobs() != 1 {
			t.Fatalf("%s: %v, %d jobs", path, ctx.Err(), w.jobs())
		}
		if pending, err := w.m.List("asynq:{" + enqueue.QueueTopUps + "}:pending"); err != nil || len(pending) != 1 {
			t.Errorf("%s: %v %v are pending", path, pending, err)
		}
	}
}
