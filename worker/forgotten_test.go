package worker_test

import (
	"context"
	"testing"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// Redis forgets a job that a worker has in its hands: the worker is the last that knows of it,
// and never lets it go silently.

// The POST was under way, and its answer was lost too.
func TestLostAnswerOfAForgottenJob(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		defer w.run(w.worker("w1", nil))()
		w.sim.Script(func(a sandbox.Attempt) string {
			w.redis.FlushAll()
			return "drop-after"
		})
		w.submit(job("a"))
		time.Sleep(time.Minute)
		r := must(w.ledger().Load(context.Background(), "a"))
		if r.State != enqueue.Succeeded || len(w.sim.Paid()) != 1 {
			t.Errorf("%s, paid %d times", r.State, len(w.sim.Paid()))
		}
	})
}

// It waited for its turn.
func TestForgottenJobThatWaitsForItsTurn(t *testing.T) {
	bubble(t, slow, func(w *world) {
		defer w.run(w.worker("w1", func(c *worker.Config) { c.InFlight = 1 }))()
		w.submit(numbered("first", 9001))
		for w.sim.Posts() == 0 {
			time.Sleep(time.Second)
		}
		w.submit(numbered("second", 9002))
		time.Sleep(5 * time.Second)
		w.redis.FlushAll()
		time.Sleep(2 * time.Minute)
		w.expect("second", enqueue.NeedsReview, 0)
	})
}

// Its first transaction FAILED, it was paid as a~2, and long after Redis has forgotten all of it,
// it is submitted again: Reloadly says that "a" is used, and the payment is under another identifier.
func TestPaidUnderALaterIdentifierAndForgotten(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		w.faults("failed")
		stop := w.run(w.worker("w1", nil))
		w.submit(job("a"))
		w.expect("a", enqueue.Failed, 0)
		w.resend("a")
		w.expect("a", enqueue.Succeeded, 1)
		stop()
		w.redis.FlushAll()
		defer w.run(w.worker("w2", nil))() // which knows nothing of the Redis before
		time.Sleep(11 * time.Minute)       // a new Redis is trusted by then
		_ = w.jobs.Close()
		w.jobs = w.producer()
		w.submit(job("a"))
		w.expect("a", enqueue.Succeeded, 1)
	})
}
