package worker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/govalues/decimal"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// person is row n of a campaign; last are the last four digits of the number, which
// can be magic ones.
func person(n, last int) campaign.Row {
	national := fmt.Sprintf("803%03d%04d", n/1000%1000, last)
	return campaign.Row{
		Line: n + 2, Phone: "+234" + national, National: national, Country: "NG", Amount: decimal.MustNew(500, 0), Unit: campaign.Sender,
		OperatorID: 341, ExternalID: fmt.Sprintf("p%d", n),
	}
}

// ordinary are n people whose numbers mean nothing, and differ.
func ordinary(n int) []campaign.Row {
	rows := make([]campaign.Row, n)
	for i := range rows {
		rows[i] = person(i, 5000+i%1000)
	}
	return rows
}

func loadRows(tb testing.TB, store *campaign.Store, name string, expect int64, rows []campaign.Row) *campaign.Campaign {
	tb.Helper()
	ctx := context.Background() // the world's has ended when it is loaded in a clean-up
	stage := store.Stage(ctx, name)
	for i := range rows {
		if err := stage.Add(ctx, &rows[i]); err != nil {
			tb.Fatal(err)
		}
	}
	c, err := stage.Commit(ctx, campaign.CommitOptions{Expect: expect})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// feeding makes a worker's feeder as quick as it is, and lets the queue be asked more often.
func feeding(cfg *worker.Config) { cfg.Feed, cfg.Poll = 200*time.Millisecond, 100*time.Millisecond }

// slowly is for what takes hours.
func slowly(cfg *worker.Config) { cfg.Feed = 2 * time.Second }

func (w *world) store() *campaign.Store { return campaign.NewStore(w.rdb) }

// progress reads a campaign and sees to it that its states add up.
func (w *world) progress(name string) *campaign.Progress {
	w.t.Helper()
	return progress(w.t, w.store(), w.jobs, name)
}

func progress(tb testing.TB, store *campaign.Store, jobs *enqueue.Client, name string) *campaign.Progress {
	tb.Helper()
	p, err := store.Progress(context.Background(), name, jobs)
	if err != nil {
		tb.Fatal(err)
	}
	sum := 0
	for _, n := range p.States {
		sum += n
	}
	if sum != p.Campaign.Rows {
		tb.Fatalf("%v sum to %d and not to %d", p.States, sum, p.Campaign.Rows)
	}
	return p
}

// ended waits, in virtual time, until all rows of a campaign are settled.
func (w *world) campaignEnded(name string, within time.Duration) *campaign.Progress {
	w.t.Helper()
	pause := min(time.Minute, max(time.Second, within/600))
	for began := time.Now(); ; time.Sleep(pause) {
		p := w.progress(name)
		if !p.Campaign.Ended.IsZero() {
			return p
		}
		if time.Since(began) > within {
			w.t.Fatalf("after %v: %v %v %v", time.Since(began), p.States, p.Reasons, p.Codes)
		}
	}
}

// paidOnce holds the rows against the simulator's own ledger: the identifiers that it
// executed are those of these rows, each once.
func paidOnce(tb testing.TB, sim *sandbox.Simulator, name string, rows []campaign.Row) {
	tb.Helper()
	paid := map[string]int{}
	for _, e := range sim.Paid() {
		paid[e.CustomIdentifier]++
	}
	for i := range rows {
		id := rows[i].JobID(name)
		if paid[id] != 1 {
			tb.Errorf("%s was paid %d times", id, paid[id])
		}
		delete(paid, id)
	}
	if len(paid) > 0 {
		tb.Errorf("paid beside the rows: %v", paid)
	}
	if err := sim.Audit(); err != nil {
		tb.Error(err)
	}
}

func TestCampaignIsFed(t *testing.T) {
	bubble(t, sandbox.Config{Latency: 50 * time.Millisecond}, func(w *world) {
		rows := ordinary(300)
		loadRows(t, w.store(), "May", 0, rows)
		defer w.run(w.worker("w1", feeding))()
		p := w.campaignEnded("may", 5*time.Minute)
		if p.States[enqueue.Succeeded] != 300 || p.Waiting != 0 || len(p.Codes) != 0 {
			t.Errorf("%+v", p)
		}
		var debited decimal.Decimal
		for _, e := range w.sim.Paid() {
			cost, err := decimal.Parse(e.Cost)
			if err != nil {
				t.Fatal(err)
			}
			debited, _ = debited.Add(cost)
		}
		if len(p.Moved) != 1 || p.Moved["NGN"] != debited.Trim(0).String() {
			t.Errorf("moved %v, and the simulator debited %s", p.Moved, debited)
		}
		paidOnce(t, w.sim, "may", rows)
	})
}

// Every kind of outcome at once: the states add up at every moment, and each row ends as
// its job does.
func TestCampaignWithEveryOutcome(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		faults := []int{2, 18, 24, 30, 31, 32, 35, 36, 47, 47}
		rows := ordinary(40)
		for i, last := range faults {
			rows[3*i] = person(3*i, last)
			rows[3*i].Phone, rows[3*i].National = fmt.Sprintf("+234803%03d%04d", 100+i, last), fmt.Sprintf("803%03d%04d", 100+i, last)
		}
		loadRows(t, w.store(), "may", 0, rows)
		defer w.run(w.worker("w1", slowly))()
		p := w.campaignEnded("may", 2*time.Hour)
		want := map[enqueue.State]int{}
		for i := range rows {
			r, err := w.jobs.Get(context.Background(), rows[i].JobID("may"))
			if err != nil {
				t.Fatal(err)
			}
			want[r.State]++
		}
		for _, state := range enqueue.States() {
			if p.States[state] != want[state] {
				t.Errorf("%d rows are %s, and %d jobs", p.States[state], state, want[state])
			}
		}
		if want[enqueue.NeedsReview] == 0 || want[enqueue.Failed] == 0 || want[enqueue.Refunded] == 0 || want[enqueue.Succeeded] < 28 {
			t.Errorf("the test shows too little: %v", want)
		}
		ends, err := w.store().Ends(context.Background(), "may")
		if err != nil || len(ends) != want[enqueue.Failed]+want[enqueue.Refunded] {
			t.Errorf("%v %v", ends, err)
		}
		// A person has a failed one sent again, and decides about one in review.
		ctx := context.Background()
		again, decided := -1, false
		for i := range rows {
			r, _ := w.jobs.Get(ctx, rows[i].JobID("may"))
			switch {
			case r.State == enqueue.Refunded && again < 0:
				again = i
				if err := w.ledger().Resend(ctx, r.ID); err != nil {
					t.Fatal(err)
				}
				if err := w.store().Reopen(ctx, "may", []int{i}); err != nil {
					t.Fatal(err)
				}
			case r.State == enqueue.NeedsReview && !decided:
				decided = true
				if err := w.ledger().Fail(ctx, r.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		if p := w.progress("may"); !p.Campaign.Ended.IsZero() || again < 0 || !decided {
			t.Fatalf("%+v", p)
		}
		time.Sleep(10 * time.Second)
		q := w.campaignEnded("may", 2*time.Hour)
		if q.States[enqueue.NeedsReview] != p.States[enqueue.NeedsReview]-1 || q.States[enqueue.Failed] != p.States[enqueue.Failed]+1 {
			t.Errorf("%v after %v", q.States, p.States)
		}
		if err := w.sim.Audit(); err != nil {
			t.Error(err)
		}
	})
}

// A feeder is killed between taking rows and submitting them; another goes on with them.
func TestTakenRowsAreNotForgotten(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		rows := ordinary(60)
		loadRows(t, w.store(), "may", 0, rows)
		if taken, err := w.store().Take(context.Background(), "may", 25); err != nil || len(taken) != 25 {
			t.Fatal(taken, err)
		}
		if p := w.progress("may"); p.States[enqueue.Queued] != 60 {
			t.Error(p.States)
		}
		defer w.run(w.worker("w1", feeding))()
		if p := w.campaignEnded("may", time.Minute); p.States[enqueue.Succeeded] != 60 {
			t.Errorf("%+v", p)
		}
		paidOnce(t, w.sim, "may", rows)
	})
}

