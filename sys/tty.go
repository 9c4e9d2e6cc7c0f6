package sys

import (
	"sync"
	"syscall"
)

// The console as a terminal (Linux: drivers/tty/n_tty.c, the parts programs
// notice). Input is read from the board by one goroutine, edited by line while
// ICANON is set, and kept in a bounded buffer. There are no signals, so ISIG
// is off.

const (
	ttyBufSize = 4096 // Linux: N_TTY_BUF_SIZE; input beyond it is lost
	ttyNccs    = 19
)

// termios is struct termios of the kernel ABI (TCGETS).
type termios struct {
	iflag, oflag, cflag, lflag uint32
	line                       uint8
	cc                         [ttyNccs]uint8
}

const (
	tcgets, tcsets, tcsetsw, tcsetsf          = 0x5401, 0x5402, 0x5403, 0x5404
	tcflsh, tcsbrk, tiocgpgrp, tiocspgrp      = 0x540b, 0x5409, 0x540f, 0x5410
	tiocgwinsz, tiocswinsz, tiocsctty, tcxonc = 0x5413, 0x5414, 0x540e, 0x540a
)

// winsize is struct winsize.
type winsize struct{ row, col, x, y uint16 }

// tty is the console file.
type tty struct {
	baseFile
	con   Console
	queue waitQueue // of every open

	mu    sync.Mutex
	tio   termios
	win   winsize
	buf   []byte // readable: whole lines in canonical mode
	line  []byte // being edited
	lines []int  // lengths of the lines in buf, an end of file being 0
	eof   bool   // the board has no more input
}

func newTTY(con Console) *tty {
	t := &tty{con: con, win: winsize{row: 25, col: 80}}
	t.tio = termios{
		iflag: syscall.ICRNL | syscall.IXON,
		// No ONLCR: what a program prints leaves the machine as it is.
		oflag: syscall.OPOST,
		cflag: syscall.B38400 | syscall.CS8 | syscall.CREAD | syscall.HUPCL,
		lflag: syscall.ICANON | syscall.ECHO | syscall.ECHOE | syscall.ECHOK | syscall.IEXTEN,
	}
	cc := &t.tio.cc
	cc[syscall.VINTR], cc[syscall.VQUIT] = 3, 28
	cc[syscall.VERASE], cc[syscall.VKILL] = 0x7f, 21
	cc[syscall.VEOF], cc[syscall.VMIN] = 4, 1
	cc[syscall.VSTART], cc[syscall.VSTOP], cc[syscall.VSUSP] = 17, 19, 26
	return t
}

// openConsole puts the console on descriptors 0, 1 and 2 and starts reading.
// All three share one file, as after init's dup.
func (k *Kernel) openConsole() {
	if k.cfg.Console != nil {
		t := newTTY(k.cfg.Console)
		k.console = k.newFile(t, syscall.O_RDWR)
		go t.readLoop()
	} else {
		k.console = k.newFile(&memDevice{minor: minorNull}, syscall.O_RDWR)
	}
	if i, e := k.fs.Lookup(nil, "/dev/console", true); e == 0 {
		i.Hold()
		k.console.node = i
	}
	// The kernel keeps a reference, so /dev/tty opens after 0 to 2 are closed.
	for range 3 {
		k.console.refs.Add(1)
		k.files.install(k.console, 0, false)
	}
}

// readLoop feeds the discipline from the board.
func (t *tty) readLoop() {
	var b [256]byte
	for {
		n := t.con.Read(b[:])
		if n <= 0 {
			t.mu.Lock()
			t.eof = true
			t.mu.Unlock()
			t.queue.wake(pollIn | pollRdNorm | pollHup)
			return
		}
		t.input(b[:min(n, len(b))])
	}
}

// input takes received bytes (Linux: n_tty_receive_buf).
func (t *tty) input(p []byte) {
	var echo []byte
	t.mu.Lock()
	before := len(t.buf) + len(t.lines)
	for _, c := range p {
		switch {
		case c == '\r' && t.tio.iflag&syscall.IGNCR != 0:
			continue
		case c == '\r' && t.tio.iflag&syscall.ICRNL != 0:
			c = '\n'
		case c == '\n' && t.tio.iflag&syscall.INLCR != 0:
			c = '\r'
		}
		if t.tio.lflag&syscall.ICANON != 0 {
			echo = t.edit(echo, c)
			continue
		}
		if len(t.buf) < ttyBufSize {
			t.buf = append(t.buf, c)
		}
		if t.tio.lflag&syscall.ECHO != 0 {
			echo = append(echo, c)
		}
	}
	more := len(t.buf)+len(t.lines) != before
	t.mu.Unlock()
	if len(echo) > 0 {
		t.con.Write(echo)
	}
	if more {
		t.queue.wake(pollIn | pollRdNorm)
	}
}

