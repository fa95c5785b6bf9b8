package metrics

import (
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/topup/enqueue"
	"example.com/topup/worker"
)

// sight is the last look at Redis.
type sight struct {
	view *view // nil where there is none
	at   time.Time
	up   bool
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	upDesc         = desc("topup_redis_up", "1 where Redis answered the last look at it.")
	surveyDesc     = desc("topup_survey_timestamp_seconds", "When the fleet last looked at Redis, by Redis' clock.")
	jobsDesc       = desc("topup_jobs", "Open jobs by where they stand. Final jobs are in topup_transitions_total, those for a person in topup_reviews_open.", "state", "reason", "queue")
	openDesc       = desc("topup_jobs_open", "Jobs that are not final and wait for nobody's decision.")
	surveyedDesc   = desc("topup_jobs_surveyed", "How many of them topup_jobs and the oldest ones are about.")
	overdueDesc    = desc("topup_jobs_overdue", "Open jobs that the sweeper should have looked at.")
	unknownDesc    = desc("topup_oldest_unknown_seconds", "Since the last send of the oldest job in unknown; 0 where there is none.")
	queuedDesc     = desc("topup_oldest_queued_seconds", "Since the oldest queued job could have been sent; 0 where there is none.")
	reviewsDesc    = desc("topup_reviews_open", "Jobs that wait for a person.")
	reviewDesc     = desc("topup_oldest_review_seconds", "Since the oldest of them does; 0 where there is none.")
	restartedDesc  = desc("topup_redis_incarnation_changed_timestamp_seconds", "When Redis was last found to be another process, or to have forgotten; 0 for never.")
	auditedDesc    = desc("topup_audit_timestamp_seconds", "When Reloadly's report was last compared with the ledger, or since when the first time is waited for; 0 where nobody waits.")
	auditDesc      = desc("topup_audit_findings", "What that found and no time before: reversed, booked (its job did not know), strange (of no job).", "verdict")
	holdsDesc      = desc("topup_holds", "Holds in force.", "kind", "reason")
	workersDesc    = desc("topup_workers", "Worker processes that give a sign of life.")
	memoryDesc     = desc("topup_redis_memory_used_bytes", "Memory of all masters of Redis.")
	memoryMaxDesc  = desc("topup_redis_memory_max_bytes", "What they may use: maxmemory, or else the machine's.")
	fullnessDesc   = desc("topup_redis_memory_fullness_ratio", "Used of allowed memory, of the fullest master.")
	balanceDesc    = desc("topup_balance", "The account's balance.", "currency")
	balanceAtDesc  = desc("topup_balance_timestamp_seconds", "When the fleet last asked for it.")
	poolDesc       = desc("topup_redis_pool_connections", "Connections of this process's pool.", "state")
	poolUseDesc    = desc("topup_redis_pool_requests_total", "How a connection was got: hit from the pool, miss, or timeout waiting for one.", "result")
	poolStaleDesc  = desc("topup_redis_pool_stale_total", "Connections that were found dead.")
	queueSizeDesc  = desc("asynq_queue_size", "Number of tasks in a queue.", "queue")
	enqueuedDesc   = desc("asynq_tasks_enqueued_total", "Number of tasks enqueued, by queue and state.", "queue", "state")
	latencyDesc    = desc("asynq_queue_latency_seconds", "How long the oldest pending task has been waiting.", "queue")
	queueBytesDesc = desc("asynq_queue_memory_usage_approx_bytes", "Memory of a queue, by sampling.", "queue")
	processedDesc  = desc("asynq_tasks_processed_total", "Tasks processed, with or without success, by queue.", "queue")
	failedDesc     = desc("asynq_tasks_failed_total", "Tasks failed, by queue.", "queue")
	pausedDesc     = desc("asynq_queue_paused_total", "1 where the queue is paused.", "queue")

	allDescs = []*prometheus.Desc{
		upDesc, surveyDesc, jobsDesc, openDesc, surveyedDesc, overdueDesc, unknownDesc, queuedDesc, reviewsDesc, reviewDesc,
		restartedDesc, auditedDesc, auditDesc, holdsDesc, workersDesc, memoryDesc, memoryMaxDesc, fullnessDesc, balanceDesc, balanceAtDesc, poolDesc,
		poolUseDesc, poolStaleDesc, queueSizeDesc, enqueuedDesc, latencyDesc, queueBytesDesc, processedDesc, failedDesc, pausedDesc,
	}
)

// shown collects what comes from Redis, out of memory.
type shown struct{ m *Metrics }

// Describe implements [prometheus.Collector].
func (s shown) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range allDescs {
		descs <- d
	}
}