// A row whose id belongs to another top-up, or that is no job, has failed and says so;
// the other top-up is left alone, also when the campaign is cancelled.
func TestRowsThatCannotBecomeJobs(t *testing.T) {
	for _, cancelled := range []bool{false, true} {
		bubble(t, sandbox.Config{}, func(w *world) {
			ctx := context.Background()
			rows := ordinary(5)
			rows[3].ExternalID = "no job/id"
			other := rows[1].TopUp("may")
			other.Amount, other.NotBefore = decimal.MustNew(1, 0), time.Now().Add(time.Hour)
			w.submit(other)
			loadRows(t, w.store(), "may", 0, rows)
			if cancelled { // by somebody else than the feeder that took the rows and died
				if _, err := w.store().Take(ctx, "may", 3); err != nil {
					t.Fatal(err)
				}
				if err := w.store().Cancel(ctx, "may"); err != nil {
					t.Fatal(err)
				}
			}
			defer w.run(w.worker("w1", feeding))()
			p := w.campaignEnded("may", time.Minute)
			ends, err := w.store().Ends(ctx, "may")
			if err != nil {
				t.Fatal(err)
			}
			if r, err := w.jobs.Get(ctx, other.ID); err != nil || r.State != enqueue.Queued {
				t.Error(r.State, err)
			}
			if ends[1] != (campaign.End{State: enqueue.Failed, Code: campaign.CodeConflict}) {
				t.Error(ends)
			}
			if cancelled && (p.States[enqueue.Cancelled] != 4 || p.States[enqueue.Failed] != 1 || w.sim.Posts() != 0) {
				t.Error(p.States)
			}
			if !cancelled && (p.States[enqueue.Succeeded] != 3 || ends[3] != (campaign.End{State: enqueue.Failed, Code: campaign.CodeInvalid})) {
				t.Error(p.States, ends)
			}
		})
	}
}

