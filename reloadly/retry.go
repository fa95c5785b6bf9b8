package reloadly

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// retrier repeats what cannot pay. It is the only place that uses backoff/v4, whose Retry calls the
// operation even when the context is done, returns the context's error on a deadline instead of the
// provider's, and strips PermanentError: so the context is looked at first, and the result is taken from
// what the attempts themselves left behind, never from what Retry returns.
type retrier struct {
	initial, total time.Duration
}

// do runs attempt until it succeeds, fails for good, or the time is up. The error is the last real one.
func (r retrier) do(ctx context.Context, op string, attempt func(context.Context) *Error) *Error {
	var last *Error
	attempts, start := 0, time.Now()
	schedule := &patientBackOff{until: start.Add(r.total), BackOff: backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(r.initial), backoff.WithMaxInterval(20*r.initial), backoff.WithMaxElapsedTime(r.total),
	)}
	done := false
	_ = backoff.Retry(func() error {
		if ctx.Err() != nil {
			return backoff.Permanent(ctx.Err())
		}
		attempts++
		e := attempt(ctx)
		if e == nil {
			done = true
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = e // an attempt cut short by ctx says less than the one before it
		}
		if !retryable(op, e) {
			return backoff.Permanent(e)
		}
		schedule.wish = e.RetryAfter
		return e
	}, backoff.WithContext(schedule, ctx))

	switch {
	case done:
		return nil
	case last == nil:
		return &Error{Op: op, Outcome: NotSent, Advice: RetryLater, Code: CodeCancelled, Err: ctx.Err()}
	case attempts == 1 && ctx.Err() == nil:
		return last
	}
	given := *last // it may be shared by the callers of one flight
	given.Err = fmt.Errorf("gave up after %d attempts", attempts)
	for _, cause := range []error{ctx.Err(), last.Err} {
		if cause != nil {
			given.Err = fmt.Errorf("%w: %w", given.Err, cause)
		}
	}
	return &given
}

// retryable reports whether the same reading call may get an answer a little later. A refusal is an
// answer, also as the 503 for an operator that does not exist.
func retryable(op string, e *Error) bool {
	switch {
	case e.Op != op: // access was not to be had, and asking for it has been repeated already
		return false
	case op == opToken && e.Advice == HoldAccount:
		return false
	case e.HTTPStatus == 0, e.HTTPStatus >= 200 && e.HTTPStatus <= 299:
		return e.Code != CodeInvalidRequest
	case e.HTTPStatus == http.StatusTooManyRequests, e.HTTPStatus == http.StatusRequestTimeout:
		return true
	default:
		return e.HTTPStatus >= 500 && e.Outcome != Refused
	}
}

// patientBackOff waits at least as long as the provider wished, and stops when that is past the end:
// asking earlier would only prolong a rate limit.
type patientBackOff struct {
	backoff.BackOff
	until time.Time
	wish  time.Duration
}

func (b *patientBackOff) NextBackOff() time.Duration {
	next := b.BackOff.NextBackOff()
	if next == backoff.Stop || b.wish <= next {
		return next
	}
	if time.Now().Add(b.wish).After(b.until) {
		return backoff.Stop
	}
	return b.wish
}
