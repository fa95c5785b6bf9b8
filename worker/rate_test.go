package worker_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// Jobs that waited behind slow ones are sent at the rate too, when those end all at once.
func TestRateHoldsAfterSlowPosts(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		const slow, perSecond = 10, 2
		var mu sync.Mutex
		var posts []time.Time
		slowOnesEnd := make(chan struct{})
		w.serve(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/topups") {
				mu.Lock()
				posts = append(posts, time.Now())
				n := len(posts)
				mu.Unlock()
				if n == slow {
					time.AfterFunc(15*time.Second, func() { close(slowOnesEnd) })
				}
				if n <= slow {
					<-slowOnesEnd
				}
			}
			w.sim.ServeHTTP(rw, r)
		}))
		for i := range 3 * slow {
			w.submit(numbered(fmt.Sprint("j", i), 9001+i))
		}
		defer w.run(w.worker("w1", func(c *worker.Config) { c.PerSecond, c.InFlight = perSecond, slow }))()
		for i := range 3 * slow {
			w.expect(fmt.Sprint("j", i), enqueue.Succeeded, 1)
		}
		slices.SortFunc(posts, time.Time.Compare)
		for i := range posts[perSecond+1:] { // one more can be at the edges of a second
			if apart := posts[i+perSecond+1].Sub(posts[i]); apart < time.Second {
				t.Errorf("%d POSTs within %v, want %d a second", perSecond+2, apart, perSecond)
			}
		}
	})
}

// Nor is a job begun whose turn comes while the process ends.
func TestShutdownBeginsNothingThatWaitsForTheRate(t *testing.T) {
	bubble(t, sandbox.Config{}, func(w *world) {
		stop := w.run(w.worker("w1", func(c *worker.Config) { c.PerSecond = 1 }))
		for i := range 6 {
			w.submit(numbered(fmt.Sprint("j", i), 9001+i))
		}
		time.Sleep(2500 * time.Millisecond)
		begun := w.sim.Posts()
		stop()
		if begun == 0 || w.sim.Posts() != begun {
			t.Errorf("%d POSTs, and %d after the end began", begun, w.sim.Posts()-begun)
		}
		defer w.run(w.worker("w2", nil))()
		for i := range 6 {
			w.expect(fmt.Sprint("j", i), enqueue.Succeeded, 1)
		}
	})
}
