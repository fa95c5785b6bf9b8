package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"example.com/topup/worker"
)

// opened is a Redis that answered.
type opened struct {
	rdb   redis.UniversalClient
	url   string // for other processes; holds no password
	epoch string // see [enqueue.LedgerConfig.Epoch]
	close func()
}

// openRedis opens the Redis of the settings. memory:// is an address like the
// others: nothing outside this function knows that it is different.
func openRedis(ctx context.Context, s Settings) (*opened, error) {
	address, stop := s.RedisURL, func() {}
	if address == "memory://" {
		if s.live() {
			return nil, usage(errors.New("REDIS_URL: memory:// forgets what was paid when the process ends (give a Redis with the append-only file for RELOADLY_ENV=live)"))
		}
		m := miniredis.NewMiniRedis()
		m.ClockTTL(true) // otherwise nothing ever expires
		if err := m.Start(); err != nil {
			return nil, fmt.Errorf("start the Redis in memory: %w", err)
		}
		address, stop = "redis://"+m.Addr()+"/0", m.Close
	}
	options, err := redis.ParseURL(address)
	if err != nil {
		return nil, usage(errors.New("REDIS_URL: is not redis://host:port/0, rediss://host:port/0 or memory://"))
	}
	if s.RedisPassword != "" {
		if options.Password != "" {
			return nil, usage(errors.New("REDIS_PASSWORD: REDIS_URL has a password already: keep one"))
		}
		options.Password = s.RedisPassword
	}
	worker.SizePool(options, s.InFlight)
	rdb := redis.NewClient(options)
	o := &opened{rdb: rdb, url: redactURL(options), close: func() {
		_ = rdb.Close() // nothing is left to lose
		stop()
	}}
	if err := rdb.Ping(ctx).Err(); err != nil {
		o.close()
		return nil, &exitError{exitUnreachable, fmt.Errorf("redis at %s does not answer: %w", options.Addr, err)}
	}
	if o.epoch, err = epochOf(ctx, rdb); err != nil {
		o.close()
		return nil, fmt.Errorf("ask redis at %s for its run_id: %w", options.Addr, err)
	}
	return o, nil
}

// epochOf is empty for a Redis that shows its run_id. Another one (miniredis, or a
// service that hides it) gets a name that is the same for every process. A lost
// answer must not look like that: it would switch off the guard of a restarted Redis.
func epochOf(ctx context.Context, rdb redis.UniversalClient) (string, error) {
	info, err := rdb.Info(ctx, "server").Result()
	var refused redis.Error
	switch {
	case err == nil && strings.Contains(info, "run_id:"):
		return "", nil
	case err == nil || errors.As(err, &refused) && !redisAway(err):
		return "memory", nil
	default:
		return "", err
	}
}

func redactURL(o *redis.Options) string {
	scheme := "redis"
	if o.TLSConfig != nil {
		scheme = "rediss"
	}
	return fmt.Sprintf("%s://%s/%d", scheme, o.Addr, o.DB)
}

// openShared is openRedis for a command that talks to other processes.
func openShared(ctx context.Context, s Settings) (*opened, error) {
	if s.RedisURL == "memory://" {
		return nil, usage(errors.New("REDIS_URL: memory:// lives in one process alone (start topup dev and take the REDIS_URL that it prints, or give a Redis)"))
	}
	return openRedis(ctx, s)
}

// checkSafe refuses to move real money on a Redis that can forget it.
func checkSafe(ctx context.Context, o *opened, s Settings, log *slog.Logger) error {
	if !s.live() {
		return nil
	}
	var faults []string
	if o.epoch != "" {
		faults = append(faults, "it does not show its run_id, so that a restart cannot be noticed")
	}
	if info, err := o.rdb.Info(ctx, "persistence").Result(); err != nil || !strings.Contains(info, "aof_enabled:1") {
		faults = append(faults, "it has no append-only file (appendonly yes)")
	}
	if info, err := o.rdb.Info(ctx, "memory").Result(); err != nil || !strings.Contains(info, "maxmemory_policy:noeviction") {
		faults = append(faults, "it may evict records (maxmemory-policy noeviction)")
	}
	// CONFIG is closed on managed services; then everysec is what they have.
	if got, err := o.rdb.ConfigGet(ctx, "appendfsync").Result(); err != nil || got["appendfsync"] != "always" {
		log.Warn("appendfsync is not always: a power cut can lose submissions acknowledged in the last second, never pay one twice")
	}
	if len(faults) == 0 {
		return nil
	}
	problem := fmt.Errorf("this Redis can forget what was sent: %s", strings.Join(faults, "; "))
	if s.AcceptUnsafe {
		log.Warn("going live on an unsafe Redis, as told", "error", problem)
		return nil
	}
	return &exitError{exitGuard, fmt.Errorf("%w (use deploy/redis.conf, or --accept-unsafe-redis)", problem)}
}
