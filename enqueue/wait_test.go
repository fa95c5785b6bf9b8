package enqueue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// await begins a Wait and returns where its end arrives.
func (w *world) await(ctx context.Context, id string) <-chan Answered {
	done := make(chan Answered, 1)
	go func() {
		r, err := w.c.Wait(ctx, id)
		done <- Answered{Result: r, Err: err}
	}()
	return done
}

func TestWaitLearnsByMessage(t *testing.T) {
	inWorld(t, func(w *world) {
		w.c.interval = 24 * time.Hour // would be far too late
		w.submit("Msg")
		w.submit("review")
		first, second, review := w.await(w.Context(), "msg"), w.await(w.Context(), "MSG"), w.await(w.Context(), "review")
		time.Sleep(time.Second)
		began := time.Now()
		w.want("done", Succeeded)(w.settle("msg", Outcome{Kind: KindSucceeded, Claim: w.begin("msg"), Transaction: tx(1, "SUCCESSFUL")}))
		w.want("done", NeedsReview)(w.settle("review", Outcome{Kind: KindReview, Claim: w.begin("review"), Code: "NEW"}))
		for ch, want := range map[<-chan Answered]State{first: Succeeded, second: Succeeded, review: NeedsReview} {
			if a := <-ch; a.Err != nil || a.Result.State != want {
				w.Fatalf("%+v", a)
			}
		}
		if time.Since(began) > time.Second {
			w.Fatal(time.Since(began))
		}
		if r, err := w.c.Wait(w.Context(), "msg"); err != nil || r.State != Succeeded { // settled already
			w.Fatal(err)
		}
		if len(w.c.by) != 0 {
			w.Fatal("waiters are left behind")
		}
	})
}

func TestWaitLearnsByPolling(t *testing.T) {
	inWorld(t, func(w *world) {
		w.submit("poll")
		done := w.await(w.Context(), "poll")
		time.Sleep(time.Second)
		claim := w.begin("poll")
		w.c.mu.Lock() // its message gets lost
		registered := w.c.by
		w.c.by = nil
		w.c.mu.Unlock()
		w.want("done", Succeeded)(w.settle("poll", Outcome{Kind: KindSucceeded, Claim: claim, Transaction: tx(1, "SUCCESSFUL")}))
		synctest.Wait()
		if len(done) != 0 {
			w.Fatal("the message was not lost")
		}
		w.c.mu.Lock()
		w.c.by = registered
		w.c.mu.Unlock()
		began := time.Now()
		if a := <-done; a.Err != nil || a.Result.State != Succeeded || time.Since(began) > 2*time.Second {
			w.Fatalf("%+v after %v", a, time.Since(began))
		}
	})
}

func TestManyWait(t *testing.T) {
	inWorld(t, func(w *world) {
		var group sync.WaitGroup
		for i := range 50 {
			id := fmt.Sprint("w", i)
			w.submit(id)
			group.Go(func() {
				if r, err := w.c.Wait(w.Context(), id); err != nil || r.State != Cancelled || r.ID != id {
					w.Errorf("%+v %v", r, err)
				}
			})
		}
		synctest.Wait()
		for i := range 50 {
			if _, err := w.c.Cancel(w.Context(), fmt.Sprint("w", i)); err != nil {
				w.Error(err)
			}
		}
		group.Wait()
	})
}

func TestWaitEnds(t *testing.T) {
	inWorld(t, func(w *world) {
		if _, err := w.c.Wait(w.Context(), "nobody"); !errors.Is(err, ErrNotFound) {
			w.Fatal(err)
		}
		w.submit("a")
		ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
		defer cancel()
		before := w.m.CommandCount()
		a := <-w.await(ctx, "a")
		if !errors.Is(a.Err, context.DeadlineExceeded) || a.Result.State != Queued || a.Result.ID != "a" {
			w.Fatalf("%+v", a)
		}
		if n := w.m.CommandCount() - before; n > 100 { // 30 looks, and the subscription's pings
			w.Fatalf("%d commands in a minute", n)
		}

		// Redis fails for a while: it goes on, and the end says what was wrong.
		ctx, cancel = context.WithTimeout(w.Context(), time.Minute)
		defer cancel()
		w.m.SetError("LOADING")
		a = <-w.await(ctx, "a")
		if !errors.Is(a.Err, context.DeadlineExceeded) || !strings.Contains(a.Err.Error(), "LOADING") {
			w.Fatalf("%+v", a)
		}
		done := w.await(w.Context(), "a")
		time.Sleep(time.Minute)
		w.m.SetError("")
		if _, err := w.c.Cancel(w.Context(), "a"); err != nil {
			w.Fatal(err)
		}
		if a := <-done; a.Err != nil || a.Result.State != Cancelled {
			w.Fatalf("%+v", a)
		}

		w.submit("b")
		done = w.await(w.Context(), "b")
		time.Sleep(time.Second)
		for range 2 {
			if err := w.c.Close(); err != nil {
				w.Fatal(err)
			}
		}
		if a := <-done; !errors.Is(a.Err, errClosed) || a.Result.State != Queued {
			w.Fatalf("%+v", a)
		}
		if a := <-w.await(w.Context(), "b"); !errors.Is(a.Err, errClosed) {
			w.Fatalf("%+v", a)
		}
	})
}

// However many wait, Redis is asked no more: 10,000 cost it what 100 do.
func TestTenThousandWait(t *testing.T) {
	inWorld(t, func(w *world) {
		const many = 10_000
		jobs := make([]TopUp, many)
		for i := range jobs {
			jobs[i] = job(fmt.Sprint("m", i))
		}
		for _, a := range w.c.TopUps(w.Context(), jobs) {
			if a.Err != nil {
				w.Fatal(a.Err)
			}
		}
		ended := make(chan Answered, many)
		for i := range many {
			go func() {
				r, err := w.c.Wait(w.Context(), fmt.Sprint("m", i))
				ended <- Answered{Result: r, Err: err}
			}()
		}
		time.Sleep(10 * time.Second) // each has looked once, and once after the subscription
		before := w.m.CommandCount()
		time.Sleep(time.Minute)
		if n := w.m.CommandCount() - before; n < pollBatch || n > 31*pollBatch+100 {
			w.Fatalf("%d commands in a minute in which %d wait", n, many)
		}

		// Messages that get lost are made up for within a round, and at once where it is
		// known that some may have been.
		unheard := func(from, to int) {
			w.c.mu.Lock()
			registered := w.c.by
			w.c.by = nil
			w.c.mu.Unlock()
			for i := from; i < to; i++ {
				if _, err := w.c.Cancel(w.Context(), fmt.Sprint("m", i)); err != nil {
					w.Fatal(err)
				}
			}
			synctest.Wait()
			w.c.mu.Lock()
			w.c.by = registered
			w.c.mu.Unlock()
		}
		heard := func(n int, within time.Duration) {
			began := time.Now()
			for range n {
				if a := <-ended; a.Err != nil || a.Result.State != Cancelled || time.Since(began) > within {
					w.Fatalf("%+v after %v", a, time.Since(began))
				}
			}
		}
		unheard(0, 3)
		heard(3, 2*many/pollBatch*w.c.interval)
		unheard(3, 300)
		notify(w.c.catchUp)
		heard(297, w.c.interval/2)
		_ = w.c.Close()
		for range many - 300 {
			if a := <-ended; !errors.Is(a.Err, errClosed) {
				w.Fatalf("%+v", a)
			}
		}
	})
}
