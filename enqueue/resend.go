package enqueue

import (
	"context"
	"errors"

	"github.com/hibiken/asynq"
)

// Resend gives a job that needs review, failed or was refunded a new permission to be
// sent, see [Ledger.Resend], and the wake-up for it. Where the wake-up cannot be
// written the job is sent a little later, by the sweeper.
func (c *Client) Resend(ctx context.Context, id string) error {
	if err := c.ledger.Resend(ctx, id); err != nil {
		return err
	}
	r, err := c.ledger.Load(ctx, id)
	if err != nil {
		return err
	}
	task := NewTask(QueueFollowups, TaskID(id, r.Version), id, r.Version, r.NextAt)
	if _, err := c.tasks.EnqueueContext(ctx, task); err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		c.cfg.Logger.WarnContext(ctx, "no wake-up was written for a job that is sent again; the sweeper will find it", "job", id, "error", err)
	}
	return nil
}
