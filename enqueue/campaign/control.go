package campaign

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

var (
	controlScript = newScript("control")
	retireScript  = newScript("retire")
)

// How long what is left of an ended campaign is kept.
const (
	rowsKept = 90 * 24 * time.Hour
	restKept = 400 * 24 * time.Hour
)

// Pause hands over no more rows. What was handed over goes on: see
// worker.PauseCampaign, which holds that too.
func (s *Store) Pause(ctx context.Context, name string) error { return s.control(ctx, name, "pause") }

// Resume takes a pause back.
func (s *Store) Resume(ctx context.Context, name string) error { return s.control(ctx, name, "resume") }

// Cancel counts every row that was not handed over as cancelled, for good. What was
// handed over goes on: see worker.CancelCampaign, which withdraws that too.
func (s *Store) Cancel(ctx context.Context, name string) error { return s.control(ctx, name, "cancel") }

func (s *Store) control(ctx context.Context, name, wanted string) error {
	word, err := controlScript.Run(ctx, s.rdb, s.keys(name), wanted).Text()
	switch {
	case err != nil:
		return fmt.Errorf("campaign %s: %s it: %w", name, wanted, err)
	case word == "missing":
		return fmt.Errorf("campaign %s: %w", name, ErrNoCampaign)
	case word == "cancelled":
		return fmt.Errorf("campaign %s: %w", name, ErrCancelled)
	default:
		return s.Relist(ctx, name)
	}
}

// Relist puts a campaign on the lists again, which lie elsewhere than the campaign: on a cluster
// they can be forgotten alone.
func (s *Store) Relist(ctx context.Context, name string) error { return s.index(ctx, name, false) }

// Active lists the names of the campaigns that the feeder looks at.
func (s *Store) Active(ctx context.Context) ([]string, error) {
	names, err := s.rdb.SMembers(ctx, activeKey).Result()
	if err != nil {
		return nil, fmt.Errorf("list the active campaigns: %w", err)
	}
	return names, nil
}

// Retire lets an ended campaign that waits for nobody run out, the rows after 90 days
// and the rest after 400, and takes it off the feeder's list. It reports whether it did.
func (s *Store) Retire(ctx context.Context, name string) (bool, error) {
	done, err := s.retire(ctx, name)
	if err != nil || !done {
		return false, err
	}
	if err := s.rdb.SRem(ctx, activeKey, enqueue.CanonicalID(name)).Err(); err != nil {
		return false, fmt.Errorf("campaign %s: take it off the list: %w", name, err)
	}
	// It may have been loaded again before its name was taken away.
	if done, err = s.retire(ctx, name); err != nil || !done {
		return false, errors.Join(err, s.activate(ctx, name))
	}
	return true, nil
}

func (s *Store) retire(ctx context.Context, name string) (bool, error) {
	c, err := s.Find(ctx, name)
	if errors.Is(err, ErrNoCampaign) {
		return true, nil
	} else if err != nil {
		return false, err
	}
	done, err := retireScript.Run(ctx, s.rdb, s.keysOf(c), len(c.Loads), int(rowsKept.Seconds()), int(restKept.Seconds())).Bool()
	if err != nil {
		return false, fmt.Errorf("campaign %s: let it run out: %w", name, err)
	}
	return done, nil
}

// activate puts a campaign on the feeder's list.
func (s *Store) activate(ctx context.Context, name string) error {
	if err := s.rdb.SAdd(ctx, activeKey, enqueue.CanonicalID(name)).Err(); err != nil {
		return fmt.Errorf("campaign %s: put it on the feeder's list: %w", name, err)
	}
	return nil
}

// Mend puts campaigns on the feeder's list that are not and should be: whoever loaded
// one may have died before. Names of which there is no campaign any more are forgotten.
func (s *Store) Mend(ctx context.Context) error {
	names, err := s.rdb.ZRangeWithScores(ctx, campaignsKey, 0, -1).Result()
	if err != nil {
		return fmt.Errorf("list the campaigns: %w", err)
	}
	if len(names) == 0 {
		return nil
	}
	pipe := s.rdb.Pipeline()
	replies := make([]*redis.SliceCmd, len(names))
	for i, z := range names {
		name, _ := z.Member.(string)
		replies[i] = pipe.HMGet(ctx, campaignKey(name), fieldState, fieldRetired)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("look at the campaigns: %w", err)
	}
	for i, z := range names {
		name, _ := z.Member.(string)
		switch values := replies[i].Val(); {
		case values[0] == nil && time.Since(time.UnixMilli(int64(z.Score))) > 2*stageLife: // nobody can be loading it any more
			if err := s.rdb.ZRem(ctx, campaignsKey, name).Err(); err != nil {
				return fmt.Errorf("campaign %s: forget its name: %w", name, err)
			}
		case values[0] != nil && values[1] == nil:
			if err := s.activate(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}
