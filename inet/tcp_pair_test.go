package inet_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"

	"barewire/inet/header"
	"barewire/inet/sock"
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
