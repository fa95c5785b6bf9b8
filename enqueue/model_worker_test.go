package enqueue

import (
	"errors"
	"time"

	"pgregory.net/rapid"
)

// What a worker does, by the rules of worker/handler.go and worker/reconcile.go. Each
// of its steps may be put off, so that a worker can be stopped between any two of them
// and go on much later, as a process that was stopped does.

// step is what a stopped worker goes on with.
type modelStep struct {
	process *modelProcess
	run     func(t *rapid.T)
}

// attempt is one permission to send that a worker got.
type modelAttempt struct {
	asked time.Time
	post  *modelPost // nil while nothing has left
	over  bool       // nothing will leave any more
	known bool       // the ledger was told what became of it, and took note
}

// open reports whether a request can still leave, or is under way and may be executed.
func (w *model) open(a *modelAttempt) bool {
	if post := a.post; post != nil {
		return !post.over && post.fate != fateGone && (post.checked || !w.provider.used(post.identifier))
	}
	return !a.over && !w.now.After(a.asked.Add(w.cfg.SendWindow))
}

// then goes on at once, or leaves the rest to a later moment. A plot says where.
func (w *model) then(t *rapid.T, p *modelProcess, place modelPlace, run func(t *rapid.T)) {
	stop := w.rarely(t, "stop", 3)
	if w.plot != nil && w.plot.stop == place {
		stop, w.plot.stop = true, ""
	}
	if stop {
		w.stopped = append(w.stopped, modelStep{p, run})
		return
	}
	run(t)
}

// rarely draws what goes wrong once in a while: nothing does so while all is well again,
// nor in a plot, which has its own course.
func (w *model) rarely(t *rapid.T, label string, n int) bool {
	return !w.healing && w.plot == nil && rapid.IntRange(0, n).Draw(t, label) == n
}

// wake is one wake-up of a job.
func (w *model) wake(t *rapid.T, p *modelProcess, j *modelJob) {
	r, err := p.ledger.Load(ctx, j.id)
	switch {
	case errors.Is(err, ErrNotFound):
		w.did(t, j)(p.ledger.Missing(ctx, j.id))
		return
	case errors.Is(err, ErrExpired):
		return
	case err != nil:
		t.Fatalf("load %s: %v", j.id, err)
	}
	switch r.State {
	case Queued:
		if w.now.Before(r.NextAt) {
			return
		}
		if w.rarely(t, "delivered twice", 5) {
			other := w.process(t)
			w.stopped = append(w.stopped, modelStep{other, func(t *rapid.T) { w.send(t, other, j, r) }})
		}
		w.then(t, p, beforeBegin, func(t *rapid.T) { w.send(t, p, j, r) })
	case Sending, Unknown, Processing:
		w.then(t, p, beforeLook, func(t *rapid.T) { w.reconcile(t, p, j, r) })
	}
}

func (w *model) send(t *rapid.T, p *modelProcess, j *modelJob, r *Record) {
	if w.rarely(t, "held back", 9) {
		w.did(t, j)(p.ledger.Wait(ctx, r, Paused, time.Minute, rapid.Bool().Draw(t, "held")))
		return
	}
	claim := NewClaim()
	attempt := &modelAttempt{asked: w.now}
	answer := w.did(t, j)(p.ledger.Begin(ctx, j.id, claim))
	if answer.Word == AnswerSend && w.rarely(t, "repeated", 9) { // its answer was lost
		answer = w.did(t, j)(p.ledger.Begin(ctx, j.id, claim))
	}
	if answer.Word != AnswerSend {
		return
	}
	j.attempts = append(j.attempts, attempt)
	w.then(t, p, beforePost, func(t *rapid.T) {
		attempt.over = true
		if w.now.After(attempt.asked.Add(w.cfg.SendWindow)) { // guard 4: the permission is too old
			w.bookAnswer(t, p, j, claim, attempt, Outcome{Kind: KindRetry, Code: "PERMISSION_EXPIRED", Reason: Backoff, GiveBack: true, Delay: 5 * time.Second})
			return
		}
		attempt.post = w.provider.post(w.course(t), r.Identifier(), w.now, attempt.asked.Add(w.cfg.Settle-w.cfg.ClockSkew))
		w.note("%s: POST of %s, which will be %s", j.id, r.Identifier(), attempt.post.fate)
		w.provider.pass(w.now)
		w.await(t, p, j, claim, attempt)
	})
}

// await is a worker that waits for its answer, up to the deadline of the POST.
func (w *model) await(t *rapid.T, p *modelProcess, j *modelJob, claim Claim, a *modelAttempt) {
	timeout := a.asked.Add(w.cfg.SendWindow + w.cfg.PostTimeout)
	switch {
	case a.post.over && !a.post.lost:
		w.then(t, p, beforeBook, func(t *rapid.T) { w.bookAnswer(t, p, j, claim, a, a.post.answer) })
	case !w.now.Before(timeout) || w.reset(t):
		w.then(t, p, beforeBook, func(t *rapid.T) {
			w.book(t, p, j, claim, Outcome{Kind: KindUnknown, Code: "NO_ANSWER", Delay: 2 * time.Second})
		})
	default:
		w.stopped = append(w.stopped, modelStep{p, func(t *rapid.T) { w.await(t, p, j, claim, a) }})
	}
}

