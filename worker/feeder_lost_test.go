package worker_test

import (
	"context"
	"testing"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// forget takes a job away, as a shard of a cluster does that forgets its last seconds while
// that of the campaign does not.
func (w *world) forget(id string) {
	w.t.Helper()
	ctx := context.Background()
	keys, err := w.rdb.Keys(ctx, "topup:*:job:"+id).Result()
	if err != nil || len(keys) != 1 {
		w.t.Fatal(keys, err)
	}
	w.rdb.Del(ctx, keys[0])
	for _, index := range []string{"topup:*:review", "topup:*:due"} {
		keys, _ := w.rdb.Keys(ctx, index).Result()
		for _, key := range keys {
			w.rdb.ZRem(ctx, key, id)
		}
	}
}

// A job that a person was to decide about is forgotten: its row is not left without one.
func TestForgottenReviewIsHandedOverAgain(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		rows := ordinary(5)
		rows[2] = person(2, 47) // a code that nobody has seen yet
		loadRows(t, w.store(), "may", 0, rows)
		defer w.run(w.worker("w1", slowly))()
		if p := w.campaignEnded("may", time.Minute); p.States[enqueue.NeedsReview] != 1 {
			t.Fatal(p.States)
		}
		w.forget(rows[2].JobID("may"))
		time.Sleep(time.Minute)
		if p := w.campaignEnded("may", time.Minute); p.States[enqueue.NeedsReview] != 1 || w.sim.Posts() != 6 {
			t.Error(p.States, w.sim.Posts())
		}
	})
}

// A worker meets the wake-up of a job that was forgotten before the feeder misses it: the
// ledger gets back what the job was, and no person is needed.
func TestForgottenJobGetsItsContentBack(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		ctx := context.Background()
		rows := ordinary(5)
		loadRows(t, w.store(), "may", 0, rows)
		if err := worker.PauseCampaign(ctx, w.rdb, "may", "test"); err != nil {
			t.Fatal(err)
		}
		if err := w.store().Resume(ctx, "may"); err != nil { // the hold stands
			t.Fatal(err)
		}
		if _, err := w.store().Take(ctx, "may", 5); err != nil {
			t.Fatal(err)
		}
		defer w.run(w.worker("w1", slowly))()
		time.Sleep(time.Minute)
		w.forget(rows[3].JobID("may"))
		if _, err := w.ledger().Missing(ctx, rows[3].JobID("may")); err != nil {
			t.Fatal(err)
		}
		if err := worker.ResumeCampaign(ctx, w.rdb, "may"); err != nil {
			t.Fatal(err)
		}
		if p := w.campaignEnded("may", time.Hour); p.States[enqueue.Succeeded] != 5 {
			t.Error(p.States, p.Codes)
		}
		paidOnce(t, w.sim, "may", rows)
	})
}

// The lists of campaigns lie elsewhere than the campaigns, and can be forgotten alone.
func TestForgottenListIsMended(t *testing.T) {
	bubble(t, sandbox.Config{Latency: time.Second}, func(w *world) {
		ctx := context.Background()
		rows := ordinary(300)
		loadRows(t, w.store(), "may", 0, rows)
		stop := w.run(w.worker("w1", feeding))
		defer func() { stop() }()
		time.Sleep(10 * time.Second)
		w.rdb.Del(ctx, "topup:campaigns", "topup:campaigns:active")
		time.Sleep(10 * time.Second)
		if list, err := w.store().List(ctx); err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		stop()
		// And where nobody remembers it, it comes back with whoever does something about it.
		w.rdb.Del(ctx, "topup:campaigns", "topup:campaigns:active")
		stop = w.run(w.worker("w2", feeding))
		if err := worker.ResumeCampaign(ctx, w.rdb, "may"); err != nil {
			t.Fatal(err)
		}
		if p := w.campaignEnded("may", 5*time.Minute); p.States[enqueue.Succeeded] != 300 {
			t.Error(p.States)
		}
		time.Sleep(time.Minute)
		if names, err := w.store().Active(ctx); err != nil || len(names) != 0 {
			t.Error("still looked at:", names, err)
		}
		paidOnce(t, w.sim, "may", rows)
	})
}
