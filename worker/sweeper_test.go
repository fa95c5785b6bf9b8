package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/bsm/redislock"
	"github.com/govalues/decimal"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// broom is a sweeper and what it works on.
type broom struct {
	*fleet
	*Sweeper
	rdb  *redis.Client
	jobs *enqueue.Client
	log  bytes.Buffer
}

func sweeping(t *testing.T, f func(*broom)) {
	t.Helper()
	together(t, func(fl *fleet) {
		b := &broom{fleet: fl, rdb: fl.process()}
		b.jobs = enqueue.NewClient(b.rdb, enqueue.ClientConfig{
			Ledger: enqueue.LedgerConfig{Epoch: "test"},
			Headers: func(context.Context, string) map[string]string {
				return map[string]string{"traceparent": "of the caller"}
			},
		})
		b.Sweeper = NewSweeper(b.rdb, b.jobs.Ledger(), asynq.NewInspectorFromRedisClient(b.rdb), asynq.NewClientFromRedisClient(b.rdb),
			SweeperConfig{Logger: slog.New(slog.NewTextHandler(&b.log, nil))})
		f(b)
		b.ok(b.jobs.Close())
	})
}

func (b *broom) submit(id, campaign string) {
	b.Helper()
	_, err := b.jobs.TopUp(b.fleet.ctx, enqueue.TopUp{
		ID: id, Campaign: campaign, OperatorID: 7, Amount: decimal.MustNew(10, 0),
		RecipientPhone: enqueue.Phone{CountryCode: "AE", Number: "+971501234567"},
	})
	b.ok(err)
}

// sweep sweeps once and checks how many were woken up.
func (b *broom) sweep(want int) {
	b.Helper()
	n, err := b.Sweep(b.fleet.ctx)
	b.ok(err)
	if n != want {
		b.Errorf("%d woken up, want %d\n%s", n, want, b.log.String())
	}
}

// task is the one task of a queue.
func (b *broom) task(queue string) string {
	b.Helper()
	tasks, err := b.inspector.ListPendingTasks(queue)
	if err != nil || len(tasks) != 1 {
		b.Fatalf("tasks of %s: %v, %v", queue, tasks, err)
	}
	return tasks[0].ID
}

// force writes the state in which asynq left a task.
func (b *broom) force(queue, id, state string) {
	prefix := "asynq:{" + queue + "}:"
	b.redis.HSet(prefix+"t:"+id, "state", state)
	b.redis.Del(prefix + "pending")
	if state == "archived" || state == "completed" {
		_, err := b.redis.ZAdd(prefix+state, float64(time.Now().Unix()), id)
		b.ok(err)
	}
}

func (b *broom) overdue() int {
	b.Helper()
	ids, err := b.ledger.Overdue(b.fleet.ctx, 100)
	b.ok(err)
	return len(ids)
}

func TestSweeperLeavesTasksThatWait(t *testing.T) {
	for _, state := range []string{"pending", "scheduled", "retry", "active"} {
		t.Run(state, func(t *testing.T) {
			sweeping(t, func(b *broom) {
				b.submit("a:5", "")
				if state != "pending" {
					b.force(enqueue.QueueTopUps, "a:5", state)
				}
				for _, set := range []string{"lease", state} {
					if set != "active" && set != "pending" {
						_, err := b.redis.ZAdd("asynq:{topups}:"+set, float64(time.Now().Add(time.Minute).Unix()), "a:5")
						b.ok(err)
					}
				}
				b.sweep(0) // not overdue yet
				time.Sleep(20 * time.Second)
				if b.overdue() != 1 {
					t.Fatal("not overdue")
				}
				b.sweep(0)
				if b.overdue() != 0 {
					t.Error("looked at again at once")
				}
				time.Sleep(5*time.Minute + time.Second)
				if b.overdue() != 1 {
					t.Error("forgotten")
				}
			})
		})
	}
}

