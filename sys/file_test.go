package sys

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// newPipe returns the descriptors of a pipe.
func newPipe(tk *testKernel, flags ...uintptr) (r, w uintptr) {
	tk.t.Helper()
	var p [2]int32
	tk.must(sysPIPE2, ptr(&p), append(flags, 0)[0])
	return uintptr(p[0]), uintptr(p[1])
}

func (tk *testKernel) writeString(fd uintptr, s string) (uintptr, Errno) {
	b := append([]byte(s), 0)
	return tk.call(syscall.SYS_WRITE, fd, ptr(&b[0]), uintptr(len(s)))
}

func (tk *testKernel) readString(fd uintptr, n int) (string, Errno) {
	b := make([]byte, n+1)
	r, e := tk.call(syscall.SYS_READ, fd, ptr(&b[0]), uintptr(n))
	if e != 0 {
		return "", e
	}
	return string(b[:r]), 0
}

func TestFd_lowestFree(t *testing.T) {
	tk := newTestKernel(t)
	for want := uintptr(3); want < 200; want++ {
		if fd := tk.must(syscall.SYS_DUP, 0); fd != want {
			t.Fatalf("dup = %d, want %d", fd, want)
		}
	}
	for _, fd := range []uintptr{150, 7, 64} {
		tk.must(syscall.SYS_CLOSE, fd)
	}
	for _, want := range []uintptr{7, 64, 150, 200} {
		if fd := tk.must(syscall.SYS_DUP, 1); fd != want {
			t.Errorf("dup = %d, want the lowest free, %d", fd, want)
		}
	}
	if fd := tk.must(syscall.SYS_FCNTL, 0, syscall.F_DUPFD, 500); fd != 500 {
		t.Errorf("F_DUPFD from 500 = %d", fd)
	}
	if fd := tk.must(syscall.SYS_FCNTL, 0, syscall.F_DUPFD_CLOEXEC, 500); fd != 501 {
		t.Errorf("F_DUPFD_CLOEXEC from 500 = %d", fd)
	}
	if tk.must(syscall.SYS_FCNTL, 500, syscall.F_GETFD) != 0 || tk.must(syscall.SYS_FCNTL, 501, syscall.F_GETFD) != 1 {
		t.Error("close-on-exec flags are wrong")
	}
	tk.must(syscall.SYS_DUP2, 0, 3000)
	tk.must(sysCLOSERANGE, 3, ^uintptr(0), 0)
	if fd := tk.must(syscall.SYS_DUP, 0); fd != 3 {
		t.Errorf("dup after close_range = %d", fd)
	}
}

func TestFd_lowestFreeAgainstNaive(t *testing.T) {
	tk := newTestKernel(t)
	rng := rand.New(rand.NewPCG(1, 2))
	used := map[uintptr]bool{0: true, 1: true, 2: true}
	naive := func(from uintptr) uintptr {
		for used[from] {
			from++
		}
		return from
	}
	for range 20000 {
		switch rng.IntN(5) {
		case 0, 1:
			want := naive(0)
			if fd := tk.must(syscall.SYS_DUP, 0); fd != want {
				t.Fatalf("dup = %d, want %d", fd, want)
			}
			used[want] = true
		case 2:
			from := uintptr(rng.IntN(700))
			want := naive(from)
			if fd := tk.must(syscall.SYS_FCNTL, 0, syscall.F_DUPFD, from); fd != want {
				t.Fatalf("F_DUPFD from %d = %d, want %d", from, fd, want)
			}
			used[want] = true
		default:
			fd := 1 + uintptr(rng.IntN(800))
			_, e := tk.call(syscall.SYS_CLOSE, fd)
			if (e == 0) != used[fd] {
				t.Fatalf("close(%d): %v, open: %v", fd, e, used[fd])
			}
			delete(used, fd)
		}
	}
}

func TestFd_sharedFlagsAndRefs(t *testing.T) {
	tk := newTestKernel(t)
	r, w := newPipe(tk)
	d := tk.must(syscall.SYS_DUP, r)
	tk.must(syscall.SYS_FCNTL, d, syscall.F_SETFL, syscall.O_NONBLOCK)
	if fl := tk.must(syscall.SYS_FCNTL, r, syscall.F_GETFL); fl != syscall.O_NONBLOCK {
		t.Errorf("F_GETFL = %#x: O_NONBLOCK belongs to the file, not the descriptor", fl)
	}
	if _, e := tk.readString(r, 1); e != syscall.EAGAIN {
		t.Errorf("read of an empty non-blocking pipe: %v", e)
	}
	zero := int32(0)
	tk.must(syscall.SYS_IOCTL, r, fioNbio, ptr(&zero))
	if fl := tk.must(syscall.SYS_FCNTL, d, syscall.F_GETFL); fl != 0 {
		t.Errorf("F_GETFL = %#x after FIONBIO 0", fl)
	}
	tk.must(syscall.SYS_CLOSE, r)
	if n, e := tk.writeString(w, "x"); n != 1 || e != 0 {
		t.Errorf("write with one reading descriptor left: %d, %v", int(n), e)
	}
	tk.must(syscall.SYS_CLOSE, d)
	if _, e := tk.writeString(w, "x"); e != syscall.EPIPE {
		t.Errorf("write without readers: %v", e)
	}
}

