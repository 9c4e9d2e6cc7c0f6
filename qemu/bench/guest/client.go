package guest

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// The clients of connections and HTTP. They are plain calls of the host's kernel
// on threads of their own, which stay in the machine's namespace: package net and
// net/http would cost the host more than a quick guest does, and both share its
// processors.

// clientTimeout is how long a call of a client may take.
const clientTimeout = 10 * time.Second

// client is one connection, or none yet.
type client struct {
	fd   int
	buf  [4096]byte
	addr unix.SockaddrInet4
}

// clients has so many clients call f over and over for a time, and returns how
// often a second they have done it.
func (r *Running) clients(n, port int, d time.Duration, f func(*client) error) (float64, error) {
	var done atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	start := time.Now()
	for range n {
		wg.Go(func() {
			err := r.NS.Do(func() error {
				c := &client{fd: -1, addr: unix.SockaddrInet4{Port: port, Addr: guestAddr(0).As4()}}
				defer c.close()
				for time.Since(start) < d && failed.Load() == nil {
					if err := f(c); err != nil {
						return err
					}
					done.Add(1)
				}
				return nil
			})
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	wg.Wait()
	if e := failed.Load(); e != nil {
		return 0, *e
	}
	return float64(done.Load()) / time.Since(start).Seconds(), nil
}

// open connects, if the client is not connected.
func (c *client) open() (err error) {
	if c.fd >= 0 {
		return nil
	}
	if c.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		c.fd = -1
		return err
	}
	limit := unix.NsecToTimeval(clientTimeout.Nanoseconds())
	for _, o := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} { // the latter is connect's too
		if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, o, &limit); err != nil {
			return err
		}
	}
	if err := unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	if err := c.connect(); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return nil
}

// connect connects. What a signal interrupts, and Go's scheduler sends them, goes
// on by itself: who asks again waits for it.
func (c *client) connect() (err error) {
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Connect(c.fd, &c.addr)
	}
	return err
}

func (c *client) close() {
	if c.fd >= 0 {
		unix.Close(c.fd)
		c.fd = -1
	}
}

// read reads once; 0 is the end.
func (c *client) read(b []byte) (int, error) {
	for {
		n, err := unix.Read(c.fd, b)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("read: %w", err)
		}
		return n, nil
	}
}

// Requests of the clients. read-only.
var (
	keepRequest  = []byte("GET / HTTP/1.1\r\nHost: guest\r\n\r\n")
	closeRequest = []byte("GET / HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n")
)

// get asks for a page, on the connection there is or on one for itself.
func (c *client) get(keep bool) error {
	if err := c.open(); err != nil {
		return err
	}
	request := keepRequest
	if !keep {
		request = closeRequest
		defer c.close()
	}
	if _, err := unix.Write(c.fd, request); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	for n := 0; ; {
		k, err := c.read(c.buf[n:])
		if err != nil {
			return err
		}
		n += k
		done, err := answered(c.buf[:n])
		if err != nil {
			return err
		}
		switch {
		case k == 0 && !done:
			return fmt.Errorf("the answer ends with %q", c.buf[:n])
		case done && (keep || k == 0): // without keep the server ends the connection
			return nil
		}
	}
}

// answered tells whether an answer is all there, and fails when it is not the
// agent's.
func answered(b []byte) (bool, error) {
	head, body, ok := bytes.Cut(b, []byte("\r\n\r\n"))
	if !ok {
		if len(b) == cap(b) {
			return false, fmt.Errorf("the answer has no end")
		}
		return false, nil
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		return false, fmt.Errorf("the answer is %q", head)
	}
	_, v, _ := bytes.Cut(head, []byte("Content-Length: "))
	v, _, _ = bytes.Cut(v, []byte("\r\n"))
	length, err := strconv.Atoi(string(v))
	switch {
	case err != nil || length != len("hello") || len(body) > length:
		return false, fmt.Errorf("the answer is %q", b)
	case len(body) < length:
		return false, nil
	case string(body) != "hello":
		return false, fmt.Errorf("the body is %q", body)
	}
	return true, nil
}

// requests is the rate of HTTP requests of 16 clients, each on a connection of its
// own or each request on one.
func requests(r *Running, d time.Duration, keep bool) (float64, error) {
	return r.clients(16, 80, d, func(c *client) error { return c.get(keep) })
}

// connects is the rate of connections that are made and closed.
func connects(r *Running, d time.Duration) (float64, error) {
	return r.clients(8, 5003, d, func(c *client) error {
		defer c.close()
		if err := c.open(); err != nil {
			return err
		}
		n, err := c.read(c.buf[:])
		if err == nil && n > 0 {
			err = fmt.Errorf("instead of the end: %q", c.buf[:n])
		}
		return err
	})
}
