package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/worker"
)

const (
	viewKey     = "topup:metrics:view"      // what one of the fleet found in Redis (string with TTL)
	viewTurnKey = "topup:metrics:view:turn" // there while that is fresh enough (string with TTL)
	// keepFor is how long it is shown where nobody looks any more.
	keepFor = time.Minute
	// restShare is how much of its time Redis is left alone: a look that took a second is
	// not repeated before twenty are over.
	restShare = 20
)

// view is everything that is known of Redis, the same for every process of the fleet. It
// holds no id and no name.
type view struct {
	At             time.Time        `json:"at"` // by Redis' clock
	Open           int64            `json:"open"`
	Looked         int64            `json:"looked"`
	Overdue        int64            `json:"overdue"`
	Reviews        int64            `json:"reviews"`
	Places         []placed         `json:"places"`
	OldestUnknown  float64          `json:"oldestUnknown"` // seconds, 0 where there is none
	OldestQueued   float64          `json:"oldestQueued"`
	OldestReview   float64          `json:"oldestReview"`
	Restarted      time.Time        `json:"restarted"`
	Holds          []held           `json:"holds"`
	Workers        int              `json:"workers"`
	Queues         map[string]queue `json:"queues"`
	Audited        time.Time        `json:"audited"` // or since when the first audit is waited for
	AuditNew       map[string]int64 `json:"auditNew"`
	MemoryUsed     int64            `json:"memoryUsed"`
	MemoryMax      int64            `json:"memoryMax"` // of the machine where Redis has no limit
	MemoryFullness float64          `json:"memoryFullness"`
}

type placed struct {
	enqueue.Place
	Jobs int `json:"jobs"`
}

type held struct {
	Kind   string `json:"kind"`
	Reason string `json:"reason"`
	Holds  int    `json:"holds"`
}

// turn reports whether it is this process's turn to do what one of the fleet does once in
// a while. Nobody gives it back: it runs out.
func turn(ctx context.Context, rdb redis.UniversalClient, key string, every time.Duration) (bool, error) {
	err := rdb.SetArgs(ctx, key, "1", redis.SetArgs{Mode: "NX", TTL: every}).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, err
}

// refreshView looks at Redis where it is this process's turn, and reads what the last one
// found. nil without an error says that nobody has looked yet.
func (m *Metrics) refreshView(ctx context.Context) (*view, error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	// While it looks, nobody else does.
	mine, err := turn(ctx, m.cfg.Redis, viewTurnKey, m.cfg.Interval+m.cfg.Timeout)
	if err != nil {
		return nil, err
	}
	if !mine {
		text, err := m.cfg.Redis.Get(ctx, viewKey).Bytes()
		if errors.Is(err, redis.Nil) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		v := new(view)
		return v, json.Unmarshal(text, v)
	}
	began := time.Now()
	v, err := m.look(ctx)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	rest := max(m.cfg.Interval, restShare*took)
	pipe := m.cfg.Redis.Pipeline()
	pipe.Set(ctx, viewKey, text, keepFor+2*rest)
	// The other processes ask at their own times: a little less, or each second turn is lost.
	pipe.PExpire(ctx, viewTurnKey, rest-m.cfg.Interval/4)
	_, err = pipe.Exec(ctx)
	return v, err
}

// look takes the view.
func (m *Metrics) look(ctx context.Context) (*view, error) {
	clock, err := m.cfg.Redis.Time(ctx).Result()
	if err != nil {
		return nil, err
	}
	s, err := m.cfg.Ledger.Survey(ctx, m.cfg.Limit)
	if err != nil {
		return nil, err
	}
	v := &view{
		At: clock.UTC(), Open: s.Open, Looked: s.Looked, Overdue: s.Overdue, Reviews: s.Reviews, Restarted: s.Restarted,
		OldestUnknown: age(clock, s.OldestUnknown), OldestQueued: age(clock, s.OldestQueued), OldestReview: age(clock, s.OldestReview),
	}
	for place, jobs := range s.Places {
		v.Places = append(v.Places, placed{place, jobs})
	}
	if v.Holds, err = m.lookHolds(ctx); err != nil {
		return nil, err
	}
	if v.Queues, v.Workers, err = lookQueues(ctx, m.cfg.Redis, clock); err != nil {
		return nil, err
	}
	if err := v.lookAudit(ctx, m.cfg.Redis); err != nil {
		return nil, err
	}
	if err := v.lookMemory(ctx, m.cfg.Redis); err != nil {
		return nil, err
	}
	return v, nil
}

// lookAudit reads what the last comparison with Reloadly's report came to.
func (v *view) lookAudit(ctx context.Context, rdb redis.UniversalClient) error {
	last, err := worker.ReadLastAudit(ctx, rdb)
	if err != nil || last == nil {
		return err
	}
	v.Audited, v.AuditNew = last.At, map[string]int64{}
	for verdict, n := range last.New {
		v.AuditNew[string(verdict)] = n
	}
	return nil
}

// age is how long a job stands as it does; what lies ahead is no age.
func age(now time.Time, s *enqueue.Standing) float64 {
	if s == nil {
		return 0
	}
	return max(0, now.Sub(s.Since).Seconds())
}

func (m *Metrics) lookHolds(ctx context.Context) ([]held, error) {
	list, err := m.holds.List(ctx)
	if err != nil {
		return nil, err
	}
	counts := map[held]int{}
	for _, hold := range list {
		counts[held{Kind: kindLabel(hold.Scope), Reason: reasonLabel(hold.Reason)}]++
	}
	var holds []held
	for h, n := range counts {
		h.Holds = n
		holds = append(holds, h)
	}
	return holds, nil
}

// lookMemory asks each server that holds jobs. The fullest one is what counts: Redis
// refuses writes when one is full.
func (v *view) lookMemory(ctx context.Context, rdb redis.UniversalClient) error {
	infos, err := onEach(ctx, rdb, func(ctx context.Context, c redis.Cmdable) (string, error) { return c.Info(ctx, "memory").Result() })
	var refused redis.Error
	if errors.As(err, &refused) { // memory:// and some services do not tell
		return nil
	} else if err != nil {
		return fmt.Errorf("ask Redis for its memory: %w", err)
	}
	for _, info := range infos {
		used, limit := infoNumber(info, "used_memory"), infoNumber(info, "maxmemory")
		if limit == 0 {
			limit = infoNumber(info, "total_system_memory")
		}
		v.MemoryUsed += used
		v.MemoryMax += limit
		if limit > 0 {
			v.MemoryFullness = max(v.MemoryFullness, float64(used)/float64(limit))
		}
	}
	return nil
}

// onEach asks the server, or every master of a cluster.
func onEach(ctx context.Context, rdb redis.UniversalClient, ask func(context.Context, redis.Cmdable) (string, error)) ([]string, error) {
	cluster, ok := rdb.(*redis.ClusterClient)
	if !ok {
		text, err := ask(ctx, rdb)
		return []string{text}, err
	}
	texts := make(chan string, 1000) // more masters than a cluster has
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		text, err := ask(ctx, c)
		texts <- text
		return err
	})
	close(texts)
	var all []string
	for text := range texts {
		all = append(all, text)
	}
	return all, err
}

func infoNumber(info, name string) int64 {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64) // 0 where Redis does not show it
			return n
		}
	}
	return 0
}
