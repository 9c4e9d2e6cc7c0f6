package main_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The C program opens a connection between two instances: three packets of 10 ms
// for the handshake, one for the data, and its acknowledgment.
func TestExample_connectsInVirtualTime(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler")
	}
	dir := t.TempDir()
	lib, prog := filepath.Join(dir, "libbarewire.so"), filepath.Join(dir, "example")
	for _, args := range [][]string{
		{"go", "build", "-buildmode=c-shared", "-o", lib, "."},
		{cc, "-Wall", "-Werror", "-o", prog, "example/example.c", "-L" + dir, "-lbarewire", "-Wl,-rpath," + dir},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(cmd.Environ(), "CGO_ENABLED=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	out, err := exec.Command(prog).CombinedOutput()
	if want := "13 bytes after 50 ms: hello from C\n"; err != nil || strings.TrimRight(string(out), "\x00") != want {
		t.Errorf("%v: %q, want %q", err, out, want)
	}
}
