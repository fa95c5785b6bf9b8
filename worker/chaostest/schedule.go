package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

// What can happen.
const (
	killWorker  = "worker killed"
	endWorker   = "worker ended"
	stopWorker  = "worker stopped"
	killRedis   = "redis killed"
	cutTail     = "file cut"
	restoreCopy = "copy restored"
	forgetQueue = "queue deleted"
	throwOut    = "clients thrown out"
	fillMemory  = "memory full"
	hurtRedis   = "way to redis disturbed"
	hurtAPI     = "way to reloadly disturbed"
)

// The lanes: what stands in one happens one after the other.
const (
	laneWorkers = iota
	laneRedis
	laneWays
	lanes
)

// event is one thing that happens. What its numbers mean depends on its kind.
type event struct {
	At     time.Duration
	Kind   string
	Worker int
	For    time.Duration
	Bytes  int64
	Way    disturbance
	Burst  int           // jobs submitted just before it
	Lead   time.Duration // between them and the event
}

// schedule draws what happens in a run, lane by lane in order of time.
func schedule(s settings) [lanes][]event {
	draw := rand.New(rand.NewPCG(s.Seed, 4))
	between := func(least, most time.Duration) time.Duration { return least + rand64(draw, most-least) }
	first := min(3*time.Second, s.Duration/10)
	anywhere := func() time.Duration { return between(first, s.Duration) }
	var plan [lanes][]event

	add := func(n int, kind string, more func(*event)) {
		for range n {
			e := event{At: anywhere(), Kind: kind, Worker: draw.IntN(max(1, s.Workers))}
			if more != nil {
				more(&e)
			}
			plan[laneWorkers] = append(plan[laneWorkers], e)
		}
	}
	add(s.Kills, killWorker, nil)
	add(s.Ends, endWorker, nil)
	add(s.Stops, stopWorker, func(e *event) {
		e.For = between(s.settle()*3/2, s.settle()*2)
		e.At = min(e.At, max(first, s.Duration-e.For))
		e.Burst, e.Lead = stopBurst(s), between(5*time.Millisecond, s.postTimeout()/3)
	})

	var kinds []string
	for range s.RedisKills {
		kinds = append(kinds, killRedis)
	}
	for i := range s.Rollbacks {
		kinds = append(kinds, []string{cutTail, restoreCopy}[(i+int(s.Seed/2))%2]) // not by its lowest bit, which decides about the identifiers
	}
	draw.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	// Evenly apart, so that there is time in between in which jobs can go on at all.
	for i, kind := range kinds {
		step := (s.Duration - first) / time.Duration(len(kinds))
		e := event{
			At: first + time.Duration(i)*step + rand64(draw, step/3), Kind: kind,
			Burst: burstOf(s), Lead: between(10*time.Millisecond, s.postTimeout()*2/3),
		}
		switch kind {
		case cutTail:
			e.Bytes = 1 + draw.Int64N(64<<10)
			if draw.IntN(3) == 0 {
				e.Bytes = 1 + draw.Int64N(2<<10) // within the last few records
			}
		case restoreCopy:
			e.For = between(500*time.Millisecond, 5*time.Second)
			if draw.IntN(2) == 0 { // so young that what was under way then still is
				e.For = between(20*time.Millisecond, s.postTimeout())
			}
		}
		plan[laneRedis] = append(plan[laneRedis], e)
	}

	if s.Young {
		plan[laneRedis] = append(plan[laneRedis], event{At: 1500 * time.Millisecond, Kind: restoreCopy, For: s.postTimeout() / 2, Burst: burstOf(s)})
	}

	mischief := []string{hurtAPI, hurtRedis, forgetQueue, throwOut, fillMemory, hurtRedis, hurtAPI}
	for i := range s.Mischief {
		e := event{At: anywhere(), Kind: mischief[(i+int(s.Seed%7))%len(mischief)], For: between(300*time.Millisecond, 2*time.Second)}
		switch draw.IntN(4) {
		case 0:
			e.Way.Delay = between(time.Millisecond, s.postTimeout()/4)
		case 1:
			e.Way.Swallow = true
		default:
			e.Way.Reset = 1 + draw.Int64N(4<<10)
		}
		if e.Kind == hurtAPI && e.Way.Reset > 0 {
			e.Way.Reset = 1 + draw.Int64N(1200) // a request and its answer are hardly more
		}
		plan[laneWays] = append(plan[laneWays], e)
	}
	for i := range plan {
		slices.SortStableFunc(plan[i], func(a, b event) int { return int(a.At - b.At) })
	}
	return plan
}

// burstOf is how many jobs come just before Redis is hurt, so that POSTs are under way.
func burstOf(s settings) int {
	return min(60, s.Jobs*2/5/max(1, s.RedisKills+2*s.Rollbacks)) // a copy that is put back has two
}

// stopBurst is how many come just before a worker is stopped, so that it may be just
// between the permission and the POST.
func stopBurst(s settings) int { return min(15, s.Jobs/5/max(1, s.Stops)) }

// kept is how many jobs the bursts need.
func kept(s settings) int { return burstOf(s)*(s.RedisKills+2*s.Rollbacks+1) + stopBurst(s)*s.Stops }

func rand64(draw *rand.Rand, below time.Duration) time.Duration {
	return time.Duration(draw.Int64N(int64(max(1, below))))
}
