package worker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// inFlightKey has one for each POST under way → its lease's end in ms (zset).
const inFlightKey = "topup:inflight"

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

// keepScript renews leases, of those slots that are not taken away yet. KEYS: 1 the slots.
// ARGV: lease in ms, names.
var keepScript = redis.NewScript(`
local clock = redis.call('TIME')
local till = string.format('%.0f', tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000) + tonumber(ARGV[1]))
for k = 2, #ARGV do
  redis.call('ZADD', KEYS[1], 'XX', till, ARGV[k])
end
return redis.call('PEXPIRE', KEYS[1], ARGV[1])`)

// slots limits the POSTs under way in the whole fleet. A slot is leased, and its process
// renews the lease: those of a process that died are free soon.
type slots struct {
	rdb      redis.UniversalClient
	limit    int // 0 is off
	lease    time.Duration
	patience time.Duration

	mu   sync.Mutex
	held map[string]struct{}
}

func newSlots(rdb redis.UniversalClient, limit int, lease, patience time.Duration) *slots {
	return &slots{rdb: rdb, limit: limit, lease: lease, patience: patience, held: map[string]struct{}{}}
}

// enter waits for a slot and returns its name; or gives up with the time to come
// back after. A name is empty where there is no limit.
func (s *slots) enter(ctx context.Context) (string, time.Duration, error) {
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
			s.mu.Lock()
			s.held[name] = struct{}{}
			s.mu.Unlock()
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

// leave adds to a pipeline what gives a slot back.
func (s *slots) leave(ctx context.Context, pipe redis.Pipeliner, name string) {
	s.mu.Lock()
	delete(s.held, name)
	s.mu.Unlock()
	pipe.ZRem(ctx, inFlightKey, name)
}

// keep renews the leases of this process's slots.
func (s *slots) keep(ctx context.Context) error {
	s.mu.Lock()
	names := slices.Collect(maps.Keys(s.held))
	s.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	args := []any{s.lease.Milliseconds()}
	for _, name := range names {
		args = append(args, name)
	}
	if err := keepScript.Run(ctx, s.rdb, []string{inFlightKey}, args...).Err(); err != nil {
		return fmt.Errorf("in flight: renew %d leases: %w", len(names), err)
	}
	return nil
}
