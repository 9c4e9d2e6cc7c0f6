package sys

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"barewire/napi"
)

// testConsole is a console with typed input and kept output.
type testConsole struct {
	in chan []byte

	mu  sync.Mutex
	out strings.Builder
}

func (c *testConsole) Read(p []byte) int { return copy(p, <-c.in) }

func (c *testConsole) Write(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.Write(p)
}

func (c *testConsole) written() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.String()
}

// testKernel is a Kernel and what it told its surroundings.
type testKernel struct {
	*Kernel
	t     testing.TB
	con   *testConsole
	exits []int
	mu    sync.Mutex
	logs  []string
	ready map[uintptr]int32 // poll descriptor: modes or'ed as 1 and 2
}

func newTestKernel(t testing.TB, change ...func(*Config)) *testKernel {
	tk := &testKernel{t: t, con: &testConsole{in: make(chan []byte, 16)}, ready: map[uintptr]int32{}}
	cfg := Config{
		Console: tk.con,
		Clock:   napi.SystemClock(),
		WallClock: func() (int64, int32) {
			return 1_700_000_000, 123_456_789
		},
		Random:   func(b []byte) { clear(b); b[0] = 7 },
		Exit:     func(code int) { tk.exits = append(tk.exits, code) },
		Hostname: "box",
		Log: func(s string) {
			tk.mu.Lock()
			defer tk.mu.Unlock()
			tk.logs = append(tk.logs, s)
		},
		PollReady: func(pd uintptr, mode int32) {
			tk.mu.Lock()
			defer tk.mu.Unlock()
			tk.ready[pd] |= map[int32]int32{'r': 1, 'w': 2, 'r' + 'w': 3}[mode]
		},
	}
	for _, c := range change {
		c(&cfg)
	}
	tk.Kernel = New(cfg)
	t.Cleanup(func() { close(tk.con.in) }) // ends the console's reader
	return tk
}

func (tk *testKernel) takeReady(pd uintptr) int32 {
	tk.mu.Lock()
	defer tk.mu.Unlock()
	m := tk.ready[pd]
	delete(tk.ready, pd)
	return m
}

// call makes a system call. Arguments that are pointers are written
// ptr(&x) in the call expression.
//
//go:uintptrescapes
func (tk *testKernel) call(num uintptr, a ...uintptr) (uintptr, Errno) {
	var v [6]uintptr
	copy(v[:], a)
	r, _, e := tk.Syscall(num, v[0], v[1], v[2], v[3], v[4], v[5])
	return r, Errno(e)
}

// must makes a call that has to succeed.
//
//go:uintptrescapes
func (tk *testKernel) must(num uintptr, a ...uintptr) uintptr {
	tk.t.Helper()
	r, e := tk.call(num, a...)
	if e != 0 {
		tk.t.Fatalf("%s%v: %v", callName(num), a, e)
	}
	return r
}

// fails makes a call that has to fail with want.
//
//go:uintptrescapes
func (tk *testKernel) fails(want Errno, num uintptr, a ...uintptr) {
	tk.t.Helper()
	if r, e := tk.call(num, a...); e != want {
		tk.t.Errorf("%s%v = %d, %v; want %v", callName(num), a, int(r), e, want)
	}
}

// sink makes what ptr sees escape, so that it stays where it is.
var sink atomic.Pointer[any]

func ptr[T any](p *T) uintptr {
	var v any = p
	sink.Store(&v)
	return uintptr(unsafe.Pointer(p))
}

// cstr returns s with a NUL, as an address of heap memory.
func cstr(s string) *byte {
	b := append([]byte(s), 0)
	return &b[0]
}

const (
	sysGETRANDOM  = 318
	sysPIPE2      = 293
	sysDUP3       = 292
	sysEVENTFD2   = 290
	sysEPCREATE1  = 291
	sysSENDMMSG   = 307
	sysRECVMMSG   = 299
	sysPRLIMIT    = 302
	sysCLOSERANGE = 436
	ebadfd        = 99
)

