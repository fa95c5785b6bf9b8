package enqueue

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
)

func TestBeginAnswers(t *testing.T) {
	inWorld(t, func(w *world) {
		w.want("missing", "")(w.l.Begin(w.Context(), "nobody", NewClaim()))

		w.submit("One")
		claim := w.begin("ONE")
		w.want("send", Sending)(w.l.Begin(w.Context(), "one", claim)) // its answer was lost
		r := w.record("one")
		if r.Sends != 1 || r.TopUp.ID != "One" || r.Version != 2 || len(r.Log) != 1 || r.Log[0].Why != "claim" || r.Log[0].Who != "w1" || r.Log[0].From != Queued || r.Log[0].To != Sending {
			w.Fatalf("%+v", r)
		}
		w.want("busy", Sending)(w.l.Begin(w.Context(), "one", NewClaim())) // guard 3
		w.want("done", Succeeded)(w.settle("one", Outcome{Kind: KindSucceeded, Claim: claim, Transaction: tx(7, "SUCCESSFUL")}))
		w.want("done", Succeeded)(w.l.Begin(w.Context(), "one", NewClaim()))

		later := job("later")
		later.NotBefore = time.Now().Add(time.Hour)
		if _, err := w.c.TopUp(w.Context(), later); err != nil {
			w.Fatal(err)
		}
		a := w.want("early", Queued)(w.l.Begin(w.Context(), "later", NewClaim()))
		if !a.NextAt.Equal(later.NotBefore.UTC().Truncate(time.Millisecond)) {
			w.Fatal(a.NextAt)
		}

		w.submit("odd")
		w.want("done", NeedsReview)(w.settle("odd", Outcome{Kind: KindReview, Claim: w.begin("odd"), Code: "NEW_CODE"}))
		w.want("review", NeedsReview)(w.l.Begin(w.Context(), "odd", NewClaim()))
		if r := w.record("odd").Result(); r.MoneyMoved != MovedNo || r.Code != "NEW_CODE" {
			w.Fatalf("%+v", r)
		}
	})
}

func TestJobExpires(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("default")
		own := job("own")
		own.Expires = time.Now().Add(time.Hour)
		if _, err := w.c.TopUp(w.Context(), own); err != nil {
			w.Fatal(err)
		}
		w.submit("held")
		w.want("done", Queued)(w.l.Wait(w.Context(), w.record("held"), Paused, time.Minute, true))
		w.submit("waits")
		time.Sleep(2 * time.Hour)
		w.want("failed", Failed)(w.l.Begin(w.Context(), "own", NewClaim()))
		time.Sleep(23 * time.Hour)
		w.want("failed", Failed)(w.l.Begin(w.Context(), "default", NewClaim()))
		if r := w.record("default").Result(); r.Code != CodeExpired || r.MoneyMoved != MovedNo || r.FinishedAt == nil || r.NextAction != nil {
			w.Fatalf("%+v", r)
		}
		w.want("failed", Failed)(w.l.Wait(w.Context(), w.record("waits"), RateLimited, time.Minute, false))
		w.begin("held") // its hold does not count
	})
}

func TestSendsAreLimited(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("often")
		for range 12 {
			w.want("done", Queued)(w.settle("often", Outcome{Kind: KindRetry, Claim: w.begin("often"), Reason: Backoff, Delay: time.Second}))
			time.Sleep(2 * time.Second)
		}
		w.want("failed", Failed)(w.l.Begin(w.Context(), "often", NewClaim()))
		if r := w.record("often"); r.Code != CodeTooManySends || r.Sends != 12 {
			w.Fatalf("%+v", r)
		}
		// What was not sent does not count.
		w.submit("back")
		for range 20 {
			w.want("done", Queued)(w.settle("back", Outcome{Kind: KindHeld, GiveBack: true, Claim: w.begin("back"), Reason: InsufficientBalance, Delay: time.Second}))
			time.Sleep(2 * time.Second)
		}
		if r := w.record("back"); r.Sends != 0 || len(r.Log) != 24 {
			w.Fatalf("%d sends, %d lines", r.Sends, len(r.Log))
		}
	})
}

// Guard 8: success is always accepted, a refusal only from the current holder.
func TestLateAnswers(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("late")
		claim := w.begin("late")
		w.want("busy", Sending)(w.l.Lapse(w.Context(), "late"))
		w.want("stale", "")(w.l.Lapse(w.Context(), "nobody"))
		time.Sleep(2 * time.Minute)
		w.want("look", Unknown)(w.l.Lapse(w.Context(), "late"))
		if r := w.record("late"); r.Ambiguous != 1 || r.Result().MoneyMoved != MovedUnknown {
			w.Fatalf("%+v", r)
		}
		for _, kind := range []Kind{KindFailed, KindRetry, KindHeld, KindReview, KindInUse, KindUnknown} {
			w.want("ignored", Unknown)(w.settle("late", Outcome{Kind: kind, Claim: claim, Code: "PHONE_BANNED_BY_OPERATOR"}))
		}
		w.want("done", Succeeded)(w.settle("late", Outcome{Kind: KindSucceeded, Claim: claim, Transaction: tx(1, "SUCCESSFUL")}))
		w.want("same", Succeeded)(w.settle("late", Outcome{Kind: KindSucceeded, Transaction: tx(1, "SUCCESSFUL")}))
		w.want("ignored", Succeeded)(w.settle("late", Outcome{Kind: KindFailed, Claim: claim, Code: "X"}))

		// A refusal that comes after the settle time is late too, though nobody took the claim.
		w.submit("slow")
		claim = w.begin("slow")
		time.Sleep(11 * time.Minute)
		w.want("ignored", Sending)(w.settle("slow", Outcome{Kind: KindFailed, Claim: claim, Code: "X"}))

		w.submit("other")
		w.begin("other")
		w.want("ignored", Sending)(w.settle("other", Outcome{Kind: KindFailed, Claim: NewClaim(), Code: "X"}))
		w.want("ignored", Sending)(w.settle("other", Outcome{Kind: KindFailed, Transaction: tx(9, "FAILED")}))
		w.want("ignored", Sending)(w.settle("other", Outcome{Kind: KindForeign}))
		w.want("missing", "")(w.settle("nobody", Outcome{Kind: KindSucceeded, Transaction: tx(1, "SUCCESSFUL")}))
	})
}

func TestSuccessAfterAnUnpaidEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("x")
		w.want("done", Failed)(w.settle("x", Outcome{Kind: KindFailed, Claim: w.begin("x"), Code: "INVALID_AMOUNT", Transaction: tx(5, "FAILED")}))
		w.want("same", Failed)(w.settle("x", Outcome{Kind: KindProcessing, Transaction: tx(5, "PROCESSING")}))
		w.want("alert", NeedsReview)(w.settle("x", Outcome{Kind: KindSucceeded, Transaction: tx(6, "SUCCESSFUL")}))
		r := w.record("x")
		if r.Code != CodeExecutedAfter || r.Result().MoneyMoved != MovedYes || !r.FinishedAt.IsZero() || r.TxID != 6 {
			w.Fatalf("%+v", r)
		}
		if ttl := w.m.TTL(jobKey("x")); ttl != 0 || w.m.Exists(tombKey("x")) {
			w.Fatalf("an open job has a TTL of %v or a tomb", ttl)
		}
		if err := w.l.Resend(w.Context(), "x"); !errors.Is(err, ErrNotReviewable) {
			w.Fatal(err)
		}
		w.want("done", Succeeded)(w.settle("x", Outcome{Kind: KindSucceeded, Transaction: tx(6, "SUCCESSFUL")})) // adopted
		w.want("double", Succeeded)(w.settle("x", Outcome{Kind: KindSucceeded, Transaction: tx(8, "SUCCESSFUL")}))
		w.want("double", Succeeded)(w.settle("x", Outcome{Kind: KindSucceeded, Transaction: tx(8, "SUCCESSFUL")})) // the first answer may have been lost
		if r := w.record("x"); r.Code != CodeDouble || r.TxID != 6 || r.Result().MoneyMoved != MovedYes {
			w.Fatalf("%+v", r)
		}
		w.want("ignored", Succeeded)(w.settle("x", Outcome{Kind: KindRefunded, Transaction: tx(6, "REFUNDED")})) // the other one stands

		w.submit("y")
		w.want("done", Succeeded)(w.settle("y", Outcome{Kind: KindSucceeded, Claim: w.begin("y"), Transaction: tx(9, "SUCCESSFUL")}))
		w.want("ignored", Succeeded)(w.settle("y", Outcome{Kind: KindRefunded, Transaction: tx(10, "REFUNDED")}))
		w.want("done", Refunded)(w.settle("y", Outcome{Kind: KindRefunded, Transaction: tx(9, "REFUNDED")})) // reversed later
	})
}

// What Reloadly shows as executed is neither ended as unpaid nor sent again.
func TestPeopleCannotDenyAnExecution(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("x")
		w.want("done", Failed)(w.settle("x", Outcome{Kind: KindFailed, Claim: w.begin("x"), Code: "INVALID_AMOUNT"}))
		w.want("alert", NeedsReview)(w.settle("x", Outcome{Kind: KindProcessing, Transaction: tx(6, "PROCESSING")}))
		if r := w.record("x").Result(); r.MoneyMoved != MovedUnknown {
			w.Fatal(r.MoneyMoved)
		}
		for _, decide := range []func() error{
			func() error { return w.l.Fail(w.Context(), "x") },
			func() error { return w.l.Resend(w.Context(), "x") },
		} {
			if err := decide(); !errors.Is(err, ErrNotReviewable) || w.record("x").State != NeedsReview {
				w.Fatal(err)
			}
		}
		w.want("done", Failed)(w.settle("x", Outcome{Kind: KindFailed, Code: CodeTransaction, Transaction: tx(6, "FAILED")})) // adopted
	})
}

// After FAILED a number rests for half an hour, however long the transaction was open.
func TestResendRestsFromTheEndOn(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("a")
		w.want("done", Processing)(w.settle("a", Outcome{Kind: KindProcessing, Claim: w.begin("a"), Transaction: tx(1, "PROCESSING"), Delay: time.Minute}))
		time.Sleep(2 * time.Hour)
		w.want("done", Failed)(w.settle("a", Outcome{Kind: KindFailed, Code: CodeTransaction, Transaction: tx(1, "FAILED")}))
		time.Sleep(time.Minute)
		if err := w.l.Resend(w.Context(), "a"); err != nil {
			w.Fatal(err)
		}
		if rest := time.Until(w.record("a").NextAt).Round(time.Second); rest != 29*time.Minute {
			t.Errorf("it is sent in %v", rest)
		}
	})
}

