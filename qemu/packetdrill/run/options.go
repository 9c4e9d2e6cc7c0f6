package run

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"

	"barewire/qemu/packetdrill/pdl"
)

// Calls with structures of their own: options and readiness.

// optval lays out the value of a socket option.
func (r *runner) optval(e pdl.Expr) ([]byte, error) {
	switch v := e.(type) {
	case pdl.String:
		return append([]byte(v), 0), nil
	case *pdl.Struct:
		return r.optStruct(v)
	case pdl.List:
		if len(v) == 0 {
			return nil, nil
		}
		if _, ok := v[0].(*pdl.Struct); ok {
			var b []byte
			for _, e := range v {
				p, err := r.optval(e)
				if err != nil {
					return nil, err
				}
				b = append(b, p...)
			}
			return b, nil
		}
		if s, ok := v[0].(pdl.String); ok {
			return r.optval(s)
		}
		if _, any := v[0].(pdl.Ellipsis); any {
			return make([]byte, 256), nil
		}
		return ints(v...)
	case pdl.Ellipsis:
		return make([]byte, 256), nil
	case pdl.Int, pdl.Word, pdl.Binary:
		return ints(v)
	}
	return nil, &pdl.Unsupported{What: fmt.Sprintf("option value %v", e)}
}

// optStruct lays out the structures that options take.
func (r *runner) optStruct(s *pdl.Struct) ([]byte, error) {
	for _, names := range [][2]string{{"onoff", "linger"}, {"l_onoff", "l_linger"}, {"opt_code", "opt_val"}} {
		if s.Get(names[0]) != nil && s.Get(names[1]) != nil {
			return ints(s.Get(names[0]), s.Get(names[1]))
		}
	}
	if s.Get("tv_sec") != nil && s.Get("tv_usec") != nil {
		sec, err := number(s.Get("tv_sec"))
		if err != nil {
			return nil, err
		}
		usec, err := number(s.Get("tv_usec"))
		return ne.AppendUint64(ne.AppendUint64(nil, uint64(sec)), uint64(usec)), err
	}
	if s.Get("tcpm_key") != nil {
		return r.md5sig(s)
	}
	return nil, &pdl.Unsupported{What: "a structure with " + s.Fields[0].Name}
}

// md5sig lays out struct tcp_md5sig. Without tcpm_addr it is about the usual
// peer, without tcpm_keylen the key is as long as it is.
func (r *runner) md5sig(s *pdl.Struct) ([]byte, error) {
	key, ok := s.Get("tcpm_key").(pdl.String)
	if !ok || len(key) > 80 {
		return nil, errors.New("tcpm_key wants up to 80 bytes in quotes")
	}
	b := make([]byte, 216)
	peer := s.Get("tcpm_addr")
	if peer == nil {
		peer = pdl.Ellipsis{}
	}
	sa, _, err := sockaddr(peer, netip.AddrPortFrom(r.Remote, 0))
	if err != nil {
		return nil, err
	}
	copy(b, sa)
	var v [4]int64
	v[2] = int64(len(key))
	for i, name := range []string{"tcpm_flags", "tcpm_prefixlen", "tcpm_keylen", "tcpm_ifindex"} {
		if e := s.Get(name); e != nil {
			if v[i], err = number(e); err != nil {
				return nil, err
			}
		}
	}
	b[128], b[129] = uint8(v[0]), uint8(v[1])
	ne.PutUint16(b[130:], uint16(v[2]))
	ne.PutUint32(b[132:], uint32(v[3]))
	copy(b[136:], key)
	return b, nil
}

func ints(es ...pdl.Expr) ([]byte, error) {
	var b []byte
	for _, e := range es {
		v, err := number(e)
		if err != nil {
			return nil, err
		}
		b = ne.AppendUint32(b, uint32(v))
	}
	return b, nil
}

