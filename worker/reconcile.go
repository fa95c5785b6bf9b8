package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
)

// found is what Reloadly shows of a job under all of its identifiers.
type found struct {
	best    *reloadly.Transaction // the strongest evidence
	second  *reloadly.Transaction // another executed one: a double
	foreign bool                  // the identifier belongs to something else
	date    time.Time             // the earliest of the answers, by Reloadly's clock
}

// strength orders evidence: executed before open before ended.
func strength(s reloadly.Status) int {
	switch s {
	case reloadly.Successful:
		return 3
	case reloadly.Failed, reloadly.Refunded:
		return 1
	default:
		return 2
	}
}

// find looks the job up under every identifier that it can have been sent with. An
// error proves nothing.
func (w *Worker) find(ctx context.Context, r *enqueue.Record) (found, error) {
	var f found
	for _, identifier := range r.Identifiers() {
		answer, err := w.client.FindByIdentifier(ctx, identifier)
		if err != nil {
			return found{}, err
		}
		if f.date.IsZero() || answer.Date.Before(f.date) {
			f.date = answer.Date
		}
		for _, t := range answer.Transactions {
			switch {
			case !ours(r, identifier, &t):
				f.foreign = true
			case strength(t.Status) == 1 && identifier != r.Identifier():
				// The end of an earlier identifier says nothing of the last send.
			case f.best == nil || strength(t.Status) > strength(f.best.Status):
				f.best, f.second = &t, f.best
			case f.second == nil || strength(t.Status) > strength(f.second.Status):
				f.second = &t
			}
		}
	}
	return f, nil
}

// reconcile finds out what became of a job that may have been sent. Nothing is
// sent here: a new permission comes from the ledger, and is used by a wake-up of
// its own.
func (w *Worker) reconcile(ctx context.Context, r *enqueue.Record) error {
	id := r.TopUp.ID
	if r.State == enqueue.Processing && r.TxID != 0 {
		return w.poll(ctx, r)
	}
	f, err := w.find(ctx, r)
	if err != nil && r.State == enqueue.Sending {
		return w.lapse(ctx, r, err)
	}
	if err != nil {
		return w.later(ctx, r, err)
	}
	// A transaction that ended says nothing of a POST under way.
	ended := f.best != nil && strength(f.best.Status) == 1
	if f.best != nil && (!ended || r.State != enqueue.Sending) {
		return w.adopt(ctx, r, f)
	}
	if r.State == enqueue.Sending {
		return w.lapse(ctx, r, nil)
	}
	if f.foreign {
		return w.book(ctx, r, enqueue.Outcome{Kind: enqueue.KindForeign})
	}
	answer, err := w.ledger.Absent(ctx, r, f.date, w.lookupDelay(w.age(r)))
	return w.follow(ctx, id, answer, err)
}

// lapse ends a permission by time alone, also where look-ups fail. Until then the
// holder may still be at it: only what is found counts.
func (w *Worker) lapse(ctx context.Context, r *enqueue.Record, cause error) error {
	answer, err := w.ledger.Lapse(ctx, r.TopUp.ID)
	if err == nil && answer.Word == enqueue.AnswerBusy {
		return w.later(ctx, r, cause)
	}
	return w.follow(ctx, r.TopUp.ID, answer, err)
}

// adopt books what was found, and an executed second one after it.
func (w *Worker) adopt(ctx context.Context, r *enqueue.Record, f found) error {
	o := evidence(f.best)
	if err := w.book(ctx, r, o); err != nil {
		return err
	}
	if f.double() {
		return w.book(ctx, r, evidence(f.second))
	}
	return nil
}

// double reports whether a second transaction was executed, or may yet be.
func (f found) double() bool { return f.second != nil && strength(f.second.Status) > 1 }

// poll follows an accepted transaction to its end.
func (w *Worker) poll(ctx context.Context, r *enqueue.Record) error {
	status, err := w.client.Status(ctx, r.TxID)
	if err != nil {
		return w.later(ctx, r, err)
	}
	t := status.Transaction
	if t == nil {
		if !status.Status.Final() {
			return w.later(ctx, r, nil)
		}
		if t, err = w.client.Transaction(ctx, r.TxID); err != nil {
			return w.later(ctx, r, err)
		}
	}
	if t.Status == "" {
		t.Status = status.Status
	}
	if !t.Status.Final() {
		return w.later(ctx, r, nil)
	}
	return w.book(ctx, r, evidence(t))
}

// later looks again by the table of look-ups, or leaves the job to a person.
func (w *Worker) later(ctx context.Context, r *enqueue.Record, cause error) error {
	if cause != nil {
		w.log.WarnContext(ctx, "a look-up proved nothing", "job", r.TopUp.ID, "error", cause)
	}
	answer, err := w.ledger.Delay(ctx, r, w.lookupDelay(w.age(r)))
	return w.follow(ctx, r.TopUp.ID, answer, err)
}

// age is how long the job's fate has been open.
func (w *Worker) age(r *enqueue.Record) time.Duration { return time.Since(r.UpdatedAt) }

// ErrNothingFound says that Reloadly shows no transaction of the job.
var ErrNothingFound = errors.New("no transaction of the job at Reloadly (ask Reloadly; then review fail, or review resend)")

// ErrNotBooked says that what Reloadly shows of a job does not change it.
var ErrNotBooked = errors.New("what Reloadly shows does not change the job")

// ErrTwoTransactions says that the promise was broken: a job has two transactions.
var ErrTwoTransactions = errors.New("the job has two transactions (ask Reloadly to reverse one, and find out what else uses the account)")

// Adopt looks a job up at Reloadly for a person and books what it finds.
func Adopt(ctx context.Context, ledger *enqueue.Ledger, client *reloadly.Client, id string) error {
	w := &Worker{ledger: ledger, client: client, cfg: Config{Scale: 1}}
	r, err := ledger.Load(ctx, id)
	if err != nil {
		return err
	}
	f, err := w.find(ctx, r)
	if err != nil {
		return err
	}
	if f.best == nil {
		return ErrNothingFound
	}
	best := evidence(f.best)
	best.Claim = enqueue.Adopting
	answer, err := ledger.Settle(ctx, id, best, nil)
	if err != nil {
		return err
	}
	if f.double() {
		if _, err := ledger.Settle(ctx, id, evidence(f.second), nil); err != nil {
			return err
		}
		return fmt.Errorf("job %q: transactions %d and %d: %w", id, f.best.TransactionID, f.second.TransactionID, ErrTwoTransactions)
	}
	if answer.Word == enqueue.AnswerIgnored || answer.Word == enqueue.AnswerMissing {
		return fmt.Errorf("job %q is %s, transaction %d is %s: %w", id, answer.State, f.best.TransactionID, f.best.Status, ErrNotBooked)
	}
	return nil
}
