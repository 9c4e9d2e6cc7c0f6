//go:build linux && amd64

package sys

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// The same file calls on a tmpfs of the real kernel and on ours must have the
// same results.

// fsWorld is one of the two sides: how to make a call, and what is open.
type fsWorld struct {
	sys  func(num, a1, a2, a3, a4, a5, a6 uintptr) (uintptr, uintptr, uintptr)
	base uintptr // descriptor of the directory everything happens in
	fds  [6]uintptr
}

//go:uintptrescapes
func (w *fsWorld) call(num uintptr, a ...uintptr) (uintptr, Errno) {
	var v [6]uintptr
	copy(v[:], a)
	r, _, e := w.sys(num, v[0], v[1], v[2], v[3], v[4], v[5])
	return r, Errno(e)
}

//go:uintptrescapes
func realSyscall(num, a1, a2, a3, a4, a5, a6 uintptr) (uintptr, uintptr, uintptr) {
	r, r2, e := syscall.Syscall6(num, a1, a2, a3, a4, a5, a6)
	return r, r2, uintptr(e)
}

// fsWorlds makes a tmpfs directory and a Kernel, each with an empty directory
// in one of its own.
func fsWorlds(t *testing.T) (linux, ours *fsWorld, tk *testKernel) {
	var st syscall.Statfs_t
	if err := syscall.Statfs("/dev/shm", &st); err != nil || st.Type != 0x01021994 {
		t.Skip("no tmpfs at /dev/shm")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, as everything on the image is")
	}
	dir, err := os.MkdirTemp("/dev/shm", "barewire")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// Links to ".." climb: what they reach must be the test's own.
	const deep = "/1/2/3/4/5/6/7/8/base"
	if err := os.MkdirAll(dir+deep, 0o755); err != nil {
		t.Fatal(err)
	}
	syscall.Umask(0o022)
	linux = &fsWorld{sys: realSyscall}
	fd, e := linux.call(syscall.SYS_OPENAT, atCwd, ptr(cstr(dir+deep)), syscall.O_DIRECTORY)
	if e != 0 {
		t.Fatal(e)
	}
	linux.base = fd
	t.Cleanup(func() { syscall.Close(int(fd)) })
	tk = newTestKernel(t)
	if e := tk.fs.MkdirAll("/tmp/t"+deep, 0o755); e != 0 {
		t.Fatal(e)
	}
	ours = &fsWorld{sys: tk.Syscall}
	ours.base = tk.must(syscall.SYS_OPEN, ptr(cstr("/tmp/t"+deep)), syscall.O_DIRECTORY)
	for i := range linux.fds {
		linux.fds[i], ours.fds[i] = ebadfd+900, ebadfd+900
	}
	return linux, ours, tk
}

// fsOp is one step; its fields are used as the operation needs.
type fsOp struct {
	op    string
	p, q  string
	slot  int
	slot2 int
	a, b  int64
	flags uintptr
}

func (o fsOp) String() string {
	return fmt.Sprintf("%s(%.40q, %.40q, slot %d %d, %d, %d, %#x)", o.op, o.p, o.q, o.slot, o.slot2, o.a, o.b, o.flags)
}

const noResult = ^uintptr(0)