// Two transactions of one job are noticed in whatever order their answers come.
func TestTwoTransactionsAreNoticed(t *testing.T) {
	inWorld(t, func(w *world) {
		accepted := func(id string) {
			w.submit(id)
			w.want("done", Processing)(w.settle(id, Outcome{Kind: KindProcessing, Claim: w.begin(id), Transaction: tx(1, "PROCESSING"), Delay: time.Minute}))
		}
		accepted("open")
		w.want("double", NeedsReview)(w.settle("open", Outcome{Kind: KindProcessing, Transaction: tx(2, "PROCESSING")}))
		w.want("double", NeedsReview)(w.settle("open", Outcome{Kind: KindProcessing, Transaction: tx(2, "PROCESSING")}))
		w.want("same", NeedsReview)(w.settle("open", Outcome{Kind: KindProcessing, Transaction: tx(1, "PROCESSING")}))
		if r := w.record("open"); r.Code != CodeDouble || r.TxID != 1 || r.Result().MoneyMoved != MovedUnknown {
			w.Fatalf("%+v", r)
		}
		w.want("ignored", NeedsReview)(w.settle("open", Outcome{Kind: KindFailed, Transaction: tx(3, "FAILED")}))
		w.want("done", Succeeded)(w.settle("open", Outcome{Kind: KindSucceeded, Transaction: tx(2, "SUCCESSFUL")})) // adopted
		if r := w.record("open"); r.Code != CodeDouble || r.TxID != 2 {
			w.Fatalf("%+v", r)
		}
		w.want("double", Succeeded)(w.settle("open", Outcome{Kind: KindSucceeded, Transaction: tx(1, "SUCCESSFUL")}))

		accepted("paid")
		w.want("double", Succeeded)(w.settle("paid", Outcome{Kind: KindSucceeded, Transaction: tx(2, "SUCCESSFUL")}))
		if r := w.record("paid"); r.Code != CodeDouble || r.TxID != 2 {
			w.Fatalf("%+v", r)
		}

		accepted("adopted")
		w.want("double", NeedsReview)(w.settle("adopted", Outcome{Kind: KindProcessing, Transaction: tx(2, "PROCESSING")}))
		w.want("done", Succeeded)(w.settle("adopted", Outcome{Kind: KindSucceeded, Transaction: tx(1, "SUCCESSFUL")}))

		// The end of another transaction is not that of this one.
		accepted("ended")
		w.want("ignored", Processing)(w.settle("ended", Outcome{Kind: KindFailed, Transaction: tx(2, "FAILED")}))
		w.want("done", Succeeded)(w.settle("ended", Outcome{Kind: KindSucceeded, Transaction: tx(1, "SUCCESSFUL")}))
	})
}

// A transaction that ended says nothing of a later send that this Redis may have forgotten.
func TestEndBeforeARestartSettles(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("s")
		l := w.restarted("other")
		w.want("look", Unknown)(l.Begin(w.Context(), "s", NewClaim()))
		ended := Outcome{Kind: KindFailed, Code: CodeTransaction, Transaction: tx(1, "FAILED")}
		a := w.want("wait", Unknown)(l.Settle(w.Context(), "s", ended, nil))
		if wait := time.Until(a.NextAt); wait < 9*time.Minute || wait > 10*time.Minute {
			w.Fatal(wait)
		}
		time.Sleep(10 * time.Minute)
		w.want("done", Failed)(l.Settle(w.Context(), "s", ended, nil))
	})
}

// What was not asked of Reloadly cannot have used an identifier up.
func TestRefusalWithoutAPost(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("d")
		w.want("done", Failed)(w.settle("d", Outcome{Kind: KindFailed, GiveBack: true, Claim: w.begin("d"), Code: "COULD_NOT_AUTO_DETECT_OPERATOR"}))
		if r := w.record("d"); r.Sends != 0 {
			w.Fatal(r.Sends)
		}
		if err := w.l.Resend(w.Context(), "d"); err != nil {
			w.Fatal(err)
		}
		time.Sleep(31 * time.Minute)
		w.want("look", Unknown)(w.settle("d", Outcome{Kind: KindInUse, Claim: w.begin("d"), Code: "U", Delay: time.Second}))
		w.almostProven(w.l, "d")
		w.want("review", NeedsReview)(w.absent("d"))
	})
}

// Guard 5: an empty look-up proves something of the job as it was then. What it says
// after another send proves nothing, and of two at once one is followed up.
func TestLookUpOfWhatHasChanged(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sent("u")
		before := w.record("u")
		w.almostProven(w.l, "u")
		w.want("resend", Queued)(w.absent("u"))
		w.want("look", Unknown)(w.settle("u", Outcome{Kind: KindUnknown, Claim: w.begin("u"), Code: "TIMEOUT", Delay: time.Second}))
		time.Sleep(11 * time.Minute)
		w.want("busy", Unknown)(w.l.Absent(w.Context(), before, time.Now(), time.Minute))

		together := w.record("u")
		first := w.want("wait", Unknown)(w.l.Absent(w.Context(), together, time.Now(), time.Minute))
		second := w.want("busy", Unknown)(w.l.Absent(w.Context(), together, time.Now(), time.Minute))
		if second.Version != first.Version || !second.NextAt.Equal(first.NextAt) {
			w.Fatalf("%+v, %+v", first, second)
		}
		time.Sleep(time.Until(first.NextAt))
		w.want("resend", Queued)(w.absent("u"))
	})
}

// Reloadly's clock stands still: a person is asked, and Reloadly is not asked every second.
func TestProviderClockStandsStill(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sent("u")
		stopped := time.Now()
		time.Sleep(11 * time.Minute)
		a := w.want("wait", Unknown)(w.l.Absent(w.Context(), w.record("u"), stopped, 15*time.Minute))
		if wait := time.Until(a.NextAt); wait != 15*time.Minute {
			w.Fatal(wait)
		}
		time.Sleep(24 * time.Hour)
		w.want("review", NeedsReview)(w.l.Absent(w.Context(), w.record("u"), stopped, time.Minute))
	})
}

