package sys

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// epWait calls epoll_wait and returns the events by their data's first byte.
func epWait(tk *testKernel, ep uintptr, ms int) map[byte]uint32 {
	tk.t.Helper()
	var evs [8]epollEvent
	n := tk.must(syscall.SYS_EPOLL_WAIT, ep, ptr(&evs), 8, uintptr(ms))
	m := map[byte]uint32{}
	for _, ev := range evs[:n] {
		m[ev.data[0]] = ev.events
	}
	return m
}

func epCtl(tk *testKernel, ep uintptr, op int, fd uintptr, events uint32) Errno {
	_, e := tk.call(syscall.SYS_EPOLL_CTL, ep, uintptr(op), fd, ptr(&epollEvent{events: events, data: [8]byte{byte(fd)}}))
	return e
}

func TestEpoll_levelTriggered(t *testing.T) {
	tk := newTestKernel(t)
	ep := tk.must(sysEPCREATE1, 0)
	r, w := newPipe(tk)
	epCtl(tk, ep, epCtlAdd, r, uint32(pollIn))
	if m := epWait(tk, ep, 0); len(m) != 0 {
		t.Errorf("events of an idle pipe: %v", m)
	}
	tk.writeString(w, "ab")
	for range 2 {
		if m := epWait(tk, ep, 0); m[byte(r)] != uint32(pollIn) {
			t.Errorf("events %v, want EPOLLIN as long as there is data", m)
		}
	}
	tk.readString(r, 2)
	if m := epWait(tk, ep, 0); len(m) != 0 {
		t.Errorf("events of a drained pipe: %v", m)
	}
	tk.must(syscall.SYS_CLOSE, w)
	if m := epWait(tk, ep, 0); m[byte(r)] != uint32(pollHup) {
		t.Errorf("events %v after the writer closed, want EPOLLHUP", m)
	}
}

func TestEpoll_edgeAndOneshot(t *testing.T) {
	tk := newTestKernel(t)
	ep := tk.must(sysEPCREATE1, 0)
	r, w := newPipe(tk)
	epCtl(tk, ep, epCtlAdd, r, uint32(pollIn)|epollET)
	tk.writeString(w, "a")
	if m := epWait(tk, ep, 0); len(m) != 1 {
		t.Errorf("first edge: %v", m)
	}
	if m := epWait(tk, ep, 0); len(m) != 0 {
		t.Errorf("the edge was reported again: %v", m)
	}
	tk.writeString(w, "b")
	if m := epWait(tk, ep, 0); len(m) != 1 {
		t.Errorf("second edge: %v", m)
	}
	epCtl(tk, ep, epCtlMod, r, uint32(pollIn)|epollOneshot)
	if m := epWait(tk, ep, 0); len(m) != 1 {
		t.Errorf("oneshot: %v", m)
	}
	tk.writeString(w, "c")
	if m := epWait(tk, ep, 0); len(m) != 0 {
		t.Errorf("oneshot reported twice: %v", m)
	}
	epCtl(tk, ep, epCtlMod, r, uint32(pollIn)|epollOneshot)
	if m := epWait(tk, ep, 0); len(m) != 1 {
		t.Errorf("rearmed: %v", m)
	}
}

func TestEpoll_errors(t *testing.T) {
	tk := newTestKernel(t)
	ep := tk.must(sysEPCREATE1, 0)
	r, _ := newPipe(tk)
	null := tk.must(syscall.SYS_OPEN, ptr(cstr("/dev/null")), 0)
	for _, tc := range []struct {
		name string
		ep   uintptr
		op   int
		fd   uintptr
		want Errno
	}{
		{"bad_epfd", ebadfd, epCtlAdd, r, syscall.EBADF},
		{"bad_fd", ep, epCtlAdd, ebadfd, syscall.EBADF},
		{"not_pollable", ep, epCtlAdd, null, syscall.EPERM},
		{"not_epoll", r, epCtlAdd, 0, syscall.EINVAL},
		{"itself", ep, epCtlAdd, ep, syscall.EINVAL},
		{"mod_absent", ep, epCtlMod, r, syscall.ENOENT},
		{"del_absent", ep, epCtlDel, r, syscall.ENOENT},
		{"add", ep, epCtlAdd, r, 0},
		{"add_again", ep, epCtlAdd, r, syscall.EEXIST},
		{"bad_op", ep, 9, r, syscall.EINVAL},
		{"del", ep, epCtlDel, r, 0},
	} {
		if e := epCtl(tk, tc.ep, tc.op, tc.fd, uint32(pollIn)); e != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, e, tc.want)
		}
	}
	tk.fails(syscall.EFAULT, syscall.SYS_EPOLL_CTL, ep, epCtlAdd, r, 0)
	tk.fails(syscall.EINVAL, sysEPCREATE1, 1)
	var ev epollEvent
	tk.fails(syscall.EINVAL, syscall.SYS_EPOLL_WAIT, r, ptr(&ev), 1, 0)
}

