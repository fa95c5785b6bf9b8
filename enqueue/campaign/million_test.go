package campaign

import (
	"context"
	"encoding/json"
	"runtime"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

const million = 1_000_000

// loadMillion makes a campaign of a million rows in a moment: all of its chunks are the first
// one. What is measured with it depends on their number and not on what stands in them.
func loadMillion(t *testing.T, rdb *redis.Client, s *Store) *Campaign {
	t.Helper()
	ctx := t.Context()
	c := load(t, s, "may", 0, 0, chunkRows)
	first := rdb.HGet(ctx, rowsKey("may", 0), "0").Val()
	pipe := rdb.Pipeline()
	for k := range million / chunkRows {
		pipe.HSet(ctx, rowsKey("may", 0), strconv.Itoa(k), first)
	}
	c.Loads[0].Rows = million
	info, err := json.Marshal(c.Loads[0])
	if err != nil {
		t.Fatal(err)
	}
	pipe.HSet(ctx, campaignKey("may"), fieldRows, million, fieldLoad+"0", info)
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	if c, err = s.Find(ctx, "may"); err != nil || c.Rows != million {
		t.Fatal(c, err)
	}
	return c
}

// trips counts round trips to Redis.
type trips struct{ n int }

func (h *trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { h.n++; return next(ctx, cmd) }
}

func (h *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { h.n++; return next(ctx, cmds) }
}

// heap is what is in use, in MiB.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc >> 20)
}

// However large a campaign is: its rows go through a few megabytes, and who takes rows or asks
// how far it is pays for the rows that are open alone.
func TestMillionRows(t *testing.T) {
	rdb := realRedis(t)
	s, ctx := NewStore(rdb), t.Context()
	client := enqueue.NewClient(rdb, enqueue.ClientConfig{})
	defer func() { _ = client.Close() }()
	c := loadMillion(t, rdb, s)
	count := &trips{}
	rdb.AddHook(count)
	within := func(what string, most int, do func()) {
		t.Helper()
		count.n = 0
		do()
		if count.n > most {
			t.Errorf("%s: %d round trips, and %d are allowed", what, count.n, most)
		}
	}

	before := heap()
	seen := 0
	err := s.Each(ctx, c, million-200_000, func(number int, _ *Row) error {
		if seen++; seen%50_000 == 0 {
			if used := heap() - before; used > 24 {
				t.Errorf("at row %d: %d MiB", number, used)
			}
		}
		return nil
	})
	if err != nil || seen != 200_000 {
		t.Fatal(seen, err)
	}

	var open []Open
	within("take", 2, func() { // the script may have to be loaded first
		if open, err = s.Take(ctx, "may", 1000); err != nil || len(open) != 1000 {
			t.Fatal(len(open), err)
		}
	})
	progress := func() {
		p, err := s.Progress(ctx, "may", client)
		if err != nil || p.States[enqueue.Queued] != million || len(p.States) != 1 {
			t.Fatal(p, err)
		}
	}
	within("progress", 5, progress) // the snapshot and its loading, the rows, their jobs, the tombs

	// One row open in each chunk of the file, as after a long time with an operator on hold.
	pipe := rdb.Pipeline()
	var spread []int
	for k := range million / chunkRows {
		spread = append(spread, k*chunkRows+7)
		pipe.ZAdd(ctx, openKey("may"), redis.Z{Score: 1, Member: k*chunkRows + 7})
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	rdb.ZRemRangeByScore(ctx, openKey("may"), strconv.FormatInt(open[0].Mark, 10), strconv.FormatInt(open[0].Mark, 10))
	before = heap()
	var rows map[int]*Row
	within("rows of every chunk", 40, func() { rows, err = s.Rows(ctx, c, spread) })
	if used := heap() - before; err != nil || len(rows) != len(spread) || used > 8 {
		t.Errorf("%d rows take %d MiB: %v", len(rows), used, err)
	}
	runtime.KeepAlive(rows)
}
