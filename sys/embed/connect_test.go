package embed_test

import (
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"barewire/sys/embed"
)

// netConn is what package net does for a connection, by its system calls.
type netConn struct {
	t    testing.TB
	in   *embed.Instance
	l    uintptr
	to   [16]byte
	name [112]byte
	size int32
	one  int32
	poll struct {
		fd              int32
		events, revents int16
	}
}

func (c *netConn) call(num uintptr, a ...uintptr) uintptr {
	var x [6]uintptr
	copy(x[:], a)
	r, e := c.in.Syscall(num, x[0], x[1], x[2], x[3], x[4], x[5])
	if e != 0 && e != syscall.EINPROGRESS {
		c.t.Fatalf("call %d: %v", num, e)
	}
	return r
}

func (c *netConn) names(fd uintptr, calls ...uintptr) {
	for _, num := range calls {
		c.size = int32(len(c.name))
		c.call(num, fd, uintptr(unsafe.Pointer(&c.name)), uintptr(unsafe.Pointer(&c.size)))
	}
}

// wait stands for the runtime's poller.
func (c *netConn) wait(fd uintptr, events int16) {
	c.poll.fd, c.poll.events = int32(fd), events
	c.call(syscall.SYS_POLL, uintptr(unsafe.Pointer(&c.poll)), 1, ^uintptr(0))
}

// options are those that net sets on a connection: TCP_NODELAY and keepalive.
func (c *netConn) options(fd uintptr) {
	for _, o := range [...][2]uintptr{{syscall.SOL_TCP, syscall.TCP_NODELAY}, {syscall.SOL_SOCKET, syscall.SO_KEEPALIVE},
		{syscall.SOL_TCP, syscall.TCP_KEEPIDLE}, {syscall.SOL_TCP, syscall.TCP_KEEPINTVL}, {syscall.SOL_TCP, syscall.TCP_KEEPCNT}} {
		c.call(syscall.SYS_SETSOCKOPT, fd, o[0], o[1], uintptr(unsafe.Pointer(&c.one)), 4)
	}
}

// once opens a connection to the instance itself and closes both its ends.
func (c *netConn) once() {
	const flags = syscall.SOCK_STREAM | syscall.SOCK_NONBLOCK | syscall.SOCK_CLOEXEC
	fd := c.call(syscall.SYS_SOCKET, syscall.AF_INET, flags, 0)
	c.call(syscall.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&c.to)), 16)
	c.wait(fd, 4) // POLLOUT
	c.size = 4
	c.call(syscall.SYS_GETSOCKOPT, fd, syscall.SOL_SOCKET, syscall.SO_ERROR, uintptr(unsafe.Pointer(&c.name)), uintptr(unsafe.Pointer(&c.size)))
	c.names(fd, syscall.SYS_GETPEERNAME, syscall.SYS_GETSOCKNAME)
	c.options(fd)
	c.wait(c.l, 1) // POLLIN
	c.size = int32(len(c.name))
	s := c.call(syscall.SYS_ACCEPT4, c.l, uintptr(unsafe.Pointer(&c.name)), uintptr(unsafe.Pointer(&c.size)), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
	c.names(s, syscall.SYS_GETSOCKNAME)
	c.options(s)
	c.call(syscall.SYS_CLOSE, fd)
	c.call(syscall.SYS_CLOSE, s)
}

func newNetConn(t testing.TB) *netConn {
	in, err := embed.New(embed.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	if err := in.SetSysctl("net.ipv4.tcp_max_tw_buckets", "0"); err != nil {
		t.Fatal(err)
	}
	c := &netConn{t: t, in: in, one: 15}
	c.to = [16]byte{syscall.AF_INET, 0, 0, 80, 127, 0, 0, 1}
	c.l = c.call(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_STREAM, 0)
	c.call(syscall.SYS_BIND, c.l, uintptr(unsafe.Pointer(&c.to)), 16)
	c.call(syscall.SYS_LISTEN, c.l, 128)
	return c
}

// BenchmarkNetConn is the calls of a stock program for a connection without data.
func BenchmarkNetConn(b *testing.B) {
	c := newNetConn(b)
	b.ReportAllocs()
	for b.Loop() {
		c.once()
	}
	runtime.KeepAlive(c)
}

// A socket costs two allocations in the system calls beside those of the stack,
// and names none: 26 were needed for a connection once.
func TestNetConn_costsFewAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget")
	}
	c := newNetConn(t)
	for range 100 {
		c.once()
	}
	if n := testing.AllocsPerRun(300, c.once); n > 21 { // 17, and what waiting takes
		t.Errorf("%.0f allocations for a connection", n)
	}
}
