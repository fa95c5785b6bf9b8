package worker

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// GateConfig is what a job has to pass before its claim. Holds is required; of the
// rest the zero value is the default.
type GateConfig struct {
	Holds *Holds
	// Spacing is kept between two jobs to one number. Defaults to 0: off.
	Spacing time.Duration
	// NumberKey keys the hash of a number in Redis' keys. Required with Spacing.
	NumberKey []byte
	// PerSecond limits the fleet's POSTs a second. Defaults to 0: off.
	PerSecond int
	// FleetInFlight limits the fleet's POSTs under way. Defaults to 0: off.
	FleetInFlight int
	// Lease is after how long a slot of a process that died is free again. Defaults to 30 s.
	Lease time.Duration
	// Patience is how long a job waits inside Pass for a limit before it goes back
	// into the queue. Defaults to 20 s.
	Patience time.Duration
	// BreakerAfter is how many refusals in a row open an operator's breaker.
	// Defaults to 3.
	BreakerAfter int
	// Logger gets what could not be told to the fleet. Defaults to none.
	Logger *slog.Logger
}

// Gate is everything that a job waits for before its claim, so that waiting never
// looks like "maybe sent": holds, the spacing of a number, the fleet's limits. It
// protects no money; the ledger does.
type Gate struct {
	rdb     redis.UniversalClient
	log     *slog.Logger
	holds   *Holds
	spacing spacing
	rate    *rate
	slots   *slots
	breaker breaker
}

// NewGate makes a gate. It writes nothing.
func NewGate(rdb redis.UniversalClient, cfg GateConfig) *Gate {
	patience := cmp.Or(cfg.Patience, 20*time.Second)
	return &Gate{
		rdb: rdb, holds: cfg.Holds,
		log:     cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)),
		spacing: spacing{rdb, cfg.Spacing, cfg.NumberKey},
		rate:    newRate(rdb, cfg.PerSecond, patience),
		slots:   newSlots(rdb, cfg.FleetInFlight, cmp.Or(cfg.Lease, 30*time.Second), patience),
		breaker: breaker{rdb, cfg.Holds, cmp.Or(cfg.BreakerAfter, 3)},
	}
}

// Run keeps what the process has of the fleet's sends under way, until ctx ends.
func (g *Gate) Run(ctx context.Context) error {
	if g.slots.limit <= 0 {
		return nil
	}
	renew := time.NewTicker(g.slots.lease / 3)
	defer renew.Stop()
	for {
		select {
		case <-renew.C:
		case <-ctx.Done():
			return nil
		}
		if err := g.slots.keep(ctx); err != nil && ctx.Err() == nil {
			g.log.WarnContext(ctx, "others may take the slots of what is under way here", "error", err)
		}
	}
}

// Wait says that a job may not be sent yet.
type Wait struct {
	Reason enqueue.Reason
	Delay  time.Duration
	Held   bool // the time does not count against the job's lifetime
}

// Ticket is what a job that passed has to give back.
type Ticket struct{ pass *pass }

type pass struct {
	gate     *Gate
	record   *enqueue.Record
	slot     string    // of the fleet; empty where there is no limit
	reserved time.Time // when it took its number; zero where it did not
	done     atomic.Bool
}

// Pass lets a job prepare its send, or says what it waits for. Where the fleet's limit of
// sends under way is on it can wait inside, at most for [GateConfig.Patience]. A job that
// passed takes its turn with [Ticket.Turn], and gives its ticket back with [Ticket.Done].
func (g *Gate) Pass(ctx context.Context, r *enqueue.Record) (Ticket, *Wait, error) {
	p := &pass{gate: g, record: r}
	wait, err := g.pass(ctx, p)
	if wait != nil || err != nil {
		Ticket{p}.Done(context.WithoutCancel(ctx), false) // what it has already is given back in any case
		return Ticket{}, wait, err
	}
	return Ticket{p}, nil, nil
}

func (g *Gate) pass(ctx context.Context, p *pass) (*Wait, error) {
	if _, wait := g.held(p.record); wait != nil {
		return wait, nil
	}
	before := time.Now()
	delay, err := g.spacing.Reserve(ctx, p.record)
	if err != nil {
		return nil, err
	}
	if delay > 0 {
		return &Wait{Reason: enqueue.RecentlyRecharged, Delay: delay}, nil
	}
	if g.spacing.applies(p.record) {
		p.reserved = before
	}
	var back time.Duration
	if p.slot, back, err = g.slots.enter(ctx); err != nil {
		return nil, err
	}
	if back > 0 {
		return &Wait{Reason: enqueue.RateLimited, Delay: back}, nil
	}
	return nil, nil
}

