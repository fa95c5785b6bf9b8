package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
	"example.com/topup/reloadly/sandbox"
)

const (
	loadRows     = 100_000
	loadRounds   = 5
	loadParallel = 128 // goroutines that share asynq's pipelines
	millionRows  = 1_000_000
)

// writePeople writes a file of n rows as people have them: two countries, with and
// without operators, names in quotes.
func writePeople(w io.Writer, n int) error {
	out := bufio.NewWriterSize(w, 1<<20)
	fmt.Fprintln(out, "phone,amount,currency,country,operator_id,external_id,note")
	for i := range n {
		switch i % 3 {
		case 0:
			fmt.Fprintf(out, "+23480%08d,%d.50,local,NG,341,row-%d,Ward %d\n", 30000000+i, 50+i%90, i, i%40)
		case 1:
			fmt.Fprintf(out, "080%08d,%d,sender,NG,,row-%d,\"Team, %d\"\n", 30000000+i, 100+i%900, i, i%9)
		default:
			fmt.Fprintf(out, "+97150%07d,%d,sender,AE,,row-%d,\n", 1000000+i, 700+i%40, i)
		}
	}
	return out.Flush()
}

func peopleFile(b *testing.B, n int) string {
	b.Helper()
	name := filepath.Join(b.TempDir(), "people.csv")
	file, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(writePeople(file, n), file.Close()); err != nil {
		b.Fatal(err)
	}
	return name
}

