package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// intOption reads a socket option through SyscallConn.
func intOption(t *testing.T, c syscall.Conn, level, name int) (v int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var e error
	if err := raw.Control(func(fd uintptr) { v, e = unix.GetsockoptInt(int(fd), level, name) }); err != nil || e != nil {
		t.Error(err, e)
	}
	return v
}

// What net sets is what the kernel has.
func testOptions(t *testing.T) {
	a, b := pair(t)
	if err := a.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 70 * time.Second, Interval: 11 * time.Second, Count: 5}); err != nil {
		t.Fatal(err)
	}
	a.SetNoDelay(false)
	a.SetReadBuffer(100000)
	for _, c := range []struct{ level, name, want int }{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 70},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 11},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 5},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 0},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, 200000},
	} {
		if v := intOption(t, a, c.level, c.name); v != c.want {
			t.Errorf("option %d of level %d is %d, want %d", c.name, c.level, v, c.want)
		}
	}
	if v := intOption(t, b, unix.IPPROTO_TCP, unix.TCP_NODELAY); v != 1 {
		t.Errorf("TCP_NODELAY is %d, want what net asks for", v)
	}
	// Keep-alive for real: a probe a second on an idle connection.
	a.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 2})
	a.SetReadDeadline(time.Now().Add(2500 * time.Millisecond))
	if _, err := a.Read(make([]byte, 1)); err == nil || !err.(net.Error).Timeout() {
		t.Errorf("idle with keep-alive: %v", err)
	}
	// RawConn.Read waits in the poller like a read of net's own.
	raw, err := b.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	go func() { time.Sleep(20 * time.Millisecond); io.WriteString(a, "raw") }()
	buf, n, rounds := make([]byte, 10), 0, 0
	if err := raw.Read(func(fd uintptr) bool {
		rounds++
		n, err = unix.Read(int(fd), buf)
		return err != unix.EAGAIN
	}); err != nil || string(buf[:max(0, n)]) != "raw" || rounds > 10 {
		t.Errorf("%q, %v, %d rounds", buf[:max(0, n)], err, rounds)
	}
}

// Control sees the socket before it is bound or connected.
func testControl(t *testing.T) {
	var seen []string
	control := func(network, addr string, c syscall.RawConn) error {
		seen = append(seen, network+" "+addr)
		var e error
		c.Control(func(fd uintptr) { e = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, 7) })
		return e
	}
	lc := net.ListenConfig{Control: control}
	l, err := lc.Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := net.Dialer{Control: control, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: time.Second}
	c, err := d.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.RemoteAddr().String() != c.LocalAddr().String() || s.RemoteAddr().(*net.TCPAddr).IP.String() != "127.0.0.2" {
		t.Errorf("%v calls, seen as %v", c.LocalAddr(), s.RemoteAddr())
	}
	if want := fmt.Sprint([]string{"tcp4 127.0.0.1:0", "tcp4 " + l.Addr().String()}); fmt.Sprint(seen) != want {
		t.Errorf("control saw %v, want %v", seen, want)
	}
	if v := intOption(t, c.(*net.TCPConn), unix.SOL_SOCKET, unix.SO_MARK); v != 7 {
		t.Errorf("mark %d", v)
	}
}

// Listeners of one SO_REUSEPORT group share the callers; when one goes the others
// have them all.
func testReuseport(t *testing.T) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		return err
	}}
	var group [3]net.Listener
	var got [3]atomic.Int32
	addr := "127.0.0.1:0"
	for i := range group {
		l, err := lc.Listen(context.Background(), "tcp4", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		group[i], addr = l, l.Addr().String()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				got[i].Add(1)
				c.Close()
			}
		}()
	}
	call := func(n int) {
		for range n {
			c, err := net.DialTimeout("tcp4", addr, 2*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, c) // until it is closed
			c.Close()
		}
	}
	call(150)
	for i := range got {
		if n := got[i].Load(); n < 20 || n > 90 {
			t.Errorf("listener %d has %d of 150 callers", i, n)
		}
	}
	group[1].Close()
	before := got[1].Load()
	call(30)
	if all := got[0].Load() + got[1].Load() + got[2].Load(); all != 180 || got[1].Load() != before {
		t.Errorf("%d callers of 180 were heard", all)
	}
}

// Many connections at once, each with its own words.
func testMany(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(struct{ io.Writer }{c}, c); c.Close() }()
		}
	}()
	var wg sync.WaitGroup
	var all sync.WaitGroup // everybody is connected
	all.Add(300)
	for i := range 300 {
		wg.Go(func() {
			c, err := net.DialTimeout("tcp4", l.Addr().String(), 10*time.Second)
			all.Done()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			all.Wait()
			text := fmt.Sprintf("this is connection %d\n", i)
			c.SetDeadline(time.Now().Add(10 * time.Second))
			buf := make([]byte, len(text))
			for range 5 {
				io.WriteString(c, text)
				if _, err := io.ReadFull(c, buf); err != nil || string(buf) != text {
					t.Errorf("connection %d: %q, %v", i, buf, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
