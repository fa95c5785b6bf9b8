package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/bsm/redislock"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
)

// feederLock lets one feeder of the fleet work at a time (string with TTL). Two at once
// do no harm: rows are taken and settled by scripts, and the ledger refuses a job twice.
const feederLock = "topup:lock:feeder"

// FeederConfig is how the feeder works. The zero value is the default.
type FeederConfig struct {
	// Interval is the time between two turns; where there is no campaign, five times
	// that. Defaults to 200 ms.
	Interval time.Duration
	// Recheck is after how long a job is looked at again of which nothing was heard.
	// Defaults to 5 s.
	Recheck time.Duration
	// Ahead is how much work lies in the queue: rows of so much time at the pace at
	// which they are settled. Defaults to 10 s.
	Ahead time.Duration
	// Window is how many rows can be sent at once or at any moment, at most, over all
	// campaigns. Defaults to 2,000.
	Window int
	// Lock is after how long another feeder takes over from one that died. Defaults to 10 s.
	Lock time.Duration
	// Logger gets a line where a campaign starts and ends. Defaults to none.
	Logger *slog.Logger
}

// Feeder moves the rows of campaigns into the queue through a window, and books in
// each campaign what became of its jobs. It keeps nothing that is not in Redis too: a
// feeder that takes over reads the open rows and goes on.
type Feeder struct {
	rdb    redis.UniversalClient
	jobs   *enqueue.Client
	queue  *asynq.Client
	holds  *Holds
	store  *campaign.Store
	locks  *redislock.Client
	cfg    FeederConfig
	log    *slog.Logger
	window window

	known map[string]*fed
	turns int
	mend  time.Time // when to look for campaigns that are on no list
	heard settlements
	said  lately
}

// NewFeeder makes a feeder. It writes nothing.
func NewFeeder(rdb redis.UniversalClient, jobs *enqueue.Client, queue *asynq.Client, holds *Holds, cfg FeederConfig) *Feeder {
	cfg.Interval = cmp.Or(cfg.Interval, 200*time.Millisecond)
	cfg.Recheck = cmp.Or(cfg.Recheck, 5*time.Second)
	cfg.Ahead = cmp.Or(cfg.Ahead, 10*time.Second)
	cfg.Window = cmp.Or(cfg.Window, 2000)
	cfg.Lock = cmp.Or(cfg.Lock, 10*time.Second)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	return &Feeder{
		rdb: rdb, jobs: jobs, queue: queue, holds: holds, store: campaign.NewStore(rdb), locks: redislock.New(rdb), cfg: cfg, log: cfg.Logger,
		window: window{most: cfg.Window, ahead: cfg.Ahead}, known: map[string]*fed{},
	}
}

