package worker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
)

// booked is what is expected of an outcome; its delay lies in [least, most].
type booked struct {
	kind        enqueue.Kind
	reason      enqueue.Reason
	giveBack    bool
	least, most time.Duration
}

var (
	advices = []reloadly.Advice{
		reloadly.AskPerson, reloadly.RetryLater, reloadly.WaitRecharge, reloadly.HoldAccount,
		reloadly.OperatorDown, reloadly.RateLimited, reloadly.FindFirst, reloadly.GiveUp,
	}
	// anyDelay is where no one reads it: the job is on hold or has ended.
	anyDelay = [2]time.Duration{0, 15 * time.Minute}
	jitter   = [2]time.Duration{5 * time.Second, 10 * time.Second} // before the second send
	soon     = [2]time.Duration{2 * time.Second, 2 * time.Second}  // the first look-up
)

func expected(kind enqueue.Kind, reason enqueue.Reason, giveBack bool, delay [2]time.Duration) booked {
	return booked{kind, reason, giveBack, delay[0], delay[1]}
}

// unknownEnd is the one answer to everything that proves nothing, whatever the advice.
var unknownEnd = expected(enqueue.KindUnknown, "", false, soon)

// refusals is the facts page's table "What to do with a refusal", one line for each
// advice: nothing was executed.
var refusals = map[reloadly.Advice]booked{
	reloadly.RetryLater:   expected(enqueue.KindRetry, enqueue.Backoff, false, jitter),
	reloadly.OperatorDown: expected(enqueue.KindRetry, enqueue.OperatorUnavailable, false, jitter),
	reloadly.WaitRecharge: expected(enqueue.KindRetry, enqueue.RecentlyRecharged, false, [2]time.Duration{130 * time.Second, 130 * time.Second}),
	// No fault of the job's own: it does not use its sends up.
	reloadly.RateLimited: expected(enqueue.KindRetry, enqueue.RateLimited, true, [2]time.Duration{7 * time.Second, 7 * time.Second}),
	reloadly.HoldAccount: expected(enqueue.KindHeld, enqueue.Account, true, anyDelay),
	reloadly.FindFirst:   expected(enqueue.KindInUse, "", false, soon),
	reloadly.GiveUp:      expected(enqueue.KindFailed, "", false, anyDelay),
	reloadly.AskPerson:   expected(enqueue.KindReview, "", false, anyDelay),
}

// notSent is what happened before the first byte: safe to send again, and no send
// is counted.
func notSent(advice reloadly.Advice) booked {
	switch advice {
	case reloadly.HoldAccount: // the credentials are refused
		return expected(enqueue.KindHeld, enqueue.Account, true, anyDelay)
	case reloadly.GiveUp: // our own client refuses the request, and would each time
		return expected(enqueue.KindFailed, "", true, anyDelay)
	case reloadly.RateLimited: // the token's 429 stops the fleet as any other does
		return expected(enqueue.KindRetry, enqueue.RateLimited, true, [2]time.Duration{7 * time.Second, 7 * time.Second})
	default:
	}
	return expected(enqueue.KindRetry, enqueue.Backoff, true, jitter)
}

func judge(t *testing.T, answer *reloadly.Transaction, err error) enqueue.Outcome {
	t.Helper()
	w := &Worker{cfg: Config{Scale: 1}}
	return w.verdict(&enqueue.Record{TopUp: enqueue.TopUp{ID: "a"}, Sends: 1}, answer, err)
}

func (b booked) check(t *testing.T, o enqueue.Outcome) {
	t.Helper()
	if o.Kind != b.kind || o.Reason != b.reason || o.GiveBack != b.giveBack {
		t.Errorf("%s, reason %q, give back %v; want %s, %q, %v", o.Kind, o.Reason, o.GiveBack, b.kind, b.reason, b.giveBack)
	}
	if o.Delay < b.least || o.Delay > b.most {
		t.Errorf("comes back after %v, want %v to %v", o.Delay, b.least, b.most)
	}
}

