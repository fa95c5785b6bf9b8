package worker_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
	"example.com/topup/worker"
)

// heap is what is in use, in MiB.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc >> 20)
}

// A feeder of a campaign of 200,000 rows that nobody works at, or that is paused, holds the few
// that it has handed over and asks Redis little.
func TestFeederOfALargeCampaign(t *testing.T) {
	rdb := realRedis(t, "--appendonly", "no")
	ctx, store := t.Context(), campaign.NewStore(rdb)
	if c := loadRows(t, store, "may", 0, ordinary(200_000)); c.Rows != 200_000 {
		t.Fatal(c.Rows)
	}
	jobs := enqueue.NewClient(rdb, enqueue.ClientConfig{})
	defer func() { _ = jobs.Close() }()
	feeder := worker.NewFeeder(rdb, jobs, asynq.NewClientFromRedisClient(rdb), worker.NewHolds(rdb, worker.HoldConfig{}),
		worker.FeederConfig{Recheck: time.Hour})
	defer feeder.Close()
	before := heap()
	turn := func() {
		if err := feeder.Turn(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		turn()
	}
	look, err := store.Looks(ctx, []string{"may"})
	if err != nil || look[0].Open < 50 || look[0].Open > 2000 {
		t.Fatal(look, err)
	}
	if used := heap() - before; used > 16 {
		t.Errorf("%d MiB for %d open rows", used, look[0].Open)
	}
	if err := worker.PauseCampaign(ctx, rdb, "may", "test"); err != nil {
		t.Fatal(err)
	}
	turn()
	count := &trips{}
	rdb.AddHook(count)
	for range 20 {
		turn()
	}
	// Its list, its look at the campaigns, and one at the jobs that may have changed.
	n := count.n.Load()
	t.Logf("%d rows open, %d round trips in 20 turns", look[0].Open, n)
	if n > 4*20 {
		t.Errorf("%d round trips in 20 turns of a paused campaign", n)
	}
}
