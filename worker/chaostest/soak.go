package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

// soakRole is the variable that makes this program a worker and nothing else, which
// tells of itself. Its value is a soakConfig.
const soakRole = "CHAOSTEST_SOAK"

type soakConfig struct {
	Redis, Provider string
	Every           time.Duration
	Settings        settings
}

// soakKept is how long Redis keeps a finished job here: what is forgotten after 90 days
// is forgotten in time for the run to see it.
const soakKept = 20 * time.Second

// sample is what a worker and its Redis hold: the least of the worker since the sample
// before, and Redis at one moment.
type sample struct {
	Goroutines int
	Heap       uint64 // in use after a collection
	Resident   int    // kB
	keys       int64
	memory     int64
	done       int
}

func (c soakConfig) ledger() enqueue.LedgerConfig {
	cfg := c.Settings.ledger()
	cfg.Retention, cfg.Memory = soakKept, soakKept
	return cfg
}

// playSoakWorker is the whole life of such a worker: it writes a sample a line to its log.
func playSoakWorker(ctx context.Context, text string) error {
	var cfg soakConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return err
	}
	options := &redis.Options{Addr: cfg.Redis}
	worker.SizePool(options, cfg.Settings.InFlight)
	rdb := redis.NewClient(options)
	defer func() { _ = rdb.Close() }() // nothing is left to lose
	client, err := reloadly.New(reloadly.Config{
		ClientID: "soak", ClientSecret: "soak-secret", AuthURL: cfg.Provider, APIURL: cfg.Provider,
		InFlight: cfg.Settings.InFlight, PostTimeout: cfg.Settings.postTimeout(),
	})
	if err != nil {
		return err
	}
	defer client.Close()
	w, err := worker.New(worker.Config{
		Redis: rdb, Reloadly: client, Ledger: cfg.ledger(), InFlight: cfg.Settings.InFlight, Servers: 1,
		Scale: cfg.Settings.Scale, NumberKey: []byte("soak"), Name: "soak", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	go func() {
		for ctx.Err() == nil {
			line, _ := json.Marshal(least(ctx, cfg.Every)) // always encodes
			fmt.Println(string(line))
		}
	}()
	return w.Run(ctx)
}

// least is the least that the worker holds within a while: what the jobs under way need
// comes and goes with the machine's load, what leaks stays.
func least(ctx context.Context, while time.Duration) sample {
	low := sample{Goroutines: math.MaxInt, Heap: math.MaxUint64, Resident: math.MaxInt}
	for i, end := 0, time.Now().Add(while); i == 0 || (time.Now().Before(end) && ctx.Err() == nil); i++ {
		if i%25 == 0 { // a collection costs more than a look at the goroutines
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			low.Heap, low.Resident = min(low.Heap, m.HeapAlloc), min(low.Resident, resident())
		}
		low.Goroutines = min(low.Goroutines, runtime.NumGoroutine())
		pause(ctx, 20*time.Millisecond)
	}
	return low
}

// resident is this process' memory in kB, 0 where the system does not say.
func resident() int {
	text, _ := os.ReadFile("/proc/self/status") // only Linux has it
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kB, _ := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
			return kB
		}
	}
	return 0
}

// soaked gives one worker a steady load for a time, and looks whether anything grows.
func (r *runner) soaked(ctx context.Context) error {
	const rate = 40 // jobs a second
	every := min(10*time.Second, r.soak/20)
	s := settings{Scale: 1.0 / 50, InFlight: 32, Async: r.async}
	g, err := newStage(ctx, r.dir, "soak", s, simulatorConfig{
		Slowest: 300 * time.Millisecond, DrawSeed: 1,
		Config: sandbox.Config{
			Balance: "900000000 NGN", TimeScale: s.Scale, NoMagic: true, Seed: 1, ReadFaults: 0.01,
			FaultRates: map[string]float64{"drop-after": 0.01, "drop-before": 0.01, "processing-successful": 0.05, "transaction-cannot-be-processed-at-the-moment": 0.03},
		},
	})
	if err != nil {
		return err
	}
	defer g.close()
	text, err := json.Marshal(soakConfig{Redis: g.redis.addr, Provider: g.simulator.url, Every: every, Settings: g.settings})
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log := filepath.Join(g.dir, "worker.log")
	w, err := start(ctx, "worker", log, []string{soakRole + "=" + string(text)}, self)
	if err != nil {
		return err
	}
	defer w.kill() // it is at rest, or the run has failed
	samples, err := g.soak(ctx, w, log, r.soak, rate, r.out)
	if err != nil {
		return err
	}
	flat := judgeSoak(r.out, samples)
	checks, err := g.soakBooks()
	if err != nil {
		return err
	}
	if !flat || len(checks) > 0 {
		return errors.Join(errors.New("something grows, or the books are wrong (see "+g.dir+")"), errors.New(strings.Join(checks, "\n")))
	}
	return os.RemoveAll(g.dir)
}

