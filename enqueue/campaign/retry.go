package campaign

import (
	"context"
	"errors"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"example.com/topup/enqueue"
)

const (
	retryRows     = 500 // are opened again at a time
	retryParallel = 32
)

// jobless reports whether the row never became a job of its own.
func (e End) jobless() bool {
	return e.Code == CodeConflict || e.Code == CodeInvalid || e.Code == CodeExpiredID
}

// retry sends the file's rows again whose jobs failed or were refunded. What never
// became a job, because its id belongs to another one, is not.
func (l *Loader) retry(ctx context.Context, f *File, loaded *Loaded) error {
	c := loaded.Campaign
	ends, err := l.Store.Ends(ctx, c.Name)
	if err != nil {
		return err
	}
	index, err := f.byID(ctx)
	if err != nil {
		return err
	}
	var numbers []int
	var ids []string
	flush := func() error {
		err := l.resend(ctx, c.Name, numbers, ids, loaded)
		numbers, ids = numbers[:0], ids[:0]
		return err
	}
	err = l.Store.Each(ctx, c, 0, func(number int, r *Row) error {
		end, ended := ends[number]
		if !ended || end.jobless() || (end.State != enqueue.Failed && end.State != enqueue.Refunded) {
			return nil
		}
		if _, ours := index[markOf(r).id]; !ours {
			return nil
		}
		numbers, ids = append(numbers, number), append(ids, r.JobID(c.Name))
		if len(numbers) < retryRows {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// resend opens the rows before their jobs are sent again, so that no end of theirs
// is missed, and after it for those that were settled in between by what was before.
func (l *Loader) resend(ctx context.Context, name string, numbers []int, ids []string, loaded *Loaded) error {
	if len(numbers) == 0 {
		return nil
	}
	if err := l.Store.Reopen(ctx, name, numbers); err != nil {
		return err
	}
	var retried, refused atomic.Int64
	group, sending := errgroup.WithContext(ctx)
	group.SetLimit(retryParallel)
	for _, id := range ids {
		group.Go(func() error {
			err := l.Client.Resend(sending, id)
			switch {
			case err == nil:
				retried.Add(1)
			case errors.Is(err, enqueue.ErrNotReviewable), errors.Is(err, enqueue.ErrNotFound), errors.Is(err, enqueue.ErrDamaged):
				refused.Add(1)
			default:
				return err
			}
			return nil
		})
	}
	err := group.Wait()
	loaded.Retried += int(retried.Load())
	loaded.Refused += int(refused.Load())
	return errors.Join(err, l.Store.Reopen(ctx, name, numbers))
}
