package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/govalues/decimal"

	"example.com/topup/enqueue"
)

// How many POST /v1/topups a second are accepted, beside what enqueue.Client.TopUp does
// on the same Redis in the same run: real connections, a key with its rate, the log
// line of each request, all on this machine.
//
//	go test -run '^$' -bench Submit -benchtime 1x ./enqueue/httpapi
func BenchmarkSubmit(b *testing.B) {
	const (
		callers = 48
		span    = 2 * time.Second
		rounds  = 5
	)
	rdb := realRedis(b)
	client := enqueue.NewClient(rdb, enqueue.ClientConfig{})
	defer func() { _ = client.Close() }()
	log := slog.New(slog.NewJSONHandler(io.Discard, nil)) //nolint:sloglint // writing the lines is measured too
	server, err := New(Config{Redis: rdb, Client: client, Logger: log})
	if err != nil {
		b.Fatal(err)
	}
	secret, _, err := server.keys.Create(b.Context(), Key{Name: "load", Scopes: Scopes(), PerSecond: 1_000_000})
	if err != nil {
		b.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}()
	var n atomic.Int64
	id := func() string { return fmt.Sprintf("load-%d", n.Add(1)) }
	// many runs call until the span is over, and returns how many a second there were,
	// and how long each took.
	many := func(caller func() (call func() error, end func())) (float64, []time.Duration) {
		var group sync.WaitGroup
		var mu sync.Mutex
		var all []time.Duration
		began := time.Now()
		for range callers {
			group.Go(func() {
				call, end := caller()
				defer end()
				var own []time.Duration
				for time.Since(began) < span {
					at := time.Now()
					if err := call(); err != nil {
						b.Error(err)
						return
					}
					own = append(own, time.Since(at))
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, own...)
			})
		}
		group.Wait()
		slices.Sort(all)
		return float64(len(all)) / time.Since(began).Seconds(), all
	}
	direct := func() (func() error, func()) {
		return func() error {
			_, err := client.TopUp(ctx, enqueue.TopUp{
				ID: id(), OperatorID: 1100, Amount: decimal.MustParse("832"), RecipientPhone: enqueue.Phone{CountryCode: "AE", Number: "0503971821"},
			})
			return err
		}, func() {}
	}
	overHTTP := func() (func() error, func()) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", listener.Addr().String())
		if err != nil {
			b.Error(err)
			return func() error { return err }, func() {}
		}
		in := bufio.NewReader(conn)
		return func() error {
			body := strings.Replace(quickStart, "airtime-top-up", id(), 1)
			var out bytes.Buffer
			fmt.Fprintf(&out, "POST /v1/topups HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", secret, len(body), body)
			if _, err := conn.Write(out.Bytes()); err != nil {
				return err
			}
			response, err := http.ReadResponse(in, nil)
			if err != nil {
				return err
			}
			text, err := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if response.StatusCode != http.StatusAccepted {
				return fmt.Errorf("%d %s %w", response.StatusCode, text, err)
			}
			return err
		}, func() { _ = conn.Close() }
	}
	// cpu is what this process and Redis have used so far: other work on the machine
	// does not change what a request costs.
	cpu := func() (float64, float64) {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			b.Fatal(err)
		}
		own := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
		var server float64
		for line := range strings.Lines(rdb.Info(ctx, "cpu").Val()) {
			var used float64
			if name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name == "used_cpu_sys" || name == "used_cpu_user" {
				_, _ = fmt.Sscan(value, &used)
				server += used
			}
		}
		return own.Seconds() * 1e6, server * 1e6
	}
	measured := func(caller func() (func() error, func())) (rate float64, took []time.Duration, cost string) {
		own, redis := cpu()
		rate, took = many(caller)
		own2, redis2 := cpu()
		n := float64(len(took))
		return rate, took, fmt.Sprintf("%.0f + %.0f µs", (own2-own)/n, (redis2-redis)/n)
	}
	var costs, bareCosts []string
	var rates, bare []float64
	var p50, p99 []time.Duration
	for b.Loop() {
		for range rounds {
			rate, _, cost := measured(direct)
			bare, bareCosts = append(bare, rate), append(bareCosts, cost)
			rate, took, cost := measured(overHTTP)
			rates, costs = append(rates, rate), append(costs, cost)
			p50, p99 = append(p50, took[len(took)/2]), append(p99, took[len(took)*99/100])
		}
	}
	for i := range rates {
		b.Logf("round %d: %.0f POST/s, p50 %v, p99 %v, CPU with the caller's and Redis' %s; TopUp %.0f/s, %s",
			i, rates[i], p50[i].Round(10*time.Microsecond), p99[i].Round(10*time.Microsecond), costs[i], bare[i], bareCosts[i])
	}
	slices.Sort(rates)
	slices.Sort(bare)
	slices.Sort(p99)
	b.ReportMetric(rates[len(rates)/2], "POST/s")
	b.ReportMetric(bare[len(bare)/2], "TopUp/s")
	b.ReportMetric(float64(p99[len(p99)/2].Microseconds())/1000, "p99-ms")
	b.ReportMetric(0, "ns/op")
}
