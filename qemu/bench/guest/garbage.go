package guest

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"time"

	"barewire/qemu/bench/services"
	"barewire/qemu/bench/table"
)

// runtime is what the program's runtime has counted so far, nil where nobody
// asks or it does not answer.
func (r *Running) runtime(garbage *table.Table) *services.Runtime {
	if garbage == nil || r.echoes == "" {
		return nil
	}
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return r.dial("tcp4", 80) },
	}}
	resp, err := client.Get("http://guest/runtime")
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	var v services.Runtime
	if json.NewDecoder(resp.Body).Decode(&v) != nil {
		return nil
	}
	return &v
}

// collected enters what happened in a program between two readings: how long
// goroutines that could run waited for it, 99 of 100 and the longest, how long
// the collector stopped all of them at most, and what it took of the processor.
func collected(t *table.Table, side, load string, before, after *services.Runtime) {
	if t == nil || before == nil || after == nil {
		return
	}
	d := after.Since(*before)
	for _, f := range []struct {
		what, unit string
		v          float64
	}{
		{"scheduling latency, 99 %", "µs", 1e6 * services.Quantile(d.Latency, 0.99)},
		{"scheduling latency, most", "µs", 1e6 * services.Quantile(d.Latency, 1)},
		{"collector's pause, most", "µs", 1e6 * services.Quantile(d.Pauses, 1)},
		{"collector's share of the processor", "%", 100 * d.GCTime / max(d.Uptime.Seconds(), 1e-9)},
	} {
		// What one unlucky moment of the host decides is told, not judged: 0.
		t.Add(load+": "+f.what, f.unit, 0, side, f.v)
	}
}