func TestProcessing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("p")
		a := w.want("done", Processing)(w.settle("p", Outcome{Kind: KindProcessing, Claim: w.begin("p"), Transaction: tx(5, "PROCESSING"), Delay: time.Minute}))
		if time.Until(a.NextAt) != time.Minute {
			w.Fatal(a.NextAt)
		}
		w.want("busy", Processing)(w.l.Begin(w.Context(), "p", NewClaim()))
		w.want("busy", Processing)(w.absent("p"))
		time.Sleep(time.Minute)
		b := w.want("done", Processing)(w.settle("p", Outcome{Kind: KindProcessing, Transaction: tx(5, "PROCESSING"), Delay: time.Hour}))
		if b.Version != a.Version+1 || time.Until(b.NextAt) != time.Hour || len(w.record("p").Log) != 2 {
			w.Fatalf("%+v", b)
		}
		w.want("stale", Processing)(w.l.Delay(w.Context(), &Record{TopUp: job("p"), Version: 1}, time.Minute))
		w.want("done", Processing)(w.l.Delay(w.Context(), w.record("p"), time.Minute))
		time.Sleep(25 * time.Hour)
		w.want("review", NeedsReview)(w.l.Delay(w.Context(), w.record("p"), time.Minute))
		w.want("done", Failed)(w.settle("p", Outcome{Kind: KindFailed, Code: CodeTransaction, Transaction: tx(5, "FAILED")}))
	})
}

// Guard 5: unknown is not failed. Only after the settle time, by both clocks, and
// two healthy empty answers apart, is it sent again, under the same identifier.
func TestUnknownIsSentAgainOnlyWhenProvenAbsent(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sent("u")
		for time.Since(w.record("u").SentAt) < 10*time.Minute {
			a := w.want("wait", Unknown)(w.absent("u"))
			time.Sleep(time.Until(a.NextAt))
		}
		// Reloadly's own clock says that it is too early.
		w.want("wait", Unknown)(w.l.Absent(w.Context(), w.record("u"), w.record("u").SentAt.Add(9*time.Minute), time.Minute))
		time.Sleep(time.Minute)
		a := w.want("wait", Unknown)(w.l.Absent(w.Context(), w.record("u"), time.Now(), time.Minute))
		if time.Until(a.NextAt) != 5*time.Minute {
			w.Fatal(time.Until(a.NextAt))
		}
		time.Sleep(4 * time.Minute)
		w.want("wait", Unknown)(w.absent("u")) // too soon after the first to count
		time.Sleep(time.Minute)
		w.want("resend", Queued)(w.absent("u"))
		if r := w.record("u"); r.Generation != 0 || r.Identifier() != "u" || r.Sends != 1 || r.Result().MoneyMoved != MovedUnknown {
			w.Fatalf("%+v", r)
		}
		if _, err := w.c.Cancel(w.Context(), "u"); !errors.Is(err, ErrNotCancellable) {
			w.Fatal(err)
		}
		// A definite refusal now still does not prove that the first send was nothing.
		w.want("look", Unknown)(w.settle("u", Outcome{Kind: KindFailed, Claim: w.begin("u"), Code: "PHONE_BANNED_BY_OPERATOR", Delay: time.Second}))
		w.almostProven(w.l, "u")
		w.want("failed", Failed)(w.absent("u"))
		if r := w.record("u"); r.Code != "PHONE_BANNED_BY_OPERATOR" {
			w.Fatal(r.Code)
		}
	})
}

func TestUnknownThatMayNotBeSentAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		expires := job("expires")
		expires.Expires = time.Now().Add(12 * time.Minute)
		if _, err := w.c.TopUp(w.Context(), expires); err != nil {
			w.Fatal(err)
		}
		w.want("look", Unknown)(w.settle("expires", Outcome{Kind: KindUnknown, Claim: w.begin("expires"), Code: "TIMEOUT", Delay: time.Second}))
		w.almostProven(w.l, "expires")
		w.want("review", NeedsReview)(w.absent("expires"))
		if r := w.record("expires"); r.Code != CodeExpired || r.Result().MoneyMoved != MovedUnknown {
			w.Fatalf("%+v", r)
		}

		w.l.cfg.MaxSends = 1
		w.sent("once")
		w.almostProven(w.l, "once")
		w.want("review", NeedsReview)(w.absent("once"))
		w.l.cfg.MaxSends = 12

		w.sent("day")
		time.Sleep(25 * time.Hour)
		w.want("wait", Unknown)(w.absent("day"))
		time.Sleep(5 * time.Minute)
		w.want("review", NeedsReview)(w.absent("day"))
		if r := w.record("day"); r.Code != CodeUnresolved {
			w.Fatal(r.Code)
		}

		time.Sleep(time.Second)
		w.sent("foreign")
		w.want("done", NeedsReview)(w.settle("foreign", Outcome{Kind: KindForeign}))
		if ids, err := w.l.Reviews(w.Context()); err != nil || len(ids) != 4 || ids[0] != "expires" || ids[3] != "foreign" {
			w.Fatal(ids, err)
		}
	})
}

// What a worker says that the ledger does not understand proves nothing.
func TestOddOutcomesAreUnknown(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("typo")
		w.want("look", Unknown)(w.settle("typo", Outcome{Kind: "retired", Claim: w.begin("typo"), Code: "X"}))
		w.submit("refund")
		w.want("look", Unknown)(w.settle("refund", Outcome{Kind: KindRefunded, Claim: w.begin("refund"), Code: "X"}))
		w.submit("bare")
		w.want("done", Succeeded)(w.settle("bare", Outcome{Kind: KindSucceeded, Claim: w.begin("bare")}))
		w.want("same", Succeeded)(w.settle("bare", Outcome{Kind: KindSucceeded}))
	})
}