// A call in progress keeps its file while the descriptor is closed and given
// to another.
func TestFd_closeDuringBlockedRead(t *testing.T) {
	tk := newTestKernel(t)
	r, w := newPipe(tk)
	got := make(chan string)
	go func() {
		s, _ := tk.readString(r, 10)
		got <- s
	}()
	for f, _ := tk.files.get(r); f.own.list.Load() == nil; {
		runtime.Gosched() // until it sleeps
	}
	tk.must(syscall.SYS_CLOSE, r)
	r2, _ := newPipe(tk)
	if r2 != r {
		t.Fatalf("descriptor %d was not given out again", r)
	}
	tk.writeString(w, "hello")
	if s := <-got; s != "hello" {
		t.Errorf("the blocked read got %q", s)
	}
}

func TestFd_concurrentCloseAndUse(t *testing.T) {
	tk := newTestKernel(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 2000 {
				fd, e := tk.call(sysEVENTFD2, 1, syscall.O_NONBLOCK)
				if e != 0 {
					t.Errorf("eventfd2: %v", e)
					return
				}
				tk.call(syscall.SYS_DUP2, fd, 40)
				tk.readString(40, 8)
				tk.writeString(40, "\x01\x00\x00\x00\x00\x00\x00\x00")
				tk.call(syscall.SYS_CLOSE, 40)
				tk.call(syscall.SYS_CLOSE, fd)
			}
		}()
	}
	wg.Wait()
	tk.call(syscall.SYS_CLOSE, 40)
	if fd := tk.must(syscall.SYS_DUP, 0); fd != 3 {
		t.Errorf("descriptors leaked: next is %d", fd)
	}
}

func TestDevices_openReadWrite(t *testing.T) {
	tk := newTestKernel(t)
	open := func(p string, flags uintptr) uintptr {
		return tk.must(syscall.SYS_OPENAT, atCwd, ptr(cstr(p)), flags)
	}
	null, zero, rnd := open("/dev/null", syscall.O_RDWR), open("/dev/zero", 0), open("/dev/../dev//urandom", 0)
	if s, e := tk.readString(null, 4); s != "" || e != 0 {
		t.Errorf("read of /dev/null = %q, %v", s, e)
	}
	if n, e := tk.writeString(null, "abc"); n != 3 || e != 0 {
		t.Errorf("write to /dev/null = %d, %v", n, e)
	}
	if s, _ := tk.readString(zero, 4); s != "\x00\x00\x00\x00" {
		t.Errorf("read of /dev/zero = %q", s)
	}
	if s, _ := tk.readString(rnd, 2); s != "\x07\x00" {
		t.Errorf("read of /dev/urandom = %q", s)
	}
	if _, e := tk.writeString(zero, "x"); e != syscall.EBADF {
		t.Errorf("write to a read-only descriptor: %v", e)
	}
	if n, e := tk.writeString(open("/dev/full", 2), "x"); e != syscall.ENOSPC {
		t.Errorf("write to /dev/full = %d, %v", int(n), e)
	}
	tk.writeString(open("/dev/console", 2), "hi\n")
	if out := tk.con.written(); out != "hi\n" {
		t.Errorf("console shows %q", out)
	}
	if off := tk.must(syscall.SYS_LSEEK, null, 5, 0); off != 0 {
		t.Errorf("lseek of /dev/null = %d", off)
	}
}

func TestOpen_errors(t *testing.T) {
	tk := newTestKernel(t)
	long := bytes.Repeat([]byte{'a'}, pathMax+1)
	for _, tc := range []struct {
		path  string
		flags uintptr
		want  Errno
	}{
		{"/etc/nothing", 0, syscall.ENOENT},
		{"", 0, syscall.ENOENT},
		{"/dev/null/x", 0, syscall.ENOTDIR},
		{"/dev/null/", 0, syscall.ENOTDIR},
		{"/dev/null", syscall.O_DIRECTORY, syscall.ENOTDIR},
		{"/dev/null", syscall.O_CREAT | syscall.O_EXCL, syscall.EEXIST},
		{"/dev", syscall.O_WRONLY, syscall.EISDIR},
		{"/proc/new", syscall.O_CREAT | syscall.O_WRONLY, syscall.ENOENT},
		{"/sys/new", syscall.O_CREAT | syscall.O_WRONLY, syscall.EACCES},
		{"/proc/sys/kernel/ostype", syscall.O_WRONLY, syscall.EACCES},
		{"/no/new", syscall.O_CREAT | syscall.O_WRONLY, syscall.ENOENT},
		{"/init", 0, syscall.EACCES},
		{"/proc/self/exe", syscall.O_NOFOLLOW, syscall.ELOOP},
		{string(long), 0, syscall.ENAMETOOLONG},
	} {
		tk.fails(tc.want, syscall.SYS_OPENAT, atCwd, ptr(cstr(tc.path)), tc.flags)
	}
	tk.fails(syscall.EBADF, syscall.SYS_OPENAT, ebadfd, ptr(cstr("x")), 0)
	tk.fails(syscall.ENOTDIR, syscall.SYS_OPENAT, 0, ptr(cstr("x")), 0)
}

