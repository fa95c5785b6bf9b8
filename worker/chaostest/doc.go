// Command chaostest looks for a top-up that is paid twice or lost. It is no part of
// the topup binary.
//
// Everything in a run is real: a redis-server of its own with an append-only file,
// several `topup worker` processes built from this tree, the simulator of Reloadly in
// a process of its own with its fsynced ledger, producers that submit, repeat and
// conflict, and a TCP proxy on each way between them. A schedule drawn from a seed
// kills and hurts all of it; then everything is left in peace until no job is open
// any more, and an oracle compares what the jobs say with what was executed.
//
// For most uses run it by make:
//
//	make chaos                     about five minutes: 2,000 jobs, 100 worker kills, …
//	make chaos-short               about two minutes: three small runs, every control
//	make chaos-campaign            about ten minutes: 1,500 rows of campaigns, three times
//	make chaos-long                a night: 10,000 jobs for each of ten seeds
//	make chaos ARGS='-seed 17'     the schedule of an earlier run again
//	make chaos ARGS='-control list'
//
// Four more runs have no schedule but one question each:
//
//	make crash                     a process dies at each named point of ledger and handler
//	make crash ARGS='-async yes'   the same with POST /topups-async
//	make recovery                  how soon does a job go on, at default settings?
//	make balance                   how much meets an account that has run dry?
//	make soak                      does anything grow in twenty minutes?
//
// The seed fixes the schedule, the jobs and the simulator's faults; which request is
// under way when a process dies is up to the machine, so a seed repeats the pressure
// and not every step.
//
// # The files in the order of a run
//
//	settings.go   how large a run is, and the times that its scale gives
//	world.go      one run: start, hurt, leave in peace, judge
//	process.go    processes that die with this one
//	redis.go      redis-server, and what can be done to its append-only file
//	simulator.go  Reloadly's stand-in as a process, its latency and its journal
//	fleet.go      the workers: killed, stopped, ended, started again
//	proxy.go      a TCP proxy that delays, swallows replies and resets
//	producer.go   the callers: they submit until it is acknowledged, and repeat
//	organiser.go  the callers of a run of campaigns: they load, pause, cancel, and read
//	schedule.go   what happens when, drawn from the seed
//	trouble.go    how it is done
//	books.go      the simulator's ledger and journal, read by code of our own
//	oracle.go     the checks
//	campaign.go   those of campaigns
//	audit.go      the product's own comparison of the books, which must find nothing
//	report.go     what is printed, and the story of each job that broke a check
//	controls.go   runs with one guard taken out, which the oracle must catch
//
// Those of the runs without a schedule:
//
//	stage.go      a Redis and a simulator on which nothing happens by itself
//	caller.go     a caller in a process of its own, which can be killed
//	crash.go      the named points at which processes kill themselves
//	recovery.go   from a kill or a lost answer to the POST or the result, in real time
//	balance.go    POSTs after the first refusal for want of money
//	soak.go       a worker that counts its goroutines and its memory
//
// # Time
//
// Every wait of workers, ledger and simulator is multiplied by one factor, 1/200 when
// nothing is said: ten minutes of settling are three seconds, the 90 s of a POST are
// 0.45 s. What asynq counts in whole seconds (its scheduler, its leases of 30 s) stays as
// it is: that makes a run slower and asks more of the guards, not less.
//
// The simulator stays inside what the promise assumes (see the doc of package
// worker): a top-up can be executed up to 0.4 settle times after its client has gone,
// and it shows in the report at most 0.2 later. The scenario late-report breaks that.
//
// # What counts as lost
//
// A submission that was acknowledged must be in the ledger at the end. Where the run
// itself took writes away (it cut the file's tail or put an old copy back), jobs
// acknowledged inside that window may be gone; the producers then submit everything
// again, as producers do that know of it. Such a job is counted as "made again", and
// is a violation when its acknowledgement lies outside every window. A kill of Redis
// takes nothing away: the file is synced before each answer.
package main
