package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
)

// PauseCampaign stops a campaign: nothing of it is sent from within a second on but
// what is being sent already. who signs the hold. It can be repeated.
func PauseCampaign(ctx context.Context, rdb redis.UniversalClient, name, who string) error {
	store := campaign.NewStore(rdb)
	if err := holdCampaign(ctx, store, rdb, name, who); err != nil {
		return err
	}
	// Whoever dies here has stopped it as well: a campaign on hold is not fed.
	return store.Pause(ctx, name)
}

// ResumeCampaign lets a paused campaign go on; what waits is woken up by the feeder. It can
// be repeated.
func ResumeCampaign(ctx context.Context, rdb redis.UniversalClient, name string) error {
	store := campaign.NewStore(rdb)
	// In this order nothing is sent of a campaign that says that it is paused.
	if err := store.Resume(ctx, name); err != nil {
		return err
	}
	return NewHolds(rdb, HoldConfig{}).Lift(ctx, ScopeCampaign(enqueue.CanonicalID(name)))
}

// CancelCampaign ends a campaign for good: what was not sent is cancelled, what is being
// sent or may have been goes on to its end. It can be repeated; where it is killed the feeder
// goes on with it.
func CancelCampaign(ctx context.Context, rdb redis.UniversalClient, jobs *enqueue.Client, name, who string) error {
	store := campaign.NewStore(rdb)
	c, err := store.Find(ctx, name)
	if err != nil {
		return err
	}
	if c.State == campaign.Cancelled && !c.Ended.IsZero() {
		return nil
	}
	if err := holdCampaign(ctx, store, rdb, name, who); err != nil {
		return err
	}
	if err := store.Cancel(ctx, name); err != nil {
		return err
	}
	st, err := store.Standing(ctx, name)
	if err != nil {
		return err
	}
	if err := withdrawOpen(ctx, store, jobs, st); err != nil {
		return err
	}
	if st, err = store.Standing(ctx, name); err != nil || len(st.Open) > 0 {
		return err // the feeder lifts the hold when the last of them has ended
	}
	return NewHolds(rdb, HoldConfig{}).Lift(ctx, ScopeCampaign(enqueue.CanonicalID(name)))
}

// holdCampaign keeps what was handed over from being sent.
func holdCampaign(ctx context.Context, store *campaign.Store, rdb redis.UniversalClient, name, who string) error {
	c, err := store.Find(ctx, name)
	if err != nil {
		return err
	}
	if c.State == campaign.Cancelled && !c.Ended.IsZero() {
		return fmt.Errorf("campaign %s: %w", name, campaign.ErrCancelled)
	}
	return NewHolds(rdb, HoldConfig{Who: who}).Place(ctx, Hold{Scope: ScopeCampaign(enqueue.CanonicalID(name)), Reason: enqueue.Paused})
}

// withdrawOpen cancels the jobs that still wait, and counts them. Each is submitted
// once more before: a row that was taken and not submitted yet gets a job that is cancelled, which
// refuses whoever is about to submit it, and the job of somebody else is left alone.
func withdrawOpen(ctx context.Context, store *campaign.Store, jobs *enqueue.Client, st *campaign.Standing) error {
	numbers := make([]int, len(st.Open))
	for i, open := range st.Open {
		numbers[i] = open.Row
	}
	rows, err := store.Rows(ctx, st.Campaign, numbers)
	if err != nil {
		return err
	}
	list := make([]enqueue.TopUp, len(numbers))
	for i, number := range numbers {
		list[i] = rows[number].TopUp(st.Campaign.Name)
	}
	var settled []campaign.Settled
	var waiting []campaign.Open
	var ids []string
	for i, a := range jobs.TopUps(ctx, list) {
		end, err := refusal(st.Open[i], a)
		switch {
		case errors.Is(err, enqueue.ErrDamaged):
			settled = append(settled, setAside(st.Open[i]))
		case err != nil:
			return err
		case end != nil:
			settled = append(settled, *end)
		case a.Result.State == enqueue.Queued:
			waiting, ids = append(waiting, st.Open[i]), append(ids, list[i].ID)
		}
	}
	for i, err := range jobs.CancelMany(ctx, ids) {
		if err == nil {
			settled = append(settled, campaign.Settled{Open: waiting[i], State: enqueue.Cancelled})
		} else if !errors.Is(err, enqueue.ErrNotCancellable) {
			return err
		}
	}
	return store.Settle(ctx, st.Campaign.Name, settled)
}
