package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/govalues/decimal"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
)

// comeBack asks asynq to run the task again later. It is not a failure.
type comeBack struct{ after time.Duration }

func (c comeBack) Error() string { return fmt.Sprintf("not yet: again in %v", c.after) }

// ProcessTask is one wake-up of a job: it asks the ledger what may be done, and
// does that. It returns nil whenever the ledger took note of what happened; an
// error is a fault of the infrastructure, or a [comeBack].
func (w *Worker) ProcessTask(ctx context.Context, task *asynq.Task) (err error) {
	id, version, err := enqueue.DecodeTask(task.Payload())
	if err != nil {
		w.log.ErrorContext(ctx, "a task is not ours", "queue", queueName(ctx), "error", err)
		return fmt.Errorf("decode the task: %w: %w", err, asynq.SkipRetry)
	}
	ctx, done := w.takeUp(ctx, task, id)
	defer func() { done(err) }()
	r, err := w.ledger.Load(ctx, id)
	switch {
	case errors.Is(err, enqueue.ErrExpired):
		return nil
	case errors.Is(err, enqueue.ErrNotFound):
		return w.follow(ctx, id, enqueue.Answer{Word: enqueue.AnswerMissing}, nil)
	case err != nil:
		return err
	}
	s := stepOf(ctx)
	s.state, s.sends = r.State, r.Sends
	switch r.State {
	case enqueue.Queued:
		return w.attempt(ctx, r, version)
	case enqueue.Sending, enqueue.Unknown, enqueue.Processing:
		return w.reconcile(ctx, r)
	default:
		return nil
	}
}

// attempt does everything that can be done before the claim, claims, and sends once.
func (w *Worker) attempt(ctx context.Context, r *enqueue.Record, version int64) error {
	if early := time.Until(r.NextAt); early > 0 {
		return w.early(r, version, early)
	}
	ticket, wait, err := w.gate.Pass(ctx, r)
	if err != nil {
		return err
	}
	if wait != nil {
		return w.wait(ctx, r, *wait)
	}
	sent := false
	defer func() { ticket.Done(context.WithoutCancel(ctx), sent) }() // the slot is given back whatever becomes of ctx

	if err := w.client.Ready(ctx); err != nil {
		return w.notReady(ctx, r, err)
	}
	operatorID, refusal := r.TopUp.OperatorID, error(nil)
	if operatorID == 0 && !r.TopUp.RecipientPhone.IsZero() {
		operatorID, refusal = w.detect(ctx, r)
		if refusal != nil && !final(refusal) {
			return w.notReady(ctx, r, refusal)
		}
		r.TopUp.OperatorID = operatorID // for the operator's hold and breaker
	}
	over, err := w.overLimit(ctx, r)
	if err != nil {
		return err
	}
	leave, err := w.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if wait, err = ticket.Turn(ctx); err != nil {
		return err
	}
	if wait != nil {
		return w.wait(ctx, r, *wait)
	}
	if w.isEnding() {
		return comeBack{w.cfg.scaled(time.Second)}
	}

	claim, asked := enqueue.NewClaim(), time.Now()
	answer, err := w.ledger.Begin(ctx, r.TopUp.ID, claim)
	if err != nil {
		return err
	}
	switch answer.Word {
	case enqueue.AnswerSend:
	case enqueue.AnswerEarly, enqueue.AnswerBusy:
		return w.early(r, version, max(time.Until(answer.NextAt), w.cfg.scaled(time.Second)))
	default:
		return w.follow(ctx, r.TopUp.ID, answer, nil)
	}
	// From here on nothing of asynq's may stop the way of the answer into the ledger.
	ctx = context.WithoutCancel(ctx)
	r.Sends++
	stepOf(ctx).sends = r.Sends
	w.note(ctx, r.TopUp.ID, answer)
	if over || refusal != nil {
		o := enqueue.Outcome{Kind: enqueue.KindFailed, Code: enqueue.CodeNumberLimit}
		if refusal != nil {
			o = w.verdict(r, nil, refusal)
		}
		o.Claim, o.GiveBack = claim, true // the POST was not made
		return w.book(ctx, r, o)
	}
	sent = true
	transaction, err := w.post(ctx, r, operatorID, asked)
	o := w.verdict(r, transaction, err)
	o.Claim = claim
	sent = o.Kind == enqueue.KindUnknown || o.Transaction != nil
	w.tellGate(ctx, r, o)
	leave() // the answer is booked while the next POST is under way
	if o.Reason == enqueue.RecentlyRecharged {
		if found := w.ownSuccess(ctx, r); found != nil {
			o = *found
		}
	}
	return w.book(ctx, r, o)
}