func TestPaths_statReadlinkCwd(t *testing.T) {
	tk := newTestKernel(t)
	var st syscall.Stat_t
	for p, mode := range map[string]uint32{
		"/": syscall.S_IFDIR, "/dev/null": syscall.S_IFCHR, "/proc/self/exe": syscall.S_IFREG, ".": syscall.S_IFDIR,
	} {
		tk.must(syscall.SYS_NEWFSTATAT, atCwd, ptr(cstr(p)), ptr(&st), 0)
		if st.Mode&syscall.S_IFMT != mode {
			t.Errorf("stat %s: mode %#o", p, st.Mode)
		}
	}
	tk.must(syscall.SYS_LSTAT, ptr(cstr("/proc/self/exe")), ptr(&st))
	if st.Mode&syscall.S_IFMT != syscall.S_IFLNK {
		t.Errorf("lstat of a link: mode %#o", st.Mode)
	}
	buf := make([]byte, 64)
	n := tk.must(syscall.SYS_READLINKAT, atCwd, ptr(cstr("/proc/self/exe")), ptr(&buf[0]), 64)
	if string(buf[:n]) != "/init" {
		t.Errorf("readlink = %q", buf[:n])
	}
	tk.must(syscall.SYS_CHDIR, ptr(cstr("dev")))
	if n := tk.must(syscall.SYS_GETCWD, ptr(&buf[0]), 64); string(buf[:n]) != "/dev\x00" {
		t.Errorf("getcwd = %q", buf[:n])
	}
	tk.fails(syscall.ERANGE, syscall.SYS_GETCWD, ptr(&buf[0]), 4)
	tk.must(syscall.SYS_OPEN, ptr(cstr("null")), 0)
	root := tk.must(syscall.SYS_OPEN, ptr(cstr("/")), syscall.O_DIRECTORY)
	ents := make([]byte, 512)
	total := tk.must(syscall.SYS_GETDENTS64, root, ptr(&ents[0]), 512)
	_, _, names := syscall.ParseDirent(ents[:total], -1, nil)
	slices.Sort(names)
	if want := []string{"bin", "dev", "etc", "init", "proc", "root", "run", "sys", "tmp"}; !slices.Equal(names, want) {
		t.Errorf("getdents64 of / = %v, want %v", names, want)
	}
	if n := tk.must(syscall.SYS_GETDENTS64, root, ptr(&ents[0]), 512); n != 0 {
		t.Errorf("second getdents64 = %d", n)
	}
	for fd, mode := range map[uintptr]uint32{0: syscall.S_IFCHR, root: syscall.S_IFDIR} {
		tk.must(syscall.SYS_FSTAT, fd, ptr(&st))
		if st.Mode&syscall.S_IFMT != mode {
			t.Errorf("fstat(%d): mode %#o", fd, st.Mode)
		}
	}
}

func TestPipe_streamKeepsOrder(t *testing.T) {
	tk := newTestKernel(t)
	r, w := newPipe(tk)
	want := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(want)
	go func() {
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 1+rand.IntN(100_000))
			if c, e := tk.call(syscall.SYS_WRITE, w, ptr(&rest[0]), uintptr(n)); e != 0 || int(c) != n {
				t.Errorf("write of %d = %d, %v", n, c, e)
				break
			}
			rest = rest[n:]
		}
		tk.call(syscall.SYS_CLOSE, w)
	}()
	var got []byte
	for {
		s, e := tk.readString(r, 1+rand.IntN(100_000))
		if e != 0 {
			t.Fatal(e)
		}
		if s == "" {
			break
		}
		got = append(got, s...)
	}
	if !bytes.Equal(got, want) {
		t.Error("bytes came out differently")
	}
}