// edit takes one byte of canonical input and returns echo with what is to be
// shown for it.
func (t *tty) edit(echo []byte, c byte) []byte {
	show := t.tio.lflag&syscall.ECHO != 0
	rubOut := func() {
		t.line = t.line[:len(t.line)-1]
		if show {
			echo = append(echo, "\b \b"...)
		}
	}
	cc := &t.tio.cc
	switch {
	case c == '\n':
		if len(t.buf)+len(t.line) >= ttyBufSize {
			break
		}
		t.line = append(t.line, c)
		t.endLine()
		if show || t.tio.lflag&syscall.ECHONL != 0 {
			echo = append(echo, '\r', '\n')
		}
	case c == cc[syscall.VEOF] && c != 0:
		t.endLine()
	case (c == cc[syscall.VERASE] || c == '\b') && c != 0:
		if len(t.line) > 0 {
			rubOut()
		}
	case c == cc[syscall.VKILL] && c != 0:
		for len(t.line) > 0 {
			rubOut()
		}
	case len(t.buf)+len(t.line) < ttyBufSize-1:
		t.line = append(t.line, c)
		if show {
			echo = append(echo, c)
		}
	}
	return echo
}

// endLine makes the edited line readable.
func (t *tty) endLine() {
	if len(t.lines) >= ttyBufSize { // endless ^D
		return
	}
	t.buf = append(t.buf, t.line...)
	t.lines = append(t.lines, len(t.line))
	t.line = t.line[:0]
}

func (*tty) pollable() bool { return true }

func (t *tty) read(f *File, iov [][]byte) (int, Errno) {
	if len(iov) == 0 {
		return 0, 0
	}
	return f.k.block(&t.queue, f.nonblock(), func() (int, Errno) { return t.take(iov) })
}

// take moves input out: in canonical mode at most one line.
func (t *tty) take(iov [][]byte) (int, Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.buf)
	if t.tio.lflag&syscall.ICANON != 0 {
		if len(t.lines) == 0 {
			if t.eof {
				return 0, 0
			}
			return 0, eagain
		}
		n = t.lines[0]
	} else if n == 0 {
		if t.eof || t.tio.cc[syscall.VMIN] == 0 {
			return 0, 0
		}
		return 0, eagain
	}
	c := 0
	for _, b := range iov {
		c += copy(b, t.buf[c:n])
	}
	t.buf = t.buf[:copy(t.buf, t.buf[c:])]
	if len(t.lines) > 0 {
		t.consume(c)
	}
	return c, 0
}

// consume takes n bytes off the line lengths.
func (t *tty) consume(n int) {
	for len(t.lines) > 0 {
		if n < t.lines[0] {
			t.lines[0] -= n
			return
		}
		n -= t.lines[0]
		t.lines = t.lines[:copy(t.lines, t.lines[1:])]
		if n == 0 {
			return
		}
	}
}

func (t *tty) write(_ *File, iov [][]byte) (int, Errno) {
	t.mu.Lock()
	crlf := t.tio.oflag&(syscall.OPOST|syscall.ONLCR) == syscall.OPOST|syscall.ONLCR
	t.mu.Unlock()
	n := 0
	for _, b := range iov {
		n += len(b)
		if !crlf {
			t.con.Write(b)
			continue
		}
		for i := 0; i < len(b); {
			j := i
			for j < len(b) && b[j] != '\n' {
				j++
			}
			t.con.Write(b[i:j])
			if j < len(b) {
				t.con.Write([]byte("\r\n"))
			}
			i = j + 1
		}
	}
	return n, 0
}

func (t *tty) poll(*File) uint16 {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := pollOut | pollWrNorm
	if len(t.lines) > 0 || t.tio.lflag&syscall.ICANON == 0 && len(t.buf) > 0 || t.eof {
		m |= pollIn | pollRdNorm
	}
	return m
}

func (t *tty) ioctl(f *File, cmd, arg uintptr) (uintptr, Errno) {
	k := f.k
	t.mu.Lock()
	defer t.mu.Unlock()
	switch cmd {
	case tcgets:
		return 0, copyTo(k, arg, t.tio)
	case tcsets, tcsetsw, tcsetsf:
		tio, e := copyFrom[termios](k, arg)
		if e != 0 {
			return 0, e
		}
		if t.tio.lflag&^tio.lflag&syscall.ICANON != 0 { // what was typed becomes readable
			t.buf = append(t.buf, t.line...)
			t.line, t.lines = t.line[:0], t.lines[:0]
		} else if tio.lflag&^t.tio.lflag&syscall.ICANON != 0 && len(t.buf) > 0 {
			t.lines = append(t.lines[:0], len(t.buf))
		}
		t.tio = tio
		if cmd == tcsetsf {
			t.flush()
		}
		return 0, 0
	case tcflsh:
		const in, out, both = 0, 1, 2
		if arg > both {
			return 0, syscall.EINVAL
		}
		if arg != out {
			t.flush()
		}
		return 0, 0
	case tcsbrk, tcxonc, tiocsctty, tiocspgrp:
		return 0, 0
	case tiocgpgrp:
		return 0, copyTo(k, arg, int32(initPid))
	case tiocgwinsz:
		return 0, copyTo(k, arg, t.win)
	case tiocswinsz:
		w, e := copyFrom[winsize](k, arg)
		if e == 0 {
			t.win = w
		}
		return 0, e
	case fioNread:
		return 0, copyTo(k, arg, int32(len(t.buf)))
	}
	return 0, syscall.ENOTTY
}

func (t *tty) flush() {
	t.buf, t.line, t.lines = t.buf[:0], t.line[:0], t.lines[:0]
}

func (t *tty) stat(_ *File, st *syscall.Stat_t) {
	st.Mode = syscall.S_IFCHR | 0o600
	st.Rdev = makedev(5, 1)
}
