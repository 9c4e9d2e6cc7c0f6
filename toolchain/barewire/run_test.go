package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"barewire/toolchain/vm"
)

// guestModule makes a module with a program and a package with tests, and makes it the current folder.
func guestModule(t *testing.T) {
	t.Helper()
	if _, err := vm.FindQEMU(); err != nil {
		t.Skip(err)
	}
	if os.Getenv("BAREWIRE_PGO") == "" {
		t.Setenv("BAREWIRE_PGO", "off") // for it everything would be compiled once more
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/guest\n\ngo 1.26\n",
		"main.go": `package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
)

func main() {
	fmt.Printf("args %q env %q\n", os.Args[1:], os.Getenv("COLOUR"))
	switch os.Args[1] {
	case "exit":
		n, _ := strconv.Atoi(os.Args[2])
		os.Exit(n)
	case "read":
		line, err := io.ReadAll(io.LimitReader(os.Stdin, 6))
		fmt.Printf("read %q %v\n", line, err)
	case "panic":
		panic("as asked")
	}
}
`,
		"lib/lib.go": "package lib\n\nfunc Two() int { return 2 }\n",
		"lib/lib_test.go": `package lib

import (
	"runtime"
	"syscall"
	"testing"
)

func TestGood(t *testing.T) {
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil || runtime.GOOS != "linux" {
		t.Fatal(err, runtime.GOOS)
	}
	release := ""
	for _, c := range u.Release {
		if c != 0 {
			release += string(rune(c))
		}
	}
	t.Log("release", release)
}

func TestBad(t *testing.T) {
	if Two() != 3 {
		t.Error("two is not three")
	}
}
`,
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
}

func TestRun_guestEnds_statusAndOutputComeThrough(t *testing.T) {
	guestModule(t)
	if status, out, errs := call("build", "-o", "guest.elf", "."); status != 0 || !strings.Contains(out, "guest.elf: ") {
		t.Fatalf("build: status %d, out %q, err %q", status, out, errs)
	}
	for _, c := range []struct {
		flags  []string
		args   []string
		status int
		want   []string
	}{
		{nil, []string{"exit", "0"}, 0, []string{`args ["exit" "0"] env ""`}},
		{nil, []string{"exit", "7", "two words"}, 7, []string{`args ["exit" "7" "two words"]`}},
		{[]string{"-append", "COLOUR=blue"}, []string{"exit", "127"}, 127, []string{`env "blue"`}},
		{nil, []string{"panic"}, 2, []string{"panic: as asked", "goroutine 1 [running]", "main.main"}},
		{[]string{"-machine", "q35"}, []string{"exit", "3"}, 3, nil},
		{[]string{"-net", "none", "-m", "32"}, []string{"exit", "0"}, 0, nil},
	} {
		args := append(append([]string{"run", "-accel", "tcg"}, c.flags...), "guest.elf", "--")
		status, out, errs := call(append(args, c.args...)...)
		if status != c.status {
			t.Errorf("%q %q: status %d, want %d\n%s%s", c.flags, c.args, status, c.status, out, errs)
		}
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%q %q: the output lacks %q:\n%s", c.flags, c.args, want, out)
			}
		}
	}
}

func TestRun_consoleInput_reachesStdin(t *testing.T) {
	guestModule(t)
	if status, _, errs := call("build", "-o", "guest.elf", "."); status != 0 {
		t.Fatal(errs)
	}
	var out, errs bytes.Buffer
	status := barewire([]string{"run", "-accel", "tcg", "guest.elf", "--", "read"}, streams{strings.NewReader("hello\n"), &out, &errs})
	if status != 0 || !strings.Contains(out.String(), `read "hello\n" <nil>`) {
		t.Errorf("status %d, out %q, err %q", status, &out, &errs)
	}
}

func TestRun_package_isBuiltAndBooted(t *testing.T) {
	guestModule(t)
	status, out, errs := call("run", "-x", "-accel", "tcg", "-p", "17017:7/udp", ".", "--", "exit", "5")
	if status != 5 || !strings.Contains(errs, "hostfwd=udp:127.0.0.1:17017-:7") || !strings.Contains(errs, "ip=dhcp") {
		t.Errorf("status %d, out %q, err %q", status, out, errs)
	}
}

func TestRun_badQEMUArgument_isAFailureThoughItsStatusLooksClean(t *testing.T) {
	guestModule(t)
	if status, _, errs := call("build", "-o", "guest.elf", "."); status != 0 {
		t.Fatal(errs)
	}
	status, _, errs := call("run", "-net", "user,nosuchoption=1", "guest.elf", "--", "exit", "0")
	if status != 1 || !strings.Contains(errs, "nosuchoption") || !strings.Contains(errs, "barewire: QEMU failed") {
		t.Errorf("status %d, err %q", status, errs)
	}
}

func TestTest_package_outputAndStatusComeThrough(t *testing.T) {
	guestModule(t)
	status, out, errs := call("test", "-accel", "tcg", "./lib", "--", "-v", "-run=Good")
	if status != 0 || !strings.Contains(out, "--- PASS: TestGood") || !strings.Contains(out, "-barewire") {
		t.Errorf("status %d, want 0 and the image's own kernel release\n%s%s", status, out, errs)
	}
	status, out, errs = call("test", "-accel", "tcg", "./lib")
	if status != 1 || !strings.Contains(out, "two is not three") {
		t.Errorf("status %d, want 1\n%s%s", status, out, errs)
	}
	status, out, _ = call("test", ".")
	if status != 0 || !strings.Contains(out, "no test files") {
		t.Errorf("a package without tests: status %d, %q", status, out)
	}
}
