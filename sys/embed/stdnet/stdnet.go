// Package stdnet gives an instance of sys/embed the interfaces of package net, so
// that net/http and everything else written to them runs over it:
//
//	l, err := stdnet.Listen(in, netip.MustParseAddrPort("0.0.0.0:80"))
//	go http.Serve(l, handler)
//
// A [Conn] is a TCP socket of the instance that does not block; who waits, waits
// in poll(2), together with an eventfd by which Close and a new deadline wake it.
// One goroutine at a time waits for each direction. Errors are *net.OpError with
// the instance's errno, os.ErrDeadlineExceeded or net.ErrClosed inside.
//
// Deadlines are of package time: an instance in virtual time has no use for them.
package stdnet

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"barewire/sys/embed"
)

const (
	pollIn, pollOut = 1, 4
	eventfd2        = 290
)

// socket is a descriptor that is closed when nobody uses it any more.
type socket struct {
	in         *embed.Instance
	fd         int
	mu         sync.Mutex
	users      int // who is in a call, and one until Close
	closed     bool
	recv, send side
	local      net.Addr
	remote     net.Addr
}

// side is one direction of a socket.
type side struct {
	turn     sync.Mutex // of the goroutine that waits
	wake     int        // an eventfd
	deadline time.Time  // under socket.mu
}

func newSocket(in *embed.Instance, fd int) (*socket, error) {
	s := &socket{in: in, fd: fd, users: 1}
	s.recv.wake, s.send.wake = -1, -1
	err := in.Sys.SetNonblock(fd, true)
	for _, d := range []*side{&s.recv, &s.send} {
		if err != nil {
			break
		}
		r, e := in.Syscall(eventfd2, 0, syscall.O_NONBLOCK, 0, 0, 0, 0)
		if e != 0 {
			err = e
			break
		}
		d.wake = int(r)
	}
	if err != nil {
		s.put()
		return nil, err
	}
	return s, nil
}

// get notes a user of the descriptor.
func (s *socket) get() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.users++
	return nil
}

func (s *socket) put() {
	s.mu.Lock()
	s.users--
	last := s.users == 0
	s.mu.Unlock()
	if last {
		for _, fd := range []int{s.fd, s.recv.wake, s.send.wake} {
			if fd >= 0 {
				s.in.Sys.Close(fd)
			}
		}
	}
}

func (s *socket) close() error {
	s.mu.Lock()
	was := s.closed
	s.closed = true
	s.mu.Unlock()
	if was {
		return net.ErrClosed
	}
	s.kick(&s.recv)
	s.kick(&s.send)
	s.put()
	return nil
}

// kick makes who waits on d look again.
func (s *socket) kick(d *side) {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	s.in.Sys.Write(d.wake, one[:]) // EAGAIN: it is kicked already
}

// do calls op until it is more than EAGAIN, waiting for events in between.
func (s *socket) do(d *side, events int16, op func() error) error {
	if err := s.get(); err != nil {
		return err
	}
	defer s.put()
	d.turn.Lock()
	defer d.turn.Unlock()
	for {
		s.mu.Lock()
		closed, deadline := s.closed, d.deadline
		s.mu.Unlock()
		timeout := -1
		if closed {
			return net.ErrClosed
		}
		if !deadline.IsZero() {
			left := time.Until(deadline)
			if left <= 0 {
				return os.ErrDeadlineExceeded
			}
			timeout = int(min((left+time.Millisecond-1)/time.Millisecond, 1<<30))
		}
		if err := op(); err != syscall.EAGAIN {
			return err
		}
		fds := []embed.PollFd{{Fd: int32(s.fd), Events: events}, {Fd: int32(d.wake), Events: pollIn}}
		if _, err := s.in.Sys.Poll(fds, timeout); err != nil && err != syscall.EINTR {
			return err
		}
		if fds[1].Revents != 0 {
			var count [8]byte
			s.in.Sys.Read(d.wake, count[:])
		}
	}
}

// setDeadline is for one or both directions.
func (s *socket) setDeadline(t time.Time, sides ...*side) error {
	if err := s.get(); err != nil {
		return err
	}
	defer s.put()
	for _, d := range sides {
		s.mu.Lock()
		d.deadline = t
		s.mu.Unlock()
		s.kick(d)
	}
	return nil
}

func (s *socket) fail(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: s.local, Addr: s.remote, Err: err}
}

// names fills in the addresses.
func (s *socket) names(peer bool) error {
	at, err := s.in.Sys.Getsockname(s.fd)
	if err != nil {
		return err
	}
	s.local = net.TCPAddrFromAddrPort(at)
	if peer {
		if at, err = s.in.Sys.Getpeername(s.fd); err != nil {
			return err
		}
		s.remote = net.TCPAddrFromAddrPort(at)
	}
	return nil
}

// open makes a TCP socket.
func open(in *embed.Instance) (*socket, error) {
	fd, err := in.Sys.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	return newSocket(in, fd)
}
