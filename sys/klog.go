package sys

import (
	"strconv"
	"strings"
	"sync"
	"syscall"

	"barewire/napi"
)

// Levels of kernel messages (Linux: KERN_*).
const (
	LevelErr  = 3
	LevelInfo = 6
)

const (
	klogSize            = 128 << 10 // bytes of messages kept; the oldest go
	klogLine            = 1000      // of one of them
	defaultConsoleLevel = 7         // debug messages are not for the console
)

// KernelLog is the kernel's ring of messages, for dmesg (Linux:
// kernel/printk/printk.c). Its methods may be called at once and from any
// context that does not hold its callers' locks.
type KernelLog struct {
	clock   napi.Clock
	readers waitQueue

	mu      sync.Mutex
	lines   []string // as read: "<6>[    0.000001] eth0: up\n"
	bytes   int      // of all lines
	first   uint64   // number of lines[0]
	clear   uint64   // those before have been cleared away
	unread  uint64   // the next one that syslog has not read
	console int      // messages of a level below it are for the console
}

// NewKernelLog makes an empty one; clock is that of the messages' times.
func NewKernelLog(clock napi.Clock) *KernelLog {
	return &KernelLog{clock: clock, console: defaultConsoleLevel}
}

// Print adds a message, without its newline, and reports whether it is for the
// console too.
func (l *KernelLog) Print(level int, text string) (console bool) {
	now := l.clock.Now()
	if len(text) > klogLine {
		text = text[:klogLine]
	}
	head := stamp(level, now)
	line := head + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+head) + "\n"
	l.mu.Lock()
	l.lines = append(l.lines, line)
	for l.bytes += len(line); l.bytes > klogSize; l.first++ {
		l.bytes -= len(l.lines[0])
		l.lines[0] = ""
		l.lines = l.lines[1:]
	}
	console = level < l.console
	l.mu.Unlock()
	l.readers.wake(pollIn)
	return console
}

// stamp is what a line begins with: "<%d>[%5d.%06d] " of the level, and seconds and microseconds of now. Not by package
// fmt: every start waits for these lines, few need fmt otherwise, and what runs for
// the first time costs an emulator far more than what it does.
func stamp(level int, now int64) string {
	padded := func(b []byte, v int64, with byte, width int) []byte {
		digits := strconv.FormatInt(v, 10)
		for range width - len(digits) {
			b = append(b, with)
		}
		return append(b, digits...)
	}
	b := append(make([]byte, 0, 24), '<')
	b = append(strconv.AppendInt(b, int64(level), 10), ">["...)
	b = padded(b, now/1e9, ' ', 5)
	b = padded(append(b, '.'), now%1e9/1000, '0', 6)
	return string(append(b, "] "...))
}

// from returns the lines from number n on.
func (l *KernelLog) from(n uint64) []string { return l.lines[max(n, l.first)-l.first:] }

// read copies whole messages nobody has read yet, as many as fit (Linux:
// syslog_print).
func (l *KernelLog) read(p []byte) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.from(l.unread) {
		if len(s) > len(p)-n {
			break
		}
		n += copy(p[n:], s)
		l.unread = max(l.unread, l.first) + 1
	}
	return n
}

// readAll copies the last messages that fit, and with clear has them gone for
// the next time (Linux: syslog_print_all).
func (l *KernelLog) readAll(p []byte, clear bool) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.from(l.clear)
	room, at := len(p), len(lines)
	for at > 0 && len(lines[at-1]) <= room {
		at--
		room -= len(lines[at])
	}
	for _, s := range lines[at:] {
		n += copy(p[n:], s)
	}
	if clear {
		l.clear = l.first + uint64(len(l.lines))
	}
	return n
}

// left returns how many bytes nobody has read yet.
func (l *KernelLog) left() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.from(l.unread) {
		n += len(s)
	}
	return n
}

func (l *KernelLog) setConsole(level int) {
	l.mu.Lock()
	l.console = level
	l.mu.Unlock()
}

// sysSyslog is syslog(2), the kernel's (Linux: do_syslog).
func sysSyslog(k *Kernel, a args) (uintptr, Errno) {
	const (
		open, read, readAll, readClear, clear       = 1, 2, 3, 4, 5
		consoleOff, consoleOn, consoleLevel, unread = 6, 7, 8, 9
		bufferSize                                  = 10
	)
	l := k.cfg.KernelLog
	if l == nil {
		return 0, syscall.ENOSYS
	}
	n := int32(a.a2)
	var p []byte
	switch a.a0 {
	case read, readAll, readClear:
		if a.a1 == 0 || n < 0 {
			return 0, syscall.EINVAL
		}
		if n == 0 {
			return 0, 0
		}
		var e Errno
		if p, e = k.userBytes(a.a1, uintptr(n)); e != 0 {
			return 0, e
		}
	}
	switch a.a0 {
	case 0, open:
	case read:
		return uintptr(k.waitLog(l, p)), 0
	case readAll, readClear:
		return uintptr(l.readAll(p, a.a0 == readClear)), 0
	case clear:
		l.readAll(nil, true)
	case consoleOff:
		l.setConsole(1)
	case consoleOn:
		l.setConsole(defaultConsoleLevel)
	case consoleLevel:
		if n < 1 || n > 8 {
			return 0, syscall.EINVAL
		}
		l.setConsole(int(n))
	case unread:
		return uintptr(l.left()), 0
	case bufferSize:
		return klogSize, 0
	default:
		return 0, syscall.EINVAL
	}
	return 0, 0
}

// waitLog reads messages, waiting for the first. A buffer that holds none of
// them gets none.
func (k *Kernel) waitLog(l *KernelLog, p []byte) int {
	s := k.newSleeper()
	l.readers.add(s)
	defer l.readers.removeWaker(s)
	for l.left() == 0 {
		s.until(k.cfg.Clock, forever)
	}
	return l.read(p)
}
