// Package metrics shows what a worker does, and what is in Redis, to Prometheus.
//
// For most uses: [New], give [Metrics.Call], [Metrics.Change] and [Metrics.ArchivedTask] to the
// client of Reloadly and to the worker, and run [Metrics.Serve] on a listener of its own. A
// process without a worker (the HTTP API) does without the three.
//
// # Two kinds
//
// Counters and the histogram are of this process: sum them over the fleet. What comes from
// Redis (jobs, holds, reviews, the balance, asynq's queues, memory) is the same in every
// process: take the max of it. One process of the fleet surveys Redis at a time, the others
// read what it found, so that a larger fleet costs Redis no more; a scrape costs it nothing.
// While 100,000 jobs wait a survey takes 0.4 s and 0.16 s of Redis' core, and is taken every
// 8 s; a scrape takes 1 ms (go test -run '^$' -bench Scrape ./worker/metrics, two cores).
// Where Redis does not answer, topup_redis_up is 0 and what comes from it is left out.
//
// # What never gets out
//
// No label has a phone number, a job's id, a campaign's name or a provider's code. Each has a
// bounded set of values, and what is not in it is shown as "other".
//
// Amounts of money are floats here, because Prometheus has nothing else: they are for
// watching, and nothing is decided by them.
package metrics
