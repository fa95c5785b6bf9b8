package worker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"example.com/topup/enqueue"
)

// fleet is a Redis in virtual time with several processes around it.
type fleet struct {
	*testing.T
	redis *miniredis.Miniredis
	ctx   context.Context
	down  atomic.Bool // Redis answers nothing but errors
	calls atomic.Int64
}

var errDown = errors.New("redis is away")

// together runs f with a fleet in virtual time.
func together(t *testing.T, f func(*fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := &fleet{T: t, redis: miniredis.NewMiniRedis(), ctx: ctx}
		w.redis.ClockTTL(true)
		defer w.redis.Close()
		defer cancel()
		f(w)
		cancel()
		synctest.Wait()
	})
}

// process is a Redis client whose round trips are counted, and fail while Redis is down.
func (f *fleet) process() *redis.Client {
	c := redis.NewClient(&redis.Options{
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			conn, err := f.redis.Dial()
			if err != nil {
				return nil, err
			}
			return newBufferedConn(conn), nil
		},
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		MaxRetries:               -1,
	})
	c.AddHook(fleetHook{f})
	f.Cleanup(func() { _ = c.Close() })
	return c
}

type fleetHook struct{ f *fleet }

func (h fleetHook) trip() error {
	h.f.calls.Add(1)
	if h.f.down.Load() {
		return errDown
	}
	return nil
}
func (h fleetHook) DialHook(next redis.DialHook) redis.DialHook { return next }
func (h fleetHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := h.trip(); err != nil {
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}

func (h fleetHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if err := h.trip(); err != nil {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
			return err
		}
		return next(ctx, cmds)
	}
}

// holds is a process's copy, kept fresh until the end of the test.
func (f *fleet) holds(name string, probe func(context.Context) (bool, error)) *Holds {
	h := NewHolds(f.process(), HoldConfig{Who: name})
	go func() {
		if err := h.Run(f.ctx, probe); err != nil {
			f.Errorf("Run: %v", err)
		}
	}()
	synctest.Wait()
	return h
}

func (f *fleet) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// rec is a queued job.
func rec(id string, operator int64, number string) *enqueue.Record {
	return &enqueue.Record{State: enqueue.Queued, Version: 1, TopUp: enqueue.TopUp{
		ID: id, OperatorID: operator, Campaign: "may", RecipientPhone: enqueue.Phone{CountryCode: "AE", Number: number},
	}}
}

func TestHoldsFind(t *testing.T) {
	for _, c := range []struct {
		scope string
		held  bool
	}{
		{ScopeAll, true},
		{ScopeAccount, true},
		{ScopeCampaign("may"), true},
		{ScopeCampaign("june"), false},
		{ScopeOperator(7), true},
		{ScopeOperator(8), false},
	} {
		t.Run(c.scope, func(t *testing.T) {
			together(t, func(f *fleet) {
				here, there := f.holds("here", nil), f.holds("there", nil)
				f.ok(here.Place(f.ctx, Hold{Scope: c.scope}))
				synctest.Wait() // the message, and no tick of a clock
				before := f.calls.Load()
				for _, h := range []*Holds{here, there} {
					hold, held := h.Find(rec("a", 7, "+971501234567"))
					if held != c.held {
						t.Fatalf("held = %v, want %v", held, c.held)
					}
					if held && (hold.Scope != c.scope || hold.Reason != enqueue.Paused || hold.By != "here" || hold.Since.IsZero()) {
						t.Errorf("hold = %+v", hold)
					}
				}
				if n := f.calls.Load() - before; n != 0 {
					t.Errorf("Find made %d round trips", n)
				}
				f.ok(there.Lift(f.ctx, c.scope))
				synctest.Wait()
				if hold, held := here.Find(rec("a", 7, "1")); held {
					t.Errorf("still held: %+v", hold)
				}
				if list, err := here.List(f.ctx); err != nil || len(list) != 0 {
					t.Errorf("List = %v, %v", list, err)
				}
			})
		})
	}
}

func TestHoldsRefuseUnknownScopes(t *testing.T) {
	together(t, func(f *fleet) {
		h := f.holds("w", nil)
		for _, scope := range []string{"", "everything", "campaign:", "operator:", "operator:x", "operator:0", "all:x"} {
			if h.Place(f.ctx, Hold{Scope: scope}) == nil || h.Lift(f.ctx, scope) == nil {
				t.Errorf("scope %q is taken", scope)
			}
		}
	})
}

