package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// breaker puts an operator on hold that was down several times in a row:
//
//	closed ──after refusals in a row──▶ open ──Next──▶ half-open: one job goes through
//	   ▲                                 ▲                          │
//	   └─────────────accepted────────────┼──────────────────────────┤
//	                                     └────────refused again─────┘
//
// It is the fleet's: the row of refusals and the hold are in Redis. Other refusals
// say nothing about the operator and neither break the row nor add to it.
type breaker struct {
	rdb   redis.UniversalClient
	holds *Holds
	after int
}

// refused notes that an operator is down. A job whose operator is not known to
// the ledger says nothing: Reloadly does not name the operator in a refusal.
func (b breaker) refused(ctx context.Context, operatorID int64) error {
	if operatorID == 0 {
		return nil
	}
	scope := ScopeOperator(operatorID)
	pipe := b.rdb.Pipeline()
	count := pipe.HIncrBy(ctx, failingKey, scope, 1)
	pipe.Publish(ctx, holdsChannel, scope)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("breaker: %s: note a refusal: %w", scope, err)
	}
	b.holds.change(func(s *holdState) { s.failing[scope] = true })
	if count.Val() < int64(b.after) {
		return nil
	}
	return b.holds.Place(ctx, Hold{Scope: scope, Reason: enqueue.OperatorUnavailable})
}

// accepted ends the row and closes the breaker. It costs nothing where the
// operator was well.
func (b breaker) accepted(ctx context.Context, operatorID int64) error {
	scope := ScopeOperator(operatorID)
	if operatorID == 0 || !b.holds.isFailing(scope) {
		return nil
	}
	if err := b.rdb.HDel(ctx, failingKey, scope).Err(); err != nil {
		return fmt.Errorf("breaker: %s: end the row of refusals: %w", scope, err)
	}
	b.holds.change(func(s *holdState) { delete(s.failing, scope) })
	return b.holds.lift(ctx, scope, false)
}

// through asks whether the job is the one that tries the operator out.
func (b breaker) through(ctx context.Context, hold Hold) (wait time.Duration, err error) {
	wait, err = b.holds.claimProbe(ctx, hold.Scope)
	return max(0, wait), err
}
