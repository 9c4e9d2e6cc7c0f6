package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"barewire/toolchain/stdtest"
	"barewire/toolchain/vm"
)

// call runs one command line and returns its status and what it wrote.
func call(args ...string) (status int, out, errs string) {
	var o, e bytes.Buffer
	status = barewire(args, streams{strings.NewReader(""), &o, &e})
	return status, o.String(), e.String()
}

func TestBarewire_wrongUsage_isStatusTwoAndNamesTheFault(t *testing.T) {
	for line, want := range map[string]string{
		"":                           "usage: barewire COMMAND",
		"fly":                        `no such command: "fly"`,
		"build":                      "wants one package",
		"build a b":                  "wants one package",
		"build -speed 3 a":           "-speed",
		"run":                        "wants one package",
		"run -p 80 ./x":              "want host:guest",
		"run -p 80:0 ./x":            "want host:guest",
		"run -p 99999:80 ./x":        "want host:guest",
		"run -p 80:80/sctp ./x":      "want host:guest",
		"run -net none -p 80:80 ./x": "-net user",
		"run -net tap -p 80:80 ./x":  "-net user",
		"test":                       "wants one package",
		"doctor me":                  "no arguments",
	} {
		status, out, errs := call(strings.Fields(line)...)
		if status != 2 || !strings.Contains(errs, want) || out != "" {
			t.Errorf("barewire %s: status %d, out %q, err %q, want 2 and %q", line, status, out, errs, want)
		}
	}
}

func TestBarewire_help_isStatusZero(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"-h"}, {"build", "-h"}, {"run", "-h"}, {"test", "-h"}, {"std", "-h"}, {"doctor", "-h"}} {
		if status, _, errs := call(args...); status != 0 || !strings.Contains(errs, "usage: barewire") {
			t.Errorf("barewire %q: status %d, %q", args, status, errs)
		}
	}
}

