package worker

import (
	"math"
	"slices"
	"time"
)

const (
	windowLeast = 100 // rows: a pace cannot be seen with fewer
	openWindows = 10  // rows that wait for something do not fill the window, up to so many windows
)

// window is how many rows may stand in the queue: about as many as are settled in a
// few seconds, so that a campaign that comes later waits no longer than that.
type window struct {
	most  int
	ahead time.Duration
	pace  float64 // rows settled a second, lately
	seen  time.Time
}

// settled notes how many rows were settled since the last call.
func (w *window) settled(n int, now time.Time) {
	passed := now.Sub(w.seen).Seconds()
	if w.seen.IsZero() || passed <= 0 {
		w.seen = now
		return
	}
	old := math.Exp(-passed / (w.ahead.Seconds() / 2))
	w.pace = w.pace*old + float64(n)/passed*(1-old)
	w.seen = now
}

// size is how many rows may be ready to be sent.
func (w *window) size() int {
	return min(w.most, max(min(windowLeast, w.most), int(w.pace*w.ahead.Seconds())))
}

// want is what a campaign has in the queue, and would like to have.
type want struct {
	ready   int // rows that can be sent now
	sending int // rows that are being sent
	open    int // all rows handed over and not settled
	rest    int // rows that could be handed over
}

// shares divides the window: each campaign may have the same part, and what one does
// not need goes to the others. A campaign that has more than its part already, because
// it was alone, keeps nobody else from theirs. It says how many rows each hands over.
func (w *window) shares(wants []want) []int {
	order := make([]int, len(wants))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return wants[a].ready + wants[a].rest - wants[b].ready - wants[b].rest
	})
	left := w.most
	for _, want := range wants {
		left -= want.sending
	}
	left = max(0, min(left, w.size()))
	out := make([]int, len(wants))
	for k, i := range order {
		part := max(1, left/(len(order)-k))
		have := wants[i]
		all := min(part, have.ready+have.rest)
		left -= min(left, all)
		room := max(1, openWindows*w.most/len(order)) - have.open
		out[i] = max(0, min(all-have.ready, room, have.rest))
	}
	return out
}