func TestEpoll_nested(t *testing.T) {
	tk := newTestKernel(t)
	outer, mid, inner := tk.must(sysEPCREATE1, 0), tk.must(sysEPCREATE1, 0), tk.must(sysEPCREATE1, 0)
	r, w := newPipe(tk)
	epCtl(tk, inner, epCtlAdd, r, uint32(pollIn))
	if e := epCtl(tk, outer, epCtlAdd, inner, uint32(pollIn)); e != 0 {
		t.Fatal(e)
	}
	tk.writeString(w, "x")
	if m := epWait(tk, outer, 0); m[byte(inner)] != uint32(pollIn) {
		t.Errorf("outer sees %v", m)
	}
	if e := epCtl(tk, mid, epCtlAdd, outer, uint32(pollIn)); e != 0 {
		t.Errorf("three deep: %v", e)
	}
	if m := epWait(tk, mid, 0); m[byte(outer)] != uint32(pollIn) {
		t.Errorf("the outermost sees %v", m)
	}
	if e := epCtl(tk, inner, epCtlAdd, mid, uint32(pollIn)); e != syscall.ELOOP {
		t.Errorf("a circle: %v, want ELOOP", e)
	}
	tk.must(syscall.SYS_CLOSE, outer)
	if e := epCtl(tk, inner, epCtlAdd, mid, uint32(pollIn)); e != 0 {
		t.Errorf("after the one between closed: %v", e)
	}
}

func TestEpoll_exclusive(t *testing.T) {
	tk := newTestKernel(t)
	r, w := newPipe(tk)
	var eps [3]uintptr
	woken := make(chan int, len(eps))
	for i := range eps {
		eps[i] = tk.must(sysEPCREATE1, 0)
		if e := epCtl(tk, eps[i], epCtlAdd, r, uint32(pollIn)|epollExclusive); e != 0 {
			t.Fatal(e)
		}
		f, _ := tk.files.get(eps[i])
		defer f.put()
		go func() {
			ev := new([1]epollEvent)
			tk.call(syscall.SYS_EPOLL_WAIT, eps[i], ptr(ev), 1, ^uintptr(0))
			woken <- i
		}()
		for !f.wait.any() {
			time.Sleep(time.Millisecond)
		}
	}
	tk.writeString(w, "x")
	first := <-woken
	select {
	case i := <-woken:
		t.Errorf("%d was told, then %d", first, i)
	case <-time.After(20 * time.Millisecond):
	}
	tk.writeString(w, "y") // one that waits is told, not the one that does not
	second := <-woken
	tk.writeString(w, "z")
	if third := <-woken; first+second+third != 3 {
		t.Errorf("told %d, %d, %d", first, second, third)
	}
}

func TestEpoll_closedFileLeaves(t *testing.T) {
	tk := newTestKernel(t)
	ep := tk.must(sysEPCREATE1, 0)
	r, w := newPipe(tk)
	epCtl(tk, ep, epCtlAdd, r, uint32(pollIn))
	tk.writeString(w, "x")
	f, _ := tk.files.get(ep)
	defer f.put()
	tk.must(syscall.SYS_CLOSE, r)
	if m := epWait(tk, ep, 0); len(m) != 0 {
		t.Errorf("events of a closed file: %v", m)
	}
	if n := len(f.ops.(*eventpoll).items); n != 0 {
		t.Errorf("%d items left", n)
	}
}

func TestEpoll_waitsAndTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tk := newTestKernel(t)
		ep := tk.must(sysEPCREATE1, 0)
		fd := tk.must(sysEVENTFD2, 0, 0)
		epCtl(tk, ep, epCtlAdd, fd, uint32(pollIn))
		start := time.Now()
		if m := epWait(tk, ep, 30); len(m) != 0 || time.Since(start) != 30*time.Millisecond {
			t.Errorf("%v after %v", m, time.Since(start))
		}
		go func() {
			time.Sleep(7 * time.Millisecond)
			tk.writeString(fd, "\x01\x00\x00\x00\x00\x00\x00\x00")
		}()
		start = time.Now()
		if m := epWait(tk, ep, -1); len(m) != 1 || time.Since(start) != 7*time.Millisecond {
			t.Errorf("%v after %v", m, time.Since(start))
		}
	})
}

// Many ready items through a small buffer: everyone's turn comes.
func TestEpoll_fairWithSmallBuffer(t *testing.T) {
	tk := newTestKernel(t)
	ep := tk.must(sysEPCREATE1, 0)
	seen := map[byte]int{}
	for range 50 {
		fd := tk.must(sysEVENTFD2, 1, 0)
		epCtl(tk, ep, epCtlAdd, fd, uint32(pollIn))
	}
	for range 100 {
		for b := range epWait(tk, ep, 0) {
			seen[b]++
		}
	}
	if len(seen) != 50 {
		t.Fatalf("%d of 50 files were reported", len(seen))
	}
	for b, n := range seen {
		if n != 100*8/50 {
			t.Errorf("descriptor %d was reported %d times, want %d", b, n, 100*8/50)
		}
	}
}
