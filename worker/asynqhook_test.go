package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// failAck fails the first command that says that a task is complete.
type failAck struct{ failed atomic.Int64 }

func (h *failAck) DialHook(next redis.DialHook) redis.DialHook { return next }
func (h *failAck) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h *failAck) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if strings.HasPrefix(cmd.Name(), "eval") && strings.Contains(fmt.Sprint(cmd.Args()...), ":completed") && h.failed.CompareAndSwap(0, 1) {
			err := errors.New("connection lost")
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}

func TestUncancelAcknowledges(t *testing.T) {
	for _, c := range []struct {
		name string
		hook bool
		runs int64
	}{
		{"with the hook", true, 1},
		{"without it", false, 2}, // asynq's fault: when this becomes 1, the hook can go
	} {
		t.Run(c.name, func(t *testing.T) {
			together(t, func(f *fleet) {
				rdb := f.process()
				if c.hook {
					rdb.AddHook(Uncancel{})
				}
				lost := &failAck{}
				rdb.AddHook(lost)
				server := asynq.NewServerFromRedisClient(rdb, asynq.Config{
					Queues: map[string]int{"topups": 1}, LogLevel: asynq.FatalLevel,
					RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return time.Second },
				})
				var runs atomic.Int64
				f.ok(server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
					runs.Add(1)
					return nil
				})))
				_, err := asynq.NewClientFromRedisClient(f.process()).Enqueue(asynq.NewTask("t", nil), asynq.Queue("topups"), asynq.Retention(time.Hour))
				f.ok(err)
				time.Sleep(5 * time.Minute)
				server.Shutdown()
				if lost.failed.Load() != 1 {
					t.Fatal("no acknowledgement was lost: the test proves nothing")
				}
				if got := runs.Load(); got != c.runs {
					t.Errorf("the handler ran %d times, want %d", got, c.runs)
				}
			})
		})
	}
}

// Only a cancelled context with a deadline still ahead is asynq's fault.
func TestUncancelLeavesOthersAlone(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	past, cancelPast := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancelPast()
	for name, ctx := range map[string]context.Context{"cancelled": cancelled, "past": past, "alive": t.Context()} {
		t.Run(name, func(t *testing.T) {
			process := Uncancel{}.ProcessHook(func(got context.Context, _ redis.Cmder) error {
				if got != ctx {
					t.Error("another context")
				}
				return nil
			})
			if err := process(ctx, nil); err != nil {
				t.Error(err)
			}
		})
	}
}
