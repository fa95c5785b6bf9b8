package worker_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// What Reloadly shows of a job, and what may and may not be concluded from it.

// post sends what a job's worker would have sent, and books nothing.
func (w *world) post(j enqueue.TopUp, identifier string) {
	w.t.Helper()
	_, err := w.provider().TopUp(context.Background(), reloadly.TopUpRequest{
		OperatorID: j.OperatorID, Amount: j.Amount, CustomIdentifier: identifier,
		RecipientPhone: &reloadly.Phone{CountryCode: j.RecipientPhone.CountryCode, Number: j.RecipientPhone.Number},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// The process died after the answer that the transaction FAILED, before it was booked.
func TestEndThatWasNotBooked(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		w.faults("failed")
		w.submit(job("a"))
		if a, err := w.ledger().Begin(context.Background(), "a", enqueue.NewClaim()); err != nil || a.Word != enqueue.AnswerSend {
			t.Fatalf("begin: %+v, %v", a, err)
		}
		w.post(job("a"), "a")
		defer w.run(w.worker("w1", nil))()
		if r := w.expect("a", enqueue.Failed, 0); r.Code != enqueue.CodeTransaction {
			t.Error(r.Code)
		}
	})
}

// impatient leaves an open fate to a person after 20 minutes: a virtual day takes too long.
func impatient(c *worker.Config) { c.Ledger.Patience = 20 * time.Minute }

// resend is the decision of a person, and its wake-up is left to the sweeper.
func (w *world) resend(id string) {
	w.t.Helper()
	if err := w.ledger().Resend(context.Background(), id); err != nil {
		w.t.Fatal(err)
	}
}

// A transaction FAILED, the job is sent again as a~2, and that answer is lost: the old
// end must not be taken for the end of the new send.
func TestOldEndDecidesNothingAboutANewSend(t *testing.T) {
	for _, fault := range []string{"late", "drop-before"} {
		t.Run(fault, func(t *testing.T) {
			bubble(t, sandbox.Config{}, func(w *world) {
				w.sim.Script(func(a sandbox.Attempt) string {
					switch {
					case a.Identifier == "a":
						return "failed"
					case a.Number == 1:
						return fault
					}
					return ""
				})
				defer w.run(w.worker("w1", nil))()
				w.submit(job("a"))
				w.expect("a", enqueue.Failed, 0)
				w.resend("a")
				w.expect("a", enqueue.Succeeded, 1)
				if w.sim.PostsFor("a") != 1 {
					t.Errorf("%d POSTs under the identifier that is used up", w.sim.PostsFor("a"))
				}
			})
		})
	}
}

// A person ended a job whose transaction was still open, and sends it again: the open
// one is found, and nothing new is sent.
func TestResendFindsTheOpenTransaction(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		w.faults("processing-forever")
		defer w.run(w.worker("w1", impatient))()
		w.submit(job("a"))
		w.expect("a", enqueue.NeedsReview, 1)
		if err := w.ledger().Fail(context.Background(), "a"); err != nil {
			t.Fatal(err)
		}
		w.resend("a")
		time.Sleep(15 * time.Minute)
		r := must(w.ledger().Load(context.Background(), "a"))
		if r.State != enqueue.Processing || r.Generation != 0 || w.sim.Posts() != 1 {
			t.Errorf("%s, generation %d, %d POSTs", r.State, r.Generation, w.sim.Posts())
		}
	})
}

// A job was on hold for longer than a fate may stay open, and then Redis restarted.
func TestLongHoldIsNotAnOpenFate(t *testing.T) {
	bubble(t, sandbox.Config{Balance: "1 NGN"}, func(w *world) {
		stop := w.run(w.worker("w1", impatient))
		w.submit(job("a"))
		time.Sleep(30 * time.Minute)
		stop()
		if err := w.sim.Refill("100000"); err != nil {
			t.Fatal(err)
		}
		w.epoch = "second"
		_ = w.jobs.Close()
		w.jobs = w.producer()
		defer w.run(w.worker("w2", impatient))()
		w.expect("a", enqueue.Succeeded, 1)
	})
}

// frozen shows every answer of Reloadly with one and the same date.
type frozen struct {
	http.Handler
	date string
}

func (f frozen) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Date", f.date)
	f.Handler.ServeHTTP(rw, r)
}

// Reloadly's clock stands still: the job does not hang and nobody is asked each second.
func TestProviderClockThatStandsStill(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		reads := 0
		stopped := frozen{date: time.Now().UTC().Format(http.TimeFormat)}
		stopped.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "reports") {
				reads++
			}
			w.sim.ServeHTTP(rw, r)
		})
		w.serve(stopped)
		w.faults("drop-before")
		defer w.run(w.worker("w1", impatient))()
		w.submit(job("a"))
		w.expect("a", enqueue.NeedsReview, 0)
		if reads > 15 {
			t.Errorf("%d look-ups in 20 minutes", reads)
		}
	})
}

// Something else pays with the same identifier while the job's own answer is lost.
func TestAdoptTellsOfASecondTransaction(t *testing.T) {
	bubble(t, sandbox.Config{NoRechargeRule: true}, func(w *world) {
		w.submit(job("a"))
		if a, err := w.ledger().Begin(context.Background(), "a", enqueue.NewClaim()); err != nil || a.Word != enqueue.AnswerSend {
			t.Fatalf("begin: %+v, %v", a, err)
		}
		done := make(chan struct{})
		for range 2 { // together: the check of the identifier is not atomic
			go func() { w.post(job("a"), "a"); done <- struct{}{} }()
		}
		<-done
		<-done
		err := worker.Adopt(context.Background(), w.ledger(), w.provider(), "a")
		if !errors.Is(err, worker.ErrTwoTransactions) {
			t.Errorf("adopt: %v", err)
		}
		r := must(w.jobs.Get(context.Background(), "a"))
		if r.State != enqueue.Succeeded || r.Code != enqueue.CodeDouble {
			t.Errorf("%s %s", r.State, r.Code)
		}
	})
}

// What Reloadly shows does not change a job that waits: the person is told.
func TestAdoptSaysWhatItCannotBook(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		w.submit(job("a"))
		if err := worker.Adopt(context.Background(), w.ledger(), w.provider(), "a"); !errors.Is(err, worker.ErrNothingFound) {
			t.Errorf("adopt: %v", err)
		}
		w.faults("failed")
		w.post(job("a"), "a")
		if err := worker.Adopt(context.Background(), w.ledger(), w.provider(), "a"); !errors.Is(err, worker.ErrNotBooked) {
			t.Errorf("adopt: %v", err)
		}
	})
}

// A transaction FAILED and turns into a success while the job waits to be sent again:
// nothing new is sent.
func TestEndThatTurnsIntoASuccess(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		w.faults("failed-then-successful")
		defer w.run(w.worker("w1", nil))()
		w.submit(job("a"))
		if r := w.settled("a"); r.State != enqueue.Failed {
			t.Fatal(r.State)
		}
		w.resend("a")
		w.expect("a", enqueue.Succeeded, 1)
		if w.sim.Posts() != 1 {
			t.Errorf("%d POSTs", w.sim.Posts())
		}
	})
}
