package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// The quick start's body as it stands makes a job, and the same again makes none.
func TestQuickStartBody(t *testing.T) {
	w := newWorld(t, nil)
	a := w.ask("POST", "/v1/topups", quickStart)
	r := w.result(a, http.StatusAccepted)
	if r.ID != "airtime-top-up" || r.State != enqueue.Queued || a.header.Get("Location") != "/v1/topups/airtime-top-up" {
		t.Errorf("%+v %v", r, a.header)
	}
	for _, same := range []string{quickStart, strings.Replace(quickStart, "832", `"832.00"`, 1), strings.Replace(quickStart, "1100", `"1100"`, 1), strings.Replace(quickStart, "airtime", "Airtime", 1), "\xef\xbb\xbf" + quickStart} {
		a = w.ask("POST", "/v1/topups", same)
		if r := w.result(a, http.StatusOK); r.ID != "airtime-top-up" || a.header.Get("Location") == "" {
			t.Errorf("%+v", r)
		}
	}
	for _, kind := range []string{"application/json; charset=utf-8", "application/json;charset=UTF-8", `Application/JSON; charset="utf-8"`, "application/json; charset=utf8"} {
		w.result(w.ask("POST", "/v1/topups", quickStart, "Content-Type", kind), http.StatusOK)
	}
	if w.jobs() != 1 {
		t.Errorf("%d jobs", w.jobs())
	}
	p := w.problem(w.ask("POST", "/v1/topups", strings.NewReplacer("832", "833", "0503971821", "0503971822").Replace(quickStart)), http.StatusConflict, CodeConflict)
	if len(p.Errors) != 2 || p.Errors[0].Name != "amount" || p.Errors[1].Pointer != "/recipientPhone" || strings.Contains(fmt.Sprint(p), "83") || p.ID != "airtime-top-up" {
		t.Errorf("%+v", p)
	}

	// The settled result has every field of Reloadly's answer, amounts as text.
	w.succeed("airtime-top-up")
	for _, a := range []answer{
		w.ask("POST", "/v1/topups?wait=30s", quickStart), w.ask("POST", "/v1/topups", quickStart, "Prefer", "wait=30"),
		w.ask("GET", "/v1/topups/airtime-top-up", ""), w.ask("GET", "/v1/topups/AIRTIME-top-up?wait=30", ""),
	} {
		r := w.result(a, http.StatusOK)
		if r.State != enqueue.Succeeded || r.MoneyMoved != enqueue.MovedYes || *r.Transaction.BalanceInfo.Cost != "790.4" {
			t.Errorf("%s", a.body)
		}
		for _, field := range []string{
			`"transactionId":33469`, `"status":"SUCCESSFUL"`, `"operatorTransactionId":null`, `"customIdentifier":"airtime-top-up"`, `"recipientPhone":"971503971821"`,
			`"recipientEmail":null`, `"senderPhone":"11231231231"`, `"countryCode":"AE"`, `"operatorId":1100`, `"discount":"41.6"`, `"requestedAmount":"832"`,
			`"deliveredAmount":"5.6"`, `"pinDetail":null`, `"oldBalance":"809811.69103"`, `"newBalance":"809021.29103"`, `"cost":"790.4"`,
		} {
			if !strings.Contains(string(a.body), field) {
				t.Errorf("no %s in %s", field, a.body)
			}
		}
	}
}

