package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/govalues/decimal"
	"github.com/spf13/cobra"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
	"example.com/topup/reloadly/sandbox"
)

const (
	demoScale   = 1.0 / 200 // ten minutes of settling are three seconds
	demoTimeout = 45 * time.Second
)

// demoReport is what the demo proves.
type demoReport struct {
	Jobs         []enqueue.Result `json:"jobs"`
	Campaign     string           `json:"campaign"` // what loading most of the jobs from a file did, twice
	Repeated     string           `json:"repeated"` // what a second submission was answered
	Conflict     string           `json:"conflict"` // what the same id with another amount was answered
	Executed     int              `json:"executed"` // by the simulator's own ledger
	AccountedFor int              `json:"accountedFor"`
	Problems     []string         `json:"problems"`
	Seconds      float64          `json:"seconds"`
}

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "demo", Short: "Watch two dozen top-ups meet every kind of outcome; needs nothing else", Args: usageArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			report, err := runDemo(c.Context(), a.settings, a.err)
			if err != nil {
				return err
			}
			if err := a.printDemo(report); err != nil {
				return err
			}
			if len(report.Problems) > 0 {
				return &exitError{exitInternal, errors.New(strings.Join(report.Problems, "\n"))}
			}
			return nil
		},
	}
}

func (a *app) printDemo(report *demoReport) error {
	if a.json {
		return writeJSON(a.out, report)
	}
	if err := a.printResults(report.Jobs); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "\nthe campaign: %s", report.Campaign)
	fmt.Fprintf(a.out, "\nthe same job again: %s\nits id with another amount: %s\n", report.Repeated, report.Conflict)
	fmt.Fprintf(a.out, "executed %d, accounted for %d (%.1f s)\n", report.Executed, report.AccountedFor, report.Seconds)
	return nil
}

// runDemo takes every job through the whole path and compares what the callers see
// with what the simulator executed.
func runDemo(ctx context.Context, s Settings, live io.Writer) (*demoReport, error) {
	start := time.Now()
	s.RedisURL, s.RedisPassword, s.SentinelPassword = "memory://", "", ""
	s.TimeScale, s.Name = demoScale, "demo"
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	lines := &liveLines{w: live, start: start}
	// Refusals are the demo's subject: the worker's own lines would only repeat them.
	sys, err := startSystem(ctx, s, "127.0.0.1:0", sandbox.Config{}, slog.New(slog.DiscardHandler), lines.show)
	if err != nil {
		return nil, err
	}
	report, err := sys.demo(ctx)
	if err := errors.Join(err, sys.close()); err != nil {
		return nil, err
	}
	report.Seconds = time.Since(start).Seconds()
	return report, nil
}

func (sys *system) demo(ctx context.Context) (*demoReport, error) {
	report := &demoReport{Problems: []string{}}
	var refilled atomic.Bool
	sys.sim.Script(func(attempt sandbox.Attempt) string {
		if attempt.Identifier == emptyBalance && !refilled.Load() {
			return "insufficient-balance"
		}
		return ""
	})
	// The quick start goes first and alone: its answer names the balance before and after.
	first := quickStart()
	if _, err := sys.client.TopUp(ctx, first); err != nil {
		return nil, err
	}
	if _, err := sys.client.Wait(ctx, first.ID); err != nil {
		return nil, err
	}
	jobs := demoJobs(time.Now())
	batch, ids := []enqueue.TopUp{}, []string{first.ID}
	for _, job := range jobs {
		ids = append(ids, job.ID)
		if !job.row {
			batch = append(batch, job.TopUp)
		}
	}
	if err := sys.demoCampaign(ctx, report, demoFile(jobs)); err != nil {
		return nil, err
	}
	for i, answer := range sys.client.TopUps(ctx, batch) {
		if answer.Err != nil {
			return nil, fmt.Errorf("submit %s: %w", batch[i].ID, answer.Err)
		}
	}
	if err := sys.demoOthers(ctx, report, batch); err != nil {
		return nil, err
	}
	if err := sys.refill(ctx, &refilled); err != nil {
		return nil, err
	}
	for _, id := range ids {
		if err := sys.demoWait(ctx, id); err != nil && ctx.Err() == nil {
			return nil, err
		}
	}
	// The time is up for a job that is still open; reading it must work all the same.
	reading, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for i, answer := range sys.client.GetMany(reading, ids) {
		if answer.Err != nil {
			return nil, fmt.Errorf("read %s: %w", ids[i], answer.Err)
		}
		report.Jobs = append(report.Jobs, answer.Result)
	}
	report.account(sys.sim.Paid(), append([]demoJob{{TopUp: first, want: enqueue.Succeeded}}, jobs...))
	if err := sys.sim.Audit(); err != nil {
		report.Problems = append(report.Problems, err.Error())
	}
	return report, nil
}

