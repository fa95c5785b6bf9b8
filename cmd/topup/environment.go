package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// environmentKey says which of Reloadly's environments pays the jobs of this Redis
// (string): the first worker writes it.
const environmentKey = "topup:environment"

// errEnvironment protects money from jobs that were a test, and a ledger from look-ups in the
// wrong place.
var errEnvironment = errors.New("the jobs of this Redis belong to another environment")

// keepEnvironment makes the Redis one of the settings' environment, unless it is the other's.
func keepEnvironment(ctx context.Context, rdb redis.UniversalClient, s Settings) error {
	if err := rdb.SetArgs(ctx, environmentKey, s.Environment, redis.SetArgs{Mode: "NX"}).Err(); err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("note the environment of this Redis: %w", err)
	}
	return sameEnvironment(ctx, rdb, s)
}

// sameEnvironment refuses what would mix play money with real money. A Redis that no worker
// has used yet is anybody's.
func sameEnvironment(ctx context.Context, rdb redis.UniversalClient, s Settings) error {
	its, err := rdb.Get(ctx, environmentKey).Result()
	switch {
	case errors.Is(err, redis.Nil), err == nil && its == s.Environment:
		return nil
	case err != nil:
		return fmt.Errorf("read the environment of this Redis: %w", err)
	default:
		return fmt.Errorf("%w: %s, and RELOADLY_ENV is %s (set RELOADLY_ENV=%s, or give %s a Redis of its own)", errEnvironment, its, s.Environment, its, s.Environment)
	}
}

// connectToPay is [app.connect] for what submits top-ups or asks Reloadly about them.
func (a *app) connectToPay(ctx context.Context) (*enqueue.Client, *opened, func(), error) {
	client, o, closeClient, err := a.connect(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := sameEnvironment(ctx, o.rdb, a.settings); err != nil {
		closeClient()
		return nil, nil, nil, err
	}
	return client, o, closeClient, nil
}

// checkEnvironment is doctor's line about it.
func (d *doctor) checkEnvironment(ctx context.Context) finding {
	err := sameEnvironment(ctx, d.rdb, d.settings)
	switch {
	case errors.Is(err, errEnvironment):
		return found(fix, "%v", err)
	case err != nil:
		return found(fix, "it cannot be read: %v", cause(ctx, err))
	default:
		return found(good, "the jobs of this Redis are not another environment's than %s", d.settings.Environment)
	}
}
