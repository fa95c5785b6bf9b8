package reloadly

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func failing(status int) *Error {
	return &Error{Op: "balance", Outcome: Unknown, HTTPStatus: status, Message: "out of order"}
}

func TestRetrierEndsLoudlyWithTheLastRealError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, attempts := time.Now(), 0
		e := retrier{initial: 500 * time.Millisecond, total: time.Minute}.do(t.Context(), "balance", func(context.Context) *Error {
			attempts++
			return failing(503)
		})
		took := time.Since(start)
		if e == nil || e.HTTPStatus != 503 || e.Message != "out of order" || attempts < 5 {
			t.Errorf("%v after %d attempts", e, attempts)
		}
		if took > time.Minute || took < 30*time.Second {
			t.Errorf("gave up after %v", took)
		}
	})
}

func TestRetrierLooksAtTheContextFirst(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := retrier{initial: time.Second, total: time.Minute}.do(ctx, "balance", func(context.Context) *Error {
		t.Error("called with a context that is done")
		return nil
	})
	if e == nil || e.Outcome != NotSent || e.Code != CodeCancelled || !errors.Is(e, context.Canceled) {
		t.Errorf("got %v", e)
	}
}

func TestRetrierKeepsTheProvidersErrorWhenTheTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		attempts := 0
		e := retrier{initial: time.Second, total: time.Minute}.do(ctx, "balance", func(ctx context.Context) *Error {
			if attempts++; attempts == 1 {
				return failing(502)
			}
			<-ctx.Done() // the second attempt is cut short, which says nothing about the provider
			return &Error{Op: "balance", Code: CodeNoAnswer, Err: ctx.Err()}
		})
		if e == nil || e.HTTPStatus != 502 || !errors.Is(e, context.DeadlineExceeded) {
			t.Errorf("got %v", e)
		}
	})
}

func TestRetrierHonoursTheProvidersWish(t *testing.T) {
	for _, tc := range []struct {
		wish     time.Duration
		attempts int
	}{
		{20 * time.Second, 3}, // at 0, 20 and 40 s
		{2 * time.Minute, 1},  // past the end: not worth prolonging the limit
	} {
		synctest.Test(t, func(t *testing.T) {
			attempts := 0
			e := retrier{initial: 100 * time.Millisecond, total: 59 * time.Second}.do(t.Context(), "balance", func(context.Context) *Error {
				attempts++
				return &Error{Op: "balance", Outcome: Refused, Advice: RateLimited, HTTPStatus: 429, RetryAfter: tc.wish}
			})
			if e == nil || e.RetryAfter != tc.wish || attempts != tc.attempts {
				t.Errorf("wish %v: %d attempts, %v", tc.wish, attempts, e)
			}
		})
	}
}

func TestRetrierDoesNotMultiplyTheTokensRetries(t *testing.T) {
	attempts := 0
	e := retrier{initial: time.Millisecond, total: time.Minute}.do(t.Context(), "balance", func(context.Context) *Error {
		attempts++
		return &Error{Op: opToken, Outcome: NotSent, Advice: RetryLater, HTTPStatus: 503}
	})
	if e == nil || attempts != 1 {
		t.Errorf("%d attempts, %v", attempts, e)
	}
}
