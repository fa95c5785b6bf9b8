package worker

import (
	"testing"
	"time"

	"example.com/topup/enqueue"
)

// The job that tries an operator out is not put off by the very breaker that it is to
// close, however long it waits for its turn; another one is.
func TestTrialIsNotPutOff(t *testing.T) {
	together(t, func(f *fleet) {
		g := f.gate("one", GateConfig{})
		r := rec("a", 7, "1")
		for range 3 {
			g.Refused(f.ctx, r, true)
		}
		time.Sleep(6 * time.Minute)
		ticket, wait, err := g.Pass(f.ctx, r)
		if err != nil || wait != nil {
			t.Fatal(wait, err)
		}
		time.Sleep(1500 * time.Millisecond) // the copy of the holds is fresh again
		if wait, err := ticket.Turn(f.ctx); wait != nil || err != nil {
			t.Errorf("put off by %v, %v", wait, err)
		}
		if wait, err := ticket.Turn(f.ctx); wait == nil || err != nil {
			t.Errorf("a second one tries it out too: %v", err)
		}
		if err := g.holds.Place(f.ctx, Hold{Scope: ScopeAll}); err != nil {
			t.Fatal(err)
		}
		if wait, _ := ticket.Turn(f.ctx); wait == nil || wait.Reason != enqueue.Paused {
			t.Error("a person's hold does not count")
		}
	})
}
