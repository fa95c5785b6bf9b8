package worker_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

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
	fmt.Fprintln(table, "\tjobs\tjobs/s\tmin\tmax\tCPU/job with simulator\tredis CPU/job\t")
	medians, used := map[string]float64{}, map[string]float64{}
	for _, v := range variants {
		runs := all[v.name]
		medians[v.name] = median(runs, func(m measure) float64 { return m.rate })
		slices.SortFunc(runs, func(a, b measure) int { return int(a.rate - b.rate) })
		cpu := median(runs, func(m measure) float64 { return float64(m.cpu.Microseconds()) })
		server := median(runs, func(m measure) float64 { return float64(m.redisCPU.Microseconds()) })
		used[v.name] = cpu + server
		fmt.Fprintf(table, "%s\t%d\t%.0f\t%.0f\t%.0f\t%.0f µs\t%.0f µs\t\n",
			v.name, v.jobs, medians[v.name], runs[0].rate, runs[len(runs)-1].rate, cpu, server)
		s.metric(medians[v.name], v.name+"-jobs/s")
		s.metric(cpu, v.name+"-µs-cpu/job")
	}
	_ = table.Flush() // into memory
	ratio := medians["full"] / medians["naive"]
	s.metric(ratio, "full/naive")
	s.metric(0, "ns/op") // says nothing here
	fmt.Fprintf(&out, "full / naive: %.3f, CPU of all processes %.2f", ratio, used["full"]/used["naive"])
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
