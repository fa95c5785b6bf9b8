package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/topup/enqueue"
)

var secret = []byte("a key for tests")

func (f *fleet) gate(name string, cfg GateConfig) *Gate {
	cfg.Holds = f.holds(name, nil)
	cfg.NumberKey = secret
	return NewGate(cfg.Holds.rdb, cfg)
}

// through is the whole way of a job; what it took is given back where it has to wait.
func through(ctx context.Context, g *Gate, r *enqueue.Record) (Ticket, *Wait, error) {
	ticket, wait, err := g.Pass(ctx, r)
	if err != nil || wait != nil {
		return ticket, wait, err
	}
	if wait, err = ticket.Turn(ctx); err != nil || wait != nil {
		ticket.Done(context.WithoutCancel(ctx), false)
	}
	return ticket, wait, err
}

// passes lets a job through and fails the test where it has to wait.
func (f *fleet) passes(g *Gate, r *enqueue.Record) Ticket {
	f.Helper()
	ticket, wait, err := through(f.ctx, g, r)
	if err != nil || wait != nil {
		f.Fatalf("job %s: wait %+v, error %v", r.TopUp.ID, wait, err)
	}
	return ticket
}

// waits fails the test where a job does not wait for that.
func (f *fleet) waits(g *Gate, r *enqueue.Record, reason enqueue.Reason, held bool) *Wait {
	f.Helper()
	_, wait, err := through(f.ctx, g, r)
	if err != nil || wait == nil || wait.Reason != reason || wait.Held != held || wait.Delay <= 0 {
		f.Fatalf("job %s: wait %+v, error %v; want %s, held %v", r.TopUp.ID, wait, err, reason, held)
	}
	return wait
}

func TestGateCostsWhatIsOn(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  GateConfig
		want int64
	}{
		{"nothing", GateConfig{}, 0},
		{"spacing", GateConfig{Spacing: time.Minute}, 1},
		{"rate", GateConfig{PerSecond: 1000}, 1},
		{"spacing and rate", GateConfig{Spacing: time.Minute, PerSecond: 1000}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			together(t, func(f *fleet) {
				g := f.gate("w", c.cfg)
				f.passes(g, rec("warm", 7, "+971500000000")).Done(f.ctx, true) // loads the scripts
				before := f.calls.Load()
				ticket := f.passes(g, rec("a", 7, "+971501234567"))
				g.Accepted(f.ctx, rec("a", 7, "+971501234567"))
				ticket.Done(f.ctx, true)
				if got := f.calls.Load() - before; got != c.want {
					t.Errorf("%d round trips, want %d", got, c.want)
				}
			})
		})
	}
}

func TestGateHolds(t *testing.T) {
	together(t, func(f *fleet) {
		g := f.gate("w", GateConfig{Spacing: time.Minute})
		r := rec("a", 7, "+971501234567")
		f.ok(g.holds.Place(f.ctx, Hold{Scope: ScopeAccount, Reason: enqueue.InsufficientBalance}))
		if w := f.waits(g, r, enqueue.InsufficientBalance, true); w.Delay > 30*time.Second {
			t.Errorf("asks again after %v", w.Delay)
		}
		f.ok(g.holds.Lift(f.ctx, ScopeAccount))
		f.ok(g.holds.Place(f.ctx, Hold{Scope: ScopeOperator(7)}))
		f.waits(g, r, enqueue.Paused, true)
		time.Sleep(time.Hour)
		f.waits(g, r, enqueue.Paused, true) // a person's hold is no breaker
		if keys := f.redis.Keys(); strings.Contains(fmt.Sprint(keys), "number") {
			t.Errorf("a job on hold took its number: %v", keys)
		}
	})
}

func TestSpacing(t *testing.T) {
	together(t, func(f *fleet) {
		one, two := f.gate("one", GateConfig{Spacing: 130 * time.Second}), f.gate("two", GateConfig{Spacing: 130 * time.Second})
		a, b := rec("A", 7, "+971501234567"), rec("b", 7, "+971 50 123 45 67")
		ticket := f.passes(one, a)
		f.passes(one, rec("other", 7, "+971501234568"))
		time.Sleep(5 * time.Second)
		if w := f.waits(two, b, enqueue.RecentlyRecharged, false); w.Delay != 125*time.Second {
			t.Errorf("wait = %v", w.Delay)
		}
		again := f.passes(two, rec("a", 7, "+971501234567")) // the same job may pass again
		ticket.Done(f.ctx, true)
		ticket.Done(f.ctx, false) // the second word does not count
		f.waits(two, b, enqueue.RecentlyRecharged, false)
		again.Done(f.ctx, false) // refused: the number is free
		f.passes(two, b).Done(f.ctx, true)
		time.Sleep(131 * time.Second)
		slow := f.passes(one, a)
		time.Sleep(90 * time.Second) // a POST of ninety seconds
		slow.Done(f.ctx, true)
		if w := f.waits(two, b, enqueue.RecentlyRecharged, false); w.Delay != 130*time.Second {
			t.Errorf("wait after a slow POST = %v", w.Delay)
		}
		f.ok(one.spacing.Release(f.ctx, b)) // somebody else's
		f.waits(two, b, enqueue.RecentlyRecharged, false)
		f.ok(one.spacing.Release(f.ctx, a))
		f.passes(two, b)
		mail := rec("mail", 7, "")
		f.passes(one, mail)
		f.ok(one.spacing.Release(f.ctx, mail))
	})
}

