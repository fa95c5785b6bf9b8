package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/govalues/decimal"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
	"example.com/topup/worker"
)

// organiser is who pays people by a campaign: loads its rows in two parts, reads all the
// time how far it is, pauses and resumes it, or cancels it half way. What is not
// acknowledged is done again, and after a rollback everything is.
type organiser struct {
	name     string
	rows     []campaign.Row
	jobs     []*job
	cancels  bool // half way
	settings settings
	rdb      *redis.Client
	store    *campaign.Store
	client   *enqueue.Client
	taken    func(from, to time.Time) bool

	mu        sync.Mutex
	loaded    int  // rows of which the organiser knows that they are in
	cancelled bool // the organiser was told so
	quiet     []loss
	reads     int
	unread    int
	problems  []string
}

// organisers are those of a run: of a campaign that is paused now and then, and of a
// smaller one that is cancelled.
func organisers(rdb *redis.Client, client *enqueue.Client, s settings, taken func(from, to time.Time) bool) []*organiser {
	draw := rand.New(rand.NewPCG(s.Seed, 5))
	var all []*organiser
	number := 0
	for _, part := range []struct {
		name    string
		rows    int
		cancels bool
	}{{"Large", s.Rows * 4 / 5, false}, {"small", s.Rows / 5, true}} {
		o := &organiser{
			name: fmt.Sprintf("%s-%d", part.name, s.Seed), cancels: part.cancels, settings: s,
			rdb: rdb, store: campaign.NewStore(rdb), client: client, taken: taken,
		}
		for line := range part.rows {
			number++
			r := campaign.Row{
				Line: line + 2, National: fmt.Sprintf("803%07d", 7919*number%10_000_000), Country: "NG", Unit: campaign.Sender,
				Amount: decimal.MustNew(int64(400+draw.IntN(2*(meanAmount-400))), 0), OperatorID: 341, // MTN Nigeria
			}
			r.Phone = "+234" + r.National
			switch draw.IntN(20) {
			case 0:
				r.OperatorID = 0 // detected from the number
			case 1:
				r.NotBefore = time.Now().Add(s.Duration / 3).Truncate(time.Millisecond)
			case 2, 3, 4, 5: // its job is named after its number
			default:
				r.ExternalID = fmt.Sprintf("P%d", line)
			}
			o.rows = append(o.rows, r)
			o.jobs = append(o.jobs, &job{topUp: r.TopUp(o.name), cut: part.cancels})
		}
		all = append(all, o)
	}
	return all
}

// run does all of it, in about the time that the trouble goes on.
func (o *organiser) run(ctx context.Context) {
	began := time.Now()
	at := func(share float64) bool {
		return pause(ctx, max(0, time.Duration(share*float64(o.settings.Duration))-time.Since(began)))
	}
	var group sync.WaitGroup
	reading, stop := context.WithCancel(ctx)
	group.Go(func() { o.read(reading) })
	defer group.Wait()
	defer stop()
	o.load(ctx, len(o.rows)*2/3)
	draw := rand.New(rand.NewPCG(o.settings.Seed, 6))
	for n := range o.settings.Pauses {
		if !at((float64(n) + draw.Float64()/2) / float64(o.settings.Pauses)) {
			return
		}
		if n == o.settings.Pauses/2 {
			o.load(ctx, len(o.rows))
			if o.cancels {
				o.cancel(ctx)
			}
		}
		if !o.cancels {
			o.pause(ctx, 2*time.Second+rand64(draw, 2*time.Second))
		}
	}
	at(1)
}

// again does everything once more that Redis may have forgotten.
func (o *organiser) again(ctx context.Context) {
	o.mu.Lock()
	loaded, cancelled := o.loaded, o.cancelled
	o.mu.Unlock()
	o.load(ctx, loaded)
	if cancelled {
		o.cancel(ctx)
	}
}

// finish brings in what is missing, and lets it go on.
func (o *organiser) finish(ctx context.Context) {
	o.load(ctx, len(o.rows))
	if o.cancels {
		o.cancel(ctx)
		return
	}
	o.insist(ctx, func(call context.Context) error { return worker.ResumeCampaign(call, o.rdb, o.name) })
}

