package sys

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/napi"
)

func withLog(c *Config) { c.KernelLog = NewKernelLog(c.Clock) }

func TestSyslog_readAndCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tk := newTestKernel(t, func(c *Config) { c.Clock = napi.SystemClock(); withLog(c) })
		l := tk.cfg.KernelLog
		time.Sleep(1500 * time.Millisecond)
		if !l.Print(LevelInfo, "eth0: up") || l.Print(7, "a detail") {
			t.Error("an info message is for the console, a debug message is not")
		}
		b := make([]byte, 200)
		all := func(action uintptr, n int) string {
			t.Helper()
			return string(b[:tk.must(syscall.SYS_SYSLOG, action, ptr(&b[0]), uintptr(n))])
		}
		got := all(3, len(b))
		if first, second, _ := strings.Cut(got, "\n"); !strings.HasPrefix(first, "<6>[    2.5") || !strings.HasSuffix(first, "] eth0: up") || !strings.HasSuffix(second, "] a detail\n") {
			t.Errorf("read %q", got)
		}
		if n := tk.must(syscall.SYS_SYSLOG, 9); int(n) != len(got) {
			t.Errorf("%d bytes unread of %d", n, len(got))
		}
		if last := all(3, 30); !strings.HasSuffix(last, "] a detail\n") || strings.Contains(last, "eth0") {
			t.Errorf("room for one message: %q", last)
		}
		if s := all(2, 30); !strings.HasSuffix(s, "eth0: up\n") {
			t.Errorf("first unread %q", s)
		}
		if s := all(2, 200); !strings.HasSuffix(s, "] a detail\n") || strings.Contains(s, "eth0") {
			t.Errorf("next unread %q", s)
		}
		done := make(chan string)
		go func() { done <- all(2, 200) }()
		synctest.Wait()
		l.Print(LevelErr, "two\nlines")
		if s := <-done; strings.Count(s, "<3>[") != 2 {
			t.Errorf("waited for %q", s)
		}
		if s := all(4, 200); !strings.Contains(s, "two") {
			t.Errorf("read and cleared %q", s)
		}
		if s := all(3, 200); s != "" {
			t.Errorf("after clearing %q", s)
		}
		tk.must(syscall.SYS_SYSLOG, 6)
		if l.Print(LevelErr, "quiet") {
			t.Error("for a console that is off")
		}
		tk.must(syscall.SYS_SYSLOG, 8, 0, 4)
		if !l.Print(LevelErr, "loud") || l.Print(LevelInfo, "quiet") {
			t.Error("console level 4 is for errors")
		}
		tk.must(syscall.SYS_SYSLOG, 5)
		tk.fails(syscall.EINVAL, syscall.SYS_SYSLOG, 8, 0, 9)
		tk.fails(syscall.EINVAL, syscall.SYS_SYSLOG, 3, 0, 10)
		tk.fails(syscall.EINVAL, syscall.SYS_SYSLOG, 3, ptr(&b[0]), ^uintptr(0))
		tk.fails(syscall.EINVAL, syscall.SYS_SYSLOG, 11)
		tk.fails(syscall.EFAULT, syscall.SYS_SYSLOG, 3, 1, 10)
	})
}

func TestSyslog_fullRing_dropsTheOldest(t *testing.T) {
	tk := newTestKernel(t, withLog)
	l := tk.cfg.KernelLog
	for i := range 5000 {
		l.Print(LevelInfo, fmt.Sprintf("message %d", i))
	}
	l.Print(LevelInfo, strings.Repeat("x", 5000))
	b := make([]byte, 2*klogSize)
	n := tk.must(syscall.SYS_SYSLOG, 3, ptr(&b[0]), uintptr(len(b)))
	if s := string(b[:n]); n > klogSize || n < klogSize-2*klogLine || strings.Contains(s, "message 0\n") || !strings.Contains(s, "message 4999\n") || !strings.HasSuffix(s, "xx\n") {
		t.Errorf("%d bytes, from %.40q", n, s)
	}
	if m := tk.must(syscall.SYS_SYSLOG, 2, ptr(&b[0]), uintptr(len(b))); m != n {
		t.Errorf("read %d, unread %d", n, m)
	}
}

func TestStamp_likeFmt(t *testing.T) {
	for _, now := range []int64{0, 1, 999, 1000, 1e9 - 1, 1e9, 12345678901, 99999 * 1e9, 100000*1e9 + 42000, 1<<63 - 1} {
		for _, level := range []int{LevelErr, LevelInfo, 15} {
			if got, want := stamp(level, now), fmt.Sprintf("<%d>[%5d.%06d] ", level, now/1e9, now%1e9/1000); got != want {
				t.Errorf("stamp(%d, %d) = %q, want %q", level, now, got, want)
			}
		}
	}
}