func TestNoNumberInKeys(t *testing.T) {
	together(t, func(f *fleet) {
		g := f.gate("w", GateConfig{Spacing: time.Minute, PerSecond: 10, FleetInFlight: 5})
		f.passes(g, rec("a", 7, "+971501234567"))
		if dump := f.redis.Dump(); strings.Contains(dump, "501234567") || !strings.Contains(dump, "topup:number:{") {
			t.Errorf("Redis holds:\n%s", dump)
		}
		if numberKey(secret, enqueue.Phone{CountryCode: "AE", Number: "1"}) == numberKey([]byte("x"), enqueue.Phone{CountryCode: "AE", Number: "1"}) {
			t.Error("the key does not depend on the secret")
		}
	})
}

func TestRateOfTheFleet(t *testing.T) {
	together(t, func(f *fleet) {
		cfg := GateConfig{PerSecond: 20, Patience: time.Minute}
		gates := []*Gate{f.gate("one", cfg), f.gate("two", cfg), f.gate("three", cfg)}
		var passed atomic.Int64
		var jobs sync.WaitGroup
		start := time.Now()
		for i := range 120 {
			jobs.Go(func() {
				_, wait, err := through(f.ctx, gates[i%3], rec(fmt.Sprint(i), 7, "1"))
				if err != nil || wait != nil {
					t.Errorf("wait %+v, error %v", wait, err)
				}
				passed.Add(1)
			})
		}
		time.Sleep(3 * time.Second)
		if n := passed.Load(); n < 50 || n > 63 {
			t.Errorf("%d in three seconds, want 60", n)
		}
		jobs.Wait()
		if took := time.Since(start); took < 5*time.Second || took > 8*time.Second {
			t.Errorf("120 took %v, want 6 s", took)
		}
	})
}

func TestRateGivesUpAndEnds(t *testing.T) {
	together(t, func(f *fleet) {
		g := f.gate("w", GateConfig{PerSecond: 1, Patience: 300 * time.Millisecond, Spacing: time.Minute})
		f.passes(g, rec("a", 7, "1"))
		f.waits(g, rec("b", 7, "2"), enqueue.RateLimited, false)
		f.redis.FastForward(0)
		time.Sleep(time.Second)
		f.passes(g, rec("c", 7, "2")).Done(f.ctx, true) // b gave its number back

		g.rate.patience = time.Minute
		ctx, cancel := context.WithTimeout(f.ctx, 100*time.Millisecond)
		defer cancel()
		if _, _, err := through(ctx, g, rec("d", 7, "3")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v", err)
		}
		g.rate.turn <- struct{}{} // somebody else of this process asks
		ctx, cancel = context.WithTimeout(f.ctx, 100*time.Millisecond)
		defer cancel()
		if _, _, err := through(ctx, g, rec("d", 7, "3")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v", err)
		}
		f.waits(g, rec("d", 7, "3"), enqueue.RateLimited, false)
	})
}

// A hold that comes while a job waits for the rate still holds it.
func TestHoldComesWhileWaiting(t *testing.T) {
	together(t, func(f *fleet) {
		g := f.gate("w", GateConfig{PerSecond: 1, Spacing: time.Minute, FleetInFlight: 2})
		f.passes(g, rec("a", 7, "1"))
		go func() {
			time.Sleep(500 * time.Millisecond)
			_ = g.holds.Place(f.ctx, Hold{Scope: ScopeAccount, Reason: enqueue.InsufficientBalance})
		}()
		f.waits(g, rec("b", 7, "2"), enqueue.InsufficientBalance, true)
		if n, _ := f.redis.ZMembers(inFlightKey); len(n) != 1 {
			t.Errorf("slots taken: %v", n)
		}
	})
}