// A hold that was missed as a message is read with the next refresh.
func TestHoldsRefreshWithoutMessage(t *testing.T) {
	together(t, func(f *fleet) {
		h := f.holds("w", nil)
		f.redis.HSet(holdKey(ScopeAll), "reason", "paused")
		_, err := f.redis.SAdd(holdsKey, ScopeAll)
		f.ok(err)
		time.Sleep(1100 * time.Millisecond)
		if _, held := h.Find(rec("a", 7, "1")); !held {
			t.Error("not read")
		}
	})
}

func TestManualHoldOutlastsEverythingButAPerson(t *testing.T) {
	together(t, func(f *fleet) {
		well := func(context.Context) (bool, error) { return true, nil }
		h := f.holds("w", well)
		f.ok(h.Place(f.ctx, Hold{Scope: ScopeAccount, Reason: enqueue.Account}))
		f.ok(h.Place(f.ctx, Hold{Scope: ScopeAccount, By: "a person"}))
		f.ok(h.Place(f.ctx, Hold{Scope: ScopeAccount, Reason: enqueue.InsufficientBalance}))
		f.ok(h.lift(f.ctx, ScopeAccount, false))
		time.Sleep(time.Hour)
		list, err := h.List(f.ctx)
		f.ok(err)
		if len(list) != 1 || list[0].Reason != enqueue.Paused || list[0].By != "a person" {
			t.Fatalf("List = %+v", list)
		}
		if wait, err := h.claimProbe(f.ctx, ScopeAccount); err != nil || wait != h.cfg.ProbeMax {
			t.Errorf("a person's hold is probed: %v, %v", wait, err)
		}
		f.ok(h.Lift(f.ctx, ScopeAccount))
		if _, held := h.Find(rec("a", 7, "1")); held {
			t.Error("the person cannot lift it")
		}
	})
}

// Thirty jobs in flight meet the empty balance: the hold keeps its clock.
func TestAccountHoldKeepsItsClock(t *testing.T) {
	together(t, func(f *fleet) {
		h := f.holds("w", nil)
		f.ok(h.Place(f.ctx, Hold{Scope: ScopeAccount, Reason: enqueue.Account}))
		before, _ := h.Find(rec("a", 7, "1"))
		time.Sleep(10 * time.Second)
		f.ok(h.Place(f.ctx, Hold{Scope: ScopeAccount, Reason: enqueue.InsufficientBalance}))
		time.Sleep(2 * time.Second)
		after, _ := h.Find(rec("a", 7, "1"))
		if after.Reason != enqueue.InsufficientBalance || !after.Since.Equal(before.Since.Truncate(time.Millisecond)) || !after.Next.Equal(before.Next.Truncate(time.Millisecond)) {
			t.Errorf("before %+v, after %+v", before, after)
		}
	})
}

func TestAccountHoldIsProbedByOne(t *testing.T) {
	together(t, func(f *fleet) {
		var mu sync.Mutex
		var at []time.Duration
		start := time.Now()
		probe := func(context.Context) (bool, error) {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Since(start).Round(3*time.Second))
			if len(at) == 2 {
				return false, errors.New("no answer")
			}
			return len(at) == 7, nil
		}
		one, _, three := f.holds("one", probe), f.holds("two", probe), f.holds("three", probe)
		f.ok(one.Place(f.ctx, Hold{Scope: ScopeAccount, Reason: enqueue.InsufficientBalance}))
		time.Sleep(time.Hour)
		if _, held := three.Find(rec("a", 7, "1")); held {
			t.Error("not lifted")
		}
		mu.Lock()
		defer mu.Unlock()
		want := []int{30, 90, 210, 450, 750, 1050, 1350} // 30 s, doubling to 5 min
		got := make([]int, len(at))
		for i, d := range at {
			got[i] = int((d + 15*time.Second) / (30 * time.Second) * 30)
		}
		if !slices.Equal(got, want) {
			t.Errorf("probes at %v, want %v", got, want)
		}
	})
}

// The balance is well and a daily limit is not: each probe lifts the hold, each job
// that meets the limit places it again, and the pause grows all the same.
func TestHoldThatComesBackIsProbedLessOften(t *testing.T) {
	together(t, func(f *fleet) {
		h := f.holds("w", func(context.Context) (bool, error) { return true, nil })
		placed := 0
		for range 12 * 60 {
			if _, held := h.Find(rec("a", 7, "1")); !held {
				f.ok(h.Place(f.ctx, Hold{Scope: ScopeAccount, Reason: enqueue.Account}))
				placed++
			}
			time.Sleep(5 * time.Second)
		}
		if placed < 5 || placed > 18 { // every 5 min after the first few; without the clock 120
			t.Errorf("met the limit %d times in an hour", placed)
		}
	})
}

