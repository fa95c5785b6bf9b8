package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// auditor looks at the world's books; what it says goes to the buffer.
func (w *world) auditor(log *bytes.Buffer) *worker.Auditor {
	return worker.NewAuditor(w.rdb, w.jobs, w.provider(), worker.NewHolds(w.rdb, worker.HoldConfig{}), worker.AuditConfig{
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
}

// differences are the findings of one look: "verdict identifier state of the job afterwards".
func (w *world) differences(a *worker.Auditor) (fresh, known []string) {
	w.t.Helper()
	audit, err := a.Look(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range audit.Findings {
		state := "of no job"
		if r, err := w.jobs.Get(context.Background(), strings.TrimSuffix(f.Identifier, "~2")); err == nil {
			state = string(r.State)
		}
		text := fmt.Sprintf("%s %s %s", f.Verdict, f.Identifier, state)
		if f.New {
			fresh = append(fresh, text)
		} else {
			known = append(known, text)
		}
	}
	return fresh, known
}

func (w *world) wants(what string, got []string, want ...string) {
	w.t.Helper()
	if strings.Join(got, "; ") != strings.Join(want, "; ") {
		w.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// pay lets a worker pay jobs, and returns their transactions.
func (w *world) pay(jobs ...enqueue.TopUp) (transactions []int64) {
	w.t.Helper()
	stop := w.run(w.worker("w1", nil))
	defer stop()
	for _, j := range jobs {
		w.submit(j)
		transactions = append(transactions, w.expect(j.ID, enqueue.Succeeded, 1).Transaction.TransactionID)
	}
	return transactions
}

// A top-up was reversed days after it had succeeded; another application uses the account; and
// jobs that were never sent were executed all the same.
func TestAuditFindsWhatTheLedgerDoesNotKnow(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		var log bytes.Buffer
		audit := w.auditor(&log)
		paid := w.pay(numbered("kept", 9001), numbered("reversed", 9002), numbered("expired", 9003), numbered("expired-reversed", 9004))
		fresh, known := w.differences(audit)
		w.wants("books that agree", append(fresh, known...))

		time.Sleep(3 * 24 * time.Hour)
		for _, i := range []int{1, 3} {
			if err := w.sim.Reverse(paid[i]); err != nil {
				t.Fatal(err)
			}
		}
		for _, id := range []string{"expired", "expired-reversed"} {
			for _, key := range w.redis.Keys() {
				if strings.HasSuffix(key, ":job:"+id) {
					w.redis.Del(key)
				}
			}
		}
		w.post(numbered("", 9005), "Somebody Else's")
		w.post(numbered("", 9006), "unheard-of")
		w.post(numbered("", 9001), "KEPT") // Reloadly tells identifiers apart by case
		other := numbered("not-what-was-asked", 9008)
		w.submit(other)
		w.post(numbered("", 9009), other.ID)
		w.submit(numbered("waits", 9010))
		w.post(numbered("", 9010), "waits")
		w.submit(numbered("withdrawn", 9011))
		if _, err := w.jobs.Cancel(context.Background(), "withdrawn"); err != nil {
			t.Fatal(err)
		}
		w.post(numbered("", 9011), "withdrawn")
		w.submit(numbered("on-its-way", 9012))
		if a, err := w.ledger().Begin(context.Background(), "on-its-way", enqueue.NewClaim()); err != nil || a.Word != enqueue.AnswerSend {
			t.Fatal(a, err)
		}
		w.post(numbered("", 9012), "on-its-way")

		strange := []string{"strange Somebody Else's of no job", "strange unheard-of of no job", "strange KEPT succeeded", "strange not-what-was-asked queued"}
		fresh, known = w.differences(audit)
		w.wants("the first look", fresh, append([]string{"reversed reversed refunded", "reversed expired-reversed of no job"},
			append(strange, "booked waits succeeded", "booked withdrawn needs_review")...)...)
		w.wants("known at the first look", known)
		fresh, known = w.differences(audit)
		w.wants("the second look", fresh)
		w.wants("known at the second look", known, append([]string{"reversed expired-reversed of no job"}, strange...)...)
		if strings.Contains(log.String(), "50397") {
			t.Errorf("a number in the log:\n%s", log.String())
		}
		for _, want := range []string{"unheard-of", "msg=\"Reloadly's report and the ledger differ\" verdict=strange"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, log.String())
			}
		}
		last, err := worker.ReadLastAudit(context.Background(), w.rdb)
		if err != nil || last.Transactions != 11 || last.New[worker.Strange] != 0 || time.Since(last.At) > time.Minute {
			t.Errorf("%+v, %v", last, err)
		}

		defer w.run(w.worker("w2", nil))()
		w.expect("on-its-way", enqueue.Succeeded, 1)
		w.expect("waits", enqueue.Succeeded, 1)
		if n := w.sim.PostsFor("waits"); n != 1 {
			t.Errorf("what was booked was sent too: %d POSTs", n)
		}
	})
}

// A campaign counts a reversed row, and its money, as the ledger does.
func TestAuditCountsInTheCampaign(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		rows := ordinary(4)
		loadRows(t, w.store(), "may", 0, rows)
		stop := w.run(w.worker("w1", slowly))
		w.campaignEnded("may", time.Minute)
		r := w.expect(rows[2].JobID("may"), enqueue.Succeeded, 1)
		if err := w.sim.Reverse(r.Transaction.TransactionID); err != nil {
			t.Fatal(err)
		}
		fresh, _ := w.differences(w.auditor(&bytes.Buffer{}))
		w.wants("the reversed row", fresh, "reversed "+r.ID+" refunded")
		for range 2 { // at once, and when a worker has counted it again
			p := w.progress("may")
			if p.States[enqueue.Succeeded] != 3 || p.States[enqueue.Refunded] != 1 {
				t.Errorf("%v", p.States)
			}
			w.movedAsDebited(p)
			time.Sleep(time.Minute)
		}
		stop()
	})
}

