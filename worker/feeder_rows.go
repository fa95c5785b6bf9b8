package worker

import (
	"context"
	"errors"
	"time"

	"github.com/hibiken/asynq"
	"golang.org/x/sync/errgroup"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
)

// wakers is how many jobs are woken up together.
const wakers = 32

// fed is a campaign as the feeder has it in memory.
type fed struct {
	name    string
	look    campaign.Look
	held    bool
	ended   bool
	retired bool

	campaign *campaign.Campaign // of the last scan
	rows     map[int]*fedRow
	byID     map[string]*fedRow
	scan     time.Time // when to read the open rows again
	stale    bool      // read them at once
}

// fedRow is a row that was handed over and is not settled, or is in review.
type fedRow struct {
	campaign.Open
	id        string // the job's, in lower case
	operator  int64
	review    bool
	submitted bool // this feeder knows that the job is the row's own
	since     time.Time
	at        time.Time // when to look at the job
	state     enqueue.State
	reason    enqueue.Reason
	woken     int64     // the version in which its job was woken up
	read      time.Time // when the job's whole record was last known to be there
	doubted   time.Time // since when it cannot be read; zero while it can
}

// sendable reports whether nothing but a worker is missing.
func (r *fedRow) sendable() bool {
	return !r.review && r.state == enqueue.Queued && r.reason == ""
}

func (c *fed) want() want {
	w := want{open: len(c.rows), rest: c.look.Rest}
	for _, r := range c.rows {
		switch {
		case r.sendable():
			w.ready++
		case r.state == enqueue.Sending:
			w.sending++
		}
	}
	return w
}

// follow books what has become of the open rows of one campaign, and returns how many
// were settled.
func (f *Feeder) follow(ctx context.Context, c *fed, look campaign.Look, heard map[string]bool) (int, error) {
	now, before := time.Now(), c.look.State
	c.look = look
	if !look.Exists || (look.Ended && look.Open+look.Review == 0) {
		return 0, f.finish(ctx, c)
	}
	if look.Ended && !c.ended {
		f.tellEnd(ctx, c.name)
	}
	c.ended = look.Ended
	held := f.holds.campaignHeld(c.name)
	again := (c.held && !held) || look.State != before // what waits may be woken up or withdrawn
	c.held = held
	if look.State == campaign.Cancelled {
		if err := f.holdWhileOpen(ctx, c); err != nil {
			return 0, err
		}
	}
	if c.stale || !now.Before(c.scan) || c.campaign == nil || c.campaign.Version != look.Version || look.Open+look.Review != len(c.rows) {
		if err := f.rescan(ctx, c, now); err != nil {
			return 0, err
		}
	}
	var submit, glance []*fedRow
	for _, r := range c.rows {
		switch {
		case !r.submitted && !r.review:
			submit = append(submit, r)
		case !now.Before(r.at), heard[r.id], again && r.state == enqueue.Queued:
			glance = append(glance, r)
		}
	}
	missing, settled, err := f.glance(ctx, c, glance, now)
	if err != nil {
		return settled, err
	}
	return settled, f.resubmit(ctx, c, append(submit, missing...))
}

// holdWhileOpen keeps the rest of a cancelled campaign from being sent, whatever became of the
// hold of whoever cancelled it, and lifts the hold when it has done its work.
func (f *Feeder) holdWhileOpen(ctx context.Context, c *fed) error {
	scope := ScopeCampaign(c.name)
	switch open, held := c.look.Open > 0, f.holds.has(scope); {
	case open && !held:
		return f.holds.Place(ctx, Hold{Scope: scope, Reason: enqueue.Paused})
	case !open && held:
		return f.holds.Lift(ctx, scope)
	default:
		return nil
	}
}

// finish lets go of a campaign that has ended, or is not there.
func (f *Feeder) finish(ctx context.Context, c *fed) error {
	if c.look.State == campaign.Cancelled { // whoever cancelled it may have died before
		if err := f.holds.Lift(ctx, ScopeCampaign(c.name)); err != nil {
			return err
		}
	}
	if c.look.Exists && !c.ended {
		f.tellEnd(ctx, c.name)
		c.ended = true
	}
	c.rows, c.byID, c.stale = nil, nil, true
	retired, err := f.store.Retire(ctx, c.name)
	c.retired = retired
	return err
}

