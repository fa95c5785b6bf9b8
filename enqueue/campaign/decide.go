package campaign

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// Decide carries out a person's decision about a job. Where the job is a row of a campaign
// that was counted already, the row is counted again as the job ends after it: before the
// decision is made, so that whoever is killed in between leaves nothing uncounted, and after
// it for a row that was counted in between as it stood before.
func (s *Store) Decide(ctx context.Context, client *enqueue.Client, id string, decision func(context.Context) error) error {
	return s.decide(ctx, client, id, false, decision)
}

// Resend is [enqueue.Client.Resend] for a job that may be a row of a campaign, which is
// counted as [Store.Decide] does. Of a cancelled campaign nothing is sent again: the error
// matches [ErrCancelled].
func (s *Store) Resend(ctx context.Context, client *enqueue.Client, id string) error {
	return s.decide(ctx, client, id, true, func(ctx context.Context) error { return client.Resend(ctx, id) })
}

func (s *Store) decide(ctx context.Context, client *enqueue.Client, id string, sending bool, decision func(context.Context) error) error {
	before, err := client.Get(ctx, id)
	if err != nil { // the ledger says about the decision what is to be said
		return decision(ctx)
	}
	row, err := s.rowOf(ctx, before)
	if err != nil {
		return err
	}
	if row < 0 {
		return decision(ctx)
	}
	was := counted{row: row}
	if before.State == enqueue.Succeeded || before.State == enqueue.Refunded {
		was.paid = true
		was.cost.currency, was.cost.amount = costOf(before.Transaction)
	}
	open := func() error { return s.reopen(ctx, before.Campaign, sending, []counted{was}) }
	if err := open(); err != nil {
		return err
	}
	err = decision(ctx)
	return errors.Join(err, open())
}

// errFound ends a search.
var errFound = errors.New("found")

// rowOf is the number of the row whose job this is; -1 where there is none, or it is no
// longer kept.
func (s *Store) rowOf(ctx context.Context, job enqueue.Result) (int, error) {
	if CheckName(job.Campaign) != nil {
		return -1, nil
	}
	c, err := s.Find(ctx, job.Campaign)
	if errors.Is(err, ErrNoCampaign) {
		return -1, nil
	} else if err != nil {
		return 0, err
	}
	found := -1
	err = s.Each(ctx, c, 0, func(number int, r *Row) error {
		if enqueue.CanonicalID(r.JobID(c.Name)) != enqueue.CanonicalID(job.ID) {
			return nil
		}
		found = number
		return errFound
	})
	switch {
	case errors.Is(err, ErrRowsExpired):
		return -1, nil
	case !errors.Is(err, errFound):
		return -1, err
	}
	end, err := s.rdb.HGet(ctx, endsKey(c.Name), strconv.Itoa(found)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, fmt.Errorf("campaign %s: read how a row ended: %w", c.Name, err)
	}
	if endOf(end).jobless() { // the id is somebody else's
		return -1, nil
	}
	return found, nil
}
