package enqueue

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Survey is what is open in the ledger, for people who look after it.
type Survey struct {
	Open          int64         // jobs that are not final and wait for nobody's decision
	Looked        int64         // how many of them States and OldestUnknown are about
	States        map[State]int // of those looked at
	OldestUnknown *Standing     // since its last send; nil where there is none
	Overdue       int64         // jobs that the sweeper should have looked at
	OldestOverdue *Standing
	Reviews       int64 // jobs that wait for a person
	OldestReview  *Standing
}

// Standing is a job and since when it stands so.
type Standing struct {
	ID    string    `json:"id"`
	Since time.Time `json:"since"`
}

// surveyPage is how many jobs of a shard are read together.
const surveyPage = 1000

// Survey looks at every shard, and at the states of up to limit open jobs: there is
// no index by state, which every change would have to pay for.
func (l *Ledger) Survey(ctx context.Context, limit int64) (*Survey, error) {
	clock, err := l.rdb.Time(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: ask Redis for the time: %w", err)
	}
	s := &Survey{States: map[State]int{}}
	pipe := l.rdb.Pipeline()
	var open, overdue, reviews [shards]*redis.IntCmd
	var due, review [shards]*redis.ZSliceCmd
	for shard := range shards {
		open[shard] = pipe.ZCard(ctx, dueKey(shard))
		overdue[shard] = pipe.ZCount(ctx, dueKey(shard), "-inf", strconv.FormatInt(clock.UnixMilli(), 10))
		due[shard] = pipe.ZRangeWithScores(ctx, dueKey(shard), 0, 0)
		reviews[shard] = pipe.ZCard(ctx, reviewKey(shard))
		review[shard] = pipe.ZRangeWithScores(ctx, reviewKey(shard), 0, 0)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("ledger: survey: %w", err)
	}
	for shard := range shards {
		s.Open += open[shard].Val()
		s.Overdue += overdue[shard].Val()
		s.Reviews += reviews[shard].Val()
		if overdue[shard].Val() > 0 {
			s.OldestOverdue = older(s.OldestOverdue, due[shard].Val())
		}
		s.OldestReview = older(s.OldestReview, review[shard].Val())
	}
	for shard := range shards {
		for from := int64(0); from < open[shard].Val() && s.Looked < limit; from += surveyPage {
			if err := l.surveyStates(ctx, s, shard, from); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

func older(before *Standing, first []redis.Z) *Standing {
	if len(first) == 0 {
		return before
	}
	id, _ := first[0].Member.(string)
	return earlier(before, id, time.UnixMilli(int64(first[0].Score)).UTC())
}

func earlier(before *Standing, id string, since time.Time) *Standing {
	if before != nil && !since.Before(before.Since) {
		return before
	}
	return &Standing{ID: id, Since: since}
}

// surveyStates reads the states of one page of a shard's open jobs.
func (l *Ledger) surveyStates(ctx context.Context, s *Survey, shard int, from int64) error {
	ids, err := l.rdb.ZRange(ctx, dueKey(shard), from, from+surveyPage-1).Result()
	if err != nil {
		return fmt.Errorf("ledger: survey: %w", err)
	}
	if len(ids) == 0 {
		return nil
	}
	pipe := l.rdb.Pipeline()
	replies := make([]*redis.SliceCmd, len(ids))
	for i, id := range ids {
		replies[i] = pipe.HMGet(ctx, jobKey(id), fieldState, fieldSentAt, fieldCreatedAt)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("ledger: survey: %w", err)
	}
	for i, reply := range replies {
		state, _ := reply.Val()[0].(string)
		if state == "" {
			continue // it has ended meanwhile, or the sweeper will see to it
		}
		s.Looked++
		s.States[State(state)]++
		if State(state) != Unknown {
			continue
		}
		since, sent := reply.Val()[1].(string)
		if !sent { // a restarted Redis may have forgotten the send
			since, _ = reply.Val()[2].(string)
		}
		if ms, err := strconv.ParseInt(since, 10, 64); err == nil {
			s.OldestUnknown = earlier(s.OldestUnknown, ids[i], time.UnixMilli(ms).UTC())
		}
	}
	return nil
}