// enter waits for one of the process's POSTs to end, or for the end of the process.
// leave may be called more than once.
func (w *Worker) enter(ctx context.Context) (leave func(), err error) {
	select {
	case w.slots <- struct{}{}:
	case <-w.ending:
		return nil, comeBack{w.cfg.scaled(time.Second)} // another worker sends it
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	leave = sync.OnceFunc(func() { <-w.slots })
	if w.isEnding() {
		leave()
		return nil, comeBack{w.cfg.scaled(time.Second)}
	}
	return leave, nil
}

// isEnding reports whether the process is about to end: what has no claim is left to others.
func (w *Worker) isEnding() bool {
	select {
	case <-w.ending:
		return true
	default:
		return false
	}
}

// post is the one POST of a permission. asked is the moment before the claim: the
// permission is at most that old.
func (w *Worker) post(ctx context.Context, r *enqueue.Record, operatorID int64, asked time.Time) (*reloadly.Transaction, error) {
	limits := w.ledger.Config()
	ctx, cancel := context.WithDeadline(ctx, asked.Add(limits.SendWindow+limits.PostTimeout))
	defer cancel()
	call := w.client.TopUp
	if w.cfg.Async {
		call = w.client.TopUpAsync
	}
	ctx, end := w.posting(ctx, r)
	t, err := call(ctx, request(r, operatorID), reloadly.FirstByteBy(asked.Add(limits.SendWindow)))
	end(err)
	return t, err
}

// early leaves a wake-up that came too soon to the later one, if there is one.
func (w *Worker) early(r *enqueue.Record, version int64, wait time.Duration) error {
	if version < r.Version {
		return nil
	}
	return comeBack{wait}
}

// final reports whether an error of a reading call ends the job.
func final(err error) bool {
	var e *reloadly.Error
	return errors.As(err, &e) && e.Outcome == reloadly.Refused && (e.Advice == reloadly.GiveUp || e.Advice == reloadly.AskPerson)
}

// notReady puts a job off that could not be prepared: nothing was sent.
func (w *Worker) notReady(ctx context.Context, r *enqueue.Record, cause error) error {
	reason, delay, held := enqueue.Backoff, w.longer(r), false
	var e *reloadly.Error
	if errors.As(cause, &e) {
		switch e.Advice {
		case reloadly.HoldAccount:
			reason, held = enqueue.Account, true
			w.hold(ctx, "account", reason, e.Code)
		case reloadly.RateLimited:
			reason, delay = enqueue.RateLimited, w.rateDelay(e)
			w.gate.Pause(ctx, delay)
		}
	}
	w.log.WarnContext(ctx, "not ready to send", "job", r.TopUp.ID, "reason", reason, "error", cause)
	return w.wait(ctx, r, Wait{Reason: reason, Delay: delay, Held: held})
}

// wait puts a queued job off.
func (w *Worker) wait(ctx context.Context, r *enqueue.Record, wait Wait) error {
	stepOf(ctx).reason = wait.Reason
	answer, err := w.ledger.Wait(ctx, r, wait.Reason, wait.Delay, wait.Held)
	return w.follow(ctx, r.TopUp.ID, answer, err)
}

func (w *Worker) detect(ctx context.Context, r *enqueue.Record) (int64, error) {
	operator, err := w.client.DetectOperator(ctx, *phone(r.TopUp.RecipientPhone))
	if err != nil {
		return 0, err
	}
	return operator.ID, nil
}

// ownSuccess looks for a transaction of the job before its refusal as recently
// recharged is believed: it may be our own, whose answer was lost.
func (w *Worker) ownSuccess(ctx context.Context, r *enqueue.Record) *enqueue.Outcome {
	found, err := w.find(ctx, r)
	if err != nil || found.best == nil {
		return nil
	}
	o := evidence(found.best)
	if o.Kind != enqueue.KindSucceeded && o.Kind != enqueue.KindProcessing {
		return nil
	}
	return &o
}

// tellGate passes on what an answer says about the account and the operator.
func (w *Worker) tellGate(ctx context.Context, r *enqueue.Record, o enqueue.Outcome) {
	switch {
	case o.Kind == enqueue.KindHeld:
		var needed *decimal.Decimal // in the account's currency, where it is known
		if o.Reason == enqueue.InsufficientBalance && !r.TopUp.UseLocalAmount {
			needed = &r.TopUp.Amount
		}
		w.needed.Store(needed)
		w.hold(ctx, "account", o.Reason, o.Code)
	case o.Reason == enqueue.RateLimited:
		w.gate.Pause(ctx, o.Delay)
	case o.Reason == enqueue.OperatorUnavailable:
		w.gate.Refused(ctx, r, true)
	case o.Kind == enqueue.KindSucceeded || o.Kind == enqueue.KindProcessing:
		w.gate.Accepted(ctx, r)
	}
}

func (w *Worker) hold(ctx context.Context, scope string, reason enqueue.Reason, code string) {
	w.log.ErrorContext(ctx, "everything on hold", "scope", scope, "reason", reason, "code", code)
	if err := w.holds.Place(ctx, Hold{Scope: scope, Reason: reason, By: w.cfg.Name}); err != nil {
		w.log.ErrorContext(ctx, "the hold could not be written for the other workers", "error", err)
	}
}

// book writes an outcome and goes on trying while Redis is away. What cannot be
// written is found again by its identifier.
func (w *Worker) book(ctx context.Context, r *enqueue.Record, o enqueue.Outcome) error {
	id := r.TopUp.ID
	if o.Kind == enqueue.KindProcessing {
		o.Delay = w.lookupDelay(0)
	}
	var answer enqueue.Answer
	policy := backoff.NewExponentialBackOff(backoff.WithInitialInterval(w.cfg.scaled(200*time.Millisecond)),
		backoff.WithMaxInterval(w.cfg.scaled(5*time.Second)), backoff.WithMaxElapsedTime(w.cfg.scaled(time.Minute)))
	err := backoff.Retry(func() (err error) {
		answer, err = w.ledger.Settle(ctx, id, o, w.summary(ctx, r, o))
		if err == nil && answer.Word == enqueue.AnswerMissing && o.Transaction != nil {
			w.log.ErrorContext(ctx, "a transaction belongs to a job that the ledger has forgotten", "job", id, "transaction", o.Transaction.TransactionID)
			if _, err = w.ledger.Missing(ctx, id); err == nil {
				answer, err = w.ledger.Settle(ctx, id, o, nil)
			}
		}
		return err
	}, policy)
	if err != nil {
		args := []any{"job", id, "outcome", o.Kind, "code", o.Code, "error", err}
		if o.Transaction != nil {
			args = append(args, "transaction", o.Transaction.TransactionID)
		}
		w.log.ErrorContext(ctx, "outcome unsaved; it will be looked up", args...)
		return err
	}
	s := stepOf(ctx)
	s.reason, s.transaction = o.Reason, o.Transaction
	w.alarm(ctx, id, answer, o)
	if answer.State == enqueue.Failed && o.Kind == enqueue.KindFailed && o.Transaction == nil {
		w.freePlace(ctx, r)
	}
	return w.follow(ctx, id, answer, nil)
}

// alarm stops everything when the promise was broken or nearly so.
func (w *Worker) alarm(ctx context.Context, id string, answer enqueue.Answer, o enqueue.Outcome) {
	switch answer.Word {
	case enqueue.AnswerDouble:
		w.log.ErrorContext(ctx, "two executed transactions of one job", "job", id, "transaction", o.Transaction.TransactionID)
		w.hold(ctx, "all", enqueue.Paused, enqueue.CodeDouble)
	case enqueue.AnswerAlert:
		w.log.ErrorContext(ctx, "a job that had ended unpaid was executed", "job", id)
	case enqueue.AnswerIgnored:
		w.log.WarnContext(ctx, "an outcome came too late to count", "job", id, "outcome", o.Kind)
	}
}

// resultScript sets the result that asynqmon shows, unless the task was deleted
// meanwhile: a result alone would block its id for ever (asynq issue 1167).
var resultScript = redis.NewScript(`if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'result', ARGV[1]) end return 1`)

// summary carries the line for asynqmon in the round trip of the outcome.
// asynq's own ResultWriter would cost one more for each job.
func (w *Worker) summary(ctx context.Context, r *enqueue.Record, o enqueue.Outcome) func(redis.Pipeliner) {
	taskID, ok := asynq.GetTaskID(ctx)
	if !ok {
		return nil
	}
	line := string(o.Kind)
	if o.Code != "" {
		line += " " + o.Code
	}
	if o.Transaction != nil {
		line += fmt.Sprintf(" %d", o.Transaction.TransactionID)
	}
	key := "asynq:{" + queueName(ctx) + "}:t:" + taskID
	return func(pipe redis.Pipeliner) { resultScript.Eval(ctx, pipe, []string{key}, line) }
}

func queueName(ctx context.Context) string {
	name, _ := asynq.GetQueueName(ctx)
	return name
}

// follow enqueues the next wake-up of a job. A failure is no harm: the sweeper
// finds the job by its due time. A job that Redis has forgotten, perhaps only since it
// was read, is taken up again: nobody else may know of it.
func (w *Worker) follow(ctx context.Context, id string, answer enqueue.Answer, err error) error {
	if err == nil && answer.State == "" {
		w.log.ErrorContext(ctx, "the ledger does not know the job that a worker has", "job", id)
		answer, err = w.ledger.Missing(ctx, id)
	}
	if err != nil {
		return err
	}
	w.told(ctx, id, answer)
	if answer.State.Settled() || answer.NextAt.IsZero() || answer.Word == enqueue.AnswerStale {
		return nil
	}
	task := enqueue.NewTaskWithHeaders(enqueue.QueueFollowups, enqueue.TaskID(id, answer.Version), id, answer.Version, answer.NextAt, w.headers(ctx))
	if _, err := w.queue.EnqueueContext(ctx, task); err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		w.log.WarnContext(ctx, "the next wake-up is left to the sweeper", "job", id, "error", err)
	}
	return nil
}
