package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly/sandbox"
)

// crashVariable names the point at which a process kills itself, where it was built to:
// only with the build tag topup_control does anything read it.
const crashVariable = "TOPUP_CRASH"

// crashPoint is a place in the ledger or the handler at which a process is killed.
type crashPoint struct {
	name   string
	what   string
	caller bool   // a caller dies there and not a worker
	times  int    // how many processes die there one after the other; 0 is one
	first  string // where another worker has to die before it, so that it is reached
	dry    bool   // the account has run dry
	slow   bool   // an accepted top-up takes seconds to be final
	ghost  bool   // there is a wake-up of a job that the ledger does not know
}

// crashPoints are all of them. Before and after a write stand around its command to
// Redis, so that what dies in between is one or the other.
var crashPoints = slices.Concat(
	around(crashPoint{name: "submit", what: "a job is written to the ledger", caller: true}),
	around(crashPoint{name: "wake", what: "its first wake-up is handed to the queue", caller: true}),
	around(crashPoint{name: "cancel", what: "a job is withdrawn", caller: true}),
	around(crashPoint{name: "giveup", what: "a job of a cancelled campaign is given up", caller: true}),
	around(crashPoint{name: "review", what: "a person's decision is written", caller: true}),
	around(crashPoint{name: "load", what: "a job that was dequeued is read", times: 2}),
	around(crashPoint{name: "begin", what: "the permission to send is written", times: 2}),
	[]crashPoint{
		{name: "post:before", what: "the permission is there, and nothing is on its way", times: 2},
		{name: "body:before", what: "the headers of the POST are out", times: 2},
		{name: "body:half", what: "half of its body is out", times: 2},
		{name: "body:after", what: "all of it is out", times: 2},
		{name: "post:after", what: "its answer is here and not booked", times: 2},
	},
	around(crashPoint{name: "outcome.succeeded", what: "a success is booked", times: 2}),
	around(crashPoint{name: "outcome.unknown", what: "an answer that says nothing is booked"}),
	around(crashPoint{name: "outcome.processing", what: "a transaction that is not final is booked"}),
	around(crashPoint{name: "outcome.retry", what: "a refusal for now is booked"}),
	around(crashPoint{name: "outcome.failed", what: "a refusal for good, or a FAILED, is booked"}),
	around(crashPoint{name: "outcome.refunded", what: "a REFUNDED is booked"}),
	around(crashPoint{name: "outcome.held", what: "a refusal for want of money is booked", dry: true}),
	around(crashPoint{name: "hold", what: "the account is put on hold", dry: true}),
	around(crashPoint{name: "wait", what: "a job that may not go yet is put off"}),
	around(crashPoint{name: "delay", what: "the next look at an open job is written", slow: true}),
	around(crashPoint{name: "absent", what: "a look-up that found nothing is written", times: 2}),
	around(crashPoint{name: "lapse", what: "the permission of a dead worker is ended", first: "post:before"}),
	around(crashPoint{name: "missing", what: "a job of which only the wake-up is left is taken up", ghost: true}),
	around(crashPoint{name: "follow", what: "the next wake-up is handed to the queue", times: 2}),
)

func around(p crashPoint) []crashPoint {
	before, after := p, p
	before.name, before.what = p.name+":before", "before "+p.what
	after.name, after.what = p.name+":after", "after "+p.what
	return []crashPoint{before, after}
}

// crashed is what became of one point.
type crashed struct {
	hits    int
	want    int
	turn    int // which time a process passes there
	problem []string
	states  map[string]int
	paid    int
	took    time.Duration
}