// reset is a connection that breaks while its answer is awaited.
func (w *model) reset(t *rapid.T) bool {
	return w.plot == nil && rapid.IntRange(0, 3).Draw(t, "reset") == 3
}

// bookAnswer books what became of an attempt: where the ledger takes note, its fate is known.
func (w *model) bookAnswer(t *rapid.T, p *modelProcess, j *modelJob, claim Claim, a *modelAttempt, o Outcome) {
	if word := w.book(t, p, j, claim, o).Word; word != AnswerIgnored && o.Kind != KindUnknown {
		a.known = true
	}
}

// book writes an outcome, sometimes twice: a write whose answer was lost is repeated.
func (w *model) book(t *rapid.T, p *modelProcess, j *modelJob, claim Claim, o Outcome) Answer {
	o.Claim = claim
	w.note("%s: a worker books %s %s", j.id, o.Kind, o.Code)
	answer := w.did(t, j)(p.ledger.Settle(ctx, j.id, o, nil))
	if o.Kind == KindSucceeded && answer.Word != AnswerMissing && j.before.State != Succeeded && j.before.State != NeedsReview {
		w.fail(t, "%s was paid, and is %s when that is known", j.id, j.before.State)
	}
	if w.rarely(t, "twice", 7) {
		w.stopped = append(w.stopped, modelStep{p, func(t *rapid.T) { w.did(t, j)(p.ledger.Settle(ctx, j.id, o, nil)) }})
	}
	return answer
}

// modelFound is worker.found.
type modelFound struct {
	best, second *modelTx
	foreign      bool
	date         time.Time
}

func strength(t *modelTx) int {
	switch t.status {
	case statusSuccessful:
		return 3
	case "PROCESSING":
		return 2
	default:
		return 1
	}
}

func (w *model) find(r *Record) modelFound {
	f := modelFound{date: w.now.Add(-w.provider.lag)}
	for _, identifier := range r.Identifiers() {
		for _, t := range w.provider.report(identifier, w.now) {
			switch {
			case t.foreign && !r.TopUp.Amount.IsZero(): // of a lost request everything is ours
				f.foreign = true
			case strength(&t) == 1 && identifier != r.Identifier():
			case f.best == nil || strength(&t) > strength(f.best):
				f.best, f.second = &t, f.best
			case f.second == nil || strength(&t) > strength(f.second):
				f.second = &t
			}
		}
	}
	return f
}

func (w *model) reconcile(t *rapid.T, p *modelProcess, j *modelJob, r *Record) {
	if w.rarely(t, "nobody answers", 9) {
		w.did(t, j)(p.ledger.Delay(ctx, r, w.later()))
		return
	}
	if r.State == Processing && r.TxID != 0 {
		w.poll(t, p, j, r)
		return
	}
	f := w.find(r)
	w.note("%s: looked up as %s, generation %d: found %v", j.id, r.State, r.Generation, f.best != nil)
	looked := w.now
	w.then(t, p, beforeVerdict, func(t *rapid.T) {
		ended := f.best != nil && strength(f.best) == 1
		switch {
		case f.best != nil && (!ended || r.State != Sending):
			w.book(t, p, j, "", modelEvidence(f.best))
			if f.second != nil && strength(f.second) > 1 {
				w.book(t, p, j, "", modelEvidence(f.second))
			}
		case r.State == Sending:
			was := j.before
			answer := w.did(t, j)(p.ledger.Lapse(ctx, j.id))
			if answer.Word == AnswerLook && w.now.Before(was.SentAt.Add(w.cfg.SendWindow+w.cfg.PostTimeout)) {
				w.fail(t, "%s lapsed while its worker may be at it", j.id)
			}
			if answer.Word == AnswerBusy {
				w.did(t, j)(p.ledger.Delay(ctx, r, w.later()))
			}
		case f.foreign:
			w.book(t, p, j, "", Outcome{Kind: KindForeign})
		default:
			j.empty = append(j.empty, looked)
			w.concluded(t, j, w.did(t, j)(p.ledger.Absent(ctx, r, f.date, w.later())))
		}
	})
}

func (w *model) poll(t *rapid.T, p *modelProcess, j *modelJob, r *Record) {
	for _, tx := range w.provider.txs {
		if tx.id == r.TxID && strength(tx) != 2 {
			now := *tx
			w.then(t, p, beforeVerdict, func(t *rapid.T) { w.book(t, p, j, "", modelEvidence(&now)) })
			return
		}
	}
	w.did(t, j)(p.ledger.Delay(ctx, r, w.later()))
}

// later is when nothing else says when to look again.
func (w *model) later() time.Duration {
	if w.healing {
		return 6 * time.Hour // so that a day is few steps
	}
	return time.Minute
}
