package worker_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// Two a day, however the number is written and whoever asks; the third is refused
// before anything is sent, and has its turn the next day.
func TestNumberLimit(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		two := func(cfg *worker.Config) { cfg.MaxPerNumberPerDay = 2 }
		stop := w.run(w.worker("w1", two))
		for id, number := range map[string]string{"a": "0503971821", "b": "+971 50 397 1821"} {
			j := job(id)
			j.RecipientPhone.Number = number
			w.submit(j)
			w.expect(id, enqueue.Succeeded, 1)
		}
		third := job("third")
		third.RecipientPhone.Number = "971503971821"
		w.submit(third)
		r := w.expect("third", enqueue.Failed, 0)
		if r.Code != enqueue.CodeNumberLimit || r.MoneyMoved != enqueue.MovedNo || r.Sends != 0 || !strings.Contains(r.Explanation, "TOPUP_MAX_PER_NUMBER_PER_DAY") {
			t.Errorf("%+v", r)
		}
		w.submit(numbered("other", 4444)) // another number has its own share
		w.expect("other", enqueue.Succeeded, 1)
		for _, key := range w.redis.Keys() {
			if strings.Contains(key, "3971821") {
				t.Errorf("a number stands in the key %q", key)
			}
		}
		stop()
		time.Sleep(24 * time.Hour)
		if err := w.ledger().Resend(context.Background(), "third"); err != nil {
			t.Fatal(err)
		}
		defer w.run(w.worker("w2", two))() // its sweeper finds it
		w.expect("third", enqueue.Succeeded, 1)
	})
}

// A refusal uses nothing up: the corrected top-up of the same day may go.
func TestNumberLimitCountsWhatWasPaid(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		defer w.run(w.worker("w1", func(cfg *worker.Config) { cfg.MaxPerNumberPerDay = 1 }))()
		wrong := job("wrong")
		wrong.OperatorID = 341 // of another country
		w.submit(wrong)
		w.expect("wrong", enqueue.Failed, 0)
		w.submit(job("right"))
		w.expect("right", enqueue.Succeeded, 1)
		w.submit(job("more"))
		w.expect("more", enqueue.Failed, 0)
	})
}
