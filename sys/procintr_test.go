package sys

import (
	"runtime"
	"strings"
	"testing"

	"barewire/napi"
)

func TestProcInterrupts_hasAColumnPerProcessor(t *testing.T) {
	k := New(Config{Clock: napi.SystemClock(), Interrupts: func() []Interrupt {
		return []Interrupt{
			{"5", []uint64{12}, "IO-APIC   5-level"},
			{"LOC", []uint64{3, 4}, "Local timer interrupts"},
		}
	}})
	lines := strings.Split(strings.TrimSuffix(k.procInterrupts(), "\n"), "\n")
	if len(lines) != 3 || len(strings.Fields(lines[0])) != runtime.NumCPU() || strings.Fields(lines[0])[0] != "CPU0" {
		t.Fatalf("%q", lines)
	}
	for i, want := range []struct{ name, count, about string }{{"5:", "12", "IO-APIC   5-level"}, {"LOC:", "3", "Local timer interrupts"}} {
		f := strings.Fields(lines[i+1])
		if f[0] != want.name || f[1] != want.count || !strings.HasSuffix(lines[i+1], "  "+want.about) ||
			len(f) != 1+runtime.NumCPU()+len(strings.Fields(want.about)) {
			t.Errorf("%q, want %v", lines[i+1], want)
		}
	}
	if stat := k.procStat(); !strings.Contains(stat, "\nintr 19\n") {
		t.Errorf("/proc/stat: %q", stat)
	}
	if got := New(Config{Clock: napi.SystemClock()}).procInterrupts(); strings.Count(got, "\n") != 1 {
		t.Errorf("without interrupts: %q", got)
	}
}
