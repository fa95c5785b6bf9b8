package monitor

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"example.com/topup/enqueue"
)

var (
	// lookupTime is how long the ledger may take for one job.
	lookupTime = 300 * time.Millisecond
	// lookupShare is how much of each second goes into looking jobs up, so that a page
	// of hundreds comes soon, and also where Redis does not answer. asynqmon asks for one
	// after the other and says nothing of the request that it asks for.
	lookupShare = 500 * time.Millisecond
)

// jobs shows what the ledger knows of a task's job.
type jobs struct {
	load func(ctx context.Context, id string) (*enqueue.Record, error)

	mu     sync.Mutex
	second time.Time
	spent  time.Duration // in that second
}

// payload is what is shown of a task's payload.
func (j *jobs) payload(kind string, payload []byte) string {
	id, _, err := enqueue.DecodeTask(payload)
	if err != nil || kind != enqueue.TaskType {
		return fmt.Sprintf("not a top-up (%d bytes)", len(payload))
	}
	record, err := j.lookUp(id)
	switch {
	case errors.Is(err, errTooMany):
		return "job " + id
	case errors.Is(err, enqueue.ErrNotFound):
		return "job " + id + " · not in the ledger"
	case errors.Is(err, enqueue.ErrExpired):
		return join("job "+id, string(record.State), "ended so long ago that only its state is known")
	case err != nil:
		return "job " + id + " · the ledger does not answer now"
	default:
		return describe(record)
	}
}

var errTooMany = errors.New("too many look-ups in this second")

func (j *jobs) lookUp(id string) (*enqueue.Record, error) {
	began := time.Now()
	j.mu.Lock()
	if began.Sub(j.second) >= time.Second {
		j.second, j.spent = began, 0
	}
	enough := j.spent < lookupShare
	j.mu.Unlock()
	if !enough {
		return nil, errTooMany
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime) // asynqmon has none
	defer cancel()
	record, err := j.load(ctx, id)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.spent += time.Since(began)
	return record, err
}

// describe is a job in one line, without what would tell who gets it.
func describe(r *enqueue.Record) string {
	state := string(r.State)
	if r.Reason != "" {
		state += " (" + string(r.Reason) + ")"
	}
	to := ""
	switch {
	case !r.TopUp.RecipientPhone.IsZero():
		to = strings.TrimSpace(r.TopUp.RecipientPhone.CountryCode + " " + r.TopUp.RecipientPhone.Mask())
	case r.TopUp.RecipientEmail != "":
		to = "by e-mail"
	}
	amount := ""
	if !r.TopUp.Amount.IsZero() {
		amount = r.TopUp.Amount.String()
		if r.TopUp.UseLocalAmount {
			amount += " local"
		}
	}
	code := r.Code
	if code != "" && !aCode.MatchString(code) { // whatever Reloadly sent, it is no code
		code = "a code that is none"
	}
	parts := []string{"job " + r.TopUp.ID, state, code, to}
	if t := r.Transaction; t != nil {
		if asked := money(t.RequestedAmount, t.RequestedAmountCurrencyCode); asked != "" {
			amount = asked
		}
		parts = append(parts, amount)
		if got := money(t.DeliveredAmount, t.DeliveredAmountCurrencyCode); got != "" {
			parts = append(parts, got+" delivered")
		}
	} else {
		parts = append(parts, amount)
	}
	if r.TxID != 0 {
		parts = append(parts, fmt.Sprintf("transaction %d", r.TxID))
	}
	if r.Sends > 1 {
		parts = append(parts, fmt.Sprintf("sent %d times", r.Sends))
	}
	return join(parts...)
}

func money(amount, currency *string) string {
	if amount == nil || currency == nil {
		return ""
	}
	return *amount + " " + *currency
}

func join(parts ...string) string {
	var some []string
	for _, part := range parts {
		if part != "" {
			some = append(some, part)
		}
	}
	return strings.Join(some, " · ")
}

// aCode is Reloadly's, or one of ours.
var aCode = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,79}$`)

// aSummary is the worker's line: the outcome, Reloadly's code and its transaction.
var aSummary = regexp.MustCompile(`^([a-z]+(?:_[a-z]+)*)(?: ([A-Z][A-Z0-9_]{0,79}))?(?: ([0-9]{1,18}))?$`)

// result is what is shown of a task's result.
func result(_ string, text []byte) string {
	if len(text) == 0 {
		return ""
	}
	parts := aSummary.FindStringSubmatch(string(text))
	if parts == nil {
		return fmt.Sprintf("not a top-up's (%d bytes)", len(text))
	}
	transaction := ""
	if parts[3] != "" {
		transaction = "transaction " + parts[3]
	}
	return join(parts[1], parts[2], transaction)
}