func TestIDs(t *testing.T) {
	w := newWorld(t, nil)
	without := strings.Replace(quickStart, `"customIdentifier": "airtime-top-up",`, "", 1)
	if r := w.result(w.ask("POST", "/v1/topups", without, "Idempotency-Key", "Key-1"), 202); r.ID != "Key-1" {
		t.Errorf("%+v", r)
	}
	if r := w.result(w.ask("POST", "/v1/topups", without, "Idempotency-Key", `"key-1"`), 200); r.ID != "Key-1" { // a structured header's form
		t.Errorf("%+v", r)
	}
	w.result(w.ask("POST", "/v1/topups", quickStart, "Idempotency-Key", "AIRTIME-top-up"), 202)
	p := w.problem(w.ask("POST", "/v1/topups", without), 400, CodeMissingID)
	if p.Errors[0].Pointer != "/customIdentifier" {
		t.Errorf("%+v", p)
	}
	w.problem(w.ask("POST", "/v1/topups", quickStart, "Idempotency-Key", "other"), 400, CodeIDMismatch)
	w.problem(w.ask("POST", "/v1/topups", quickStart, "Idempotency-Key", "airtime-top-up", "Idempotency-Key", "other"), 400, CodeInvalidParameter)
	w.problem(w.ask("POST", "/v1/topups", without, "Idempotency-Key", "with blank"), 400, CodeInvalidTopUp)
	w.problem(w.ask("POST", "/v1/topups", without, "Idempotency-Key", `""`), 400, CodeMissingID)
	for _, id := range []string{".", ".."} { // nobody could ask for it: paths are cleaned on the way
		for _, a := range []answer{
			w.ask("POST", "/v1/topups", without, "Idempotency-Key", id), w.ask("POST", "/v1/topups", strings.Replace(quickStart, "airtime-top-up", id, 1)),
			w.ask("POST", "/topups", strings.Replace(quickStart, "airtime-top-up", id, 1)),
		} {
			w.problem(a, 400, CodeInvalidTopUp)
		}
		var batch struct{ Answers []BatchAnswer }
		w.read(w.ask("POST", "/v1/topups:batch", `{"topups":[`+strings.Replace(quickStart, "airtime-top-up", id, 1)+`]}`), 200, "application/json", &batch)
		if batch.Answers[0].Status != 400 {
			t.Errorf("%+v", batch)
		}
	}
	if w.jobs() != 2 {
		t.Errorf("%d jobs", w.jobs())
	}
}

func TestGetCancelAndGone(t *testing.T) {
	w := newWorld(t, nil)
	w.problem(w.ask("GET", "/v1/topups/nobody", ""), 404, CodeNoSuchTopUp)
	w.problem(w.ask("GET", "/v1/topups/nobody?wait=1s", ""), 404, CodeNoSuchTopUp)
	w.problem(w.ask("POST", "/v1/topups/nobody/cancel", ""), 404, CodeNoSuchTopUp)
	w.problem(w.ask("GET", "/v1/topups/"+strings.Repeat("x", 101), ""), 404, CodeNoSuchTopUp)
	w.problem(w.ask("POST", "/v1/topups/"+strings.Repeat("x", 101)+"/cancel", ""), 404, CodeNoSuchTopUp)
	w.problem(w.ask("GET", "/v1/topups/a%2Fb", ""), 404, CodeNoSuchTopUp)

	w.result(w.ask("POST", "/v1/topups", quickStart), 202)
	for range 2 {
		if r := w.result(w.ask("POST", "/v1/topups/Airtime-top-up/cancel", ""), 200); r.State != enqueue.Cancelled {
			t.Errorf("%+v", r)
		}
	}
	other := strings.Replace(quickStart, "airtime-top-up", "other", 1)
	w.result(w.ask("POST", "/v1/topups", other), 202)
	w.succeed("other")
	if p := w.problem(w.ask("POST", "/v1/topups/other/cancel", ""), 409, CodeNotCancellable); p.State != enqueue.Succeeded || p.ID != "other" {
		t.Errorf("%+v", p)
	}

	// After the retention only the state is known, and the id stays refused.
	for _, key := range w.m.Keys() {
		if strings.Contains(key, ":job:other") {
			w.m.Del(key)
		}
	}
	for _, a := range []answer{w.ask("GET", "/v1/topups/other", ""), w.ask("POST", "/v1/topups", other), w.ask("POST", "/v1/topups/other/cancel", "")} {
		if p := w.problem(a, 410, CodeGone); p.State != enqueue.Succeeded || p.ID != "other" {
			t.Errorf("%+v", p)
		}
	}
}