// Run feeds until ctx ends.
func (f *Feeder) Run(ctx context.Context) error {
	tick := time.NewTimer(f.cfg.Interval)
	defer tick.Stop()
	var lead lead
	defer f.Close()
	defer func() { lead.leave(context.WithoutCancel(ctx)) }() // the next one need not wait for the lock to run out
	for {
		mine, fresh, err := lead.ask(ctx, f.locks, f.cfg.Lock)
		if fresh { // somebody else has worked meanwhile
			f.known, f.mend = map[string]*fed{}, time.Time{}
		}
		if mine {
			err = f.Turn(ctx)
		} else {
			f.heard.stop()
		}
		if err != nil && ctx.Err() == nil && f.said.saying("turn") {
			f.log.WarnContext(ctx, "campaigns were not fed; the next turn tries again", "error", err)
		}
		pause := f.cfg.Interval
		if len(f.known) == 0 {
			pause *= 5
		}
		tick.Reset(pause)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Close ends the subscription that [Feeder.Turn] began. Run needs no Close.
func (f *Feeder) Close() { f.heard.stop() }

// Turn looks once at every active campaign: it books what has ended, and hands over
// what fits into the window. What goes wrong with one campaign does not stop the others.
func (f *Feeder) Turn(ctx context.Context) error {
	now := time.Now()
	if !now.Before(f.mend) {
		if err := f.store.Mend(ctx); err != nil {
			return err
		}
		f.mend = now.Add(12 * f.cfg.Recheck)
	}
	names, err := f.store.Active(ctx)
	if err != nil {
		return err
	}
	for name, c := range f.known {
		if !c.retired && !slices.Contains(names, name) { // Redis lost the list
			if err := f.store.Relist(ctx, name); err != nil {
				return err
			}
			names = append(names, name)
		}
	}
	looks, err := f.store.Looks(ctx, names)
	if err != nil {
		return err
	}
	if len(looks) > 0 {
		f.heard.listen(ctx, f.rdb)
	} else {
		f.heard.stop()
	}
	heard := f.heard.drain()
	before, active := f.known, make([]*fed, 0, len(looks))
	f.known = make(map[string]*fed, len(looks))
	settled := 0
	for _, look := range looks {
		c := before[look.Name]
		if c == nil {
			c = &fed{name: look.Name, ended: look.Ended}
		}
		f.known[look.Name], c.retired = c, false
		n, err := f.follow(ctx, c, look, heard)
		settled += n
		if err != nil && ctx.Err() == nil {
			if f.said.saying("look " + look.Name) {
				f.log.WarnContext(ctx, "a campaign was not looked at; the next turn tries again", "campaign", look.Name, "error", err)
			}
			c.stale = true
			continue // it is not fed before it is known where it stands
		}
		active = append(active, c)
	}
	f.window.settled(settled, now)
	f.turns++
	f.feed(ctx, active)
	return ctx.Err()
}

// feed hands rows over, the campaigns taking turns at what the window leaves.
func (f *Feeder) feed(ctx context.Context, campaigns []*fed) {
	var hungry []*fed
	var wants []want
	for _, c := range campaigns {
		if c.look.State != campaign.Running || c.held {
			continue
		}
		w := c.want()
		if w.rest+w.ready > 0 {
			hungry, wants = append(hungry, c), append(wants, w)
		}
	}
	shares := f.window.shares(wants)
	for k := range hungry {
		k = (k + f.turns) % len(hungry) // who is first changes
		if err := f.handOver(ctx, hungry[k], shares[k]); err != nil && ctx.Err() == nil {
			if f.said.saying("hand over " + hungry[k].name) {
				f.log.WarnContext(ctx, "rows were not handed over; the next turn tries again", "campaign", hungry[k].name, "error", err)
			}
			hungry[k].stale = true
		}
	}
}

// settlements are the ids of jobs of which was heard that they have settled. A lost message
// costs some seconds: the job is looked at in any case.
type settlements struct {
	sub  *redis.PubSub
	done sync.WaitGroup
	mu   sync.Mutex
	ids  map[string]bool
}

func (s *settlements) listen(ctx context.Context, rdb redis.UniversalClient) {
	if s.sub != nil {
		return
	}
	s.sub = rdb.Subscribe(ctx, enqueue.SettledChannel)
	messages := s.sub.Channel()
	s.done.Go(func() {
		for m := range messages {
			s.mu.Lock()
			if s.ids == nil {
				s.ids = map[string]bool{}
			}
			s.ids[m.Payload] = true
			s.mu.Unlock()
		}
	})
}

func (s *settlements) drain() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := s.ids
	s.ids = nil
	return ids
}

func (s *settlements) stop() {
	if s.sub == nil {
		return
	}
	_ = s.sub.Close() // nothing is left to lose
	s.done.Wait()
	s.sub = nil
	s.drain()
}

// lead is the lock of the one feeder that works.
type lead struct {
	lock *redislock.Lock
	next time.Time // when to ask again
}

// ask reports whether the lead is ours, and whether it has just become so.
func (l *lead) ask(ctx context.Context, locks *redislock.Client, life time.Duration) (mine, fresh bool, err error) {
	now := time.Now()
	if now.Before(l.next) {
		return l.lock != nil, false, nil
	}
	l.next = now.Add(life / 3)
	if l.lock != nil {
		err := l.lock.Refresh(ctx, life, nil)
		if err == nil {
			return true, false, nil
		}
		l.lock = nil
		if !errors.Is(err, redislock.ErrNotObtained) {
			return false, false, fmt.Errorf("feeder: keep the lock: %w", err)
		}
	}
	lock, err := locks.Obtain(ctx, feederLock, life, nil)
	if errors.Is(err, redislock.ErrNotObtained) {
		return false, false, nil
	} else if err != nil {
		return false, false, fmt.Errorf("feeder: lock: %w", err)
	}
	l.lock = lock
	return true, true, nil
}

func (l *lead) leave(ctx context.Context) {
	if l.lock != nil {
		_ = l.lock.Release(ctx) // otherwise it runs out
		l.lock = nil
	}
}
