package worker_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// slow is a simulator whose answers take long enough to do something meanwhile: the
// token comes after 20 s, the answer to the POST after 40 s.
var slow = sandbox.Config{Latency: 20 * time.Second}

func TestQuickStartTravelsTheWholeWay(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		defer w.run(w.worker("w1", nil))()
		w.submit(job("airtime-top-up"))
		r := w.expect("airtime-top-up", enqueue.Succeeded, 1)
		if r.Transaction == nil || r.Transaction.TransactionID != 33469 || r.MoneyMoved != enqueue.MovedYes {
			t.Errorf("result %+v", r)
		}
	})
}

func TestTwoWorkersAtOnceSendOnce(t *testing.T) {
	bubble(t, slow, func(w *world) {
		w.submit(job("a"))
		task := asynq.NewTask(enqueue.TaskType, enqueue.EncodeTask("a", 1))
		for _, name := range []string{"w1", "w2", "w3"} {
			made := w.worker(name, nil)
			go func() { _ = made.ProcessTask(context.Background(), task) }() // busy is an answer too
		}
		w.expect("a", enqueue.Succeeded, 1)
		synctest.Wait()
		if w.sim.PostsFor("a") != 1 {
			t.Errorf("%d POSTs", w.sim.PostsFor("a"))
		}
	})
}

// failOnce lets one command of asynq's fail.
type failOnce struct {
	match string
	left  atomic.Int32
}

func (f *failOnce) DialHook(next redis.DialHook) redis.DialHook { return next }
func (f *failOnce) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (f *failOnce) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if strings.Contains(cmd.String(), f.match) && f.left.Add(-1) >= 0 {
			err := errors.New("injected: the connection broke")
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}

func TestShutdownInTheMiddleOfAPostLetsItFinish(t *testing.T) {
	bubble(t, slow, func(w *world) {
		stop := w.run(w.worker("w1", nil))
		w.submit(job("a"))
		time.Sleep(30 * time.Second)
		stop()
		w.expect("a", enqueue.Succeeded, 1)
		defer w.run(w.worker("w2", nil))()
		time.Sleep(10 * time.Minute)
		if w.sim.PostsFor("a") != 1 {
			t.Errorf("%d POSTs", w.sim.PostsFor("a"))
		}
	})
}

// A job that waits for its turn while the process ends is left to another process: its
// POST could take longer than the end may.
func TestShutdownBeginsNothing(t *testing.T) {
	bubble(t, slow, func(w *world) {
		stop := w.run(w.worker("w1", func(c *worker.Config) { c.InFlight = 1 }))
		w.submit(numbered("a", 7001))
		time.Sleep(25 * time.Second)
		next := numbered("b", 7002)
		next.Campaign = "k" // by a server of its own, so it waits for the slot and not in the queue
		w.submit(next)
		time.Sleep(5 * time.Second)
		stop()
		w.expect("a", enqueue.Succeeded, 1)
		if r := must(w.ledger().Load(context.Background(), "b")); w.sim.Posts() != 1 || r.State != enqueue.Queued {
			t.Errorf("%d POSTs, b is %s", w.sim.Posts(), r.State)
		}
		defer w.run(w.worker("w2", nil))()
		w.expect("b", enqueue.Succeeded, 1)
	})
}

// lateHolds delays the reading of what is on hold.
type lateHolds struct{ redis.Hook }

func (h lateHolds) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (h lateHolds) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h lateHolds) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() == "smembers" {
			time.Sleep(30 * time.Second)
		}
		return next(ctx, cmds)
	}
}