// Guard 6: a new identifier only after definite refusals alone.
func TestNewIdentifier(t *testing.T) {
	inWorld(t, func(w *world) {
		refusedTwice := func(id string) {
			w.submit(id)
			w.want("done", Queued)(w.settle(id, Outcome{Kind: KindRetry, Claim: w.begin(id), Reason: Backoff, Delay: time.Second}))
			time.Sleep(time.Second)
			w.want("look", Unknown)(w.settle(id, Outcome{Kind: KindInUse, Claim: w.begin(id), Code: "CUSTOM_IDENTIFIER_ALREADY_USED", Delay: time.Second}))
		}
		refusedTwice("clean")
		w.almostProven(w.l, "clean")
		w.want("next_identifier", Queued)(w.absent("clean"))
		if r := w.record("clean"); r.Identifier() != "clean~2" || len(r.Identifiers()) != 2 {
			w.Fatal(r.Identifier())
		}

		// The first send of all cannot be refused for itself.
		w.submit("first")
		w.want("look", Unknown)(w.settle("first", Outcome{Kind: KindInUse, Claim: w.begin("first"), Code: "U", Delay: time.Second}))
		w.almostProven(w.l, "first")
		w.want("review", NeedsReview)(w.absent("first"))
		if r := w.record("first"); r.Code != CodeIdentifierInUse || r.Result().MoneyMoved != MovedUnknown {
			w.Fatalf("%+v", r)
		}
		// Nor does a refusal that comes after it explain it.
		if err := w.l.Resend(w.Context(), "first"); err != nil {
			w.Fatal(err)
		}
		time.Sleep(20 * time.Minute)
		w.almostProven(w.l, "first")
		w.want("resend", Queued)(w.absent("first"))
		w.want("done", Queued)(w.settle("first", Outcome{Kind: KindRetry, Claim: w.begin("first"), Reason: Backoff, Delay: time.Second}))
		time.Sleep(time.Second)
		w.want("look", Unknown)(w.settle("first", Outcome{Kind: KindInUse, Claim: w.begin("first"), Code: "U", Delay: time.Second}))
		w.almostProven(w.l, "first")
		w.want("wait", Unknown)(w.absent("first"))

		// Nor the first one under a next identifier: what was before it is another's history.
		w.submit("second")
		w.want("done", Failed)(w.settle("second", Outcome{Kind: KindFailed, Claim: w.begin("second"), Code: CodeTransaction, Transaction: tx(1, "FAILED")}))
		if err := w.l.Resend(w.Context(), "second"); err != nil {
			w.Fatal(err)
		}
		time.Sleep(20 * time.Minute)
		w.almostProven(w.l, "second")
		w.want("resend", Queued)(w.absent("second"))
		w.want("look", Unknown)(w.settle("second", Outcome{Kind: KindInUse, Claim: w.begin("second"), Code: "U", Delay: time.Second}))
		w.almostProven(w.l, "second")
		w.want("review", NeedsReview)(w.absent("second"))

		// After an ambiguous send: never, however often nothing is found.
		w.sent("ambiguous")
		w.almostProven(w.l, "ambiguous")
		w.want("resend", Queued)(w.absent("ambiguous"))
		w.want("look", Unknown)(w.settle("ambiguous", Outcome{Kind: KindInUse, Claim: w.begin("ambiguous"), Code: "U", Delay: time.Second}))
		w.almostProven(w.l, "ambiguous")
		w.want("wait", Unknown)(w.absent("ambiguous"))
		time.Sleep(25 * time.Hour)
		w.want("review", NeedsReview)(w.absent("ambiguous"))
		if r := w.record("ambiguous"); r.Generation != 0 || r.Code != CodeIdentifierInUse {
			w.Fatalf("%+v", r)
		}
	})
}

// Guard 7: a job of another incarnation is not sent before the settle time has
// passed and its identifiers, all that it can have had, were looked up.
func TestRestartedRedis(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("q")
		w.submit("s")
		claim := w.begin("s")
		w.sent("u")
		time.Sleep(9 * time.Minute)

		l := w.restarted("other")
		w.want("look", Unknown)(l.Begin(w.Context(), "q", NewClaim()))
		if r := w.record("q"); !r.Suspect || len(r.Identifiers()) != MaxGeneration+1 || r.Result().MoneyMoved != MovedUnknown {
			w.Fatalf("%+v", r)
		}
		// A refusal of a send under the old process does not count, its success does.
		w.want("ignored", Sending)(l.Settle(w.Context(), "s", Outcome{Kind: KindFailed, Claim: claim, Code: "X"}, nil))
		w.want("done", Succeeded)(l.Settle(w.Context(), "s", Outcome{Kind: KindSucceeded, Claim: claim, Transaction: tx(3, "SUCCESSFUL")}, nil))
		w.want("look", Unknown)(l.Absent(w.Context(), w.record("u"), time.Time{}, time.Minute))

		time.Sleep(9 * time.Minute)
		for _, id := range []string{"q", "u"} { // not yet settled: that is counted from the restart
			w.want("wait", Unknown)(l.Absent(w.Context(), w.record(id), time.Time{}, time.Minute))
		}
		w.almostProven(l, "q")
		w.want("resend", Queued)(l.Absent(w.Context(), w.record("q"), time.Time{}, time.Minute))
		w.want("send", Sending)(l.Begin(w.Context(), "q", NewClaim()))

		// A suspect job takes no new identifier, and a refusal needs one more look.
		w.want("look", Unknown)(l.Settle(w.Context(), "q", Outcome{Kind: KindFailed, Claim: Claim(w.m.HGet(jobKey("q"), "cl")), Code: "X", Delay: time.Second}, nil))
		// Nobody could look it up for a day: a person decides.
		time.Sleep(25 * time.Hour)
		w.want("review", NeedsReview)(l.Delay(w.Context(), w.record("q"), time.Minute))
	})
}

// A suspect job that was never sent, and that nobody can look up, ends with a person as well.
func TestSuspectWithoutSends(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("q")
		l := w.restarted("other")
		w.want("look", Unknown)(l.Begin(w.Context(), "q", NewClaim()))
		time.Sleep(23 * time.Hour)
		w.want("done", Unknown)(l.Delay(w.Context(), w.record("q"), time.Minute))
		time.Sleep(2 * time.Hour)
		w.want("review", NeedsReview)(l.Delay(w.Context(), w.record("q"), time.Minute))
	})
}

