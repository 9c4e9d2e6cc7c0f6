// Package native compares barewire's stack with gVisor's netstack without QEMU:
// both in a process, on links in memory, in the same minutes. Each side has its
// own benchmarks of the same tasks: barewire those of its inet package, gVisor
// those of this package's tests. Both are compiled as for an image, with the
// kernel's profile: it is of barewire and of Go's runtime, not of gVisor.
package native

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"barewire/qemu/bench/table"
	"barewire/toolchain"
)

// Pair is a task that both do.
type Pair struct {
	Task     string
	Barewire string // its benchmark in inet
	GVisor   string // its benchmark here
	Unit     string // of the figure: "ns/op" or what the benchmark reports
	Once     bool   // one run of it is long, and enough
}

// Pairs are the tasks. read-only.
var Pairs = []Pair{
	{table.NativeForward, "BenchmarkForward64", "BenchmarkForward64", "ns/op", false},
	{table.NativeForward15, "BenchmarkForward1500", "BenchmarkForward1500", "ns/op", false},
	{table.NativeNAT, "BenchmarkForwardNAT64", "BenchmarkForwardNAT64", "ns/op", false},
	{table.NativeRules, "BenchmarkForwardRules100", "BenchmarkForwardRules100", "ns/op", false},
	{table.NativeNATRules, "BenchmarkForwardNATRules100", "BenchmarkForwardNATRules100", "ns/op", false},
	{table.NativeUDP, "BenchmarkUDPReceive", "BenchmarkUDPReceive", "ns/op", false},
	{table.NativeTCP, "BenchmarkTCP_bulkBars/mtu1500", "BenchmarkTCP_bulkBars/mtu1500", "ns/byte", false},
	{table.NativeGSO, "BenchmarkTCP_bulkBars/gso", "BenchmarkTCP_bulkBars/gso", "ns/byte", false},
	{table.NativeConnect, "BenchmarkTCP_connectClose", "BenchmarkTCP_connectClose", "ns/op", false},
	{table.NativeIdle, "BenchmarkTCP_idle200k", "BenchmarkTCP_idle", "B/conn", true},
}

// Run builds both benchmarks below dir and runs each task rounds times, the two
// sides in turns. root is the folder of the repository. A task that fails is
// noted and left out.
func Run(ctx context.Context, root, dir string, rounds int, each time.Duration, say io.Writer) (*table.Table, error) {
	sides := [2]struct{ name, folder, binary string }{
		{table.Barewire, root, filepath.Join(dir, "barewire.test")},
		{table.GVisor, filepath.Join(root, "qemu/bench"), filepath.Join(dir, "gvisor.test")},
	}
	for i, pkg := range []string{"./inet", "./native"} {
		build := exec.CommandContext(ctx, "go", "test", "-c", "-pgo="+filepath.Join(root, toolchain.KernelProfile), "-o", sides[i].binary, pkg)
		build.Dir = sides[i].folder
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", sides[i].name, err, out)
		}
	}
	t := table.New(table.Native, "In a process, without QEMU: barewire's stack and gVisor's on links in memory", table.Barewire, table.GVisor)
	for _, p := range Pairs {
		for range rounds {
			for i, benchmark := range []string{p.Barewire, p.GVisor} {
				how := each.String()
				if p.Once {
					how = "1x"
				}
				v, allocs, err := once(ctx, sides[i].binary, benchmark, p.Unit, how)
				if ctx.Err() != nil {
					return t, context.Cause(ctx)
				}
				if err != nil {
					t.Note("%s: %s: %v", sides[i].name, p.Task, err)
					continue
				}
				t.Add(p.Task, p.Unit, -1, sides[i].name, v)
				if p.Unit == "ns/op" {
					t.Add(table.NativeAllocation+p.Task, "1/op", -1, sides[i].name, allocs)
				}
			}
			if p.Once {
				break
			}
		}
		if r := t.Row(p.Task); r != nil {
			ratio, _, _, _ := r.Ratio(table.Barewire, table.GVisor)
			fmt.Fprintf(say, "%-34s %5.1f times gVisor\n", p.Task, ratio)
		}
	}
	return t, nil
}

// once runs one benchmark and returns its figure in a unit.
func once(ctx context.Context, binary, name, unit, benchtime string) (v, allocs float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, "-test.run=^$", "-test.benchmem", "-test.bench="+pattern(name), "-test.benchtime="+benchtime)
	cmd.WaitDelay = time.Second
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return 0, 0, fmt.Errorf("%w\n%s", err, out.String())
	}
	return figures(out.String(), name, unit)
}

// figures reads a benchmark's figure in a unit, and its allocations, from what
// the testing package prints.
func figures(out, name, unit string) (v, allocs float64, err error) {
	for line := range strings.Lines(out) {
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
	return 0, 0, fmt.Errorf("no %s in:\n%s", unit, out)
}

// pattern is the regular expression of a benchmark's name, part by part.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}
