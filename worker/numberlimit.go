package worker

import (
	"context"
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
)

// overLimit reports whether the job's number has had its share of today. It comes
// before the claim, and a Redis that does not answer lets nothing through.
func (w *Worker) overLimit(ctx context.Context, r *enqueue.Record) (bool, error) {
	if !w.limit.Applies(r.TopUp.RecipientPhone) {
		return false, nil
	}
	answers, err := w.limit.Reserve(ctx, []campaign.Place{campaign.PlaceOf(r.TopUp, time.Now())})
	if err != nil {
		return false, err
	}
	return answers[0] == campaign.Refused, nil
}

// freePlace gives the number's place back, because the job was refused for good and
// nothing was paid. Where that fails the number waits until tomorrow, which is safe.
func (w *Worker) freePlace(ctx context.Context, r *enqueue.Record) {
	now := time.Now()
	places := []campaign.Place{campaign.PlaceOf(r.TopUp, now), campaign.PlaceOf(r.TopUp, now.Add(-24*time.Hour))}
	if err := w.limit.Release(ctx, places); err != nil {
		w.log.WarnContext(ctx, "a number has one top-up less today", "job", r.TopUp.ID, "error", err)
	}
}