func TestSweeperWakesUp(t *testing.T) {
	for _, c := range []struct {
		name, campaign, state string
		queue, id             string
	}{
		{"lost", "", "", enqueue.QueueTopUps, "a:5"},
		{"lost of a campaign", "may", "", enqueue.QueueCampaigns, "a:5"},
		{"completed", "", "completed", enqueue.QueueFollowups, "a:5:1:s"},
		{"archived", "", "archived", enqueue.QueueFollowups, "a:5:1:s"},
		{"orphaned", "", "active", enqueue.QueueFollowups, "a:5:1:s"},
		{"a rest", "", "rest", enqueue.QueueFollowups, "a:5:1:s"},
		// What half a script leaves, or half of a queue that was deleted.
		{"scheduled in no set", "", "scheduled", enqueue.QueueFollowups, "a:5:1:s"},
		{"to be retried in no set", "", "retry", enqueue.QueueFollowups, "a:5:1:s"},
		{"pending in no list", "", "pending", enqueue.QueueFollowups, "a:5:1:s"},
		{"pending before the oldest", "", "behind", enqueue.QueueFollowups, "a:5:1:s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sweeping(t, func(b *broom) {
				b.submit("a:5", c.campaign)
				switch c.state {
				case "":
					for _, queue := range []string{enqueue.QueueTopUps, enqueue.QueueCampaigns} {
						b.redis.Del("asynq:{" + queue + "}:t:a:5")
						b.redis.Del("asynq:{" + queue + "}:pending")
					}
				case "behind":
					b.force(enqueue.QueueTopUps, "a:5", "pending")
					time.Sleep(time.Second)
					_, err := b.client.EnqueueContext(b.fleet.ctx, enqueue.NewTask(enqueue.QueueTopUps, "later", "later", 1, time.Time{}))
					b.ok(err)
				case "rest":
					b.force(enqueue.QueueTopUps, "a:5", "rest")
					b.redis.HDel("asynq:{topups}:t:a:5", "state")
				default:
					b.force(enqueue.QueueTopUps, "a:5", c.state)
				}
				time.Sleep(20 * time.Second)
				b.sweep(1)
				want := c.id
				if strings.HasSuffix(want, ":s") {
					want += fmt.Sprint(time.Now().Unix())
				}
				if got := b.task(c.queue); got != want {
					t.Errorf("task %q, want %q", got, want)
				}
				info, err := b.inspector.GetTaskInfo(c.queue, want)
				b.ok(err)
				if id, version, err := enqueue.DecodeTask(info.Payload); id != "a:5" || version != 1 || err != nil {
					t.Errorf("payload %q, %d, %v", id, version, err)
				}
				if readable := c.state != "" && c.state != "rest"; readable != (info.Headers["traceparent"] == "of the caller") {
					t.Errorf("headers %v", info.Headers)
				}
				b.sweep(0) // not at once again
				wantArchived := int64(0)
				if c.state == "archived" {
					wantArchived = 1
					if _, err := b.inspector.GetTaskInfo(enqueue.QueueTopUps, "a:5"); !errors.Is(err, asynq.ErrTaskNotFound) {
						t.Errorf("the archived task: %v", err)
					}
				}
				if got := b.Archived(); got != wantArchived {
					t.Errorf("archived = %d", got)
				}
			})
		})
	}
}

// takenUp lets a worker take the task up just before the sweeper looks into its queue's list.
type takenUp struct{ b *broom }

func (h takenUp) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "lindex" {
			h.b.force(enqueue.QueueTopUps, "a:5", "active")
		}
		return next(ctx, cmd)
	}
}

func (takenUp) DialHook(next redis.DialHook) redis.DialHook { return next }

func (takenUp) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestSweeperLeavesWhatIsTakenUpMeanwhile(t *testing.T) {
	sweeping(t, func(b *broom) {
		b.submit("a:5", "")
		time.Sleep(20 * time.Second)
		b.rdb.AddHook(takenUp{b})
		b.sweep(0)
	})
}

