package qemu

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Tests of the runtime on the image, with the programs in guest/.

const guests = "barewire/qemu/guest/"

// runGuest boots a guest program with the given words as its arguments, waits
// until it ends, and returns its exit code and what it printed.
func runGuest(t *testing.T, cfg Config, name, args string, timeout time.Duration) (int, *VM) {
	t.Helper()
	cfg.Kernel = image(t, guests+name)
	if args != "" {
		cfg.Append += " -- " + args
	}
	m := Start(t, cfg)
	code, err := m.Wait(timeout)
	if err != nil {
		t.Fatal(err)
	}
	return code, m
}

// pass runs a guest program that judges itself: it prints PASS and ends with 0.
func pass(t *testing.T, cfg Config, name, args string, timeout time.Duration) *VM {
	t.Helper()
	code, m := runGuest(t, cfg, name, args, timeout)
	out := m.Console.Output()
	if code != 0 || !regexp.MustCompile(`(?m)^PASS$`).MatchString(out) {
		t.Errorf("%s %s: exit code %d:\n%s", name, args, code, out)
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "FAIL") {
			t.Errorf("%s %s: %s", name, args, line)
		}
	}
	return m
}

func TestGuest_FaultsAreRecoverable(t *testing.T) {
	onEachMachine(t, func(t *testing.T, machine string) {
		pass(t, Config{Machine: machine}, "fault", "", time.Minute)
	})
}

// What ends a program ends QEMU with the program's status, after the traceback
// a Go programmer knows. read-only.
var fatalEnds = []struct {
	args string
	code int
	says []string
}{
	{"exit 0", 0, nil},
	{"exit 1", 1, nil},
	{"exit 42", 42, nil},
	{"exit 127", 127, nil},
	{"panic", 2, []string{`panic: unrecovered`, `goroutine \d+ \[running\]`, `main\.end`}},
	{"stack", 2, []string{`goroutine stack exceeds`, `stack overflow`, `main\.recurse`}},
	{"wild", 2, []string{`unexpected fault address`, `instruction:`, `main\.end`}},
	{"nx", 2, []string{`unexpected fault address`}},
	{"text", 2, []string{`unexpected fault address`}},
	{"rodata", 2, []string{`unexpected fault address`}},
	{"oom", 2, []string{`out of memory`}},
	{"g0", 2, []string{`SIGSEGV`, `instruction:`}},
	{"double", 2, []string{`fatal error: double fault`, `goroutine`}},
	{"irq", 2, []string{`fault in interrupt or exception context`}},
}

func TestGuest_FatalEnds(t *testing.T) {
	for _, c := range fatalEnds {
		t.Run(c.args, func(t *testing.T) {
			cfg := Config{Memory: 64}
			if c.args == "irq" {
				cfg.CPUs = 1 // of several, one that idles may meet the broken timer before an interrupt does
			}
			endsAs(t, cfg, c.args, c.code, c.says)
		})
	}
}

// The same on a processor that is not the first, while the others have something to do.
func TestSMP_FatalEnds(t *testing.T) {
	for _, c := range fatalEnds {
		if c.args == "irq" || c.args == "exit 0" || c.args == "exit 1" {
			continue
		}
		t.Run(c.args, func(t *testing.T) {
			endsAs(t, Config{Memory: 64, CPUs: 4, Append: "CPU=2"}, c.args, c.code, append([]string{"on processor 2"}, c.says...))
		})
	}
	t.Run("without a device", func(t *testing.T) {
		endsAs(t, Config{CPUs: 2, Append: "CPU=1", NoExitDevice: true}, "exit 3", 0, []string{"on processor 1", "barewire: exit status 3\n"})
	})
}

// endsAs has guest/fault end in a way, and looks at its status and at what the console says.
func endsAs(t *testing.T, cfg Config, args string, code int, says []string) {
	t.Helper()
	got, m := runGuest(t, cfg, "fault", args, time.Minute)
	out := m.Console.Output()
	if got != code {
		t.Errorf("exit code %d, want %d:\n%s", got, code, out)
	}
	for _, want := range says {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the console does not say %q:\n%s", want, out)
		}
	}
	if strings.HasPrefix(args, "exit") && strings.Contains(out, "goroutine") {
		t.Errorf("a traceback nobody asked for:\n%s", out)
	}
}

// Where there is no exit device the status is printed, and the machine is reset,
// which -no-reboot makes an end.
func TestGuest_ExitWithoutDevice(t *testing.T) {
	onEachMachine(t, func(t *testing.T, machine string) {
		code, m := runGuest(t, Config{Machine: machine, NoExitDevice: true}, "fault", "exit 3", time.Minute)
		if out := m.Console.Output(); code != 0 || !strings.Contains(out, "barewire: exit status 3\n") {
			t.Errorf("QEMU's status says %d, the console:\n%s", code, out)
		}
	})
}

// A machine that hangs tells where when it gets a non-maskable interrupt.
func TestGuest_NMIShowsWhereItHangs(t *testing.T) {
	onEachMachine(t, func(t *testing.T, machine string) { nmiShows(t, Config{Machine: machine}) })
}

// So does one of which only one processor hangs, whichever it is.
func TestSMP_NMIShowsWhereItHangs(t *testing.T) {
	for _, cpu := range []string{"0", "3"} {
		nmiShows(t, Config{CPUs: 4, Append: "CPU=" + cpu})
	}
}

func nmiShows(t *testing.T, cfg Config) {
	t.Helper()
	cfg.Kernel = image(t, guests+"fault")
	cfg.Append += " -- hang"
	m := Start(t, cfg)
	if _, err := m.Console.WaitFor("^HANGING$", bootTime); err != nil {
		t.Fatal(err)
	}
	q, err := m.QMP()
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Run("inject-nmi", nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`non-maskable interrupt`, `main\.end`} {
		if _, err := m.Console.WaitFor(want, 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if code, err := m.Wait(10 * time.Second); code != 2 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
}

// golang.org/x/sys/unix executes system-call instructions of its own.
func TestGuest_XSysCalls(t *testing.T) {
	pass(t, Config{Memory: 64}, "xsys", "", time.Minute)
}

// What the firmware-less machine tells is found by probing.
func TestGuest_ProbeFindsTheMachine(t *testing.T) {
	for machine, device := range map[string]string{
		Microvm: `device \S+ id 1$`,                 // virtio-mmio, a network device
		Q35:     `device .* 1af4:1041 vectors [34]`, // virtio-pci, virtio 1, MSI-X
	} {
		t.Run(machine, func(t *testing.T) {
			module := t.TempDir() + "/module"
			if err := os.WriteFile(module, []byte("an initial file system"), 0o666); err != nil {
				t.Fatal(err)
			}
			m := Start(t, Config{Machine: machine, Kernel: image(t, guests+"probe"), Memory: 3072, Initrd: module,
				Append: "one two", NICs: []NIC{{Backend: User{}}}})
			if _, err := m.Console.WaitFor("^READY$", bootTime); err != nil {
				t.Fatal(err)
			}
			out := m.Console.Output()
			for _, want := range []string{device, `cmdline "one two"`, `module 22 bytes .*an initial file system`, `^clock [1-9]`, `^ram 0x`} {
				if !regexp.MustCompile("(?m)" + want).MatchString(out) {
					t.Errorf("no line like %q in:\n%s", want, out)
				}
			}
		})
	}
}
