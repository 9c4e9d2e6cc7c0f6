package profile

import (
	"fmt"
	"io"
	"math"
	"runtime/metrics"
)

// times are the distributions that tell how long a goroutine had to wait, in
// seconds. read-only
var times = []string{
	"/sched/latencies:seconds",          // between becoming runnable and running
	"/sched/pauses/total/gc:seconds",    // world stopped by the collector
	"/sched/pauses/total/other:seconds", // ... by other reasons
	"/sync/mutex/wait/total:seconds",
}

// sizes are numbers beside them. read-only
var sizes = []string{
	"/gc/cycles/total:gc-cycles",
	"/gc/heap/allocs:bytes",
	"/gc/heap/allocs:objects",
	"/gc/heap/live:bytes",
	"/memory/classes/total:bytes",
	"/sched/goroutines:goroutines",
}

func sample() []metrics.Sample {
	var s []metrics.Sample
	for _, l := range [][]string{times, sizes} {
		for _, n := range l {
			s = append(s, metrics.Sample{Name: n})
		}
	}
	metrics.Read(s)
	return s
}

// metricsText writes the runtime's own figures, those of the next seconds if
// there are any, else since boot. A quantile is the upper edge of the bucket it
// falls in.
func metricsText(w io.Writer, seconds int) error {
	var before []metrics.Sample
	if seconds > 0 {
		before = sample()
		pause(seconds)
	}
	for i, s := range sample() {
		var err error
		switch s.Value.Kind() {
		case metrics.KindFloat64Histogram:
			h := s.Value.Float64Histogram()
			counts := append([]uint64(nil), h.Counts...)
			if before != nil {
				for k, c := range before[i].Value.Float64Histogram().Counts {
					counts[k] -= c
				}
			}
			n := total(counts)
			_, err = fmt.Fprintf(w, "%-36s count %d p50 %s p99 %s max %s\n", s.Name, n,
				micros(quantile(counts, h.Buckets, n/2)), micros(quantile(counts, h.Buckets, n-1-n/100)), micros(quantile(counts, h.Buckets, n-1)))
		case metrics.KindUint64:
			_, err = fmt.Fprintf(w, "%-36s %d\n", s.Name, s.Value.Uint64())
		case metrics.KindFloat64:
			_, err = fmt.Fprintf(w, "%-36s %g\n", s.Name, s.Value.Float64())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func total(counts []uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// quantile returns the upper edge of the bucket that holds the sample with
// that rank, counted from 0, in seconds; 0 if there are no samples. The last
// bucket has no upper edge: it is known by its lower one.
func quantile(counts []uint64, edges []float64, rank uint64) float64 {
	for i, c := range counts {
		if c == 0 {
			continue
		}
		if rank < c {
			if up := edges[i+1]; !math.IsInf(up, 0) {
				return up
			}
			return edges[i]
		}
		rank -= c
	}
	return 0
}

func micros(s float64) string { return fmt.Sprintf("%.1fus", s*1e6) }
