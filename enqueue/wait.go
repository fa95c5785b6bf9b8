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
// learns of that by a message and, where one is lost, by looking every
// [ClientConfig.PollInterval]; while Redis cannot be reached it goes on trying. It
// ends with ctx: the error then wraps ctx's, the result is the latest that was
// seen, and the job goes on. Other errors are those of [Client.Get].
func (c *Client) Wait(ctx context.Context, id string) (Result, error) {
	wake, leave, err := c.watch(id)
	if err != nil {
		return Result{}, fmt.Errorf("wait for job %q: %w", id, err)
	}
	defer leave()
	poll := time.NewTicker(c.cfg.PollInterval)
	defer poll.Stop()
	var latest Result
	var trouble error
	for {
		result, err := c.Get(ctx, id)
		switch {
		case err == nil && result.State.Settled():
			return result, nil
		case err == nil:
			latest, trouble = result, nil
		case errors.Is(err, ErrNotFound), errors.Is(err, ErrExpired), errors.Is(err, errDamaged):
			return result, err
		case ctx.Err() == nil:
			if trouble == nil {
				c.cfg.Logger.WarnContext(ctx, "waiting goes on without Redis", "job", id, "error", err)
			}
			trouble = err
		}
		select {
		case <-wake:
		case <-poll.C:
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

// waiters fans one subscription out to everyone who waits. It begins with the
// first one and lasts until the client is closed.
type waiters struct {
	rdb    redis.UniversalClient
	closed chan struct{}
	done   sync.WaitGroup

	mu  sync.Mutex
	sub *redis.PubSub
	by  map[string]map[chan struct{}]struct{}
}

func (w *waiters) init(rdb redis.UniversalClient) {
	w.rdb, w.closed, w.by = rdb, make(chan struct{}), map[string]map[chan struct{}]struct{}{}
}

// watch returns a channel that gets a value when the job may have settled.
func (w *waiters) watch(id string) (wake <-chan struct{}, leave func(), err error) {
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
	}
	ch := make(chan struct{}, 1)
	if w.by[id] == nil {
		w.by[id] = map[chan struct{}]struct{}{}
	}
	w.by[id][ch] = struct{}{}
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.by[id], ch)
		if len(w.by[id]) == 0 {
			delete(w.by, id)
		}
	}, nil
}

// listen passes messages on. After each (re)subscription everyone looks once, for
// what was said while nobody listened.
func (w *waiters) listen(sub *redis.PubSub) {
	_ = sub.Subscribe(context.Background(), SettledChannel) // where it fails, the channel below tries again
	for message := range sub.ChannelWithSubscriptions() {
		switch m := message.(type) {
		case *redis.Subscription:
			w.wakeAll()
		case *redis.Message:
			w.wakeJob(m.Payload)
		}
	}
}

func (w *waiters) wakeJob(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.by[CanonicalID(id)] {
		notify(ch)
	}
}

func (w *waiters) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, channels := range w.by {
		for ch := range channels {
			notify(ch)
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