func (f *Feeder) tellEnd(ctx context.Context, name string) {
	attrs := []any{"campaign", name}
	if events, err := f.store.Log(ctx, name); err == nil {
		for _, e := range events {
			if e.What == "finished" {
				attrs = []any{"campaign", name, "rows", e.Count["rows"]}
				for _, state := range enqueue.States() {
					if n, ok := e.Count[string(state)]; ok {
						attrs = append(attrs, string(state), n)
					}
				}
			}
		}
	}
	f.log.InfoContext(ctx, "campaign finished", attrs...)
}

// rescan reads the open rows from Redis: what another feeder took or settled, and what
// this one forgot.
func (f *Feeder) rescan(ctx context.Context, c *fed, now time.Time) error {
	st, err := f.store.Standing(ctx, c.name)
	if err != nil {
		return err
	}
	before := c.rows
	rows, byID := make(map[int]*fedRow, len(st.Open)+len(st.Review)), make(map[string]*fedRow, len(st.Open)+len(st.Review))
	var unknown []int
	keep := func(open campaign.Open, review bool) {
		r := before[open.Row]
		switch {
		case r == nil:
			r = &fedRow{Open: open, review: review, since: now, at: now, read: now, state: enqueue.Queued}
			unknown = append(unknown, open.Row)
		case r.Open != open || r.review != review:
			*r = fedRow{Open: open, review: review, id: r.id, operator: r.operator, submitted: r.submitted, since: now, at: now, read: now, state: r.state, reason: r.reason}
		}
		rows[open.Row] = r
	}
	for _, open := range st.Open {
		keep(open, false)
	}
	for _, open := range st.Review {
		keep(open, true)
	}
	content, err := f.store.Rows(ctx, st.Campaign, unknown)
	if err != nil {
		return err
	}
	for number, row := range content {
		rows[number].id, rows[number].operator = enqueue.CanonicalID(row.JobID(c.name)), row.OperatorID
	}
	for _, r := range rows {
		byID[r.id] = r
	}
	c.campaign, c.rows, c.byID = st.Campaign, rows, byID
	c.stale, c.scan = false, now.Add(f.cfg.Recheck)
	return nil
}

// glance looks at the jobs of rows and books those that have ended. It returns the
// rows whose jobs are not there.
func (f *Feeder) glance(ctx context.Context, c *fed, rows []*fedRow, now time.Time) (missing []*fedRow, settled int, err error) {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.id
	}
	var ended, back, doubtful, withdraw, wake []*fedRow
	var versions, stands []int64
	var moved []campaign.Settled
	for i, g := range f.jobs.Glances(ctx, ids) {
		r := rows[i]
		r.at = now.Add(f.cfg.Recheck)
		switch {
		case errors.Is(g.Err, enqueue.ErrDamaged):
			f.doubt(ctx, r, g.Err)
			continue
		case g.Err != nil:
			err = g.Err
			continue
		case g.Missing && r.review: // Redis lost it: its row is open again
			moved = append(moved, campaign.Settled{Open: r.Open, State: enqueue.Queued})
			continue
		case g.Missing: // killed between taking and submitting, or Redis lost it
			missing = append(missing, r)
			continue
		case g.State.Final():
			ended = append(ended, r)
			continue
		case r.review && g.State != enqueue.NeedsReview:
			back = append(back, r)
			continue
		case !r.review && g.State == enqueue.NeedsReview:
			moved = append(moved, campaign.Settled{Open: r.Open, State: g.State, Code: g.Code})
			continue
		}
		r.state, r.reason = g.State, g.Reason
		if !r.review && now.Sub(r.read) > readAgain*f.cfg.Recheck {
			doubtful = append(doubtful, r)
		}
		if r.state == enqueue.Unknown && g.Code == enqueue.CodeRecordLost { // only its wake-up is left: tell the ledger what it was
			missing = append(missing, r)
		}
		if r.sendable() || r.state == enqueue.Sending { // what is on its way ends soon, and the message of it may be lost
			r.at = now.Add(min(f.cfg.Recheck, max(f.cfg.Interval, now.Sub(r.since)/2)))
		}
		if r.state != enqueue.Queued {
			continue
		}
		switch {
		case c.look.State == campaign.Cancelled:
			withdraw, stands = append(withdraw, r), append(stands, g.Version)
		case r.reason == enqueue.Paused && g.Version > r.woken && !f.holds.mayBeHeld(c.name, r.operator):
			wake, versions = append(wake, r), append(versions, g.Version)
		}
	}
	f.withdraw(ctx, withdraw, stands, now)
	f.wake(ctx, wake, versions)
	f.readWhole(ctx, doubtful)
	for _, r := range f.readWhole(ctx, back) {
		moved = append(moved, campaign.Settled{Open: r.Open, State: enqueue.Queued}) // what it is now is found by the next look
	}
	moved = append(moved, f.unreadable(c, now)...)
	if len(moved) > 0 {
		c.stale = true // they have new marks
		if err := f.store.Settle(ctx, c.name, moved); err != nil {
			return missing, 0, err
		}
	}
	settled, err2 := f.settle(ctx, c, ended)
	return missing, settled, errors.Join(err, err2)
}

