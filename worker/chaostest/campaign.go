package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
)

// The checks of campaigns that controls refer to.
const (
	checkSums  = "counts add up"
	checkEnded = "counted as it ended"
)

// judgeCampaigns compares what the campaigns say with their jobs and with what was
// executed. It runs when everything is at rest.
func (w *world) judgeCampaigns(ctx context.Context, client *enqueue.Client, e *evidence) ([]*check, error) {
	sums, ended := &check{name: checkSums}, &check{name: checkEnded}
	once, unsent := &check{name: "one end is told"}, &check{name: "pause and cancel hold"}
	reads, unread, quiet, finished, sent := 0, 0, 0, 0, 0
	store := campaign.NewStore(w.redis.direct)
	var totals []string
	for _, o := range w.organisers {
		p, err := store.Progress(ctx, o.name, client)
		if err != nil {
			return nil, err
		}
		totals = append(totals, fmt.Sprintf("%s %v", o.name, p.States))
		reads, unread, quiet = reads+o.reads, unread+o.unread, quiet+len(o.quiet)
		sums.violations = append(sums.violations, o.problems...)
		if problem := addsUp(p); problem != "" || p.Campaign.Rows != len(o.rows) {
			sums.wrong("campaign %s in the end: %s of %d rows", o.name, problem, len(o.rows))
		}
		if err := o.judgeRows(ctx, store, p, e, ended); err != nil {
			return nil, err
		}
		n, err := o.judgeLog(ctx, store, once, !p.Campaign.Ended.IsZero())
		if err != nil {
			return nil, err
		}
		finished += n
		sent += o.judgePauses(e, unsent)
	}
	sums.detail = fmt.Sprintf("at %d reads (%d more had no answer)", reads, unread)
	ended.detail = strings.Join(totals, ", ")
	once.detail = fmt.Sprintf("%d ends of %d campaigns", finished, len(w.organisers))
	unsent.detail = fmt.Sprintf("%d requests to pay in %d pauses", sent, quiet)
	return []*check{sums, ended, once, unsent}, nil
}

// judgeRows holds each row against its job.
func (o *organiser) judgeRows(ctx context.Context, store *campaign.Store, p *campaign.Progress, e *evidence, c *check) error {
	ends, err := store.Ends(ctx, o.name)
	if err != nil {
		return err
	}
	withdrawn, err := store.Withdrawn(ctx, o.name)
	if err != nil {
		return err
	}
	waits := slices.ContainsFunc(o.jobs, func(j *job) bool { return towardsReview(e.results[enqueue.CanonicalID(j.topUp.ID)]) })
	if p.Campaign.Ended.IsZero() != waits {
		c.wrong("campaign %s has ended: %v, and of some rows it is waited for a person: %v, %v", o.name, !p.Campaign.Ended.IsZero(), waits, p.States)
	}
	if o.cancels != (p.Campaign.State == campaign.Cancelled) {
		c.wrong("campaign %s is %s", o.name, p.Campaign.State)
	}
	want := map[enqueue.State]int{}
	for row, j := range o.jobs {
		id := enqueue.CanonicalID(j.topUp.ID)
		r, known := e.results[id]
		if !known { // never handed over
			r.State = enqueue.Cancelled
			if p.Campaign.Cut < 0 || (row < p.Campaign.Cut && !withdrawn[row]) {
				e.missing = append(e.missing, id)
			}
			if slices.ContainsFunc(e.books.executions, func(x *execution) bool { return owner(x.Identifier) == id }) {
				c.wrong("%s was never handed over, and was executed", id)
			}
		}
		want[r.State]++
		if end, told := ends[row]; known && told && end.State != r.State || known && !told && r.State.Final() && r.State != enqueue.Succeeded {
			c.wrong("%s is %s, and row %d of campaign %s is counted as %q", id, r.State, row, o.name, end.State)
		}
	}
	for _, state := range enqueue.States() {
		if p.States[state] != want[state] {
			c.wrong("campaign %s has %d rows that are %s, and %d of its jobs are", o.name, p.States[state], state, want[state])
		}
	}
	return nil
}

// judgeLog sees to it that an end is told once: again only when something was to be done
// again. What Redis forgot, it forgot of the log as well.
func (o *organiser) judgeLog(ctx context.Context, store *campaign.Store, c *check, ended bool) (finished int, err error) {
	events, err := store.Log(ctx, o.name)
	if err != nil {
		return 0, err
	}
	over := false
	var words []string
	for _, event := range events {
		words = append(words, event.What)
		switch event.What {
		case "finished":
			if over {
				c.wrong("campaign %s ended twice: %v", o.name, words)
			}
			over = true
			finished++
		case "loaded", "reopened":
			over = false
		}
	}
	if over != ended {
		c.wrong("campaign %s has ended: %v, and its log says %v", o.name, ended, words)
	}
	return finished, nil
}

// judgePauses looks for requests to pay in the time in which there was to be none. A worker
// that was frozen, or cut off from Redis, may know of a pause a moment later than others, and
// send what it has in hand.
func (o *organiser) judgePauses(e *evidence, c *check) (sent int) {
	prefix := enqueue.CanonicalID(o.name) + "."
	for _, pause := range o.quiet {
		var ids []string
		for _, r := range e.books.requests {
			if r.Method == http.MethodPost && strings.HasPrefix(owner(r.Identifier), prefix) && r.From.After(pause.From) && r.From.Before(pause.To) {
				ids = append(ids, owner(r.Identifier))
			}
		}
		if sent += len(ids); len(ids) > o.settings.Workers*o.settings.InFlight {
			c.wrong("%s and %d more were sent in the pause that began at %s", ids[0], len(ids)-1, pause.From.Format(clock))
		}
	}
	return sent
}

// campaignsOpen counts the campaigns that have not ended, and still may in this run: of some
// rows only a person will decide, when their day is over.
func (w *world) campaignsOpen(ctx context.Context, waiting map[string]int) int {
	open := 0
	for _, o := range w.organisers {
		look, err := o.store.Looks(ctx, []string{o.name})
		if err != nil || !look[0].Ended && (look[0].Rest > 0 || look[0].Open != waiting[enqueue.CanonicalID(o.name)] || look[0].Open == 0) {
			open++
		}
	}
	return open
}
