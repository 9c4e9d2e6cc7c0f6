package qemu

import (
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
// a Go programmer knows.
func TestGuest_FatalEnds(t *testing.T) {
	for _, c := range []struct {
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
	} {
		t.Run(c.args, func(t *testing.T) {
			code, m := runGuest(t, Config{Memory: 64}, "fault", c.args, time.Minute)
			out := m.Console.Output()
			if code != c.code {
				t.Errorf("exit code %d, want %d:\n%s", code, c.code, out)
			}
			for _, want := range c.says {
				if !regexp.MustCompile(want).MatchString(out) {
					t.Errorf("the console does not say %q:\n%s", want, out)
				}
			}
			if len(c.says) == 0 && strings.Contains(out, "goroutine") {
				t.Errorf("a traceback nobody asked for:\n%s", out)
			}
		})
	}
}