// A probe that hangs does not stop the refresh.
func TestSlowProbe(t *testing.T) {
	together(t, func(f *fleet) {
		h := f.holds("w", func(ctx context.Context) (bool, error) {
			<-ctx.Done()
			return false, ctx.Err()
		})
		other := f.holds("other", nil)
		f.ok(h.Place(f.ctx, Hold{Scope: ScopeAccount, Reason: enqueue.Account}))
		time.Sleep(10 * time.Minute)
		f.ok(other.Lift(f.ctx, ScopeAccount))
		synctest.Wait()
		if _, held := h.Find(rec("a", 7, "1")); held {
			t.Error("the copy is stale")
		}
	})
}

func TestHoldsWithoutRedis(t *testing.T) {
	together(t, func(f *fleet) {
		var log bytes.Buffer
		h := NewHolds(f.process(), HoldConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, stop := context.WithCancel(f.ctx)
		done := make(chan error, 1)
		var well atomic.Bool
		go func() { done <- h.Run(ctx, func(context.Context) (bool, error) { return well.Load(), nil }) }()
		synctest.Wait()
		f.down.Store(true)
		if err := h.Place(f.ctx, Hold{Scope: ScopeAccount, Reason: enqueue.Account}); !errors.Is(err, errDown) {
			t.Errorf("Place = %v", err)
		}
		time.Sleep(5 * time.Minute)
		if _, held := h.Find(rec("a", 7, "1")); !held {
			t.Error("this process does not hold")
		}
		if err := h.Lift(f.ctx, ScopeAccount); !errors.Is(err, errDown) {
			t.Errorf("Lift = %v", err)
		}
		if _, err := h.List(f.ctx); !errors.Is(err, errDown) {
			t.Errorf("List = %v", err)
		}
		if _, held := h.Find(rec("a", 7, "1")); !held {
			t.Error("lifted here alone")
		}
		f.down.Store(false)
		time.Sleep(1100 * time.Millisecond)
		if got := f.redis.HGet(holdKey(ScopeAccount), "reason"); got != "account" {
			t.Errorf("not written later: %q", got)
		}
		well.Store(true)
		time.Sleep(6 * time.Minute)
		if _, held := h.Find(rec("a", 7, "1")); held {
			t.Error("not probed and lifted")
		}
		stop()
		f.ok(<-done)
		if n := strings.Count(log.String(), "cannot be read"); n != 1 {
			t.Errorf("%d lines about one outage:\n%s", n, log.String())
		}
	})
}

// A refresh that read before a change made here must not undo it.
func TestRefreshDoesNotUndo(t *testing.T) {
	together(t, func(f *fleet) {
		h := NewHolds(f.process(), HoldConfig{})
		old, err := h.read(f.ctx)
		f.ok(err)
		epoch := h.epoch
		f.ok(h.Place(f.ctx, Hold{Scope: ScopeAll}))
		if h.replace(epoch, old) {
			t.Error("the old reading was taken over")
		}
		// A write under way stands beside what was read.
		h.pending[ScopeCampaign("may")] = pendingHold{hold: Hold{Scope: ScopeCampaign("may"), Reason: enqueue.Paused}}
		f.ok(h.refresh(f.ctx))
		if len(h.now.holds) != 2 {
			t.Errorf("holds = %v", h.now.holds)
		}
		// Both sides know it: the rule of Place decides.
		h.pending[ScopeAll] = pendingHold{hold: Hold{Scope: ScopeAll, Reason: enqueue.Account}}
		f.ok(h.refresh(f.ctx))
		if got := h.now.holds[ScopeAll].Reason; got != enqueue.Paused {
			t.Errorf("reason = %q", got)
		}
	})
}

// bufferedConn writes behind the caller's back: miniredis' own pipe holds nothing,
// and in a long pipeline both ends would write and neither read.
type bufferedConn struct {
	net.Conn
	out    chan []byte
	closed chan struct{}
	once   sync.Once
}

func newBufferedConn(conn net.Conn) *bufferedConn {
	c := &bufferedConn{Conn: conn, out: make(chan []byte, 1024), closed: make(chan struct{})}
	go func() {
		for {
			select {
			case <-c.closed:
				return
			case data := <-c.out:
				if _, err := c.Conn.Write(data); err != nil {
					return
				}
			}
		}
	}()
	return c
}

func (c *bufferedConn) Write(data []byte) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	case c.out <- slices.Clone(data):
		return len(data), nil
	}
}

func (c *bufferedConn) SetDeadline(at time.Time) error   { return c.Conn.SetReadDeadline(at) }
func (c *bufferedConn) SetWriteDeadline(time.Time) error { return nil }
func (c *bufferedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
