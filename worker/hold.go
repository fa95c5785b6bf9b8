package worker

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// The scopes of holds that have no name of their own.
const (
	ScopeAll     = "all"
	ScopeAccount = "account"
)

// ScopeCampaign is the scope of a hold on one campaign.
func ScopeCampaign(name string) string { return "campaign:" + name }

// ScopeOperator is the scope of a hold on one operator.
func ScopeOperator(id int64) string { return "operator:" + strconv.FormatInt(id, 10) }

// Redis keys of holds. No two of them share a hash tag, so no script touches two.

// holdKey is one hold (hash: reason, since, by, next; times in ms).
func holdKey(scope string) string { return "topup:hold:" + scope }

const (
	holdsKey     = "topup:holds"         // the scopes on hold (set)
	failingKey   = "topup:holds:failing" // operator → refusals in a row because it is down (hash)
	pauseKey     = "topup:holds:pause"   // there while a 429 stops the fleet (string with TTL)
	relapseKey   = "topup:holds:relapse" // since when the account was on hold that a probe lifted lately (string with TTL)
	holdsChannel = "topup:holds:changed" // says that any of these changed (pub/sub)
)

// Hold keeps jobs from being sent. Look-ups go on under it.
type Hold struct {
	Scope  string         // all, account, campaign:<name> or operator:<id>
	Reason enqueue.Reason // paused: by a person, and only a person lifts it
	Since  time.Time      // zero is now
	By     string         // who placed it
	Next   time.Time      // the next probe; zero for a person's hold
}

// manual reports whether only a person lifts the hold.
func (h Hold) manual() bool { return h.Reason == enqueue.Paused }

// breaker reports whether the hold is an operator's open breaker.
func (h Hold) breaker() bool {
	return !h.manual() && strings.HasPrefix(h.Scope, "operator:")
}

// over is what becomes of h where the hold before stands already: a person's hold
// stays, and one of ours goes on with its own clock.
func (h Hold) over(before Hold) Hold {
	switch {
	case before.manual():
		return before
	case h.manual():
		return h
	default:
		before.Reason = h.Reason
		return before
	}
}

// HoldConfig is how holds are kept. The zero value is the default.
type HoldConfig struct {
	// ProbeMin is the time to the first probe; it doubles. Defaults to 30 s.
	ProbeMin time.Duration
	// ProbeMax is the longest time between two probes. Defaults to 5 min.
	ProbeMax time.Duration
	// Refresh is how old the copy in memory may become where no message arrives.
	// Defaults to 1 s.
	Refresh time.Duration
	// Who signs the holds that this process places. Defaults to "worker".
	Who string
	// Logger gets a line for each probe and each lift. Defaults to none.
	Logger *slog.Logger
}

// Holds knows what is on hold. The truth is in Redis; every process has a copy, so
// that asking costs nothing.
type Holds struct {
	rdb redis.UniversalClient
	cfg HoldConfig
	log *slog.Logger

	mu      sync.RWMutex
	epoch   int // grows with each change made here
	now     holdState
	pending map[string]pendingHold // placed here, not known to be in Redis
}

// NewHolds makes an empty copy; [Holds.Run] keeps it fresh.
func NewHolds(rdb redis.UniversalClient, cfg HoldConfig) *Holds {
	cfg.ProbeMin = cmp.Or(cfg.ProbeMin, 30*time.Second)
	cfg.ProbeMax = cmp.Or(cfg.ProbeMax, 5*time.Minute)
	cfg.Refresh = cmp.Or(cfg.Refresh, time.Second)
	cfg.Who = cmp.Or(cfg.Who, "worker")
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	return &Holds{
		rdb: rdb, cfg: cfg, log: cfg.Logger, pending: map[string]pendingHold{},
		now: holdState{holds: map[string]Hold{}, failing: map[string]bool{}},
	}
}

// placeScript is [Hold.over] in Redis. KEYS: 1 the hold. ARGV: reason, since, by, next.
var placeScript = redis.NewScript(`
local before = redis.call('HGET', KEYS[1], 'reason')
if before == 'paused' then
  return 0
end
if not before or ARGV[1] == 'paused' then
  redis.call('HSET', KEYS[1], 'reason', ARGV[1], 'since', ARGV[2], 'by', ARGV[3], 'next', ARGV[4])
else
  redis.call('HSET', KEYS[1], 'reason', ARGV[1])
end
return 1`)

// liftScript removes a hold. KEYS: 1 the hold. ARGV: 1 where a person asks; a
// person's hold is lifted by nobody else.
var liftScript = redis.NewScript(`
local before = redis.call('HGET', KEYS[1], 'reason')
if before == 'paused' and ARGV[1] ~= '1' then
  return 0
end
redis.call('DEL', KEYS[1])
return 1`)

// Place puts a scope on hold: in this process at once, whatever Redis says, and
// then in the whole fleet. What could not be written is written by [Holds.Run]
// later. Where the scope is on hold already, a person's hold stays as it is, and
// one of ours keeps its times.
func (h *Holds) Place(ctx context.Context, hold Hold) error {
	if err := validScope(hold.Scope); err != nil {
		return err
	}
	hold.Reason = cmp.Or(hold.Reason, enqueue.Paused)
	hold.By = cmp.Or(hold.By, h.cfg.Who)
	if hold.Since.IsZero() {
		hold.Since = time.Now()
	}
	if hold.Next.IsZero() && !hold.manual() {
		hold.Next = hold.Since.Add(h.cfg.ProbeMin)
	}
	h.change(func(s *holdState) {
		here := hold
		if before, ok := s.holds[hold.Scope]; ok {
			here = hold.over(before)
		}
		s.holds[hold.Scope] = here
		h.pending[hold.Scope] = pendingHold{hold: hold}
	})
	// Redis judges for itself: the copy may still have a hold that was lifted.
	return h.write(ctx, hold)
}