func TestSyscall_unknownNumber(t *testing.T) {
	tk := newTestKernel(t, func(c *Config) { c.Debug = true })
	for range 3 {
		tk.fails(syscall.ENOSYS, syscall.SYS_PTRACE)
	}
	tk.fails(syscall.ENOSYS, 350)
	tk.fails(syscall.ENOSYS, 1<<20)
	tk.fails(syscall.ENOSYS, ^uintptr(0))
	st := tk.Stats()
	if st.Unimplemented["ptrace"] != 3 || st.Unimplemented["unknown"] != 2 || st.Unimplemented["syscall_350"] != 1 {
		t.Errorf("Stats = %+v", st)
	}
	if st.Calls != 6 {
		t.Errorf("%d calls counted, want 6", st.Calls)
	}
	n := 0
	for _, l := range tk.logs {
		if strings.Contains(l, "ptrace") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("ptrace was reported %d times, want once: %q", n, tk.logs)
	}
}

func TestCallTable_namesMatch(t *testing.T) {
	// Numbers that package syscall names too must carry that name here.
	for num, want := range map[uintptr]string{
		syscall.SYS_READ: "read", syscall.SYS_SENDTO: "sendto", syscall.SYS_EPOLL_CTL: "epoll_ctl",
		syscall.SYS_ACCEPT4: "accept4", syscall.SYS_PRLIMIT64: "prlimit64", 318: "getrandom", 436: "close_range", 441: "epoll_pwait2",
	} {
		if got := callName(num); got != want {
			t.Errorf("callName(%d) = %q, want %q", num, got, want)
		}
		if callTable[num] == nil {
			t.Errorf("%s has no function", want)
		}
	}
}

