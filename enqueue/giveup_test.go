package enqueue

import (
	"testing"
	"time"
)

// A job that is given up is cancelled; where a send of it ended without an answer a person
// decides, and one that is not queued is left alone.
func TestGiveUp(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("waits")
		time.Sleep(time.Second)
		r := w.record("waits")
		w.want("done", Queued)(w.l.Wait(w.Context(), r, Paused, time.Hour, true))
		w.want("stale", Queued)(w.l.GiveUp(w.Context(), r))
		w.want("cancelled", Cancelled)(w.l.GiveUp(w.Context(), w.record("waits")))

		w.sent("asked")
		w.want("stale", Unknown)(w.l.GiveUp(w.Context(), w.record("asked")))
		w.almostProven(w.l, "asked")
		w.want("resend", Queued)(w.absent("asked"))
		w.want("review", NeedsReview)(w.l.GiveUp(w.Context(), w.record("asked")))
		if r := w.record("asked"); r.Code != CodeExpired {
			t.Error(r.Code)
		}
	})
}

// What Redis may have forgotten of a job is looked for before the job is given up. When
// nothing is there it is cancelled like any other that was not sent.
func TestGiveUpAfterARestart(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("a")
		l := w.restarted("other")
		w.want("look", Unknown)(l.GiveUp(w.Context(), w.record("a")))
		w.almostProven(l, "a")
		w.want("resend", Queued)(l.Absent(w.Context(), w.record("a"), time.Time{}, time.Minute))
		w.want("cancelled", Cancelled)(l.GiveUp(w.Context(), w.record("a")))
		if r := w.record("a"); r.Code != "" || r.Result().MoneyMoved != MovedNo {
			t.Errorf("%q, money moved: %s", r.Code, r.Result().MoneyMoved)
		}
	})
}
