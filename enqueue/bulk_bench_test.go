package enqueue

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

const (
	bulkRounds   = 5
	bulkParallel = 128 // goroutines that share asynq's pipelines, as many as TopUps has by itself
)

// bulkWay is one way of submitting n jobs. It returns after the last answer.
type bulkWay struct {
	name string
	n    int
	run  func(jobs []TopUp) error
}

// BenchmarkBulk compares three ways of submitting thousands of jobs, in turn, on one
// redis-server with appendfsync everysec: asynq's Enqueue in a loop, the same calls
// from many goroutines through pipelines, and [Client.TopUps], which also writes the
// ledger. Each has to have one true answer for each job.
func BenchmarkBulk(b *testing.B) {
	s := startRedis(b)
	for _, place := range []struct {
		name  string
		delay time.Duration
		loop  int // a loop pays each round trip
	}{{"loopback", 0, 2000}, {"1ms", time.Millisecond, 400}} {
		b.Run(place.name, func(b *testing.B) {
			addr := s.addr
			if place.delay > 0 {
				addr = distant(b, addr, place.delay)
			}
			rdb := redis.NewClient(&redis.Options{Addr: addr})
			defer func() { _ = rdb.Close() }()
			client := NewClient(rdb, ClientConfig{})
			defer func() { _ = client.Close() }()
			compareBulk(b, s.rdb, []bulkWay{
				{"asynq, loop", place.loop, func(jobs []TopUp) error { return enqueueLoop(b, rdb, jobs) }},
				{"asynq, AutoPipeline", 20_000, func(jobs []TopUp) error { return enqueuePipelined(b, rdb, jobs) }},
				{"TopUps", 20_000, func(jobs []TopUp) error { return submitBulk(b, client, jobs) }},
			})
		})
	}
}

// compareBulk runs the ways in turn, round after round, and prints the medians.
func compareBulk(b *testing.B, direct *redis.Client, ways []bulkWay) {
	b.Helper()
	rates := make([][]float64, len(ways))
	for round := range bulkRounds {
		for k := range ways {
			way := (k + round) % len(ways) // nobody is always first
			if err := direct.FlushAll(b.Context()).Err(); err != nil {
				b.Fatal(err)
			}
			jobs := make([]TopUp, ways[way].n)
			for i := range jobs {
				jobs[i] = job(fmt.Sprint("bulk-", i))
			}
			start := time.Now()
			if err := ways[way].run(jobs); err != nil {
				b.Fatal(err)
			}
			rates[way] = append(rates[way], float64(len(jobs))/time.Since(start).Seconds())
			if queued := direct.LLen(b.Context(), "asynq:{"+QueueTopUps+"}:pending").Val(); queued != int64(len(jobs)) {
				b.Fatalf("%s: %d tasks are in the queue, want %d", ways[way].name, queued, len(jobs))
			}
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "\nappendfsync everysec, %d rounds, %d goroutines\n", bulkRounds, bulkParallel)
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tjobs\tjobs/s\tmin\tmax\t")
	medians := make([]float64, len(ways))
	for i, way := range ways {
		slices.Sort(rates[i])
		medians[i] = rates[i][bulkRounds/2]
		fmt.Fprintf(table, "%s\t%d\t%.0f\t%.0f\t%.0f\t\n", way.name, way.n, medians[i], rates[i][0], rates[i][bulkRounds-1])
	}
	_ = table.Flush() // into memory
	ours := medians[2]
	fmt.Fprintf(&out, "TopUps / loop: %.1f (aim 4); TopUps / AutoPipeline: %.2f (aim 0.5)", ours/medians[0], ours/medians[1])
	b.ReportMetric(ours, "TopUps-jobs/s")
	b.ReportMetric(ours/medians[0], "TopUps/loop")
	b.ReportMetric(ours/medians[1], "TopUps/AutoPipeline")
	b.ReportMetric(0, "ns/op") // says nothing here
	b.Log(out.String())
}

func enqueueLoop(b *testing.B, rdb *redis.Client, jobs []TopUp) error {
	tasks := asynq.NewClientFromRedisClient(rdb)
	for _, j := range jobs {
		if _, err := tasks.EnqueueContext(b.Context(), firstTask(j)(nil)); err != nil {
			return err
		}
	}
	return nil
}

func enqueuePipelined(b *testing.B, rdb *redis.Client, jobs []TopUp) error {
	pipeliner, err := rdb.AutoPipeline() // the Redis client keeps and ends it
	if err != nil {
		return err
	}
	tasks := asynq.NewClientFromRedisClient(pipeliner)
	errs := make(chan error, bulkParallel)
	var group sync.WaitGroup
	for first := range bulkParallel {
		group.Go(func() {
			for i := first; i < len(jobs); i += bulkParallel {
				if _, err := tasks.EnqueueContext(b.Context(), firstTask(jobs[i])(nil)); err != nil {
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

func submitBulk(b *testing.B, client *Client, jobs []TopUp) error {
	for i, a := range client.TopUps(b.Context(), jobs) {
		if a.Err != nil || !a.Created || a.Result.ID != jobs[i].ID {
			return fmt.Errorf("job %s is answered as %q (created %v): %w", jobs[i].ID, a.Result.ID, a.Created, a.Err)
		}
	}
	return nil
}

// distant is the address of a proxy whose answers come delay later. Go's sleeps end
// up to 1 ms late, so two halves would be twice as long.
func distant(b *testing.B, target string, delay time.Duration) string {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", target)
			if err != nil {
				_ = near.Close()
				continue
			}
			go carry(far, near, 0)
			go carry(near, far, delay)
		}
	}()
	return listener.Addr().String()
}

// carry copies until one side closes, then closes the other.
func carry(to, from net.Conn, delay time.Duration) {
	type piece struct {
		due   time.Time
		bytes []byte
	}
	pieces := make(chan piece, 1024)
	go func() {
		defer func() { _ = to.Close() }()
		for p := range pieces {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.bytes); err != nil {
				_ = from.Close() // ends the reader, which closes pieces
			}
		}
	}()
	defer close(pieces)
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			pieces <- piece{time.Now().Add(delay), bytes.Clone(buffer[:n])}
		}
		if err != nil {
			return
		}
	}
}