// do makes the step's call and describes everything a program sees of it.
func (w *fsWorld) do(o fsOp) string {
	p, q := ptr(cstr(o.p)), ptr(cstr(o.q))
	fd, fd2 := w.fds[o.slot], w.fds[o.slot2]
	a, b := uintptr(o.a), uintptr(o.b)
	var r uintptr
	var e Errno
	more := ""
	buf := make([]byte, 1<<16)
	switch o.op {
	case "open":
		if r, e = w.call(syscall.SYS_OPENAT, w.base, p, o.flags, a); e == 0 {
			if fd < ebadfd+900 {
				w.call(syscall.SYS_CLOSE, fd)
			}
			w.fds[o.slot], r = r, 0
		}
	case "openfrom": // relative to an open file
		if r, e = w.call(syscall.SYS_OPENAT, fd, p, o.flags, a); e == 0 {
			w.call(syscall.SYS_CLOSE, r)
			r = 0
		}
	case "close":
		_, e = w.call(syscall.SYS_CLOSE, fd)
		w.fds[o.slot] = ebadfd + 900
	case "read":
		r, e = w.call(syscall.SYS_READ, fd, ptr(&buf[0]), uintptr(min(o.a, int64(len(buf)))))
		if e == 0 {
			more = digest(buf[:r])
		}
	case "pread":
		r, e = w.call(syscall.SYS_PREAD64, fd, ptr(&buf[0]), uintptr(min(o.a, int64(len(buf)))), b)
		if e == 0 {
			more = digest(buf[:r])
		}
	case "write", "pwrite":
		for i := range buf {
			buf[i] = byte(o.a + int64(i)*7)
		}
		if o.op == "write" {
			r, e = w.call(syscall.SYS_WRITE, fd, ptr(&buf[0]), uintptr(min(o.a, int64(len(buf)))))
		} else {
			r, e = w.call(syscall.SYS_PWRITE64, fd, ptr(&buf[0]), uintptr(min(o.a, int64(len(buf)))), b)
		}
	case "lseek":
		r, e = w.call(syscall.SYS_LSEEK, fd, a, o.flags)
		var st syscall.Stat_t // positions in directories are the file system's own
		if _, se := w.call(syscall.SYS_FSTAT, fd, ptr(&st)); se == 0 && st.Mode&syscall.S_IFMT == syscall.S_IFDIR {
			return "directory"
		}
	case "ftruncate":
		r, e = w.call(syscall.SYS_FTRUNCATE, fd, a)
	case "fallocate":
		r, e = w.call(syscall.SYS_FALLOCATE, fd, o.flags, a, b)
	case "copy":
		r, e = w.call(326, fd, 0, fd2, 0, a, 0)
	case "sendfile":
		r, e = w.call(syscall.SYS_SENDFILE, fd2, fd, 0, a)
	case "fsync":
		r, e = w.call(syscall.SYS_FSYNC, fd)
	case "getfl":
		r, e = w.call(syscall.SYS_FCNTL, fd, syscall.F_GETFL)
	case "fstat":
		var st syscall.Stat_t
		if r, e = w.call(syscall.SYS_FSTAT, fd, ptr(&st)); e == 0 {
			more = statText(&st)
		}
	case "stat":
		var st syscall.Stat_t
		if r, e = w.call(syscall.SYS_NEWFSTATAT, w.base, p, ptr(&st), o.flags); e == 0 {
			more = statText(&st)
		}
	case "statx":
		var st statxBuf
		if r, e = w.call(332, w.base, p, o.flags, 0x7ff, ptr(&st)); e == 0 {
			more = fmt.Sprintf("%o %d", st.mode, st.nlink)
			if uint32(st.mode)&syscall.S_IFMT != syscall.S_IFDIR {
				more += fmt.Sprint(" ", st.size)
			}
		}
	case "mkdir":
		r, e = w.call(syscall.SYS_MKDIRAT, w.base, p, a)
	case "mknod":
		r, e = w.call(syscall.SYS_MKNODAT, w.base, p, a, b)
	case "unlink":
		r, e = w.call(syscall.SYS_UNLINKAT, w.base, p, o.flags)
	case "rename":
		r, e = w.call(316, w.base, p, w.base, q, o.flags)
	case "link":
		r, e = w.call(syscall.SYS_LINKAT, w.base, p, w.base, q, o.flags)
	case "symlink":
		r, e = w.call(syscall.SYS_SYMLINKAT, q, w.base, p)
	case "readlink":
		if r, e = w.call(syscall.SYS_READLINKAT, w.base, p, ptr(&buf[0]), a); e == 0 {
			more = string(buf[:r])
		}
	case "chmod":
		r, e = w.call(syscall.SYS_FCHMODAT, w.base, p, a)
	case "chown":
		r, e = w.call(syscall.SYS_FCHOWNAT, w.base, p, a, b, o.flags)
	case "access":
		r, e = w.call(syscall.SYS_FACCESSAT, w.base, p, a)
	case "utimens":
		ts := [2]syscall.Timespec{{Sec: o.a, Nsec: 5}, {Sec: o.b, Nsec: o.a}}
		r, e = w.call(syscall.SYS_UTIMENSAT, w.base, p, ptr(&ts), o.flags)
		var st syscall.Stat_t
		if _, se := w.call(syscall.SYS_NEWFSTATAT, w.base, p, ptr(&st), o.flags); e == 0 && se == 0 {
			more = fmt.Sprint(st.Atim, st.Mtim)
		}
	case "list":
		w.call(syscall.SYS_LSEEK, fd, 0, 0)
		var l []string
		for {
			if r, e = w.call(syscall.SYS_GETDENTS64, fd, ptr(&buf[0]), 4096); e != 0 || r == 0 {
				break
			}
			for b := buf[:r]; len(b) > 0; {
				size := *(*uint16)(unsafe.Pointer(&b[16]))
				name, _, _ := strings.Cut(string(b[19:size]), "\x00")
				l = append(l, fmt.Sprintf("%s:%d", name, b[18]))
				b = b[size:]
			}
		}
		slices.Sort(l)
		more = strings.Join(l, " ")
	default:
		panic(o.op)
	}
	if e != 0 {
		return fmt.Sprintf("%s (%d)", e, int(e))
	}
	if r == noResult {
		return "-1 without errno"
	}
	return fmt.Sprintf("%d %s", r, more)
}