func TestRowsWaitForTheirTime(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		began := time.Now()
		rows := ordinary(30)
		for i := range rows {
			if i%3 == 0 {
				rows[i].NotBefore = began.Add(10 * time.Minute)
			}
		}
		loadRows(t, w.store(), "may", 0, rows)
		defer w.run(w.worker("w1", feeding))()
		time.Sleep(20 * time.Second)
		if p := w.progress("may"); p.Later != 10 || p.Rate == 0 || p.Left != 0 { // what waits for its time does not come by this rate
			t.Errorf("%+v", p)
		}
		time.Sleep(5 * time.Minute)
		p := w.progress("may")
		if p.States[enqueue.Succeeded] != 20 || p.States[enqueue.Queued] != 10 || p.Later != 10 || len(p.Reasons) != 1 || p.Reasons[0] != (campaign.Count{Word: "scheduled", Count: 10}) {
			t.Errorf("%+v", p)
		}
		p = w.campaignEnded("may", 10*time.Minute)
		if took := time.Since(began); took < 10*time.Minute || took > 11*time.Minute {
			t.Error("it took", took)
		}
		if p.States[enqueue.Succeeded] != 30 {
			t.Error(p.States)
		}
		paidOnce(t, w.sim, "may", rows)
	})
}

// A pause stops the POSTs within a second but for those under way; after it each row is
// paid once, and soon.
func TestPauseAndResume(t *testing.T) {
	bubble(t, sandbox.Config{Latency: 500 * time.Millisecond}, func(w *world) {
		ctx := context.Background()
		rows := ordinary(400)
		loadRows(t, w.store(), "may", 0, rows)
		defer w.run(w.worker("w1", feeding))()
		time.Sleep(6 * time.Second)
		if err := worker.PauseCampaign(ctx, w.rdb, "MAY", "test"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		posts := w.sim.Posts()
		if posts < 20 || posts > 300 {
			t.Fatal("the middle is elsewhere:", posts)
		}
		time.Sleep(2 * time.Minute)
		if now := w.sim.Posts(); now != posts {
			t.Errorf("%d POSTs after the pause", now-posts)
		}
		p := w.progress("may")
		if p.States[enqueue.Queued] != 400-posts || p.Campaign.State != campaign.Paused || len(p.Reasons) != 1 || p.Reasons[0].Word != string(enqueue.Paused) {
			t.Errorf("%+v", p)
		}
		if err := worker.ResumeCampaign(ctx, w.rdb, "may"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if now := w.sim.Posts(); now < posts+10 {
			t.Errorf("%d POSTs in two seconds after the pause", now-posts)
		}
		// Ten at a time, half a second each: the rest has nothing else to wait for.
		if p := w.campaignEnded("may", time.Duration(400-posts)/20*time.Second+20*time.Second); p.States[enqueue.Succeeded] != 400 {
			t.Errorf("%+v", p)
		}
		paidOnce(t, w.sim, "may", rows)
	})
}

// What met the pause would ask again only after a while, by itself.
func TestResumeWakesWhatWaits(t *testing.T) {
	bubble(t, sandbox.Config{Latency: 500 * time.Millisecond}, func(w *world) {
		ctx := context.Background()
		rows := ordinary(90) // all of them are handed over at once
		loadRows(t, w.store(), "may", 0, rows)
		if err := worker.PauseCampaign(ctx, w.rdb, "may", "test"); err != nil {
			t.Fatal(err)
		}
		if err := w.store().Resume(ctx, "may"); err != nil { // as if released by hand: the hold stands
			t.Fatal(err)
		}
		for range 90 {
			if _, err := w.store().Take(ctx, "may", 1); err != nil {
				t.Fatal(err)
			}
		}
		defer w.run(w.worker("w1", feeding))()
		time.Sleep(40 * time.Second)
		if p := w.progress("may"); p.States[enqueue.Queued] != 90 || len(p.Reasons) != 1 || p.Reasons[0] != (campaign.Count{Word: "paused", Count: 90}) {
			t.Errorf("%+v", p)
		}
		if err := worker.ResumeCampaign(ctx, w.rdb, "may"); err != nil {
			t.Fatal(err)
		}
		// Ten at a time, 0.8 s each with the simulator's check for duplicates: 7.2 s. By themselves they
		// would ask again spread over 30 s.
		w.campaignEnded("may", 14*time.Second)
		paidOnce(t, w.sim, "may", rows)
	})
}

// Cancelled in the middle: what was not sent is cancelled, by whoever cancelled it or, where that one died
// on the way, by the feeder.
func TestCancelInTheMiddle(t *testing.T) {
	for _, killed := range []string{"", "after the hold", "after the state"} {
		t.Run(killed, func(t *testing.T) {
			bubble(t, sandbox.Config{Latency: 500 * time.Millisecond}, func(w *world) {
				ctx := context.Background()
				holds := worker.NewHolds(w.rdb, worker.HoldConfig{})
				rows := ordinary(400)
				rows[350].NotBefore = time.Now().Add(2 * time.Minute)
				rows[2].NotBefore = time.Now().Add(2 * time.Minute)
				loadRows(t, w.store(), "may", 0, rows)
				defer w.run(w.worker("w1", feeding))()
				time.Sleep(6 * time.Second)
				var err error
				switch killed {
				case "":
					err = worker.CancelCampaign(ctx, w.rdb, w.jobs, "may", "test")
				case "after the state":
					if err = holds.Place(ctx, worker.Hold{Scope: worker.ScopeCampaign("may")}); err == nil {
						err = w.store().Cancel(ctx, "may")
					}
				default: // nobody knows what was wanted: it is repeated
					if err = holds.Place(ctx, worker.Hold{Scope: worker.ScopeCampaign("may")}); err == nil {
						time.Sleep(5 * time.Second)
						err = worker.CancelCampaign(ctx, w.rdb, w.jobs, "may", "test")
					}
				}
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				posts := w.sim.Posts()
				p := w.campaignEnded("may", 20*time.Second)
				if p.States[enqueue.Succeeded] != posts || p.States[enqueue.Cancelled] != 400-posts || w.sim.Posts() != posts || posts < 20 {
					t.Errorf("%v after %d POSTs", p.States, posts)
				}
				time.Sleep(10 * time.Second)
				if list, err := holds.List(ctx); err != nil || len(list) != 0 {
					t.Error("holds that stayed:", list, err)
				}
				time.Sleep(3 * time.Minute)
				if w.sim.Posts() != posts {
					t.Error("sent after its end")
				}
				withdrawn, err := w.store().Withdrawn(ctx, "may")
				if err != nil || !withdrawn[2] || p.Campaign.Cut < 20 {
					t.Error(withdrawn, p.Campaign.Cut, err)
				}
			})
		})
	}
}

// asynq loses everything that it has: the rows go on.
func TestCampaignOutlivesTheQueue(t *testing.T) {
	bubble(t, sandbox.Config{Latency: 200 * time.Millisecond}, func(w *world) {
		ctx := context.Background()
		rows := ordinary(300)
		loadRows(t, w.store(), "may", 0, rows)
		defer w.run(w.worker("w1", feeding))()
		time.Sleep(3 * time.Second)
		keys, err := w.rdb.Keys(ctx, "asynq:*").Result()
		if err != nil || len(keys) == 0 {
			t.Fatal(keys, err)
		}
		if err := w.rdb.Del(ctx, keys...).Err(); err != nil {
			t.Fatal(err)
		}
		if p := w.campaignEnded("may", time.Hour); p.States[enqueue.Succeeded] != 300 {
			t.Errorf("%+v", p)
		}
		paidOnce(t, w.sim, "may", rows)
	})
}

// A small campaign loaded behind a large one ends within a minute of its load, at a
// pace at which the large one takes half an hour.
func TestSmallCampaignIsNotStarved(t *testing.T) {
	bubble(t, sandbox.Config{Latency: time.Second}, func(w *world) {
		large, small := ordinary(20_000), ordinary(100)
		for i := range small {
			small[i] = person(900_000+i, 7000+i)
		}
		loadRows(t, w.store(), "large", 0, large)
		defer w.run(w.worker("w1", feeding))()
		time.Sleep(time.Minute)
		before := w.progress("large").Settled()
		loadRows(t, w.store(), "small", 0, small)
		if p := w.campaignEnded("small", time.Minute); p.States[enqueue.Succeeded] != 100 {
			t.Errorf("%+v", p)
		}
		p := w.progress("large")
		if before < 300 || before > 1000 || p.Settled() < before+100 {
			t.Errorf("the large one had settled %d rows, and %d later", before, p.Settled())
		}
		if p.Rate < 1 || p.Rate > 11 || p.Left < 20*time.Minute {
			t.Errorf("%f a second, %v left", p.Rate, p.Left)
		}
	})
}
