package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"example.com/topup/worker"
)

// opened is a Redis that answered.
type opened struct {
	rdb   redis.UniversalClient
	url   string // for other processes; holds no password
	epoch string // see [enqueue.LedgerConfig.Epoch]
	// password is what new connections show; nil where it cannot change while the process runs.
	password *atomic.Pointer[string]
	close    func()
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
	target, err := s.redisAddress(address)
	if err != nil {
		stop()
		return nil, err
	}
	password := target.follow(s)
	rdb := target.client()
	o := &opened{rdb: rdb, url: target.String(), password: password, close: func() {
		_ = rdb.Close() // nothing is left to lose
		stop()
	}}
	if err := rdb.Ping(ctx).Err(); err != nil {
		o.close()
		return nil, &exitError{exitUnreachable, fmt.Errorf("redis at %s does not answer: %w", o.url, err)}
	}
	nodes, err := readNodes(ctx, rdb)
	if err != nil {
		o.close()
		return nil, fmt.Errorf("ask redis at %s for its run_id: %w", o.url, err)
	}
	o.epoch = epochOf(nodes)
	return o, nil
}

// follow lets connections show the password that counts when they are made, where it
// stands in a file. Those that are there already need none.
func (a *redisAddress) follow(s Settings) *atomic.Pointer[string] {
	if s.RedisPassFile == "" {
		return nil
	}
	current, user := new(atomic.Pointer[string]), a.options.Username
	current.Store(&s.RedisPassword)
	a.options.CredentialsProviderContext = func(context.Context) (string, string, error) { return user, *current.Load(), nil }
	return current
}

// redisAddress reads the URL and completes it by what the other settings say.
func (s *Settings) redisAddress(text string) (*redisAddress, error) {
	target, err := parseRedisURL(text)
	if err != nil {
		return nil, usage(fmt.Errorf("REDIS_URL: %w", err))
	}
	if s.RedisPassword != "" {
		if target.options.Password != "" {
			return nil, usage(errors.New("REDIS_PASSWORD: REDIS_URL has a password already: keep one"))
		}
		target.options.Password = s.RedisPassword
	}
	if s.SentinelPassword != "" {
		if target.kind != sentinelRedis {
			return nil, usage(errors.New("REDIS_SENTINEL_PASSWORD: REDIS_URL asks no Sentinels (use redis-sentinel://)"))
		}
		target.sentinelPassword = s.SentinelPassword
	}
	worker.SizePool(target.options, s.InFlight)
	return target, nil
}

// epochOf is empty where every server shows its run_id. Another one (miniredis, or a
// service that hides it) gets a name that is the same for every process.
func epochOf(nodes []redisNode) string {
	for _, n := range nodes {
		if n.info["run_id"] == "" {
			return "memory"
		}
	}
	return ""
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
	nodes, err := readNodes(ctx, o.rdb)
	if err != nil {
		return fmt.Errorf("ask redis at %s how it keeps what it was told: %w", o.url, err)
	}
	for _, warning := range everyNode(nodes, redisNode.weak) {
		log.Warn("this Redis can lose submissions", "why", warning)
	}
	faults := everyNode(nodes, redisNode.forgetful)
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
