package metrics

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
	"example.com/topup/worker"
)

// Config is what the metrics are made of. Redis and Ledger are required; the zero value of
// everything else is its default.
type Config struct {
	Redis  redis.UniversalClient
	Ledger *enqueue.Ledger
	// Interval is the time between two looks at Redis, of the whole fleet. Defaults to 5 s.
	Interval time.Duration
	// BalanceInterval is the time between two questions for the balance, of the whole
	// fleet. Defaults to 1 min.
	BalanceInterval time.Duration
	// Timeout is how long one look may take. Defaults to 10 s.
	Timeout time.Duration
	// Limit is how many open jobs a look reads, at most. Defaults to 200,000.
	Limit int64
	// Logger gets a line where a look fails, and where it succeeds again. Defaults to none.
	Logger *slog.Logger
}

// AskBalance reads the account's balance, as [reloadly.Client.Balance] does.
type AskBalance func(context.Context) (*reloadly.Balance, error)

// Metrics are those of one process.
type Metrics struct {
	cfg      Config
	log      *slog.Logger
	holds    *worker.Holds
	registry *prometheus.Registry
	seen     atomic.Pointer[sight]
	balance  atomic.Pointer[balance]

	transitions  *prometheus.CounterVec
	posts        *prometheus.HistogramVec
	requests     *prometheus.CounterVec
	refreshes    *prometheus.CounterVec
	unrecognised prometheus.Counter
	archived     prometheus.Counter
	debited      *prometheus.CounterVec
}

// New makes the metrics. It asks nobody; [Metrics.Run] does.
func New(cfg Config) (*Metrics, error) {
	if cfg.Redis == nil || cfg.Ledger == nil {
		return nil, errors.New("metrics: Redis and Ledger are needed")
	}
	cfg.Interval = cmp.Or(cfg.Interval, 5*time.Second)
	cfg.BalanceInterval = cmp.Or(cfg.BalanceInterval, time.Minute)
	cfg.Timeout = cmp.Or(cfg.Timeout, 10*time.Second)
	cfg.Limit = cmp.Or(cfg.Limit, 200_000)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	m := &Metrics{
		cfg: cfg, log: cfg.Logger, registry: prometheus.NewRegistry(),
		holds: worker.NewHolds(cfg.Redis, worker.HoldConfig{}),
		transitions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "topup_transitions_total", Help: "Changes of jobs made by this process; a job that goes on waiting goes from queued to queued.",
		}, []string{"from", "to", "reason"}),
		posts: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "topup_post_duration_seconds", Help: "Time of each POST of a top-up, from asking for a connection to the end of its answer.",
			Buckets: []float64{0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20, 45, 90},
		}, []string{"outcome"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "topup_reloadly_requests_total", Help: "HTTP calls of Reloadly by this process.",
		}, []string{"op", "outcome"}),
		refreshes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "topup_token_refreshes_total", Help: "Requests of an access token by this process.",
		}, []string{"outcome"}),
		unrecognised: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "topup_unrecognised_codes_total", Help: "Top-ups that Reloadly answered with a code that is in no table; the worker's log has it.",
		}),
		archived: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "topup_archived_tasks_total", Help: "Archived tasks that the sweeper of this process found and woke up again.",
		}),
		debited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "topup_debited_total", Help: "Money that the top-ups settled by this process took from the account.",
		}, []string{"currency"}),
	}
	m.begin()
	m.registry.MustRegister(
		m.transitions, m.posts, m.requests, m.refreshes, m.unrecognised, m.archived, m.debited,
		shown{m}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m, nil
}

// begin shows what can be expected as 0, so that its first increase is seen.
func (m *Metrics) begin() {
	for _, outcome := range []string{"delivered", "refused", "unknown", "not_sent"} {
		m.posts.WithLabelValues(outcome)
		m.requests.WithLabelValues("topup", outcome)
		if outcome != "unknown" { // a token's request ends in not_sent where nothing is known
			m.refreshes.WithLabelValues(outcome)
		}
	}
	for _, to := range []enqueue.State{enqueue.Succeeded, enqueue.Failed, enqueue.Unknown, enqueue.Processing, enqueue.NeedsReview} {
		m.transitions.WithLabelValues(string(enqueue.Sending), string(to), "")
	}
	m.transitions.WithLabelValues(string(enqueue.Queued), string(enqueue.Sending), "")
	for _, reason := range enqueue.Reasons() {
		m.transitions.WithLabelValues(string(enqueue.Queued), string(enqueue.Queued), string(reason))
	}
}

// Call counts one HTTP call; it is for [reloadly.Config.Observe].
func (m *Metrics) Call(o reloadly.Observation) {
	outcome := o.Outcome
	if outcome == "ok" {
		outcome = "delivered"
	}
	m.requests.WithLabelValues(o.Op, outcome).Inc()
	if o.TokenRefresh {
		m.refreshes.WithLabelValues(outcome).Inc()
	}
	if o.Unrecognised {
		m.unrecognised.Inc()
	}
	if o.Pays {
		m.posts.WithLabelValues(outcome).Observe(o.Duration.Seconds())
	}
}

// Change counts what was done to a job; it is for [worker.Config.OnChange].
func (m *Metrics) Change(c worker.Change) {
	if !c.Changed() {
		return
	}
	m.transitions.WithLabelValues(stateLabel(c.From), stateLabel(c.To), reasonLabel(c.Reason)).Inc()
	if c.To == enqueue.Succeeded && c.From != c.To {
		if amount, currency, ok := debit(c.Transaction); ok {
			m.debited.WithLabelValues(currency).Add(amount)
		}
	}
}

// ArchivedTask counts an archived task; it is for [worker.Config.OnArchived].
func (m *Metrics) ArchivedTask() { m.archived.Inc() }

// Handler answers scrapes, from memory alone.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 8, Registry: m.registry})
}
