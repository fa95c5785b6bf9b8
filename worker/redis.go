package worker

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// ownClient is a connection pool for asynq alone, with the repair of its lost
// acknowledgements; handlers keep theirs, whose cancellations are real.
func ownClient(rdb redis.UniversalClient) (redis.UniversalClient, func()) {
	var own redis.UniversalClient
	switch c := rdb.(type) {
	case *redis.Client:
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
	known := w.runID(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sweep.C:
		case <-look.C:
			seen := w.runID(ctx)
			if seen == "" || seen == known {
				continue
			}
			if known != "" {
				w.log.WarnContext(ctx, "Redis restarted: jobs are looked up before they are sent", "settle", w.ledger.Config().Settle)
			}
			known = seen
		}
		if err := w.ledger.Open(ctx); err != nil && ctx.Err() == nil {
			w.log.WarnContext(ctx, "Redis cannot be noted; the next look tries again", "error", err)
			known = ""
		}
	}
}

// runID names the Redis process where there is one alone that shows it; empty else.
func (w *Worker) runID(ctx context.Context) string {
	rdb, single := w.cfg.Redis.(*redis.Client)
	if !single || w.cfg.Ledger.Epoch != "" {
		return ""
	}
	info, err := rdb.Info(ctx, "server").Result()
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(info, "run_id:")
	id, _, _ := strings.Cut(rest, "\r\n")
	return id
}
