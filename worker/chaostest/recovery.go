package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly/sandbox"
)

// recoverWithin is how soon a job must go on.
const recoverWithin = 60 * time.Second

// recovery is one measurement at default settings, in real time.
type recovery struct {
	name   string
	crash  string        // where its worker dies; empty: it lives
	fault  string        // of the simulator
	lead   time.Duration // how long before that the other worker was started; negative: after it
	sent   bool          // how soon the job is sent counts, not how soon its fate is known
	bound  bool          // must be within recoverWithin
	report time.Duration // how late the provider's report is
	asleep bool          // its caller died before the wake-up was written
}

// recoveries are all of them. The sweeper of the other worker works by its own clock, so
// that several leads are needed to meet the worst.
func recoveryCases() []recovery {
	var all []recovery
	for _, lead := range []time.Duration{-time.Second, 5 * time.Second, 12 * time.Second, 25 * time.Second} {
		all = append(all, recovery{
			name: fmt.Sprintf("worker killed before the permission, the other up for %v", lead), crash: "begin:before", fault: "5551", lead: lead, sent: true, bound: true,
		})
	}
	return append(all,
		recovery{name: "worker killed just after it took the job", crash: "load:before", fault: "5551", lead: 12 * time.Second, sent: true, bound: true},
		recovery{name: "caller killed before the wake-up", fault: "5551", lead: 14 * time.Second, sent: true, bound: true, asleep: true},
		recovery{name: "answer lost, worker alive", fault: "0026", lead: -time.Second, bound: true},
		recovery{name: "answer lost, worker alive, report 20 s late", fault: "0026", lead: -time.Second, bound: true, report: 20 * time.Second},
		recovery{name: "executed and its worker killed", crash: "body:after", fault: "5551", lead: 12 * time.Second, bound: true},
		recovery{name: "answer here and its worker killed", crash: "post:after", fault: "5551", lead: 25 * time.Second, bound: true},
	)
}

// recoveries measures all of them at once: nothing but time passes.
func (r *runner) recoveries(ctx context.Context) error {
	cases := recoveryCases()
	took := make([]time.Duration, len(cases))
	errs := make([]error, len(cases))
	var group sync.WaitGroup
	for i, c := range cases {
		group.Go(func() {
			dir, err := os.MkdirTemp(r.dir, "recovery-")
			if err == nil {
				took[i], err = c.measure(ctx, dir, r.binary, r.async)
			}
			if err == nil {
				err = os.RemoveAll(dir)
			}
			errs[i] = err
		})
	}
	group.Wait()
	for i, c := range cases {
		word, what := "ok  ", "known"
		if c.sent {
			what = "sent"
		}
		if c.bound && errs[i] == nil && took[i] > recoverWithin {
			errs[i] = fmt.Errorf("%s: %s after %.1f s, more than %v", c.name, what, took[i].Seconds(), recoverWithin)
		}
		if errs[i] != nil {
			word = "FAIL"
		}
		fmt.Fprintf(r.out, "%s  %-60s %s after %5.1f s\n", word, c.name, what, took[i].Seconds())
	}
	return errors.Join(errs...)
}

func (c recovery) measure(ctx context.Context, dir, binary, async string) (time.Duration, error) {
	s := settings{Scale: 1, InFlight: 100, Burn: "no", Async: async}
	g, err := newStage(ctx, dir, "world", s, simulatorConfig{
		Slowest: 300 * time.Millisecond, DrawSeed: 1, Config: sandbox.Config{ReportDelay: c.report},
	})
	if err != nil {
		return 0, err
	}
	defer g.close()
	var crash []string
	if c.crash != "" {
		crash = append(crash, crashVariable+"="+c.crash+":1")
	}
	var other *process
	if c.lead >= 0 {
		if other, err = g.worker("other", binary); err != nil {
			return 0, err
		}
		defer other.kill() // it is at rest
	}
	pause(ctx, max(time.Second, c.lead))
	var first *process
	if !c.asleep {
		if first, err = g.worker("first", binary, crash...); err != nil {
			return 0, err
		}
		defer first.kill() // it is at rest, or dead
		pause(ctx, time.Second)
	}
	if other != nil { // the first one gets the job
		other.signal(syscall.SIGSTOP)
	}
	j := g.job("recovery", c.fault)
	began := time.Now()
	if err := g.submit(ctx, j); err != nil {
		return 0, err
	}
	if c.asleep {
		if err := g.redis.forgetQueue(ctx); err != nil {
			return 0, err
		}
	}
	if c.crash != "" {
		select {
		case <-first.done:
		case <-time.After(30 * time.Second):
			return 0, fmt.Errorf("%s: the worker did not die", c.name)
		}
		began = time.Now()
	}
	switch {
	case other != nil:
		other.signal(syscall.SIGCONT)
	case c.crash != "":
		if other, err = g.worker("other", binary); err != nil {
			return 0, err
		}
		defer other.kill() // it is at rest
	}
	return c.watch(ctx, g, j, began)
}

// watch waits until the job was sent, or its fate is known.
func (c recovery) watch(ctx context.Context, g *stage, j *job, began time.Time) (time.Duration, error) {
	for pause(ctx, 50*time.Millisecond) {
		b, err := readBooks(g.simulator)
		if err != nil {
			return 0, err
		}
		for _, r := range b.requests {
			posted := r.Method == http.MethodPost && strings.HasPrefix(r.Path, "/topups")
			switch {
			case posted && c.sent:
				return r.From.Sub(began), nil
			case posted && c.crash == "" && r.From.After(began):
				began = r.To // the answer was lost here
			}
		}
		result, err := g.client.Get(ctx, j.topUp.ID)
		if err != nil {
			return 0, err
		}
		if !c.sent && result.State == enqueue.Succeeded {
			return time.Since(began), nil
		}
		if time.Since(began) > 4*time.Minute {
			return 0, fmt.Errorf("%s: still %s %s", c.name, result.State, result.Code)
		}
	}
	return 0, ctx.Err()
}