func TestErrno_nullPointers(t *testing.T) {
	tk := newTestKernel(t)
	var r, w = newPipe(tk)
	for _, tc := range []struct {
		num  uintptr
		args []uintptr
		want Errno
	}{
		{syscall.SYS_READ, []uintptr{0, 0, 8}, syscall.EFAULT},
		{syscall.SYS_READ, []uintptr{0, 8, ^uintptr(0)}, syscall.EINVAL},
		{syscall.SYS_WRITE, []uintptr{1, 4095, 8}, syscall.EFAULT},
		{syscall.SYS_WRITE, []uintptr{1, 1 << 62, 8}, syscall.EFAULT},
		{syscall.SYS_WRITE, []uintptr{1, ^uintptr(0) - 4, 8}, syscall.EFAULT},
		{syscall.SYS_READ, []uintptr{ebadfd, 0, 8}, syscall.EBADF},
		{syscall.SYS_READ, []uintptr{w, 0, 8}, syscall.EBADF},
		{syscall.SYS_WRITE, []uintptr{r, 0, 8}, syscall.EBADF},
		{syscall.SYS_READV, []uintptr{0, 0, 1}, syscall.EFAULT},
		{syscall.SYS_READV, []uintptr{0, 0, 1025}, syscall.EINVAL},
		{syscall.SYS_WRITEV, []uintptr{1, 0, ^uintptr(0)}, syscall.EINVAL},
		{syscall.SYS_OPENAT, []uintptr{atCwd, 0, 0}, syscall.EFAULT},
		{syscall.SYS_FSTAT, []uintptr{0, 0}, syscall.EFAULT},
		{syscall.SYS_FSTAT, []uintptr{ebadfd, 0}, syscall.EBADF},
		{syscall.SYS_UNAME, []uintptr{0}, syscall.EFAULT},
		{syscall.SYS_CLOCK_GETTIME, []uintptr{1, 0}, syscall.EFAULT},
		{syscall.SYS_CLOCK_GETTIME, []uintptr{77, 0}, syscall.EINVAL},
		{syscall.SYS_NANOSLEEP, []uintptr{0, 0}, syscall.EFAULT},
		{sysGETRANDOM, []uintptr{0, 8, 0}, syscall.EFAULT},
		{sysGETRANDOM, []uintptr{0, 0, 8}, syscall.EINVAL},
		{sysGETRANDOM, []uintptr{0, 0, 6}, syscall.EINVAL},
		{sysPIPE2, []uintptr{0, 0}, syscall.EFAULT},
		{sysPIPE2, []uintptr{0, 1}, syscall.EINVAL},
		{syscall.SYS_EPOLL_WAIT, []uintptr{0, 0, 1, 0}, syscall.EFAULT},
		{syscall.SYS_EPOLL_WAIT, []uintptr{0, 0, 0, 0}, syscall.EINVAL},
		{syscall.SYS_POLL, []uintptr{0, 1, 0}, syscall.EFAULT},
		{syscall.SYS_PREAD64, []uintptr{0, 0, 0, 0}, syscall.ESPIPE},
		{syscall.SYS_LSEEK, []uintptr{0, 0, 0}, syscall.ESPIPE},
		{syscall.SYS_LSEEK, []uintptr{0, 0, 9}, syscall.EINVAL},
		{syscall.SYS_LSEEK, []uintptr{ebadfd, 0, 9}, syscall.EBADF},
		{syscall.SYS_IOCTL, []uintptr{0, 0xdead, 0}, syscall.ENOTTY},
		{syscall.SYS_IOCTL, []uintptr{r, 0x5401, 0}, syscall.ENOTTY},
		{syscall.SYS_DUP, []uintptr{ebadfd}, syscall.EBADF},
		{sysDUP3, []uintptr{0, 0, 0}, syscall.EINVAL},
		{sysDUP3, []uintptr{0, 9, 4}, syscall.EINVAL},
		{syscall.SYS_DUP2, []uintptr{0, nrOpenMax}, syscall.EBADF},
		{syscall.SYS_CLOSE, []uintptr{ebadfd}, syscall.EBADF},
		{syscall.SYS_CLOSE, []uintptr{^uintptr(0)}, syscall.EBADF},
		{syscall.SYS_FCNTL, []uintptr{0, 999, 0}, syscall.EINVAL},
		{syscall.SYS_FCNTL, []uintptr{0, syscall.F_DUPFD, nrOpenMax}, syscall.EINVAL},
		{syscall.SYS_KILL, []uintptr{55, 9}, syscall.ESRCH},
		{syscall.SYS_KILL, []uintptr{1, 65}, syscall.EINVAL},
		{syscall.SYS_KILL, []uintptr{1, 10}, syscall.ENOSYS},
		{syscall.SYS_GETPEERNAME, []uintptr{0, 0, 0}, syscall.ENOTSOCK},
		{syscall.SYS_MUNMAP, []uintptr{1, 4096}, syscall.EINVAL},
		{syscall.SYS_MUNMAP, []uintptr{0x10000, 0}, syscall.EINVAL},
	} {
		t.Run(fmt.Sprintf("%s%x", callName(tc.num), tc.args), func(t *testing.T) {
			tk.t = t
			tk.fails(tc.want, tc.num, tc.args...)
		})
	}
}

func TestUname_fields(t *testing.T) {
	tk := newTestKernel(t)
	var u utsname
	tk.must(syscall.SYS_UNAME, ptr(&u))
	str := func(b [65]byte) string { s, _, _ := strings.Cut(string(b[:]), "\x00"); return s }
	if str(u.sysname) != "Linux" || str(u.nodename) != "box" || str(u.machine) != "x86_64" || str(u.release) != Release {
		t.Errorf("uname = %s %s %s %s", str(u.sysname), str(u.nodename), str(u.release), str(u.machine))
	}
	name := cstr("other")
	tk.must(syscall.SYS_SETHOSTNAME, ptr(name), 5)
	if tk.Hostname() != "other" {
		t.Errorf("hostname %q after sethostname", tk.Hostname())
	}
	tk.fails(syscall.EINVAL, syscall.SYS_SETHOSTNAME, ptr(name), 65)
}