// In the time in which Redis may have forgotten jobs, a new job may be an old one.
func TestSubmissionAfterRestart(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("before")
		w.c.ledger.cfg.Epoch = "other"
		id := "after"
		for n := 0; shardOf(id) != shardOf("before"); n++ {
			id = "after" + string(rune('a'+n%26)) + string(rune('a'+n/26))
		}
		w.submit(id)
		w.want("look", Unknown)(w.l.Begin(w.Context(), id, NewClaim()))
		if _, err := w.c.Cancel(w.Context(), id); !errors.Is(err, ErrNotCancellable) {
			w.Fatal(err)
		}

		// Emptied under the eyes of this client: the same.
		w.m.FlushAll()
		w.submit("again")
		w.submit("before")
		w.want("look", Unknown)(w.l.Begin(w.Context(), "before", NewClaim()))
	})
}

func TestMissing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.want("look", Unknown)(w.l.Missing(w.Context(), "Lost"))
		w.want("stale", Unknown)(w.l.Missing(w.Context(), "lost"))
		w.almostProven(w.l, "lost")
		w.want("review", NeedsReview)(w.absent("lost"))
		if r := w.record("lost"); r.Code != CodeRecordLost || r.Result().MoneyMoved != MovedUnknown {
			w.Fatalf("%+v", r)
		}
		if err := w.l.Resend(w.Context(), "lost"); !errors.Is(err, ErrNotReviewable) { // its request is gone
			w.Fatal(err)
		}
		if err := w.l.Fail(w.Context(), "lost"); err != nil {
			w.Fatal(err)
		}
		time.Sleep(91 * 24 * time.Hour)
		w.want("done", "")(w.l.Missing(w.Context(), "lost"))
	})
}

// A lost request that is submitted again is a job like any other whose fate is open.
func TestMissingIsSubmittedAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.want("look", Unknown)(w.l.Missing(w.Context(), "lost"))
		if r, err := w.c.TopUp(w.Context(), job("lost")); err != nil || r.State != Unknown {
			w.Fatalf("%+v %v", r, err) // no conflict: that would ask for a new id
		}
		other := job("lost")
		other.OperatorID++
		if _, err := w.c.TopUp(w.Context(), other); !errors.Is(err, ErrConflict) {
			w.Fatal(err)
		}
		w.almostProven(w.l, "lost")
		w.want("resend", Queued)(w.absent("lost"))
		if r := w.record("lost"); r.Code != "" || !r.Suspect || r.TopUp.OperatorID != job("lost").OperatorID {
			w.Fatalf("%+v", r)
		}
	})
}

// A Redis that has forgotten everything looks new to a process that has just started,
// and not to one that knew it before.
func TestEmptiedRedisIsNotNew(t *testing.T) {
	for _, knows := range []bool{false, true} {
		inWorld(t, func(w *world) {
			if err := w.l.Open(w.Context()); err != nil {
				w.Fatal(err)
			}
			time.Sleep(time.Second)
			w.m.FlushAll()
			started := NewLedger(w.rdb, w.l.cfg)
			if err := started.Open(w.Context()); err != nil {
				w.Fatal(err)
			}
			client := NewClient(w.rdb, ClientConfig{Ledger: w.l.cfg})
			defer func() { _ = client.Close() }()
			if _, err := client.TopUp(w.Context(), job("again")); err != nil {
				w.Fatal(err)
			}
			if !knows {
				w.want("send", Sending)(started.Begin(w.Context(), "again", NewClaim()))
				return
			}
			if err := w.l.Open(w.Context()); err != nil {
				w.Fatal(err)
			}
			w.want("look", Unknown)(started.Begin(w.Context(), "again", NewClaim()))
			// It is told once: what is submitted later, by whomever, is looked up too, and then goes.
			if err := errors.Join(started.Open(w.Context()), w.l.Open(w.Context())); err != nil {
				w.Fatal(err)
			}
			time.Sleep(11 * time.Minute)
			if _, err := client.TopUp(w.Context(), job("later")); err != nil {
				w.Fatal(err)
			}
			w.want("send", Sending)(started.Begin(w.Context(), "later", NewClaim()))
		})
	}
}

func TestWaiting(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("w")
		old := w.record("w")
		w.want("done", Queued)(w.l.Wait(w.Context(), old, RateLimited, time.Minute, false))
		w.want("stale", Queued)(w.l.Wait(w.Context(), old, RateLimited, time.Minute, false))
		w.want("done", Queued)(w.l.Wait(w.Context(), w.record("w"), RateLimited, time.Minute, false))
		w.want("done", Queued)(w.l.Wait(w.Context(), w.record("w"), Paused, time.Minute, true))
		w.want("done", Queued)(w.l.Wait(w.Context(), w.record("w"), Paused, time.Minute, true))
		r := w.record("w")
		if r.Reason != Paused || len(r.Log) != 2 || r.Version != 5 || time.Until(r.NextAt) != time.Minute {
			w.Fatalf("%+v", r)
		}
		time.Sleep(30 * time.Hour)
		w.want("done", Queued)(w.l.Wait(w.Context(), r, RateLimited, time.Minute, false))
		time.Sleep(25 * time.Hour)
		w.want("failed", Failed)(w.l.Begin(w.Context(), "w", NewClaim()))
	})
}

func TestCancel(t *testing.T) {
	inWorld(t, func(w *world) {
		if _, err := w.c.Cancel(w.Context(), "nobody"); !errors.Is(err, ErrNotFound) {
			w.Fatal(err)
		}
		w.submit("c")
		for range 2 {
			if r, err := w.c.Cancel(w.Context(), "c"); err != nil || r.State != Cancelled || r.MoneyMoved != MovedNo {
				w.Fatalf("%+v %v", r, err)
			}
		}
		w.want("done", Cancelled)(w.l.Begin(w.Context(), "c", NewClaim()))
		w.submit("d")
		w.begin("d")
		if r, err := w.c.Cancel(w.Context(), "d"); !errors.Is(err, ErrNotCancellable) || r.State != Sending {
			w.Fatalf("%+v %v", r, err)
		}
	})
}