// Collect implements [prometheus.Collector].
func (s shown) Collect(out chan<- prometheus.Metric) {
	c := collection{out}
	s.m.collectPool(c)
	seen := s.m.seen.Load()
	// A look that hangs is no answer either.
	up := seen != nil && seen.up && time.Since(seen.at) < 3*s.m.cfg.Interval+2*s.m.cfg.Timeout
	c.gauge(upDesc, truth(up))
	if !up {
		return
	}
	if seen.view != nil {
		c.view(seen.view)
	}
	if b := s.m.balance.Load(); b != nil {
		if amount, err := strconv.ParseFloat(b.Amount, 64); err == nil {
			c.gauge(balanceDesc, amount, b.Currency)
			c.gauge(balanceAtDesc, unix(b.At))
		}
	}
}

func (m *Metrics) collectPool(c collection) {
	pool := m.cfg.Redis.PoolStats()
	if pool == nil {
		return
	}
	c.gauge(poolDesc, float64(pool.TotalConns-min(pool.TotalConns, pool.IdleConns)), "used")
	c.gauge(poolDesc, float64(pool.IdleConns), "idle")
	c.counter(poolUseDesc, float64(pool.Hits), "hit")
	c.counter(poolUseDesc, float64(pool.Misses), "miss")
	c.counter(poolUseDesc, float64(pool.Timeouts), "timeout")
	c.counter(poolStaleDesc, float64(pool.StaleConns))
}

// collection sends metrics off.
type collection struct{ out chan<- prometheus.Metric }

func (c collection) gauge(d *prometheus.Desc, value float64, labels ...string) {
	c.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func (c collection) counter(d *prometheus.Desc, value float64, labels ...string) {
	c.out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, labels...)
}

func (c collection) view(v *view) {
	c.gauge(surveyDesc, unix(v.At))
	c.gauge(openDesc, float64(v.Open))
	c.gauge(surveyedDesc, float64(v.Looked))
	c.gauge(overdueDesc, float64(v.Overdue))
	c.gauge(unknownDesc, v.OldestUnknown)
	c.gauge(queuedDesc, v.OldestQueued)
	c.gauge(reviewsDesc, float64(v.Reviews))
	c.gauge(reviewDesc, v.OldestReview)
	c.gauge(restartedDesc, unix(v.Restarted))
	c.gauge(auditedDesc, unix(v.Audited))
	for _, verdict := range []worker.Verdict{worker.Reversed, worker.Booked, worker.Strange} {
		c.gauge(auditDesc, float64(v.AuditNew[string(verdict)]), string(verdict))
	}
	c.gauge(workersDesc, float64(v.Workers))
	c.gauge(memoryDesc, float64(v.MemoryUsed))
	c.gauge(memoryMaxDesc, float64(v.MemoryMax))
	c.gauge(fullnessDesc, v.MemoryFullness)
	for labels, jobs := range v.jobs() {
		c.gauge(jobsDesc, float64(jobs), labels[:]...)
	}
	for labels, holds := range v.holdings() {
		c.gauge(holdsDesc, float64(holds), labels[:]...)
	}
	for name, q := range v.Queues {
		if slices.Contains(queues, name) { // also what another version of the program wrote
			c.queue(name, q)
		}
	}
}

func (c collection) queue(name string, q queue) {
	var size int64
	for _, state := range taskStates {
		size += q.Tasks[state]
		c.gauge(enqueuedDesc, float64(q.Tasks[state]), name, state)
	}
	c.gauge(queueSizeDesc, float64(size), name)
	c.gauge(latencyDesc, q.Latency, name)
	c.gauge(queueBytesDesc, q.Memory, name)
	c.counter(processedDesc, float64(q.Processed), name)
	c.counter(failedDesc, float64(q.Failed), name)
	c.gauge(pausedDesc, truth(q.Paused), name)
}

// jobs has state, reason and queue, with a 0 wherever jobs usually are.
func (v *view) jobs() map[[3]string]int {
	all := map[[3]string]int{}
	for _, q := range queues {
		all[[3]string{string(enqueue.Queued), "", q}] = 0
	}
	for _, state := range []enqueue.State{enqueue.Sending, enqueue.Processing, enqueue.Unknown} {
		all[[3]string{string(state), "", enqueue.QueueFollowups}] = 0
	}
	for _, reason := range enqueue.Reasons() {
		all[[3]string{string(enqueue.Queued), string(reason), enqueue.QueueFollowups}] = 0
	}
	for _, p := range v.Places {
		queue := p.Queue
		if !slices.Contains(queues, queue) {
			queue = other
		}
		all[[3]string{stateLabel(p.State), reasonLabel(p.Reason), queue}] += p.Jobs
	}
	return all
}

// holdings has kind and reason, with a 0 wherever holds can be.
func (v *view) holdings() map[[2]string]int {
	all := map[[2]string]int{
		{"account", string(enqueue.InsufficientBalance)}:  0,
		{"account", string(enqueue.Account)}:              0,
		{"operator", string(enqueue.OperatorUnavailable)}: 0,
	}
	for _, kind := range kinds {
		all[[2]string{kind, string(enqueue.Paused)}] = 0
	}
	for _, h := range v.Holds {
		all[[2]string{kindLabel(h.Kind), reasonLabel(enqueue.Reason(h.Reason))}] += h.Holds
	}
	return all
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// unix is 0 for no time.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