// demoCampaign loads the campaign from its file, and once more.
func (sys *system) demoCampaign(ctx context.Context, report *demoReport, text string) error {
	key, err := sys.settings.numberKey()
	if err != nil {
		return err
	}
	loader := &campaign.Loader{Store: campaign.NewStore(sys.opened.rdb), Client: sys.client, Key: key}
	file, err := campaign.Check(ctx, "demo.csv", strings.NewReader(text), campaign.CheckOptions{
		Load: true, Key: key, Provider: sys.reloadly,
		ReadOptions: campaign.ReadOptions{AllowRepeatPhone: true, Problem: func(p campaign.Problem) { report.Problems = append(report.Problems, p.Text("demo.csv")) }},
	})
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // nothing is left to lose
	loaded, err := loader.Load(ctx, file, demoCampaign, campaign.LoadOptions{})
	if err != nil {
		return err
	}
	again, err := loader.Load(ctx, file, demoCampaign, campaign.LoadOptions{})
	if err != nil {
		return err
	}
	report.Campaign = fmt.Sprintf("%d rows for %s %s loaded; the same file again: %d new", loaded.New, file.Quote.Total, file.Quote.Currency, again.New)
	return nil
}

// demoWait waits for a job that the campaign's feeder may not have handed over yet.
func (sys *system) demoWait(ctx context.Context, id string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := sys.client.Wait(ctx, id)
		if !errors.Is(err, enqueue.ErrNotFound) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// demoOthers are the cases that are no outcome of a job of their own.
func (sys *system) demoOthers(ctx context.Context, report *demoReport, batch []enqueue.TopUp) error {
	if _, err := sys.client.Cancel(ctx, "withdrawn"); err != nil {
		return err
	}
	again := batch[len(batch)-1]
	r, err := sys.client.TopUp(ctx, again)
	if err != nil {
		return err
	}
	report.Repeated = fmt.Sprintf("job %q, %s: nothing new was made", r.ID, r.State)
	again.Amount = decimal.MustNew(600, 0)
	_, err = sys.client.TopUp(ctx, again)
	if !errors.Is(err, enqueue.ErrConflict) {
		report.Problems = append(report.Problems, fmt.Sprintf("the same id with another amount was not refused: %v", err))
		return nil
	}
	report.Conflict = err.Error()
	return nil
}

// refill waits until the job met the empty balance, then tops the account up.
func (sys *system) refill(ctx context.Context, refilled *atomic.Bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for sys.sim.PostsFor(emptyBalance) == 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("job %q was never sent: %w", emptyBalance, ctx.Err())
		}
	}
	refilled.Store(true)
	return sys.sim.Refill("100000")
}

// account compares, one by one, what was executed with what the jobs say.
func (report *demoReport) account(paid []sandbox.Execution, jobs []demoJob) {
	problem := func(format string, args ...any) {
		report.Problems = append(report.Problems, fmt.Sprintf(format, args...))
	}
	succeeded := map[int64]enqueue.Result{}
	for i, r := range report.Jobs {
		switch {
		case !r.State.Settled():
			problem("job %s is still %s", r.ID, r.State)
		case r.State != jobs[i].want:
			problem("job %s is %s, expected %s", r.ID, r.State, jobs[i].want)
		}
		if r.State == enqueue.Succeeded && r.Transaction != nil {
			succeeded[r.Transaction.TransactionID] = r
		}
	}
	report.Executed = len(paid)
	for _, e := range paid {
		r, ok := succeeded[e.TransactionID]
		if !ok || !strings.EqualFold(r.ID, e.CustomIdentifier) {
			problem("transaction %d of %s was executed and no job accounts for it", e.TransactionID, e.CustomIdentifier)
			continue
		}
		delete(succeeded, e.TransactionID)
		report.AccountedFor++
	}
	for transaction, r := range succeeded {
		problem("job %s says succeeded by transaction %d, which was not executed", r.ID, transaction)
	}
}

// liveLines are written while the demo runs, by every worker's goroutine.
type liveLines struct {
	mu    sync.Mutex
	w     io.Writer
	start time.Time
}

func (l *liveLines) show(r enqueue.Result) {
	why := r.Code
	if r.Reason != "" {
		why = string(r.Reason)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, "%5.1fs  %-30s %-13s %s\n", time.Since(l.start).Seconds(), r.ID, r.State, why)
}