// digest shows a few bytes and sums up the rest.
func digest(b []byte) string {
	h := uint32(2166136261)
	for _, c := range b {
		h = (h ^ uint32(c)) * 16777619
	}
	return fmt.Sprintf("%x %08x", b[:min(4, len(b))], h)
}

func statText(st *syscall.Stat_t) string {
	s := fmt.Sprintf("%o links %d of %d:%d dev %#x", st.Mode, st.Nlink, st.Uid, st.Gid, st.Rdev)
	if st.Mode&syscall.S_IFMT != syscall.S_IFDIR { // a directory's size says nothing
		s += fmt.Sprint(" size ", st.Size)
	}
	return s
}

// TestFiles_asLinuxTable makes one sequence of steps that goes through the
// corners one after the other.
func TestFiles_asLinuxTable(t *testing.T) {
	linux, ours, _ := fsWorlds(t)
	long := strings.Repeat("n", 255)
	deep := strings.Repeat("a/", 2047) + "b"
	const rdwr, creat, excl, trunc, app = syscall.O_RDWR, syscall.O_CREAT, syscall.O_EXCL, syscall.O_TRUNC, syscall.O_APPEND
	steps := []fsOp{
		{op: "open", p: "f", flags: rdwr | creat, a: 0o644},
		{op: "getfl"},
		{op: "write", a: 5000}, {op: "lseek", a: 0}, {op: "read", a: 9000}, {op: "read", a: 10},
		{op: "pwrite", a: 10, b: 100_000}, {op: "pread", a: 65536, b: 4990}, {op: "fstat"},
		{op: "pread", a: 10, b: -1}, {op: "pwrite", a: 10, b: 1<<63 - 1}, {op: "pwrite", a: 10, b: 1<<63 - 5},
		{op: "ftruncate", a: 70}, {op: "ftruncate", a: 9000}, {op: "pread", a: 9000}, {op: "ftruncate", a: -1},
		{op: "lseek", a: -1}, {op: "lseek", a: 5, flags: seekEnd}, {op: "read", a: 1}, {op: "lseek", a: -1 << 62, flags: seekCur},
		{op: "lseek", a: 0, flags: 7}, {op: "lseek", a: 100_000, flags: seekData}, {op: "lseek", a: 100_000, flags: seekHole},
		{op: "open", slot: 1, p: "f", flags: syscall.O_WRONLY | app}, {op: "write", slot: 1, a: 3}, {op: "pwrite", slot: 1, a: 3, b: 0},
		{op: "read", slot: 1, a: 3}, {op: "fstat", slot: 1}, {op: "getfl", slot: 1},
		{op: "open", slot: 2, p: "f", flags: trunc}, {op: "fstat"}, {op: "write", slot: 2, a: 1}, {op: "ftruncate", slot: 2, a: 1},
		{op: "open", slot: 2, p: "f", flags: creat | excl}, {op: "open", slot: 2, p: "f/", flags: creat}, {op: "open", slot: 2, p: "g/", flags: creat},
		{op: "open", slot: 2, p: "f/"}, {op: "open", slot: 2, p: "f/x"}, {op: "open", slot: 2, p: "f/x", flags: creat},
		{op: "open", slot: 2, p: ".", flags: creat}, {op: "open", slot: 2, p: ".", flags: creat | excl}, {op: "open", slot: 2, p: ".", flags: rdwr},
		{op: "open", slot: 2, p: ".", flags: trunc}, {op: "open", slot: 2, p: "f", flags: syscall.O_DIRECTORY},
		{op: "open", slot: 2, p: "zz", flags: syscall.O_DIRECTORY | creat}, {op: "open", slot: 2, p: "", flags: creat},
		{op: "open", slot: 2, p: long, flags: creat, a: 0o7777}, {op: "stat", p: long}, {op: "open", slot: 2, p: long + "n", flags: creat},
		{op: "open", slot: 2, p: deep}, {op: "open", slot: 2, p: deep + "b"}, {op: "mkdir", p: long + "n"},
		{op: "mkdir", p: "d", a: 0o777}, {op: "mkdir", p: "d", a: 0o777}, {op: "mkdir", p: "d/e/", a: 0o2777}, {op: "stat", p: "d/e"},
		{op: "mkdir", p: "."}, {op: "mkdir", p: ".."}, {op: "mkdir", p: "f/x"}, {op: "mkdir", p: "no/x"}, {op: "mkdir", p: "f"}, {op: "mkdir", p: ""},
		{op: "stat", p: "d"}, {op: "stat", p: "d/"}, {op: "stat", p: "f/"}, {op: "stat", p: "", flags: atEmptyPath}, {op: "stat", p: ""},
		{op: "stat", p: "f", flags: 0x10}, {op: "statx", p: "f"}, {op: "statx", p: "no"},
		{op: "unlink", p: "d"}, {op: "unlink", p: "d/"}, {op: "unlink", p: "f/"}, {op: "unlink", p: "no/"}, {op: "unlink", p: "."}, {op: "unlink", p: ".."},
		{op: "unlink", p: "d", flags: atRemovedir}, {op: "unlink", p: "f", flags: atRemovedir}, {op: "unlink", p: ".", flags: atRemovedir},
		{op: "unlink", p: "d/..", flags: atRemovedir}, {op: "unlink", p: "no", flags: atRemovedir}, {op: "unlink", p: "d/e/", flags: atRemovedir},
		{op: "unlink", p: "f", flags: 1},
		{op: "symlink", p: "l", q: "f"}, {op: "symlink", p: "l", q: "f"}, {op: "symlink", p: "ld", q: "d"}, {op: "symlink", p: "l2/", q: "f"},
		{op: "symlink", p: "dang", q: "nowhere"}, {op: "symlink", p: "loop", q: "loop"}, {op: "symlink", p: "e", q: ""},
		{op: "symlink", p: "long", q: strings.Repeat("t", 4095)}, {op: "symlink", p: "long2", q: strings.Repeat("t", 4096)},
		{op: "readlink", p: "l", a: 100}, {op: "readlink", p: "l", a: 0}, {op: "readlink", p: "l", a: -1}, {op: "readlink", p: "f", a: 9},
		{op: "readlink", p: "dang", a: 3}, {op: "readlink", p: "ld/", a: 30}, {op: "readlink", p: "", a: 30}, {op: "readlink", p: "long", a: 5000},
		{op: "stat", p: "l"}, {op: "stat", p: "l", flags: atSymlinkNofollow}, {op: "stat", p: "ld/", flags: atSymlinkNofollow}, {op: "stat", p: "l/"},
		{op: "stat", p: "loop"}, {op: "stat", p: "loop/x"}, {op: "stat", p: "long"}, {op: "stat", p: "dang"}, {op: "stat", p: "dang/"},
		{op: "open", slot: 2, p: "l", flags: syscall.O_NOFOLLOW}, {op: "open", slot: 2, p: "ld", flags: syscall.O_NOFOLLOW | syscall.O_DIRECTORY},
		{op: "open", slot: 2, p: "ld/", flags: syscall.O_NOFOLLOW}, {op: "open", slot: 2, p: "dang", flags: creat | excl},
		{op: "open", slot: 2, p: "l", flags: creat | syscall.O_NOFOLLOW}, {op: "open", slot: 2, p: "loop", flags: creat},
		{op: "open", slot: 2, p: "dang", flags: creat | rdwr, a: 0o600}, {op: "stat", p: "nowhere"}, {op: "mkdir", p: "ld"}, {op: "mkdir", p: "ld/"},
		{op: "unlink", p: "ld/", flags: atRemovedir}, {op: "unlink", p: "ld/"}, {op: "unlink", p: "ld", flags: atRemovedir},
		{op: "link", p: "f", q: "h"}, {op: "link", p: "f", q: "h"}, {op: "link", p: "d", q: "h2"}, {op: "link", p: "no", q: "h2"}, {op: "link", p: "f", q: "h2/"},
		{op: "link", p: "l", q: "h3"}, {op: "link", p: "l", q: "h4", flags: atSymlinkFollow}, {op: "link", p: "f", q: "no/h"}, {op: "link", p: "f", q: "h5", flags: 1},
		{op: "stat", p: "f"}, {op: "stat", p: "h3", flags: atSymlinkNofollow}, {op: "unlink", p: "h"}, {op: "fstat"},
		{op: "rename", p: "f", q: "f"}, {op: "rename", p: "f", q: "h4"}, {op: "stat", p: "f"}, {op: "rename", p: "f", q: "d"}, {op: "rename", p: "d", q: "f"},
		{op: "rename", p: "d", q: "d/x"}, {op: "rename", p: "d", q: "d/x/y"}, {op: "mkdir", p: "d/x"}, {op: "mkdir", p: "d/x/y"}, {op: "rename", p: "d", q: "d/x/z"},
		{op: "rename", p: "d/x/y", q: "d"}, {op: "rename", p: "d/x/y", q: "d/x"}, {op: "rename", p: "d/x/y", q: "d", flags: 2}, {op: "rename", p: "no", q: "f"},
		{op: "rename", p: "f", q: "no/x"}, {op: "rename", p: "f/", q: "n"}, {op: "rename", p: "f", q: "n/"}, {op: "rename", p: "d/x/", q: "n/"}, {op: "stat", p: "n/y"},
		{op: "rename", p: ".", q: "n"}, {op: "rename", p: "f", q: ".."}, {op: "rename", p: "f", q: "..", flags: 1}, {op: "rename", p: "f", q: "n", flags: 1},
		{op: "rename", p: "f", q: "new", flags: 1}, {op: "rename", p: "new", q: "n", flags: 2}, {op: "stat", p: "n"}, {op: "stat", p: "new/y"}, {op: "rename", p: "n", q: "new", flags: 2},
		{op: "rename", p: "new", q: "none", flags: 2}, {op: "rename", p: "new", q: "n", flags: 3}, {op: "rename", p: "new", q: "n", flags: 8}, {op: "rename", p: "ld", q: "n"},
		{op: "rename", p: "n/", q: "new/"}, {op: "mkdir", p: "n3"}, {op: "rename", p: "n3", q: "d"}, {op: "rename", p: "d", q: "long"},
		{op: "chmod", p: "new", a: 0o6777}, {op: "chown", p: "new", a: 5, b: 6}, {op: "stat", p: "new"}, {op: "chown", p: "new", a: -1, b: 7}, {op: "stat", p: "new"},
		{op: "chmod", p: "l", a: 0o600}, {op: "chmod", p: "d", a: 0o2755}, {op: "chown", p: "d", a: 1, b: 9}, {op: "stat", p: "d"},
		{op: "mkdir", p: "d/sg", a: 0o777}, {op: "stat", p: "d/sg"}, {op: "open", slot: 3, p: "d/fg", flags: creat, a: 0o666}, {op: "fstat", slot: 3},
		{op: "access", p: "new", a: 7}, {op: "access", p: "nowhere", a: 7}, {op: "access", p: "nowhere", a: 6}, {op: "access", p: "no"}, {op: "access", p: "d", a: 7}, {op: "access", p: "d", a: 8},
		{op: "utimens", p: "new", a: 100, b: 200}, {op: "utimens", p: "l", a: 1, b: 2, flags: atSymlinkNofollow}, {op: "utimens", p: "new", a: -5, b: 2}, {op: "utimens", p: "no", a: 1},
		{op: "utimens", p: "new", a: 1<<30 - 2, b: 9}, {op: "utimens", p: "new", a: 1<<30 - 3, b: 9},
		{op: "mknod", p: "null", a: syscall.S_IFCHR | 0o666, b: 0x103}, {op: "stat", p: "null"}, {op: "mknod", p: "reg", a: 0o640}, {op: "stat", p: "reg"},
		{op: "mknod", p: "dd", a: syscall.S_IFDIR}, {op: "mknod", p: "reg", a: 0o640}, {op: "mknod", p: "what", a: 0o170000},
		{op: "open", slot: 3, p: "null", flags: rdwr}, {op: "write", slot: 3, a: 10}, {op: "read", slot: 3, a: 10}, {op: "lseek", slot: 3, a: 77}, {op: "fstat", slot: 3},
		{op: "ftruncate", slot: 3, a: 1}, {op: "fsync", slot: 3}, {op: "fallocate", slot: 3, a: 0, b: 10}, {op: "fsync", slot: 0},
		{op: "open", slot: 4, p: ".", flags: syscall.O_DIRECTORY}, {op: "list", slot: 4}, {op: "read", slot: 4, a: 5}, {op: "write", slot: 4, a: 5}, {op: "pread", slot: 4, a: 5},
		{op: "ftruncate", slot: 4, a: 5}, {op: "fsync", slot: 4}, {op: "list", slot: 0}, {op: "openfrom", slot: 0, p: "x"}, {op: "openfrom", slot: 4, p: "reg"}, {op: "openfrom", slot: 5, p: "reg"},
		{op: "open", slot: 5, p: "reg", flags: rdwr}, {op: "fallocate", slot: 5, a: 10, b: 5000}, {op: "fstat", slot: 5}, {op: "fallocate", slot: 5, a: 0, b: 0},
		{op: "fallocate", slot: 5, a: 9000, b: 5000, flags: 1}, {op: "fstat", slot: 5}, {op: "write", slot: 5, a: 9000}, {op: "fallocate", slot: 5, a: 100, b: 5000, flags: 3},
		{op: "pread", slot: 5, a: 9000}, {op: "fallocate", slot: 5, a: 1, b: 2, flags: 2}, {op: "fallocate", slot: 5, a: -1, b: 2}, {op: "fallocate", slot: 2, a: 0, b: 1},
		{op: "lseek", slot: 5, a: 0}, {op: "open", slot: 1, p: "copy", flags: rdwr | creat, a: 0o600}, {op: "copy", slot: 5, slot2: 1, a: 8500}, {op: "copy", slot: 5, slot2: 1, a: 8500},
		{op: "copy", slot: 5, slot2: 1, a: 8500}, {op: "copy", slot: 5, slot2: 4, a: 1}, {op: "copy", slot: 5, slot2: 5, a: 8500}, {op: "copy", slot: 3, slot2: 1, a: 1},
		{op: "pread", slot: 1, a: 9999}, {op: "lseek", slot: 5, a: 3}, {op: "sendfile", slot: 5, slot2: 1, a: 70_000}, {op: "pread", slot: 1, a: 65536}, {op: "sendfile", slot: 4, slot2: 1, a: 5},
		{op: "mkdir", p: "gone"}, {op: "open", slot: 0, p: "gone"}, {op: "unlink", p: "gone", flags: atRemovedir}, {op: "openfrom", slot: 0, p: "x", flags: creat}, {op: "list", slot: 0},
		{op: "fstat", slot: 0}, {op: "openfrom", slot: 0, p: "../reg"}, {op: "openfrom", slot: 0, p: "."},
		{op: "unlink", p: "reg"}, {op: "fstat", slot: 5}, {op: "pread", slot: 5, a: 100}, {op: "write", slot: 5, a: 3}, {op: "close", slot: 5}, {op: "close", slot: 5},
	}
	for n, o := range steps {
		if want, got := linux.do(o), ours.do(o); got != want {
			t.Errorf("step %d %v:\n got  %s\n want %s", n, o, got, want)
		}
	}
}