func TestBatch(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxWait = 10 * time.Minute }) // bounds every answer, and a busy machine is slow with the longest one
	job := func(id string) string { return strings.Replace(quickStart, "airtime-top-up", id, 1) }
	w.result(w.ask("POST", "/v1/topups", job("old")), 202)
	body := `{"topups":[` + strings.Join([]string{
		job("a"), job("old"), strings.Replace(job("old"), "832", "1", 1), strings.Replace(job("b"), "832", `"x"`, 1), job("a"), `{"amount":1}`, `7`, job("c"),
		strings.Replace(job("d"), "AE", "A", 1), strings.Replace(job("e"), "amount", "amuont", 1), `{"customIdentifier":["f"]}`,
	}, ",") + `]}`
	var out struct{ Answers []BatchAnswer }
	w.read(w.ask("POST", "/v1/topups:batch", body), 200, "application/json", &out)
	want := []struct {
		status int
		code   Code
		id     string
	}{{202, "", "a"}, {200, "", "old"}, {409, CodeConflict, "old"}, {400, CodeInvalidTopUp, "b"}, {200, "", "a"}, {400, CodeMissingID, ""}, {400, CodeWrongType, ""}, {202, "", "c"}, {400, CodeInvalidTopUp, "d"}, {400, CodeUnknownField, "e"}, {400, CodeWrongType, ""}}
	if len(out.Answers) != len(want) {
		t.Fatalf("%d answers", len(out.Answers))
	}
	for i, a := range out.Answers {
		code := Code("")
		if a.Problem != nil {
			code = a.Problem.Code
		}
		if a.Index != i || a.Status != want[i].status || code != want[i].code || a.ID != want[i].id || (a.TopUp == nil) == (a.Problem == nil) {
			t.Errorf("%d: %+v %+v", i, a, a.Problem)
		}
	}
	if w.jobs() != 3 {
		t.Errorf("%d jobs", w.jobs())
	}

	many := make([]string, maxBatch)
	for i := range many {
		many[i] = fmt.Sprintf(`{"amount":"1.5","customIdentifier":"m%d","recipientPhone":{"countryCode":"AE","number":"0503971821"}}`, i)
	}
	w.read(w.ask("POST", "/v1/topups:batch", `{"topups":[`+strings.Join(many, ",")+`]}`), 200, "application/json", &out)
	if len(out.Answers) != maxBatch || out.Answers[maxBatch-1].Status != 202 || w.jobs() != 3+maxBatch {
		t.Errorf("%d answers, %d jobs", len(out.Answers), w.jobs())
	}
	w.problem(w.ask("POST", "/v1/topups:batch", `{"topups":[`+strings.Join(append(many, many[0]), ",")+`]}`), 400, CodeBadBatch)
}

func TestListPages(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 30 {
		w.result(w.ask("POST", "/v1/topups", fmt.Sprintf(`{"amount":1,"customIdentifier":"j%d","campaign":"c%d","recipientPhone":{"countryCode":"AE","number":"0503971821"}}`, i, i%2)), 202)
	}
	w.result(w.ask("POST", "/v1/topups/j1/cancel", ""), 200)
	all := func(query string) map[string]enqueue.State {
		ids := map[string]enqueue.State{}
		cursor := ""
		for range 1000 {
			var page struct {
				TopUps []enqueue.Result
				Next   *string
			}
			w.read(w.ask("GET", "/v1/topups?"+query+"&cursor="+cursor, ""), 200, "application/json", &page)
			for _, r := range page.TopUps {
				ids[r.ID] = r.State
			}
			if page.Next == nil {
				return ids
			}
			cursor = *page.Next
		}
		t.Fatal("the list does not end")
		return nil
	}
	for query, want := range map[string]int{"": 30, "limit=1": 30, "state=queued&limit=3": 29, "state=cancelled": 1, "state=queued&campaign=c1": 14, "campaign=c0": 15, "state=failed": 0} {
		if got := all(query); len(got) != want {
			t.Errorf("%s: %d, want %d", query, len(got), want)
		}
	}
	for _, query := range []string{"state=waiting", "limit=0", "limit=1001", "limit=x", "cursor=x", "state=queued&cursor=all-0-1-0"} {
		w.problem(w.ask("GET", "/v1/topups?"+query, ""), 400, CodeInvalidParameter)
	}
}