func TestProcess_constants(t *testing.T) {
	tk := newTestKernel(t)
	for num, want := range map[uintptr]uintptr{
		syscall.SYS_GETPID: 1, syscall.SYS_GETTID: 1, syscall.SYS_GETPPID: 0, syscall.SYS_GETUID: 0, syscall.SYS_GETEUID: 0,
		syscall.SYS_GETGID: 0, syscall.SYS_GETEGID: 0, syscall.SYS_UMASK: 0o22, syscall.SYS_SCHED_YIELD: 0,
	} {
		if got := tk.must(num, 0); got != want {
			t.Errorf("%s = %d, want %d", callName(num), got, want)
		}
	}
	var mask [8]byte
	if n := tk.must(syscall.SYS_SCHED_GETAFFINITY, 0, 8, ptr(&mask)); n != 8 || mask[0]&1 == 0 {
		t.Errorf("sched_getaffinity = %d, %x", n, mask)
	}
	tk.fails(syscall.EINVAL, syscall.SYS_SCHED_GETAFFINITY, 0, 7, ptr(&mask))
}

func TestExit_reachesTheHost(t *testing.T) {
	tk := newTestKernel(t)
	tk.must(syscall.SYS_EXIT_GROUP, 3)
	tk.must(syscall.SYS_KILL, 1, uintptr(syscall.SIGTERM))
	tk.must(syscall.SYS_TGKILL, 1, 1, uintptr(syscall.SIGABRT))
	tk.must(syscall.SYS_KILL, 1, 0)
	if want := []int{3, 143, 134}; !slices.Equal(tk.exits, want) {
		t.Errorf("exits %v, want %v", tk.exits, want)
	}
}

func TestGetrandom_fillsAll(t *testing.T) {
	tk := newTestKernel(t)
	b := [16]byte{1: 9}
	if n := tk.must(sysGETRANDOM, ptr(&b), 16, 1); n != 16 || b[0] != 7 || b[1] != 0 {
		t.Errorf("getrandom = %d, %v", n, b)
	}
	if n := tk.must(sysGETRANDOM, 0, 0, 0); n != 0 {
		t.Errorf("getrandom of nothing = %d", n)
	}
}

func TestRlimit_nofileLowered(t *testing.T) {
	tk := newTestKernel(t)
	var lim rlimit
	tk.must(sysPRLIMIT, 0, rlimitNofile, 0, ptr(&lim))
	if lim != (rlimit{nrOpenMax, nrOpenMax}) {
		t.Fatalf("limits %+v", lim)
	}
	lim.cur = 5
	tk.must(syscall.SYS_SETRLIMIT, rlimitNofile, ptr(&lim))
	tk.must(syscall.SYS_DUP, 0)
	tk.must(syscall.SYS_DUP, 0)
	tk.fails(syscall.EMFILE, syscall.SYS_DUP, 0)
	var p [2]int32
	tk.must(syscall.SYS_CLOSE, 4)
	tk.fails(syscall.EMFILE, sysPIPE2, ptr(&p), 0) // room for one of two
	if fd := tk.must(syscall.SYS_DUP, 0); fd != 4 {
		t.Errorf("descriptor %d after a pipe that failed, want 4", fd)
	}
	tk.fails(syscall.EMFILE, sysEVENTFD2, 0, 0)
	lim = rlimit{10, 5}
	tk.fails(syscall.EINVAL, syscall.SYS_SETRLIMIT, rlimitNofile, ptr(&lim))
	lim = rlimit{10, nrOpenMax + 1}
	tk.fails(syscall.EPERM, syscall.SYS_SETRLIMIT, rlimitNofile, ptr(&lim))
}