// TestFiles_asLinuxRandom makes seeded sequences over few names, so that the
// same ones meet again and again.
func TestFiles_asLinuxRandom(t *testing.T) {
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	names := []string{"a", "b", "d", "d/a", "d/e", "d/e/f", "d/e/../b", "./a", "d/.", "a/", "d/", "l", "l/", "l/a", "m", "..", ".", "../q", "b/x", "d/e/"}
	targets := []string{"a", "d", "d/e", "l", "m", "../q", "no", "d/", ".", "..", "d/../b", ""}
	ops := []string{"open", "open", "open", "close", "read", "pread", "write", "pwrite", "lseek", "ftruncate", "fstat", "stat", "stat", "mkdir", "mkdir",
		"unlink", "unlink", "unlink", "rename", "rename", "rename", "link", "symlink", "readlink", "chmod", "access", "list", "copy", "sendfile", "fallocate", "openfrom", "statx", "mknod"}
	flags := []uintptr{syscall.O_CREAT, syscall.O_EXCL, syscall.O_TRUNC, syscall.O_APPEND, syscall.O_DIRECTORY, syscall.O_NOFOLLOW, syscall.O_RDWR, syscall.O_RDWR, syscall.O_WRONLY, syscall.O_CREAT}
	for seed := range uint64(rounds) {
		linux, ours, tk := fsWorlds(t)
		rng := rand.New(rand.NewPCG(seed, 3))
		pick := func(l []string) string { return l[rng.IntN(len(l))] }
		var log []fsOp
		for range 600 {
			o := fsOp{op: pick(ops), p: pick(names), q: pick(names), slot: rng.IntN(6), slot2: rng.IntN(6)}
			o.a, o.b = rng.Int64N(20_000), rng.Int64N(20_000)
			switch o.op {
			case "open", "openfrom":
				for range rng.IntN(4) {
					o.flags |= flags[rng.IntN(len(flags))]
				}
				if o.flags&syscall.O_ACCMODE == syscall.O_ACCMODE {
					o.flags &^= syscall.O_WRONLY
				}
				o.a = rng.Int64N(0o1000)
			case "lseek":
				o.flags = uintptr(rng.IntN(3))
				o.a -= 5000
			case "stat", "statx":
				o.flags = []uintptr{0, atSymlinkNofollow}[rng.IntN(2)]
			case "unlink":
				o.flags = []uintptr{0, atRemovedir}[rng.IntN(2)]
			case "rename":
				o.flags = []uintptr{0, 0, 1, 2}[rng.IntN(4)]
			case "link":
				o.flags = []uintptr{0, atSymlinkFollow}[rng.IntN(2)]
			case "symlink":
				o.q = pick(targets)
			case "chmod", "mkdir", "mknod":
				o.a = rng.Int64N(0o2000)
			case "access":
				o.a = rng.Int64N(9)
			case "fallocate":
				o.flags = []uintptr{0, 1, 3}[rng.IntN(3)]
			}
			log = append(log, o)
			if want, got := linux.do(o), ours.do(o); got != want {
				t.Fatalf("seed %d, step %d %v:\n got  %s\n want %s\nlast steps: %v", seed, len(log), o, got, want, log[max(0, len(log)-12):])
			}
		}
		for i := range linux.fds {
			linux.do(fsOp{op: "close", slot: i})
			ours.do(fsOp{op: "close", slot: i})
		}
		checkAccounts(t, tk, seed)
	}
}

