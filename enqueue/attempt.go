package enqueue

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"time"

	"github.com/redis/go-redis/v9"
)

// Claim is the random name of one permission to send. A counter would go
// backwards when Redis loses writes, and then two attempts held the same number.
type Claim string

// Adopting stands for a claim in what a person's look-up of the whole job found.
const Adopting Claim = "adopt"

// NewClaim is a fresh 128-bit claim.
func NewClaim() Claim {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return Claim(base64.RawURLEncoding.EncodeToString(b[:]))
}

// Begin asks for the one permission to send the job: queued → sending. Only the
// answer [AnswerSend] is the permission, and it ends [LedgerConfig.SendWindow]
// after the moment before this call.
func (l *Ledger) Begin(ctx context.Context, id string, claim Claim) (Answer, error) {
	window := l.cfg.SendWindow + l.cfg.PostTimeout
	return l.call(ctx, beginScript, id, nil, string(claim), window.Milliseconds(), (l.cfg.SendWindow * 3 / 2).Milliseconds())
}

// Kind is what became of a send, or what a look-up found.
type Kind string

// The kinds of an outcome. The first four speak of a transaction, from an answer
// or from a look-up; the others come from the holder of the claim alone.
const (
	KindSucceeded  Kind = "succeeded"
	KindProcessing Kind = "processing"
	KindFailed     Kind = "failed" // with a transaction: it ended; without: refused for good
	KindRefunded   Kind = "refunded"
	KindForeign    Kind = "foreign" // a look-up found somebody else's transaction
	KindUnknown    Kind = "unknown" // it may have been executed
	KindInUse      Kind = "in_use"  // refused: the identifier is used
	KindRetry      Kind = "retry"   // not executed: try again
	KindHeld       Kind = "held"    // not executed: wait for a hold
	KindReview     Kind = "review"  // not executed, and a person decides
)

// Outcome is what became of a send, or what a look-up found.
type Outcome struct {
	Kind        Kind
	Claim       Claim  // empty for a look-up
	Code        string // Reloadly's, or one of ours
	Reason      Reason // of a job that goes back to the queue
	Delay       time.Duration
	GiveBack    bool // nothing was asked of Reloadly: the send is not counted
	Transaction *Transaction
}

// Settle writes an outcome. Proof of execution is always accepted; anything else
// only from the holder of the current claim. along, where not nil, adds commands
// that travel in the same round trip. Redis 7 takes an outcome also when its memory is full.
func (l *Ledger) Settle(ctx context.Context, id string, o Outcome, along func(redis.Pipeliner)) (Answer, error) {
	pieces, err := packTransaction(id, o.Transaction)
	if err != nil {
		return Answer{}, err
	}
	var txID any = ""
	if o.Transaction != nil {
		txID = o.Transaction.TransactionID
	}
	args := []any{string(o.Claim), string(o.Kind), o.Code, string(o.Reason), -max(1, o.Delay.Milliseconds()), o.GiveBack, txID}
	for _, piece := range pieces {
		args = append(args, piece)
	}
	answer, err := l.call(ctx, outcomeScript, id, along, args...)
	if !redis.HasErrorPrefix(err, "OOM") {
		return answer, err
	}
	if answer, full := l.call(ctx, outcomeWhenFullScript, id, nil, args...); full == nil {
		return answer, nil
	}
	return answer, err // Redis 6 knows no such scripts
}

// Absent notes a healthy look-up of all of the job's identifiers that found nothing.
// r is the job as it was before the look-up: of a job that has changed since, it proves
// nothing. date is the provider's own clock, zero where it was not sent; later is
// when to look again where that is not determined by the rules.
func (l *Ledger) Absent(ctx context.Context, r *Record, date time.Time, later time.Duration) (Answer, error) {
	var provider int64
	if !date.IsZero() {
		provider = date.UnixMilli()
	}
	return l.call(ctx, absentScript, r.TopUp.ID, nil, r.Version, provider, l.cfg.AbsentAnswers, l.cfg.AbsentSpacing.Milliseconds(),
		l.cfg.Patience.Milliseconds(), max(1, later.Milliseconds()), l.cfg.ClockSkew.Milliseconds(), MaxGeneration)
}

// Wait puts a queued job off. held says that the time does not count against its
// lifetime.
func (l *Ledger) Wait(ctx context.Context, r *Record, reason Reason, delay time.Duration, held bool) (Answer, error) {
	return l.call(ctx, waitScript, r.TopUp.ID, nil, r.Version, string(reason), max(1, delay.Milliseconds()), held)
}

// GiveUp ends a queued job that must not be sent any more and that [Client.Cancel] refuses:
// it is cancelled, or needs review where a send of it ended without an answer. Where Redis
// may have forgotten what happened to the job, it is looked up first, and stays.
func (l *Ledger) GiveUp(ctx context.Context, r *Record) (Answer, error) {
	return l.call(ctx, giveUpScript, r.TopUp.ID, nil, r.Version)
}

// Delay sets the next look-up of an open job about which nothing was learnt.
func (l *Ledger) Delay(ctx context.Context, r *Record, delay time.Duration) (Answer, error) {
	return l.call(ctx, delayScript, r.TopUp.ID, nil, r.Version, max(1, delay.Milliseconds()), l.cfg.Patience.Milliseconds())
}

// Lapse turns a permission whose holder can no longer be at it into unknown.
func (l *Ledger) Lapse(ctx context.Context, id string) (Answer, error) {
	return l.call(ctx, lapseScript, id, nil)
}

// Missing takes up a job of which only the wake-up is known: it is looked up and
// never sent.
func (l *Ledger) Missing(ctx context.Context, id string) (Answer, error) {
	return l.call(ctx, missingScript, id, nil)
}