// A job has two transactions: everything stops.
func TestAuditFindsADouble(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		first := w.pay(numbered("twice", 9001))[0]
		time.Sleep(time.Hour) // one number's top-ups are kept apart
		w.post(numbered("", 9001), "twice~2")
		audit := w.auditor(&bytes.Buffer{})
		fresh, _ := w.differences(audit)
		w.wants("the double", fresh, "booked twice~2 succeeded")
		holds, err := worker.NewHolds(w.rdb, worker.HoldConfig{}).List(context.Background())
		if err != nil || len(holds) != 1 || holds[0].Scope != worker.ScopeAll {
			t.Errorf("holds %v, %v", holds, err)
		}
		// Somebody has seen to it: the looks of the next days do not stop everything again.
		if err := worker.NewHolds(w.rdb, worker.HoldConfig{}).Lift(context.Background(), worker.ScopeAll); err != nil {
			t.Fatal(err)
		}
		w.differences(audit)
		if holds, err := worker.NewHolds(w.rdb, worker.HoldConfig{}).List(context.Background()); err != nil || len(holds) != 0 {
			t.Errorf("held again: %v, %v", holds, err)
		}
		if err := w.sim.Reverse(first); err != nil {
			t.Fatal(err)
		}
		if fresh, _ := w.differences(audit); len(fresh) != 1 || !strings.HasPrefix(fresh[0], "reversed twice succeeded") {
			t.Errorf("one of them is reversed: %v", fresh)
		}
	})
}

// The fleet looks once a day, and again within the hour where that failed.
func TestAuditRunsOnceADay(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		var away atomic.Bool
		var looks atomic.Int64
		away.Store(true)
		w.serve(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "reports") {
				looks.Add(1)
				if away.Load() {
					http.Error(rw, "", http.StatusBadRequest)
					return
				}
			}
			w.sim.ServeHTTP(rw, r)
		}))
		paid := w.pay(numbered("reversed", 9001))[0]
		if err := w.sim.Reverse(paid); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		var logs [2]bytes.Buffer
		for i := range logs {
			go func() { done <- w.auditor(&logs[i]).Run(ctx) }()
		}
		state := func() enqueue.State { return must(w.jobs.Get(context.Background(), "reversed")).State }
		time.Sleep(25 * time.Hour)
		if state() != enqueue.Succeeded || looks.Load() == 0 {
			t.Errorf("%s after %d looks", state(), looks.Load())
		}
		away.Store(false)
		time.Sleep(2 * time.Hour)
		if state() != enqueue.Refunded {
			t.Error("not marked within the hour")
		}
		looks.Store(0)
		time.Sleep(20 * time.Hour)
		if looks.Load() != 0 {
			t.Error("looked at again on the same day")
		}
		time.Sleep(8 * time.Hour)
		if n := looks.Load(); n != 1 {
			t.Errorf("%d pages on the next day, want one for both processes", n)
		}
		cancel()
		if err := errors.Join(<-done, <-done); err != nil {
			t.Error(err)
		}
		if said := logs[0].String() + logs[1].String(); !strings.Contains(said, "ended early") {
			t.Errorf("the log says nothing of the failure: %s", said)
		}
	})
}
