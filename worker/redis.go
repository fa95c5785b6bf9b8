package worker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// failoverAddr is what go-redis has for an address where Sentinels name the server.
const failoverAddr = "FailoverClient"

// ownClient is a client for asynq alone, with the repair of its lost
// acknowledgements; handlers keep theirs, whose cancellations are real. It has a
// connection pool of its own, except behind Sentinels: the pool that [redis.NewFailoverClient]
// made is the one that lets go of a primary that was replaced.
func ownClient(rdb redis.UniversalClient) (redis.UniversalClient, func()) {
	var own redis.UniversalClient
	switch c := rdb.(type) {
	case *redis.Client:
		if c.Options().Addr == failoverAddr {
			shared := c.WithTimeout(c.Options().ReadTimeout)
			shared.AddHook(Uncancel{})
			return shared, func() {}
		}
		options := *c.Options()
		options.PushNotificationProcessor, options.MaintNotificationsConfig = nil, fresh(options.MaintNotificationsConfig)
		own = redis.NewClient(&options)
	case *redis.ClusterClient:
		options := *c.Options()
		options.MaintNotificationsConfig = fresh(options.MaintNotificationsConfig)
		own = redis.NewClusterClient(&options)
	default:
		return rdb, func() {}
	}
	own.AddHook(Uncancel{})
	return own, func() { _ = own.Close() } // nothing is left to lose
}

// SizePool sets what a worker's connections to Redis cost: a job uses one for a
// few round trips alone, and what it reads and writes is short.
func SizePool(o *redis.Options, inFlight int) {
	o.PoolSize = max(32, inFlight/8)
	o.ReadBufferSize, o.WriteBufferSize = 8<<10, 8<<10
	o.PipelineReadBufferSize, o.PipelineWriteBufferSize = 32<<10, 32<<10
}

// fresh is a copy without what the client of the original has filled in.
func fresh(cfg *maintnotifications.Config) *maintnotifications.Config {
	if cfg == nil {
		return nil
	}
	return &maintnotifications.Config{Mode: cfg.Mode}
}

// watchRedis sees to it that a Redis that restarted, or that forgot everything, is
// noted before its jobs are touched: at once where the process shows another run_id,
// and with the sweeps in any case.
func (w *Worker) watchRedis(ctx context.Context) error {
	look, sweep := time.NewTicker(w.cfg.scaled(time.Second)), time.NewTicker(w.cfg.scaled(30*time.Second))
	defer look.Stop()
	defer sweep.Stop()
	known, noted := w.runID(ctx), true
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sweep.C:
		case <-look.C:
			seen := w.runID(ctx)
			if seen == "" || seen == known && noted {
				continue
			}
			if known != "" && seen != known {
				w.log.WarnContext(ctx, "Redis restarted: jobs are looked up before they are sent", "settle", w.ledger.Config().Settle)
			}
			known = seen
		}
		err := w.ledger.Open(ctx)
		if noted = err == nil; !noted && ctx.Err() == nil {
			w.log.WarnContext(ctx, "Redis cannot be noted; the next look tries again", "error", err)
		}
	}
}

// runID names the Redis processes that hold jobs where all of them show it; empty else.
func (w *Worker) runID(ctx context.Context) string {
	if w.cfg.Ledger.Epoch != "" {
		return ""
	}
	var mu sync.Mutex
	var all []string
	note := func(ctx context.Context, c *redis.Client) error {
		info, err := c.Info(ctx, "server").Result()
		_, rest, shown := strings.Cut(info, "run_id:")
		if err == nil && !shown {
			err = errNoRunID
		}
		id, _, _ := strings.Cut(rest, "\r\n")
		mu.Lock()
		defer mu.Unlock()
		all = append(all, id)
		return err
	}
	var err error
	switch c := w.cfg.Redis.(type) {
	case *redis.Client:
		err = note(ctx, c)
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, note)
	default:
		return ""
	}
	if err != nil {
		return ""
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

var errNoRunID = errors.New("run_id is not shown")
