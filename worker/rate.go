package worker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
)

// rateName is the Redis key of the fleet's rate; redis_rate puts "rate:" in front (string).
const rateName = "topup:posts"

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

// spread is d to twice d: who waits for the same thing does not come back together.
func spread(d time.Duration) time.Duration { return d + rand.N(max(d, 1)) }
