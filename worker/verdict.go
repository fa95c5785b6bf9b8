package worker

import (
	"errors"
	"math/rand/v2"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
)

// verdict turns what became of a POST into what the ledger books. It decides by
// the error's own decision alone, and what it does not know is unknown.
func (w *Worker) verdict(r *enqueue.Record, t *reloadly.Transaction, err error) enqueue.Outcome {
	if err == nil {
		return evidence(t)
	}
	var e *reloadly.Error
	if !errors.As(err, &e) {
		return enqueue.Outcome{Kind: enqueue.KindUnknown, Code: reloadly.CodeNoAnswer, Delay: w.lookupDelay(0)}
	}
	o := enqueue.Outcome{Code: e.Code, Delay: w.backoff(r.Sends)}
	switch e.Outcome {
	case reloadly.NotSent:
		o.Kind, o.Reason, o.GiveBack, o.Delay = enqueue.KindRetry, enqueue.Backoff, true, w.longer(r)
		switch e.Advice {
		case reloadly.HoldAccount:
			o.Kind, o.Reason = enqueue.KindHeld, enqueue.Account
		case reloadly.RateLimited: // of the token
			o.Reason, o.Delay = enqueue.RateLimited, w.rateDelay(e)
		case reloadly.GiveUp: // it would be refused before it is sent each time
			o.Kind, o.Reason = enqueue.KindFailed, ""
		default:
		}
	case reloadly.Refused:
		switch e.Advice {
		case reloadly.RetryLater:
			o.Kind, o.Reason = enqueue.KindRetry, enqueue.Backoff
		case reloadly.OperatorDown:
			o.Kind, o.Reason = enqueue.KindRetry, enqueue.OperatorUnavailable
		case reloadly.RateLimited:
			o.Kind, o.Reason, o.GiveBack = enqueue.KindRetry, enqueue.RateLimited, true
			o.Delay = w.rateDelay(e)
		case reloadly.WaitRecharge:
			o.Kind, o.Reason, o.Delay = enqueue.KindRetry, enqueue.RecentlyRecharged, w.cfg.scaled(130*time.Second)
		case reloadly.HoldAccount:
			o.Kind, o.Reason, o.GiveBack = enqueue.KindHeld, holdReason(e), true
		case reloadly.FindFirst:
			o.Kind, o.Delay = enqueue.KindInUse, w.lookupDelay(0)
		case reloadly.GiveUp:
			o.Kind = enqueue.KindFailed
		case reloadly.AskPerson:
			o.Kind = enqueue.KindReview
		default:
			o.Kind = enqueue.KindReview
		}
	default:
		o.Kind, o.Delay = enqueue.KindUnknown, w.lookupDelay(0)
	}
	return o
}

// rateDelay is how long a 429 asks to be left alone.
func (w *Worker) rateDelay(e *reloadly.Error) time.Duration {
	return max(e.RetryAfter, w.cfg.scaled(time.Second))
}

// evidence is what a transaction says of its job. A status that is not known is
// not final.
func evidence(t *reloadly.Transaction) enqueue.Outcome {
	o := enqueue.Outcome{Transaction: record(t)}
	switch t.Status {
	case reloadly.Successful:
		o.Kind = enqueue.KindSucceeded
	case reloadly.Failed:
		o.Kind, o.Code = enqueue.KindFailed, enqueue.CodeTransaction
	case reloadly.Refunded:
		o.Kind, o.Code = enqueue.KindRefunded, enqueue.CodeTransaction
	default:
		o.Kind = enqueue.KindProcessing
	}
	return o
}

func holdReason(e *reloadly.Error) enqueue.Reason {
	if e.Code == reloadly.CodeInsufficientBalance {
		return enqueue.InsufficientBalance
	}
	return enqueue.Account
}

// backoff is exponential with full jitter between 5 s and 15 min.
func (w *Worker) backoff(sends int) time.Duration {
	const least, most = 5 * time.Second, 15 * time.Minute
	ceiling := min(most, least<<min(max(sends, 1), 10))
	return w.cfg.scaled(least + rand.N(ceiling-least+1))
}

// longer is the backoff of what cost no send: once to three times the last one,
// between 5 s and 15 min.
func (w *Worker) longer(r *enqueue.Record) time.Duration {
	least, most := w.cfg.scaled(5*time.Second), w.cfg.scaled(15*time.Minute)
	floor, ceiling := least, 2*least
	if r.Reason == enqueue.Backoff {
		floor = max(least, min(r.NextAt.Sub(r.UpdatedAt), most/2))
		ceiling = min(3*floor, most)
	}
	return floor + rand.N(ceiling-floor+1)
}

// lookups are the ages of a send at which it is looked up, then every 15 min.
var lookups = []time.Duration{
	2 * time.Second, 7 * time.Second, 22 * time.Second, 52 * time.Second,
	112 * time.Second, 232 * time.Second, 532 * time.Second, 1132 * time.Second,
}

// lookupDelay is the time until the next look-up of a send of that age.
func (w *Worker) lookupDelay(age time.Duration) time.Duration {
	for _, at := range lookups {
		if at := w.cfg.scaled(at); at > age {
			return at - age
		}
	}
	return w.cfg.scaled(15 * time.Minute)
}
