package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// redisNode is one server that holds jobs, as it describes itself.
type redisNode struct {
	addr string
	info map[string]string // INFO; empty where it is closed
	// appendfsync is empty where CONFIG is closed, as on many managed services.
	appendfsync string
}

// readNodes asks every server that holds jobs: each master of a cluster, or the one
// that there is. They are in the order of their addresses.
func readNodes(ctx context.Context, rdb redis.UniversalClient) ([]redisNode, error) {
	var mu sync.Mutex
	var nodes []redisNode
	read := func(ctx context.Context, c *redis.Client) error {
		node := redisNode{addr: c.Options().Addr, info: map[string]string{}}
		info, err := c.Info(ctx).Result()
		if err != nil && !closed(err) {
			return fmt.Errorf("%s: %w", node.addr, err)
		}
		for line := range strings.Lines(info) {
			if name, value, found := strings.Cut(strings.TrimSpace(line), ":"); found {
				node.info[name] = value
			}
		}
		config, err := c.ConfigGet(ctx, "appendfsync").Result()
		if err != nil && !closed(err) {
			return fmt.Errorf("%s: %w", node.addr, err)
		}
		node.appendfsync = config["appendfsync"]
		mu.Lock()
		defer mu.Unlock()
		nodes = append(nodes, node)
		return nil
	}
	err := eachServer(ctx, rdb, read)
	slices.SortFunc(nodes, func(a, b redisNode) int { return strings.Compare(a.addr, b.addr) })
	return nodes, err
}

// eachServer calls f for every server that holds jobs, for several at once.
func eachServer(ctx context.Context, rdb redis.UniversalClient, f func(context.Context, *redis.Client) error) error {
	switch c := rdb.(type) {
	case *redis.Client:
		return f(ctx, c)
	case *redis.ClusterClient:
		return c.ForEachMaster(ctx, f)
	default:
		return fmt.Errorf("a Redis client of type %T", rdb)
	}
}

// closed tells a Redis that refuses a command from one that did not answer, which
// must not look like a Redis without that property.
func closed(err error) bool {
	var refused redis.Error
	return errors.As(err, &refused) && !redisAway(err)
}

// forgetful is what of a server can make it forget what was sent.
func (n redisNode) forgetful() []string {
	var faults []string
	if n.info["run_id"] == "" {
		faults = append(faults, "it does not show its run_id, so that a restart cannot be noticed")
	}
	if n.info["role"] == "slave" {
		faults = append(faults, "it is a replica")
	}
	if n.info["aof_enabled"] != "1" {
		faults = append(faults, "it has no append-only file (appendonly yes)")
	}
	if n.info["maxmemory_policy"] != "noeviction" {
		faults = append(faults, "it may evict records (maxmemory-policy noeviction)")
	}
	return faults
}

// weak is what makes a server lose more than it has to, and never pay twice.
func (n redisNode) weak() []string {
	var warnings []string
	if n.appendfsync != "always" {
		warnings = append(warnings, "appendfsync is not always: a power cut can lose submissions acknowledged in the last second, never pay one twice")
	}
	if n.unheeded() {
		warnings = append(warnings, "it has replicas and min-replicas-to-write is 0: cut off from them it goes on taking jobs that a failover takes back")
	}
	return warnings
}

// unheeded says that the server goes on writing without its replicas. INFO has the
// last of these fields only where min-replicas-to-write is set.
func (n redisNode) unheeded() bool {
	_, heeded := n.info["min_slaves_good_slaves"]
	return n.info["connected_slaves"] != "" && n.info["connected_slaves"] != "0" && !heeded
}

// everyNode puts together what was found of each server; the address stands before
// it where there are several.
func everyNode(nodes []redisNode, find func(redisNode) []string) []string {
	var all []string
	for _, n := range nodes {
		for _, text := range find(n) {
			if len(nodes) > 1 {
				text = n.addr + ": " + text
			}
			all = append(all, text)
		}
	}
	return all
}
