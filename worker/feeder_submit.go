package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
)

// resubmit hands rows over of which it is not certain that their jobs are theirs: they
// were taken by a feeder that died, or their jobs are gone. The ledger refuses what it has.
func (f *Feeder) resubmit(ctx context.Context, c *fed, rows []*fedRow) error {
	if len(rows) == 0 {
		return nil
	}
	numbers := make([]int, len(rows))
	for i, r := range rows {
		numbers[i] = r.Row
	}
	content, err := f.store.Rows(ctx, c.campaign, numbers)
	if err != nil {
		return err
	}
	return f.submit(ctx, c, rows, content)
}

// handOver takes rows and submits them.
func (f *Feeder) handOver(ctx context.Context, c *fed, n int) error {
	for n > 0 {
		taken, err := f.store.Take(ctx, c.name, n)
		if err != nil || len(taken) == 0 {
			return err
		}
		n -= len(taken)
		now := time.Now()
		numbers := make([]int, len(taken))
		for i, open := range taken {
			numbers[i] = open.Row
			if open.Row == 0 {
				f.log.InfoContext(ctx, "campaign started", "campaign", c.name, "rows", c.campaign.Rows)
			}
		}
		content, err := f.store.Rows(ctx, c.campaign, numbers)
		if err != nil {
			return err // they are open, and found by the next scan
		}
		var later []campaign.Deferred
		var rows []*fedRow
		for _, open := range taken {
			row := content[open.Row]
			if row.NotBefore.After(now) {
				later = append(later, campaign.Deferred{Open: open, Until: row.NotBefore})
				continue
			}
			r := &fedRow{Open: open, id: enqueue.CanonicalID(row.JobID(c.name)), operator: row.OperatorID, since: now, read: now, state: enqueue.Queued}
			c.rows[open.Row], c.byID[r.id] = r, r
			rows = append(rows, r)
		}
		if len(later) > 0 {
			if err := f.store.Defer(ctx, c.name, later); err != nil {
				return err
			}
		}
		if err := f.submit(ctx, c, rows, content); err != nil {
			return err
		}
	}
	return nil
}

// topUp is a variable for the negative control in control_chaos.go alone.
var topUp = (*campaign.Row).TopUp

// submit brings rows into the ledger as jobs. A row that cannot become one has failed.
func (f *Feeder) submit(ctx context.Context, c *fed, rows []*fedRow, content map[int]*campaign.Row) error {
	jobs := make([]enqueue.TopUp, len(rows))
	for i, r := range rows {
		jobs[i] = topUp(content[r.Row], c.name)
	}
	now := time.Now()
	var failed error
	var ended []campaign.Settled
	for i, a := range f.jobs.TopUps(ctx, jobs) {
		r := rows[i]
		end, err := refusal(r.Open, a)
		switch {
		case errors.Is(err, enqueue.ErrDamaged): // it is there
			f.doubt(ctx, r, err)
		case err != nil: // it is not known whether it is there: the next turn submits it again
			r.submitted, failed = false, err
		case end != nil:
			ended = append(ended, *end)
		default:
			r.submitted, r.state, r.reason, r.at, r.doubted = true, a.Result.State, a.Result.Reason, now, time.Time{}
			if a.Created {
				r.at = now.Add(f.cfg.Interval)
			}
		}
	}
	if failed != nil {
		failed = fmt.Errorf("campaign %s: submit rows: %w", c.name, failed)
	}
	return errors.Join(f.book(ctx, c, ended), failed)
}

// refusal is how a row ends that cannot become a job of its own; nil where it is one. With
// an error it is not known.
func refusal(open campaign.Open, a enqueue.Answered) (*campaign.Settled, error) {
	end := &campaign.Settled{Open: open, State: enqueue.Failed}
	switch {
	case a.Err == nil:
		return nil, nil
	case errors.Is(a.Err, enqueue.ErrConflict):
		end.Code = campaign.CodeConflict
	case errors.Is(a.Err, enqueue.ErrInvalid):
		end.Code = campaign.CodeInvalid
	case errors.Is(a.Err, enqueue.ErrExpired) && a.Result.State.Final():
		end.State, end.Code = a.Result.State, campaign.CodeExpiredID
	default:
		return nil, a.Err
	}
	return end, nil
}
