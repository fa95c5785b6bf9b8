package enqueue

import (
	"strings"
	"testing"
	"time"
)

// What waits under a Redis that may have forgotten a send is looked up before its time
// runs out: it may have been paid.
func TestSuspectDoesNotExpireUnseen(t *testing.T) {
	inWorld(t, func(w *world) {
		j := job("a")
		j.Expires = time.Now().Add(time.Minute)
		if _, err := w.c.TopUp(w.Context(), j); err != nil {
			w.Fatal(err)
		}
		l := w.restarted("other") // which has forgotten that it was sent
		time.Sleep(2 * time.Minute)
		w.want("look", Unknown)(l.Wait(w.Context(), w.record("a"), Account, time.Minute, true))
	})
}

// forgotten is a job of a Redis that was emptied while its POST was under way, taken in
// again by a producer that has started since. The worker's sweep notices it.
func (w *world) forgotten(id string) {
	w.Helper()
	if err := w.l.Open(w.Context()); err != nil {
		w.Fatal(err)
	}
	w.submit(id)
	w.begin(id)
	time.Sleep(time.Second)
	w.m.FlushAll()
	fresh := NewClient(w.rdb, w.c.cfg)
	defer func() { _ = fresh.Close() }()
	if _, err := fresh.TopUp(w.Context(), job(id)); err != nil {
		w.Fatal(err)
	}
	time.Sleep(time.Second)
}

// No change of a job makes its past known that this Redis may have forgotten.
func TestSuspicionOutlastsChanges(t *testing.T) {
	inWorld(t, func(w *world) {
		w.forgotten("waits")
		if err := w.l.Open(w.Context()); err != nil {
			w.Fatal(err)
		}
		time.Sleep(time.Second)
		w.want("look", Unknown)(w.l.Wait(w.Context(), w.record("waits"), RateLimited, time.Second, false))
		if r := w.record("waits"); !r.Suspect {
			w.Fatalf("%+v", r)
		}
	})
	inWorld(t, func(w *world) { // the claim came before anyone noticed
		w.forgotten("sent")
		claim := NewClaim()
		w.want("send", Sending)(NewLedger(w.rdb, w.l.cfg).Begin(w.Context(), "sent", claim))
		time.Sleep(time.Second)
		if err := w.l.Open(w.Context()); err != nil {
			w.Fatal(err)
		}
		w.want("ignored", Sending)(w.settle("sent", Outcome{Kind: KindFailed, Claim: claim, Code: "X"}))
		time.Sleep(2 * time.Minute)
		w.want("look", Unknown)(w.l.Lapse(w.Context(), "sent"))
		if r := w.record("sent"); !r.Suspect {
			w.Fatalf("%+v", r)
		}
	})
	inWorld(t, func(w *world) { // an answer that proves nothing
		w.forgotten("lost")
		claim := NewClaim()
		w.want("send", Sending)(NewLedger(w.rdb, w.l.cfg).Begin(w.Context(), "lost", claim))
		time.Sleep(time.Second)
		if err := w.l.Open(w.Context()); err != nil {
			w.Fatal(err)
		}
		time.Sleep(time.Second)
		w.want("look", Unknown)(w.settle("lost", Outcome{Kind: KindUnknown, Claim: claim, Code: "X", Delay: time.Second}))
		w.want("look", Unknown)(w.absent("lost"))
		if r := w.record("lost"); !r.Suspect {
			w.Fatalf("%+v", r)
		}
	})
}

// The end of one of two transactions is not the end of the job, but for a person who
// has seen them all.
func TestOneEndOfTwo(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("a")
		w.want("done", Processing)(w.settle("a", Outcome{Kind: KindProcessing, Claim: w.begin("a"), Transaction: tx(1, "PROCESSING"), Delay: time.Minute}))
		w.want("double", NeedsReview)(w.settle("a", Outcome{Kind: KindProcessing, Transaction: tx(2, "PROCESSING")}))
		ended := Outcome{Kind: KindFailed, Code: CodeTransaction, Transaction: tx(1, "FAILED")}
		w.want("ignored", NeedsReview)(w.settle("a", ended))
		ended.Claim = Adopting
		w.want("done", Failed)(w.settle("a", ended))
	})
}

// A worker that was stopped for long tells of the end of the first transaction when the
// job was sent again already.
func TestLateWordOfAnOlderEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("a")
		ended := Outcome{Kind: KindFailed, Code: CodeTransaction, Transaction: tx(1, "FAILED")}
		ended.Claim = w.begin("a")
		w.want("done", Failed)(w.settle("a", ended))
		if err := w.l.Resend(w.Context(), "a"); err != nil {
			w.Fatal(err)
		}
		w.want("ignored", Unknown)(w.settle("a", ended))
		time.Sleep(20 * time.Minute)
		w.almostProven(w.l, "a")
		w.want("resend", Queued)(w.absent("a"))
		w.want("look", Unknown)(w.settle("a", Outcome{Kind: KindUnknown, Claim: w.begin("a"), Code: "X", Delay: time.Second}))
		w.want("ignored", Unknown)(w.settle("a", ended))
		w.want("done", Succeeded)(w.settle("a", Outcome{Kind: KindSucceeded, Transaction: tx(2, "SUCCESSFUL")}))
	})
}

// An answer of any size can be booked: what says that it was paid comes first.
func TestLargeTransactionIsBooked(t *testing.T) {
	s := startRedis(t)
	c := NewClient(s.rdb, ClientConfig{})
	defer func() { _ = c.Close() }()
	if _, err := c.TopUp(t.Context(), job("big")); err != nil {
		t.Fatal(err)
	}
	claim := NewClaim()
	if _, err := c.Ledger().Begin(t.Context(), "big", claim); err != nil {
		t.Fatal(err)
	}
	large := tx(7, "SUCCESSFUL")
	var text strings.Builder
	for text.Len() < 700<<10 { // it must not become small by being packed
		text.WriteString(string(NewClaim()))
	}
	name := text.String()
	large.OperatorName = &name
	a, err := c.Ledger().Settle(t.Context(), "big", Outcome{Kind: KindSucceeded, Claim: claim, Transaction: large}, nil)
	if err != nil || a.State != Succeeded {
		t.Fatal(a, err)
	}
	r, err := c.Get(t.Context(), "big")
	if err != nil || r.Transaction == nil || r.Transaction.TransactionID != 7 || r.Transaction.Status != "SUCCESSFUL" {
		t.Fatalf("%+v %v", r, err)
	}
}
