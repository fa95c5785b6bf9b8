package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
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
	*testing.B
	direct   *redis.Client // for the producer, the counting and the cleaning
	rdb      *redis.Client // for the worker; it can be further away
	inFlight int
	latency  time.Duration
	jobs     int
}

// measure is what one run came to.
type measure struct {
	rate     float64       // jobs/s
	cpu      time.Duration // of this process for each job: worker, asynq and simulator
	redisCPU time.Duration // of redis-server for each job
}

// BenchmarkProcessing compares bare asynq, a naive worker and the full path.
func BenchmarkProcessing(b *testing.B) {
	rdb := realRedis(b, "--appendfsync", benchAOF)
	for _, c := range []struct {
		latency time.Duration
		jobs    int
	}{{0, 4000}, {300 * time.Millisecond, 5000}} {
		b.Run(fmt.Sprintf("latency=%dms", c.latency.Milliseconds()), func(b *testing.B) {
			s := &bench{B: b, direct: rdb, rdb: pool(b, rdb.Options().Addr, 500), inFlight: 500, latency: c.latency}
			s.compare("redis on loopback", variant{"bare", c.jobs, s.bare}, variant{"naive", c.jobs, s.naive}, variant{"full", c.jobs, s.full})
		})
	}
}

// BenchmarkDistantRedis has Redis 1 ms away, where an asynq server's one dequeue a
// round trip is the limit; the worker chooses its number of servers.
func BenchmarkDistantRedis(b *testing.B) {
	direct := realRedis(b, "--appendfsync", benchAOF)
	distant := pool(b, delayProxy(b, direct.Options().Addr, time.Millisecond), 1000)
	s := &bench{B: b, direct: direct, rdb: distant, inFlight: 1000, latency: 300 * time.Millisecond}
	best := time.Hour
	for range 20 {
		start := time.Now()
		if err := distant.Ping(b.Context()).Err(); err != nil {
			b.Fatal(err)
		}
		best = min(best, time.Since(start))
	}
	medians := s.compare(fmt.Sprintf("redis %.2f ms away", ms(best)), variant{"naive", 2000, s.naive}, variant{"full", 8000, s.full})
	limit := float64(s.inFlight) / s.latency.Seconds()
	b.ReportMetric(medians["naive"]/limit, "naive/limit")
	b.ReportMetric(medians["full"]/limit, "full/limit")
}

// BenchmarkIdleLatency is from asking for one top-up to the first byte of its POST
// at the provider, with an empty queue before it.
func BenchmarkIdleLatency(b *testing.B) {
	rdb := realRedis(b, "--appendfsync", benchAOF)
	s := &bench{B: b, direct: rdb, rdb: rdb, inFlight: 100}
	arrived := make(chan time.Time, 1)
	sim := s.simulator(func(r *http.Request) {
		if r.URL.Path == "/topups" {
			arrived <- time.Now()
		}
	}, nil)
	stop := s.startFull(sim)
	defer stop()
	producer := enqueue.NewClient(rdb, enqueue.ClientConfig{})
	defer func() { _ = producer.Close() }()

	const samples = 200
	var took []time.Duration
	for i := range samples + 5 {
		time.Sleep(time.Duration(15+rand.IntN(20)) * time.Millisecond) // in no step with the polling
		start := time.Now()
		if _, err := producer.TopUp(b.Context(), benchJob(i)); err != nil {
			b.Fatal(err)
		}
		took = append(took, s.next(arrived).Sub(start))
		if r, err := producer.Wait(b.Context(), benchJob(i).ID); err != nil || r.State != enqueue.Succeeded {
			b.Fatalf("%s is %s: %v", r.ID, r.State, err)
		}
	}
	took = took[5:] // the first ones meet cold scripts and connections
	slices.Sort(took)
	self, server := processCPU(), s.redisCPU()
	const idle = 3 * time.Second
	time.Sleep(idle)
	selfShare := 100 * float64(processCPU()-self) / float64(idle)
	serverShare := 100 * float64(s.redisCPU()-server) / float64(idle)
	median, p99 := took[samples/2], took[samples*99/100]
	b.ReportMetric(ms(median), "ms-median")
	b.ReportMetric(ms(p99), "ms-p99")
	b.ReportMetric(selfShare, "%core-idle")
	b.ReportMetric(serverShare, "%core-idle-redis")
	b.ReportMetric(0, "ns/op")
	b.Logf("\nidle, enqueue to first byte of the POST, %d jobs, appendfsync %s: median %.2f ms, p99 %.2f ms, max %.2f ms\n"+
		"polling an empty queue: %.1f %% of a core here, %.1f %% in redis-server", samples, benchAOF,
		ms(median), ms(p99), ms(took[samples-1]), selfShare, serverShare)
}