// settle books rows whose jobs are final.
func (f *Feeder) settle(ctx context.Context, c *fed, rows []*fedRow) (int, error) {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.id
	}
	var list []campaign.Settled
	for i, a := range f.jobs.GetMany(ctx, ids) {
		if errors.Is(a.Err, enqueue.ErrDamaged) {
			f.doubt(ctx, rows[i], a.Err)
		}
		if (a.Err != nil && !errors.Is(a.Err, enqueue.ErrExpired)) || !a.Result.State.Final() {
			continue // it is looked at again
		}
		end := campaign.Settled{Open: rows[i].Open, State: a.Result.State, Code: a.Result.Code}
		end.Currency, end.Debited = campaign.Debit(a.Result)
		list = append(list, end)
	}
	return len(list), f.book(ctx, c, list)
}

// book writes how rows ended, and forgets them.
func (f *Feeder) book(ctx context.Context, c *fed, list []campaign.Settled) error {
	if len(list) == 0 {
		return nil
	}
	if err := f.store.Settle(ctx, c.name, list); err != nil {
		c.stale = true
		return err
	}
	for _, end := range list {
		if r := c.rows[end.Row]; r != nil {
			delete(c.byID, r.id)
			delete(c.rows, end.Row)
		}
	}
	return nil
}

// withdraw cancels the jobs of a cancelled campaign that still wait. One that may have been
// sent before cannot be cancelled, and must not be sent any more: the ledger gives it up.
func (f *Feeder) withdraw(ctx context.Context, rows []*fedRow, versions []int64, now time.Time) {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.id
	}
	for i, err := range f.jobs.CancelMany(ctx, ids) {
		if errors.Is(err, enqueue.ErrNotCancellable) {
			waiting := &enqueue.Record{TopUp: enqueue.TopUp{ID: rows[i].id}, Version: versions[i]}
			_, err = f.jobs.Ledger().GiveUp(ctx, waiting)
		}
		if err == nil {
			rows[i].at = now
		} else if ctx.Err() == nil {
			f.log.WarnContext(ctx, "a job was not withdrawn; the next look tries again", "job", rows[i].id, "error", err)
		}
	}
}

// wake makes jobs go on that wait because of a hold that is gone: by themselves they
// would ask again only after some time. A doubled task does no harm.
func (f *Feeder) wake(ctx context.Context, rows []*fedRow, versions []int64) {
	var group errgroup.Group
	group.SetLimit(wakers)
	for i, r := range rows {
		group.Go(func() error {
			waiting := &enqueue.Record{TopUp: enqueue.TopUp{ID: r.id}, Version: versions[i]}
			answer, err := f.jobs.Ledger().Wait(ctx, waiting, enqueue.Paused, 0, true)
			if err == nil && answer.Word == "done" {
				r.woken = answer.Version
				task := enqueue.NewTask(enqueue.QueueFollowups, enqueue.TaskID(r.id, answer.Version), r.id, answer.Version, time.Time{})
				_, err = f.queue.EnqueueContext(ctx, task)
			}
			if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) && ctx.Err() == nil {
				f.log.WarnContext(ctx, "a job goes on later, by itself", "job", r.id, "error", err)
			}
			return nil
		})
	}
	_ = group.Wait() // its functions return no error
}
