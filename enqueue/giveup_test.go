package enqueue

import (
	"testing"
	"time"
)

// A job that is given up has failed; where a send of it ended without an answer a person
// decides, and one that is not queued is left alone.
func TestGiveUp(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("waits")
		time.Sleep(time.Second)
		r := w.record("waits")
		w.want("done", Queued)(w.l.Wait(w.Context(), r, Paused, time.Hour, true)) // time on hold does not protect it
		time.Sleep(48 * time.Hour)
		w.want("stale", Queued)(w.l.GiveUp(w.Context(), r))
		w.want("failed", Failed)(w.l.GiveUp(w.Context(), w.record("waits")))

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
