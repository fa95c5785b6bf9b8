package metrics_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/govalues/decimal"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
	"example.com/topup/worker"
	"example.com/topup/worker/metrics"
)

// What happens shows, and what nobody may see does not.
func TestRunShows(t *testing.T) {
	r := startRun(t)
	r.busy()
	r.shows(
		`topup_redis_up 1`,
		`topup_workers 1`,
		`topup_jobs{queue="followups",reason="",state="unknown"} 1`,
		`topup_jobs{queue="followups",reason="",state="processing"} 1`,
		`topup_jobs{queue="followups",reason="backoff",state="queued"} 1`,
		`topup_jobs{queue="followups",reason="paused",state="queued"} 1`,
		`topup_jobs_open 4`,
		`topup_jobs_surveyed 4`,
		`topup_reviews_open 1`,
		`topup_oldest_unknown_seconds `,
		`topup_holds{kind="campaign",reason="paused"} 2`,
		`topup_holds{kind="operator",reason="paused"} 1`,
		`topup_holds{kind="account",reason="insufficient_balance"} 0`,
		`topup_unrecognised_codes_total 1`,
		`topup_token_refreshes_total{outcome="delivered"} 1`,
		`topup_transitions_total{from="queued",reason="",to="sending"} `,
		`topup_transitions_total{from="sending",reason="",to="succeeded"} 5`,
		`topup_transitions_total{from="sending",reason="",to="unknown"} 1`,
		`topup_transitions_total{from="sending",reason="",to="needs_review"} 1`,
		`topup_transitions_total{from="sending",reason="backoff",to="queued"} `,
		`topup_transitions_total{from="queued",reason="paused",to="queued"} `,
		`topup_post_duration_seconds_count{outcome="delivered"} 6`,
		`topup_post_duration_seconds_count{outcome="unknown"} 1`,
		`topup_debited_total{currency="NGN"} 3952`, // five of 832 with the discount
		`topup_balance{currency="NGN"} 45`,
		`topup_redis_memory_max_bytes 5.36870912e+08`,
		`topup_redis_incarnation_changed_timestamp_seconds 0`,
		`topup_archived_tasks_total 0`,
		`asynq_tasks_enqueued_total{queue="followups",state="scheduled"} `,
		`asynq_tasks_processed_total{queue="topups"} `,
		`asynq_queue_paused_total{queue="topups"} 0`,
	)
	text := r.scrape()
	if strings.Contains(text, `topup_oldest_unknown_seconds 0`+"\n") {
		t.Error("the oldest unknown has no age")
	}
	for _, canary := range []string{canaryCampaign, canaryJob, canarySecret, "canary", canaryNumber + "7", "SOME_NEW_CODE", "4711"} {
		if strings.Contains(text, canary) {
			t.Errorf("the metrics show %q", canary)
		}
	}
	if n := strings.Count(text, "\ntopup_") + strings.Count(text, "\nasynq_"); n > 400 {
		t.Errorf("%d series", n)
	}
	// Redis goes away: a scrape still answers, and says so.
	r.kill()
	r.shows(`topup_redis_up 0`)
	if text := r.scrape(); strings.Contains(text, "\ntopup_jobs") || !strings.Contains(text, "\ntopup_transitions_total") {
		t.Errorf("without Redis:\n%s", text)
	}
}

// small is metrics on a Redis in memory.
func small(t *testing.T, change func(*metrics.Config)) (*miniredis.Miniredis, *metrics.Metrics) {
	t.Helper()
	m := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	return m, another(t, rdb, change)
}

