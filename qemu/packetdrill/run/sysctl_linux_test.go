package run_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"barewire/qemu/packetdrill/run"
)

// sysctlSweep reads and writes each setting of TCP, and returns what came of it.
func sysctlSweep(t *testing.T, make1 run.Maker, names []string) map[[2]string]string {
	t.Helper()
	c, err := run.NewConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	k, err := make1(c)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	out := map[[2]string]string{}
	err = k.Run(func() {
		for _, name := range names {
			f := procFile{k, append([]byte("/proc/sys/net/ipv4/"+name), 0)}
			first := f.read()
			out[[2]string{name, "read"}] = first
			for _, v := range []string{"-1", "0", "1", "2", "3", "4", "5", "32", "48", "128", "256", "1000", "1001", "65536", "86401", "120001", "1000000", "99999999999999999999", "x", "1x", " 7 ", "0x10"} {
				out[[2]string{name, "write " + v}] = f.write(v) + ", then " + f.read()
				f.write(first)
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
	return out
}

type procFile struct {
	k    run.Kernel
	path []byte
}

func (f *procFile) do(flags uintptr, num uintptr, b []byte) string {
	fd, e := f.k.Syscall(syscall.SYS_OPEN, [6]uintptr{uintptr(unsafe.Pointer(&f.path[0])), flags})
	if e != 0 {
		return "open: " + e.Error()
	}
	defer f.k.Syscall(syscall.SYS_CLOSE, [6]uintptr{fd})
	n, e := f.k.Syscall(num, [6]uintptr{fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))})
	switch {
	case e != 0:
		return e.Error()
	case num == syscall.SYS_READ:
		return strings.TrimSpace(string(b[:n]))
	}
	return "ok"
}

func (f *procFile) read() string { return f.do(syscall.O_RDONLY, syscall.SYS_READ, make([]byte, 4096)) }
func (f *procFile) write(v string) string {
	return f.do(syscall.O_WRONLY, syscall.SYS_WRITE, append(make([]byte, 0, 64), v...))
}

// otherSysctls are the settings that are of the host and not of TCP, by what was
// done with them.
func otherSysctl(name, op string) bool {
	switch name {
	case "tcp_mem", "tcp_ehash_entries", "tcp_child_ehash_entries", "tcp_fastopen_key", "tcp_available_ulp",
		"tcp_available_congestion_control", "tcp_allowed_congestion_control", "tcp_congestion_control",
		"tcp_rmem", "tcp_wmem", "tcp_max_tw_buckets", "tcp_max_orphans", "tcp_max_syn_backlog",
		"tcp_invalid_ratelimit": // in ticks of the kernel
		return true
	}
	if name == "tcp_ecn" && (op == "write 3" || op == "write 4" || op == "write 5") {
		return true // accurate ECN, which Linux takes from 6.19 on
	}
	return op == "write -1" // what Linux takes for some of them makes no sense
}

func TestSysctls_ofTCP_sameAsLinux(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	files, _ := filepath.Glob("/proc/sys/net/ipv4/tcp_*")
	if len(files) == 0 {
		t.Skip("no settings of TCP")
	}
	var names []string
	for _, f := range files {
		names = append(names, filepath.Base(f))
	}
	want, got := sysctlSweep(t, run.NewLinux, names), sysctlSweep(t, run.NewBarewire, names)
	for c, w := range want {
		if g := got[c]; g != w && !otherSysctl(c[0], c[1]) {
			t.Errorf("%s, %s: %s, Linux: %s", c[0], c[1], g, w)
		}
	}
}
