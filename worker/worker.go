package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/govalues/decimal"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
	"example.com/topup/reloadly"
)

// Worker dequeues jobs and settles them. Make one with [New].
type Worker struct {
	cfg    Config
	log    *slog.Logger
	ledger *enqueue.Ledger
	client *reloadly.Client
	queue  *asynq.Client
	gate   *Gate
	holds  *Holds
	limit  campaign.NumberLimit
	slots  chan struct{}                   // one for each POST under way
	needed atomic.Pointer[decimal.Decimal] // what the job cost that met an empty balance
	ending chan struct{}                   // closed when no new POST may begin
}

// New checks the configuration and makes a worker. It writes nothing.
func New(cfg Config) (*Worker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	holds := NewHolds(cfg.Redis, HoldConfig{
		ProbeMin: cfg.scaled(30 * time.Second), ProbeMax: cfg.scaled(5 * time.Minute), Who: cfg.Name, Logger: cfg.Logger,
	})
	return &Worker{
		cfg: cfg, log: cfg.Logger, client: cfg.Reloadly, holds: holds,
		ledger: enqueue.NewLedger(cfg.Redis, cfg.Ledger),
		queue:  asynq.NewClientFromRedisClient(cfg.Redis),
		limit:  campaign.NumberLimit{Redis: cfg.Redis, PerDay: cfg.MaxPerNumberPerDay, Key: cfg.NumberKey},
		slots:  make(chan struct{}, cfg.InFlight),
		ending: make(chan struct{}),
		gate: NewGate(cfg.Redis, GateConfig{
			Holds: holds, Spacing: max(0, cfg.Spacing), PerSecond: cfg.PerSecond, FleetInFlight: cfg.FleetInFlight,
			NumberKey: cfg.NumberKey, Patience: gatePatience, Logger: cfg.Logger,
		}),
	}, nil
}

