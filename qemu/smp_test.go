package qemu

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

// Several processors, with guest/smp. Every other test of the image can be run on several too: BAREWIRE_SMP=2 go test ./qemu.

func TestSMP_ProcessorsAreThere(t *testing.T) {
	for _, c := range []struct {
		machine, params string
		cpus, want      int
	}{
		{Microvm, "", 2, 2}, {Microvm, "", 4, 4}, {Q35, "", 3, 3}, {Q35, "", 16, 16}, {Microvm, "maxcpus=2", 4, 2}, {Q35, "nosmp", 2, 1},
	} {
		t.Run(fmt.Sprintf("%d on %s %s", c.cpus, c.machine, c.params), func(t *testing.T) {
			pass(t, Config{Machine: c.machine, CPUs: c.cpus, Append: c.params}, "smp", fmt.Sprint("count ", c.want), time.Minute)
		})
	}
}

func TestSMP_TheSchedulerHolds(t *testing.T) {
	for _, cpus := range []int{2, 4} {
		for _, name := range []string{"stress 2s", "quiet 3s", "preempt", "wake", "clock"} {
			t.Run(fmt.Sprintf("%s on %d", name, cpus), func(t *testing.T) {
				m := pass(t, Config{CPUs: cpus}, "smp", name, 2*time.Minute)
				t.Log(m.Console.Tail(2))
			})
		}
	}
}

// How much faster two loops are on two processors is the host's affair too: where the host's own two loops are not, nothing is said.
func TestSMP_ProcessorsWorkAtTheSameTime(t *testing.T) {
	if testing.Short() || runtime.NumCPU() < 2 {
		t.Skip("wants two processors of the host for itself")
	}
	fair := false
	for range 3 {
		m := Start(t, Config{CPUs: 2, Kernel: image(t, guests+"smp"), Append: "-- speedup"})
		code, err := m.Wait(time.Minute)
		t.Log(m.Console.Tail(2))
		if err == nil && code == 0 {
			return
		}
		host := hostSpeedup()
		t.Logf("on the host: %.2f times", host)
		fair = fair || host > 1.7
	}
	if !fair {
		t.Skip("the host has no two processors for this")
	}
	t.Error("two loops take as long on two processors as on one, three times")
}

// hostSpeedup is the worst of some measurements of two loops on the host: what guest/smp measures of the image. The worst, since
// the image had to find its best among as many.
func hostSpeedup() float64 {
	loop := func() {
		for n := 0; n < 1e8; n++ {
			runtime.KeepAlive(n)
		}
	}
	worst := 2.0
	for range 5 {
		t := time.Now()
		loop()
		loop()
		alone := time.Since(t)
		var both sync.WaitGroup
		t = time.Now()
		both.Go(loop)
		both.Go(loop)
		both.Wait()
		worst = min(worst, float64(alone)/float64(time.Since(t)))
	}
	return worst
}

// A fault on one processor ends the machine with one report, whatever the others print.
func TestSMP_OneCrashAmongPrinters(t *testing.T) {
	for _, cpus := range []int{2, 4} {
		m := Start(t, Config{CPUs: cpus, Kernel: image(t, guests+"smp"), Append: "-- crash"})
		if _, err := m.Console.WaitFor(`nil pointer dereference`, bootTime+10*time.Second); err != nil {
			t.Fatal(err)
		}
		if code, err := m.Wait(time.Minute); code != 2 || err != nil {
			t.Errorf("%d processors: exit code %d, %v", cpus, code, err)
		}
	}
}
