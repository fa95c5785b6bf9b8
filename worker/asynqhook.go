package worker

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// Uncancel repairs a lost acknowledgement of asynq 0.26: where the write that a
// task is done fails, asynq tries again with a context that it has cancelled
// already (hibiken/asynq, pull request 926), so each try fails and the task runs again a minute later.
// The hook lets such a command go until the deadline of the task's lease, which
// asynq has put on the context.
//
// It belongs on a client that asynq's servers alone use; everyone else's
// cancellations are meant.
type Uncancel struct{}

// DialHook implements [redis.Hook].
func (Uncancel) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook implements [redis.Hook]. Acknowledgements are single scripts.
func (Uncancel) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook implements [redis.Hook].
func (Uncancel) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if deadline, ok := ctx.Deadline(); ok && errors.Is(ctx.Err(), context.Canceled) {
			alive, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
			defer cancel()
			ctx = alive
		}
		return next(ctx, cmd)
	}
}