func TestSweeperLooksForTheLaterTask(t *testing.T) {
	sweeping(t, func(b *broom) {
		b.submit("a", "")
		answer, err := b.ledger.Begin(b.fleet.ctx, "a", enqueue.NewClaim())
		b.ok(err)
		time.Sleep(10 * time.Minute) // the holder of the claim died
		b.sweep(1)
		if got, want := b.task(enqueue.QueueFollowups), enqueue.TaskID("a", answer.Version); got != want {
			t.Errorf("task %q, want %q", got, want)
		}
		time.Sleep(6 * time.Minute)
		b.sweep(0) // it waits there
	})
}

func TestSweeperForgetsWhatIsOver(t *testing.T) {
	sweeping(t, func(b *broom) {
		due := func(id string) {
			b.Helper()
			keys, err := b.rdb.Keys(b.fleet.ctx, "topup:*:due").Result()
			b.ok(err)
			for _, key := range keys {
				b.redis.Del(key)
			}
			b.ok(b.rdb.ZAdd(b.fleet.ctx, dueOf(b, id), redis.Z{Score: 1, Member: id}).Err())
		}
		b.submit("settled", "")
		_, err := b.jobs.Cancel(b.fleet.ctx, "settled")
		b.ok(err)
		due("settled")
		b.sweep(0)
		if b.overdue() != 0 {
			t.Error("settled: still due")
		}
		b.redis.Del(recordOf(b, "settled")) // the tomb is left
		due("settled")
		b.sweep(0)
		if b.overdue() != 0 {
			t.Error("expired: still due")
		}
		due("unheard")
		b.sweep(0)
		if b.overdue() != 0 || !strings.Contains(b.log.String(), "does not know") {
			t.Errorf("gone: still due, or no word of it:\n%s", b.log.String())
		}
		if r, err := b.jobs.Get(b.fleet.ctx, "unheard"); err != nil || r.State != enqueue.Unknown {
			t.Errorf("gone: %+v, %v; it must be looked up and end with a person", r, err)
		}
		b.redis.Del(dueOf(b, "unheard"))
		b.redis.Del(recordOf(b, "unheard"))
		// It was settled when it was read, and is open again.
		b.submit("open", "")
		b.ok(b.forget(b.fleet.ctx, "open"))
		time.Sleep(20 * time.Second)
		if b.overdue() != 1 {
			t.Error("an open job was forgotten")
		}
	})
}

// dueOf and recordOf are the ledger's keys, found in Redis.
func dueOf(b *broom, id string) string {
	return strings.Split(recordOf(b, id), "job:")[0] + "due"
}

func recordOf(b *broom, id string) string {
	keys, err := b.rdb.Keys(b.fleet.ctx, "topup:{s*}:job:"+id).Result()
	b.ok(err)
	if len(keys) == 1 {
		return keys[0]
	}
	keys, err = b.rdb.Keys(b.fleet.ctx, "topup:{s*}:tomb:"+id).Result()
	b.ok(err)
	if len(keys) == 1 {
		return strings.Replace(keys[0], ":tomb:", ":job:", 1)
	}
	// A job that leaves no trace but its due time: submitted, and then deleted.
	b.submit(id, "")
	key := recordOf(b, id)
	b.redis.Del(key)
	return key
}

func TestSweeperGoesOnAfterADamagedRecord(t *testing.T) {
	sweeping(t, func(b *broom) {
		b.submit("bad", "")
		b.submit("good", "")
		b.redis.HSet(recordOf(b, "bad"), "v", "x")
		b.redis.Del("asynq:{topups}:t:good")
		time.Sleep(20 * time.Second)
		b.sweep(1)
		if !strings.Contains(b.log.String(), "damaged") || b.overdue() != 0 {
			t.Errorf("log:\n%s", b.log.String())
		}
		if strings.Contains(b.log.String(), "501234567") {
			t.Errorf("a number in the log:\n%s", b.log.String())
		}
	})
}

func TestOneSweeperAtATime(t *testing.T) {
	sweeping(t, func(b *broom) {
		b.submit("a", "")
		b.redis.Del("asynq:{topups}:t:a")
		time.Sleep(20 * time.Second)
		lock, err := redislock.Obtain(b.fleet.ctx, b.rdb, sweeperLock, time.Minute, nil)
		b.ok(err)
		b.sweep(0)
		b.ok(lock.Release(b.fleet.ctx))
		b.sweep(1)
	})
}

