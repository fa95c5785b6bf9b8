package worker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// nothingHeld sees to it that a campaign that is over has left no hold behind.
func (w *world) nothingHeld() {
	w.t.Helper()
	time.Sleep(10 * time.Second)
	list, err := worker.NewHolds(w.rdb, worker.HoldConfig{}).List(context.Background())
	if err != nil || len(list) != 0 {
		w.t.Error("holds that stayed:", list, err)
	}
}

// Of a job that was sent without an answer the ledger never says that it is cancelled:
// when it shows that nothing was executed, a person decides. The campaign does not wait, and
// nothing is sent again.
func TestCancelAfterAnAmbiguousSend(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		ctx := context.Background()
		rows := ordinary(5)
		rows[1] = person(1, 20) // not executed, no answer, once
		loadRows(t, w.store(), "may", 0, rows)
		defer w.run(w.worker("w1", slowly))()
		time.Sleep(2 * time.Minute)
		if p := w.progress("may"); p.States[enqueue.Unknown] != 1 || p.States[enqueue.Succeeded] != 4 {
			t.Fatal(p.States)
		}
		posts := w.sim.Posts()
		if err := worker.CancelCampaign(ctx, w.rdb, w.jobs, "may", "test"); err != nil {
			t.Fatal(err)
		}
		p := w.campaignEnded("may", time.Hour)
		if p.States[enqueue.NeedsReview] != 1 || w.sim.Posts() != posts {
			t.Errorf("%v, %d POSTs after the cancellation", p.States, w.sim.Posts()-posts)
		}
		w.nothingHeld()
	})
}

// Redis restarts with jobs in the queue, and the campaign is cancelled: each is looked up first,
// and then ends.
func TestCancelAfterRedisRestarted(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		ctx := context.Background()
		rows := ordinary(20)
		loadRows(t, w.store(), "may", 0, rows)
		if err := worker.PauseCampaign(ctx, w.rdb, "may", "test"); err != nil {
			t.Fatal(err)
		}
		if err := w.store().Resume(ctx, "may"); err != nil { // the hold stands
			t.Fatal(err)
		}
		if _, err := w.store().Take(ctx, "may", 15); err != nil {
			t.Fatal(err)
		}
		stop := w.run(w.worker("w1", slowly))
		time.Sleep(time.Minute)
		stop()
		if p := w.progress("may"); fmt.Sprint(p.Reasons) != "[{paused 15}]" {
			t.Fatal(p.States, p.Reasons)
		}
		w.epoch = "second"
		jobs := w.producer()
		defer func() { _ = jobs.Close() }()
		defer w.run(w.worker("w2", slowly))()
		if err := worker.CancelCampaign(ctx, w.rdb, jobs, "may", "test"); err != nil {
			t.Fatal(err)
		}
		p := w.campaignEnded("may", time.Hour)
		if p.States[enqueue.Cancelled] != 20 || w.sim.Posts() != 0 {
			t.Errorf("%v %v, %d POSTs", p.States, p.Codes, w.sim.Posts())
		}
		w.nothingHeld()
	})
}
