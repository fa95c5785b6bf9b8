package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// clockLimit is by how much two clocks may differ; the ledger counts on it.
const clockLimit = 2 * time.Second

// serious is what has to be done before real money moves, and what is worth knowing before.
func (d *doctor) serious() verdict {
	if d.settings.live() {
		return fix
	}
	return note
}

func (d *doctor) checkRedis(ctx context.Context) finding {
	switch {
	case d.settings.RedisURL == "memory://":
		return found(fix, "REDIS_URL is memory://, which lives in one process alone: give a Redis, or take the one that topup dev prints")
	case d.rdb == nil:
		_, err := d.settings.redisAddress(d.settings.RedisURL)
		return found(fix, "%v", err)
	}
	start := time.Now()
	if err := d.rdb.Ping(ctx).Err(); err != nil {
		hint := "is it running, and are address and password right?"
		if d.address.kind == sentinelRedis {
			hint = "do the Sentinels answer, do they know " + d.address.master + ", and can it be reached at the address that they tell?"
		}
		return found(fix, "%s does not answer (%s): %v", d.address, hint, cause(ctx, err))
	}
	took := time.Since(start)
	nodes, err := readNodes(ctx, d.rdb)
	if err != nil || len(nodes) == 0 {
		return found(fix, "%s does not describe itself: %v", d.address, err)
	}
	d.nodes = nodes
	d.ledger = enqueue.NewLedger(d.rdb, d.settings.ledger(epochOf(nodes)))
	servers := "one server"
	if len(nodes) > 1 {
		servers = fmt.Sprintf("%d masters", len(nodes))
	}
	if cluster, ok := d.rdb.(*redis.ClusterClient); ok {
		if info, err := cluster.ClusterInfo(ctx).Result(); err != nil || !strings.Contains(info, "cluster_state:ok") {
			return found(fix, "%s is not whole: see CLUSTER INFO (%v)", d.address, err)
		}
	}
	return found(good, "%s answers in %v (%s)", d.address, took.Round(10*time.Microsecond), servers)
}

// cause says "no answer in time" where a check's own time was up.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("no answer in time")
	}
	return err
}

func (d *doctor) checkVersion(context.Context) finding {
	worst, texts := good, map[string]bool{}
	for _, n := range d.nodes {
		version := n.info["redis_version"]
		major, rest, _ := strings.Cut(version, ".")
		minor, _, _ := strings.Cut(rest, ".")
		a, _ := strconv.Atoi(major)
		b, _ := strconv.Atoi(minor)
		switch {
		case version == "":
			return found(d.serious(), "Redis does not show its version: it has to be 6.2 or later")
		case a < 6 || a == 6 && b < 2:
			worst = fix
		case a == 6 && worst == good:
			worst = note
		}
		texts[version] = true
	}
	all := strings.Join(sortedKeys(texts), ", ")
	switch worst {
	case fix:
		return found(fix, "Redis %s: 6.2 or later is needed", all)
	case note:
		return found(note, "Redis %s works; 7 or later is what the tests run on", all)
	default:
		return found(good, "Redis %s", all)
	}
}

func (d *doctor) checkPersistence(ctx context.Context) finding {
	broken := everyNode(d.nodes, func(n redisNode) []string {
		var faults []string
		for _, field := range []string{"aof_last_write_status", "aof_last_bgrewrite_status"} {
			if status := n.info[field]; status != "" && status != "ok" {
				faults = append(faults, field+" is "+status+": look at disk space and at Redis' log")
			}
		}
		return faults
	})
	if len(broken) > 0 {
		return found(fix, "%s", strings.Join(broken, "; "))
	}
	faults := everyNode(d.nodes, func(n redisNode) []string { return without(n.forgetful(), "maxmemory") })
	if len(faults) > 0 {
		return found(d.serious(), "%s", strings.Join(faults, "; "))
	}
	if refusing := d.refusing(ctx); len(refusing) > 0 {
		return found(d.serious(), "%s: Redis before 8.4.4 refuses each transaction of its append-only file when it starts again, and has forgotten what was paid "+
			"(redis#14541): ACL SETUSER default off resetpass allkeys allchannels +@all, here and in its file", strings.Join(refusing, "; "))
	}
	weak := everyNode(d.nodes, func(n redisNode) []string { return without(n.weak(), "replicas") })
	if len(weak) > 0 {
		return found(note, "%s", strings.Join(weak, "; "))
	}
	return found(good, "append-only file, appendfsync always, last write ok")
}

// refusing asks each server whether it would read all of its file: it does that as the
// user default, whose rights it checks in transactions, and a script's writes are one. A
// server that does not tell is none of them.
func (d *doctor) refusing(ctx context.Context) []string {
	var mu sync.Mutex
	answers := map[string]string{}
	_ = eachServer(ctx, d.rdb, func(ctx context.Context, c *redis.Client) error { // what does not answer does not tell
		text, err := c.Do(ctx, "ACL", "DRYRUN", "default", "HSET", "topup:{s00}:job:doctor", "state", "queued").Text()
		mu.Lock()
		defer mu.Unlock()
		if err == nil && text != "OK" {
			answers[c.Options().Addr] = text
		}
		return nil
	})
	return everyNode(d.nodes, func(n redisNode) []string {
		if answers[n.addr] == "" || replaysAll(n.info["redis_version"]) {
			return nil
		}
		return []string{"its user default has not all rights"}
	})
}

