package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/govalues/decimal"
)

// trouble carries the schedule out.
type trouble struct {
	world *world
	log   *os.File

	mu      sync.Mutex
	done    map[string]int
	failure error
}

func newTrouble(w *world) (*trouble, error) {
	log, err := os.OpenFile(filepath.Join(w.dir, "events.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	return &trouble{world: w, log: log, done: map[string]int{}}, err
}

const clock = "15:04:05.000"

// run lets everything happen, and returns when the last of it is over.
func (t *trouble) run(ctx context.Context, plan [lanes][]event) error {
	began := time.Now()
	var lanesDone, each sync.WaitGroup
	for lane, events := range plan {
		lanesDone.Go(func() {
			for _, e := range events {
				if !pause(ctx, max(0, e.At-time.Since(began))) {
					return
				}
				if lane == laneWorkers { // one worker's trouble does not wait for another's
					each.Go(func() { t.happen(ctx, e) })
					continue
				}
				t.happen(ctx, e)
			}
		})
	}
	lanesDone.Wait()
	each.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failure
}

func (t *trouble) happen(ctx context.Context, e event) {
	w := t.world
	if e.Burst > 0 {
		var burst sync.WaitGroup
		burst.Go(func() { w.producers.burst(ctx, e.Burst) })
		defer burst.Wait()
		if !pause(ctx, e.Lead) {
			return
		}
	}
	if e.Kind == restoreCopy && e.For > time.Second { // what Redis will forget is under way, too
		var burst sync.WaitGroup
		burst.Go(func() {
			if pause(ctx, e.For-e.Lead) {
				w.producers.burst(ctx, e.Burst)
			}
		})
		defer burst.Wait()
	}
	t.note("%s begins: worker %d, for %v, %d bytes, %+v", e.Kind, e.Worker+1, e.For, e.Bytes, e.Way)
	happened, err := true, error(nil)
	switch e.Kind {
	case killWorker:
		happened = w.fleet.kill(e.Worker)
	case endWorker:
		happened = w.fleet.terminate(ctx, e.Worker)
	case stopWorker:
		happened = w.fleet.stop(ctx, e.Worker, e.For)
	case killRedis:
		w.redis.kill()
		err = w.redis.start(ctx)
	case cutTail:
		err = w.redis.cut(ctx, e.Bytes)
	case restoreCopy:
		err = w.redis.restore(ctx, e.For)
	case forgetQueue:
		_ = w.redis.forgetQueue(ctx) // Redis may be away just now
	case throwOut:
		_ = w.redis.throwOut(ctx)
	case fillMemory:
		_ = w.redis.fill(ctx, e.For)
	case hurtRedis:
		w.redisWay.disturb(ctx, e.For, e.Way)
	case hurtAPI:
		w.apiWay.disturb(ctx, e.For, e.Way)
	}
	if ctx.Err() != nil {
		return
	}
	t.mu.Lock()
	if happened {
		t.done[e.Kind]++
	}
	if err != nil && t.failure == nil {
		t.failure = fmt.Errorf("%s: %w", e.Kind, err)
	}
	t.mu.Unlock()
	t.note("%s is over: %v %v", e.Kind, happened, err)
	if e.Kind == cutTail || e.Kind == restoreCopy {
		w.again(ctx)
	}
}

func (t *trouble) note(format string, args ...any) {
	fmt.Fprintf(t.log, "%s %s\n", time.Now().Format(clock), fmt.Sprintf(format, args...))
}

// account lets the balance run dry and fills it again, until ctx ends.
func (t *trouble) account(ctx context.Context) {
	dry := decimal.MustNew(2*meanAmount, 0)
	for pause(ctx, 200*time.Millisecond) {
		text, err := t.world.simulator.balance(ctx)
		if err != nil {
			continue
		}
		balance, err := decimal.Parse(text)
		if err != nil || balance.Cmp(dry) > 0 {
			continue
		}
		t.note("the balance is %s", text)
		if !pause(ctx, time.Second) { // time to meet it
			return
		}
		if err := t.world.simulator.refill(ctx, refillFor(t.world.settings)); err == nil {
			t.mu.Lock()
			t.done["account dry and refilled"]++
			t.mu.Unlock()
		}
	}
}