// Every outcome with every advice, and with those that do not exist yet: the error
// decides, and what it does not know is unknown or a person's.
func TestVerdictOfEveryError(t *testing.T) {
	const code = "SOME_CODE"
	newAdvice, newOutcome := reloadly.Advice(99), reloadly.Outcome(99)
	for _, outcome := range []reloadly.Outcome{reloadly.Unknown, reloadly.NotSent, reloadly.Refused, newOutcome} {
		for _, advice := range append([]reloadly.Advice{newAdvice}, advices...) {
			t.Run(fmt.Sprintf("%s_%d/%s_%d", outcome, outcome, advice, advice), func(t *testing.T) {
				want := unknownEnd
				switch outcome {
				case reloadly.NotSent:
					want = notSent(advice)
				case reloadly.Refused:
					known := false
					if want, known = refusals[advice]; !known {
						want = refusals[reloadly.AskPerson] // better a person looks once than a guess pays twice
					}
				}
				for range 20 { // the backoff is drawn
					err := fmt.Errorf("wrapped: %w", &reloadly.Error{Outcome: outcome, Advice: advice, Code: code, RetryAfter: 7 * time.Second})
					o := judge(t, nil, err)
					want.check(t, o)
					if o.Code != code || o.Transaction != nil || o.Claim != "" {
						t.Errorf("code %q, transaction %v, claim %q; want the error's code and nothing else", o.Code, o.Transaction, o.Claim)
					}
				}
			})
		}
	}
}

// Nobody's own error proves nothing: not a refusal, not that nothing was sent.
func TestVerdictOfAForeignError(t *testing.T) {
	for _, err := range []error{errors.New("anything"), context.Canceled, context.DeadlineExceeded} {
		o := judge(t, nil, err)
		unknownEnd.check(t, o)
		if o.Code != reloadly.CodeNoAnswer {
			t.Errorf("code %q, want %q", o.Code, reloadly.CodeNoAnswer)
		}
	}
}

func TestVerdictOfALowBalance(t *testing.T) {
	o := judge(t, nil, &reloadly.Error{Outcome: reloadly.Refused, Advice: reloadly.HoldAccount, Code: reloadly.CodeInsufficientBalance})
	expected(enqueue.KindHeld, enqueue.InsufficientBalance, true, anyDelay).check(t, o)
}

// A 429 without any of its headers still leaves the provider alone for a second.
func TestVerdictOfALimitWithoutATime(t *testing.T) {
	o := judge(t, nil, &reloadly.Error{Outcome: reloadly.Refused, Advice: reloadly.RateLimited})
	expected(enqueue.KindRetry, enqueue.RateLimited, true, [2]time.Duration{time.Second, time.Second}).check(t, o)
}

// Anything but the four words of the facts page is not final.
func TestVerdictOfEveryStatus(t *testing.T) {
	for status, want := range map[reloadly.Status]struct {
		kind enqueue.Kind
		code string
	}{
		"SUCCESSFUL":   {enqueue.KindSucceeded, ""},
		"FAILED":       {enqueue.KindFailed, enqueue.CodeTransaction},
		"REFUNDED":     {enqueue.KindRefunded, enqueue.CodeTransaction},
		"PROCESSING":   {enqueue.KindProcessing, ""},
		"PENDING":      {enqueue.KindProcessing, ""},
		"":             {enqueue.KindProcessing, ""},
		"SOMETHINGNEW": {enqueue.KindProcessing, ""},
	} {
		t.Run("status_"+string(status), func(t *testing.T) {
			o := judge(t, &reloadly.Transaction{TransactionID: 33469, Status: status}, nil)
			expected(want.kind, "", false, anyDelay).check(t, o)
			if o.Code != want.code || o.Transaction == nil || o.Transaction.TransactionID != 33469 {
				t.Errorf("code %q, transaction %+v; want code %q and transaction 33469", o.Code, o.Transaction, want.code)
			}
		})
	}
}
