package campaign

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// BenchmarkStage loads 100,000 rows that are checked already: rows a second, and what a
// row takes in Redis and, at most, on the loader's heap.
func BenchmarkStage(b *testing.B) {
	rdb := realRedis(b)
	s, ctx := NewStore(rdb), b.Context()
	used := func() int64 {
		text, _ := rdb.Info(ctx, "memory").Result()
		_, rest, _ := strings.Cut(text, "used_memory:")
		n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		return n
	}
	const rows = 100_000
	before := used()
	var heap uint64
	for i := range b.N {
		st := s.Stage(ctx, "bench"+strconv.Itoa(i))
		for n := range rows {
			r := person(n)
			if err := st.Add(ctx, &r); err != nil {
				b.Fatal(err)
			}
			if n%10_000 == 0 {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				heap = max(heap, m.HeapAlloc)
			}
		}
		if _, err := st.Commit(ctx, CommitOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(used()-before)/float64(rows*b.N), "B/row")
	b.ReportMetric(float64(heap)/(1<<20), "MiB-heap")
}
