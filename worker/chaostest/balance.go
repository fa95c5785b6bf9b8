package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly/sandbox"
)

// dry counts what meets an account that runs dry in the middle of a campaign: how many
// POSTs come after the first refusal, and what becomes of the jobs.
func (r *runner) dry(ctx context.Context) error {
	const jobs, row, workers, inFlight = 400, 150, 2, 16
	s := settings{Scale: 1.0 / 20, InFlight: inFlight, Async: r.async}
	g, err := newStage(ctx, r.dir, "balance", s, simulatorConfig{
		Slowest: 200 * time.Millisecond, DrawSeed: 1,
		Config: sandbox.Config{Balance: fmt.Sprintf("%d NGN", 500*row), TimeScale: s.Scale, NoMagic: true},
	})
	if err != nil {
		return err
	}
	defer g.close()
	for i := range jobs {
		g.job(fmt.Sprintf("row-%04d", i+1), "5551").topUp.Campaign = "may"
	}
	if err := g.submit(ctx, g.jobs...); err != nil {
		return err
	}
	for i := range workers {
		w, err := g.worker(fmt.Sprintf("w%d", i+1), r.binary)
		if err != nil {
			return err
		}
		defer w.kill() // it is at rest
	}
	held := map[string]int{}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline) && pause(ctx, time.Second); {
		held = g.states(ctx)
		if held["sending"] == 0 && held["queued"] == 0 {
			break
		}
	}
	_, _, _, before, err := g.refusals()
	if err != nil {
		return err
	}
	pause(ctx, 5*time.Second) // and nothing more comes while the hold stands
	first, refused, later, total, err := g.refusals()
	if err != nil {
		return err
	}
	if err := g.simulator.refill(ctx, 500*jobs); err != nil {
		return err
	}
	refilled := time.Now()
	problem := g.drain(ctx, 2*time.Minute)
	drained := time.Since(refilled)
	checks, _, err := g.judge(ctx)
	if err != nil {
		return err
	}
	problem = append(problem, found(checks)...)
	states := g.states(ctx)
	fmt.Fprintf(r.out, "%d jobs, %d workers with %d POSTs in flight each, money for %d at the full price\n", jobs, workers, inFlight, row)
	fmt.Fprintf(r.out, "  refused for want of money: %d POSTs; begun after the first refusal was answered: %d (allowed are %d)\n", refused, later, workers*inFlight)
	fmt.Fprintf(r.out, "  POSTs in 5 s more on hold: %d; jobs then: %s\n", total-before, counts(held))
	fmt.Fprintf(r.out, "  after the refill: %s, in %.1f s\n", counts(states), drained.Seconds())
	switch {
	case first.IsZero():
		problem = append(problem, "the account never ran dry")
	case later > workers*inFlight || refused-1 > workers*inFlight:
		problem = append(problem, fmt.Sprintf("%d POSTs were refused, %d of them begun after the first refusal, more than were in flight", refused, later))
	}
	if states[string(enqueue.Succeeded)] != jobs {
		problem = append(problem, fmt.Sprintf("%d of %d succeeded", states[string(enqueue.Succeeded)], jobs))
	}
	if len(problem) > 0 {
		return errors.New(strings.Join(problem, "\n"))
	}
	return os.RemoveAll(g.dir)
}

// refusals counts the POSTs that met the empty account. Nothing else is refused here.
func (g *stage) refusals() (first time.Time, refused, later, total int, err error) {
	b, err := readBooks(g.simulator)
	if err != nil {
		return first, 0, 0, 0, err
	}
	var posts []request
	for _, q := range b.requests {
		if q.Method != http.MethodPost || !strings.HasPrefix(q.Path, "/topups") {
			continue
		}
		posts = append(posts, q)
		if q.Status == http.StatusBadRequest {
			refused++
			if first.IsZero() || q.To.Before(first) {
				first = q.To
			}
		}
	}
	for _, q := range posts {
		if !first.IsZero() && q.From.After(first) {
			later++
		}
	}
	return first, refused, later, len(posts), nil
}
