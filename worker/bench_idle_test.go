package worker_test

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"example.com/topup/enqueue"
)

// BenchmarkIdleLatency is from asking for one top-up to the first byte of its POST
// at the provider, with an empty queue before it.
func BenchmarkIdleLatency(b *testing.B) {
	rdb := realRedis(b, "--appendfsync", benchAOF)
	s := &bench{TB: b, direct: rdb, rdb: rdb, inFlight: 100}
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

func (s *bench) next(c <-chan time.Time) time.Time {
	select {
	case at := <-c:
		return at
	case <-time.After(10 * time.Second):
		s.Fatal("no POST came")
		return time.Time{}
	}
}
