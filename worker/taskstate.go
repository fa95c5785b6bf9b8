package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// What taskState says besides asynq's own words.
const (
	taskMissing  = "missing"
	taskWaits    = "waits"    // it runs, or it will
	taskOrphaned = "orphaned" // active, with nobody at it
)

// taskState reads a task in asynq's own keys. The inspector would not do: of one
// task it does not say that it is orphaned, and after a loss of Redis' data it
// does not know queues that are in use.
func (s *Sweeper) taskState(ctx context.Context, queue, taskID string) (string, error) {
	prefix := "asynq:{" + queue + "}:"
	pipe := s.rdb.Pipeline()
	state := pipe.HGet(ctx, prefix+"t:"+taskID, "state")
	lease := pipe.ZScore(ctx, prefix+"lease", taskID)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("sweeper: read task %s of queue %s: %w", taskID, queue, err)
	}
	switch {
	case errors.Is(state.Err(), redis.Nil):
		exists, err := s.rdb.Exists(ctx, prefix+"t:"+taskID).Result()
		if err != nil {
			return "", fmt.Errorf("sweeper: read task %s of queue %s: %w", taskID, queue, err)
		}
		if exists > 0 { // a rest that blocks the id (asynq issue 1167)
			return taskOrphaned, nil
		}
		return taskMissing, nil
	case state.Err() != nil:
		return "", fmt.Errorf("sweeper: read task %s of queue %s: %w", taskID, queue, state.Err())
	case state.Val() == "active":
		if lease.Err() != nil || time.Now().Unix() > int64(lease.Val()) {
			return taskOrphaned, nil
		}
		return taskWaits, nil
	case state.Val() == "scheduled", state.Val() == "retry":
		// A task that says so and is in no such set would wait for ever.
		err := s.rdb.ZScore(ctx, prefix+state.Val(), taskID).Err()
		if errors.Is(err, redis.Nil) {
			return taskOrphaned, nil
		} else if err != nil {
			return "", fmt.Errorf("sweeper: read task %s of queue %s: %w", taskID, queue, err)
		}
		return taskWaits, nil
	case state.Val() == "pending":
		return s.pendingState(ctx, prefix, taskID)
	default:
		return state.Val(), nil
	}
}

// pendingState tells a task that waits in its queue's list from one that only says so.
// The list is not searched, which may be a million long: it is first in, first out,
// so what became pending before its oldest task is not in it.
func (s *Sweeper) pendingState(ctx context.Context, prefix, taskID string) (string, error) {
	oldest, err := s.rdb.LIndex(ctx, prefix+"pending", -1).Result()
	empty := errors.Is(err, redis.Nil)
	if err != nil && !empty {
		return "", fmt.Errorf("sweeper: read the oldest of %spending: %w", prefix, err)
	}
	pipe := s.rdb.Pipeline()
	state := pipe.HGet(ctx, prefix+"t:"+taskID, "state")
	ours := pipe.HGet(ctx, prefix+"t:"+taskID, "pending_since")
	theirs := pipe.HGet(ctx, prefix+"t:"+oldest, "pending_since")
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("sweeper: read task %s of %spending: %w", taskID, prefix, err)
	}
	since, err := ours.Int64()
	first, err2 := theirs.Int64()
	switch {
	case state.Val() != "pending": // a worker has taken it up meanwhile
		return taskWaits, nil
	case empty, err == nil && err2 == nil && since < first:
		return taskOrphaned, nil
	default:
		return taskWaits, nil
	}
}
