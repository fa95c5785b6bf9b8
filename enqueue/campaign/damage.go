package campaign

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// CodeDamaged is the code of a row whose job's record cannot be read.
const CodeDamaged = "DAMAGED"

// Damaged reports whether an error about one job is of its record, so that a person has to
// see to it, and not of Redis or the way to it. An error that is not known counts as the
// record's: whoever decides by it looks again before, and after.
func Damaged(err error) bool {
	if err == nil {
		return false
	}
	for _, other := range []error{
		enqueue.ErrNotFound, enqueue.ErrExpired, enqueue.ErrConflict, enqueue.ErrInvalid,
		context.Canceled, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
		redis.ErrClosed, redis.ErrPoolTimeout, redis.ErrPoolExhausted,
	} {
		if errors.Is(err, other) {
			return false
		}
	}
	if _, ok := errors.AsType[redis.Error](err); ok {
		return false
	}
	_, ok := errors.AsType[net.Error](err)
	return !ok
}

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
		if Damaged(a.Err) {
			of[i].Err = a.Err
		}
	}
}
