package worker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// Redis keys of the fleet's limits.
const (
	rateName    = "topup:posts"    // redis_rate puts "rate:" in front (string)
	inFlightKey = "topup:inflight" // one for each POST under way → its lease's end in ms (zset)
)

// pauseScript stops the fleet, and never for less than before. KEYS: 1 the pause.
// ARGV: ms.
var pauseScript = redis.NewScript(`
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
end
return 1`)

// pause stops every process's sends for d: here at once, elsewhere with the message
// or the next refresh.
func (h *Holds) pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	until := time.Now().Add(d)
	h.change(func(s *holdState) {
		if until.After(s.pausedUntil) {
			s.pausedUntil = until
		}
	})
	pipe := h.rdb.Pipeline()
	pauseScript.Eval(ctx, pipe, []string{pauseKey}, max(1, d.Milliseconds()))
	pipe.Publish(ctx, holdsChannel, "pause")
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("rate: pause the fleet: %w", err)
	}
	return nil
}

// rate lets a number of POSTs a second through, in the whole fleet.
type rate struct {
	limiter  *redis_rate.Limiter
	limit    redis_rate.Limit
	patience time.Duration
	turn     chan struct{} // one job of this process asks at a time: the others would only ask again
}

func newRate(rdb redis.UniversalClient, perSecond int, patience time.Duration) *rate {
	return &rate{
		limiter: redis_rate.NewLimiter(rdb), patience: patience, turn: make(chan struct{}, 1),
		// A burst of a whole second would let twice the limit through in one second.
		limit: redis_rate.Limit{Rate: perSecond, Period: time.Second, Burst: max(1, perSecond/10)},
	}
}

// wait waits until the limit allows one more. It gives up with the time to come
// back after where that would take too long.
func (l *rate) wait(ctx context.Context) (time.Duration, error) {
	if l == nil || l.limit.Rate <= 0 {
		return 0, nil
	}
	deadline := time.NewTimer(l.patience)
	defer deadline.Stop()
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-deadline.C:
		return spread(l.patience), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	for {
		answer, err := l.limiter.Allow(ctx, rateName, l.limit)
		if err != nil {
			return 0, fmt.Errorf("rate: ask for a send: %w", err)
		}
		if answer.Allowed > 0 {
			return 0, nil
		}
		again := time.NewTimer(answer.RetryAfter)
		select {
		case <-again.C:
		case <-deadline.C:
			again.Stop()
			return spread(l.patience), nil
		case <-ctx.Done():
			again.Stop()
			return 0, ctx.Err()
		}
	}
}

// enterScript takes one of the fleet's slots, and clears those of processes that
// ended without giving theirs back. KEYS: 1 the slots. ARGV: name, limit, lease in ms.
var enterScript = redis.NewScript(`
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
  return 0
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[3])), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`)

// slots limits the POSTs under way in the whole fleet.
type slots struct {
	rdb      redis.UniversalClient
	limit    int // 0 is off
	lease    time.Duration
	patience time.Duration
}

// enter waits for a slot and returns its name; or gives up with the time to come
// back after. A name is empty where there is no limit.
func (s slots) enter(ctx context.Context) (string, time.Duration, error) {
	if s.limit <= 0 {
		return "", 0, nil
	}
	name := string(enqueue.NewClaim())
	deadline := time.Now().Add(s.patience)
	pause := 10 * time.Millisecond
	for {
		entered, err := enterScript.Run(ctx, s.rdb, []string{inFlightKey}, name, s.limit, s.lease.Milliseconds()).Int()
		if err != nil {
			return "", 0, fmt.Errorf("in flight: ask for a slot: %w", err)
		}
		if entered == 1 {
			return name, 0, nil
		}
		if time.Now().After(deadline) {
			return "", spread(s.patience), nil
		}
		again := time.NewTimer(spread(pause))
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return "", 0, ctx.Err()
		}
		pause = min(2*pause, 500*time.Millisecond)
	}
}

// spread is d to twice d: who waits for the same thing does not come back together.
func spread(d time.Duration) time.Duration { return d + rand.N(max(d, 1)) }
