package worker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
)

// Change is what this worker did to a job, for logs and metrics.
type Change struct {
	Job         string
	Queue       string         // of the wake-up
	From, To    enqueue.State  // the same where the job goes on waiting
	Why         string         // the ledger's word for it
	Reason      enqueue.Reason // of a job that is queued
	Attempt     int            // sends so far
	Duration    time.Duration  // since the wake-up was taken up
	Transaction *enqueue.Transaction
}

// Changed reports whether the ledger has changed by it: the job's state, or what it waits for.
func (c Change) Changed() bool {
	switch c.Why {
	case enqueue.AnswerStale, enqueue.AnswerIgnored, enqueue.AnswerBusy, enqueue.AnswerMissing, "same":
		return false
	default:
		return c.From != c.To || c.To == enqueue.Queued && c.Reason != ""
	}
}

// Tracer follows jobs through a worker. It is given no phone number and no error's text.
type Tracer interface {
	// Task begins the handling of a wake-up; headers are its task's. state is where the job stands after it.
	Task(ctx context.Context, headers map[string]string, queue, job string) (_ context.Context, end func(state string, failed bool))
	// Post begins the POST. outcome is delivered, or a word of [reloadly.Outcome]; status is 0 without an answer.
	Post(ctx context.Context, job string, attempt int) (_ context.Context, end func(outcome string, status int))
	// Headers carry the trace of ctx to the job's next task.
	Headers(ctx context.Context) map[string]string
}

// step is one handling of a wake-up. It belongs to one goroutine.
type step struct {
	began       time.Time
	queue       string
	state       enqueue.State
	reason      enqueue.Reason
	sends       int
	transaction *enqueue.Transaction
}

type stepKey struct{}

// stepOf is never nil, so that nobody has to ask.
func stepOf(ctx context.Context) *step {
	if s, ok := ctx.Value(stepKey{}).(*step); ok {
		return s
	}
	return &step{began: time.Now()}
}

// takeUp begins the step of a wake-up, and its span where there is a tracer.
func (w *Worker) takeUp(ctx context.Context, task *asynq.Task, job string) (context.Context, func(error)) {
	s := &step{began: time.Now(), queue: queueName(ctx)}
	ctx = context.WithValue(ctx, stepKey{}, s)
	if w.cfg.Tracer == nil {
		return ctx, func(error) {}
	}
	ctx, end := w.cfg.Tracer.Task(ctx, task.Headers(), s.queue, job)
	return ctx, func(err error) {
		var later comeBack
		end(string(s.state), err != nil && !errors.As(err, &later))
	}
}

// headers are those of the job's next task.
func (w *Worker) headers(ctx context.Context) map[string]string {
	if w.cfg.Tracer == nil {
		return nil
	}
	return w.cfg.Tracer.Headers(ctx)
}

// posting begins the span of a POST.
func (w *Worker) posting(ctx context.Context, r *enqueue.Record) (context.Context, func(error)) {
	if w.cfg.Tracer == nil {
		return ctx, func(error) {}
	}
	ctx, end := w.cfg.Tracer.Post(ctx, r.TopUp.ID, r.Sends)
	return ctx, func(err error) {
		outcome, status := "delivered", 200
		if err != nil {
			outcome, status = reloadly.Unknown.String(), 0
		}
		var e *reloadly.Error
		if errors.As(err, &e) {
			outcome, status = e.Outcome.String(), e.HTTPStatus
		}
		end(outcome, status)
	}
}

// told notes what was done to a job, and shows the job to who wants to see it.
func (w *Worker) told(ctx context.Context, id string, answer enqueue.Answer) {
	w.note(ctx, id, answer)
	if w.cfg.OnTransition == nil {
		return
	}
	if r, err := w.ledger.Load(ctx, id); err == nil {
		w.cfg.OnTransition(r.Result())
	}
}

// note logs what was done to a job, one line for each. It asks nobody: it also stands
// between the permission and the POST.
func (w *Worker) note(ctx context.Context, id string, answer enqueue.Answer) {
	s := stepOf(ctx)
	c := Change{
		Job: id, Queue: s.queue, From: s.state, To: answer.State, Why: answer.Word, Attempt: s.sends,
		Duration: time.Since(s.began), Transaction: s.transaction,
	}
	if c.To == enqueue.Queued {
		c.Reason = s.reason
	}
	s.state = c.To
	attrs := append(make([]slog.Attr, 0, 9), slog.String("job", id), slog.String("state", string(c.To)), slog.String("from", string(c.From)),
		slog.String("why", c.Why), slog.String("reason", string(c.Reason)), slog.Int("attempt", c.Attempt), slog.Duration("duration", c.Duration))
	if !answer.NextAt.IsZero() {
		attrs = append(attrs, slog.Time("next", answer.NextAt))
	}
	w.log.LogAttrs(ctx, slog.LevelInfo, "job", attrs...)
	if w.cfg.OnChange != nil {
		w.cfg.OnChange(c)
	}
}
