package enqueue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
)

// Notified says that Reloadly has something to tell about the transaction of an
// identifier. It is believed nothing: where the job's fate is open, a wake-up looks it
// up at once instead of at its next turn, and nothing else changes. The same news
// again is harmless. The error is [ErrNotFound] where the identifier is of no job here.
func (c *Client) Notified(ctx context.Context, identifier string) error {
	id, ours := JobOf(identifier)
	if !ours {
		return fmt.Errorf("identifier %q: %w", identifier, ErrNotFound)
	}
	r, err := c.ledger.Load(ctx, id)
	switch {
	case errors.Is(err, ErrExpired):
		return nil
	case err != nil:
		return err
	case r.State != Unknown && r.State != Processing:
		return nil // whoever sends it hears the answer; an end is not doubted because of a message
	}
	// Beside the wake-up that lies ready for later, under a name of its own: news that
	// comes twice makes one.
	task := NewTask(QueueFollowups, TaskID(id, r.Version)+":notified", id, r.Version, time.Time{})
	if _, err := c.tasks.EnqueueContext(ctx, task); err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("wake the look-up of job %q: %w", id, err)
	}
	return nil
}
