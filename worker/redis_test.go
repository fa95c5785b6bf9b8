package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// named has a Redis show a run_id, as miniredis does not.
type named struct{ id *atomic.Value }

func (n named) DialHook(next redis.DialHook) redis.DialHook { return next }
func (n named) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		info, ok := cmd.(*redis.StringCmd)
		id, _ := n.id.Load().(string)
		if !ok || cmd.Name() != "info" || id == "" {
			return next(ctx, cmd)
		}
		info.SetVal("# Server\r\nrun_id:" + id + "\r\n")
		return nil
	}
}

func (n named) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// However long Redis was away, the log says once that it is another one.
func TestLogOfARestartedRedis(t *testing.T) {
	for _, away := range []time.Duration{5 * time.Second, 2 * time.Minute} {
		together(t, func(f *fleet) {
			var id atomic.Value
			id.Store("first")
			rdb := f.process()
			rdb.AddHook(named{&id})
			var log bytes.Buffer
			w := &Worker{
				cfg: Config{Redis: rdb, Scale: 1}, log: slog.New(slog.NewTextHandler(&log, nil)),
				ledger: enqueue.NewLedger(rdb, enqueue.LedgerConfig{Epoch: "test"}),
			}
			done := make(chan error, 1)
			go func() { done <- w.watchRedis(f.ctx) }()
			time.Sleep(3 * time.Second)
			id.Store("")
			f.down.Store(true)
			time.Sleep(away)
			id.Store("second")
			f.down.Store(false)
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if n := strings.Count(log.String(), "Redis restarted"); n != 1 {
				t.Errorf("away for %v: said %d times\n%s", away, n, log.String())
			}
		})
	}
}

// Two dozen servers meet one Redis that is away, every few seconds.
func TestQueueLogRepeatsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		shared := &lately{}
		for range 100 {
			for server := range maxServers {
				q := queueLog{slog.New(slog.NewTextHandler(&log, nil)), shared}
				q.Error("Dequeue error: ", fmt.Errorf("read tcp 127.0.0.1:%d->127.0.0.1:6379: %w", 40000+server, errors.ErrUnsupported))
				q.Warn("recoverer: could not list lease expired tasks")
			}
			time.Sleep(3 * time.Second)
		}
		for _, what := range []string{"Dequeue error", "recoverer"} {
			if n := strings.Count(log.String(), what); n != 5 {
				t.Errorf("%s: %d lines in five minutes", what, n)
			}
		}
		for task := range 3 * mostSaid {
			shared.saying(fmt.Sprint("task ", task))
		}
		if len(shared.said) > mostSaid {
			t.Errorf("%d things are remembered", len(shared.said))
		}
	})
}
