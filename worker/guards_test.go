package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// The guards of the promise, each by a test that fails when it is taken out. Those
// of the ledger's scripts alone are tested in enqueue, those of the POST in reloadly.

// faults makes the simulator answer the first sends under the identifier a with these
// faults, one after the other, and then as usual.
func (w *world) faults(names ...string) {
	w.sim.Script(func(a sandbox.Attempt) string {
		if a.Identifier == "a" && a.Number <= len(names) {
			return names[a.Number-1]
		}
		return ""
	})
}

// Guard 1: the ledger is the truth. A second task under another id sends nothing.
func TestDoubledTaskSendsOnce(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		defer w.run(w.worker("w1", nil))()
		w.submit(job("a"))
		queue := asynq.NewClientFromRedisClient(w.rdb)
		for _, id := range []string{"x", "y", "z"} {
			if _, err := queue.Enqueue(enqueue.NewTask(enqueue.QueueFollowups, id, "a", 1, time.Time{})); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		w.expect("a", enqueue.Succeeded, 1)
		if w.sim.Posts() != 1 {
			t.Errorf("%d POSTs", w.sim.Posts())
		}
	})
}

// Guards 2 and 5: the answer is lost after the execution. It is found, not sent again.
func TestLostAnswerIsLookedUp(t *testing.T) {
	for _, fault := range []string{"drop-after", "500-after", "html-after", "truncated", "empty-200", "no-id", "oversized", "wrong-echo"} {
		t.Run(fault, func(t *testing.T) {
			bubble(t, sandbox.Config{}, func(w *world) {
				w.faults(fault)
				defer w.run(w.worker("w1", nil))()
				start := time.Now()
				w.submit(job("a"))
				r := w.expect("a", enqueue.Succeeded, 1)
				if r.Sends != 1 || time.Since(start) > time.Minute {
					t.Errorf("found after %v and %d sends", time.Since(start), r.Sends)
				}
			})
		})
	}
}

// Guard 5: nothing was executed, and the answer does not prove it. It is sent again
// after the settle time and two empty answers, under the same identifier.
func TestUnknownIsSentAgainOnlyAfterSettling(t *testing.T) {
	for _, fault := range []string{"drop-before", "500-before", "html-before"} {
		t.Run(fault, func(t *testing.T) {
			bubble(t, sandbox.Config{}, func(w *world) {
				w.faults(fault)
				defer w.run(w.worker("w1", nil))()
				start := time.Now()
				w.submit(job("a"))
				r := w.expect("a", enqueue.Succeeded, 1)
				if took := time.Since(start); took < 15*time.Minute || took > time.Hour {
					t.Errorf("sent again after %v: the settle time is 10 min and two empty answers lie 5 min apart", took)
				}
				if r.Sends != 2 || w.sim.PostsFor("a") != 2 {
					t.Errorf("%d sends, %d POSTs", r.Sends, w.sim.PostsFor("a"))
				}
			})
		})
	}
}

// Guard 4: the process was stopped between the permission and the POST.
func TestOldPermissionIsRefused(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		ledger := w.ledger()
		w.submit(job("a"))
		if a, err := ledger.Begin(context.Background(), "a", enqueue.NewClaim()); err != nil || a.Word != enqueue.AnswerSend {
			t.Fatalf("begin: %+v, %v", a, err)
		}
		// The holder never comes back; another worker may send only after settling.
		defer w.run(w.worker("w2", nil))()
		start := time.Now()
		w.expect("a", enqueue.Succeeded, 1)
		if took := time.Since(start); took < 15*time.Minute {
			t.Errorf("sent after %v by time alone", took)
		}
	})
}

// Guard 7: Redis restarted. What waited is looked up and settles before it is sent.
func TestRestartedRedisHoldsJobsBack(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		w.submit(job("a"))
		w.epoch = "second"
		defer w.run(w.worker("w1", nil))()
		start := time.Now()
		r := w.expect("a", enqueue.Succeeded, 1)
		if took := time.Since(start); took < 15*time.Minute {
			t.Errorf("sent after %v; the job may have been sent before the restart", took)
		}
		if r.Sends != 1 {
			t.Errorf("%d sends", r.Sends)
		}
	})
}

