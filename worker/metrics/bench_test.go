package metrics_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/govalues/decimal"

	"example.com/topup/enqueue"
	"example.com/topup/worker/metrics"
)

// BenchmarkScrape is what watching costs while 100,000 jobs wait: a scrape, and the survey
// behind it, which the whole fleet takes once in twenty times its duration.
func BenchmarkScrape(b *testing.B) {
	const waiting = 100_000
	rdb, _ := startRedis(b)
	client := enqueue.NewClient(rdb, enqueue.ClientConfig{})
	defer func() { _ = client.Close() }()
	jobs := make([]enqueue.TopUp, waiting)
	for i := range jobs {
		jobs[i] = enqueue.TopUp{
			ID: fmt.Sprint("j", i), OperatorID: 1100, Amount: decimal.MustParse("832"),
			RecipientPhone: enqueue.Phone{CountryCode: "AE", Number: fmt.Sprintf("0503%06d", i)},
		}
	}
	for _, a := range client.TopUps(b.Context(), jobs) {
		if a.Err != nil {
			b.Fatal(a.Err)
		}
	}
	before, began := redisSeconds(b, rdb.Info(b.Context(), "cpu").Val()), time.Now()
	if s, err := client.Ledger().Survey(b.Context(), 2*waiting); err != nil || s.Looked != waiting {
		b.Fatalf("%+v %v", s, err)
	}
	survey := time.Since(began)
	after := redisSeconds(b, rdb.Info(b.Context(), "cpu").Val())

	m := another(b, rdb, func(c *metrics.Config) { c.Interval = time.Hour })
	scrape := func() string {
		answer := httptest.NewRecorder()
		m.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
		return answer.Body.String()
	}
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx, nil) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}()
	eventually(b, "all jobs are shown", func() bool { return strings.Contains(scrape(), fmt.Sprintf("topup_jobs_surveyed %d\n", waiting)) })
	size := 0
	for b.Loop() {
		size = len(scrape())
	}
	b.ReportMetric(float64(survey.Milliseconds()), "ms/survey")
	b.ReportMetric(1000*(after-before), "redis-cpu-ms/survey")
	b.ReportMetric(float64(size), "B/scrape")
}

// redisSeconds is the time that Redis has worked.
func redisSeconds(tb testing.TB, info string) (sum float64) {
	tb.Helper()
	for line := range strings.Lines(info) {
		for _, name := range []string{"used_cpu_user:", "used_cpu_sys:"} {
			var seconds float64
			scan(line, name, &seconds)
			sum += seconds
		}
	}
	return sum
}
