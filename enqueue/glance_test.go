package enqueue

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestGlances(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx := w.Context()
		for _, id := range []string{"waits", "sends", "ends", "Old", "held", "broken"} {
			w.submit(id)
		}
		w.begin("sends")
		claim := w.begin("ends")
		w.want("done", Failed)(w.settle("ends", Outcome{Kind: KindFailed, Claim: claim, Code: "NO"}))
		claim = w.begin("old")
		w.want("done", Succeeded)(w.settle("old", Outcome{Kind: KindSucceeded, Claim: claim, Transaction: tx(1, "SUCCESSFUL")}))
		w.want("done", Queued)(w.l.Wait(ctx, w.record("held"), Paused, time.Minute, true))
		w.rdb.Del(ctx, jobKey("old"))
		w.rdb.HSet(ctx, jobKey("broken"), "s", "nonsense")
		w.rdb.Set(ctx, tombKey("worse"), "q", 0)
		ids := []string{"waits", "sends", "nobody", "ends", "OLD", "held", "broken", "worse"}
		got := w.c.Glances(ctx, ids)
		want := []Glance{
			{ID: "waits", State: Queued, Version: 1},
			{ID: "sends", State: Sending, Version: 2},
			{ID: "nobody", Missing: true},
			{ID: "ends", State: Failed, Code: "NO", Version: 3},
			{ID: "OLD", State: Succeeded},
			{ID: "held", State: Queued, Reason: Paused, Version: 2},
		}
		if !slices.Equal(got[:len(want)], want) {
			t.Errorf("%+v", got)
		}
		for _, g := range got[len(want):] {
			if !errors.Is(g.Err, ErrDamaged) {
				t.Errorf("%+v", g)
			}
		}
		if w.c.Glances(ctx, nil) == nil {
			t.Error("nothing was asked for, and nil came")
		}
		w.m.SetError("away")
		defer w.m.SetError("")
		for _, g := range w.c.Glances(ctx, ids) {
			if g.Err == nil || g.Missing || g.State != "" {
				t.Errorf("%+v", g)
			}
		}
	})
}

// Many are cancelled as one is: what may have been sent is not.
func TestCancelMany(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, id := range []string{"waits", "twice", "sends"} {
			w.submit(id)
		}
		w.begin("sends")
		for range 2 {
			errs := w.c.CancelMany(w.Context(), []string{"waits", "nobody", "sends", "Twice"})
			if errs[0] != nil || errs[3] != nil || !errors.Is(errs[1], ErrNotFound) || !errors.Is(errs[2], ErrNotCancellable) {
				t.Fatal(errs)
			}
		}
		for id, state := range map[string]State{"waits": Cancelled, "twice": Cancelled, "sends": Sending} {
			if got := w.record(id).State; got != state {
				t.Errorf("%s is %s", id, got)
			}
		}
		w.m.SetError("away")
		defer w.m.SetError("")
		for _, err := range w.c.CancelMany(w.Context(), []string{"waits", "sends"}) {
			if err == nil || errors.Is(err, ErrNotCancellable) {
				t.Error(err)
			}
		}
	})
}
