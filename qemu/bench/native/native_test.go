package native

import "testing"

func TestFigures_reads(t *testing.T) {
	const out = "goos: linux\nBenchmarkForward64-2   \t 3000000\t       350.5 ns/op\t       4 B/op\t       1 allocs/op\nBenchmarkForward640-2 1 9 ns/op\nPASS\n"
	v, allocs, err := figures(out, "BenchmarkForward64", "ns/op")
	if v != 350.5 || allocs != 1 || err != nil {
		t.Errorf("%v, %v, %v", v, allocs, err)
	}
	if _, _, err := figures(out, "BenchmarkForward64", "ns/byte"); err == nil {
		t.Error("a figure that is not there was read")
	}
}
