package campaign

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// generated is a CSV of n rows, written as it is read: what a test measures is the
// reader's memory. The rows are of several countries, written as people write them.
type generated struct {
	n, next int
	buf     []byte
}

func (g *generated) Read(p []byte) (int, error) {
	for len(g.buf) < len(p) && g.next <= g.n {
		g.buf = append(g.buf, g.row(g.next)...)
		g.next++
	}
	if len(g.buf) == 0 {
		return 0, io.EOF
	}
	n := copy(p, g.buf)
	g.buf = append(g.buf[:0], g.buf[n:]...)
	return n, nil
}

func (g *generated) row(i int) string {
	if i == 0 {
		return "phone,amount,currency,country,operator_id,external_id,not_before,note\n"
	}
	switch i % 5 {
	case 0:
		return fmt.Sprintf("+23480%08d,%d.50,local,NG,341,row-%d,,Ward %d\n", i, 10+i%90, i, i%40)
	case 1:
		return fmt.Sprintf("080%08d,%d,local,NG,,row-%d,,\n", i, 100+i%900, i)
	case 2:
		return fmt.Sprintf("97150%07d,%d.25,sender,AE,,row-%d,2026-12-01T09:00:00+01:00,\"Team, %d\"\n", i, 5+i%40, i, i%9)
	case 3:
		return fmt.Sprintf("+91 98%03d %05d,%d,INR,IN,,row-%d,,\n", i/100000, i%100000, 10+i%200, i)
	}
	return fmt.Sprintf("+2547%08d,%d,local,,,row-%d,,\n", i, 50+i%450, i)
}

func BenchmarkRead(b *testing.B) {
	const rows = 100_000
	var text strings.Builder
	if _, err := io.Copy(&text, &generated{n: rows}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		reading, err := Read(b.Context(), strings.NewReader(text.String()), ReadOptions{}, func(*Row) error { return nil })
		if err != nil || reading.Rows != rows {
			b.Fatal(err, reading.Rows, reading.Problems[:min(3, len(reading.Problems))])
		}
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkReadMillion tells the heap that a million rows take.
func BenchmarkReadMillion(b *testing.B) {
	const rows = 1_000_000
	for b.Loop() {
		runtime.GC()
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		var peak atomic.Uint64
		done, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					var now runtime.MemStats
					runtime.ReadMemStats(&now)
					peak.Store(max(peak.Load(), now.HeapInuse-min(before.HeapInuse, now.HeapInuse)))
				case <-done:
					return
				}
			}
		}()
		reading, err := Read(b.Context(), &generated{n: rows}, ReadOptions{}, func(*Row) error { return nil })
		close(done)
		<-stopped
		if err != nil || reading.Rows != rows {
			b.Fatal(err, reading.Rows, reading.Problems[:min(3, len(reading.Problems))])
		}
		b.ReportMetric(float64(peak.Load())/(1<<20), "peak-MiB")
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
