package enqueue

import (
	"cmp"
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
	Places        map[Place]int // of those looked at
	OldestQueued  *Standing     // since it could have been sent; nil where there is none
	OldestUnknown *Standing     // since its last send, or since Redis restarted where no send was in doubt before; nil where there is none
	Overdue       int64         // jobs that the sweeper should have looked at
	OldestOverdue *Standing
	Reviews       int64 // jobs that wait for a person
	OldestReview  *Standing
	Restarted     time.Time // when Redis was last found to be another process, or to have forgotten; zero for never
}

// Place is where an open job stands.
type Place struct {
	State  State  `json:"state"`
	Reason Reason `json:"reason"` // of a queued one; empty where it waits for nothing but its turn
	Queue  string `json:"queue"`  // of its next wake-up
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
	s := &Survey{States: map[State]int{}, Places: map[Place]int{}}
	pipe := l.rdb.Pipeline()
	var open, overdue, reviews [shards]*redis.IntCmd
	var due, review [shards]*redis.ZSliceCmd
	var incarnation [shards]*redis.SliceCmd
	for shard := range shards {
		open[shard] = pipe.ZCard(ctx, dueKey(shard))
		overdue[shard] = pipe.ZCount(ctx, dueKey(shard), "-inf", strconv.FormatInt(clock.UnixMilli(), 10))
		due[shard] = pipe.ZRangeWithScores(ctx, dueKey(shard), 0, 0)
		reviews[shard] = pipe.ZCard(ctx, reviewKey(shard))
		review[shard] = pipe.ZRangeWithScores(ctx, reviewKey(shard), 0, 0)
		incarnation[shard] = pipe.HMGet(ctx, incarnationKey(shard), "seen", "first")
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
		s.Restarted = restarted(s.Restarted, incarnation[shard].Val())
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

// restarted is the later of before and the time at which a shard saw another Redis.
func restarted(before time.Time, seen []any) time.Time {
	if len(seen) != 2 || seen[1] != "0" {
		return before
	}
	text, _ := seen[0].(string)
	ms, err := strconv.ParseInt(text, 10, 64)
	if at := time.UnixMilli(ms).UTC(); err == nil && at.After(before) {
		return at
	}
	return before
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
		replies[i] = pipe.HMGet(ctx, jobKey(id), fieldState, fieldSentAt, fieldCreatedAt, fieldReason, fieldVersion, fieldCampaign, fieldNotBefore, fieldUpdatedAt, fieldAmbiguous)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("ledger: survey: %w", err)
	}
	for i, reply := range replies {
		values := make([]string, len(reply.Val()))
		for k, value := range reply.Val() {
			values[k], _ = value.(string)
		}
		state := values[0]
		if state == "" {
			continue // it has ended meanwhile, or the sweeper will see to it
		}
		s.Looked++
		s.States[State(state)]++
		s.Places[standingPlace(values)]++
		switch State(state) {
		case Unknown:
			since := values[1]
			if since == "" || values[8] == "" || values[8] == "0" { // doubtful by a restart of Redis alone, however long it had waited
				since = cmp.Or(values[7], values[2])
			}
			s.OldestUnknown = sinceMilli(s.OldestUnknown, ids[i], since)
		case Queued:
			s.OldestQueued = sinceMilli(s.OldestQueued, ids[i], latest(values[6], values[2]))
		default:
		}
	}
	return nil
}

// standingPlace reads the fields that surveyStates asks for.
func standingPlace(values []string) Place {
	p := Place{State: State(values[0]), Queue: QueueFollowups}
	if p.State == Queued {
		notBefore, _ := strconv.ParseInt(values[6], 10, 64) // 0 where there is none
		p.Reason = waitsFor(Reason(values[3]), time.UnixMilli(notBefore))
	}
	switch {
	case p.State != Queued || values[4] != "1":
	case values[5] != "":
		p.Queue = QueueCampaigns
	default:
		p.Queue = QueueTopUps
	}
	return p
}

// latest is the later of two moments in ms; an empty one is none.
func latest(a, b string) string {
	at, _ := strconv.ParseInt(a, 10, 64)
	bt, _ := strconv.ParseInt(b, 10, 64)
	return strconv.FormatInt(max(at, bt), 10)
}

func sinceMilli(before *Standing, id, text string) *Standing {
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return before
	}
	return earlier(before, id, time.UnixMilli(ms).UTC())
}
