package worker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/govalues/decimal"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// movedAsDebited compares a campaign's money out with the simulator's own books.
func (w *world) movedAsDebited(p *campaign.Progress) {
	w.t.Helper()
	var debited decimal.Decimal
	for _, e := range w.sim.Paid() {
		cost, err := decimal.Parse(e.Cost)
		if err != nil {
			w.t.Fatal(err)
		}
		debited, _ = debited.Add(cost)
	}
	if p.Moved["NGN"] != debited.Trim(0).String() {
		w.t.Errorf("moved %v, and the simulator debited %s", p.Moved, debited)
	}
}

// A row that was counted changes when a person decides about its job: a late refund is
// adopted, a failed one is sent again. The campaign counts it as the ledger has it, at once and
// after a worker has seen to it.
func TestDecidedRowsAreCountedAgain(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		ctx := context.Background()
		rows := ordinary(6)
		rows[1], rows[4] = person(1, 38), person(4, 83) // paid and refunded ten minutes later; banned
		loadRows(t, w.store(), "May", 0, rows)
		stop := w.run(w.worker("w1", slowly))
		if p := w.campaignEnded("may", time.Minute); p.States[enqueue.Succeeded] != 5 || p.States[enqueue.Failed] != 1 {
			t.Fatal(p.States)
		}
		time.Sleep(11 * time.Minute)
		adopt := func(ctx context.Context) error {
			return worker.Adopt(ctx, w.ledger(), w.provider(), rows[1].JobID("may"))
		}
		counts := func(states map[enqueue.State]int) {
			t.Helper()
			p := w.progress("may")
			for _, state := range enqueue.States() {
				if p.States[state] != states[state] {
					t.Errorf("%d are %s, want %v", p.States[state], state, states)
				}
			}
			w.movedAsDebited(p)
		}
		for range 2 { // whoever repeats it changes nothing
			if err := w.store().Decide(ctx, w.jobs, rows[1].JobID("may"), adopt); err != nil && !errors.Is(err, worker.ErrNotBooked) {
				t.Fatal(err)
			}
			counts(map[enqueue.State]int{enqueue.Succeeded: 4, enqueue.Refunded: 1, enqueue.Failed: 1})
			time.Sleep(time.Minute)
			counts(map[enqueue.State]int{enqueue.Succeeded: 4, enqueue.Refunded: 1, enqueue.Failed: 1})
		}
		// With no worker there, and with one that comes later.
		stop()
		if err := w.store().Resend(ctx, w.jobs, rows[4].JobID("may")); err != nil {
			t.Fatal(err)
		}
		counts(map[enqueue.State]int{enqueue.Succeeded: 4, enqueue.Refunded: 1, enqueue.Queued: 1})
		defer w.run(w.worker("w2", slowly))()
		time.Sleep(time.Minute)
		counts(map[enqueue.State]int{enqueue.Succeeded: 4, enqueue.Refunded: 1, enqueue.Queued: 1})
		posts := w.sim.Posts()
		w.campaignEnded("may", time.Hour)
		counts(map[enqueue.State]int{enqueue.Succeeded: 4, enqueue.Refunded: 1, enqueue.Failed: 1})
		if w.sim.Posts() != posts+1 {
			t.Errorf("%d POSTs for one job that was sent again", w.sim.Posts()-posts)
		}
	})
}

// Nothing of a cancelled campaign is sent again; what came of its jobs is still counted.
func TestDecidedRowsOfACancelledCampaign(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		ctx := context.Background()
		rows := ordinary(4)
		rows[0], rows[1], rows[3].NotBefore = person(0, 38), person(1, 83), time.Now().Add(time.Hour)
		loadRows(t, w.store(), "may", 0, rows)
		defer w.run(w.worker("w1", slowly))()
		time.Sleep(11 * time.Minute)
		if err := worker.CancelCampaign(ctx, w.rdb, w.jobs, "may", "test"); err != nil {
			t.Fatal(err)
		}
		for _, i := range []int{1, 3} {
			err := w.store().Resend(ctx, w.jobs, rows[i].JobID("may"))
			if !errors.Is(err, campaign.ErrCancelled) && !errors.Is(err, enqueue.ErrNotFound) {
				t.Errorf("row %d: %v", i, err)
			}
		}
		if r, err := w.jobs.Get(ctx, rows[1].JobID("may")); err != nil || r.State != enqueue.Failed {
			t.Fatal(r, err)
		}
		err := w.store().Decide(ctx, w.jobs, rows[0].JobID("may"), func(ctx context.Context) error {
			return worker.Adopt(ctx, w.ledger(), w.provider(), rows[0].JobID("may"))
		})
		if err != nil {
			t.Fatal(err)
		}
		p := w.campaignEnded("may", time.Minute)
		if p.States[enqueue.Succeeded] != 1 || p.States[enqueue.Refunded] != 1 || p.States[enqueue.Failed] != 1 || p.States[enqueue.Cancelled] != 1 {
			t.Error(p.States)
		}
		w.movedAsDebited(p)
		w.nothingHeld()
	})
}