// crashes kills processes at the points, and demands that each is reached and that the
// promise holds.
func (r *runner) crashes(ctx context.Context) error {
	chosen := crashPoints
	if r.crash != "all" {
		chosen = slices.DeleteFunc(slices.Clone(crashPoints), func(p crashPoint) bool { return !strings.HasPrefix(p.name, r.crash) })
		if len(chosen) == 0 {
			return fmt.Errorf("-crash %s: there is no such point (see -crash list)", r.crash)
		}
	}
	caller, err := buildProgram(ctx, r.dir, "caller", "example.com/topup/worker/chaostest", "-tags", "topup_control")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(caller) }() // it is built again in a moment
	began, kills, jobs := time.Now(), 0, 0
	err = r.each(len(chosen), func(i int) error {
		p := chosen[i]
		dir, err := os.MkdirTemp(r.dir, "crash-")
		if err != nil {
			return err
		}
		c, err := crashAt(ctx, p, dir, r.binary, caller, r.options)
		if err != nil {
			return fmt.Errorf("%s (see %s): %w", p.name, dir, err)
		}
		if r.control != "" {
			return r.caught(p, c, dir)
		}
		word := "ok  "
		switch {
		case len(c.problem) > 0:
			word = "FAIL"
		case c.hits == 0:
			word = "none" // it is not passed so often
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		kills += c.hits
		for _, n := range c.states {
			jobs += n
		}
		fmt.Fprintf(r.out, "%s  %-26s hit %d of %d, %2.0f s, paid %d; jobs: %s\n", word, p.name, c.hits, c.want, c.took.Seconds(), c.paid, counts(c.states))
		for _, line := range c.problem {
			fmt.Fprintf(r.out, "        %s\n", line)
		}
		if len(c.problem) > 0 {
			return fmt.Errorf("%s: the promise did not hold, or the point was not reached (see %s)", p.name, dir)
		}
		return os.RemoveAll(dir)
	})
	fmt.Fprintf(r.out, "%d points, %d processes killed at them, %d jobs, %.0f s\n", len(chosen), kills, jobs, time.Since(began).Seconds())
	return err
}

// caught demands that the oracle notices a point at which a guard is out.
func (r *runner) caught(p crashPoint, c *crashed, dir string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range c.problem {
		if check, _, _ := strings.Cut(line, ":"); catches(r.control, check) {
			fmt.Fprintf(r.out, "caught  %-26s %s: %s\n", p.name, r.control, line)
			return os.RemoveAll(dir)
		}
	}
	return fmt.Errorf("%s with the control %s: the oracle did not notice (see %s)", p.name, r.control, dir)
}

// crashScale is that of these runs: ten minutes are three seconds.
const crashScale = 1.0 / 200

// crashAt is one point: processes die at it, another one goes on, and the oracle looks.
func crashAt(ctx context.Context, p crashPoint, dir, binary, caller string, o options) (*crashed, error) {
	began := time.Now()
	s := settings{Scale: crashScale, InFlight: 2, Control: o.control, Async: o.async}
	sim := simulatorConfig{
		Slowest: 40 * time.Millisecond, DrawSeed: 1,
		Config: sandbox.Config{
			Balance: "1000000 NGN", TimeScale: s.Scale, DuplicateWindow: s.scaled(5 * time.Second),
			LateExecution: 100 * time.Millisecond, ReportDelay: 200 * time.Millisecond, BurnOnDecline: o.burn == "yes",
		},
	}
	if p.dry {
		sim.Balance = "1600 NGN" // three of them
	}
	if p.slow {
		sim.TimeScale, sim.NoRechargeRule = 0.4, true
	}
	g, err := newStage(ctx, dir, "world", s, sim)
	if err != nil {
		return nil, err
	}
	defer g.close()
	c := &crashed{want: max(1, p.times), turn: o.turn}
	if err := g.play(ctx, p, c, binary, caller); err != nil {
		return nil, err
	}
	checks, e, err := g.judge(ctx)
	if err != nil {
		return nil, err
	}
	c.problem = append(c.problem, found(checks)...)
	if c.hits != c.want && c.turn == 1 { // later passes there may be too few of
		c.problem = append(c.problem, fmt.Sprintf("%d processes died at the point, want %d", c.hits, c.want))
	}
	for _, x := range e.books.executions {
		if x.paid() {
			c.paid++
		}
	}
	c.states, c.took = g.states(ctx), time.Since(began)
	return c, nil
}

// crashJobs are a handful whose faults make every point reachable.
func (g *stage) crashJobs() (jobs []*job) {
	for i, fault := range []string{
		"5551", "5552", "5553", "5554", // nothing goes wrong
		"0026", // executed, and the answer is lost
		"0020", // not executed, and there is no answer
		"0030", // accepted, and successful later
		"0031", // accepted, and refunded later
		"0019", // refused for now, once
		"0035", // FAILED
		"0080", // refused for good
	} {
		jobs = append(jobs, g.job(fmt.Sprintf("crash-%02d-%s", i, fault), fault))
	}
	again := g.job("crash-11-again", "") // to a number that has just had one
	again.topUp.RecipientPhone = jobs[0].topUp.RecipientPhone
	jobs[3].topUp.Campaign = "may"
	return append(jobs, again)
}

