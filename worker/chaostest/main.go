package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

func main() {
	if cfg, ok := os.LookupEnv(simulatorRole); ok {
		fmt.Fprintln(os.Stderr, playSimulator(context.Background(), cfg))
		os.Exit(1)
	}
	if cfg, ok := os.LookupEnv(callerRole); ok {
		if err := playCaller(context.Background(), cfg); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if cfg, ok := os.LookupEnv(soakRole); ok {
		if err := playSoakWorker(context.Background(), cfg); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaostest:", err)
		os.Exit(1)
	}
}

// run reads the flags and makes the runs that they ask for.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("chaostest", flag.ContinueOnError)
	var o options
	flags.StringVar(&o.size, "size", "full", "of a run: short, full or long; the other flags change it")
	flags.Uint64Var(&o.seed, "seed", 0, "of the first run; 0 draws one and prints it")
	flags.IntVar(&o.seeds, "seeds", 1, "how many runs, with the seeds that follow")
	flags.BoolVar(&o.random, "random", false, "one run more, with a seed that is drawn and printed")
	flags.IntVar(&o.parallel, "parallel", 1, "how many runs at once")
	flags.IntVar(&o.jobs, "jobs", 0, "how many jobs, or rows of campaigns; 0 is what the size has")
	flags.IntVar(&o.workers, "workers", 0, "how many worker processes")
	flags.DurationVar(&o.duration, "duration", 0, "how long the trouble goes on; the drain comes after it")
	flags.IntVar(&o.kills, "kills", -1, "how many workers are killed")
	flags.IntVar(&o.redisKills, "redis-kills", -1, "how often Redis is killed")
	flags.IntVar(&o.rollbacks, "rollbacks", -1, "how often Redis' file is cut or replaced by an old copy")
	flags.BoolVar(&o.young, "young", false, "a rollback at the very beginning, too, to a Redis that has had no job yet")
	flags.StringVar(&o.burn, "burn", "", "whether a decline uses up the identifier: yes or no; an even seed says yes")
	flags.StringVar(&o.async, "async", "", "whether the workers send by POST /topups-async: yes or no; a seed that 3 divides says yes")
	flags.BoolVar(&o.late, "late-report", false, "the provider's report lags behind the settle time (breaks an assumption)")
	flags.StringVar(&o.control, "control", "", "take one guard out and demand that the oracle notices: a name, all, or list")
	flags.BoolVar(&o.guarded, "guarded", false, "make the runs of -control with the guard in its place, and demand that they pass")
	flags.BoolVar(&o.keep, "keep", false, "keep the files of runs that passed, too")
	flags.StringVar(&o.crash, "crash", "", "kill processes at a named point instead: a name, all, or list")
	flags.IntVar(&o.turn, "turn", 1, "which time a worker passes the point of -crash; not every point is passed so often")
	flags.BoolVar(&o.recovery, "recovery", false, "measure instead how soon a job goes on whose worker was killed, at default settings")
	flags.BoolVar(&o.balance, "balance", false, "count instead what meets an account that has run dry")
	flags.BoolVar(&o.campaign, "campaign", false, "the jobs come from two campaigns: one is paused now and then, the other cancelled half way")
	flags.DurationVar(&o.soak, "soak", 0, "watch instead a worker's goroutines and memory, and Redis' keys, for so long")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.control == "list" {
		for _, c := range controls {
			fmt.Fprintf(out, "%-18s %s\n", c.name, c.what)
		}
		return nil
	}
	if o.crash == "list" {
		for _, p := range crashPoints {
			fmt.Fprintf(out, "%-26s %s\n", p.name, p.what)
		}
		return nil
	}
	o.args = args
	if o.seed == 0 {
		o.seed = drawSeed()
	}
	dir, err := os.MkdirTemp("", "topup-chaos-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(dir) }() // stays where the files of a failed run are in it
	r := &runner{options: o, dir: dir, out: out}
	do := r.runs
	switch {
	case o.crash != "":
		do = r.crashes
	case o.recovery:
		do = r.recoveries
	case o.balance:
		do = r.dry
	case o.soak > 0:
		do = r.soaked
	case o.control != "":
		do = r.controls
	}
	if r.binary, err = build(ctx, dir, o.control != "" && !o.guarded || o.crash != "" || o.recovery); err != nil {
		return err
	}
	defer func() { _ = os.Remove(r.binary) }() // it is built again in a moment
	return do(ctx)
}

func drawSeed() uint64 { return 1 + rand.Uint64N(1_000_000) }

// options are the flags.
type options struct {
	args                               []string
	size, control, burn, async         string
	seed                               uint64
	seeds, parallel                    int
	jobs, workers                      int
	kills, redisKills, rollbacks       int
	duration                           time.Duration
	random, late, young, guarded, keep bool
	crash                              string
	turn                               int
	recovery, balance, campaign        bool
	soak                               time.Duration
}

// runner makes runs, several at once where that was asked for.
type runner struct {
	options
	binary, dir string
	mu          sync.Mutex
	out         io.Writer
}

// each does n things, some at once, and joins their errors.
func (r *runner) each(n int, do func(int) error) error {
	var group errgroup.Group
	group.SetLimit(max(1, r.parallel))
	errs := make([]error, n)
	for i := range n {
		group.Go(func() error {
			errs[i] = do(i)
			return nil
		})
	}
	_ = group.Wait() // its functions return no error
	return errors.Join(errs...)
}

func (r *runner) runs(ctx context.Context) error {
	sizes := map[string]func() settings{"short": shortRun, "full": fullRun, "long": longRun}
	sized, ok := sizes[r.size]
	if !ok {
		return fmt.Errorf("-size %s: is not short, full or long", r.size)
	}
	var seeds []uint64
	for i := range r.seeds {
		seeds = append(seeds, r.seed+uint64(i))
	}
	if r.random {
		seeds = append(seeds, drawSeed())
	}
	return r.each(len(seeds), func(i int) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s := sized()
		if r.campaign {
			s = campaignRun()
			set(&s.Rows, r.jobs, r.jobs > 0)
		}
		s.Young = r.young
		s.Seed, s.LateReport, s.Burn, s.Async, s.Keep = seeds[i], r.late, r.burn, r.async, r.keep
		set(&s.Jobs, r.jobs, r.jobs > 0 && !r.campaign)
		set(&s.Workers, r.workers, r.workers > 0)
		set(&s.Duration, r.duration, r.duration > 0)
		set(&s.Kills, r.kills, r.kills >= 0)
		set(&s.RedisKills, r.redisKills, r.redisKills >= 0)
		set(&s.Rollbacks, r.rollbacks, r.rollbacks >= 0)
		if err := r.one(ctx, s); err != nil {
			return fmt.Errorf("%w\nrepeat with: go run ./worker/chaostest %s -random=false -seeds 1 -seed %d", err, strings.Join(r.args, " "), s.Seed)
		}
		return nil
	})
}