// pool is a client with as many connections as cmd/topup gives a worker.
func pool(b *testing.B, addr string, inFlight int) *redis.Client {
	rdb := redis.NewClient(&redis.Options{Addr: addr, PoolSize: inFlight + 20})
	b.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

type variant struct {
	name string
	jobs int
	run  func() measure
}

// compare runs the variants in turn, round after round, and prints the medians.
func (s *bench) compare(where string, variants ...variant) map[string]float64 {
	s.Helper()
	all := map[string][]measure{}
	for round := range benchRounds {
		for i := range variants {
			v := variants[(i+round)%len(variants)] // nobody is always first
			s.jobs = v.jobs
			all[v.name] = append(all[v.name], v.run())
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "\n%s, appendfsync %s, %v simulated, %d in flight, %d rounds, GOMAXPROCS %d\n",
		where, benchAOF, s.latency, s.inFlight, benchRounds, runtime.GOMAXPROCS(0))
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tjobs\tjobs/s\tmin\tmax\tCPU/job\tredis CPU/job\t")
	medians := map[string]float64{}
	for _, v := range variants {
		runs := all[v.name]
		medians[v.name] = median(runs, func(m measure) float64 { return m.rate })
		slices.SortFunc(runs, func(a, b measure) int { return int(a.rate - b.rate) })
		cpu := median(runs, func(m measure) float64 { return float64(m.cpu.Microseconds()) })
		server := median(runs, func(m measure) float64 { return float64(m.redisCPU.Microseconds()) })
		fmt.Fprintf(table, "%s\t%d\t%.0f\t%.0f\t%.0f\t%.0f µs\t%.0f µs\t\n",
			v.name, v.jobs, medians[v.name], runs[0].rate, runs[len(runs)-1].rate, cpu, server)
		s.ReportMetric(medians[v.name], v.name+"-jobs/s")
		s.ReportMetric(cpu, v.name+"-µs-cpu/job")
	}
	_ = table.Flush() // into memory
	ratio := medians["full"] / medians["naive"]
	s.ReportMetric(ratio, "full/naive")
	s.ReportMetric(0, "ns/op") // says nothing here
	fmt.Fprintf(&out, "full / naive: %.3f", ratio)
	if s.latency > 0 {
		limit := float64(s.inFlight) / s.latency.Seconds()
		fmt.Fprintf(&out, "; of in flight ÷ latency = %.0f: naive %.2f, full %.2f", limit, medians["naive"]/limit, medians["full"]/limit)
	}
	s.Log(out.String())
	return medians
}

func median(runs []measure, of func(measure) float64) float64 {
	values := make([]float64, 0, len(runs))
	for _, m := range runs {
		values = append(values, of(m))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// bare is asynq alone: a handler that does nothing.
func (s *bench) bare() measure {
	s.fill(func(int) []byte { return nil })
	return s.runStock(func(context.Context, *asynq.Task) error { return nil })
}

// naive is what one writes first: dequeue, POST, keep the answer. Its transport is
// a good one; only the ledger and the guards are missing.
func (s *bench) naive() measure {
	s.fill(func(i int) []byte {
		j := benchJob(i)
		body, err := json.Marshal(map[string]any{
			"operatorId": j.OperatorID, "amount": json.Number(j.Amount.String()), "useLocalAmount": false, "customIdentifier": j.ID,
			"recipientPhone": map[string]string{"countryCode": j.RecipientPhone.CountryCode, "number": j.RecipientPhone.Number},
		})
		if err != nil {
			s.Fatal(err)
		}
		return body
	}, asynq.Retention(24*time.Hour))
	sim := s.simulator(nil, nil)
	transport := &http.Transport{MaxIdleConns: s.inFlight, MaxIdleConnsPerHost: s.inFlight}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	token := s.token(client, sim.url)
	m := s.runStock(func(ctx context.Context, task *asynq.Task) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, sim.url+"/topups", bytes.NewReader(task.Payload()))
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Accept", "application/com.reloadly.topups-v1+json")
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		var answer struct {
			TransactionID int64  `json:"transactionId"`
			Status        string `json:"status"`
		}
		if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "SUCCESSFUL" {
			return fmt.Errorf("not paid: %w: %s", err, body)
		}
		_, err = task.ResultWriter().Write(body)
		return err
	})
	s.paid(sim)
	return m
}

// full is the worker as it is in production, spacing aside: each number is met once.
func (s *bench) full() measure {
	s.flush()
	producer := enqueue.NewClient(s.direct, enqueue.ClientConfig{})
	defer func() { _ = producer.Close() }()
	jobs := make([]enqueue.TopUp, s.jobs)
	for i := range jobs {
		jobs[i] = benchJob(i)
	}
	for _, a := range producer.TopUps(s.Context(), jobs) {
		if a.Err != nil {
			s.Fatal(a.Err)
		}
	}
	var count atomic.Int64
	done := make(chan struct{})
	sim := s.simulator(nil, func(r *http.Request) {
		if r.URL.Path == "/topups" && count.Add(1) == int64(s.jobs) {
			close(done)
		}
	})
	var stop func()
	m := s.measured(func() {
		stop = s.startFull(sim) // telling of transitions would cost a round trip each
		s.wait(done, enqueue.QueueTopUps)
	})
	stop()
	s.paid(sim)
	ids := make([]string, s.jobs)
	for i := range ids {
		ids[i] = jobs[i].ID
	}
	for _, a := range producer.GetMany(s.Context(), ids) {
		if a.Err != nil || a.Result.State != enqueue.Succeeded {
			s.Errorf("%s is %s (%s, %v)", a.Result.ID, a.Result.State, a.Result.Code, a.Err)
		}
	}
	return m
}

// startFull starts a worker until the returned function is called.
func (s *bench) startFull(sim *simServer) (stop func()) {
	client, err := reloadly.New(reloadly.Config{
		ClientID: "id", ClientSecret: "secret", AuthURL: sim.url, APIURL: sim.url, InFlight: s.inFlight,
	})
	if err != nil {
		s.Fatal(err)
	}
	if err := client.Ready(s.Context()); err != nil {
		s.Fatal(err)
	}
	made, err := worker.New(worker.Config{
		Redis: s.rdb, Reloadly: client, InFlight: s.inFlight, Spacing: -1,
	})
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan error, 1)
	go func() { done <- made.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			s.Error(err)
		}
		client.Close()
	}
}

