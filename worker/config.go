package worker

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
)

// Config is what a worker needs. Redis and Reloadly are required; the zero value
// of everything else is its default.
type Config struct {
	// Redis is a client of one server, of the primary behind Sentinels, or of a cluster.
	Redis    redis.UniversalClient
	Reloadly *reloadly.Client
	// Ledger judges time; see [ScaleLedger] for tests. Its PostTimeout must not be
	// less than the client's.
	Ledger enqueue.LedgerConfig
	// InFlight is how many POSTs this process has under way at once. Defaults to 100.
	InFlight int
	// Servers is how many asynq servers of each kind share the process. Defaults to
	// 5 × in flight ÷ latency × round trip, from 1 to 24, measured at the start.
	Servers int
	// Latency is what one POST is expected to take, for that rule. Defaults to 300 ms.
	Latency time.Duration
	// Poll is how often an empty queue of single jobs is asked; those of
	// campaigns and follow-ups ten times less often. Defaults to 10 ms.
	Poll time.Duration
	// Async sends by POST /topups-async. Defaults to POST /topups.
	Async bool
	// PerSecond limits the POSTs of the whole fleet. Defaults to 0: no limit.
	PerSecond int
	// FleetInFlight limits the POSTs under way in the whole fleet. Defaults to 0: no limit.
	FleetInFlight int
	// Spacing is kept between two jobs to one number. Defaults to 2 min 10 s; negative is off.
	Spacing time.Duration
	// MaxPerNumberPerDay is how many top-ups one number may get on one UTC day, over all
	// jobs of this Redis. Defaults to 0: no limit.
	MaxPerNumberPerDay int
	// NumberKey keys the hash of a phone number in Redis' keys. Required when Spacing or
	// MaxPerNumberPerDay is on.
	NumberKey []byte
	// Feed is the time between two looks at the campaigns; where there is none, five
	// times that. Defaults to 200 ms.
	Feed time.Duration
	// Window is how many rows of campaigns can be in the queue or being sent, at most.
	// Defaults to 2,000.
	Window int
	// Audit is how far back the daily look at Reloadly's report goes. Defaults to 7 days;
	// negative is off.
	Audit time.Duration
	// Scale multiplies every wait of the worker. Defaults to 1.
	Scale float64
	// Name signs the log of each job. Defaults to "worker".
	Name string
	// ShutdownTimeout is how long a POST under way may go on after the end was
	// asked for. Defaults to 110 s; not less than a POST can take.
	ShutdownTimeout time.Duration
	// Logger gets one line per transition. Defaults to none.
	Logger *slog.Logger
	// OnTransition is told of each job after a change. Defaults to nil.
	OnTransition func(enqueue.Result)
	// OnChange is told what was done to a job, and costs nothing of Redis; it must not
	// wait. Defaults to nil.
	OnChange func(Change)
	// OnArchived is told of each archived task that the sweeper found: nothing of ours
	// is meant to be archived. Defaults to nil.
	OnArchived func()
	// Tracer follows jobs. Defaults to nil: nothing is traced.
	Tracer Tracer
}

// gatePatience is how long a job waits at each limit of the gate before it goes
// back into the queue.
const gatePatience = 5 * time.Second

// postLimit is how long a POST can go on after its job was claimed.
func (c Config) postLimit() time.Duration {
	l := enqueue.NewLedger(nil, c.Ledger).Config()
	return l.SendWindow + l.PostTimeout
}

func (c Config) withDefaults() (Config, error) {
	c.InFlight = cmp.Or(c.InFlight, 100)
	c.Latency = cmp.Or(c.Latency, 300*time.Millisecond)
	c.Poll = cmp.Or(c.Poll, 10*time.Millisecond)
	c.Scale = cmp.Or(c.Scale, 1)
	c.Feed = cmp.Or(c.Feed, c.scaled(200*time.Millisecond))
	c.Name = cmp.Or(c.Name, "worker")
	c.Spacing = cmp.Or(c.Spacing, c.scaled(130*time.Second))
	c.ShutdownTimeout = cmp.Or(c.ShutdownTimeout, c.postLimit()+2*gatePatience)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	c.Ledger.Who = c.Name
	var errs []error
	if c.Redis == nil {
		errs = append(errs, errors.New("worker: Redis is missing"))
	}
	if c.Reloadly == nil {
		errs = append(errs, errors.New("worker: Reloadly is missing"))
	}
	if (c.Spacing > 0 || c.MaxPerNumberPerDay > 0) && len(c.NumberKey) == 0 {
		errs = append(errs, errors.New("worker: NumberKey is missing (it keeps phone numbers out of Redis' keys)"))
	}
	if c.ShutdownTimeout < c.postLimit() {
		errs = append(errs, fmt.Errorf("worker: ShutdownTimeout %v is shorter than a POST can take (%v)", c.ShutdownTimeout, c.postLimit()))
	}
	if c.postLimit() >= enqueue.TaskTimeout {
		errs = append(errs, fmt.Errorf("worker: a POST can take %v, longer than its task (%v): asynq would run it twice", c.postLimit(), enqueue.TaskTimeout))
	}
	return c, errors.Join(errs...)
}

func (c Config) scaled(d time.Duration) time.Duration { return scale(d, c.Scale) }

func scale(d time.Duration, factor float64) time.Duration {
	return time.Duration(float64(d) * factor)
}

// ScaleLedger multiplies every time by which the ledger judges by one factor, so
// that their ratios hold. What is kept for days stays.
func ScaleLedger(cfg enqueue.LedgerConfig, factor float64) enqueue.LedgerConfig {
	cfg = enqueue.NewLedger(nil, cfg).Config()
	for _, d := range []*time.Duration{
		&cfg.Settle, &cfg.SendWindow, &cfg.PostTimeout, &cfg.AbsentSpacing, &cfg.Lifetime,
		&cfg.Patience, &cfg.ResendPause, &cfg.SweepGrace, &cfg.ClockSkew,
	} {
		*d = scale(*d, factor)
	}
	return cfg
}
