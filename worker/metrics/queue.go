package metrics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// asynq's own keys are read here: its inspector cannot be given a time limit, and does not
// know a queue that nobody has used. The figures and their names are those of asynq's
// x/metrics, which asynqmon asks Prometheus for.

// listed are the states of a task that asynq keeps in a list; the others are in a zset.
var listed = []string{"pending", "active"}

// taskStates are all of them.
var taskStates = []string{"pending", "active", "scheduled", "retry", "archived", "completed"}

// samples is how many tasks of each state are weighed.
const samples = 5

// queue is one of asynq's queues.
type queue struct {
	Tasks     map[string]int64 `json:"tasks"` // by state
	Latency   float64          `json:"latency"`
	Memory    float64          `json:"memory"`
	Processed int64            `json:"processed"`
	Failed    int64            `json:"failed"`
	Paused    bool             `json:"paused"`
}

func queueKey(queue, rest string) string { return "asynq:{" + queue + "}:" + rest }

// lookQueues reads every queue, and how many processes have servers that give a sign of life.
func lookQueues(ctx context.Context, rdb redis.UniversalClient, now time.Time) (map[string]queue, int, error) {
	found := map[string]queue{}
	for _, name := range queues {
		q, err := lookQueue(ctx, rdb, name, now)
		if err != nil {
			return nil, 0, fmt.Errorf("read queue %s: %w", name, err)
		}
		found[name] = q
	}
	alive, err := rdb.ZRangeByScore(ctx, "asynq:servers", &redis.ZRangeBy{Min: strconv.FormatInt(now.Unix(), 10), Max: "+inf"}).Result()
	if err != nil {
		return nil, 0, fmt.Errorf("count the workers: %w", err)
	}
	processes := map[string]bool{}
	for _, key := range alive { // asynq:servers:{host:pid:server}
		if end := strings.LastIndex(key, ":"); end > 0 {
			processes[key[:end]] = true
		}
	}
	return found, len(processes), nil
}

func lookQueue(ctx context.Context, rdb redis.UniversalClient, name string, now time.Time) (queue, error) {
	pipe := rdb.Pipeline()
	counts, some := map[string]*redis.IntCmd{}, map[string]*redis.StringSliceCmd{}
	for _, state := range taskStates {
		if key := queueKey(name, state); slices.Contains(listed, state) {
			counts[state], some[state] = pipe.LLen(ctx, key), pipe.LRange(ctx, key, -samples, -1)
		} else {
			counts[state], some[state] = pipe.ZCard(ctx, key), pipe.ZRange(ctx, key, 0, samples-1)
		}
	}
	processed, failed := pipe.Get(ctx, queueKey(name, "processed")), pipe.Get(ctx, queueKey(name, "failed"))
	paused := pipe.Exists(ctx, queueKey(name, "paused"))
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return queue{}, err
	}
	q := queue{Tasks: map[string]int64{}, Paused: paused.Val() > 0}
	q.Processed, _ = processed.Int64() // none is 0
	q.Failed, _ = failed.Int64()
	for state, count := range counts {
		q.Tasks[state] = count.Val()
	}

	// A second round trip: the oldest pending task, and what tasks and lists weigh.
	pipe = rdb.Pipeline()
	var since *redis.StringCmd
	if oldest := some["pending"].Val(); len(oldest) > 0 {
		since = pipe.HGet(ctx, queueKey(name, "t:"+oldest[len(oldest)-1]), "pending_since")
	}
	lists, tasks := map[string]*redis.IntCmd{}, map[string][]*redis.IntCmd{}
	for _, state := range taskStates {
		ids := some[state].Val()
		if len(ids) == 0 {
			continue
		}
		lists[state] = pipe.MemoryUsage(ctx, queueKey(name, state))
		for _, id := range ids {
			tasks[state] = append(tasks[state], pipe.MemoryUsage(ctx, queueKey(name, "t:"+id)))
		}
	}
	if pipe.Len() == 0 {
		return q, nil
	}
	_, _ = pipe.Exec(ctx) // a task may be gone by now; what is missing weighs nothing
	if err := ctx.Err(); err != nil {
		return queue{}, err
	}
	if since != nil {
		if ns, err := since.Int64(); err == nil {
			q.Latency = max(0, now.Sub(time.Unix(0, ns)).Seconds())
		}
	}
	for state, weighed := range tasks {
		var sum int64
		for _, w := range weighed {
			sum += w.Val()
		}
		q.Memory += float64(lists[state].Val()) + float64(sum)/float64(len(weighed))*float64(q.Tasks[state])
	}
	return q, nil
}