// pathWithout returns a PATH with the go command and no QEMU.
func pathWithout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"go", "git"} {
		if at, err := exec.LookPath(name); err == nil {
			if err := os.Symlink(at, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// oneSentence fails unless errs is one line of barewire's that holds want.
func oneSentence(t *testing.T, what, errs string, want ...string) {
	t.Helper()
	if !strings.HasPrefix(errs, "barewire: ") || strings.Count(errs, "\n") != 1 {
		t.Errorf("%s: %q is not one line", what, errs)
	}
	for _, w := range want {
		if !strings.Contains(errs, w) {
			t.Errorf("%s: %q lacks %q", what, errs, w)
		}
	}
}

func TestBarewire_noQEMU_isOneSentence(t *testing.T) {
	t.Setenv("PATH", pathWithout(t))
	t.Setenv("BAREWIRE_QEMU", "")
	for _, args := range [][]string{{"run", "./x"}, {"test", "bytes"}, {"std", "bytes"}} {
		status, _, errs := call(args...)
		if status != 1 {
			t.Errorf("barewire %q: status %d, want 1", args, status)
		}
		oneSentence(t, strings.Join(args, " "), errs, "QEMU is missing", "apt-get install qemu-system-x86")
	}
}

func TestBarewire_notAnImage_isOneSentence(t *testing.T) {
	if _, err := vm.FindQEMU(); err != nil {
		t.Skip(err)
	}
	name := filepath.Join(t.TempDir(), "x.elf")
	if err := os.WriteFile(name, []byte("not an ELF file"), 0o666); err != nil {
		t.Fatal(err)
	}
	status, _, errs := call("run", name)
	if status != 1 {
		t.Errorf("status %d, want 1", status)
	}
	oneSentence(t, "a file that is no image", errs)
}

func TestBarewire_refusals_areOneSentenceAndStatusOne(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/odd\n\ngo 1.26\n", "lib/lib.go": "package lib\n",
		"cgo/main.go": "package main\n\nimport \"C\"\n\nfunc main() {}\n",
	} {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for pkg, want := range map[string]string{"./lib": "not a main package", "./cgo": "needs cgo", "./nosuch": "./nosuch"} {
		status, _, errs := call("build", "-o", filepath.Join(dir, "x.elf"), pkg)
		if status != 1 {
			t.Errorf("%s: status %d, want 1", pkg, status)
		}
		oneSentence(t, pkg, errs, want)
	}
	// A Go that is not the pinned one and cannot bring it.
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o777); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nif [ \"$GOTOOLCHAIN\" = local ]; then echo /usr/lib/go; echo go1.19.8; else echo offline >&2; exit 1; fi\n"
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	status, _, errs := call("build", "./lib")
	if status != 1 {
		t.Errorf("status %d with an unsupported Go", status)
	}
	oneSentence(t, "an unsupported Go", errs, "go1.19.8", "GOTOOLCHAIN", "offline")
}

func TestDoctor_allIsWell_statusZero(t *testing.T) {
	if _, err := vm.FindQEMU(); err != nil {
		t.Skip(err)
	}
	status, out, errs := call("doctor")
	if status != 0 || errs != "" {
		t.Errorf("status %d, err %q, out:\n%s", status, errs, out)
	}
	for _, want := range []string{"source", "Go", "cache", "disk", "port", "QEMU", "KVM"} {
		if !strings.Contains(out, "ok       "+want) {
			t.Errorf("no good word about %s in:\n%s", want, out)
		}
	}
	if strings.Contains(out, "MISSING") {
		t.Errorf("something is missing in:\n%s", out)
	}
}

func TestDoctor_thingsMissing_saysHowToGetThem(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("BAREWIRE_QEMU", "")
	t.Setenv("XDG_CACHE_HOME", "/dev/null")
	status, out, _ := call("doctor")
	if status != 1 {
		t.Errorf("status %d, want 1", status)
	}
	for _, want := range []string{"MISSING  Go", "https://go.dev/dl", "MISSING  cache", "XDG_CACHE_HOME", "MISSING  QEMU", "apt-get install"} {
		if !strings.Contains(out, want) {
			t.Errorf("doctor does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "KVM") {
		t.Errorf("doctor talks about KVM without a QEMU:\n%s", out)
	}
}

func TestCommandLine_arguments_areQuotedAsLinuxReadsThem(t *testing.T) {
	for _, c := range []struct {
		parameters string
		args       []string
		want       string
	}{
		{"", nil, ""},
		{"debug", nil, "debug"},
		{"", []string{"-l", "80"}, "-- -l 80"},
		{"debug", []string{"two words", "", "a=b"}, `debug -- "two words" "" a=b`},
	} {
		if got, err := commandLine(c.parameters, c.args); err != nil || got != c.want {
			t.Errorf("%q with %q is %q, %v; want %q", c.parameters, c.args, got, err, c.want)
		}
	}
	for _, bad := range []string{"a\"b", "a\nb", "a\x00b"} {
		if got, err := commandLine("", []string{bad}); err == nil {
			t.Errorf("%q became %q", bad, got)
		}
	}
}

func TestHostForwards_protocols_asNamed(t *testing.T) {
	for ports, want := range map[string]string{
		"":                "",
		"8080:80/tcp":     ",hostfwd=tcp:127.0.0.1:8080-:80",
		"7007:7/udp":      ",hostfwd=udp:127.0.0.1:7007-:7",
		"7007:7":          ",hostfwd=tcp:127.0.0.1:7007-:7,hostfwd=udp:127.0.0.1:7007-:7",
		"1:2/tcp 3:4/udp": ",hostfwd=tcp:127.0.0.1:1-:2,hostfwd=udp:127.0.0.1:3-:4",
	} {
		if got, err := hostForwards(strings.Fields(ports)); err != nil || got != want {
			t.Errorf("%q is %q, %v; want %q", ports, got, err, want)
		}
	}
}

func TestTestFlags_goTestNames_becomeTheBinarys(t *testing.T) {
	got := strings.Join(testFlags([]string{"-v", "-run=^TestX$", "--short", "-test.count=2", "word"}), " ")
	if want := "-test.paniconexit0 -test.v -test.run=^TestX$ -test.short -test.count=2 word"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestComplaints_onlyErrorsCount(t *testing.T) {
	for text, want := range map[string]bool{
		"qemu-system-x86_64: -netdev user: bad option\n":               true,
		"qemu-system-x86_64: warning: TCG has no such feature\n":       false,
		"qemu-system-x86_64: terminating on signal 2 from pid 1 (x)\n": false,
		"the guest says qemu-system-x86_64: nothing\n":                 false,
	} {
		var to bytes.Buffer
		c := &complaints{to: &to}
		c.Write([]byte(text))
		if c.failed != want || to.String() != text {
			t.Errorf("%q: failed %v, passed on %q", text, c.failed, to.String())
		}
	}
}

func TestChoose_names_findTheirEntries(t *testing.T) {
	list, err := stdtest.ParseList("l", "bytes ci\nruntime mem=64\n")
	if err != nil {
		t.Fatal(err)
	}
	names := func(entries []*stdtest.Entry, err error) string {
		if err != nil {
			return err.Error()
		}
		var all []string
		for _, e := range entries {
			all = append(all, e.Package)
		}
		return strings.Join(all, " ")
	}
	if got := names(choose(list, nil, false)); got != "bytes runtime" {
		t.Errorf("all: %q", got)
	}
	if got := names(choose(list, nil, true)); got != "bytes" {
		t.Errorf("ci: %q", got)
	}
	chosen, err := choose(list, []string{"runtime", "io/fs"}, true)
	if got := names(chosen, err); got != "runtime io/fs" || chosen[0].MemoryMiB != 64 || chosen[1].Limit == 0 {
		t.Errorf("named: %q", got)
	}
}
