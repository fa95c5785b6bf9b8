package worker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// probeScript gives out the probe of a hold to the one that asks first, and sets
// the time of the next one: ProbeMin, twice that, and so on to ProbeMax. KEYS: 1 the
// hold. ARGV: ProbeMin, ProbeMax in ms. Answers 0 for the probe, -1 where there is no such
// hold any more, or else the ms until the next probe.
var probeScript = redis.NewScript(`
local hold = redis.call('HMGET', KEYS[1], 'reason', 'since', 'next')
if not hold[1] then
  return -1
end
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local least, most = tonumber(ARGV[1]), tonumber(ARGV[2])
if hold[1] == 'paused' then
  return most
end
local next_at = tonumber(hold[3]) or 0
if now < next_at then
  return next_at - now
end
-- The time on hold plus ProbeMin is the pause doubled each time, and needs no counter.
local pause = math.max(least, math.min(most, now - (tonumber(hold[2]) or now) + least))
redis.call('HSET', KEYS[1], 'next', string.format('%.0f', now + pause))
return 0`)

// Run keeps the copy fresh until ctx ends, and probes an account hold: probe says
// whether the account can pay again. One process of the fleet probes at a time.
func (h *Holds) Run(ctx context.Context, probe func(context.Context) (ok bool, err error)) error {
	changes := h.rdb.Subscribe(ctx, holdsChannel)
	defer func() { _ = changes.Close() }() // nothing is left to lose
	ticker := time.NewTicker(h.cfg.Refresh)
	defer ticker.Stop()
	var probing sync.WaitGroup
	defer probing.Wait()
	free := make(chan struct{}, 1) // one probe at a time, and it does not stop the refresh
	free <- struct{}{}
	stale := false
	for {
		if err := h.refresh(ctx); err != nil && ctx.Err() == nil {
			if !stale {
				h.log.WarnContext(ctx, "holds cannot be read; the last copy counts", "error", err)
			}
			stale = true
		} else {
			stale = false
		}
		if probe != nil && h.probeDue() {
			select {
			case <-free:
				probing.Go(func() {
					h.probe(ctx, probe)
					free <- struct{}{}
				})
			default:
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changes.Channel():
		case <-ticker.C:
		}
	}
}

func (h *Holds) probeDue() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	hold, ok := h.now.holds[ScopeAccount]
	return ok && !hold.manual() && !time.Now().Before(hold.Next)
}

func (h *Holds) probe(ctx context.Context, probe func(context.Context) (bool, error)) {
	wait, err := h.claimProbe(ctx, ScopeAccount)
	if err != nil || wait != 0 {
		return // another process has it, or Redis is away: the next round asks again
	}
	ok, err := probe(ctx)
	switch {
	case err != nil:
		h.log.WarnContext(ctx, "the account cannot be probed", "error", err)
	case !ok:
		h.log.InfoContext(ctx, "the account stays on hold")
	default:
		if err := h.lift(ctx, ScopeAccount, false); err != nil {
			h.log.ErrorContext(ctx, "the account is well, but its hold stands until the next probe", "error", err)
			return
		}
		h.log.InfoContext(ctx, "the account's hold is lifted")
	}
}

// claimProbe asks for the one probe of a hold: 0 is the probe, less that there is
// no hold any more, more is the time until the next one.
func (h *Holds) claimProbe(ctx context.Context, scope string) (time.Duration, error) {
	ms, err := probeScript.Run(ctx, h.rdb, []string{holdKey(scope)}, h.cfg.ProbeMin.Milliseconds(), h.cfg.ProbeMax.Milliseconds()).Int64()
	if err != nil {
		return 0, fmt.Errorf("hold %s: ask for its probe: %w", scope, err)
	}
	return time.Duration(ms) * time.Millisecond, nil
}
