package run

import (
	"fmt"
	"net/netip"
	"strings"

	"barewire/qemu/packetdrill/pdl"
)

// Calls that move bytes.

// transfer is read, write and their kin.
func transfer(num uintptr, in bool) func(*runner, *call, *pdl.Syscall) error {
	return func(r *runner, c *call, sc *pdl.Syscall) error {
		fd, mem, err := r.fdAndArg(sc)
		if err != nil {
			return err
		}
		n, err := numberArg(sc, 2)
		if err != nil {
			return err
		}
		wrote := r.wrote
		c.num, c.args = num, [6]uintptr{uintptr(fd), 0, uintptr(n)}
		var b []byte
		if !isNull(mem) {
			if b, err = r.data(mem, int(n)); err != nil {
				return err
			}
			c.args[1] = c.ptr(b)
		}
		if len(sc.Args) > 3 {
			flags, err := number(sc.Args[3])
			if err != nil {
				return err
			}
			c.args[3] = uintptr(flags)
		}
		if in {
			r.wrote = wrote
			if want, ok := mem.(pdl.String); ok {
				clear(b)
				c.after = func(got int) error {
					if !strings.HasPrefix(string(want)+strings.Repeat("\x00", got), string(b[:got])) {
						return fmt.Errorf("it read %q", b[:got])
					}
					return nil
				}
			}
			return nil
		}
		if sc.Name != "sendto" || len(sc.Args) < 5 {
			return nil
		}
		if n, err := number(sc.Args[4]); err == nil && n == 0 && sc.Args[4] != pdl.Word("AF_UNSPEC") { // NULL
			return nil
		}
		sa, a, err := sockaddr(sc.Args[4], netip.AddrPortFrom(r.Remote, r.ConnectPort))
		if err != nil {
			return err
		}
		c.args[4], c.args[5] = c.ptr(sa), uintptr(len(sa))
		if s := r.byFd(fd); s != nil && (s.state == fresh || s.proto == protoUDP) {
			s.remote, s.state = a, connecting
			r.under = s
		}
		return nil
	}
}

// isNull reports whether a script gives a pointer to nothing.
func isNull(e pdl.Expr) bool { return e == pdl.Word("NULL") }

// iovec lays out [{..., 1000}, {"abc", 3}].
func (r *runner) iovec(c *call, e pdl.Expr) (addr uintptr, n int, err error) {
	list, ok := e.(pdl.List)
	if !ok {
		return 0, 0, fmt.Errorf("%v is no list of buffers", e)
	}
	iov := make([]byte, 16*len(list))
	for i, v := range list {
		pair, ok := v.(pdl.List)
		if !ok || len(pair) != 2 {
			return 0, 0, fmt.Errorf("%v is no buffer", v)
		}
		size, err := number(pair[1])
		if err != nil {
			return 0, 0, err
		}
		ne.PutUint64(iov[16*i+8:], uint64(size))
		if isNull(pair[0]) {
			continue
		}
		b, err := r.data(pair[0], int(size))
		if err != nil {
			return 0, 0, err
		}
		b = append(make([]byte, 0, len(b)+16), b...) // apart: a kernel may join what lies in a row
		ne.PutUint64(iov[16*i:], uint64(c.ptr(b)))
	}
	return c.ptr(iov), len(list), nil
}

func vector(num uintptr) func(*runner, *call, *pdl.Syscall) error {
	return func(r *runner, c *call, sc *pdl.Syscall) error {
		fd, e, err := r.fdAndArg(sc)
		if err != nil {
			return err
		}
		addr, n, err := r.iovec(c, e)
		c.num, c.args = num, [6]uintptr{uintptr(fd), addr, uintptr(n)}
		return err
	}
}
