package enqueue

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Fail ends a job that needs review as unpaid, by a person's decision. It refuses
// where Reloadly has shown a transaction that was executed.
func (l *Ledger) Fail(ctx context.Context, id string) error {
	return l.review(ctx, id, "fail")
}

// Resend gives a job that needs review, failed or was refunded a new permission to
// be sent, not earlier than [LedgerConfig.ResendPause] after the last one has ended. A new
// identifier is taken only where its transaction ended unpaid and no send of the
// job ever ended without an answer. Where it may have been executed meanwhile it is
// looked up once more before it is sent.
func (l *Ledger) Resend(ctx context.Context, id string) error {
	return l.review(ctx, id, "resend")
}

func (l *Ledger) review(ctx context.Context, id, action string) error {
	answer, err := l.call(ctx, reviewScript, id, nil, action, l.cfg.ResendPause.Milliseconds(), l.cfg.MaxSends, MaxGeneration)
	if err != nil {
		return err
	}
	switch answer.Word {
	case "done":
		return nil
	case AnswerMissing:
		return fmt.Errorf("job %q: %w", id, ErrNotFound)
	case "executed":
		return fmt.Errorf("job %q: Reloadly shows it as executed, so it is neither unpaid nor sent again (use review adopt): %w", id, ErrNotReviewable)
	case "used":
		return fmt.Errorf("job %q: its identifier is used up and another would be unsafe (submit it under a new id): %w", id, ErrNotReviewable)
	default:
		return fmt.Errorf("job %q is %s: %w", id, answer.State, ErrNotReviewable)
	}
}

// Reviews lists the ids of jobs that wait for a person, longest first.
func (l *Ledger) Reviews(ctx context.Context) ([]string, error) {
	type entry struct {
		id    string
		since float64
	}
	var all []entry
	pipe := l.rdb.Pipeline()
	var replies []*redis.ZSliceCmd
	for shard := range shards {
		replies = append(replies, pipe.ZRangeWithScores(ctx, reviewKey(shard), 0, -1))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("ledger: list reviews: %w", err)
	}
	for _, reply := range replies {
		for _, z := range reply.Val() {
			id, _ := z.Member.(string)
			all = append(all, entry{id, z.Score})
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return int(a.since - b.since) })
	ids := make([]string, len(all))
	for i, e := range all {
		ids[i] = e.id
	}
	return ids, nil
}

// Overdue lists up to limit jobs of each shard whose wake-up is late.
func (l *Ledger) Overdue(ctx context.Context, limit int64) ([]string, error) {
	clock, err := l.rdb.Time(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: ask Redis for the time: %w", err)
	}
	pipe := l.rdb.Pipeline()
	var replies []*redis.StringSliceCmd
	for shard := range shards {
		replies = append(replies, pipe.ZRangeArgs(ctx, redis.ZRangeArgs{
			Key: dueKey(shard), ByScore: true, Start: "-inf", Stop: strconv.FormatInt(clock.UnixMilli(), 10), Count: limit,
		}))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("ledger: list overdue jobs: %w", err)
	}
	var ids []string
	for _, reply := range replies {
		ids = append(ids, reply.Val()...)
	}
	return ids, nil
}

// Checked notes that the sweeper has seen to an overdue job and need not look
// again before later has passed.
func (l *Ledger) Checked(ctx context.Context, id string, later time.Duration) error {
	clock, err := l.rdb.Time(ctx).Result()
	if err != nil {
		return fmt.Errorf("ledger: ask Redis for the time: %w", err)
	}
	next := redis.Z{Score: float64(clock.Add(later).UnixMilli()), Member: CanonicalID(id)}
	if err := l.rdb.ZAddXX(ctx, dueKey(shardOf(id)), next).Err(); err != nil {
		return fmt.Errorf("ledger: put off job %s: %w", id, err)
	}
	return nil
}