// BenchmarkCampaignLoad compares, in turn, on one redis-server with appendfsync everysec:
// asynq's Enqueue of as many tasks in a loop, the same calls from many goroutines
// through pipelines, and the load of a file: read, checked, quoted at the simulator, compared
// and committed, so that the feeder could begin.
func BenchmarkCampaignLoad(b *testing.B) {
	server := startData(b)
	s := Settings{}
	if err := s.fromEnvironment(); err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	sim, err := startSimulator(ctx, "127.0.0.1:0", sandbox.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = sim.close(context.WithoutCancel(ctx)) }()
	s.RedisURL, s.AuthURL, s.APIURL, s.ClientID, s.ClientSecret = "redis://"+server.addr+"/0", sim.url, sim.url, "demo-client", "demo-secret"
	a := &app{settings: s, err: io.Discard, out: io.Discard}
	on, err := a.connectCampaigns(ctx)
	if err != nil {
		b.Fatal(err)
	}
	defer on.close()
	loader, err := a.newLoader(on)
	if err != nil {
		b.Fatal(err)
	}
	provider, err := newReloadly(s, on.opened, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer provider.Close()
	name := peopleFile(b, loadRows)
	ways := []struct {
		name string
		n    int
		run  func() error
	}{
		{"asynq, loop", loadRows / 10, func() error { return enqueueLoop(b, on.opened.rdb, loadRows/10) }},
		{"asynq, AutoPipeline", loadRows, func() error { return enqueuePipelined(b, on.opened.rdb, loadRows) }},
		{"load of a file", loadRows, func() error { return loadFile(ctx, loader, provider, name) }},
	}
	rates := make([][]float64, len(ways))
	for range b.N {
		for round := range loadRounds {
			for k := range ways {
				way := (k + round) % len(ways) // nobody is always first
				if err := server.rdb.FlushAll(ctx).Err(); err != nil {
					b.Fatal(err)
				}
				start := time.Now()
				if err := ways[way].run(); err != nil {
					b.Fatal(err)
				}
				rates[way] = append(rates[way], float64(ways[way].n)/time.Since(start).Seconds())
			}
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "\nappendfsync everysec, %d rounds, %d goroutines\n", loadRounds, loadParallel)
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\trows\trows/s\tmin\tmax\t")
	medians := make([]float64, len(ways))
	for i, way := range ways {
		slices.Sort(rates[i])
		medians[i] = rates[i][len(rates[i])/2]
		fmt.Fprintf(table, "%s\t%d\t%.0f\t%.0f\t%.0f\t\n", way.name, way.n, medians[i], rates[i][0], rates[i][len(rates[i])-1])
	}
	_ = table.Flush() // into memory
	fmt.Fprintf(&out, "load / loop: %.1f (aim 3); load / AutoPipeline: %.2f (aim 0.5)", medians[2]/medians[0], medians[2]/medians[1])
	b.ReportMetric(medians[2], "rows/s")
	b.ReportMetric(medians[2]/medians[0], "load/loop")
	b.ReportMetric(medians[2]/medians[1], "load/AutoPipeline")
	b.ReportMetric(0, "ns/op") // says nothing here
	b.Log(out.String())
}

func loadFile(ctx context.Context, loader *campaign.Loader, provider campaign.Provider, name string) error {
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was only read
	f, err := campaign.Check(ctx, name, in, campaign.CheckOptions{Load: true, Provider: provider, Key: loader.Key})
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // nothing is left to lose
	loaded, err := loader.Load(ctx, f, "bench", campaign.LoadOptions{})
	if err == nil && (loaded.New != loadRows || f.Quote.NotPriced > 0) {
		err = fmt.Errorf("%d rows were loaded, %d without a price", loaded.New, f.Quote.NotPriced)
	}
	return err
}

func benchTask(i int) *asynq.Task {
	id := "bench.row-" + strconv.Itoa(i)
	return enqueue.NewTask(enqueue.QueueCampaigns, id, id, 1, time.Time{})
}

func enqueueLoop(b *testing.B, rdb redis.UniversalClient, n int) error {
	tasks := asynq.NewClientFromRedisClient(rdb)
	for i := range n {
		if _, err := tasks.EnqueueContext(b.Context(), benchTask(i)); err != nil {
			return err
		}
	}
	return nil
}

func enqueuePipelined(b *testing.B, rdb redis.UniversalClient, n int) error {
	pipeliner, err := rdb.(*redis.Client).AutoPipeline() // the Redis client keeps and ends it
	if err != nil {
		return err
	}
	tasks := asynq.NewClientFromRedisClient(pipeliner)
	errs := make(chan error, loadParallel)
	var group sync.WaitGroup
	for first := range loadParallel {
		group.Go(func() {
			for i := first; i < n; i += loadParallel {
				if _, err := tasks.EnqueueContext(b.Context(), benchTask(i)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(errs)
	return <-errs
}

// BenchmarkCampaignMillion measures the commands as they are, each in a process of its
// own, on a file of a million rows: check alone, load, and what Redis keeps of it.
func BenchmarkCampaignMillion(b *testing.B) {
	server := startData(b)
	name := peopleFile(b, millionRows)
	run := func(args ...string) (time.Duration, float64) {
		cmd := exec.CommandContext(b.Context(), "topup", args...)
		cmd.Env = append(os.Environ(), "REDIS_URL=redis://"+server.addr+"/0", "TOPUP_NUMBER_KEY=bench")
		start := time.Now()
		out, err := cmd.CombinedOutput()
		took := time.Since(start)
		if err != nil {
			b.Fatalf("%v: %v\n%s", args, err, out)
		}
		return took, peakMiB(b, cmd.ProcessState)
	}
	used := func() float64 {
		info := server.rdb.InfoMap(b.Context(), "memory").Item("Memory", "used_memory")
		n, err := strconv.ParseFloat(info, 64)
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	for range b.N {
		if err := server.rdb.FlushAll(b.Context()).Err(); err != nil {
			b.Fatal(err)
		}
		checked, checkPeak := run("campaign", "check", name, "--offline")
		before := used()
		loaded, loadPeak := run("campaign", "load", name, "--campaign", "million", "--offline", "--yes")
		kept := (used() - before) / millionRows
		again, _ := run("campaign", "load", name, "--campaign", "million", "--offline", "--yes")
		b.Logf("a million rows: check without a quote %.0f rows/s (aim 80,000), peak %.0f MiB; load %.0f rows/s, peak %.0f MiB (aim 512); Redis %.0f B a row (aim 800); the same again %.1f s",
			millionRows/checked.Seconds(), checkPeak, millionRows/loaded.Seconds(), loadPeak, kept, again.Seconds())
		b.ReportMetric(millionRows/checked.Seconds(), "check-rows/s")
		b.ReportMetric(loadPeak, "load-peak-MiB")
		b.ReportMetric(kept, "Redis-B/row")
		b.ReportMetric(millionRows/loaded.Seconds(), "load-rows/s")
	}
	b.ReportMetric(0, "ns/op") // says nothing here
}

// peakMiB is the most memory that a process had.
func peakMiB(b *testing.B, state *os.ProcessState) float64 {
	b.Helper()
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		b.Skip("this system does not tell the memory of a process")
	}
	return float64(usage.Maxrss) / 1024 // KiB on Linux
}
