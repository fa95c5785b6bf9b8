package worker_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"slices"
	"testing"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// damage writes into the record of a job, and returns what puts it back.
func (w *world) damage(id, field, value string) (mend func()) {
	w.t.Helper()
	ctx := context.Background()
	keys, err := w.rdb.Keys(ctx, "topup:*:job:"+id).Result()
	if err != nil || len(keys) != 1 {
		w.t.Fatal(keys, err)
	}
	before := w.rdb.HGet(ctx, keys[0], field).Val()
	if err := w.rdb.HSet(ctx, keys[0], field, value).Err(); err != nil {
		w.t.Fatal(err)
	}
	return func() { w.rdb.HSet(ctx, keys[0], field, before) }
}

// Records that cannot be read are named and left to a person, by the feeder that handed them
// over as by one that takes over; the campaign goes on, nothing is sent for them, and where one
// is mended its row comes back.
func TestDamagedRecordsStopNothing(t *testing.T) {
	for name, takeover := range map[string]bool{"the same feeder": false, "another feeder": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, sandbox.Config{}, func(w *world) { w.damagedRecordsStopNothing(takeover) })
		})
	}
}

func (w *world) damagedRecordsStopNothing(takeover bool) {
	ctx, t := context.Background(), w.t
	rows := ordinary(300)
	loadRows(t, w.store(), "may", 0, rows)
	if err := worker.PauseCampaign(ctx, w.rdb, "may", "test"); err != nil {
		t.Fatal(err)
	}
	if err := w.store().Resume(ctx, "may"); err != nil { // the hold stands
		t.Fatal(err)
	}
	if _, err := w.store().Take(ctx, "may", 100); err != nil {
		t.Fatal(err)
	}
	stop := w.run(w.worker("w1", slowly))
	defer func() { stop() }()
	time.Sleep(time.Minute)
	if takeover {
		stop()
	}
	var mends []func()
	var ids []string
	for i, field := range []string{"s", "v", "a", "op"} { // the last two are seen by a whole read alone
		ids = append(ids, rows[7*i].JobID("may"))
		mends = append(mends, w.damage(ids[i], field, "?"))
	}
	// This one was paid before.
	paid, claim, cost, currency := rows[50].JobID("may"), enqueue.NewClaim(), "485", "NGN"
	if _, err := w.ledger().Begin(ctx, paid, claim); err != nil {
		t.Fatal(err)
	}
	transaction := &enqueue.Transaction{TransactionID: 77, Status: "SUCCESSFUL", BalanceInfo: &enqueue.BalanceInfo{Cost: &cost, CurrencyCode: &currency}}
	if _, err := w.ledger().Settle(ctx, paid, enqueue.Outcome{Kind: enqueue.KindSucceeded, Claim: claim, Transaction: transaction}, nil); err != nil {
		t.Fatal(err)
	}
	ids, mends = append(ids, paid), append(mends, w.damage(paid, "ca", "?"))

	if takeover {
		stop = w.run(w.worker("w2", slowly))
	}
	check := func(when string, damaged []string, states map[enqueue.State]int) {
		t.Helper()
		p := w.progress("may")
		if got := slices.Sorted(slices.Values(p.Damaged)); !slices.Equal(got, slices.Sorted(slices.Values(damaged))) {
			t.Errorf("%s: damaged: %v, want %v", when, got, damaged)
		}
		for _, state := range enqueue.States() {
			if p.States[state] != states[state] {
				t.Errorf("%s: %v, want %v", when, p.States, states)
				break
			}
		}
	}
	time.Sleep(2 * time.Minute)
	check("on hold", ids, map[enqueue.State]int{enqueue.NeedsReview: 5, enqueue.Queued: 295})
	if err := worker.ResumeCampaign(ctx, w.rdb, "may"); err != nil {
		t.Fatal(err)
	}
	w.campaignEnded("may", time.Hour)
	check("at the end", ids, map[enqueue.State]int{enqueue.NeedsReview: 5, enqueue.Succeeded: 295})
	time.Sleep(10 * time.Minute)
	check("later", ids, map[enqueue.State]int{enqueue.NeedsReview: 5, enqueue.Succeeded: 295})
	if w.sim.Posts() != 295 {
		t.Errorf("%d POSTs", w.sim.Posts())
	}
	for _, mend := range mends {
		mend()
	}
	time.Sleep(time.Hour) // the sweeper finds what has no wake-up
	w.campaignEnded("may", time.Hour)
	check("mended", nil, map[enqueue.State]int{enqueue.Succeeded: 300})
	paidOnce(t, w.sim, "may", slices.Delete(slices.Clone(rows), 50, 51))
}

// A record that is damaged after its job was paid, or in a campaign that is cancelled, is
// neither paid again nor in the way of the others.
func TestDamagedRecordsOfACancelledCampaign(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		ctx := context.Background()
		rows := ordinary(20)
		for i := range 10 {
			rows[10+i].NotBefore = time.Now().Add(time.Hour)
		}
		loadRows(t, w.store(), "may", 0, rows)
		stop := w.run(w.worker("w1", slowly))
		time.Sleep(time.Minute)
		stop()
		if w.sim.Posts() != 10 {
			t.Fatal(w.sim.Posts())
		}
		time.Sleep(time.Hour)
		if _, err := w.store().Take(ctx, "may", 2); err != nil {
			t.Fatal(err)
		}
		if _, err := w.jobs.TopUp(ctx, rows[10].TopUp("may")); err != nil {
			t.Fatal(err)
		}
		w.damage(rows[10].JobID("may"), "v", "?")
		w.damage(rows[3].JobID("may"), "ca", "?")
		if err := worker.CancelCampaign(ctx, w.rdb, w.jobs, "may", "test"); err != nil {
			t.Fatal(err)
		}
		defer w.run(w.worker("w2", slowly))()
		p := w.campaignEnded("may", time.Hour)
		if p.States[enqueue.Succeeded] != 10 || p.States[enqueue.NeedsReview] != 1 || p.States[enqueue.Cancelled] != 9 || w.sim.Posts() != 10 {
			t.Errorf("%v, %d POSTs", p.States, w.sim.Posts())
		}
		c, err := w.store().Find(ctx, "may")
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := w.store().WriteResults(ctx, &out, w.jobs, c, campaign.ResultsOptions{}); err != nil {
			t.Fatal(err)
		}
		records, err := csv.NewReader(&out).ReadAll()
		if err != nil || len(records) != 21 {
			t.Fatal(len(records), err)
		}
		state, code := slices.Index(records[0], "_state"), slices.Index(records[0], "_code")
		for i, want := range map[int]string{3: "succeeded", 10: "needs_review"} { // as they are counted
			if r := records[1+i]; r[state] != want || r[code] != campaign.CodeDamaged {
				t.Error(r)
			}
		}
		w.nothingHeld()
	})
}