// insist repeats something until it is acknowledged, and says when that was asked for.
func (o *organiser) insist(ctx context.Context, do func(context.Context) error) (asked time.Time, ok bool) {
	for ctx.Err() == nil {
		asked = time.Now()
		call, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := do(call)
		cancel()
		if err == nil || errors.Is(err, campaign.ErrCancelled) {
			return asked, true
		}
		pause(ctx, 100*time.Millisecond)
	}
	return asked, false
}

// load brings the first n rows in. Rows come in order, so what is there is known by its
// number; who loads a file compares every row.
func (o *organiser) load(ctx context.Context, n int) {
	_, ok := o.insist(ctx, func(call context.Context) error {
		c, err := o.store.Find(call, o.name)
		if errors.Is(err, campaign.ErrNoCampaign) {
			c, err = &campaign.Campaign{}, nil
		}
		if err != nil || c.Rows >= n {
			return err
		}
		stage := o.store.Stage(call, o.name)
		defer func() { _ = stage.Drop(context.WithoutCancel(call)) }() // otherwise it runs out
		for i := c.Rows; i < n; i++ {
			if err := stage.Add(call, &o.rows[i]); err != nil {
				return err
			}
		}
		_, err = stage.Commit(call, campaign.CommitOptions{Expect: c.Version})
		return err
	})
	if ok {
		o.mu.Lock()
		o.loaded = max(o.loaded, n)
		o.mu.Unlock()
	}
}

func (o *organiser) cancel(ctx context.Context) {
	_, ok := o.insist(ctx, func(call context.Context) error {
		return worker.CancelCampaign(call, o.rdb, o.client, o.name, "organiser")
	})
	o.mu.Lock()
	o.cancelled = o.cancelled || ok
	o.mu.Unlock()
}

// pause notes in which time nothing may be sent: from a second after the pause on.
func (o *organiser) pause(ctx context.Context, d time.Duration) {
	asked, ok := o.insist(ctx, func(call context.Context) error { return worker.PauseCampaign(call, o.rdb, o.name, "organiser") })
	from := time.Now().Add(time.Second)
	if !ok || !pause(ctx, d) {
		return
	}
	to := time.Now()
	o.insist(ctx, func(call context.Context) error { return worker.ResumeCampaign(call, o.rdb, o.name) })
	if !o.taken(asked, to) {
		o.mu.Lock()
		o.quiet = append(o.quiet, loss{from, to})
		o.mu.Unlock()
	}
}

// read asks all the time how far the campaign is: at every answer the states add up.
func (o *organiser) read(ctx context.Context) {
	for pause(ctx, 50*time.Millisecond) {
		o.mu.Lock()
		loaded := o.loaded
		o.mu.Unlock()
		asked := time.Now()
		call, cancel := context.WithTimeout(ctx, 5*time.Second)
		p, err := o.store.Progress(call, o.name, o.client)
		cancel()
		o.mu.Lock()
		switch {
		case err != nil && loaded > 0 && errors.Is(err, campaign.ErrNoCampaign) && !o.taken(time.Time{}, asked):
			o.problem("campaign %s is gone", o.name)
		case err != nil:
			o.unread++
		default:
			o.reads++
			if p.Campaign.Rows < loaded && !o.taken(time.Time{}, asked) {
				o.problem("campaign %s has %d rows, and %d were loaded", o.name, p.Campaign.Rows, loaded)
			}
			if problem := addsUp(p); problem != "" {
				o.problem("campaign %s at %s: %s", o.name, asked.Format(clock), problem)
			}
		}
		o.mu.Unlock()
	}
}

func (o *organiser) problem(format string, args ...any) {
	o.problems = append(o.problems, fmt.Sprintf(format, args...))
}

// addsUp says what is wrong with the counts of a campaign, or nothing.
func addsUp(p *campaign.Progress) string {
	sum := 0
	for state, n := range p.States {
		sum += n
		if n < 0 {
			return fmt.Sprintf("%d rows are %s", n, state)
		}
	}
	if sum != p.Campaign.Rows {
		return fmt.Sprintf("%v sum to %d and not to %d", p.States, sum, p.Campaign.Rows)
	}
	return ""
}
