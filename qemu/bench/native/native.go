// Package native compares barewire's stack with gVisor's netstack without QEMU:
// both in a process, on links in memory, in the same minutes. Each side has its
// own benchmarks of the same tasks: barewire those of its inet package, gVisor
// those of this package's tests.
package native

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"barewire/qemu/bench/table"
)

// Pair is a task that both do.
type Pair struct {
	Task     string
	Barewire string  // its benchmark in inet
	GVisor   string  // its benchmark here
	Unit     string  // of the figure: "ns/op" or what the benchmark reports
	Want     float64 // how many times less barewire's figure must be
}

// Pairs are the tasks. read-only.
var Pairs = []Pair{
	{"forward 64 B", "BenchmarkForward64", "BenchmarkForward64", "ns/op", 10},
	{"forward 1500 B", "BenchmarkForward1500", "BenchmarkForward1500", "ns/op", 10},
	{"forward 64 B, NAT", "BenchmarkForwardNAT64", "BenchmarkForwardNAT64", "ns/op", 10},
	{"forward 64 B, 100 rules", "BenchmarkForwardRules100", "BenchmarkForwardRules100", "ns/op", 10},
	{"forward 64 B, NAT and 100 rules", "BenchmarkForwardNATRules100", "BenchmarkForwardNATRules100", "ns/op", 10},
	{"UDP receive 64 B", "BenchmarkUDPReceive", "BenchmarkUDPReceive", "ns/op", 10},
	{"TCP bulk, MTU 1500", "BenchmarkTCP_bulkBars/mtu1500", "BenchmarkTCP_bulkBars/mtu1500", "ns/byte", 5},
	{"TCP bulk, GSO", "BenchmarkTCP_bulkBars/gso", "BenchmarkTCP_bulkBars/gso", "ns/byte", 2},
	{"TCP connect and close", "BenchmarkTCP_connectClose", "BenchmarkTCP_connectClose", "ns/op", 5},
}

// Figure is what a benchmark came to: the median of its runs and all of them.
type Figure struct {
	Median float64   `json:"median"`
	Runs   []float64 `json:"runs"`
	Allocs float64   `json:"allocs_per_op"`
}

// Result is one task's.
type Result struct {
	Task     string  `json:"task"`
	Unit     string  `json:"unit"`
	Barewire Figure  `json:"barewire"`
	GVisor   Figure  `json:"gvisor"`
	Ratio    float64 `json:"ratio"` // gVisor's median by barewire's
	Want     float64 `json:"want"`
}

// Run builds both benchmarks below dir and runs each task rounds times, the two
// sides in turns. root is the folder of the repository.
func Run(root, dir string, rounds int, each time.Duration, say io.Writer) ([]Result, error) {
	sides := [2]struct{ name, folder, binary string }{
		{"barewire", root, filepath.Join(dir, "barewire.test")},
		{"gVisor", filepath.Join(root, "qemu/bench"), filepath.Join(dir, "gvisor.test")},
	}
	for i, pkg := range []string{"./inet", "./native"} {
		build := exec.Command("go", "test", "-c", "-o", sides[i].binary, pkg)
		build.Dir = sides[i].folder
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", sides[i].name, err, out)
		}
	}
	var results []Result
	for _, p := range Pairs {
		r := Result{Task: p.Task, Unit: p.Unit, Want: p.Want}
		for range rounds {
			for i, f := range []*Figure{&r.Barewire, &r.GVisor} {
				v, allocs, err := once(sides[i].binary, []string{p.Barewire, p.GVisor}[i], p.Unit, each)
				if err != nil {
					return nil, fmt.Errorf("%s: %s: %w", sides[i].name, p.Task, err)
				}
				f.Runs = append(f.Runs, v)
				f.Allocs = allocs
			}
		}
		r.Barewire.Median, r.GVisor.Median = table.Median(r.Barewire.Runs), table.Median(r.GVisor.Runs)
		r.Ratio = r.GVisor.Median / r.Barewire.Median
		fmt.Fprintf(say, "%-34s barewire %8.4g, gVisor %8.4g %s: %.1f times (want %g)\n", r.Task, r.Barewire.Median, r.GVisor.Median, r.Unit, r.Ratio, r.Want)
		results = append(results, r)
	}
	return results, nil
}

// once runs one benchmark and returns its figure in a unit.
func once(binary, name, unit string, each time.Duration) (v, allocs float64, err error) {
	var out bytes.Buffer
	cmd := exec.Command(binary, "-test.run=^$", "-test.benchmem", "-test.bench="+pattern(name), "-test.benchtime="+each.String())
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return 0, 0, fmt.Errorf("%w\n%s", err, out.String())
	}
	for line := range strings.Lines(out.String()) {
		f := strings.Fields(line)
		if len(f) < 4 || !strings.HasPrefix(f[0], name) {
			continue
		}
		found := false
		for i := 2; i+1 < len(f); i += 2 {
			n, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				return 0, 0, fmt.Errorf("%q", line)
			}
			switch f[i+1] {
			case unit:
				v, found = n, true
			case "allocs/op":
				allocs = n
			}
		}
		if found {
			return v, allocs, nil
		}
	}
	return 0, 0, fmt.Errorf("no %s in:\n%s", unit, out.String())
}

// pattern is the regular expression of a benchmark's name, part by part.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

// Markdown writes results as a table.
func Markdown(w io.Writer, l []Result) {
	fmt.Fprintln(w, "| task | barewire | gVisor netstack | unit | ratio | must reach | allocations: barewire, gVisor |\n|---|---|---|---|---|---|---|")
	for _, r := range l {
		fmt.Fprintf(w, "| %s | %.4g | %.4g | %s | %.1f | %g | %g, %g |\n", r.Task, r.Barewire.Median, r.GVisor.Median, r.Unit, r.Ratio, r.Want, r.Barewire.Allocs, r.GVisor.Allocs)
	}
}

// JSON writes results for a later comparison.
func JSON(w io.Writer, l []Result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	return e.Encode(l)
}
