package worker_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// trips counts round trips: a command, or a whole pipeline.
type trips struct{ n atomic.Int32 }

func (c *trips) DialHook(next redis.DialHook) redis.DialHook { return next }
func (c *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

func (c *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmds)
	}
}

// From the submission to the settled job: at most 6 round trips, and 8 with the
// rate limit and the spacing on. asynq's own dequeue is the one that is added here,
// because its client is not the one that is counted.
func TestRoundTripsOfAJob(t *testing.T) {
	for _, test := range []struct {
		name   string
		most   int32
		change func(*worker.Config)
	}{
		{"plain", 6, func(c *worker.Config) { c.Spacing = -1 }},
		{"rate_and_spacing", 8, func(c *worker.Config) { c.PerSecond = 100 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, sandbox.Config{}, func(w *world) {
				made := w.worker("w1", test.change)
				count := &trips{}
				settle := func(id string, lastFour int) {
					w.submit(numbered(id, lastFour))
					if err := made.ProcessTask(context.Background(), asynq.NewTask(enqueue.TaskType, enqueue.EncodeTask(id, 1))); err != nil {
						t.Fatal(err)
					}
				}
				settle("warm", 8301) // the scripts and the token are there from now on
				w.rdb.AddHook(count)
				settle("a", 8302)
				if n := count.n.Load() + 1; n > test.most {
					t.Errorf("%d round trips, want at most %d", n, test.most)
				} else {
					t.Logf("%d round trips", n)
				}
			})
		})
	}
}

// usedMemory is what Redis uses, without the buffers of its connections: they are as
// large as the traffic of the moment.
func usedMemory(t *testing.T, rdb *redis.Client) int64 {
	t.Helper()
	number := func(name string) (n int64) {
		for line := range strings.Lines(rdb.Info(t.Context(), "memory").Val()) {
			if text, ok := strings.CutPrefix(line, name+":"); ok {
				if _, err := fmt.Sscan(text, &n); err != nil {
					t.Fatal(err)
				}
			}
		}
		return n
	}
	return number("used_memory") - number("mem_clients_normal")
}

// What a job costs in a real Redis while it waits: at most 850 bytes.
func TestMemoryOfAWaitingJob(t *testing.T) {
	rdb := realRedis(t, "--appendonly", "no")
	jobs := enqueue.NewClient(rdb, enqueue.ClientConfig{})
	defer func() { _ = jobs.Close() }()
	const count = 5000
	submit := func(from, n int) {
		list := make([]enqueue.TopUp, n)
		for i := range list {
			list[i] = numbered(fmt.Sprintf("job-%07d", from+i), (from+i)%10000)
			list[i].RecipientPhone.Number = fmt.Sprintf("05%08d", from+i)
		}
		for _, answer := range jobs.TopUps(t.Context(), list) {
			if answer.Err != nil {
				t.Fatal(answer.Err)
			}
		}
	}
	submit(0, 200)
	before := usedMemory(t, rdb)
	submit(200, count)
	each := (usedMemory(t, rdb) - before) / count
	t.Logf("a waiting job: %d bytes", each)
	if each > 850 {
		t.Errorf("a waiting job takes %d bytes, want at most 850", each)
	}
}

// What a job costs in a real Redis after its end, against asynq alone that keeps the
// request and the provider's answer as they are: at most 0.6. Ours is the record, the
// tomb and the indexes, and asynq's completed task with its result.
func TestMemoryOfAFinishedJob(t *testing.T) {
	rdb := realRedis(t, "--appendonly", "no")
	// The slope between two sizes leaves out scripts, connections and counters. One is
	// four times the other: Redis' table of keys, which doubles, is as full in both.
	const few, many = 600, 2400
	slope := func(run func(*bench) measure) float64 {
		used := func(jobs int) int64 {
			s := &bench{TB: t, direct: rdb, rdb: rdb, inFlight: 10, jobs: jobs}
			run(s)
			return usedMemory(t, rdb)
		}
		return float64(used(many)-used(few)) / (many - few)
	}
	slope((*bench).full) // the buffers of the connections are as large as they get
	// A table of Redis' own that grows in one of the runs alone can spoil a slope.
	for attempt := 1; ; attempt++ {
		ours, raw := slope((*bench).full), slope((*bench).naive)
		t.Logf("a finished job: %.0f bytes, in asynq alone with the raw answer %.0f: %.2f", ours, raw, ours/raw)
		switch {
		case ours <= 0.6*raw:
			return
		case attempt == 3:
			t.Fatalf("a finished job takes %.0f bytes, %.2f of asynq alone (%.0f), want at most 0.6", ours, ours/raw, raw)
		}
	}
}