// play lets the processes die, and one go on.
func (g *stage) play(ctx context.Context, p crashPoint, c *crashed, binary, caller string) error {
	jobs := g.crashJobs()
	submission := callerConfig{}
	for i, j := range jobs {
		if i < 2 {
			submission.Submit = append(submission.Submit, j.topUp)
		} else {
			submission.Bulk = append(submission.Bulk, j.topUp)
		}
	}
	dying := func(cfg callerConfig) error { // a caller dies, and another repeats what it did
		dead, err := g.call("caller", caller, cfg, crashVariable+"="+p.name+":1")
		if err != nil {
			return err
		}
		if dead.killed() {
			c.hits++
		}
		return nil
	}
	repeated := func(cfg callerConfig) error {
		again, err := g.call("caller", caller, cfg)
		if err == nil && !again.cmd.ProcessState.Success() {
			err = errors.New("a caller could not repeat what one that died had begun")
		}
		return err
	}
	if p.caller && (strings.HasPrefix(p.name, "submit:") || strings.HasPrefix(p.name, "wake:")) {
		if err := dying(submission); err != nil {
			return err
		}
	}
	if err := repeated(submission); err != nil {
		return err
	}
	if withdrawn := strings.HasPrefix(p.name, "cancel:"); withdrawn || strings.HasPrefix(p.name, "giveup:") {
		j := g.job("crash-withdrawn", "5555")
		j.topUp.NotBefore = time.Now().Add(time.Hour).Truncate(time.Millisecond)
		cfg := callerConfig{Submit: []enqueue.TopUp{j.topUp}}
		if withdrawn {
			cfg.Cancel = j.topUp.ID
		} else {
			cfg.GiveUp = j.topUp.ID
		}
		if err := errors.Join(dying(cfg), repeated(cfg)); err != nil {
			return err
		}
	}
	if p.ghost {
		if err := g.haunt(ctx); err != nil {
			return err
		}
	}
	if err := g.deaths(ctx, p, c, binary); err != nil {
		return err
	}
	last, err := g.worker("last", binary)
	if err != nil {
		return err
	}
	defer last.kill() // it is at rest
	if p.dry {
		if !pause(ctx, time.Second) {
			return ctx.Err()
		}
		if err := g.simulator.refill(ctx, 1_000_000); err != nil {
			return err
		}
	}
	if strings.HasPrefix(p.name, "review:") {
		j := g.job("crash-review", "0047") // refused with a word that nobody knows: a person decides
		if err := g.submit(ctx, j); err != nil {
			return err
		}
		c.problem = append(c.problem, g.drain(ctx, 40*time.Second)...)
		g.decided = j.topUp.ID
		cfg := callerConfig{Fail: j.topUp.ID}
		if err := errors.Join(dying(cfg), repeated(cfg)); err != nil {
			return err
		}
	}
	patience := 60 * time.Second
	if g.settings.Control != "" {
		patience /= 6 // it shows by then, and may leave jobs open for a day
	}
	c.problem = append(c.problem, g.drain(ctx, patience)...)
	pause(ctx, 300*time.Millisecond) // what is executed late must be in the books
	return ctx.Err()
}

// deaths starts workers that die at the point, one after the other.
func (g *stage) deaths(ctx context.Context, p crashPoint, c *crashed, binary string) error {
	if p.caller {
		return nil
	}
	points := slices.Repeat([]string{p.name}, c.want)
	if p.first != "" {
		points = append([]string{p.first}, points...)
	}
	for i, point := range points {
		turn := c.turn
		if point != p.name {
			turn = 1
		}
		w, err := g.worker(fmt.Sprintf("dying-%d", i+1), binary, fmt.Sprintf("%s=%s:%d", crashVariable, point, turn))
		if err != nil {
			return err
		}
		select {
		case <-w.done:
			if w.killed() && point == p.name {
				c.hits++
			}
		case <-time.After(25 * time.Second):
			w.kill()
			if c.turn == 1 {
				c.problem = append(c.problem, fmt.Sprintf("worker %d did not reach %s", i+1, point))
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		// What the dead one had under way is there for others when its leases are over.
		pause(ctx, g.settings.scaled(100*time.Second))
		if err := g.ageLeases(ctx); err != nil {
			return err
		}
	}
	return nil
}

// haunt leaves a wake-up of a job that the ledger has lost.
func (g *stage) haunt(ctx context.Context) error {
	ghost := g.job("crash-ghost", "5556").topUp
	queue := asynq.NewClientFromRedisClient(g.redis.direct)
	_, err := queue.EnqueueContext(ctx, enqueue.NewTask(enqueue.QueueTopUps, enqueue.TaskID(ghost.ID, 1), ghost.ID, 1, time.Time{}))
	return err
}
