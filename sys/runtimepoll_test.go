package sys

import (
	"syscall"
	"testing"
)

func TestPollOpen_readinessReachesTheRuntime(t *testing.T) {
	tk := newTestKernel(t)
	r, w := newPipe(tk, syscall.O_NONBLOCK)
	for fd, want := range map[uintptr]int32{r: 0, w: 2} {
		if e := tk.PollOpen(fd, fd<<12); e != 0 {
			t.Fatal(Errno(e))
		}
		if m := tk.takeReady(fd << 12); m != want {
			t.Errorf("descriptor %d at open: ready %d, want %d", fd, m, want)
		}
	}
	tk.writeString(w, "x")
	if m := tk.takeReady(r << 12); m != 1 {
		t.Errorf("after a write: ready %d, want 'r'", m)
	}
	tk.readString(r, 1)
	if m := tk.takeReady(w << 12); m != 2 {
		t.Errorf("after a read: ready %d, want 'w'", m)
	}
	if e := tk.PollClose(w); e != 0 {
		t.Fatal(Errno(e))
	}
	tk.must(syscall.SYS_CLOSE, w)
	if m := tk.takeReady(r << 12); m != 3 {
		t.Errorf("after hang-up: ready %d, want both so that everyone looks", m)
	}
	if m := tk.takeReady(w << 12); m != 0 {
		t.Errorf("closed descriptor was reported ready: %d", m)
	}
}

func TestPollOpen_refusals(t *testing.T) {
	tk := newTestKernel(t)
	null := tk.must(syscall.SYS_OPEN, ptr(cstr("/dev/null")), 0)
	dir := tk.must(syscall.SYS_OPEN, ptr(cstr("/")), 0)
	for fd, want := range map[uintptr]Errno{null: syscall.EPERM, dir: syscall.EPERM, ebadfd: syscall.EBADF} {
		if e := tk.PollOpen(fd, 1); Errno(e) != want {
			t.Errorf("PollOpen(%d) = %v, want %v", fd, Errno(e), want)
		}
	}
	if e := tk.PollClose(ebadfd); Errno(e) != syscall.EBADF {
		t.Errorf("PollClose of a bad descriptor = %v", Errno(e))
	}
}

// Duplicates of one file each have a poll descriptor; all are woken, and
// closing one leaves the others.
func TestPollOpen_duplicates(t *testing.T) {
	tk := newTestKernel(t)
	r, w := newPipe(tk, syscall.O_NONBLOCK)
	d := tk.must(syscall.SYS_DUP, r)
	tk.PollOpen(r, 0x1000)
	tk.PollOpen(d, 0x2000)
	tk.writeString(w, "x")
	if a, b := tk.takeReady(0x1000), tk.takeReady(0x2000); a != 1 || b != 1 {
		t.Errorf("ready %d and %d, want 1 and 1", a, b)
	}
	tk.must(syscall.SYS_CLOSE, d) // without PollClose, as a raw close would
	tk.writeString(w, "x")
	if a, b := tk.takeReady(0x1000), tk.takeReady(0x2000); a != 1 || b != 0 {
		t.Errorf("ready %d and %d after one was closed, want 1 and 0", a, b)
	}
}