// Guard 7: the write that was lost was the claim; the job had been sent.
func TestRestartedRedisForgotASend(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		w.submit(job("a"))
		key := "topup:{s44}:job:a"
		saved := map[string]string{}
		for _, name := range must(w.redis.HKeys(key)) {
			saved[name] = w.redis.HGet(key, name)
		}
		stop := w.run(w.worker("w1", nil))
		w.expect("a", enqueue.Succeeded, 1)
		stop()
		w.redis.Del(key)
		w.redis.Del("topup:{s44}:tomb:a")
		for name, value := range saved {
			w.redis.HSet(key, name, value)
		}
		w.epoch = "second"
		_ = w.jobs.Close()
		w.jobs = w.producer()
		defer w.run(w.worker("w2", nil))()
		if _, err := asynq.NewClientFromRedisClient(w.rdb).Enqueue(enqueue.NewTask(enqueue.QueueFollowups, "again", "a", 1, time.Time{})); err != nil {
			t.Fatal(err)
		}
		w.expect("a", enqueue.Succeeded, 1)
		if w.sim.PostsFor("a") != 1 {
			t.Errorf("%d POSTs", w.sim.PostsFor("a"))
		}
	})
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// Every end that a job can have.
func TestOutcomes(t *testing.T) {
	for _, test := range []struct {
		faults []string
		state  enqueue.State
		code   string
		paid   int
		sends  int
	}{
		{nil, enqueue.Succeeded, "", 1, 1},
		{[]string{"processing-successful"}, enqueue.Succeeded, "", 1, 1},
		{[]string{"processing-refunded"}, enqueue.Refunded, enqueue.CodeTransaction, 0, 1},
		{[]string{"processing-failed"}, enqueue.Failed, enqueue.CodeTransaction, 0, 1},
		{[]string{"failed"}, enqueue.Failed, enqueue.CodeTransaction, 0, 1},
		{[]string{"refunded"}, enqueue.Refunded, enqueue.CodeTransaction, 0, 1},
		{[]string{"no-status"}, enqueue.Succeeded, "", 1, 1},
		{[]string{"transaction-cannot-be-processed-at-the-moment"}, enqueue.Succeeded, "", 1, 2},
		{[]string{"operator-unavailable-or-currently-inactive"}, enqueue.Succeeded, "", 1, 2},
		{[]string{"phone-recently-recharged"}, enqueue.Succeeded, "", 1, 2},
		{[]string{"429"}, enqueue.Succeeded, "", 1, 1},
		{[]string{"401-once"}, enqueue.Succeeded, "", 1, 1},
		{[]string{"invalid-recipient-phone"}, enqueue.Failed, "INVALID_RECIPIENT_PHONE", 0, 1},
		{[]string{"some-new-code"}, enqueue.NeedsReview, "SOME_NEW_CODE", 0, 1},
		{[]string{"drop-before", "invalid-recipient-phone"}, enqueue.Failed, "INVALID_RECIPIENT_PHONE", 0, 2},
		{[]string{"custom-identifier-already-used"}, enqueue.NeedsReview, enqueue.CodeIdentifierInUse, 0, 1},
		{[]string{"transaction-cannot-be-processed-at-the-moment", "custom-identifier-already-used"}, enqueue.Succeeded, "", 1, 3},
	} {
		name := "plain"
		if len(test.faults) > 0 {
			name = test.faults[len(test.faults)-1]
		}
		t.Run(name, func(t *testing.T) {
			bubble(t, sandbox.Config{}, func(w *world) {
				w.faults(test.faults...)
				defer w.run(w.worker("w1", nil))()
				w.submit(job("a"))
				r := w.expect("a", test.state, test.paid)
				if r.Code != test.code || r.Sends != test.sends {
					t.Errorf("code %q and %d sends, want %q and %d", r.Code, r.Sends, test.code, test.sends)
				}
			})
		})
	}
}

// An empty balance holds everything, fails nothing, and goes on by itself.
func TestEmptyBalanceHoldsAndResumes(t *testing.T) {
	bubble(t, sandbox.Config{Balance: "1600 NGN"}, func(w *world) {
		defer w.run(w.worker("w1", func(c *worker.Config) { c.InFlight = 2 }))()
		ids := []string{"a", "b", "c", "d", "e", "f"}
		for i, id := range ids {
			w.submit(numbered(id, 7100+i))
		}
		time.Sleep(30 * time.Minute)
		if posts := w.sim.Posts(); posts > 2+2 {
			t.Errorf("%d POSTs: more met the empty balance than were under way", posts)
		}
		if err := w.sim.Refill("100000"); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			w.expect(id, enqueue.Succeeded, 1)
		}
	})
}

// Two jobs to one number are kept apart before the POST instead of being refused.
func TestOneNumberIsSpaced(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		defer w.run(w.worker("w1", nil))()
		w.submit(job("a"))
		w.submit(job("b"))
		w.expect("a", enqueue.Succeeded, 1)
		r := w.expect("b", enqueue.Succeeded, 1)
		if w.sim.Posts() != 2 || r.Sends != 1 {
			t.Errorf("%d POSTs, %d sends of the second", w.sim.Posts(), r.Sends)
		}
	})
}

// stopAfterClaim is a process that is stopped between its permission and its POST.
type stopAfterClaim struct {
	failOnce
	w *world
}

func (s *stopAfterClaim) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err == nil && s.w.redis.HGet("topup:{s44}:job:a", "s") == string(enqueue.Sending) && s.left.Add(-1) >= 0 {
			time.Sleep(15 * time.Second)
		}
		return err
	}
}

// Guard 4: a permission that is older than ten seconds is not used.
func TestStoppedProcessDoesNotSend(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		stop := &stopAfterClaim{w: w}
		stop.left.Store(1)
		rdb := w.client()
		defer func() { _ = rdb.Close() }()
		rdb.AddHook(stop)
		made := w.worker("w1", func(c *worker.Config) { c.Redis = rdb })
		w.submit(job("a"))
		task := asynq.NewTask(enqueue.TaskType, enqueue.EncodeTask("a", 1))
		if err := made.ProcessTask(context.Background(), task); err != nil {
			t.Fatal(err)
		}
		if stop.left.Load() != 0 {
			t.Fatal("the process was not stopped: the test shows nothing")
		}
		if w.sim.Posts() != 0 {
			t.Errorf("%d POSTs with a permission of 15 s", w.sim.Posts())
		}
		defer w.run(w.worker("w2", nil))()
		if r := w.expect("a", enqueue.Succeeded, 1); r.Sends != 1 {
			t.Errorf("%d sends: one that never left must not count", r.Sends)
		}
	})
}

// Guard 4: the queue's context ends in the middle of the POST; the POST does not.
func TestQueueCannotCancelAPost(t *testing.T) {
	bubble(t, slow, func(w *world) {
		w.submit(job("a"))
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() {
			done <- w.worker("w1", nil).ProcessTask(ctx, asynq.NewTask(enqueue.TaskType, enqueue.EncodeTask("a", 1)))
		}()
		for w.sim.Posts() == 0 {
			time.Sleep(time.Second)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		r := must(w.ledger().Load(context.Background(), "a"))
		if r.State != enqueue.Succeeded {
			t.Errorf("%s: the answer did not get through", r.State)
		}
	})
}