// soak submits steadily and takes a sample whenever the worker writes one.
func (g *stage) soak(ctx context.Context, w *process, log string, d time.Duration, rate int, out io.Writer) ([]sample, error) {
	file, err := os.Open(log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read
	lines := bufio.NewReader(file)
	fmt.Fprintf(out, "%d jobs a second for %v, Redis keeps a finished job %v\n", rate, d, soakKept)
	fmt.Fprintf(out, "%8s %8s %11s %10s %10s %8s %10s\n", "s", "jobs", "goroutines", "heap MB", "RSS MB", "keys", "redis MB")
	var samples []sample
	began, count, partial := time.Now(), 0, ""
	for time.Since(began) < d {
		due := int(time.Since(began).Seconds() * float64(rate))
		var batch []*job
		for ; count < due; count++ {
			g.jobs = nil // each has the number after the one before; nobody keeps them here
			j := g.job(fmt.Sprintf("soak-%07d", count), "")
			j.topUp.RecipientPhone.Number = fmt.Sprint(8_030_000_000 + count)
			batch = append(batch, j)
		}
		// What is retained for asynqmon goes as early as the ledger's part does.
		for _, queue := range []string{enqueue.QueueTopUps, enqueue.QueueFollowups} {
			g.forgetCompleted(ctx, queue)
		}
		if err := g.submit(ctx, batch...); err != nil {
			return nil, err
		}
		text, err := lines.ReadString('\n')
		if partial += text; err == nil {
			var s sample
			if json.Unmarshal([]byte(partial), &s) == nil && s.Goroutines > 0 {
				if s.keys, s.memory, err = g.size(ctx); err != nil {
					return nil, err
				}
				s.done = count
				samples = append(samples, s)
				fmt.Fprintf(out, "%8.0f %8d %11d %10.1f %10.1f %8d %10.1f\n", time.Since(began).Seconds(), count, s.Goroutines,
					float64(s.Heap)/1e6, float64(s.Resident)/1e3, s.keys, float64(s.memory)/1e6)
			}
			partial = ""
		}
		select {
		case <-w.done:
			return nil, errors.New("the worker ended: see " + log)
		default:
		}
		if !pause(ctx, 200*time.Millisecond) {
			return nil, ctx.Err()
		}
	}
	return samples, nil
}

// forgetCompleted lets asynq's completed tasks expire as early as the ledger's records.
func (g *stage) forgetCompleted(ctx context.Context, queue string) {
	prefix := "asynq:{" + queue + "}:"
	// Their scores are when they expire, a day after their end.
	until := time.Now().Add(24*time.Hour - soakKept).Unix()
	old, err := g.redis.direct.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: prefix + "completed", ByScore: true, Start: "-inf", Stop: strconv.FormatInt(until, 10), Count: 500,
	}).Result()
	if err != nil || len(old) == 0 {
		return // the next round has them
	}
	pipe := g.redis.direct.Pipeline()
	for _, id := range old {
		pipe.ZRem(ctx, prefix+"completed", id)
		pipe.Del(ctx, prefix+"t:"+id)
	}
	_, _ = pipe.Exec(ctx)
}

// size is how many keys Redis has, and how much memory it uses for them.
func (g *stage) size(ctx context.Context) (keys, memory int64, err error) {
	keys, err = g.redis.direct.DBSize(ctx).Result()
	if err != nil {
		return 0, 0, err
	}
	info, err := g.redis.direct.Info(ctx, "memory").Result()
	_, rest, _ := strings.Cut(info, "used_memory_dataset:")
	text, _, _ := strings.Cut(rest, "\r\n")
	memory, parseErr := strconv.ParseInt(text, 10, 64)
	return keys, memory, errors.Join(err, parseErr)
}

// soakBooks is what the simulator's books say of money.
func (g *stage) soakBooks() ([]string, error) {
	b, err := readBooks(g.simulator)
	if err != nil {
		return nil, err
	}
	var wrong []string
	paid := map[string]int{}
	for _, e := range b.executions {
		if e.paid() {
			if paid[owner(e.Identifier)]++; paid[owner(e.Identifier)] > 1 {
				wrong = append(wrong, e.Identifier+" was paid twice")
			}
		}
	}
	return wrong, nil
}

// judgeSoak compares the level after the warm-up with how much it changes from there to
// the end, by the straight line that fits best.
func judgeSoak(out io.Writer, samples []sample) bool {
	warm := max(3, len(samples)*3/10)
	if len(samples)-warm < 5 {
		fmt.Fprintln(out, "too short to say anything")
		return false
	}
	flat := true
	for _, c := range []struct {
		name string
		most float64 // growth over the run, of the level
		of   func(sample) float64
	}{
		{"goroutines", 0.10, func(s sample) float64 { return float64(s.Goroutines) }},
		{"heap in use", 0.10, func(s sample) float64 { return float64(s.Heap) }},
		{"resident memory", 0.10, func(s sample) float64 { return float64(s.Resident) }},
		{"Redis' keys", 0.05, func(s sample) float64 { return float64(s.keys) }},
		{"Redis' memory", 0.10, func(s sample) float64 { return float64(s.memory) }},
	} {
		var values []float64
		for _, s := range samples[warm:] {
			values = append(values, c.of(s))
		}
		level, growth := line(values)
		word := "flat "
		if growth > c.most*level {
			word, flat = "GROWS", false
		}
		fmt.Fprintf(out, "%s  %-16s level %.0f, %+.1f %% from the warm-up to the end (allowed are %.0f %%)\n", word, c.name, level, 100*growth/math.Max(level, 1), 100*c.most)
	}
	return flat
}

// line is the mean of values, and how much the straight line that fits best rises over
// all of them.
func line(values []float64) (level, rise float64) {
	n := float64(len(values))
	var sum, sumX, sumXY, sumXX float64
	for i, y := range values {
		x := float64(i)
		sum, sumX, sumXY, sumXX = sum+y, sumX+x, sumXY+x*y, sumXX+x*x
	}
	slope := (n*sumXY - sumX*sum) / (n*sumXX - sumX*sumX)
	return sum / n, slope * (n - 1)
}