func TestPathsAndMethods(t *testing.T) {
	w := newWorld(t, nil)
	for _, path := range []string{"/", "/v1", "/v1/topups/", "/v1//topups", "//v1/topups", "/v1/topups/../topups", "/v1/topups/a/b", "/v1/topups:other", "/docs", "/schemas/Result", "/openapi.yaml", "/monitor"} {
		for _, method := range []string{"GET", "POST"} {
			w.problem(w.ask(method, path, ""), 404, CodeNotFound)
		}
	}
	for path, allow := range map[string]string{
		"/v1/topups": "GET, HEAD, POST", "/v1/topups:batch": "POST", "/v1/topups/x": "GET, HEAD", "/v1/topups/x/cancel": "POST", "/livez": "GET, HEAD", "/topups": "POST", "/openapi.json": "GET, HEAD",
	} {
		a := w.ask("DELETE", path, "")
		w.problem(a, 405, CodeMethod)
		if a.header.Get("Allow") != allow {
			t.Errorf("%s: %q", path, a.header.Get("Allow"))
		}
	}
	if a := w.ask("HEAD", "/livez", ""); a.status != 200 || len(a.body) > 0 {
		t.Errorf("%+v", a)
	}
	if a := w.ask("GET", "/readyz", ""); a.status != 200 || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%+v", a)
	}
}

// silent is a Redis that takes PING and does not answer it while the test lasts.
type silent struct{ over chan struct{} }

func (silent) DialHook(next redis.DialHook) redis.DialHook { return next }

func (silent) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h silent) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "ping" {
			<-h.over
		}
		return next(ctx, cmd)
	}
}

// A Redis that hangs keeps no health check waiting.
func TestRedisHangs(t *testing.T) {
	w := newWorld(t, nil)
	over := make(chan struct{})
	defer close(over)
	w.rdb.AddHook(silent{over})
	defer func(before time.Duration) { readyTime = before }(readyTime)
	readyTime = 50 * time.Millisecond
	w.problem(w.ask("GET", "/readyz", ""), 503, CodeUnavailable)
}

// While Redis is away everything says so, and the process still lives.
func TestRedisAway(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.WebhookSecret = "s" })
	w.result(w.ask("POST", "/v1/topups", quickStart), 202)
	w.m.SetError("LOADING Redis is loading the dataset in memory")
	for _, a := range []answer{
		w.ask("POST", "/v1/topups", quickStart), w.ask("POST", "/v1/topups?wait=1s", quickStart), w.ask("GET", "/v1/topups/airtime-top-up", ""),
		w.ask("POST", "/v1/topups/airtime-top-up/cancel", ""), w.ask("GET", "/v1/topups", ""), w.ask("GET", "/v1/topups?state=queued", ""),
		w.ask("POST", "/v1/topups:batch", `{"topups":[`+quickStart+`]}`), w.ask("POST", "/topups", quickStart), w.ask("GET", "/readyz", ""),
		w.ask("GET", "/v1/topups/airtime-top-up?wait=50ms", ""),
	} {
		p := w.problem(a, 503, CodeUnavailable)
		if a.header.Get("Retry-After") != "1" || strings.Contains(string(a.body), "LOADING") {
			t.Errorf("%s %v", a.body, a.header)
		}
		if p.ID != "" && !strings.Contains(p.Detail, "repeat it with the same id") {
			t.Errorf("%+v", p)
		}
	}
	if a := w.ask("GET", "/livez", ""); a.status != 200 {
		t.Errorf("%d", a.status)
	}
	w.forgetKeys()
	w.problem(w.ask("POST", "/oauth/token", `{}`), 503, CodeUnavailable)
	w.problem(w.ask("GET", "/v1/topups/x", ""), 503, CodeUnavailable)
	w.m.SetError("")
	w.result(w.ask("POST", "/v1/topups", quickStart), 200)
	if a := w.ask("GET", "/readyz", ""); a.status != 200 {
		t.Errorf("%d", a.status)
	}
}