// Turn is the last thing before the claim, when nothing else is waited for: what the rate
// lets through is sent at once, and not with others after a wait. It waits at most for
// [GateConfig.Patience], and says for what the job waits where it may not go.
func (t Ticket) Turn(ctx context.Context) (*Wait, error) {
	g, r := t.pass.gate, t.pass.record
	back, err := g.rate.wait(ctx)
	if err != nil {
		return nil, err
	}
	if back > 0 {
		return &Wait{Reason: enqueue.RateLimited, Delay: back}, nil
	}
	// A hold may have come while the job waited.
	trial, wait := g.held(r)
	if wait != nil || trial == nil {
		return wait, nil
	}
	delay, err := g.breaker.through(ctx, *trial)
	if err == nil && delay > 0 {
		return &Wait{Reason: trial.Reason, Delay: g.behind(delay), Held: true}, nil
	}
	return nil, err
}

// held is why the job may not go, from memory alone; or the open breaker that the
// job may be the one to try.
func (g *Gate) held(r *enqueue.Record) (trial *Hold, wait *Wait) {
	if left := g.holds.pausedFor(); left > 0 {
		return nil, &Wait{Reason: enqueue.RateLimited, Delay: left + spread(100*time.Millisecond)}
	}
	hold, held := g.holds.Find(r)
	if !held {
		return nil, nil
	}
	left := time.Until(hold.Next)
	if hold.breaker() && left <= 0 {
		return &hold, nil
	}
	// A hold is asked for again twice in the shortest pause between probes: who
	// releases it sees the jobs go on soon, and a thousand that wait cost little.
	again := spread(g.holds.cfg.ProbeMin / 2)
	if hold.breaker() {
		again = g.behind(left)
	}
	return nil, &Wait{Reason: hold.Reason, Delay: again, Held: true}
}

// behind is a little after d, so that the one that tries an operator out is not
// one of thousands that ask at once.
func (g *Gate) behind(d time.Duration) time.Duration {
	return d + rand.N(max(g.holds.cfg.ProbeMin/2, 1))
}

// Done gives back what the job has. sent is false where nothing can have been
// executed: then its number is free again.
func (t Ticket) Done(ctx context.Context, sent bool) {
	if t.pass == nil || t.pass.done.Swap(true) {
		return
	}
	p, g := t.pass, t.pass.gate
	pipe := g.rdb.Pipeline()
	if p.slot != "" {
		g.slots.leave(ctx, pipe, p.slot)
	}
	if !p.reserved.IsZero() {
		keys, id := []string{numberKey(g.spacing.secret, p.record.TopUp.RecipientPhone)}, enqueue.CanonicalID(p.record.TopUp.ID)
		switch {
		case !sent:
			releaseScript.Eval(ctx, pipe, keys, id)
		case time.Since(p.reserved) > g.spacing.margin(): // a slow POST: the time counts from its end
			reserveScript.Eval(ctx, pipe, keys, id, g.spacing.apart.Milliseconds())
		}
	}
	if pipe.Len() == 0 {
		return
	}
	if _, err := pipe.Exec(ctx); err != nil {
		g.log.WarnContext(ctx, "a slot or a number is given back late, by its time limit", "job", p.record.TopUp.ID, "error", err)
	}
}

// Refused tells the gate of a refusal; operatorDown is what it said of the operator.
func (g *Gate) Refused(ctx context.Context, r *enqueue.Record, operatorDown bool) {
	if !operatorDown {
		return
	}
	if err := g.breaker.refused(ctx, r.TopUp.OperatorID); err != nil {
		g.log.WarnContext(ctx, "the fleet was not told that an operator is down", "operator", r.TopUp.OperatorID, "error", err)
	}
}

// Accepted tells the gate that the operator of a job works.
func (g *Gate) Accepted(ctx context.Context, r *enqueue.Record) {
	if err := g.breaker.accepted(ctx, r.TopUp.OperatorID); err != nil {
		g.log.WarnContext(ctx, "the fleet was not told that an operator works", "operator", r.TopUp.OperatorID, "error", err)
	}
}

// Pause stops the sends of the whole fleet for d, because of a 429.
func (g *Gate) Pause(ctx context.Context, d time.Duration) {
	if err := g.holds.pause(ctx, d); err != nil {
		g.log.WarnContext(ctx, "a 429 stops this process alone", "pause", d, "error", err)
	}
}
