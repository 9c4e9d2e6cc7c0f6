package run

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"barewire/qemu/packetdrill/pdl"
)

// Calls of files and messages.

func (r *runner) callOpen(c *call, sc *pdl.Syscall) error {
	e, err := argument(sc, 0)
	if err != nil {
		return err
	}
	name, ok := e.(pdl.String)
	if !ok {
		return errors.New("no name")
	}
	c.num, c.fd = syscall.SYS_OPEN, true
	c.args[0] = c.ptr(append([]byte(name), 0))
	for i := 1; i < len(sc.Args); i++ {
		v, err := number(sc.Args[i])
		if err != nil {
			return err
		}
		c.args[i] = uintptr(v)
	}
	return nil
}

func (r *runner) callSendfile(c *call, sc *pdl.Syscall) error {
	out, err := r.fdArg(sc, 0)
	if err != nil {
		return err
	}
	in, err := r.fdArg(sc, 1)
	if err != nil {
		return err
	}
	c.num, c.args = syscall.SYS_SENDFILE, [6]uintptr{uintptr(out), uintptr(in)}
	if l, ok := sc.Args[2].(pdl.List); ok {
		off, err := number(l)
		if err != nil {
			return err
		}
		c.args[2] = c.ptr(ne.AppendUint64(nil, uint64(off)))
	}
	n, err := numberArg(sc, 3)
	c.args[3] = uintptr(n)
	r.wrote = true
	return err
}

func (r *runner) callSplice(c *call, sc *pdl.Syscall) error {
	c.num = syscall.SYS_SPLICE
	for i := range min(len(sc.Args), 6) {
		var v int64
		var err error
		switch i {
		case 0, 2:
			var fd int
			fd, err = r.fdArg(sc, i)
			v = int64(fd)
		default:
			if l, ok := sc.Args[i].(pdl.List); ok {
				off, e := number(l)
				c.args[i], err = c.ptr(ne.AppendUint64(nil, uint64(off))), e
				if err != nil {
					return err
				}
				continue
			}
			v, err = number(sc.Args[i])
		}
		if err != nil {
			return err
		}
		c.args[i] = uintptr(v)
	}
	r.wrote = true
	return nil
}

func (r *runner) callPipe(c *call, sc *pdl.Syscall) error {
	e, err := argument(sc, 0)
	if err != nil {
		return err
	}
	list, ok := e.(pdl.List)
	if !ok || len(list) != 2 {
		return errors.New("pipe wants [in, out]")
	}
	fds := make([]byte, 8)
	c.num, c.args = syscall.SYS_PIPE2, [6]uintptr{c.ptr(fds)}
	c.after = func(int) error {
		for i, e := range list {
			n, err := number(e)
			if err != nil {
				return err
			}
			r.fds[int(n)] = int(ne.Uint32(fds[4*i:]))
		}
		return nil
	}
	return nil
}

// message is sendmsg and recvmsg.
func message(num uintptr) func(*runner, *call, *pdl.Syscall) error {
	return func(r *runner, c *call, sc *pdl.Syscall) error {
		fd, e, err := r.fdAndArg(sc)
		if err != nil {
			return err
		}
		s, ok := e.(*pdl.Struct)
		if !ok {
			return fmt.Errorf("%v is no msghdr", e)
		}
		flags, err := numberArg(sc, 2)
		if err != nil {
			return err
		}
		in := num == syscall.SYS_RECVMSG
		h := make([]byte, 56)
		if err := r.msgName(c, s, h, fd, in); err != nil {
			return err
		}
		wrote := r.wrote
		addr, n, err := r.iovec(c, s.Get("msg_iov"))
		if err != nil {
			return err
		}
		ne.PutUint64(h[16:], uint64(addr))
		ne.PutUint64(h[24:], uint64(n))
		var want []byte
		if e := s.Get("msg_control"); e != nil {
			if want, err = r.control(e); err != nil {
				return err
			}
		}
		ctl := append([]byte(nil), want...)
		if in {
			r.wrote = wrote
			ctl = make([]byte, 1024)
		}
		if len(ctl) > 0 {
			ne.PutUint64(h[32:], uint64(c.ptr(ctl)))
			ne.PutUint64(h[40:], uint64(len(ctl)))
		}
		c.num, c.args = num, [6]uintptr{uintptr(fd), c.ptr(h), uintptr(flags)}
		if !in {
			return nil
		}
		c.after = func(int) error {
			if e := s.Get("msg_flags"); e != nil {
				if f, err := number(e); err == nil && uint32(f) != ne.Uint32(h[48:]) {
					return fmt.Errorf("msg_flags is %#x, not %#x", ne.Uint32(h[48:]), f)
				}
			}
			if s.Get("msg_control") == nil {
				return nil
			}
			return r.compareControl(want, ctl[:min(int(ne.Uint64(h[40:])), len(ctl))])
		}
		return nil
	}
}

func (r *runner) msgName(c *call, s *pdl.Struct, h []byte, fd int, in bool) error {
	name := make([]byte, 128)
	if e := s.Get("msg_name"); e != nil && !in {
		k := r.byFd(fd)
		if k != nil && k.proto == protoTCP && k.state != fresh {
			return nil
		}
		sa, a, err := sockaddr(e, netip.AddrPortFrom(r.Remote, r.ConnectPort))
		if err != nil {
			return err
		}
		name = sa
		if k != nil {
			k.remote, k.state = a, connecting
			r.under = k
		}
	}
	ne.PutUint64(h, uint64(c.ptr(name)))
	ne.PutUint32(h[8:], uint32(len(name)))
	return nil
}
