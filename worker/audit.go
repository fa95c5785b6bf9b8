package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
	"example.com/topup/reloadly"
)

// AuditConfig is how the books are compared. The zero value is the default.
type AuditConfig struct {
	// Reach is how far back a look goes. Reloadly takes its bounds a day and a half
	// wider. Defaults to 7 days.
	Reach time.Duration
	// Interval is the time between two looks of the fleet. Defaults to 24 h.
	Interval time.Duration
	// Logger gets a line for each finding. Defaults to none.
	Logger *slog.Logger
}

// Auditor compares Reloadly's report with the ledger: an operator can reverse a top-up days
// after it succeeded, and what was executed without a job has to be explained by somebody.
type Auditor struct {
	rdb    redis.UniversalClient
	jobs   *enqueue.Client
	client *reloadly.Client
	holds  *Holds
	cfg    AuditConfig
	log    *slog.Logger
}

// NewAuditor makes an auditor. It writes nothing.
func NewAuditor(rdb redis.UniversalClient, jobs *enqueue.Client, client *reloadly.Client, holds *Holds, cfg AuditConfig) *Auditor {
	cfg.Reach = cmp.Or(cfg.Reach, 7*24*time.Hour)
	cfg.Interval = cmp.Or(cfg.Interval, 24*time.Hour)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	return &Auditor{rdb: rdb, jobs: jobs, client: client, holds: holds, cfg: cfg, log: cfg.Logger}
}

// Verdict says what a finding is.
type Verdict string

// The verdicts.
const (
	Reversed Verdict = "reversed" // the job had succeeded; it is refunded now
	Booked   Verdict = "booked"   // it was executed and its job did not know; now it does
	Strange  Verdict = "strange"  // it was executed, and no job explains it
)

// Finding is a transaction about which Reloadly's books and the ledger differed.
type Finding struct {
	Verdict       Verdict `json:"verdict"`
	TransactionID int64   `json:"transactionId"`
	Identifier    string  `json:"customIdentifier"`
	Amount        string  `json:"amount"` // as Reloadly booked it, with its currency
	Why           string  `json:"why"`    // for people
	New           bool    `json:"new"`    // no look before this one named it
}

// Audit is what one look at the report found.
type Audit struct {
	Since        time.Time `json:"since"`
	Transactions int       `json:"transactions"` // that the report showed
	Findings     []Finding `json:"findings"`
}

// Count is how many findings have a verdict, and how many of them are new.
func (a *Audit) Count(v Verdict) (all, fresh int) {
	for _, f := range a.Findings {
		if f.Verdict == v {
			all++
			if f.New {
				fresh++
			}
		}
	}
	return all, fresh
}

// auditPage is how many jobs are read together: as many as a page of the report has transactions.
const auditPage = 500

// Look reads the report once, marks the jobs that were reversed, books what jobs did not know,
// and names the rest. It can be repeated at any time. What it found before an error is kept.
func (a *Auditor) Look(ctx context.Context) (*Audit, error) {
	audit := &Audit{Since: time.Now().Add(-a.cfg.Reach).UTC().Truncate(time.Second), Findings: []Finding{}}
	page := make([]reloadly.Transaction, 0, auditPage)
	for t, err := range a.client.Report(ctx, reloadly.ReportQuery{From: audit.Since}) {
		if err != nil {
			return audit, fmt.Errorf("audit: %w", err)
		}
		audit.Transactions++
		if page = append(page, t); len(page) == auditPage {
			if err := a.compare(ctx, audit, page); err != nil {
				return audit, err
			}
			page = page[:0]
		}
	}
	if err := a.compare(ctx, audit, page); err != nil {
		return audit, err
	}
	return audit, a.note(ctx, audit)
}

// compare looks closely at those transactions of a page that their jobs do not explain at once.
func (a *Auditor) compare(ctx context.Context, audit *Audit, page []reloadly.Transaction) error {
	ids := make([]string, len(page))
	for i := range page {
		ids[i], _ = enqueue.JobOf(page[i].CustomIdentifier)
	}
	for i, answer := range a.jobs.GetMany(ctx, ids) {
		t, r := &page[i], answer.Result
		if known := r.Transaction; answer.Err == nil && known != nil && known.TransactionID == t.TransactionID && known.Status == string(t.Status) && r.State.Final() {
			continue
		}
		finding, err := a.judge(ctx, t)
		if err != nil {
			return fmt.Errorf("audit: transaction %d: %w", t.TransactionID, err)
		}
		if finding == nil {
			continue
		}
		finding.TransactionID, finding.Identifier = t.TransactionID, t.CustomIdentifier
		if t.RequestedAmount.Valid {
			finding.Amount = t.RequestedAmount.Decimal.Trim(0).String() + " " + t.RequestedAmountCurrencyCode
		}
		if err := a.name(ctx, finding); err != nil {
			return err
		}
		audit.Findings = append(audit.Findings, *finding)
	}
	return nil
}

