package worker

import (
	"context"
	"errors"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
)

const (
	readAgain  = 12 // times FeederConfig.Recheck: a job that stands still is read as a whole
	asideAfter = 2  // times FeederConfig.Recheck: a record that cannot be read is left to a person
)

// doubt notes that the record of a row's job cannot be read.
func (f *Feeder) doubt(ctx context.Context, r *fedRow, err error) {
	if r.review || !r.doubted.IsZero() {
		return
	}
	r.doubted = time.Now()
	f.log.ErrorContext(ctx, "the record of a job cannot be read; if it stays so, the campaign goes on without it (see topup campaign status)",
		"job", r.id, "error", err)
}

// readWhole reads the records of jobs, and returns the rows of those that can be read.
func (f *Feeder) readWhole(ctx context.Context, rows []*fedRow) (whole []*fedRow) {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.id
	}
	for i, a := range f.jobs.GetMany(ctx, ids) {
		switch {
		case a.Err == nil:
			rows[i].read, rows[i].doubted = time.Now(), time.Time{}
			whole = append(whole, rows[i])
		case errors.Is(a.Err, enqueue.ErrDamaged):
			f.doubt(ctx, rows[i], a.Err)
		}
	}
	return whole
}

// unreadable are the rows that are left to a person.
func (f *Feeder) unreadable(c *fed, now time.Time) (aside []campaign.Settled) {
	for _, r := range c.rows {
		if !r.review && !r.doubted.IsZero() && now.Sub(r.doubted) >= asideAfter*f.cfg.Recheck {
			aside = append(aside, setAside(r.Open))
		}
	}
	return aside
}

// setAside leaves a row to a person whose job's record cannot be read. Nothing is sent for
// it; whether anything was, Reloadly alone knows. Where the record can be read again the
// row comes back.
func setAside(open campaign.Open) campaign.Settled {
	return campaign.Settled{Open: open, State: enqueue.NeedsReview, Code: campaign.CodeDamaged}
}