// checkAccounts removes everything and sees that nothing stays counted.
func checkAccounts(t *testing.T, tk *testKernel, seed uint64) {
	t.Helper()
	fresh := newTestKernel(t)
	wantBytes, wantInodes := fresh.fs.Usage()
	tk.must(sysCLOSERANGE, 3, ^uintptr(0), 0)
	removeTree(t, tk, "/tmp/t")
	if b, n := tk.fs.Usage(); b != wantBytes || n != wantInodes {
		t.Errorf("seed %d: %d bytes and %d inodes counted after everything was removed, want %d and %d", seed, b, n, wantBytes, wantInodes)
	}
}

func removeTree(t *testing.T, tk *testKernel, dir string) {
	fd := tk.must(syscall.SYS_OPEN, ptr(cstr(dir)), syscall.O_DIRECTORY)
	buf := make([]byte, 65536)
	n := tk.must(syscall.SYS_GETDENTS64, fd, ptr(&buf[0]), uintptr(len(buf)))
	_, _, names := syscall.ParseDirent(buf[:n], -1, nil)
	tk.must(syscall.SYS_CLOSE, fd)
	for _, name := range names {
		p := dir + "/" + name
		if _, e := tk.call(syscall.SYS_UNLINK, ptr(cstr(p))); e == syscall.EISDIR {
			removeTree(t, tk, p)
		} else if e != 0 {
			t.Errorf("unlink %s: %v", p, e)
		}
	}
	tk.must(syscall.SYS_RMDIR, ptr(cstr(dir)))
}
