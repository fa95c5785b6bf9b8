package worker_test

import (
	"bytes"
	"fmt"
	"net"
	"testing"
	"time"
)

// BenchmarkDistantRedis has Redis 1 ms away, where an asynq server's one dequeue a
// round trip is the limit; the worker chooses its number of servers.
func BenchmarkDistantRedis(b *testing.B) {
	direct := realRedis(b, "--appendfsync", benchAOF)
	distant := pool(b, delayProxy(b, direct.Options().Addr, time.Millisecond), 1000)
	s := &bench{TB: b, direct: direct, rdb: distant, inFlight: 1000, latency: 300 * time.Millisecond}
	best := time.Hour
	for range 20 {
		start := time.Now()
		if err := distant.Ping(b.Context()).Err(); err != nil {
			b.Fatal(err)
		}
		best = min(best, time.Since(start))
	}
	medians := s.compare(fmt.Sprintf("redis %.2f ms away", ms(best)), variant{"naive", 2000, s.naive}, variant{"full", 24000, s.full})
	limit := float64(s.inFlight) / s.latency.Seconds()
	b.ReportMetric(medians["naive"]/limit, "naive/limit")
	b.ReportMetric(medians["full"]/limit, "full/limit")
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
