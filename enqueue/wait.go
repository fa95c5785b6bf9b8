package enqueue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// errClosed ends every Wait of a client that is closed.
var errClosed = errors.New("the client is closed")

// Wait returns the job when it is settled: final, or in the hands of a person. It
// learns of that by a message and, where one is lost, by a look that everyone who
// waits shares (see [ClientConfig.PollInterval]); while Redis cannot be reached it
// goes on trying. It ends with ctx: the error then wraps ctx's, the result is the
// latest that was seen, and the job goes on. Other errors are those of [Client.Get].
func (c *Client) Wait(ctx context.Context, id string) (Result, error) {
	w, leave, err := c.watch(id)
	if err != nil {
		return Result{}, fmt.Errorf("wait for job %q: %w", id, err)
	}
	defer leave()
	var latest Result
	var trouble error
	for {
		result, err := c.Get(ctx, id)
		switch {
		case err == nil && result.State.Settled():
			return result, nil
		case err == nil:
			latest, trouble = result, nil
			c.saw(w, result.State)
		case errors.Is(err, ErrNotFound), errors.Is(err, ErrExpired), errors.Is(err, ErrDamaged):
			return result, err
		case ctx.Err() == nil:
			if trouble == nil {
				c.cfg.Logger.WarnContext(ctx, "waiting goes on without Redis", "job", id, "error", err)
			}
			trouble = err
			c.saw(w, "")
		}
		select {
		case <-w.wake:
		case <-c.closed:
			return latest, fmt.Errorf("wait for job %q: %w", id, errClosed)
		case <-ctx.Done():
			if trouble != nil {
				return latest, fmt.Errorf("wait for job %q: %w (the last look failed: %w)", id, ctx.Err(), trouble)
			}
			return latest, fmt.Errorf("wait for job %q: %w (it is %s and goes on)", id, ctx.Err(), latest.State)
		}
	}
}

const (
	// pollBatch is how many of the jobs that are waited for are looked at in one
	// PollInterval, however many wait.
	pollBatch = 100
	// catchUpBatch is how many are looked at in one pipeline after a (re)subscription.
	catchUpBatch = 500
)

// waiter is one call of Wait.
type waiter struct {
	wake chan struct{} // gets a value when the job is worth a look
	seen State         // what it last saw; empty where it could not look
}

// waiters fans one subscription out to everyone who waits. It begins with the
// first one and lasts until the client is closed.
type waiters struct {
	rdb      redis.UniversalClient
	interval time.Duration
	closed   chan struct{}
	done     sync.WaitGroup
	catchUp  chan struct{} // gets a value when messages may have been missed

	mu    sync.Mutex
	sub   *redis.PubSub
	by    map[string]map[*waiter]struct{}
	queue []string // the ids of this round that were not looked at yet
}

func (w *waiters) init(rdb redis.UniversalClient, interval time.Duration) {
	w.rdb, w.interval = rdb, interval
	w.closed, w.catchUp, w.by = make(chan struct{}), make(chan struct{}, 1), map[string]map[*waiter]struct{}{}
}

// watch registers one who waits for the job.
func (w *waiters) watch(id string) (own *waiter, leave func(), err error) {
	id = CanonicalID(id)
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.closed:
		return nil, nil, errClosed
	default:
	}
	if w.sub == nil {
		// The subscription outlives this call: it serves everyone who waits.
		w.sub = w.rdb.Subscribe(context.Background())
		w.done.Go(func() { w.listen(w.sub) })
		w.done.Go(w.poll)
	}
	own = &waiter{wake: make(chan struct{}, 1)}
	if w.by[id] == nil {
		w.by[id] = map[*waiter]struct{}{}
	}
	w.by[id][own] = struct{}{}
	return own, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.by[id], own)
		if len(w.by[id]) == 0 {
			delete(w.by, id)
		}
	}, nil
}

// saw notes what one who waits knows of its job.
func (w *waiters) saw(own *waiter, state State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	own.seen = state
}

// listen passes messages on. After each (re)subscription every job is looked at once,
// for what was said while nobody listened.
func (w *waiters) listen(sub *redis.PubSub) {
	_ = sub.Subscribe(context.Background(), SettledChannel) // where it fails, the channel below tries again
	for message := range sub.ChannelWithSubscriptions() {
		switch m := message.(type) {
		case *redis.Subscription:
			notify(w.catchUp)
		case *redis.Message:
			w.wakeJob(m.Payload)
		}
	}
}

func (w *waiters) wakeJob(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for own := range w.by[CanonicalID(id)] {
		notify(own.wake)
	}
}

// poll looks by itself, for messages that get lost on the way. Its cost does not grow
// with the number of those who wait: the more they are, the later each one's turn comes.
func (w *waiters) poll() {
	ctx, cancel := context.WithCancel(context.Background()) // ends with the client
	defer cancel()
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	for {
		select {
		case <-w.closed:
			return
		case <-tick.C:
			w.look(ctx, w.next(pollBatch))
		case <-w.catchUp:
			ids := w.everyID()
			for len(ids) > 0 {
				n := min(catchUpBatch, len(ids))
				w.look(ctx, ids[:n])
				ids = ids[n:]
			}
		}
	}
}

// next is the next n jobs whose turn it is; each has its turn once in a round.
func (w *waiters) next(n int) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ids []string
	for full := false; len(ids) < n; {
		if len(w.queue) == 0 {
			if full || len(ids) > 0 || len(w.by) == 0 {
				return ids
			}
			full = true
			for id := range w.by {
				w.queue = append(w.queue, id)
			}
		}
		id := w.queue[0]
		w.queue = w.queue[1:]
		if _, waits := w.by[id]; waits {
			ids = append(ids, id)
		}
	}
	return ids
}

func (w *waiters) everyID() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := make([]string, 0, len(w.by))
	for id := range w.by {
		ids = append(ids, id)
	}
	return ids
}

// look reads the states of jobs in one round trip and wakes those who see it otherwise.
func (w *waiters) look(ctx context.Context, ids []string) {
	if len(ids) == 0 {
		return
	}
	pipe := w.rdb.Pipeline()
	replies := make([]*redis.StringCmd, len(ids))
	for i, id := range ids {
		replies[i] = pipe.HGet(ctx, jobKey(id), fieldState)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, id := range ids {
		state, err := replies[i].Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			continue // while Redis is away nobody learns anything
		}
		for own := range w.by[id] {
			if err != nil || State(state) != own.seen {
				notify(own.wake)
			}
		}
	}
}

// notify does not wait: a value that lies there already says the same.
func notify(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (w *waiters) close() error {
	w.mu.Lock()
	select {
	case <-w.closed:
		w.mu.Unlock()
		return nil
	default:
	}
	close(w.closed)
	sub := w.sub
	w.mu.Unlock()
	if sub == nil {
		return nil
	}
	err := sub.Close()
	w.done.Wait()
	if err != nil {
		return fmt.Errorf("end the subscription: %w", err)
	}
	return nil
}
