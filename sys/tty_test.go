package sys

import (
	"syscall"
	"testing"
	"testing/synctest"
)

func TestConsole_writeAndIsatty(t *testing.T) {
	tk := newTestKernel(t)
	tk.writeString(1, "out\n")
	tk.writeString(2, "err\n")
	if got := tk.con.written(); got != "out\nerr\n" {
		t.Errorf("console shows %q", got)
	}
	var tio termios
	tk.must(syscall.SYS_IOCTL, 0, tcgets, ptr(&tio))
	if tio.lflag&syscall.ICANON == 0 || tio.lflag&syscall.ISIG != 0 {
		t.Errorf("lflag %#x: want ICANON without ISIG", tio.lflag)
	}
	var ws winsize
	tk.must(syscall.SYS_IOCTL, 1, tiocgwinsz, ptr(&ws))
	if ws.row != 25 || ws.col != 80 {
		t.Errorf("window %+v", ws)
	}
}

func TestConsole_lineEditing(t *testing.T) {
	for _, tc := range []struct{ name, typed, want, echo string }{
		{"return_ends_line", "hi\r", "hi\n", "hi\r\n"},
		{"erase", "hix\x7f\n", "hi\n", "hix\b \b\r\n"},
		{"erase_empty_line", "\x7fa\n", "a\n", "a\r\n"},
		{"kill", "abc\x15d\n", "d\n", "abc\b \b\b \b\b \bd\r\n"},
		{"end_of_file_after_text", "ab\x04", "ab", "ab"},
		{"end_of_file", "\x04", "", ""},
		{"interrupt_is_a_byte", "\x03\n", "\x03\n", "\x03\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tk := newTestKernel(t)
				tk.con.in <- []byte(tc.typed)
				s, e := tk.readString(0, 100)
				if s != tc.want || e != 0 {
					t.Errorf("read %q, %v; want %q", s, e, tc.want)
				}
				if got := tk.con.written(); got != tc.echo {
					t.Errorf("echo %q, want %q", got, tc.echo)
				}
			})
		})
	}
}

func TestConsole_oneLineAtATime(t *testing.T) {
	tk := newTestKernel(t)
	tk.con.in <- []byte("one\ntwo\n\x04three\n")
	for _, want := range []struct {
		n int
		s string
	}{{100, "one\n"}, {2, "tw"}, {100, "o\n"}, {100, ""}, {100, "three\n"}} {
		if s, e := tk.readString(0, want.n); s != want.s || e != 0 {
			t.Errorf("read(%d) = %q, %v; want %q", want.n, s, e, want.s)
		}
	}
}

func TestConsole_rawMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tk := newTestKernel(t)
		var tio termios
		tk.must(syscall.SYS_IOCTL, 0, tcgets, ptr(&tio))
		tio.lflag &^= syscall.ICANON | syscall.ECHO
		tio.iflag &^= syscall.ICRNL
		tk.must(syscall.SYS_IOCTL, 0, tcsets, ptr(&tio))
		tk.con.in <- []byte("a\r\x7f")
		if s, _ := tk.readString(0, 100); s != "a\r\x7f" {
			t.Errorf("read %q", s)
		}
		if got := tk.con.written(); got != "" {
			t.Errorf("echo %q in raw mode", got)
		}
	})
}

func TestConsole_modeSwitchKeepsInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tk := newTestKernel(t)
		tk.con.in <- []byte("line\npart")
		synctest.Wait()
		var tio termios
		tk.must(syscall.SYS_IOCTL, 0, tcgets, ptr(&tio))
		raw := tio
		raw.lflag &^= syscall.ICANON
		tk.must(syscall.SYS_IOCTL, 0, tcsets, ptr(&raw))
		var n int32
		tk.must(syscall.SYS_IOCTL, 0, fioNread, ptr(&n))
		if n != 9 {
			t.Errorf("FIONREAD = %d", n)
		}
		tk.must(syscall.SYS_IOCTL, 0, tcsets, ptr(&tio))
		if s, _ := tk.readString(0, 100); s != "line\npart" {
			t.Errorf("read %q", s)
		}
	})
}

// Endless input without a reader is lost beyond the buffer, not kept.
func TestConsole_floodIsBounded(t *testing.T) {
	for _, c := range []byte{'x', '\n', 4} {
		tty := newTTY(&testConsole{})
		p := make([]byte, 1000)
		for i := range p {
			p[i] = c
		}
		for range 100 {
			tty.input(p)
		}
		if n := len(tty.buf) + len(tty.line); n > ttyBufSize || len(tty.lines) > ttyBufSize {
			t.Errorf("%q: %d bytes and %d lines kept", c, n, len(tty.lines))
		}
	}
}

func TestConsole_endOfInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tk := newTestKernel(t)
		tk.con.in <- nil
		synctest.Wait()
		if s, e := tk.readString(0, 8); s != "" || e != 0 {
			t.Errorf("read = %q, %v; want end of file", s, e)
		}
	})
}

func TestConsole_secondOpenSeesInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tk := newTestKernel(t)
		fd := tk.must(syscall.SYS_OPEN, ptr(cstr("/dev/tty")), syscall.O_RDWR|syscall.O_NONBLOCK)
		if _, e := tk.readString(fd, 8); e != syscall.EAGAIN {
			t.Errorf("read of idle /dev/tty: %v", e)
		}
		if e := tk.PollOpen(fd, 0x1000); e != 0 {
			t.Fatal(Errno(e))
		}
		if m := tk.takeReady(0x1000); m != 2 {
			t.Errorf("ready %d at open, want writable", m)
		}
		tk.con.in <- []byte("x\n")
		synctest.Wait()
		if m := tk.takeReady(0x1000); m != 1 {
			t.Errorf("ready %d after input, want readable", m)
		}
	})
}

func TestConsole_noneIsNull(t *testing.T) {
	tk := newTestKernel(t, func(c *Config) { c.Console = nil })
	if s, e := tk.readString(0, 8); s != "" || e != 0 {
		t.Errorf("read = %q, %v", s, e)
	}
	if n, e := tk.writeString(1, "abc"); n != 3 || e != 0 {
		t.Errorf("write = %d, %v", n, e)
	}
}