// option fills in descriptor, level and name.
func (r *runner) option(c *call, sc *pdl.Syscall, num uintptr) error {
	fd, err := r.fdArg(sc, 0)
	if err != nil {
		return err
	}
	level, err := numberArg(sc, 1)
	if err != nil {
		return err
	}
	name, err := numberArg(sc, 2)
	c.num, c.args = num, [6]uintptr{uintptr(fd), uintptr(level), uintptr(name)}
	return err
}

func (r *runner) callSetsockopt(c *call, sc *pdl.Syscall) error {
	if err := r.option(c, sc, syscall.SYS_SETSOCKOPT); err != nil {
		return err
	}
	e, err := argument(sc, 3)
	if err != nil {
		return err
	}
	b, err := r.optval(e)
	if err != nil {
		return err
	}
	n, err := numberArg(sc, 4)
	c.args[3], c.args[4] = c.ptr(append(b, make([]byte, max(0, int(n)-len(b)))...)), uintptr(n)
	return err
}

func (r *runner) callGetsockopt(c *call, sc *pdl.Syscall) error {
	if err := r.option(c, sc, syscall.SYS_GETSOCKOPT); err != nil {
		return err
	}
	e, err := argument(sc, 3)
	if err != nil {
		return err
	}
	want, err := r.optval(e)
	if err != nil {
		return err
	}
	size := uint32(len(want))
	if len(sc.Args) > 4 {
		if n, err := number(sc.Args[4]); err == nil {
			size = uint32(n)
		}
	}
	b, l := make([]byte, max(int(size), 1024)), make([]byte, 4)
	ne.PutUint32(l, size)
	c.args[3], c.args[4] = c.ptr(b), c.ptr(l)
	c.after = func(int) error {
		got := b[:min(int(ne.Uint32(l)), len(b))]
		switch v := e.(type) {
		case pdl.Ellipsis:
			return nil
		case pdl.String:
			if s := strings.TrimRight(string(got), "\x00"); s != string(v) {
				return fmt.Errorf("the option is %q, not %q", s, string(v))
			}
			return nil
		case pdl.List:
			if len(v) == 0 {
				return nil
			}
			if _, any := v[0].(pdl.Ellipsis); any {
				return nil
			}
		}
		for i := 0; i+4 <= len(want); i += 4 {
			if i+4 > len(got) {
				return fmt.Errorf("the option has %d bytes", len(got))
			}
			if a, b := int32(ne.Uint32(got[i:])), int32(ne.Uint32(want[i:])); a != b {
				return fmt.Errorf("the option is %d, not %d", a, b)
			}
		}
		return nil
	}
	return nil
}

func (r *runner) callIoctl(c *call, sc *pdl.Syscall) error {
	fd, err := r.fdArg(sc, 0)
	if err != nil {
		return err
	}
	req, err := numberArg(sc, 1)
	if err != nil {
		return err
	}
	c.num, c.args = syscall.SYS_IOCTL, [6]uintptr{uintptr(fd), uintptr(req)}
	if len(sc.Args) < 3 {
		return nil
	}
	want, err := r.optval(sc.Args[2])
	if err != nil {
		return err
	}
	b := append([]byte(nil), want...)
	c.args[2] = c.ptr(append(b, make([]byte, 128)...)) // as large as any request writes
	mem := c.mem[len(c.mem)-1]
	c.after = func(int) error {
		if l, ok := sc.Args[2].(pdl.List); ok && len(l) > 0 {
			if _, any := l[0].(pdl.Ellipsis); any {
				return nil
			}
		}
		if a, b := int32(ne.Uint32(mem)), int32(ne.Uint32(want)); len(want) >= 4 && a != b {
			return fmt.Errorf("it gave %d, not %d", a, b)
		}
		return nil
	}
	return nil
}