func TestSweeperRuns(t *testing.T) {
	sweeping(t, func(b *broom) {
		ctx, stop := context.WithCancel(b.fleet.ctx)
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		time.Sleep(time.Second)
		b.fleet.down.Store(true)
		time.Sleep(time.Minute)
		b.fleet.down.Store(false)
		b.submit("a", "")
		b.redis.Del("asynq:{topups}:t:a")
		b.redis.Del("asynq:{topups}:pending")
		time.Sleep(2 * time.Minute)
		stop()
		b.ok(<-done)
		if got := b.task(enqueue.QueueTopUps); got != "a" {
			t.Errorf("task %q", got)
		}
		if !strings.Contains(b.log.String(), "ended early") {
			t.Errorf("no word of the outage:\n%s", b.log.String())
		}
	})
}

// A worker died just after a sweep of another's: the job is woken up when the lease of its
// task is over, and once.
func TestSweeperWakesUpWhatADeadWorkerHad(t *testing.T) {
	for _, before := range []time.Duration{0, 5 * time.Second, 14 * time.Second, 29 * time.Second} {
		sweeping(t, func(b *broom) {
			ctx, stop := context.WithCancel(b.fleet.ctx)
			done := make(chan error)
			go func() { done <- b.Run(ctx) }()
			time.Sleep(before)
			b.submit("a:5", "")
			b.force(enqueue.QueueTopUps, "a:5", "active")
			lease := time.Now().Add(30 * time.Second)
			_, err := b.redis.ZAdd("asynq:{topups}:lease", float64(lease.Unix()), "a:5")
			b.ok(err)
			time.Sleep(45 * time.Second)
			tasks, err := b.inspector.ListPendingTasks(enqueue.QueueFollowups)
			if err != nil || len(tasks) == 0 || len(tasks) > 2 { // the sweep's own may be beside it
				t.Errorf("%v before: tasks %v, %v", before, tasks, err)
			}
			for _, task := range tasks {
				if task.Headers["traceparent"] != "of the caller" {
					t.Errorf("%v before: headers %v", before, task.Headers)
				}
			}
			if n, err := b.Orphans(ctx); n != 0 || err != nil {
				t.Errorf("%v before: woken up again: %d, %v", before, n, err)
			}
			stop()
			b.ok(<-done)
		})
	}
}

// What the lease of a running task says is left alone, and so is what is no task.
func TestSweeperLeavesRunningTasks(t *testing.T) {
	sweeping(t, func(b *broom) {
		b.submit("a:5", "")
		b.force(enqueue.QueueTopUps, "a:5", "active")
		_, err := b.redis.ZAdd("asynq:{topups}:lease", float64(time.Now().Add(10*time.Second).Unix()), "a:5")
		b.ok(err)
		_, err = b.redis.ZAdd("asynq:{topups}:lease", 1, "gone")
		b.ok(err)
		if n, err := b.Orphans(b.fleet.ctx); n != 0 || err != nil {
			t.Errorf("woken up: %d, %v", n, err)
		}
		b.fleet.down.Store(true)
		if _, err := b.Orphans(b.fleet.ctx); !errors.Is(err, errDown) {
			t.Errorf("Orphans = %v", err)
		}
	})
}

// Redis goes away in the middle of a sweep.
func TestSweeperWithoutRedis(t *testing.T) {
	sweeping(t, func(b *broom) {
		b.fleet.down.Store(true)
		if _, err := b.Sweep(b.fleet.ctx); !errors.Is(err, errDown) {
			t.Errorf("Sweep = %v", err)
		}
		if _, err := b.taskState(b.fleet.ctx, "topups", "a"); !errors.Is(err, errDown) {
			t.Errorf("taskState = %v", err)
		}
		if err := b.forget(b.fleet.ctx, "a"); !errors.Is(err, errDown) {
			t.Errorf("forget = %v", err)
		}
		b.fleet.down.Store(false)
		ctx, cancel := context.WithCancel(b.fleet.ctx)
		cancel()
		if _, err := b.Sweep(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Sweep = %v", err)
		}
	})
}
