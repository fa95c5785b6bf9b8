package worker_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly/sandbox"
	"example.com/topup/worker"
)

const (
	benchRounds = 5
	benchAOF    = "everysec"
	benchQueue  = "default"
)

// bench is one redis-server with its append-only file, and what one run needs.
type bench struct {
	testing.TB
	direct   *redis.Client // for the producer, the counting and the cleaning
	rdb      *redis.Client // for the worker; it can be further away
	inFlight int
	latency  time.Duration // the simulator's
	expected time.Duration // what the worker is told of it; zero is its default
	jobs     int
}

// measure is what one run came to.
type measure struct {
	rate     float64       // jobs/s
	cpu      time.Duration // of this process for each job: worker, asynq and simulator
	redisCPU time.Duration // of redis-server for each job
}

// pool is a client with as many connections as cmd/topup gives a worker.
func pool(b testing.TB, addr string, inFlight int) *redis.Client {
	options := &redis.Options{Addr: addr}
	worker.SizePool(options, inFlight)
	rdb := redis.NewClient(options)
	b.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// measured is the time and CPU of f, for each job.
func (s *bench) measured(f func()) measure {
	runtime.GC()
	self, server, start := processCPU(), s.redisCPU(), time.Now()
	f()
	took, n := time.Since(start), time.Duration(s.jobs)
	return measure{
		rate: float64(s.jobs) / took.Seconds(), cpu: (processCPU() - self) / n, redisCPU: (s.redisCPU() - server) / n,
	}
}

// wait is until the last job is done and asynq has acknowledged all.
func (s *bench) wait(done <-chan struct{}, queue string) {
	select {
	case <-done:
	case <-time.After(10 * time.Minute):
		s.Fatal("the queue is not empty after ten minutes")
	}
	for s.direct.LLen(s.Context(), "asynq:{"+queue+"}:active").Val() > 0 {
		time.Sleep(time.Millisecond)
	}
}

func (s *bench) flush() {
	if err := s.direct.FlushAll(s.Context()).Err(); err != nil {
		s.Fatal(err)
	}
}

// submit puts all jobs into the ledger and the queue.
func (s *bench) submit(producer *enqueue.Client) []enqueue.TopUp {
	jobs := make([]enqueue.TopUp, s.jobs)
	for i := range jobs {
		jobs[i] = benchJob(i)
	}
	for _, a := range producer.TopUps(s.Context(), jobs) {
		if a.Err != nil {
			s.Fatal(a.Err)
		}
	}
	return jobs
}

// metric reports a figure where the run is a benchmark's.
func (s *bench) metric(value float64, unit string) {
	if b, ok := s.TB.(*testing.B); ok {
		b.ReportMetric(value, unit)
	}
}

// simServer is a simulator behind real HTTP on loopback, without faults.
type simServer struct {
	*sandbox.Simulator
	url string
}

func (s *bench) simulator(came, answered func(*http.Request)) *simServer {
	sim, err := sandbox.New(sandbox.Config{
		Balance: "9000000000 NGN", Latency: s.latency, NoMagic: true, NoRechargeRule: true, KeepAlive: true,
	})
	if err != nil {
		s.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if came != nil {
			came(r)
		}
		sim.ServeHTTP(w, r)
		if answered != nil {
			answered(r)
		}
	}))
	s.Cleanup(func() {
		_ = sim.Close()
		server.Close()
	})
	return &simServer{Simulator: sim, url: server.URL}
}

// paid checks that the run did its work, and no more.
func (s *bench) paid(sim *simServer) {
	if n := len(sim.Paid()); n != s.jobs {
		s.Errorf("%d executed, want %d", n, s.jobs)
	}
}

// benchJob is the quick start's top-up to a number of its own.
func benchJob(i int) enqueue.TopUp {
	j := job("bench-" + strconv.Itoa(i))
	j.RecipientPhone.Number = strconv.Itoa(501_000_000 + i)
	j.RecipientEmail = "jeanb@reloadly.com"
	j.SenderPhone = enqueue.Phone{CountryCode: "CA", Number: "11231231231"}
	return j
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// processCPU is what this process has used, worker and simulator together.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// redisCPU is what redis-server has used.
func (s *bench) redisCPU() time.Duration {
	var total float64
	for line := range strings.Lines(s.direct.Info(s.Context(), "cpu").Val()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			seconds, _ := strconv.ParseFloat(value, 64)
			total += seconds
		}
	}
	return time.Duration(total * float64(time.Second))
}
