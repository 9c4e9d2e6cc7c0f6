package services

import (
	"encoding/json"
	"math"
	"net/http"
	"runtime/metrics"
	"time"
)

// Runtime is what Go's runtime has counted since the start of the program.
type Runtime struct {
	Latency []Bucket      `json:"latency"` // how long goroutines were runnable before they ran
	Pauses  []Bucket      `json:"pauses"`  // how long the collector stopped all of them
	GCTime  float64       `json:"gc_cpu_seconds"`
	Cycles  uint64        `json:"gc_cycles"`
	Uptime  time.Duration `json:"uptime"`
}

// Bucket is how many times took at most so long.
type Bucket struct {
	Most  float64 `json:"most"` // seconds
	Count uint64  `json:"count"`
}

// started is where Uptime counts from. read-only.
var started = time.Now()

// readRuntime asks the runtime.
func readRuntime() Runtime {
	s := []metrics.Sample{{Name: "/sched/latencies:seconds"}, {Name: "/sched/pauses/total/gc:seconds"}, {Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(s)
	return Runtime{
		Latency: buckets(s[0].Value.Float64Histogram()), Pauses: buckets(s[1].Value.Float64Histogram()),
		GCTime: s[2].Value.Float64(), Cycles: s[3].Value.Uint64(), Uptime: time.Since(started),
	}
}

// buckets leaves out what is empty. What is beyond the last bound is put at it.
func buckets(h *metrics.Float64Histogram) (l []Bucket) {
	for i, n := range h.Counts {
		if n == 0 {
			continue
		}
		most := h.Buckets[i+1]
		if math.IsInf(most, 1) {
			most = h.Buckets[i]
		}
		l = append(l, Bucket{most, n})
	}
	return l
}

// Since is what came after an earlier reading.
func (r Runtime) Since(before Runtime) Runtime {
	r.Latency, r.Pauses = minus(r.Latency, before.Latency), minus(r.Pauses, before.Pauses)
	r.GCTime -= before.GCTime
	r.Cycles -= before.Cycles
	r.Uptime -= before.Uptime
	return r
}

func minus(now, before []Bucket) (l []Bucket) {
	was := map[float64]uint64{}
	for _, b := range before {
		was[b.Most] = b.Count
	}
	for _, b := range now {
		if n := b.Count - was[b.Most]; n > 0 && n <= b.Count {
			l = append(l, Bucket{b.Most, n})
		}
	}
	return l
}

// Quantile is a bound that so large a share of a histogram is not above, 0 for an
// empty one; that of 1 is the greatest.
func Quantile(l []Bucket, share float64) float64 {
	var all, seen uint64
	for _, b := range l {
		all += b.Count
	}
	for _, b := range l {
		if seen += b.Count; float64(seen) >= share*float64(all) {
			return b.Most
		}
	}
	return 0
}

func serveRuntime(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(readRuntime()) }