// A process that starts under a hold sends nothing before it knows of it.
func TestHoldIsKnownBeforeTheFirstJob(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		holds := worker.NewHolds(w.rdb, worker.HoldConfig{})
		if err := holds.Place(context.Background(), worker.Hold{Scope: worker.ScopeAll}); err != nil {
			t.Fatal(err)
		}
		w.submit(job("a"))
		rdb := w.client()
		defer func() { _ = rdb.Close() }()
		rdb.AddHook(lateHolds{})
		defer w.run(w.worker("w1", func(c *worker.Config) { c.Redis = rdb }))()
		time.Sleep(2 * time.Minute)
		if w.sim.Posts() != 0 {
			t.Errorf("%d POSTs under a hold", w.sim.Posts())
		}
	})
}

func TestRedisAwayForNinetySeconds(t *testing.T) {
	bubble(t, slow, func(w *world) {
		defer w.run(w.worker("w1", nil))()
		w.submit(job("a"))
		time.Sleep(30 * time.Second)
		w.redis.SetError("LOADING Redis is loading the dataset in memory")
		time.Sleep(90 * time.Second)
		w.redis.SetError("")
		w.expect("a", enqueue.Succeeded, 1)
	})
}

func TestOperatorsButtonsAreHarmless(t *testing.T) {
	buttons := map[string]func(i *asynq.Inspector) error{
		"run":     func(i *asynq.Inspector) error { return i.RunTask(enqueue.QueueTopUps, "a") },
		"cancel":  func(i *asynq.Inspector) error { return i.CancelProcessing("a") },
		"archive": func(i *asynq.Inspector) error { return i.ArchiveTask(enqueue.QueueTopUps, "a") },
		"delete":  func(i *asynq.Inspector) error { return i.DeleteTask(enqueue.QueueTopUps, "a") },
	}
	for name, press := range buttons {
		for when, wait := range map[string]time.Duration{"before": 0, "during": 30 * time.Second, "after": time.Minute} {
			t.Run(name+"_"+when, func(t *testing.T) {
				bubble(t, slow, func(w *world) {
					inspector := asynq.NewInspectorFromRedisClient(w.rdb)
					w.submit(job("a"))
					if wait == 0 {
						_ = press(inspector) // a button that does not apply says so; the job must not mind
					}
					defer w.run(w.worker("w1", nil))()
					time.Sleep(wait)
					if wait > 0 {
						_ = press(inspector)
					}
					w.expect("a", enqueue.Succeeded, 1)
					time.Sleep(5 * time.Minute)
					w.expect("a", enqueue.Succeeded, 1)
					if r := must(w.ledger().Load(context.Background(), "a")); r.Sends != 1 || r.FinishedAt.Sub(r.SentAt) > 22*time.Second {
						t.Errorf("%d sends, settled after %v: a button reached the POST or its answer", r.Sends, r.FinishedAt.Sub(r.SentAt))
					}
				})
			})
		}
	}
}

func TestLostAcknowledgement(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		hook := &failOnce{match: "asynq:{topups}:completed"}
		hook.left.Store(1)
		rdb := w.client()
		defer func() { _ = rdb.Close() }()
		server := asynq.NewServerFromRedisClient(rdb, asynq.Config{Concurrency: 1, Queues: map[string]int{enqueue.QueueTopUps: 1}, LogLevel: asynq.FatalLevel})
		rdb.AddHook(hook) // without the repair: asynq runs the task a second time
		w.submit(job("a"))
		if err := server.Start(w.worker("w1", nil)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		server.Shutdown()
		w.expect("a", enqueue.Succeeded, 1)
		if w.sim.PostsFor("a") != 1 || hook.left.Load() >= 0 {
			t.Errorf("%d POSTs, hook %d", w.sim.PostsFor("a"), hook.left.Load())
		}
	})
}

func TestQueueLostEntirely(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		w.submit(job("a"))
		for _, key := range w.redis.Keys() {
			if strings.HasPrefix(key, "asynq:") {
				w.redis.Del(key)
			}
		}
		defer w.run(w.worker("w1", func(c *worker.Config) { c.Servers = 1 }))()
		w.expect("a", enqueue.Succeeded, 1)
	})
}