func another(t testing.TB, rdb redis.UniversalClient, change func(*metrics.Config)) *metrics.Metrics {
	t.Helper()
	cfg := metrics.Config{Redis: rdb, Ledger: enqueue.NewLedger(rdb, enqueue.LedgerConfig{Epoch: "test"}), Interval: 50 * time.Millisecond}
	if change != nil {
		change(&cfg)
	}
	made, err := metrics.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// watched runs metrics and returns their exposition.
func watched(t *testing.T, m *metrics.Metrics, ask metrics.AskBalance) *run {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- m.Serve(ctx, listener, ask) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return &run{t: t, url: "http://" + listener.Addr().String() + "/metrics", metrics: m}
}

// A fleet asks Redis and Reloadly no more often than one process does.
func TestFleetShares(t *testing.T) {
	asked := make(chan struct{}, 100)
	rich := func(c *metrics.Config) {
		c.Interval, c.BalanceInterval = 20*time.Millisecond, time.Hour
	}
	ask := func(context.Context) (*reloadly.Balance, error) {
		asked <- struct{}{}
		return &reloadly.Balance{Balance: decimal.MustParse("12.5"), CurrencyCode: "USD"}, nil
	}
	m, first := small(t, rich)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
	defer func() { _ = rdb.Close() }()
	surveys := &counter{pipelines: make(chan struct{}, 1000)}
	rdb.AddHook(surveys)
	one := watched(t, first, ask)
	one.shows(`topup_balance{currency="USD"} 12.5`, `topup_jobs_open 0`)
	// It will look again in an hour only: the second process has to live by what the first one finds.
	_ = m.Set("topup:metrics:view:turn", "1") // it never fails, nor do the others
	two := watched(t, another(t, rdb, rich), ask)
	two.shows(`topup_balance{currency="USD"} 12.5`, `topup_jobs_open 0`, `topup_redis_up 1`)
	if n := len(asked); n != 1 {
		t.Errorf("the balance was asked for %d times", n)
	}
	if surveys.n() != 0 {
		t.Errorf("the second process surveyed Redis %d times", surveys.n())
	}
	// What others write into Redis is not believed to be bounded.
	_ = m.Set("topup:metrics:view", `{"places":[{"state":"canary-1","reason":"canary-2","queue":"canary-3","jobs":1},{"state":"","reason":"","queue":"topups","jobs":1}],`+
		`"holds":[{"kind":"canary-4","reason":"canary-5","holds":1}],"queues":{"canary-6":{}}}`)
	two.shows(`topup_jobs{queue="other",reason="other",state="other"} 1`, `topup_jobs{queue="topups",reason="",state="none"} 1`, `topup_holds{kind="other",reason="other"} 1`)
	if text := two.scrape(); strings.Contains(text, "canary") {
		t.Error(text)
	}
	// What cannot be read is no answer.
	_ = m.Set("topup:metrics:view", `{`)
	two.shows(`topup_redis_up 0`)
	_ = m.Set("topup:metrics:balance", `{`)
	m.Del("topup:metrics:view:turn")
	two.shows(`topup_redis_up 1`)
	m.Del("topup:metrics:balance")
	eventually(t, "an old balance is not shown", func() bool { return !strings.Contains(two.scrape(), "\ntopup_balance{") })
}

// counter counts surveys by the number of jobs that are due.
type counter struct{ pipelines chan struct{} }

func (c *counter) n() int                                      { return len(c.pipelines) }
func (c *counter) DialHook(next redis.DialHook) redis.DialHook { return next }
func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return next
}

func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if len(cmds) > 64 {
			c.pipelines <- struct{}{}
		}
		return next(ctx, cmds)
	}
}

// Every way of counting, and nothing out of the ordinary as a label.
func TestCounts(t *testing.T) {
	_, m := small(t, nil)
	text := func(s string) *string { return &s }
	paid := &enqueue.Transaction{BalanceInfo: &enqueue.BalanceInfo{Cost: text("790.4"), CurrencyCode: text("NGN")}}
	for _, c := range []worker.Change{
		{From: enqueue.Sending, To: enqueue.Succeeded, Why: "done", Transaction: paid},
		{From: enqueue.Sending, To: enqueue.Succeeded, Why: "same", Transaction: paid}, // another worker's
		{From: enqueue.Succeeded, To: enqueue.Succeeded, Why: "done", Transaction: paid},
		{From: enqueue.Processing, To: enqueue.Succeeded, Why: "done", Transaction: &enqueue.Transaction{RequestedAmount: text("9.6"), RequestedAmountCurrencyCode: text("NGN")}},
		{From: enqueue.Unknown, To: enqueue.Succeeded, Why: "done", Transaction: &enqueue.Transaction{RequestedAmount: text("-1"), RequestedAmountCurrencyCode: text("NGN")}},
		{From: enqueue.Unknown, To: enqueue.Succeeded, Why: "done", Transaction: &enqueue.Transaction{RequestedAmount: text("NaN"), RequestedAmountCurrencyCode: text("NGN")}},
		{From: enqueue.Unknown, To: enqueue.Succeeded, Why: "done", Transaction: &enqueue.Transaction{RequestedAmount: text("1")}},
		{From: enqueue.Unknown, To: enqueue.Succeeded, Why: "done"},
		{From: enqueue.Unknown, To: enqueue.Succeeded, Why: "done", Transaction: &enqueue.Transaction{RequestedAmount: text("3"), RequestedAmountCurrencyCode: text("canary")}},
		{From: enqueue.Queued, To: enqueue.Queued, Why: "done", Reason: "canary"},
		{From: enqueue.Queued, To: enqueue.Queued, Why: enqueue.AnswerStale, Reason: enqueue.Paused},
		{From: "", To: "canary", Why: "look"},
	} {
		m.Change(c)
	}
	m.Call(reloadly.Observation{Op: "token", Outcome: "ok", TokenRefresh: true})
	m.Call(reloadly.Observation{Op: "topup_async", Outcome: "refused", Pays: true, Unrecognised: true, Duration: time.Second})
	m.ArchivedTask()
	r := watched(t, m, nil)
	r.shows(
		`topup_debited_total{currency="NGN"} 800`,
		`topup_debited_total{currency="other"} 3`,
		`topup_transitions_total{from="sending",reason="",to="succeeded"} 1`,
		`topup_transitions_total{from="processing",reason="",to="succeeded"} 1`,
		`topup_transitions_total{from="unknown",reason="",to="succeeded"} 5`,
		`topup_transitions_total{from="queued",reason="other",to="queued"} 1`,
		`topup_transitions_total{from="queued",reason="paused",to="queued"} 0`,
		`topup_transitions_total{from="none",reason="",to="other"} 1`,
		`topup_token_refreshes_total{outcome="delivered"} 1`,
		`topup_unrecognised_codes_total 1`,
		`topup_archived_tasks_total 1`,
		`topup_post_duration_seconds_bucket{outcome="refused",le="1"} 1`,
		`topup_post_duration_seconds_bucket{outcome="refused",le="0.75"} 0`,
	)
}

