package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// holdState is everything that the copy in memory has.
type holdState struct {
	holds       map[string]Hold
	failing     map[string]bool // scopes of operators with refusals in a row
	pausedUntil time.Time       // a 429 stops the fleet until then
}

type pendingHold struct {
	hold   Hold
	failed bool // the write ended, in an error
}

// Find is the hold that a job is under, from the copy in memory: the widest first.
func (h *Holds) Find(r *enqueue.Record) (Hold, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.now.holds) == 0 {
		return Hold{}, false
	}
	for _, scope := range []string{ScopeAll, ScopeAccount, ScopeCampaign(r.TopUp.Campaign), ScopeOperator(r.TopUp.OperatorID)} {
		if hold, ok := h.now.holds[scope]; ok {
			return hold, true
		}
	}
	return Hold{}, false
}

// held reports whether a job of a campaign with this operator may not be sent.
func (h *Holds) held(campaign string, operator int64) bool {
	_, held := h.Find(&enqueue.Record{TopUp: enqueue.TopUp{Campaign: campaign, OperatorID: operator}})
	return held
}

// mayBeHeld is held for a row: one whose operator is not known yet may be of any that a
// person holds.
func (h *Holds) mayBeHeld(campaign string, operator int64) bool {
	if held := h.held(campaign, operator); held || operator != 0 {
		return held
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	for scope, hold := range h.now.holds {
		if hold.manual() && strings.HasPrefix(scope, "operator:") {
			return true
		}
	}
	return false
}

// campaignHeld reports whether nothing of a campaign may be sent.
func (h *Holds) campaignHeld(name string) bool { return h.held(name, 0) }

// has reports whether this very scope is on hold.
func (h *Holds) has(scope string) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	_, ok := h.now.holds[scope]
	return ok
}

// isFailing reports whether an operator is known to have refused last time.
func (h *Holds) isFailing(scope string) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	hold, held := h.now.holds[scope]
	return h.now.failing[scope] || (held && hold.breaker())
}

// pausedFor is how long a 429 still stops the fleet.
func (h *Holds) pausedFor() time.Duration {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.now.pausedUntil.IsZero() {
		return 0
	}
	return max(0, time.Until(h.now.pausedUntil))
}

// change changes the copy; a refresh that reads meanwhile starts again.
func (h *Holds) change(f func(*holdState)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.epoch++
	f(&h.now)
}

// refresh writes what could not be written before, and reads everything anew.
func (h *Holds) refresh(ctx context.Context) error {
	h.mu.RLock()
	var failed []Hold
	for _, p := range h.pending {
		if p.failed {
			failed = append(failed, p.hold)
		}
	}
	h.mu.RUnlock()
	for _, hold := range failed {
		if err := h.write(ctx, hold); err != nil {
			return err
		}
	}
	for range 3 {
		h.mu.RLock()
		epoch := h.epoch
		h.mu.RUnlock()
		fresh, err := h.read(ctx)
		if err != nil {
			return err
		}
		if h.replace(epoch, fresh) {
			return nil
		}
	}
	return nil // it changes all the time: the message about the last change is on its way
}

// replace takes over what was read, unless something changed here meanwhile.
func (h *Holds) replace(epoch int, fresh holdState) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.epoch != epoch {
		return false
	}
	for scope, p := range h.pending {
		hold := p.hold
		if before, ok := fresh.holds[scope]; ok {
			hold = hold.over(before)
		}
		fresh.holds[scope] = hold
	}
	if h.now.pausedUntil.After(fresh.pausedUntil) {
		fresh.pausedUntil = h.now.pausedUntil
	}
	h.now = fresh
	return true
}

// read reads everything: one round trip where nothing is on hold.
func (h *Holds) read(ctx context.Context) (holdState, error) {
	state := holdState{holds: map[string]Hold{}, failing: map[string]bool{}}
	pipe := h.rdb.Pipeline()
	members := pipe.SMembers(ctx, holdsKey)
	failing := pipe.HKeys(ctx, failingKey)
	pause := pipe.PTTL(ctx, pauseKey)
	if _, err := pipe.Exec(ctx); err != nil {
		return state, fmt.Errorf("holds: read them: %w", err)
	}
	for _, scope := range failing.Val() {
		state.failing[scope] = true
	}
	if left := pause.Val(); left > 0 {
		state.pausedUntil = time.Now().Add(left)
	}
	if len(members.Val()) == 0 {
		return state, nil
	}
	pipe = h.rdb.Pipeline()
	replies := map[string]*redis.MapStringStringCmd{}
	for _, scope := range members.Val() {
		replies[scope] = pipe.HGetAll(ctx, holdKey(scope))
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return state, fmt.Errorf("holds: read them: %w", err)
	}
	for scope, reply := range replies {
		if fields := reply.Val(); fields["reason"] != "" {
			state.holds[scope] = Hold{
				Scope: scope, Reason: enqueue.Reason(fields["reason"]), By: fields["by"],
				Since: milliTime(fields["since"]), Next: milliTime(fields["next"]),
			}
		}
	}
	return state, nil
}
