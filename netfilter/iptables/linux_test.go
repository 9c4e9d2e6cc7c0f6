package iptables_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"barewire/netfilter/iptables/iptablestest"
)

func legacy(t *testing.T) *iptablestest.Legacy {
	t.Helper()
	l, err := iptablestest.NewLegacy()
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(l.Close)
	return l
}

// dates are the only thing of iptables-save that may differ, and the columns
// that only we name.
var (
	dates   = regexp.MustCompile(`(?m)^(# .* on ).*$`)
	columns = regexp.MustCompile(`(Error occurred at line: \d+), column: \d+|( failed), column \d+: .*|(line \d+), column \d+`)
)

func canonical(s string) string {
	return columns.ReplaceAllString(dates.ReplaceAllString(s, "$1"), "$1$2$3")
}

// TestLinux_scripts_sameOutput runs each script of testdata line by line through
// the machine's iptables and through ours.
func TestLinux_scripts_sameOutput(t *testing.T) {
	files, err := filepath.Glob("testdata/*.sh")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			cmds, err := iptablestest.ParseScript(string(text))
			if err != nil {
				t.Fatal(err)
			}
			theirs, ours := legacy(t), iptablestest.NewWorld()
			for _, c := range cmds {
				want, err := theirs.Run(c)
				if err != nil {
					t.Fatal(err)
				}
				got, err := ours.Run(c)
				if err != nil {
					t.Fatal(err)
				}
				if canonical(got.Stdout) != canonical(want.Stdout) || got.Status != want.Status {
					t.Errorf("line %d: %s\nhave status %d\n%s%s\nLinux has %d\n%s%s", c.Line, c.String(), got.Status, got.Stdout, got.Stderr, want.Status, want.Stdout, want.Stderr)
				} else if !strings.HasSuffix(canonical(got.Stderr), canonical(want.Stderr)) { // before it may stand what the kernel's log has
					t.Errorf("line %d: %s\nwe say\n%s\nLinux says\n%s", c.Line, c.String(), got.Stderr, want.Stderr)
				}
			}
		})
	}
}
