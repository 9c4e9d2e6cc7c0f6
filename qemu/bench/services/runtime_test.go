package services

import (
	"runtime"
	"testing"
)

func TestSince_collections(t *testing.T) {
	before := readRuntime()
	runtime.GC()
	r := readRuntime().Since(before)
	if r.Cycles == 0 || len(r.Pauses) == 0 || Quantile(r.Pauses, 1) <= 0 || r.Uptime <= 0 {
		t.Errorf("after a collection: %+v", r)
	}
	if again := before.Since(before); len(again.Pauses) != 0 || len(again.Latency) != 0 || again.Cycles != 0 {
		t.Errorf("since itself: %+v", again)
	}
}

func TestQuantile_bounds(t *testing.T) {
	l := []Bucket{{1, 98}, {2, 1}, {3, 1}}
	for _, c := range []struct{ share, want float64 }{{0.5, 1}, {0.99, 2}, {1, 3}} {
		if got := Quantile(l, c.share); got != c.want {
			t.Errorf("%v: %v, want %v", c.share, got, c.want)
		}
	}
	if Quantile(nil, 0.99) != 0 {
		t.Error("a quantile of nothing")
	}
}
