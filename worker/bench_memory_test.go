package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
	"example.com/topup/worker"
)

// aloneVariable makes the test's program a worker and nothing else: its memory is
// then the worker's, without simulator and producer.
const aloneVariable = "TOPUP_BENCH_ALONE"

func TestMain(m *testing.M) {
	if setting := os.Getenv(aloneVariable); setting != "" {
		if err := runAlone(setting); err != nil {
			fmt.Fprintln(os.Stderr, "worker alone:", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(unhurried{m}) // nothing that a test started outlives it
}

// unhurried lets what ends by itself do so: goleak looks for half a second alone, and a busy machine takes longer.
type unhurried struct{ *testing.M }

func (u unhurried) Run() int {
	code := u.M.Run()
	for deadline := time.Now().Add(time.Minute); code == 0 && goleak.Find() != nil && time.Now().Before(deadline); {
	}
	return code
}

// alone is what such a worker is told.
type alone struct {
	Redis, Provider string
	InFlight        int
}

// footprint is what such a worker says of itself at its end, in kB.
type footprint struct{ Idle, Peak, PeakAnonymous int }

// runAlone works until its standard input ends.
func runAlone(setting string) error {
	var a alone
	if err := json.Unmarshal([]byte(setting), &a); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background()) // ends with the standard input
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	var f footprint
	var err error
	if f.Idle, err = ownStatus("VmRSS"); err != nil {
		return err
	}
	options := &redis.Options{Addr: a.Redis}
	worker.SizePool(options, a.InFlight)
	rdb := redis.NewClient(options)
	defer func() { _ = rdb.Close() }()
	client, err := reloadly.New(reloadly.Config{
		ClientID: "id", ClientSecret: "secret", AuthURL: a.Provider, APIURL: a.Provider, InFlight: a.InFlight,
	})
	if err != nil {
		return err
	}
	defer client.Close()
	made, err := worker.New(worker.Config{Redis: rdb, Reloadly: client, InFlight: a.InFlight, Spacing: -1})
	if err != nil {
		return err
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for ctx.Err() == nil {
			now, _ := ownStatus("RssAnon") // it was there a moment ago
			f.PeakAnonymous = max(f.PeakAnonymous, now)
			time.Sleep(10 * time.Millisecond)
		}
	}()
	if err := made.Run(ctx); err != nil {
		return err
	}
	<-watched
	if f.Peak, err = ownStatus("VmHWM"); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(f)
}

// ownStatus is a number of this process in kB, as Linux counts.
func ownStatus(name string) (int, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
		}
	}
	return 0, fmt.Errorf("/proc/self/status has no %s", name)
}

// BenchmarkMemory is the resident memory of a worker in a process of its own: at
// most 25 MB and 100 KB for each job in flight.
func BenchmarkMemory(b *testing.B) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		b.Skip("only Linux says what a process' memory was at its peak")
	}
	rdb := realRedis(b, "--appendfsync", benchAOF)
	var out strings.Builder
	fmt.Fprintf(&out, "\nworker alone, 300ms simulated over plain HTTP, appendfsync %s, medians of %d rounds\n", benchAOF, benchRounds)
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "in flight\tjobs\tat the start\tpeak RSS\tof it anonymous\tpeak ÷ in flight\taim\tpeak / aim\t")
	for _, inFlight := range []int{500, 1000} {
		s := &bench{TB: b, direct: rdb, rdb: rdb, inFlight: inFlight, latency: 300 * time.Millisecond, jobs: 5 * inFlight}
		var runs []footprint
		for range benchRounds {
			runs = append(runs, s.alone())
		}
		middle := func(of func(footprint) int) float64 {
			var values []int
			for _, f := range runs {
				values = append(values, of(f))
			}
			slices.Sort(values)
			return float64(values[len(values)/2]) / 1000
		}
		idle, peak := middle(func(f footprint) int { return f.Idle }), middle(func(f footprint) int { return f.Peak })
		anonymous := middle(func(f footprint) int { return f.PeakAnonymous })
		aim := 25 + float64(inFlight)/10
		fmt.Fprintf(table, "%d\t%d\t%.1f MB\t%.1f MB\t%.1f MB\t%.0f KB\t%.0f MB\t%.2f\t\n",
			inFlight, s.jobs, idle, peak, anonymous, 1000*peak/float64(inFlight), aim, peak/aim)
		b.ReportMetric(peak, fmt.Sprintf("MB-at-%d", inFlight))
		b.ReportMetric(peak/aim, fmt.Sprintf("of-aim-at-%d", inFlight))
	}
	_ = table.Flush()          // into memory
	b.ReportMetric(0, "ns/op") // says nothing here
	b.Log(out.String())
}

// alone has a worker in a process of its own do all jobs.
func (s *bench) alone() footprint {
	s.flush()
	producer := enqueue.NewClient(s.direct, enqueue.ClientConfig{})
	defer func() { _ = producer.Close() }()
	s.submit(producer)
	var count atomic.Int64
	done := make(chan struct{})
	sim := s.simulator(nil, func(r *http.Request) {
		if r.URL.Path == "/topups" && count.Add(1) == int64(s.jobs) {
			close(done)
		}
	})
	setting, err := json.Marshal(alone{s.direct.Options().Addr, sim.url, s.inFlight})
	if err != nil {
		s.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		s.Fatal(err)
	}
	child := exec.CommandContext(s.Context(), program)
	child.Env = append(os.Environ(), aloneVariable+"="+string(setting))
	var out, complaints bytes.Buffer
	child.Stdout, child.Stderr = &out, &complaints
	stop, err := child.StdinPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := child.Start(); err != nil {
		s.Fatal(err)
	}
	s.wait(done, enqueue.QueueTopUps)
	_ = stop.Close() // it ends by itself
	if err := child.Wait(); err != nil {
		s.Fatalf("%v: %s", err, complaints.String())
	}
	s.paid(sim)
	var f footprint
	if err := json.Unmarshal(out.Bytes(), &f); err != nil {
		s.Fatal(err)
	}
	return f
}