// runStock runs one asynq server with the handler until the queue is empty.
func (s *bench) runStock(handler func(context.Context, *asynq.Task) error) measure {
	server := asynq.NewServerFromRedisClient(s.rdb, asynq.Config{Concurrency: s.inFlight, LogLevel: asynq.ErrorLevel})
	var count atomic.Int64
	done := make(chan struct{})
	m := s.measured(func() {
		err := server.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
			err := handler(ctx, task)
			if err != nil {
				s.Error(err)
			}
			if count.Add(1) == int64(s.jobs) {
				close(done)
			}
			return err
		}))
		if err != nil {
			s.Fatal(err)
		}
		s.wait(done, benchQueue)
	})
	server.Shutdown()
	return m
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
	case <-time.After(time.Minute):
		s.Fatal("the queue is not empty after a minute")
	}
	for s.direct.LLen(s.Context(), "asynq:{"+queue+"}:active").Val() > 0 {
		time.Sleep(time.Millisecond)
	}
}

// fill empties Redis and puts the tasks of one run into asynq's queue.
func (s *bench) fill(payload func(i int) []byte, options ...asynq.Option) {
	s.flush()
	client := asynq.NewClientFromRedisClient(s.direct)
	var group sync.WaitGroup
	const parallel = 16
	for first := range parallel {
		group.Go(func() {
			for i := first; i < s.jobs; i += parallel {
				if _, err := client.Enqueue(asynq.NewTask("bench", payload(i)), options...); err != nil {
					s.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func (s *bench) flush() {
	if err := s.direct.FlushAll(s.Context()).Err(); err != nil {
		s.Fatal(err)
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

func (s *bench) token(client *http.Client, url string) string {
	body := `{"client_id":"id","client_secret":"secret","grant_type":"client_credentials","audience":"https://topups-sandbox.reloadly.com"}`
	response, err := client.Post(url+"/oauth/token", "application/json", strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Token == "" {
		s.Fatalf("no token: %s %v", response.Status, err)
	}
	return answer.Token
}

func (s *bench) next(c <-chan time.Time) time.Time {
	select {
	case at := <-c:
		return at
	case <-time.After(10 * time.Second):
		s.Fatal("no POST came")
		return time.Time{}
	}
}

// benchJob is a job to a number of its own.
func benchJob(i int) enqueue.TopUp {
	j := job("bench-" + strconv.Itoa(i))
	j.RecipientPhone.Number = strconv.Itoa(501_000_000 + i)
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

// delayProxy passes bytes on to target at once, and its answers delay after they
// came: Go's sleeps end up to 1 ms late, so two halves would be twice as long.
func delayProxy(b *testing.B, target string, delay time.Duration) string {
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
			go delayed(far, near, 0)
			go delayed(near, far, delay)
		}
	}()
	return listener.Addr().String()
}

// delayed copies until one side closes, then closes the other.
func delayed(to, from net.Conn, delay time.Duration) {
	type piece struct {
		due   time.Time
		bytes []byte
	}
	pieces := make(chan piece, 1024)
	go func() {
		defer func() { _ = to.Close() }()
		for p := range pieces {
			if delay > 0 {
				time.Sleep(time.Until(p.due))
			}
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