func TestPipe_fullNonblocking(t *testing.T) {
	tk := newTestKernel(t)
	r, w := newPipe(tk, syscall.O_NONBLOCK)
	big := make([]byte, pipeSize+100)
	if n, e := tk.call(syscall.SYS_WRITE, w, ptr(&big[0]), uintptr(len(big))); n != pipeSize || e != 0 {
		t.Errorf("write beyond the size = %d, %v; want %d", int(n), e, pipeSize)
	}
	if _, e := tk.writeString(w, "x"); e != syscall.EAGAIN {
		t.Errorf("write to a full pipe: %v", e)
	}
	tk.readString(r, 100)
	// 100 bytes of room: a PIPE_BUF write goes in whole or not at all.
	if n, e := tk.call(syscall.SYS_WRITE, w, ptr(&big[0]), pipeBuf); e != syscall.EAGAIN {
		t.Errorf("atomic write into too little room = %d, %v", int(n), e)
	}
	var left int32
	tk.must(syscall.SYS_IOCTL, r, fioNread, ptr(&left))
	if left != pipeSize-100 {
		t.Errorf("FIONREAD = %d", left)
	}
}

func TestEventfd_counts(t *testing.T) {
	tk := newTestKernel(t)
	fd := tk.must(sysEVENTFD2, 3, syscall.O_NONBLOCK)
	tk.writeString(fd, "\x04\x00\x00\x00\x00\x00\x00\x00")
	if s, _ := tk.readString(fd, 8); s != "\x07\x00\x00\x00\x00\x00\x00\x00" {
		t.Errorf("read = %q", s)
	}
	if _, e := tk.readString(fd, 8); e != syscall.EAGAIN {
		t.Errorf("read at 0: %v", e)
	}
	if _, e := tk.readString(fd, 7); e != syscall.EINVAL {
		t.Errorf("short read: %v", e)
	}
	if _, e := tk.writeString(fd, "\xff\xff\xff\xff\xff\xff\xff\xff"); e != syscall.EINVAL {
		t.Errorf("write of the maximum: %v", e)
	}
	tk.writeString(fd, "\xfe\xff\xff\xff\xff\xff\xff\xff")
	if _, e := tk.writeString(fd, "\x01\x00\x00\x00\x00\x00\x00\x00"); e != syscall.EAGAIN {
		t.Errorf("write that would overflow: %v", e)
	}
}

func TestPoll_eventsAndTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tk := newTestKernel(t)
		r, w := newPipe(tk)
		fds := []pollfd{{fd: int32(r), events: pollIn}, {fd: -1, events: pollIn}, {fd: int32(w), events: pollIn}}
		start := time.Now()
		if n := tk.must(syscall.SYS_POLL, ptr(&fds[0]), 3, 50); n != 0 || time.Since(start) != 50*time.Millisecond {
			t.Errorf("poll of idle files = %d after %v", n, time.Since(start))
		}
		go func() {
			time.Sleep(5 * time.Millisecond)
			tk.writeString(w, "x")
		}()
		start = time.Now()
		if n := tk.must(syscall.SYS_POLL, ptr(&fds[0]), 3, ^uintptr(0)); n != 1 || fds[0].revents != pollIn {
			t.Errorf("poll = %d, %+v", n, fds)
		}
		if d := time.Since(start); d != 5*time.Millisecond {
			t.Errorf("woke after %v", d)
		}
		tk.must(syscall.SYS_CLOSE, w)
		tk.readString(r, 1)
		if n := tk.must(syscall.SYS_POLL, ptr(&fds[0]), 3, ^uintptr(0)); n != 2 || fds[0].revents != pollHup || fds[2].revents != pollNval {
			t.Errorf("poll after close = %d, %+v", n, fds)
		}
		f, _ := tk.files.get(r)
		if f.wait.list.Load() != nil {
			t.Error("poll left a waiter behind")
		}
		f.put()
	})
}

func TestSelect_sets(t *testing.T) {
	tk := newTestKernel(t)
	r, w := newPipe(tk)
	in, out := uint64(1)<<r, uint64(1)<<w
	tv := syscall.Timeval{}
	if n := tk.must(syscall.SYS_SELECT, w+1, ptr(&in), ptr(&out), 0, ptr(&tv)); n != 1 || in != 0 || out != 1<<w {
		t.Errorf("select = %d, in %b out %b", n, in, out)
	}
	tk.writeString(w, "x")
	in, out = uint64(1)<<r, uint64(1)<<w
	ts := syscall.Timespec{Sec: 10}
	if n := tk.must(syscall.SYS_PSELECT6, w+1, ptr(&in), ptr(&out), 0, ptr(&ts), 0); n != 2 || in != 1<<r || out != 1<<w {
		t.Errorf("pselect6 = %d, in %b out %b", n, in, out)
	}
	in = 1 << 60
	tk.must(syscall.SYS_DUP2, 0, 63)
	tk.fails(syscall.EBADF, syscall.SYS_SELECT, 64, ptr(&in), 0, 0, ptr(&tv))
}