func TestReview(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, decide := range []func() error{
			func() error { return w.l.Fail(w.Context(), "nobody") },
			func() error { return w.l.Resend(w.Context(), "nobody") },
		} {
			if err := decide(); !errors.Is(err, ErrNotFound) {
				w.Fatal(err)
			}
		}
		w.submit("q")
		if err := w.l.Fail(w.Context(), "q"); !errors.Is(err, ErrNotReviewable) {
			w.Fatal(err)
		}
		// Its transaction FAILED: sent again half an hour later, with a new identifier.
		w.submit("f")
		for generation := range MaxGeneration + 1 {
			if got := w.record("f").Generation; got != generation {
				w.Fatal(got)
			}
			w.want("done", Failed)(w.settle("f", Outcome{Kind: KindFailed, Claim: w.begin("f"), Code: CodeTransaction, Transaction: tx(int64(generation)+1, "FAILED")}))
			err := w.l.Resend(w.Context(), "f")
			if generation == MaxGeneration {
				if !errors.Is(err, ErrNotReviewable) {
					w.Fatal(err)
				}
				break
			}
			if err != nil {
				w.Fatal(err)
			}
			if r := w.record("f"); r.Transaction != nil || r.TxID != 0 || time.Until(r.NextAt) != 30*time.Minute || w.m.TTL(jobKey("f")) != 0 {
				w.Fatalf("%+v", r)
			}
			w.want("busy", Unknown)(w.l.Begin(w.Context(), "f", NewClaim()))
			w.want("wait", Unknown)(w.absent("f")) // it may yet turn into a success
			time.Sleep(19 * time.Minute)
			w.almostProven(w.l, "f")
			w.want("resend", Queued)(w.absent("f"))
		}
		// Refused before anything was executed, and sent again by someone: the same identifier.
		w.submit("r")
		w.want("done", Failed)(w.settle("r", Outcome{Kind: KindFailed, Claim: w.begin("r"), Code: "INVALID_AMOUNT"}))
		if err := w.l.Resend(w.Context(), "r"); err != nil || w.record("r").Generation != 0 || w.record("r").State != Queued {
			w.Fatal(err)
		}
		// A transaction that nobody saw the end of: its identifier is not used up for sure.
		w.submit("p")
		w.want("done", Processing)(w.settle("p", Outcome{Kind: KindProcessing, Claim: w.begin("p"), Transaction: tx(9, "PROCESSING"), Delay: time.Minute}))
		time.Sleep(25 * time.Hour)
		w.want("review", NeedsReview)(w.l.Delay(w.Context(), w.record("p"), time.Minute))
		if err := errors.Join(w.l.Fail(w.Context(), "p"), w.l.Resend(w.Context(), "p")); err != nil {
			w.Fatal(err)
		}
		if r := w.record("p"); r.Generation != 0 || r.State != Unknown {
			w.Fatalf("%+v", r)
		}
		w.want("done", Succeeded)(w.settle("p", Outcome{Kind: KindSucceeded, Transaction: tx(9, "SUCCESSFUL")}))
		w.submit("n")
		w.want("done", NeedsReview)(w.settle("n", Outcome{Kind: KindReview, Claim: w.begin("n"), Code: "NEW"}))
		// A restarted Redis may have forgotten that somebody decided already.
		if err := w.restarted("other").Resend(w.Context(), "n"); err != nil {
			w.Fatal(err)
		}
		time.Sleep(31 * time.Minute)
		w.want("look", Unknown)(w.restarted("other").Begin(w.Context(), "n", NewClaim()))
		if ids, err := w.l.Reviews(w.Context()); err != nil || len(ids) != 0 {
			w.Fatal(ids, err)
		}
	})
}

func TestOverdue(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("a")
		overdue := func(want int) {
			w.Helper()
			if ids, err := w.l.Overdue(w.Context(), 10); err != nil || len(ids) != want {
				w.Fatal(ids, err)
			}
		}
		overdue(0)
		time.Sleep(15 * time.Second)
		overdue(1)
		if err := w.l.Checked(w.Context(), "A", time.Minute); err != nil {
			w.Fatal(err)
		}
		overdue(0)
		time.Sleep(time.Minute)
		overdue(1)
		if _, err := w.c.Cancel(w.Context(), "a"); err != nil {
			w.Fatal(err)
		}
		overdue(0)
	})
}

func TestSettleCarriesCommandsAlong(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, id := range []string{"a", "b"} { // the first time the script is not loaded yet
			w.submit(id)
			claim := w.begin(id)
			w.want("done", Succeeded)(w.l.Settle(w.Context(), id, Outcome{Kind: KindSucceeded, Claim: claim, Transaction: tx(1, "SUCCESSFUL")},
				func(p redis.Pipeliner) { p.Incr(w.Context(), "along") }))
		}
		if got, _ := w.m.Get("along"); got != "2" {
			w.Fatal(got)
		}
		w.m.SetError("READONLY")
		if _, err := w.l.Settle(w.Context(), "a", Outcome{Kind: KindUnknown}, func(redis.Pipeliner) {}); err == nil {
			w.Fatal("no error")
		}
		w.m.SetError("")
	})
}

// Guard 6 where a person decides: an ambiguous send forbids a new identifier.
func TestResendTakesNoNewIdentifierAfterAmbiguity(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sent("a")
		w.want("done", Failed)(w.settle("a", Outcome{Kind: KindFailed, Code: CodeTransaction, Transaction: tx(1, "FAILED")}))
		if err := w.l.Resend(w.Context(), "a"); !errors.Is(err, ErrNotReviewable) || w.record("a").State != Failed {
			w.Fatal(err)
		}
	})
}

