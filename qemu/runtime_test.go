package qemu

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// The quality of the runtime on the image, with guest/rt. What the guest can
// judge itself it does; clocks, idleness and memory are judged from here.

func TestGuest_Runtime(t *testing.T) {
	for _, name := range []string{"sched", "sleep", "spin", "vector", "move", "gc", "early"} {
		t.Run(name, func(t *testing.T) {
			m := pass(t, Config{Memory: 64}, "rt", name, 2*time.Minute)
			t.Log(m.Console.Tail(2))
		})
	}
	t.Run("q35 sleep", func(t *testing.T) { pass(t, Config{Machine: Q35}, "rt", "sleep", time.Minute) })
}

// The kernel command line reaches the program as Linux passes it to init.
func TestGuest_ArgumentsAndEnvironment(t *testing.T) {
	m := pass(t, Config{Append: `ip=192.0.2.2::192.0.2.1:255.255.255.0::eth0:off GODEBUG=madvdontneed=1 COLOUR="dark blue"`},
		"rt", `args -v --x=y ip=not-a-parameter "two words"`, time.Minute)
	out := m.Console.Output()
	for _, want := range []string{
		`arg 1 args`, `arg 2 -v`, `arg 3 --x=y`, `arg 4 ip=not-a-parameter`, `arg 5 two words`,
		`env GODEBUG=madvdontneed=1`, `env COLOUR=dark blue`,
	} {
		if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(out) {
			t.Errorf("no line %q in:\n%s", want, out)
		}
	}
	if regexp.MustCompile(`(?m)^env ip=`).MatchString(out) {
		t.Errorf("a kernel parameter is in the environment:\n%s", out)
	}
}

// The guest's monotonic clock against the host's, over ten seconds.
func TestGuest_ClockRate(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 12 seconds a machine")
	}
	onEachMachine(t, func(t *testing.T, machine string) {
		m := Start(t, Config{Machine: machine, Kernel: image(t, guests+"rt"), Append: "-- clock"})
		var host [12]time.Time
		var guest [12]int64
		for i := range guest {
			got, err := m.Console.WaitFor(`^t (\d+)\n`, bootTime)
			if err != nil {
				t.Fatal(err)
			}
			host[i] = time.Now()
			guest[i], _ = strconv.ParseInt(got[1], 10, 64)
		}
		// A line reaches us late when the host is busy, never early: of each end the promptest one counts.
		promptest := func(from, to int) int {
			best := from
			for i := from + 1; i <= to; i++ {
				if host[i].Sub(host[best]) < time.Duration(guest[i]-guest[best]) {
					best = i
				}
			}
			return best
		}
		a, b := promptest(1, 4), promptest(8, 11)
		h, g := host[b].Sub(host[a]), time.Duration(guest[b]-guest[a])
		off := float64(g)/float64(h) - 1
		t.Logf("guest %v, host %v: %+.4f %%", g, h, 100*off)
		if g < 3*time.Second || math.Abs(off) > 0.001 {
			t.Errorf("the guest's clock is off by %+.3f %% over %v", 100*off, h)
		}
	})
}

func TestGuest_StdinAndWallClock(t *testing.T) {
	onEachMachine(t, func(t *testing.T, machine string) {
		m := Start(t, Config{Machine: machine, Kernel: image(t, guests+"stdin")})
		if _, err := m.Console.WaitFor(`^ready$`, bootTime); err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"hello", "", "with spaces and \"quotes\"", "0123456789012345678901234567890123456789"} {
			m.Console.Type(line + "\n")
			if _, err := m.Console.WaitFor("^got "+regexp.QuoteMeta(fmt.Sprintf("%q", line))+"$", 5*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		m.Console.Type("time\n")
		got, err := m.Console.WaitFor(`^time (\d+)\n`, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		ns, _ := strconv.ParseInt(got[1], 10, 64)
		off := time.Until(time.Unix(0, ns))
		t.Logf("the guest's wall clock is off by %v", off.Round(time.Millisecond))
		if off.Abs() > 1500*time.Millisecond { // the RTC counts whole seconds
			t.Errorf("the guest's wall clock is off by %v", off)
		}
		m.Console.Type("quit 7\n")
		if code, err := m.Wait(5 * time.Second); code != 7 || err != nil {
			t.Errorf("exit code %d, %v", code, err)
		}
	})
}

// A host that stops the machine again and again while it boots, for longer than the PIT takes to come round, does not
// spoil the clock's rate.
func TestGuest_ClockOfADisturbedBoot(t *testing.T) {
	onEachMachine(t, func(t *testing.T, machine string) {
		m := Start(t, Config{Machine: machine, Kernel: image(t, guests+"stdin")})
		for range 12 {
			time.Sleep(5 * time.Millisecond)
			syscall.Kill(m.PID(), syscall.SIGSTOP)
			time.Sleep(70 * time.Millisecond)
			syscall.Kill(m.PID(), syscall.SIGCONT)
		}
		if _, err := m.Console.WaitFor(`^ready$`, bootTime); err != nil {
			t.Fatal(err)
		}
		now := func() (guest, host int64) {
			m.Console.Type("time\n")
			got, err := m.Console.WaitFor(`^time (\d+)\n`, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			guest, _ = strconv.ParseInt(got[1], 10, 64)
			return guest, time.Now().UnixNano()
		}
		g0, h0 := now()
		time.Sleep(time.Second)
		g1, h1 := now()
		rate := float64(g1-g0) / float64(h1-h0)
		t.Logf("the guest's second is %.3f of the host's", rate)
		if rate < 0.9 || rate > 1.1 {
			t.Errorf("the guest's clock runs %.3f times as fast as the host's", rate)
		}
	})
}

// A program that sleeps uses next to nothing of the host's processor.
func TestGuest_IdleProgram(t *testing.T) {
	onEachMachine(t, func(t *testing.T, machine string) {
		m := Start(t, Config{Machine: machine, Kernel: image(t, guests+"rt"), Append: "-- idle"})
		time.Sleep(2 * time.Second)
		share, err := m.CPUShare(4 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("idle: %.2f %% of a core", 100*share)
		if share > 0.05 {
			t.Errorf("a sleeping program uses %.1f %% of a core", 100*share)
		}
		if code, err := m.Wait(bootTime); code != 0 || err != nil {
			t.Errorf("exit code %d, %v", code, err)
		}
	})
}

// RAM is what the machine has, from 32 MiB to 8 GiB.
func TestGuest_Memory(t *testing.T) {
	for _, machine := range machines {
		// The least: too little to be filled in blocks, enough to work with.
		t.Run(machine+" 32 MiB", func(t *testing.T) { pass(t, Config{Machine: machine, Memory: 32}, "rt", "gc", time.Minute) })
	}
	sizes := []int{64, 512, 3584, 8192} // 3584: below and above the hole for devices
	if testing.Short() {
		sizes = sizes[:2]
	}
	for _, mib := range sizes {
		for _, machine := range machines {
			if mib == 3584 && machine == Microvm || mib == 8192 && machine == Q35 {
				continue
			}
			t.Run(fmt.Sprintf("%s %d MiB", machine, mib), func(t *testing.T) {
				m := pass(t, Config{Machine: machine, Memory: mib}, "rt", "mem", 2*time.Minute)
				t.Log(m.Console.Tail(2))
			})
		}
	}
}
