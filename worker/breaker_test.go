package worker

import (
	"testing"
	"testing/synctest"
	"time"

	"example.com/topup/enqueue"
)

func TestBreakerOpensForOneOperator(t *testing.T) {
	together(t, func(f *fleet) {
		one, two := f.gate("one", GateConfig{}), f.gate("two", GateConfig{})
		down, well := rec("a", 7, "1"), rec("b", 8, "2")
		one.Refused(f.ctx, down, true)
		two.Refused(f.ctx, down, true)
		one.Refused(f.ctx, down, false) // says nothing about the operator
		f.passes(one, down)
		synctest.Wait()
		two.Accepted(f.ctx, down) // ends the row, also for the other process
		synctest.Wait()
		one.Refused(f.ctx, down, true)
		two.Refused(f.ctx, down, true)
		f.passes(two, down)
		one.Refused(f.ctx, rec("c", 0, "3"), true) // nobody knows its operator
		one.Accepted(f.ctx, rec("c", 0, "3"))
		one.Refused(f.ctx, down, true)
		synctest.Wait()
		for _, g := range []*Gate{one, two} {
			f.passes(g, well)
			if w := f.waits(g, down, enqueue.OperatorUnavailable, true); w.Delay < 30*time.Second || w.Delay > 45*time.Second {
				t.Errorf("wait = %v", w.Delay)
			}
		}
	})
}

func TestBreakerHalfOpen(t *testing.T) {
	together(t, func(f *fleet) {
		one, two := f.gate("one", GateConfig{}), f.gate("two", GateConfig{})
		r := rec("a", 7, "1")
		for range 3 {
			one.Refused(f.ctx, r, true)
		}
		time.Sleep(31 * time.Second)
		f.passes(two, r)                                                       // one goes through
		w := f.waits(one, rec("b", 7, "2"), enqueue.OperatorUnavailable, true) // and nobody else
		if w.Delay < 55*time.Second {
			t.Errorf("wait = %v", w.Delay)
		}
		two.Refused(f.ctx, r, true) // still down: it stays open, for twice as long
		time.Sleep(50 * time.Second)
		f.waits(one, r, enqueue.OperatorUnavailable, true)
		time.Sleep(15 * time.Second)
		f.passes(one, r)
		one.Accepted(f.ctx, r)
		synctest.Wait()
		for range 5 {
			f.passes(two, r) // closed in the whole fleet
		}
		two.Refused(f.ctx, r, true) // and the row begins anew
		f.passes(two, r)
	})
}

func TestBreakerOpenedByAMachineIsLiftedByAPerson(t *testing.T) {
	together(t, func(f *fleet) {
		g := f.gate("w", GateConfig{})
		r := rec("a", 7, "1")
		for range 3 {
			g.Refused(f.ctx, r, true)
		}
		f.ok(g.holds.Lift(f.ctx, ScopeOperator(7)))
		f.passes(g, r)
		g.Refused(f.ctx, r, true)
		f.passes(g, r)
		// A breaker that was lifted elsewhere a moment ago lets everyone through.
		stale := func(s *holdState) {
			s.holds[ScopeOperator(7)] = Hold{Scope: ScopeOperator(7), Reason: enqueue.OperatorUnavailable}
		}
		synctest.Wait()
		g.holds.change(stale)
		f.passes(g, r)
		g.holds.change(stale)
		f.down.Store(true)
		if _, _, err := through(f.ctx, g, r); err == nil {
			t.Error("passes without Redis")
		}
	})
}