// asynq's figures are those that its own inspector has.
func TestQueueFigures(t *testing.T) {
	rdb, _ := startRedis(t)
	client, inspector := asynq.NewClientFromRedisClient(rdb), asynq.NewInspectorFromRedisClient(rdb)
	for i := range 12 {
		at := time.Time{}
		if i >= 7 {
			at = time.Now().Add(time.Hour)
		}
		id := "j" + string(rune('a'+i))
		if _, err := client.Enqueue(enqueue.NewTask(enqueue.QueueTopUps, id, id, 1, at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := inspector.ArchiveTask(enqueue.QueueTopUps, "ja"); err != nil {
		t.Fatal(err)
	}
	if err := inspector.PauseQueue(enqueue.QueueTopUps); err != nil {
		t.Fatal(err)
	}
	r := watched(t, another(t, rdb, nil), nil)
	r.shows(
		`asynq_queue_size{queue="topups"} 12`,
		`asynq_tasks_enqueued_total{queue="topups",state="pending"} 6`,
		`asynq_tasks_enqueued_total{queue="topups",state="scheduled"} 5`,
		`asynq_tasks_enqueued_total{queue="topups",state="archived"} 1`,
		`asynq_queue_paused_total{queue="topups"} 1`,
		`asynq_queue_paused_total{queue="campaigns"} 0`,
		`asynq_queue_size{queue="followups"} 0`,
		`asynq_tasks_failed_total{queue="topups"} 0`,
	)
	var memory, latency float64
	for line := range strings.Lines(r.scrape()) {
		scan(line, `asynq_queue_memory_usage_approx_bytes{queue="topups"} `, &memory)
		scan(line, `asynq_queue_latency_seconds{queue="topups"} `, &latency)
	}
	info, err := inspector.GetQueueInfo(enqueue.QueueTopUps) // after the scrape: the latency only grows
	if err != nil {
		t.Fatal(err)
	}
	if ratio := memory / float64(info.MemoryUsage); ratio < 0.9 || ratio > 1.1 {
		t.Errorf("memory %v, asynq says %d", memory, info.MemoryUsage)
	}
	if latency <= 0 || latency > info.Latency.Seconds()+1 {
		t.Errorf("latency %v, asynq says %v", latency, info.Latency)
	}
}

// A Redis that hangs holds no scrape up, and what it said before is not shown for ever.
func TestRedisHangs(t *testing.T) {
	m, _ := small(t, nil)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
	stuck := &stuck{free: make(chan struct{})}
	rdb.AddHook(stuck)
	r := watched(t, another(t, rdb, func(c *metrics.Config) { c.Interval, c.Timeout = 20*time.Millisecond, 2*time.Second }), nil)
	t.Cleanup(func() {
		close(stuck.free) // or the metrics would not end
		_ = rdb.Close()
	})
	r.shows(`topup_redis_up 1`, `topup_jobs_open 0`)
	stuck.on.Store(true)
	r.shows(`topup_redis_up 0`)
	if text := r.scrape(); strings.Contains(text, "\ntopup_jobs_open") {
		t.Error("what is long ago is shown")
	}
}

// stuck is a Redis that answers nothing while it is on, whatever time limit it is given.
type stuck struct {
	on   atomic.Bool
	free chan struct{}
}

func (s *stuck) wait() {
	if s.on.Load() {
		<-s.free
	}
}

func (s *stuck) DialHook(next redis.DialHook) redis.DialHook { return next }
func (s *stuck) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		s.wait()
		return next(ctx, cmd)
	}
}

func (s *stuck) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		s.wait()
		return next(ctx, cmds)
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := metrics.New(metrics.Config{}); err == nil {
		t.Error("metrics of nothing")
	}
}

// Where the listener fails, the looks end too.
func TestServeEndsWithItsListener(t *testing.T) {
	_, m := small(t, nil)
	away := func(context.Context) (*reloadly.Balance, error) { return nil, errors.New("away") }
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	if err := m.Serve(t.Context(), listener, away); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// scan reads the value of a line of the exposition that begins so.
func scan(line, name string, into *float64) {
	text, ok := strings.CutPrefix(line, name)
	if !ok {
		return
	}
	if value, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil {
		*into = value
	}
}