func TestMmap_lifeCycle(t *testing.T) {
	tk := newTestKernel(t)
	const rw, anon = syscall.PROT_READ | syscall.PROT_WRITE, syscall.MAP_PRIVATE | syscall.MAP_ANON
	none := ^uintptr(0)
	addr := tk.must(syscall.SYS_MMAP, 0, 3*pageSize-5, rw, anon, none, 0)
	if addr%pageSize != 0 {
		t.Fatalf("mmap = %#x: not a page boundary", addr)
	}
	mem := unsafe.Slice((*byte)(userPtr(addr)), 3*pageSize)
	for i := range mem {
		if mem[i] != 0 {
			t.Fatalf("byte %d of new memory is %d", i, mem[i])
		}
		mem[i] = 1
	}
	tk.must(syscall.SYS_MADVISE, addr+pageSize, pageSize, 4)
	if mem[pageSize-1] != 1 || mem[pageSize] != 0 || mem[2*pageSize-1] != 0 || mem[2*pageSize] != 1 {
		t.Error("MADV_DONTNEED did not zero exactly its page")
	}
	tk.must(syscall.SYS_MPROTECT, addr, pageSize, syscall.PROT_READ)
	tk.must(syscall.SYS_MUNMAP, addr+pageSize, pageSize)
	tk.fails(syscall.ENOMEM, syscall.SYS_MADVISE, addr, 3*pageSize, 4)
	tk.fails(syscall.EEXIST, syscall.SYS_MMAP, addr, pageSize, rw, anon|mapFixedNoreplace, none, 0)
	if got := tk.must(syscall.SYS_MMAP, addr, pageSize, rw, anon|mapFixed, none, 0); got != addr || mem[0] != 0 {
		t.Errorf("MAP_FIXED over a mapping = %#x, first byte %d", got, mem[0])
	}
	mem[0] = 42
	moved := tk.must(syscall.SYS_MREMAP, addr, pageSize, 8*pageSize, 1)
	if *(*byte)(userPtr(moved)) != 42 {
		t.Error("mremap lost the contents")
	}
	tk.must(syscall.SYS_MUNMAP, moved, 8*pageSize)
	tk.must(syscall.SYS_MUNMAP, addr, 3*pageSize)
	if len(tk.mm.vmas) != 0 || tk.mm.size != 0 {
		t.Errorf("after munmap of everything: %d mappings, %d bytes", len(tk.mm.vmas), tk.mm.size)
	}
	tk.fails(syscall.ENOMEM, syscall.SYS_MMAP, 0, 1<<40, rw, anon, none, 0)
	tk.fails(syscall.EINVAL, syscall.SYS_MMAP, 0, 0, rw, anon, none, 0)
	tk.fails(syscall.EBADF, syscall.SYS_MMAP, 0, pageSize, rw, syscall.MAP_PRIVATE, none, 0)
	tk.fails(syscall.ENODEV, syscall.SYS_MMAP, 0, pageSize, rw, syscall.MAP_PRIVATE, 0, 0)
}

func TestTime_clocks(t *testing.T) {
	tk := newTestKernel(t)
	var ts syscall.Timespec
	tk.must(syscall.SYS_CLOCK_GETTIME, clockRealtime, ptr(&ts))
	if ts != (syscall.Timespec{Sec: 1_700_000_000, Nsec: 123_456_789}) {
		t.Errorf("CLOCK_REALTIME = %+v", ts)
	}
	var tv syscall.Timeval
	tk.must(syscall.SYS_GETTIMEOFDAY, ptr(&tv), 0)
	if tv != (syscall.Timeval{Sec: 1_700_000_000, Usec: 123_456}) {
		t.Errorf("gettimeofday = %+v", tv)
	}
	if s := tk.must(syscall.SYS_TIME, 0); s != 1_700_000_000 {
		t.Errorf("time = %d", s)
	}
	var before, after syscall.Timespec
	tk.must(syscall.SYS_CLOCK_GETTIME, clockMonotonic, ptr(&before))
	d := syscall.Timespec{Nsec: 2e6}
	tk.must(syscall.SYS_NANOSLEEP, ptr(&d), 0)
	tk.must(syscall.SYS_CLOCK_GETTIME, clockMonotonic, ptr(&after))
	if slept := after.Nano() - before.Nano(); slept < 2e6 {
		t.Errorf("slept %d ns, want at least 2e6", slept)
	}
	abs := syscall.NsecToTimespec(after.Nano() - 1)
	tk.must(syscall.SYS_CLOCK_NANOSLEEP, clockMonotonic, timerAbstime, ptr(&abs), 0) // past: at once
	bad := syscall.Timespec{Nsec: 1e9}
	tk.fails(syscall.EINVAL, syscall.SYS_NANOSLEEP, ptr(&bad), 0)
}
