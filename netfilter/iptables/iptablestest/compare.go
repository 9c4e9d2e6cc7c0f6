package iptablestest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// canon makes equal what may differ: dates, the time that is left, sizes and random numbers, and the
// columns of errors, which only we name.
var canon = []struct { // read-only
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`(?m)^(# .* on ).*$`), "$1"},
	{regexp.MustCompile(`(Error occurred at line: \d+), column: \d+`), "$1"},
	{regexp.MustCompile(`( failed), column \d+: .*`), "$1"},
	{regexp.MustCompile(`(line \d+), column \d+`), "$1"},
	{regexp.MustCompile(`(?m)^Warning: cannot open /etc/xtables/connlabel.conf.*\n`), ""},
	{regexp.MustCompile(`(?m)^((?:add |[0-9a-z]).* timeout )[1-9]\d*`), "${1}N"},
	{regexp.MustCompile(`initval 0x[0-9a-f]+`), "initval"},
	{regexp.MustCompile(`Size in memory: \d+`), "Size in memory"},
}

func canonical(s string) string {
	for _, c := range canon {
		s = c.from.ReplaceAllString(s, c.to)
	}
	return s
}

// CompareScripts runs scripts line by line through the machine's programs and
// through ours, and fails the test where output or status differ.
func CompareScripts(t *testing.T, glob string) {
	files, err := filepath.Glob(glob)
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			cmds, err := ParseScript(string(text))
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := NewLegacy()
			if err != nil {
				t.Skip(err)
			}
			defer theirs.Close()
			Compare(t, cmds, theirs, NewWorld())
		})
	}
}

// Compare runs the commands through both.
func Compare(t *testing.T, cmds []Command, theirs, ours Runner) {
	t.Helper()
	for _, c := range cmds {
		want, err := theirs.Run(c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ours.Run(c)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case canonical(got.Stdout) != canonical(want.Stdout) || got.Status != want.Status:
			t.Errorf("line %d: %s\nhave status %d\n%s%s\nLinux has %d\n%s%s", c.Line, c.String(), got.Status, got.Stdout, got.Stderr, want.Status, want.Stdout, want.Stderr)
		case !strings.HasSuffix(canonical(got.Stderr), canonical(want.Stderr)): // before it may stand what the kernel's log has
			t.Errorf("line %d: %s\nwe say\n%s\nLinux says\n%s", c.Line, c.String(), got.Stderr, want.Stderr)
		}
	}
}