// judge says what is strange about one transaction, and books what belongs to a job. What is
// open, there or here, is left to those who follow it.
func (a *Auditor) judge(ctx context.Context, t *reloadly.Transaction) (*Finding, error) {
	if !t.Status.Final() {
		return nil, nil
	}
	executed := t.Status == reloadly.Successful
	strange := func(format string, args ...any) (*Finding, error) {
		if !executed {
			return nil, nil
		}
		return &Finding{Verdict: Strange, Why: fmt.Sprintf(format, args...)}, nil
	}
	id, ok := enqueue.JobOf(t.CustomIdentifier)
	if !ok || t.CustomIdentifier != enqueue.CanonicalID(t.CustomIdentifier) {
		return strange("its identifier is none of a job's: something else uses the account")
	}
	r, err := a.jobs.Ledger().Load(ctx, id)
	its := r != nil && r.State == enqueue.Succeeded && r.TxID == t.TransactionID
	switch {
	case errors.Is(err, enqueue.ErrNotFound):
		return strange("the ledger knows no job %s: something else uses the account, or Redis has forgotten the job", id)
	case errors.Is(err, enqueue.ErrExpired) && executed && !its:
		return strange("job %s ended as %s, without this transaction, and its record has expired", id, r.State)
	case errors.Is(err, enqueue.ErrExpired) && !executed && its:
		return &Finding{Verdict: Reversed, Why: fmt.Sprintf("job %s succeeded and its record has expired: the job stays as it is", id)}, nil
	case errors.Is(err, enqueue.ErrExpired), executed && its:
		return nil, nil
	case err != nil:
		return nil, err
	case executed && !ours(r, t.CustomIdentifier, t):
		return strange("it is not what job %s asked for: something else uses the account", id)
	case executed:
		return a.executed(ctx, r, t)
	case its:
		return a.reversed(ctx, r, t)
	default:
		return nil, nil
	}
}

// executed books a payment of which the job knows nothing.
func (a *Auditor) executed(ctx context.Context, r *enqueue.Record, t *reloadly.Transaction) (*Finding, error) {
	switch {
	case r.State == enqueue.Sending, r.State == enqueue.Unknown, r.State == enqueue.Processing: // it is being looked for
		return nil, nil
	case r.State == enqueue.NeedsReview && r.TxID == t.TransactionID: // a person decides about this very one
		return nil, nil
	}
	id := r.TopUp.ID
	answer, err := a.book(ctx, id, evidence(t))
	if err != nil {
		return nil, err
	}
	if answer.Word == enqueue.AnswerDouble {
		// Each look finds it again for days, and somebody has released the hold meanwhile.
		named, err := a.named(ctx, t.TransactionID, Booked)
		if err == nil && !named {
			err = a.holds.Place(ctx, Hold{Scope: ScopeAll, Reason: enqueue.Paused, By: "audit"})
		}
		if err != nil {
			return nil, err
		}
		return &Finding{Verdict: Booked, Why: fmt.Sprintf("job %s was paid twice: everything was put on hold", id)}, nil
	}
	if answer.State == r.State { // another worker was faster
		return nil, nil
	}
	return &Finding{Verdict: Booked, Why: fmt.Sprintf("job %s was %s; it is %s now", id, r.State, answer.State)}, nil
}

// book writes what is found into the ledger, and into the counts of the job's campaign.
func (a *Auditor) book(ctx context.Context, id string, o enqueue.Outcome) (answer enqueue.Answer, err error) {
	err = campaign.NewStore(a.rdb).Decide(ctx, a.jobs, id, func(ctx context.Context) error {
		answer, err = a.jobs.Ledger().Settle(ctx, id, o, nil)
		return err
	})
	return answer, err
}

// reversed books that the money of a job that had succeeded came back.
func (a *Auditor) reversed(ctx context.Context, r *enqueue.Record, t *reloadly.Transaction) (*Finding, error) {
	id, o := r.TopUp.ID, evidence(t)
	o.Kind = enqueue.KindRefunded // a success that reads FAILED was reversed too
	answer, err := a.book(ctx, id, o)
	if err != nil {
		return nil, err
	}
	why := fmt.Sprintf("job %s had succeeded; it is %s now", id, answer.State)
	if answer.State != enqueue.Refunded {
		why = fmt.Sprintf("one of the two transactions of job %s was reversed", id)
	}
	return &Finding{Verdict: Reversed, Why: why}, nil
}
