package sys

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// keys are the words before the colon or the first space of each line.
func keys(s string) (l []string) {
	for _, line := range strings.Split(strings.TrimSpace(s), "\n") {
		k, _, _ := strings.Cut(line, ":")
		if strings.HasPrefix(line, "cpu") || !strings.Contains(line, ":") {
			k, _, _ = strings.Cut(line, " ")
		}
		l = append(l, strings.TrimSpace(k))
	}
	return l
}

var numeral = regexp.MustCompile(`([0-9]+|unlimited) *`) // read-only

// What is here of the files about the process and the machine has the lines of
// the real kernel's, in its order, with its columns.
func TestProc_linesAsLinux(t *testing.T) {
	tk := newTestKernel(t)
	for _, name := range []string{"self/status", "meminfo", "cpuinfo", "stat", "self/limits", "self/statm", "self/stat", "self/uid_map", "self/gid_map", "swaps", "uptime", "loadavg", "version"} {
		b, err := os.ReadFile("/proc/" + name)
		if err != nil {
			t.Skip(err)
		}
		got, want := tk.read("/proc/"+name), string(b)
		switch name {
		case "self/status", "meminfo", "cpuinfo", "stat":
			// Each line of ours is one of Linux's, and they come in its order.
			rest := keys(want)
			for _, k := range keys(got) {
				at := -1
				for i, w := range rest {
					if w == k {
						at = i
						break
					}
				}
				if at < 0 {
					t.Errorf("%s: line %q is not in Linux's, or comes too late", name, k)
					continue
				}
				if name != "cpuinfo" { // which begins again for each processor
					rest = rest[at+1:]
				}
			}
		case "self/limits":
			shape := func(s string) string {
				return numeral.ReplaceAllStringFunc(s, func(n string) string { return "#" + strings.Repeat(" ", len(n)-1) })
			}
			if shape(got) != shape(want) {
				t.Errorf("%s:\n%s\nLinux:\n%s", name, got, want)
			}
		case "version":
			if !strings.HasPrefix(got, "Linux version ") || strings.Count(got, "\n") != 1 {
				t.Errorf("version %q", got)
			}
		default:
			if g, w := len(strings.Fields(got)), len(strings.Fields(want)); g != w {
				t.Errorf("%s has %d fields, Linux has %d: %q", name, g, w, got)
			}
		}
	}
	fd := tk.open("/proc/self/status", 0)
	info := tk.read("/proc/self/fdinfo/" + strconv.Itoa(int(fd)))
	if !strings.HasPrefix(info, "pos:\t0\nflags:\t0100000\nmnt_id:\t") || !strings.Contains(info, "\nino:\t") {
		t.Errorf("fdinfo %q", info)
	}
}
