package campaign

import (
	"context"
	"errors"

	"example.com/topup/enqueue"
)

// CodeDamaged is the code of a row whose job's record cannot be read.
const CodeDamaged = "DAMAGED"

// setAside looks closer at rows in review whose jobs do not say that they are: it was their
// records that brought them there, if those cannot be read as a whole.
func setAside(ctx context.Context, client *enqueue.Client, review []enqueue.Glance) {
	var ids []string
	var of []*enqueue.Glance
	for i := range review {
		if g := &review[i]; g.Err == nil && !g.Missing && g.State != enqueue.NeedsReview {
			ids, of = append(ids, g.ID), append(of, g)
		}
	}
	for i, a := range client.GetMany(ctx, ids) {
		if errors.Is(a.Err, enqueue.ErrDamaged) {
			of[i].Err = a.Err
		}
	}
}
