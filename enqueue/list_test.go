package enqueue

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// listAll follows the cursors to the end, and counts the pages.
func (w *world) listAll(q Query) (ids map[string]State, pages int) {
	w.Helper()
	ids = map[string]State{}
	for {
		page, err := w.c.List(w.Context(), q)
		if err != nil {
			w.Fatal(err)
		}
		pages++
		for _, r := range page.Jobs {
			ids[r.ID] = r.State
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return ids, pages
		}
		if pages > 10_000 {
			w.Fatal("the list does not end")
		}
	}
}

func TestList(t *testing.T) {
	inWorld(t, func(w *world) {
		if ids, pages := w.listAll(Query{}); len(ids) != 0 || pages != 1 {
			t.Errorf("of nothing: %v", ids)
		}
		var jobs []TopUp
		for i := range 3000 {
			j := job(fmt.Sprintf("Job-%d", i))
			if i%10 == 0 {
				j.Campaign = "may"
			}
			jobs = append(jobs, j)
		}
		for _, a := range w.c.TopUps(w.Context(), jobs) {
			if a.Err != nil {
				t.Fatal(a.Err)
			}
		}
		for i := range 20 {
			if _, err := w.c.Cancel(w.Context(), fmt.Sprintf("job-%d", i)); err != nil {
				t.Fatal(err)
			}
		}
		w.sent("lost")
		w.submit("odd")
		w.want("done", NeedsReview)(w.settle("odd", Outcome{Kind: KindReview, Claim: w.begin("odd"), Code: "NEW"}))
		for _, test := range []struct {
			q    Query
			want int
		}{
			{Query{}, 3002},
			{Query{Limit: 7}, 3002},
			{Query{State: Queued}, 2980},
			{Query{State: Queued, Limit: 1}, 2980},
			{Query{State: Queued, Campaign: "may", Limit: 10}, 298},
			{Query{State: Cancelled}, 20},
			{Query{State: Cancelled, Campaign: "may"}, 2},
			{Query{Campaign: "may"}, 300},
			{Query{Campaign: "june"}, 0},
			{Query{State: Unknown}, 1},
			{Query{State: Sending}, 0},
			{Query{State: NeedsReview}, 1},
			{Query{State: Succeeded}, 0},
		} {
			ids, _ := w.listAll(test.q)
			if len(ids) != test.want {
				t.Errorf("%+v: %d jobs, want %d", test.q, len(ids), test.want)
			}
			for id, state := range ids {
				if test.q.State != "" && state != test.q.State {
					t.Errorf("%+v: %s is %s", test.q, id, state)
				}
			}
		}
		// A page has about as many as were asked for, and its cost is bounded.
		page, err := w.c.List(w.Context(), Query{State: Queued, Limit: 50})
		if err != nil || len(page.Jobs) < 50 || len(page.Jobs) > 200 || page.Next == "" {
			t.Errorf("%d jobs, next %q, %v", len(page.Jobs), page.Next, err)
		}
		for _, cursor := range []string{"x", "open-1-64", "open-64-64-0", "review-1-64-0", "open-1-63-0", "open-a-64-0", "open--1-64-0", "all-0-1-99999999999999999999"} {
			if _, err := w.c.List(w.Context(), Query{State: Queued, Cursor: cursor}); !errors.Is(err, ErrCursor) {
				t.Errorf("%s: %v", cursor, err)
			}
		}
		if _, err := w.c.List(w.Context(), Query{Cursor: "all-1-3-0"}); !errors.Is(err, ErrCursor) {
			t.Error(err)
		}
		w.m.SetError("LOADING")
		for _, state := range []State{"", Queued, NeedsReview} {
			if _, err := w.c.List(w.Context(), Query{State: state}); err == nil || errors.Is(err, ErrCursor) {
				t.Errorf("%q: %v", state, err)
			}
		}
		w.m.SetError("")
	})
}

// What Reloadly notifies of wakes the look-up of an open job, once, and nothing else.
func TestNotified(t *testing.T) {
	inWorld(t, func(w *world) {
		pending := func() int {
			n, _ := w.m.List("asynq:{" + QueueFollowups + "}:pending")
			return len(n)
		}
		w.sent("Lost")
		before := w.record("lost")
		for range 3 {
			for _, identifier := range []string{"lost", "LOST", "lost~2", "lost~3"} {
				if err := w.c.Notified(w.Context(), identifier); err != nil {
					t.Fatal(err)
				}
			}
		}
		if pending() != 1 {
			t.Errorf("%d wake-ups", pending())
		}
		if after := w.record("lost"); after.Version != before.Version || after.State != Unknown || !after.NextAt.Equal(before.NextAt) {
			t.Errorf("it changed: %+v", after)
		}
		w.submit("waits")
		w.submit("ended")
		if _, err := w.c.Cancel(w.Context(), "ended"); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"waits", "ended"} {
			if err := w.c.Notified(w.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if pending() != 1 {
			t.Errorf("%d wake-ups for jobs that are not open", pending())
		}
		for _, identifier := range []string{"", "nobody", "~2", "lost~1", "lost~4", "lost~02", "lost~2~2", "lost~x", "lost ~2", "a b", string(make([]byte, 200))} {
			if err := w.c.Notified(w.Context(), identifier); !errors.Is(err, ErrNotFound) {
				t.Errorf("%q: %v", identifier, err)
			}
		}
		time.Sleep(100 * 24 * time.Hour)
		if err := w.c.Notified(w.Context(), "ended"); err != nil { // its tomb is left
			t.Error(err)
		}
		w.m.SetError("LOADING")
		if err := w.c.Notified(w.Context(), "lost"); err == nil || errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		w.m.SetError("")
	})
}