// Guards 6 and 7: nor may a job whose history a restarted Redis may have forgotten.
func TestSuspectTakesNoNewIdentifier(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("s")
		l := w.restarted("other")
		w.want("look", Unknown)(l.Begin(w.Context(), "s", NewClaim()))
		w.almostProven(l, "s")
		w.want("resend", Queued)(l.Absent(w.Context(), w.record("s"), time.Time{}, time.Minute))
		for _, o := range []Outcome{{Kind: KindRetry, Reason: Backoff, Delay: time.Second}, {Kind: KindInUse, Code: "U", Delay: time.Second}} {
			o.Claim = NewClaim()
			w.want("send", Sending)(l.Begin(w.Context(), "s", o.Claim))
			if _, err := l.Settle(w.Context(), "s", o, nil); err != nil {
				w.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		w.almostProven(l, "s")
		w.want("wait", Unknown)(l.Absent(w.Context(), w.record("s"), time.Time{}, time.Minute))
		if r := w.record("s"); r.Generation != 0 {
			w.Fatal(r.Generation)
		}
	})
}

// Guard 7 for people: what they ask of a restarted Redis may have been asked before.
func TestPeopleAfterRestart(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("waits")
		w.submit("f")
		w.want("done", Failed)(w.settle("f", Outcome{Kind: KindFailed, Claim: w.begin("f"), Code: "INVALID_AMOUNT"}))
		w.c.ledger.cfg.Epoch = "other"
		if r, err := w.c.Cancel(w.Context(), "waits"); !errors.Is(err, ErrNotCancellable) || r.State != Queued {
			w.Fatalf("%+v %v", r, err)
		}
		if err := w.l.Resend(w.Context(), "f"); err != nil {
			w.Fatal(err)
		}
		time.Sleep(31 * time.Minute)
		w.want("look", Unknown)(w.l.Begin(w.Context(), "f", NewClaim()))
	})
}

// The line of the claim is not kept where a job is paid at its first send by the one
// that claimed it; nobody who reads the job sees that, at once or later.
func TestLogOfAJobPaidAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		start := time.Now()
		want := func(id string, kept bool, lines ...string) {
			w.Helper()
			r := w.record(id)
			var got []string
			for _, line := range r.Log {
				got = append(got, fmt.Sprintf("%s %s-%s %s %s", line.At.Sub(start), line.From, line.To, line.Why, line.Who))
			}
			if diff := cmp.Diff(lines, got); diff != "" {
				w.Errorf("%s: %s", id, diff)
			}
			if text := w.m.HGet(jobKey(id), "h2"); (text != "") != kept {
				w.Errorf("%s: the claim's own line is %q", id, text)
			}
			if end := r.Log[len(r.Log)-1].At; r.State.Final() && !r.FinishedAt.Equal(end) {
				w.Errorf("%s ended at %v and its log at %v", id, r.FinishedAt, end)
			}
		}
		paid := Outcome{Kind: KindSucceeded, Transaction: tx(1, "SUCCESSFUL")}
		claim := func(id string) {
			w.submit(id)
			time.Sleep(2 * time.Second)
			paid.Claim = w.begin(id)
			time.Sleep(time.Second)
		}
		claim("a")
		w.want("done", Succeeded)(w.settle("a", paid))
		want("a", false, "2s queued-sending claim w1", "3s sending-succeeded succeeded w1")
		// Reversed and sent again: the line comes back before the time of that send is gone.
		w.want("done", Refunded)(w.settle("a", Outcome{Kind: KindRefunded, Code: CodeTransaction, Transaction: tx(1, "REFUNDED")}))
		first := []string{"2s queued-sending claim w1", "3s sending-succeeded succeeded w1", "3s succeeded-refunded refunded w1"}
		want("a", true, first...)
		if err := w.l.Resend(w.Context(), "a"); err != nil {
			w.Fatal(err)
		}
		time.Sleep(20 * time.Minute)
		w.almostProven(w.l, "a")
		w.want("resend", Queued)(w.absent("a"))
		w.begin("a")
		want("a", true, append(first, "3s refunded-unknown resend_by_person w1", "36m3s unknown-queued resend w1", "36m3s queued-sending claim w1")...)

		start = time.Now()
		claim("double")
		w.want("done", Succeeded)(w.settle("double", paid))
		w.want("double", Succeeded)(w.settle("double", Outcome{Kind: KindSucceeded, Transaction: tx(2, "SUCCESSFUL")}))
		want("double", true, "2s queued-sending claim w1", "3s sending-succeeded succeeded w1", "3s succeeded-succeeded double w1")

		start = time.Now()
		claim("other")
		cfg := w.l.cfg
		cfg.Who = "w2"
		w.want("done", Succeeded)(NewLedger(w.rdb, cfg).Settle(w.Context(), "other", paid, nil))
		want("other", true, "2s queued-sending claim w1", "3s sending-succeeded succeeded w2")

		start = time.Now()
		claim("again")
		w.want("done", Queued)(w.settle("again", Outcome{Kind: KindRetry, Claim: paid.Claim, Reason: Backoff, Delay: time.Second}))
		time.Sleep(time.Second)
		paid.Claim = w.begin("again")
		w.want("done", Succeeded)(w.settle("again", paid))
		want("again", true, "2s queued-sending claim w1", "3s sending-queued backoff w1", "4s queued-sending claim w1", "4s sending-succeeded succeeded w1")

		// What ends in the moment in which it began has a time of its end all the same.
		start = time.Now()
		w.submit("cancelled")
		if _, err := w.c.Cancel(w.Context(), "cancelled"); err != nil {
			w.Fatal(err)
		}
		want("cancelled", true, "0s queued-cancelled cancelled w1")
	})
}
