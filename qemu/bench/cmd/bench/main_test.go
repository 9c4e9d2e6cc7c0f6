package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"barewire/qemu/bench/table"
)

// result writes a result with one figure and returns its file.
func result(t *testing.T, ours float64) string {
	tb := table.New(table.Offloads, "test", table.Barewire, table.Linux)
	tb.Add(table.TCPIn, "Mbit/s", 1, table.Barewire, ours)
	tb.Add(table.TCPIn, "Mbit/s", 1, table.Linux, 100)
	dir := t.TempDir()
	if err := write(dir, &table.Result{Tables: []*table.Table{tb}}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"result.md", "offloads.svg"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	return filepath.Join(dir, "result.json")
}

func TestCompare_status(t *testing.T) {
	old := result(t, 300)
	for _, c := range []struct {
		ours   float64
		status int
	}{{300, 0}, {200, worse}, {400, 0}} {
		var out strings.Builder
		status, err := compare(old, result(t, c.ours), &out)
		if status != c.status || err != nil || !strings.Contains(out.String(), table.TCPIn) {
			t.Errorf("300 to %v: status %d, %v\n%s", c.ours, status, err, out.String())
		}
	}
	if _, err := compare(old, filepath.Join(t.TempDir(), "none.json"), io.Discard); err == nil {
		t.Error("a missing result is compared")
	}
}

func TestMeasure_unknownGroup_isRefused(t *testing.T) {
	if err := measure(t.Context(), t.TempDir(), quick, []string{"nonsense"}, io.Discard); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("%v", err)
	}
}
