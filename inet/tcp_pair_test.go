package inet_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"barewire/inet/sock"
	"barewire/skb/header"
)

// tcpSocket makes a TCP socket, bound if port is not 0.
func (h *host) tcpSocket(a header.Addr, port uint16) *sock.Socket {
	h.Helper()
	s, err := h.SockCreate(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	check(h, err)
	h.Cleanup(func() { s.Release() })
	if port != 0 || a != 0 {
		check(h, s.Bind(sockaddr(a, port)))
	}
	return s
}

// conn makes a socket an io.ReadWriter that blocks.
type conn struct{ *sock.Socket }

func (c conn) Read(p []byte) (int, error) {
	n, err := c.RecvMsg(&sock.Msg{Iov: [][]byte{p}}, 0)
	if n == 0 && err == nil && len(p) > 0 {
		return 0, io.EOF
	}
	return n, err
}

func (c conn) Write(p []byte) (int, error) {
	return c.SendMsg(&sock.Msg{Iov: [][]byte{p}}, 0)
}

func TestTCP_pair_transferBothWays(t *testing.T) {
	a, b := pair(t)
	l := b.tcpSocket(0, 80)
	check(t, l.Listen(10))
	blocking(t, l)
	data := make([]byte, 3<<20)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	done := make(chan error, 1)
	go func() {
		s, err := l.Accept(0)
		if err != nil {
			done <- err
			return
		}
		defer s.Release()
		blocking(t, s)
		_, err = io.Copy(conn{s}, conn{s})
		done <- err
	}()
	c := a.tcpSocket(0, 0)
	blocking(t, c)
	check(t, c.Connect(sockaddr(peerIP, 80), 0))
	go func() {
		if n, err := (conn{c}).Write(data); n != len(data) || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		c.Shutdown(syscall.SHUT_WR)
	}()
	got, err := io.ReadAll(conn{c})
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes back of %d, %v", len(got), len(data), err)
	}
	check(t, <-done)
}

func TestTCP_smallSegments_shareAPage(t *testing.T) {
	a, b := pair(t)
	c, s := tcpOpen(t, a, b)
	check(t, c.SetSockOpt(syscall.SOL_TCP, syscall.TCP_NODELAY, []byte{1, 0, 0, 0}))
	before := b.net.SKB().Pool().InUse()
	const n = 200
	for i := range n {
		if _, err := (conn{c}).Write(bytes.Repeat([]byte{byte(i)}, 10)); err != nil {
			t.Fatal(err)
		}
	}
	arg := make([]byte, 4)
	for i := 0; int(arg[0])|int(arg[1])<<8 < 10*n; i++ {
		if check(t, s.Ioctl(syscall.TIOCINQ, arg)); i > 5000 {
			t.Fatalf("%v readable", arg)
		}
		time.Sleep(time.Millisecond)
	}
	if used := b.net.SKB().Pool().InUse() - before; used > n/4 {
		t.Errorf("%d pages for %d bytes", used, 10*n)
	}
	buf := make([]byte, 10*n)
	if _, err := io.ReadFull(conn{s}, buf); err != nil {
		t.Fatal(err)
	}
	for i, v := range buf {
		if v != byte(i/10) {
			t.Fatalf("byte %d is %d", i, v)
		}
	}
}

// tcpOpen returns both ends of a connection from a to b.
func tcpOpen(t testing.TB, a, b *host) (c, s *sock.Socket) {
	l := b.tcpSocket(0, 80)
	check(t, l.Listen(10))
	blocking(t, l)
	c = a.tcpSocket(0, 0)
	blocking(t, c)
	check(t, c.Connect(sockaddr(peerIP, 80), 0))
	s, err := l.Accept(0)
	check(t, err)
	blocking(t, s)
	t.Cleanup(func() { s.Release() })
	return c, s
}

// TestTCP_closes_everyOrder closes a connection in every order and way, and
// looks that nothing stays but TIME_WAIT.
func TestTCP_closes_everyOrder(t *testing.T) {
	lingerOff := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	ways := []struct {
		name string
		do   func(x, y *sock.Socket)
	}{
		{"one after the other", func(x, y *sock.Socket) { x.Release(); y.Release() }},
		{"half, then the rest", func(x, y *sock.Socket) {
			x.Shutdown(syscall.SHUT_WR)
			if n, err := (conn{y}).Read(make([]byte, 9)); n != 0 || err != io.EOF {
				t.Errorf("read %d, %v", n, err)
			}
			if _, err := (conn{y}).Write([]byte("late")); err != nil {
				t.Error(err)
			}
			if n, err := (conn{x}).Read(make([]byte, 9)); n != 4 || err != nil {
				t.Errorf("read %d, %v", n, err)
			}
			y.Release()
			x.Release()
		}},
		{"reset", func(x, y *sock.Socket) {
			check(t, x.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_LINGER, lingerOff))
			x.Release()
			if _, err := (conn{y}).Read(make([]byte, 9)); err != syscall.ECONNRESET {
				t.Errorf("read: %v", err)
			}
			if _, err := (conn{y}).Write([]byte("x")); err != syscall.EPIPE {
				t.Errorf("write: %v", err)
			}
			y.Release()
		}},
		{"with unread data", func(x, y *sock.Socket) {
			(conn{y}).Write([]byte("never read"))
			arg := make([]byte, 4)
			for arg[0] == 0 {
				check(t, x.Ioctl(syscall.TIOCINQ, arg))
				time.Sleep(time.Millisecond)
			}
			x.Release()
			if _, err := (conn{y}).Read(make([]byte, 9)); err != syscall.ECONNRESET {
				t.Errorf("read: %v", err)
			}
			y.Release()
		}},
		{"both at once", func(x, y *sock.Socket) {
			x.Shutdown(syscall.SHUT_WR)
			y.Shutdown(syscall.SHUT_WR)
			for _, s := range []*sock.Socket{x, y} {
				if n, err := (conn{s}).Read(make([]byte, 9)); n != 0 || err != io.EOF {
					t.Errorf("read %d, %v", n, err)
				}
				s.Release()
			}
		}},
	}
	for _, w := range ways {
		for _, swap := range []bool{false, true} {
			t.Run(w.name, func(t *testing.T) {
				a, b := pair(t)
				c, s := tcpOpen(t, a, b)
				if swap {
					c, s = s, c
				}
				w.do(c, s)
				for i := 0; ; i++ {
					left := ""
					for _, h := range []*host{a, b} {
						p, _ := h.net.Proc().Lookup("tcp")
						for _, line := range bytes.Split(p(nil), []byte("\n"))[1:] {
							if f := bytes.Fields(line); len(f) > 3 && string(f[3]) != "06" && string(f[3]) != "0A" {
								left += string(line) + "\n"
							}
						}
					}
					if left == "" {
						break
					}
					if i > 2000 {
						t.Fatalf("left:\n%s", left)
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
	}
}