// replaysAll says that a version reads its file whatever its users may.
func replaysAll(version string) bool {
	var major, minor, patch int
	_, _ = fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch) // what cannot be read is 0
	return major > 8 || major == 8 && (minor > 4 || minor == 4 && patch >= 4)
}

// without leaves out the texts that another check has.
func without(texts []string, word string) []string {
	var kept []string
	for _, text := range texts {
		if !strings.Contains(text, word) {
			kept = append(kept, text)
		}
	}
	return kept
}

func (d *doctor) checkEviction(context.Context) finding {
	faults := everyNode(d.nodes, func(n redisNode) []string {
		switch policy := n.info["maxmemory_policy"]; policy {
		case "noeviction":
			return nil
		case "":
			return []string{"it does not show its maxmemory-policy, which has to be noeviction"}
		default:
			return []string{"maxmemory-policy is " + policy + ", which deletes records of top-ups: set noeviction"}
		}
	})
	if len(faults) > 0 {
		return found(d.serious(), "%s", strings.Join(faults, "; "))
	}
	return found(good, "noeviction")
}

func (d *doctor) checkMemory(context.Context) finding {
	worst := good
	texts := everyNode(d.nodes, func(n redisNode) []string {
		used, limit, name := number(n.info["used_memory"]), number(n.info["maxmemory"]), "of maxmemory"
		if limit == 0 {
			limit, name = number(n.info["total_system_memory"]), "of the machine, no maxmemory"
		}
		if used == 0 || limit == 0 {
			worst = worse(worst, note)
			return []string{"not shown"}
		}
		part := used / limit
		text := fmt.Sprintf("%.0f MiB used, %.0f %% %s", used/(1<<20), 100*part, name)
		switch {
		case part > 0.9:
			worst = fix
			text += ": give it more before it refuses jobs"
		case part >= 0.7: // as the alert
			worst = worse(worst, note)
		}
		return []string{text}
	})
	return found(worst, "%s", strings.Join(texts, "; "))
}

// worse is fix before note before ok.
func worse(a, b verdict) verdict {
	if a == fix || b == good {
		return a
	}
	return b
}

func number(text string) float64 {
	n, _ := strconv.ParseFloat(text, 64) // what is not shown is 0
	return n
}

func (d *doctor) checkReplicas(context.Context) finding {
	refusing := everyNode(d.nodes, func(n redisNode) []string {
		switch {
		case n.info["role"] == "slave":
			return []string{"it is a replica, which takes no writes: give the primary's address, or make this one the primary"}
		case n.info["min_slaves_good_slaves"] == "0":
			return []string{"none keeps up, and with min-replicas-to-write it takes no writes: see to the replicas"}
		}
		return nil
	})
	if len(refusing) > 0 {
		return found(fix, "%s", strings.Join(refusing, "; "))
	}
	unheeded := everyNode(d.nodes, func(n redisNode) []string {
		if !n.unheeded() {
			return nil
		}
		return []string{"min-replicas-to-write is 0: set 1, or a server cut off from its replicas goes on taking jobs that a failover takes back"}
	})
	if len(unheeded) > 0 {
		return found(note, "%s", strings.Join(unheeded, "; "))
	}
	seen := good
	texts := everyNode(d.nodes, func(n redisNode) []string {
		if n.info["connected_slaves"] == "" {
			seen = note
			return []string{"not shown"}
		}
		return []string{n.info["connected_slaves"] + " connected"}
	})
	return found(seen, "%s", strings.Join(texts, "; "))
}

func (d *doctor) checkRedisClock(ctx context.Context) finding {
	var mu sync.Mutex
	worst := finding{}
	err := eachServer(ctx, d.rdb, func(ctx context.Context, c *redis.Client) error {
		before := time.Now()
		clock, err := c.Time(ctx).Result()
		f := judgeClock(d.whose(c), before, time.Now(), clock, clock)
		mu.Lock()
		defer mu.Unlock()
		if worst.Verdict != fix {
			worst = f
		}
		return err
	})
	if err != nil {
		return found(fix, "Redis does not tell the time: %v", cause(ctx, err))
	}
	return worst
}

// whose names a server where there are several.
func (d *doctor) whose(c *redis.Client) string {
	if len(d.nodes) > 1 {
		return c.Options().Addr
	}
	return "Redis"
}

// judgeClock compares this machine's clock with one that stood between from and to
// when it was read, between before and after.
func judgeClock(whose string, before, after, from, to time.Time) finding {
	var off time.Duration
	switch {
	case to.Before(before):
		off = to.Sub(before)
	case from.After(after):
		off = from.Sub(after)
	}
	if off.Abs() > clockLimit {
		word := "ahead of"
		if off < 0 {
			word = "behind"
		}
		return found(fix, "%s is %v %s this machine: synchronize the clocks (NTP)", whose, off.Abs().Round(100*time.Millisecond), word)
	}
	return found(good, "less than %v from this machine's", clockLimit)
}
