package enqueue

import (
	"fmt"
	"hash/fnv"
)

// Every key of the ledger stands here. A script touches the keys of one hash tag
// only, so the ledger runs on Redis Cluster too.

// shards is the number of hash tags over which jobs are spread.
const shards = 64

// shardOf is FNV-1a of the canonical id, modulo 64.
func shardOf(id string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(CanonicalID(id))) // a hash never fails
	return int(h.Sum32() % shards)
}

// jobKey is the record of a job (hash).
func jobKey(id string) string {
	return fmt.Sprintf("topup:{s%02d}:job:%s", shardOf(id), CanonicalID(id))
}

// tombKey remembers an ended job after its record has expired (string).
func tombKey(id string) string {
	return fmt.Sprintf("topup:{s%02d}:tomb:%s", shardOf(id), CanonicalID(id))
}

// dueKey holds id → the time in ms at which the sweeper looks at the job (zset):
// every job that is not final and does not wait for a person.
func dueKey(shard int) string { return fmt.Sprintf("topup:{s%02d}:due", shard) }

// reviewKey holds id → since when in ms a person has to decide (zset).
func reviewKey(shard int) string { return fmt.Sprintf("topup:{s%02d}:review", shard) }

// incarnationKey holds the Redis process that this shard last saw, and since
// when in ms (hash: now, seen, first).
func incarnationKey(shard int) string { return fmt.Sprintf("topup:{s%02d}:incarnation", shard) }

// SettledChannel carries the id of each job that became final or needs a person
// (pub/sub).
const SettledChannel = "topup:settled"