// Run works until ctx ends, then lets POSTs under way finish: it begins no new one,
// stops taking tasks, waits for the handlers, and stops the sweeper and the holds
// last. It is called once.
func (w *Worker) Run(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx)) // outlives ctx until the handlers are done
	defer stop()
	tasks, closeTasks := ownClient(w.cfg.Redis)
	defer closeTasks()
	inspector := asynq.NewInspectorFromRedisClient(w.cfg.Redis)
	sweeper := NewSweeper(w.cfg.Redis, w.ledger, inspector, w.queue, SweeperConfig{
		Interval: w.cfg.scaled(30 * time.Second), Recheck: w.cfg.scaled(5 * time.Minute), Logger: w.log, OnArchived: w.cfg.OnArchived,
	})
	jobs := enqueue.NewClient(w.cfg.Redis, enqueue.ClientConfig{Ledger: w.cfg.Ledger, Logger: w.log})
	defer func() { _ = jobs.Close() }() // it waits for nothing
	feeder := NewFeeder(w.cfg.Redis, jobs, w.queue, w.holds, FeederConfig{
		Interval: w.cfg.Feed, Recheck: w.cfg.scaled(5 * time.Second), Ahead: w.cfg.scaled(10 * time.Second),
		Lock: max(time.Second, w.cfg.scaled(10*time.Second)), Window: w.cfg.Window, Logger: w.log,
	})
	for _, ledger := range []*enqueue.Ledger{w.ledger, jobs.Ledger()} {
		if err := ledger.Open(ctx); err != nil {
			return fmt.Errorf("worker: %w", err)
		}
	}
	if err := w.holds.refresh(ctx); err != nil { // a job must not pass before the holds are known
		return fmt.Errorf("worker: %w", err)
	}
	var group errgroup.Group
	group.Go(func() error { return w.holds.Run(background, w.probe) })
	group.Go(func() error { return w.gate.Run(background) })
	group.Go(func() error { return sweeper.Run(background) })
	group.Go(func() error { return w.watchRedis(background) })
	if w.cfg.Audit >= 0 {
		auditor := NewAuditor(w.cfg.Redis, jobs, w.client, w.holds, AuditConfig{Reach: w.cfg.Audit, Interval: w.cfg.scaled(24 * time.Hour), Logger: w.log})
		group.Go(func() error { return auditor.Run(ctx) }) // what it had no time for is seen at the next look
	}
	group.Go(func() error { return feeder.Run(ctx) }) // first to end: another worker's takes over

	var errs []error
	var started []*asynq.Server
	for _, server := range w.servers(ctx, tasks) {
		if err := server.Start(w); err != nil {
			errs = append(errs, fmt.Errorf("start the queue's server: %w", err))
			break
		}
		started = append(started, server)
	}
	if len(errs) == 0 {
		<-ctx.Done()
	}
	close(w.ending)
	var waiting sync.WaitGroup
	for _, server := range started {
		waiting.Go(server.Shutdown)
	}
	waiting.Wait()
	stop()
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// servers are those for single jobs, for campaigns and for follow-ups, so that none
// waits behind another. An asynq server asks for one task of one queue a round trip,
// so a distant Redis needs several for each. Together those of a kind have as many
// tasks as [Worker.taken] says, and together they ask an empty queue as often as one alone would.
func (w *Worker) servers(ctx context.Context, rdb redis.UniversalClient) []*asynq.Server {
	count := cmp.Or(w.cfg.Servers, w.serverCount(ctx))
	base := asynq.Config{
		Concurrency:              max(1, (w.taken()+count-1)/count),
		DelayedTaskCheckInterval: time.Second,
		ShutdownTimeout:          w.cfg.ShutdownTimeout,
		Logger:                   queueLog{w.log, &lately{}},
		LogLevel:                 asynq.WarnLevel,
		RetryDelayFunc: func(n int, err error, _ *asynq.Task) time.Duration {
			var later comeBack
			if errors.As(err, &later) {
				return later.after
			}
			return w.backoff(n + 1)
		},
		IsFailure: func(err error) bool {
			var later comeBack
			return !errors.As(err, &later)
		},
	}
	var servers []*asynq.Server
	for queue, poll := range map[string]time.Duration{
		enqueue.QueueTopUps: w.cfg.Poll, enqueue.QueueCampaigns: 10 * w.cfg.Poll, enqueue.QueueFollowups: 10 * w.cfg.Poll,
	} {
		kind := base
		kind.Queues, kind.TaskCheckInterval = map[string]int{queue: 1}, poll*time.Duration(count)
		for i := range count {
			if i > 0 { // one is enough to bring forward what is due
				kind.DelayedTaskCheckInterval = time.Minute
			}
			servers = append(servers, asynq.NewServerFromRedisClient(rdb, kind))
		}
	}
	return servers
}

// taken is how many tasks of a kind the process has at once: those whose POST is under way,
// those that stand ready for when one ends, and those that are booked. Each costs memory, its
// goroutines' stacks above all; a quarter more than the POSTs keeps 1,000 busy with Redis 1 ms away.
func (w *Worker) taken() int {
	return w.cfg.InFlight + max(w.cfg.InFlight/4, min(w.cfg.InFlight, 100))
}

// maxServers is what one process starts by itself.
const maxServers = 24

// serverCount is 5 × in flight ÷ latency × round trip to Redis, from 1 to maxServers:
// under load a round trip takes several times what it takes an idle process.
func (w *Worker) serverCount(ctx context.Context) int {
	best := time.Hour
	for range 5 {
		start := time.Now()
		if err := w.cfg.Redis.Ping(ctx).Err(); err != nil {
			return 1
		}
		best = min(best, time.Since(start))
	}
	need := 5 * float64(w.cfg.InFlight) * float64(best) / float64(w.cfg.Latency)
	return min(maxServers, max(1, int(need+0.5)))
}

// probe reports whether the account can pay again.
func (w *Worker) probe(ctx context.Context) (bool, error) {
	balance, err := w.client.Balance(ctx)
	if err != nil {
		return false, err
	}
	if needed := w.needed.Load(); needed != nil {
		return balance.Balance.Cmp(*needed) >= 0, nil
	}
	return balance.Balance.IsPos(), nil
}
