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
	"syscall"
	"time"
)

func main() {
	if cfg, ok := os.LookupEnv(simulatorRole); ok {
		fmt.Fprintln(os.Stderr, playSimulator(cfg))
		os.Exit(1)
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
	size := flags.String("size", "full", "of a run: short, full or long; the other flags change it")
	seed := flags.Uint64("seed", 0, "of the first run; 0 draws one and prints it")
	seeds := flags.Int("seeds", 1, "how many runs, one after the other, with the seeds that follow")
	jobs := flags.Int("jobs", 0, "how many jobs; 0 is what the size has")
	workers := flags.Int("workers", 0, "how many worker processes")
	duration := flags.Duration("duration", 0, "how long the trouble goes on; the drain comes after it")
	kills := flags.Int("kills", -1, "how many workers are killed")
	rollbacks := flags.Int("rollbacks", -1, "how often Redis' file is cut or replaced by an old copy")
	late := flags.Bool("late-report", false, "the provider's report lags behind the settle time (breaks an assumption)")
	control := flags.String("control", "", "take one guard out and demand that the oracle notices: a name, all, or list")
	keep := flags.Bool("keep", false, "keep the files of runs that passed, too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	sizes := map[string]func() settings{"short": shortRun, "full": fullRun, "long": longRun}
	sized, ok := sizes[*size]
	if !ok {
		return fmt.Errorf("-size %s: is not short, full or long", *size)
	}
	if *seed == 0 {
		*seed = 1 + rand.Uint64N(1_000_000)
	}
	if *control == "list" {
		for _, c := range controls {
			fmt.Fprintf(out, "%-18s %s\n", c.name, c.what)
		}
		return nil
	}
	dir, err := os.MkdirTemp("", "topup-chaos-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(dir) }() // stays where the files of a failed run are in it
	binary, err := build(ctx, dir, *control != "")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(binary) }() // it is built again in a moment
	if *control != "" {
		return runControls(ctx, *control, *seed, binary, dir, out)
	}
	var errs []error
	for i := range *seeds {
		s := sized()
		s.Seed, s.LateReport, s.Keep = *seed+uint64(i), *late, *keep
		set(&s.Jobs, *jobs, *jobs > 0)
		set(&s.Workers, *workers, *workers > 0)
		set(&s.Duration, *duration, *duration > 0)
		set(&s.Kills, *kills, *kills >= 0)
		set(&s.Rollbacks, *rollbacks, *rollbacks >= 0)
		if err := one(ctx, s, binary, dir, out); err != nil {
			errs = append(errs, fmt.Errorf("%w\nrepeat with: go run ./worker/chaostest %s -seeds 1 -seed %d", err, strings.Join(args, " "), s.Seed))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

func set[T any](field *T, value T, given bool) {
	if given {
		*field = value
	}
}

// one makes a run and prints it.
func one(ctx context.Context, s settings, binary, dir string, out io.Writer) error {
	o, err := runWorld(ctx, s, binary, dir, out)
	if err != nil {
		return err
	}
	report(out, s, o)
	if failed := o.failed(); len(failed) > 0 {
		failure(out, o)
		return fmt.Errorf("seed %d: %d checks failed", s.Seed, len(failed))
	}
	if s.Keep {
		fmt.Fprintf(out, "  kept in %s\n", o.dir)
		return nil
	}
	return os.RemoveAll(o.dir)
}

// runControls takes the guards out, one run for each.
func runControls(ctx context.Context, name string, seed uint64, binary, dir string, out io.Writer) error {
	chosen := controls
	if name != "all" {
		c, ok := controlNamed(name)
		if !ok {
			return fmt.Errorf("-control %s: there is no such guard (see -control list)", name)
		}
		chosen = []control{c}
	}
	var errs []error
	for _, c := range chosen {
		s := c.settings(seed)
		o, err := runWorld(ctx, s, binary, dir, out)
		if err != nil {
			errs = append(errs, fmt.Errorf("control %s: %w", c.name, err))
			continue
		}
		var found []string
		for _, f := range o.failed() {
			if catches(c.name, f.name) {
				found = append(found, fmt.Sprintf("%s (%d, such as: %s)", f.name, len(f.violations), f.violations[0]))
			}
		}
		if len(found) == 0 {
			report(out, s, o)
			errs = append(errs, fmt.Errorf("control %s, seed %d: the oracle did not notice that %s (see %s)", c.name, seed, c.what, o.dir))
			continue
		}
		fmt.Fprintf(out, "caught  %-18s seed %d, %.0f s: %s\n", c.name, seed, o.took.Seconds(), strings.Join(found, "; "))
		if err := os.RemoveAll(o.dir); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// build makes the worker's binary from this tree: the shipped one, or for a control
// the one whose guards can be taken out.
func build(ctx context.Context, dir string, control bool) (string, error) {
	binary := filepath.Join(dir, "topup")
	args := []string{"build", "-o", binary}
	if control {
		args = append(args, "-tags", "topup_control")
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	if text, err := exec.CommandContext(ctx, "go", append(args, "example.com/topup/cmd/topup")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the worker: %w\n%s", err, text)
	}
	return binary, nil
}