func set[T any](field *T, value T, given bool) {
	if given {
		*field = value
	}
}

// one makes a run that has to pass, and prints it.
func (r *runner) one(ctx context.Context, s settings) error {
	o, err := runWorld(ctx, s, r.binary, r.dir)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	report(r.out, s, o)
	if failed := o.failed(); len(failed) > 0 {
		failure(r.out, o)
		return fmt.Errorf("seed %d: %d checks failed", s.Seed, len(failed))
	}
	if s.Keep {
		fmt.Fprintf(r.out, "  kept in %s\n", o.dir)
		return nil
	}
	return os.RemoveAll(o.dir)
}

// tries is with how many seeds a control may show itself: what is under way when
// something dies is luck.
const tries = 3

// controls takes the guards out, one run for each.
func (r *runner) controls(ctx context.Context) error {
	chosen := controls
	if r.control != "all" {
		c, ok := controlNamed(r.control)
		if !ok {
			return fmt.Errorf("-control %s: there is no such guard (see -control list)", r.control)
		}
		chosen = []control{c}
	}
	return r.each(len(chosen), func(i int) error {
		c := chosen[i]
		if r.guarded {
			return r.one(ctx, c.guarded(r.seed))
		}
		for n := range uint64(tries) {
			caught, err := r.catch(ctx, c, r.seed+n)
			if caught || err != nil {
				return err
			}
		}
		return fmt.Errorf("control %s, seeds %d to %d: the oracle did not notice that %s", c.name, r.seed, r.seed+tries-1, c.what)
	})
}

// catch makes one run of a control and says whether the oracle noticed.
func (r *runner) catch(ctx context.Context, c control, seed uint64) (bool, error) {
	s := c.settings(seed)
	o, err := runWorld(ctx, s, r.binary, r.dir)
	if err != nil {
		return false, fmt.Errorf("control %s: %w", c.name, err)
	}
	var found []string
	for _, f := range o.failed() {
		if catches(c.name, f.name) {
			found = append(found, fmt.Sprintf("%s (%d, such as: %s)", f.name, len(f.violations), f.violations[0]))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(found) == 0 {
		fmt.Fprintf(r.out, "missed  %-18s seed %d, %.0f s\n", c.name, seed, o.took.Seconds())
	} else {
		fmt.Fprintf(r.out, "caught  %-18s seed %d, %.0f s: %s\n", c.name, seed, o.took.Seconds(), strings.Join(found, "; "))
	}
	return len(found) > 0, os.RemoveAll(o.dir)
}

// build makes the worker's binary from this tree: the shipped one, or for a control
// the one whose guards can be taken out.
func build(ctx context.Context, dir string, control bool) (string, error) {
	if control {
		return buildProgram(ctx, dir, "topup-control", "example.com/topup/cmd/topup", "-tags", "topup_control")
	}
	return buildProgram(ctx, dir, "topup", "example.com/topup/cmd/topup")
}

func buildProgram(ctx context.Context, dir, name, pkg string, flags ...string) (string, error) {
	binary := filepath.Join(dir, name)
	args := append([]string{"build", "-o", binary}, flags...)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	if text, err := exec.CommandContext(ctx, "go", append(args, pkg)...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, text)
	}
	return binary, nil
}
