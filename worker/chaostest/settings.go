package main

import (
	"time"

	"example.com/topup/enqueue"
	"example.com/topup/worker"
)

// settings say how large a run is. What happens when is drawn from the seed.
type settings struct {
	Seed     uint64
	Jobs     int
	Workers  int
	Duration time.Duration // of the trouble; the drain comes after it
	Drain    time.Duration // at most
	Scale    float64
	InFlight int // POSTs under way in one worker

	Kills      int // worker: SIGKILL
	Ends       int // worker: SIGTERM
	Stops      int // worker: SIGSTOP for longer than the settle time
	RedisKills int // SIGKILL of Redis, nothing taken away
	Rollbacks  int // half of them cut the file's tail, half put an old copy back
	Rows       int // of two campaigns, instead of jobs that are submitted one by one
	Pauses     int // of the larger one; the other is cancelled half way
	Mischief   int // asynq's keys deleted, clients thrown out, memory full, links disturbed

	AppendOnly bool // off is a negative control
	Young      bool // Redis forgets the very first jobs that it ever had, too
	LateReport bool // the report shows a top-up only long after the settle time
	Control    string
	Burn       string // whether a decline uses up the identifier: yes, no, or by the seed
	Async      string // whether the workers send by POST /topups-async: yes, no, or by the seed
	Keep       bool   // keep the directory of a run that passed
}

// The sizes of runs.
func shortRun() settings {
	return settings{
		Jobs: 250, Workers: 3, Duration: 20 * time.Second, Drain: 100 * time.Second, Scale: 1.0 / 200, InFlight: 32,
		Kills: 10, Ends: 2, Stops: 1, RedisKills: 1, Rollbacks: 1, Mischief: 4, AppendOnly: true,
	}
}

func fullRun() settings {
	return settings{
		Jobs: 2000, Workers: 4, Duration: 240 * time.Second, Drain: 150 * time.Second, Scale: 1.0 / 200, InFlight: 32,
		Kills: 100, Ends: 15, Stops: 6, RedisKills: 10, Rollbacks: 6, Mischief: 24, AppendOnly: true,
	}
}

func longRun() settings {
	s := fullRun()
	s.Jobs, s.Duration = 10000, 1200*time.Second
	s.Kills, s.Ends, s.Stops, s.RedisKills, s.Rollbacks, s.Mischief = 500, 75, 30, 50, 30, 120
	return s
}

// campaignRun is one whose jobs come from campaigns.
func campaignRun() settings {
	return settings{
		Rows: 1500, Pauses: 4, Workers: 3, Duration: 45 * time.Second, Drain: 240 * time.Second, Scale: 1.0 / 200, InFlight: 2,
		Kills: 25, Ends: 4, Stops: 2, RedisKills: 3, Rollbacks: 4, Mischief: 10, AppendOnly: true,
	}
}

// scaled is one of the design's durations in the time of the run.
func (s settings) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) * s.Scale)
}

// ledger is how the producers' ledger judges time: as the workers' does.
func (s settings) ledger() enqueue.LedgerConfig {
	return worker.ScaleLedger(enqueue.LedgerConfig{Who: "producer"}, s.Scale)
}

func (s settings) settle() time.Duration { return s.ledger().Settle }

func (s settings) postTimeout() time.Duration { return s.ledger().PostTimeout }

// late is how long after its client has gone a top-up can still be executed, and
// reportDelay how long after that the report shows it: together well inside the
// settle time, which begins with the permission to send.
func (s settings) late() time.Duration { return s.settle() * 4 / 10 }

func (s settings) reportDelay() time.Duration {
	if s.LateReport {
		return 4 * s.settle()
	}
	return s.settle() * 2 / 10
}

// burns says whether the provider uses an identifier up by declining: nobody knows
// what Reloadly does, so half of the seeds do one and half the other.
func (s settings) burns() bool {
	return s.Burn == "yes" || s.Burn != "no" && s.Seed%2 == 0
}

// async says whether the workers send by POST /topups-async: a third of the seeds do, and
// a run without a schedule, which has no seed, only when it is told to.
func (s settings) async() bool {
	return s.Async == "yes" || s.Async != "no" && s.Seed != 0 && s.Seed%3 == 0
}

// reviewMost is the share of jobs that may need a person. One whose identifier was used
// up by a decline, and about which Redis may have forgotten something, does by design:
// "already used" could mean its own payment, so no other identifier is taken.
func (s settings) reviewMost() float64 {
	switch {
	case s.burns():
		return 0.05
	case s.Rollbacks == 0:
		return 0.001
	default:
		return 0.01
	}
}
