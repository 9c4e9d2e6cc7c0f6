package stdnet

import (
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"barewire/sys/embed"
)

// Conn is a TCP connection of an instance. It is a net.Conn.
type Conn struct{ s *socket }

// Listener listens for connections to an instance. It is a net.Listener.
type Listener struct{ s *socket }

var (
	_ net.Conn     = (*Conn)(nil)
	_ net.Listener = (*Listener)(nil)
)

// Dial connects to addr, for at most timeout if that is not 0.
func Dial(in *embed.Instance, addr netip.AddrPort, timeout time.Duration) (*Conn, error) {
	s, err := open(in)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: err}
	}
	s.remote = net.TCPAddrFromAddrPort(addr)
	if timeout != 0 {
		s.send.deadline = time.Now().Add(timeout)
	}
	begun := false
	err = s.do(&s.send, pollOut, func() error {
		if !begun {
			begun = true
			if err := in.Sys.Connect(s.fd, addr); err != syscall.EINPROGRESS {
				return err
			}
			return syscall.EAGAIN
		}
		e, err := in.Sys.GetsockoptInt(s.fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
		if err == nil && e != 0 {
			err = syscall.Errno(e)
		}
		if err == nil {
			if _, err = in.Sys.Getpeername(s.fd); err == syscall.ENOTCONN {
				return syscall.EAGAIN // woken for something else
			}
		}
		return err
	})
	s.send.deadline = time.Time{}
	if err == nil {
		err = s.names(true)
	}
	if err != nil {
		s.close()
		return nil, s.fail("dial", err)
	}
	return &Conn{s}, nil
}

// Listen listens at addr; port 0 is any free one.
func Listen(in *embed.Instance, addr netip.AddrPort) (*Listener, error) {
	s, err := open(in)
	if err == nil {
		if err = in.Sys.SetsockoptInt(s.fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err == nil {
			if err = in.Sys.Bind(s.fd, addr); err == nil {
				if err = in.Sys.Listen(s.fd, 1024); err == nil {
					err = s.names(false)
				}
			}
		}
		if err != nil {
			s.close()
		}
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: err}
	}
	return &Listener{s}, nil
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	var fd int
	var peer netip.AddrPort
	err := l.s.do(&l.s.recv, pollIn, func() (err error) {
		fd, peer, err = l.s.in.Sys.Accept(l.s.fd, syscall.SOCK_NONBLOCK)
		return err
	})
	if err != nil {
		return nil, l.s.fail("accept", err)
	}
	s, err := newSocket(l.s.in, fd)
	if err == nil {
		// The peer is accept's to tell: by now the connection may be reset.
		s.remote = net.TCPAddrFromAddrPort(peer)
		if err = s.names(false); err != nil {
			s.close()
		}
	}
	if err != nil {
		return nil, l.s.fail("accept", err)
	}
	return &Conn{s}, nil
}

// Close ends listening; an Accept that waits fails with net.ErrClosed.
func (l *Listener) Close() error { return l.s.fail("close", l.s.close()) }

// Addr is where it listens.
func (l *Listener) Addr() net.Addr { return l.s.local }

// SetDeadline is for Accept.
func (l *Listener) SetDeadline(t time.Time) error {
	return l.s.fail("set", l.s.setDeadline(t, &l.s.recv))
}

// Read reads what has come, at least one byte; io.EOF after the other end's FIN.
func (c *Conn) Read(p []byte) (n int, err error) {
	err = c.s.do(&c.s.recv, pollIn, func() (err error) {
		n, err = c.s.in.Sys.Read(c.s.fd, p)
		return err
	})
	if err != nil {
		return 0, c.s.fail("read", err)
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Write hands all of p to the stack, or says how much of it.
func (c *Conn) Write(p []byte) (n int, err error) {
	err = c.s.do(&c.s.send, pollOut, func() error {
		for {
			w, err := c.s.in.Sys.Sendto(c.s.fd, p[n:], syscall.MSG_NOSIGNAL, netip.AddrPort{})
			if err != nil {
				return err
			}
			if n += w; n == len(p) {
				return nil
			}
		}
	})
	return n, c.s.fail("write", err)
}

// CloseWrite sends a FIN; reading goes on.
func (c *Conn) CloseWrite() error { return c.shutdown(syscall.SHUT_WR) }

// CloseRead ends reading.
func (c *Conn) CloseRead() error { return c.shutdown(syscall.SHUT_RD) }

func (c *Conn) shutdown(how int) error {
	err := c.s.get()
	if err == nil {
		err = c.s.in.Sys.Shutdown(c.s.fd, how)
		c.s.put()
	}
	return c.s.fail("close", err)
}

// Close closes the connection; who waits in it fails with net.ErrClosed.
func (c *Conn) Close() error { return c.s.fail("close", c.s.close()) }

// LocalAddr is the instance's end.
func (c *Conn) LocalAddr() net.Addr { return c.s.local }

// RemoteAddr is the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.s.remote }

// SetDeadline is for Read and Write. The zero time is none.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.s.fail("set", c.s.setDeadline(t, &c.s.recv, &c.s.send))
}

// SetReadDeadline is for Read, also one that waits.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.s.fail("set", c.s.setDeadline(t, &c.s.recv))
}

// SetWriteDeadline is for Write, also one that waits.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.s.fail("set", c.s.setDeadline(t, &c.s.send))
}

// Fd is the descriptor, the instance's: for socket options.
func (c *Conn) Fd() int { return c.s.fd }

// Fd is the descriptor, the instance's: for socket options.
func (l *Listener) Fd() int { return l.s.fd }