func validScope(scope string) error {
	kind, name, named := strings.Cut(scope, ":")
	switch {
	case scope == ScopeAll, scope == ScopeAccount:
		return nil
	case named && kind == "campaign" && name != "":
		return nil
	case named && kind == "operator":
		if id, err := strconv.ParseInt(name, 10, 64); err == nil && id > 0 {
			return nil
		}
	}
	return fmt.Errorf("hold: %q is no scope (use all, account, campaign:<name> or operator:<id>)", scope)
}

// write brings a hold into Redis. On a cluster the commands of one pipeline overtake
// each other, so what has an order has a round trip of its own: who sees the scope in
// the set finds the hold.
func (h *Holds) write(ctx context.Context, hold Hold) error {
	hold = h.relapsed(ctx, hold)
	err := placeScript.Run(ctx, h.rdb, []string{holdKey(hold.Scope)},
		string(hold.Reason), milliText(hold.Since), hold.By, milliText(hold.Next)).Err()
	if err == nil {
		err = h.rdb.SAdd(ctx, holdsKey, hold.Scope).Err()
	}
	if err == nil {
		err = h.rdb.Publish(ctx, holdsChannel, hold.Scope).Err()
	}
	h.change(func(*holdState) {
		if err == nil {
			delete(h.pending, hold.Scope)
		} else if p, ok := h.pending[hold.Scope]; ok {
			p.failed = true
			h.pending[hold.Scope] = p
		}
	})
	if err != nil {
		return fmt.Errorf("hold %s: write it to Redis: %w", hold.Scope, err)
	}
	return nil
}

// relapsed lets an account's hold go on with the clock of the one before, where a
// probe lifted that a moment ago and was wrong: a balance says nothing of a daily limit.
func (h *Holds) relapsed(ctx context.Context, hold Hold) Hold {
	if hold.Scope != ScopeAccount || hold.manual() {
		return hold
	}
	ms, err := h.rdb.Get(ctx, relapseKey).Int64()
	if err != nil { // nothing is known of one: it begins with the shortest pause
		return hold
	}
	since := time.UnixMilli(ms)
	next := hold.Since.Add(min(h.cfg.ProbeMax, hold.Since.Sub(since)))
	if next.After(hold.Next) {
		hold.Next = next
	}
	hold.Since = since
	return hold
}

// Lift ends a hold, whoever placed it. It is for people; a hold that cannot be
// lifted in Redis stands.
func (h *Holds) Lift(ctx context.Context, scope string) error {
	if err := validScope(scope); err != nil {
		return err
	}
	return h.lift(ctx, scope, true)
}

func (h *Holds) lift(ctx context.Context, scope string, person bool) error {
	lifted, err := liftScript.Run(ctx, h.rdb, []string{holdKey(scope)}, person).Int()
	if err != nil {
		return fmt.Errorf("hold %s: lift it in Redis: %w", scope, err)
	}
	if lifted == 0 {
		return nil
	}
	if hold, ok := h.Find(&enqueue.Record{}); ok && !person && hold.Scope == ScopeAccount && scope == ScopeAccount {
		if err := h.rdb.Set(ctx, relapseKey, hold.Since.UnixMilli(), 2*h.cfg.ProbeMax).Err(); err != nil {
			h.log.WarnContext(ctx, "a relapse of the account would begin anew", "error", err)
		}
	}
	h.change(func(s *holdState) {
		delete(s.holds, scope)
		delete(s.failing, scope)
		delete(h.pending, scope)
	})
	pipe := h.rdb.Pipeline()
	pipe.SRem(ctx, holdsKey, scope)
	pipe.HDel(ctx, failingKey, scope)
	_, err = pipe.Exec(ctx)
	if err != nil {
		return fmt.Errorf("hold %s: lift it in Redis: %w", scope, err)
	}
	pipe = h.rdb.Pipeline() // after the first one is through: see write
	again := pipe.Exists(ctx, holdKey(scope))
	pipe.Publish(ctx, holdsChannel, scope)
	_, err = pipe.Exec(ctx)
	if err == nil && again.Val() > 0 { // placed again between the two calls
		err = h.rdb.SAdd(ctx, holdsKey, scope).Err()
	}
	if err != nil {
		return fmt.Errorf("hold %s: lift it in Redis: %w", scope, err)
	}
	return nil
}

// List reads every hold from Redis, by scope.
func (h *Holds) List(ctx context.Context) ([]Hold, error) {
	state, err := h.read(ctx)
	if err != nil {
		return nil, err
	}
	var list []Hold
	for _, hold := range state.holds {
		list = append(list, hold)
	}
	slices.SortFunc(list, func(a, b Hold) int { return cmp.Compare(a.Scope, b.Scope) })
	return list, nil
}

func milliText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}

// milliTime is zero for what is no time: a hold without one is probed at once.
func milliTime(text string) time.Time {
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