func TestPauseStopsTheFleet(t *testing.T) {
	together(t, func(f *fleet) {
		one, two := f.gate("one", GateConfig{}), f.gate("two", GateConfig{})
		r := rec("a", 7, "1")
		one.Pause(f.ctx, 0)
		f.passes(one, r)
		one.Pause(f.ctx, 30*time.Second)
		two.Pause(f.ctx, time.Second) // never shorter
		synctest.Wait()
		for _, g := range []*Gate{one, two} {
			if w := f.waits(g, r, enqueue.RateLimited, false); w.Delay < 30*time.Second || w.Delay > 31*time.Second {
				t.Errorf("wait = %v", w.Delay)
			}
		}
		late := f.gate("late", GateConfig{}) // a process that starts meanwhile
		f.waits(late, r, enqueue.RateLimited, false)
		time.Sleep(30*time.Second + time.Millisecond)
		for _, g := range []*Gate{one, two, late} {
			f.passes(g, r)
		}
	})
}

func TestFleetInFlight(t *testing.T) {
	together(t, func(f *fleet) {
		cfg := GateConfig{FleetInFlight: 2, Patience: time.Second}
		one, two := f.gate("one", cfg), f.gate("two", cfg)
		a := f.passes(one, rec("a", 7, "1"))
		f.passes(two, rec("b", 7, "2"))
		f.waits(two, rec("c", 7, "3"), enqueue.RateLimited, false)
		ctx, cancel := context.WithTimeout(f.ctx, 100*time.Millisecond)
		defer cancel()
		if _, _, err := through(ctx, one, rec("c", 7, "3")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v", err)
		}
		go func() {
			time.Sleep(200 * time.Millisecond)
			a.Done(f.ctx, true)
		}()
		f.passes(two, rec("c", 7, "3"))
		f.waits(one, rec("d", 7, "4"), enqueue.RateLimited, false)
		time.Sleep(30 * time.Second) // b and c died with their processes
		f.passes(one, rec("d", 7, "4"))
		f.passes(one, rec("e", 7, "5"))
		f.waits(one, rec("f", 7, "6"), enqueue.RateLimited, false)
	})
}

// The slot of a dead process comes free while those of a living one are kept, however long
// their POSTs take; also where Redis was away for a moment.
func TestSlotsOfTheLivingAreKept(t *testing.T) {
	together(t, func(f *fleet) {
		cfg := GateConfig{FleetInFlight: 2, Patience: time.Second}
		alive, dead := f.gate("alive", cfg), f.gate("dead", cfg)
		ctx, stop := context.WithCancel(f.ctx)
		done := make(chan error)
		go func() { done <- alive.Run(ctx) }()
		a := f.passes(alive, rec("a", 7, "1"))
		f.passes(dead, rec("b", 7, "2"))
		f.waits(alive, rec("c", 7, "3"), enqueue.RateLimited, false)
		time.Sleep(30 * time.Second)
		f.passes(alive, rec("c", 7, "3"))
		f.down.Store(true)
		time.Sleep(15 * time.Second)
		f.down.Store(false)
		time.Sleep(5 * time.Minute)
		f.waits(alive, rec("d", 7, "4"), enqueue.RateLimited, false)
		a.Done(f.ctx, true)
		f.passes(alive, rec("d", 7, "4"))
		time.Sleep(5 * time.Minute)
		f.waits(alive, rec("e", 7, "5"), enqueue.RateLimited, false)
		if n, _ := f.redis.ZMembers(inFlightKey); len(n) != 2 {
			t.Errorf("slots taken: %v", n)
		}
		stop()
		f.ok(<-done)
		time.Sleep(30 * time.Second)
		f.passes(dead, rec("e", 7, "5"))
	})
}

func TestGateWithoutRedis(t *testing.T) {
	together(t, func(f *fleet) {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		r := rec("a", 7, "+971501234567")
		for _, cfg := range []GateConfig{{Spacing: time.Minute}, {PerSecond: 5}, {FleetInFlight: 5}} {
			cfg.Logger = logger
			g := f.gate("w", cfg)
			ticket := f.passes(g, r)
			g.Refused(f.ctx, r, true)
			f.down.Store(true)
			if _, _, err := through(f.ctx, g, r); !errors.Is(err, errDown) {
				t.Errorf("error = %v", err)
			}
			ticket.Done(f.ctx, false)
			g.Refused(f.ctx, r, true)
			g.Accepted(f.ctx, r)
			g.Pause(f.ctx, time.Second)
			if cfg.Spacing > 0 && !errors.Is(g.spacing.Release(f.ctx, r), errDown) {
				t.Error("Release says nothing")
			}
			f.down.Store(false)
			time.Sleep(10 * time.Minute)
			g.Accepted(f.ctx, r)
		}
		for _, want := range []string{"given back late", "operator is down", "operator works", "429"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, log.String())
			}
		}
		if strings.Contains(log.String(), "501234567") {
			t.Errorf("a number in the log:\n%s", log.String())
		}
	})
}