func (r *runner) callPoll(c *call, sc *pdl.Syscall) error {
	e, err := argument(sc, 0)
	if err != nil {
		return err
	}
	list, ok := e.(pdl.List)
	if !ok {
		return fmt.Errorf("%v is no list of descriptors", e)
	}
	fds, want := make([]byte, 8*len(list)), make([]uint16, len(list))
	for i, v := range list {
		s, ok := v.(*pdl.Struct)
		if !ok {
			return fmt.Errorf("%v is no pollfd", v)
		}
		fd, err := r.fd(s.Get("fd"))
		if err != nil {
			return err
		}
		events, err := number(s.Get("events"))
		if err != nil {
			return err
		}
		if re := s.Get("revents"); re != nil {
			n, err := number(re)
			if err != nil {
				return err
			}
			want[i] = uint16(n)
		}
		ne.PutUint32(fds[8*i:], uint32(fd))
		ne.PutUint16(fds[8*i+4:], uint16(events))
	}
	n, err := numberArg(sc, 1)
	if err != nil {
		return err
	}
	timeout, err := numberArg(sc, 2)
	c.num, c.args = syscall.SYS_POLL, [6]uintptr{c.ptr(fds), uintptr(n), uintptr(timeout)}
	c.after = func(int) error {
		for i, w := range want {
			if got := ne.Uint16(fds[8*i+6:]); got != w {
				return fmt.Errorf("descriptor %d is ready for %#x, not %#x", i, got, w)
			}
		}
		return nil
	}
	return err
}

// epollEvent lays out struct epoll_event. The data of an fd is the script's
// number.
func epollEvent(s *pdl.Struct) ([]byte, error) {
	ev, err := number(s.Get("events"))
	if err != nil {
		return nil, err
	}
	b := ne.AppendUint32(nil, uint32(ev))
	for _, name := range []string{"fd", "u32", "u64", "ptr"} {
		if e := s.Get(name); e != nil {
			v, err := number(e)
			if name == "fd" || name == "u32" {
				v = int64(uint32(v))
			}
			return ne.AppendUint64(b, uint64(v)), err
		}
	}
	return append(b, make([]byte, 8)...), nil
}

func (r *runner) callEpollCtl(c *call, sc *pdl.Syscall) error {
	ep, err := r.fdArg(sc, 0)
	if err != nil {
		return err
	}
	op, err := numberArg(sc, 1)
	if err != nil {
		return err
	}
	fd, err := r.fdArg(sc, 2)
	if err != nil {
		return err
	}
	c.num, c.args = syscall.SYS_EPOLL_CTL, [6]uintptr{uintptr(ep), uintptr(op), uintptr(fd)}
	if e, err := argument(sc, 3); err == nil {
		if s, ok := e.(*pdl.Struct); ok {
			b, err := epollEvent(s)
			if err != nil {
				return err
			}
			c.args[3] = c.ptr(b)
		}
	}
	return nil
}

func (r *runner) callEpollWait(c *call, sc *pdl.Syscall) error {
	ep, e, err := r.fdAndArg(sc)
	if err != nil {
		return err
	}
	list, ok := e.(pdl.List)
	if s, one := e.(*pdl.Struct); one {
		list, ok = pdl.List{s}, true
	}
	if !ok {
		list = nil // "...": whatever is ready
	}
	n, err := numberArg(sc, 2)
	if err != nil {
		return err
	}
	timeout, err := numberArg(sc, 3)
	if err != nil {
		return err
	}
	events := make([]byte, 12*max(int(n), 1))
	c.num, c.args = syscall.SYS_EPOLL_WAIT, [6]uintptr{uintptr(ep), c.ptr(events), uintptr(n), uintptr(timeout)}
	c.after = func(got int) error {
		for i, v := range list[:min(got, len(list))] {
			s, ok := v.(*pdl.Struct)
			if !ok {
				continue
			}
			want, err := epollEvent(s)
			if err != nil {
				return err
			}
			if g := events[12*i : 12*i+12]; string(g) != string(want) {
				return fmt.Errorf("event %d is %#x of %d, not %#x of %d", i, ne.Uint32(g), ne.Uint64(g[4:]), ne.Uint32(want), ne.Uint64(want[4:]))
			}
		}
		return nil
	}
	return nil
}
