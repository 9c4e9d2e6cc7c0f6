package sys

import (
	"strings"
	"syscall"
	"testing"
)

func TestSplice_fileToPipeToFile(t *testing.T) {
	tk := newTestKernel(t)
	text := strings.Repeat("0123456789abcdef", 10000)
	from, to := tk.open("/from", syscall.O_CREAT|syscall.O_RDWR), tk.open("/to", syscall.O_CREAT|syscall.O_RDWR)
	tk.writeString(from, text)
	r, w := newPipe(tk)
	off := int64(5)
	for moved := 5; moved < len(text); {
		n := tk.must(syscall.SYS_SPLICE, from, ptr(&off), w, 0, 1<<20, 0)
		if moved += int(n); off != int64(moved) {
			t.Fatalf("the position is %d after %d", off, moved)
		}
		for n > 0 {
			n -= tk.must(syscall.SYS_SPLICE, r, 0, to, 0, n, 0)
		}
	}
	if n := tk.must(syscall.SYS_SPLICE, from, ptr(&off), w, 0, 10, 0); n != 0 {
		t.Errorf("%d at the end of the file", n)
	}
	if got := tk.read("/to"); got != text[5:] {
		t.Errorf("%d bytes of %d arrived", len(got), len(text)-5)
	}
}

func TestSplice_pipeToPipe_waitsForBoth(t *testing.T) {
	tk := newTestKernel(t)
	r1, w1 := newPipe(tk)
	r2, w2 := newPipe(tk)
	done := make(chan uintptr)
	go func() {
		n, _ := tk.call(syscall.SYS_SPLICE, r1, 0, w2, 0, 100, 0)
		done <- n
	}()
	tk.writeString(w1, "words")
	if n := <-done; n != 5 {
		t.Errorf("%d bytes moved", n)
	}
	if s, e := tk.readString(r2, 10); s != "words" || e != 0 {
		t.Errorf("%q, %v", s, e)
	}
}

// The order of the checks is that of __do_splice and do_splice.
func TestSplice_wrongArguments_errorsOfLinux(t *testing.T) {
	tk := newTestKernel(t)
	r, w := newPipe(tk)
	f := tk.open("/f", syscall.O_CREAT|syscall.O_RDWR)
	app := tk.open("/a", syscall.O_CREAT|syscall.O_WRONLY|syscall.O_APPEND)
	tk.writeString(w, "x")
	var off int64
	for i, c := range []struct {
		a    [6]uintptr
		want Errno
	}{
		{[6]uintptr{999, 0, 999, 0, 0, 0}, 0},
		{[6]uintptr{f, 0, w, 0, 1, 16}, syscall.EINVAL},
		{[6]uintptr{999, 0, w, 0, 1, 0}, syscall.EBADF},
		{[6]uintptr{r, ptr(&off), f, 0, 1, 0}, syscall.ESPIPE},
		{[6]uintptr{f, 0, w, ptr(&off), 1, 0}, syscall.ESPIPE},
		{[6]uintptr{w, 0, f, 0, 1, 0}, syscall.EBADF},
		{[6]uintptr{f, 0, r, 0, 1, 0}, syscall.EBADF},
		{[6]uintptr{f, 0, f, 0, 1, 0}, syscall.EINVAL},
		{[6]uintptr{r, 0, w, 0, 1, 0}, syscall.EINVAL}, // itself
		{[6]uintptr{r, 0, app, 0, 1, 0}, syscall.EINVAL},
	} {
		if n, e := tk.call(syscall.SYS_SPLICE, c.a[0], c.a[1], c.a[2], c.a[3], c.a[4], c.a[5]); e != c.want || n != 0 && e == 0 {
			t.Errorf("%d: %d, %v, want %v", i, n, e, c.want)
		}
	}
	if s, e := tk.readString(r, 10); s != "x" || e != 0 {
		t.Errorf("the pipe has %q, %v", s, e)
	}
	if _, e := tk.call(syscall.SYS_SPLICE, r, 0, f, 0, 1, spliceNonblock); e != syscall.EAGAIN {
		t.Errorf("an empty pipe: %v", e)
	}
}

// What could not be written is read next, though others write meanwhile.
func TestPipe_settle_givesBack(t *testing.T) {
	p := &pipe{readers: 1, writers: 1}
	fill := func(s string) int {
		n, _ := p.fill([][]byte{[]byte(s)}, 0, pipeSize)
		return n
	}
	fill("abcdef")
	b := make([]byte, 6)
	if n, e := p.lend(b); n != 6 || e != 0 {
		t.Fatal(n, e)
	}
	if n := fill(strings.Repeat("x", pipeSize)); n != pipeSize-6 {
		t.Errorf("%d bytes have room, want all but the loan's", n)
	}
	p.settle(b[2:], 6)
	got := make([]byte, 8)
	if n, _ := p.take([][]byte{got}); string(got[:n]) != "cdefxxxx" {
		t.Errorf("%q", got[:n])
	}
	if n := fill("yyyyyyyyyyyy"); n != 10 {
		t.Errorf("%d bytes have room, want 10", n)
	}
}
