package run

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"barewire/qemu/packetdrill/pdl"
)

var ne = binary.NativeEndian

// call is a system call made ready: its number and arguments, the memory they
// point to, and what to look at when it has returned.
type call struct {
	num   uintptr
	args  [6]uintptr
	mem   [][]byte
	after func(ret int) error
	// The result is a descriptor, to be known by the script's number.
	fd bool

	ret   int
	errno syscall.Errno
}

// ptr is the address of b, which the call keeps.
func (c *call) ptr(b []byte) uintptr {
	if len(b) == 0 {
		b = make([]byte, 1)
	}
	c.mem = append(c.mem, b)
	return uintptr(unsafe.Pointer(&b[0]))
}

func (c *call) make(k Kernel) {
	r, e := k.Syscall(c.num, c.args)
	runtime.KeepAlive(c.mem)
	c.ret, c.errno = int(r), e
	if e != 0 {
		c.ret = -1
	}
}

// blocked is a call that runs beside the main line.
type blocked struct {
	c    *call
	sc   *pdl.Syscall
	line int
	end  time.Duration // when it is to return
	base time.Duration // when it was made
	over bool
	at   time.Duration
}

// syscall makes a call of the script and judges it.
func (r *runner) syscall(sc *pdl.Syscall) error {
	c, err := r.build(sc)
	if err != nil {
		return fmt.Errorf("%s: %w", sc.Name, err)
	}
	if !sc.Blocking {
		c.make(r.k)
		return r.judge(c, sc)
	}
	b := &blocked{c: c, sc: sc, line: r.event.Line, end: sc.End, base: r.at}
	if r.event.Time.Kind == pdl.Relative {
		b.end += r.at - r.event.Time.At
	}
	r.block = b
	r.k.Go(func() {
		c.make(r.k)
		b.at = r.since()
	}, func() { b.over = true })
	return nil
}

// await waits for the call that blocks, if there is one, and judges it.
func (r *runner) await() error {
	b := r.block
	if b == nil {
		return nil
	}
	r.block = nil
	r.k.Wait(r.start+int64(b.end+patience), func() bool { return b.over })
	if !b.over {
		return fmt.Errorf("%s of line %d has not returned, which was due at %v", b.sc.Name, b.line, b.end)
	}
	slack := max(r.Tolerance, time.Duration(r.TolerancePercent/100*float64(b.end-b.base)))
	if b.at < b.end-slack || b.at > b.end+slack {
		return fmt.Errorf("%s of line %d returned at %v, was due at %v", b.sc.Name, b.line, b.at, b.end)
	}
	if err := r.judge(b.c, b.sc); err != nil {
		return fmt.Errorf("call of line %d: %w", b.line, err)
	}
	return nil
}

// judge compares the result of a call with the script's.
func (r *runner) judge(c *call, sc *pdl.Syscall) error {
	if _, any := sc.Result.(pdl.Ellipsis); !any {
		want, err := number(sc.Result)
		if err != nil {
			return err
		}
		if int64(c.ret) != want && !(c.fd && c.ret >= 0 && want >= 0) {
			return fmt.Errorf("%s returned %s, not %d", sc.Name, result(c), want)
		}
		if c.fd && c.ret >= 0 {
			r.fds[int(want)] = c.ret
		}
	}
	if sc.Errno != "" && c.ret == -1 {
		want, ok := symbol(sc.Errno)
		if !ok {
			return &pdl.Unsupported{What: "errno " + sc.Errno}
		}
		if int64(c.errno) != want {
			return fmt.Errorf("%s failed with %s, not %s", sc.Name, result(c), sc.Errno)
		}
	}
	if c.after != nil && c.ret >= 0 {
		if err := c.after(c.ret); err != nil {
			return fmt.Errorf("%s: %w", sc.Name, err)
		}
	}
	return nil
}

func result(c *call) string {
	if c.errno != 0 {
		return fmt.Sprintf("-1 (%v)", c.errno)
	}
	return fmt.Sprint(c.ret)
}

// number is the value of an expression.
func number(e pdl.Expr) (int64, error) {
	switch v := e.(type) {
	case pdl.Int:
		return int64(v), nil
	case pdl.Word:
		if n, ok := symbol(string(v)); ok {
			return n, nil
		}
		var n int64
		if _, err := fmt.Sscan(string(v), &n); err == nil { // from --define
			return n, nil
		}
		return 0, &pdl.Unsupported{What: string(v)}
	case pdl.Binary:
		a, err := number(v.Left)
		if err != nil {
			return 0, err
		}
		b, err := number(v.Right)
		return a | b, err
	case pdl.List:
		if len(v) == 1 {
			return number(v[0])
		}
	}
	return 0, fmt.Errorf("%v is no number", e)
}

// argument i, or an error that says what is missing.
func argument(sc *pdl.Syscall, i int) (pdl.Expr, error) {
	if i >= len(sc.Args) {
		return nil, fmt.Errorf("%d arguments are too few", len(sc.Args))
	}
	return sc.Args[i], nil
}

func numberArg(sc *pdl.Syscall, i int) (int64, error) {
	e, err := argument(sc, i)
	if err != nil {
		return 0, err
	}
	return number(e)
}

// fdArg is a descriptor of the kernel's for that of the script.
func (r *runner) fdArg(sc *pdl.Syscall, i int) (int, error) {
	e, err := argument(sc, i)
	if err != nil {
		return 0, err
	}
	return r.fd(e)
}

func (r *runner) fd(e pdl.Expr) (int, error) {
	n, err := number(e)
	if err != nil {
		return 0, err
	}
	if fd, ok := r.fds[int(n)]; ok || n < 0 {
		return fd, nil
	}
	return 0, fmt.Errorf("descriptor %d is not open", n)
}

// fdAndArg is the first two arguments: a descriptor and what the call is given.
func (r *runner) fdAndArg(sc *pdl.Syscall) (fd int, e pdl.Expr, err error) {
	if fd, err = r.fdArg(sc, 0); err == nil {
		e, err = argument(sc, 1)
	}
	return fd, e, err
}

func (r *runner) byFd(fd int) *socket {
	for _, s := range r.sockets {
		if s.fd == fd {
			return s
		}
	}
	return nil
}

// data is memory of n bytes with what e says: zeros for "...".
func (r *runner) data(e pdl.Expr, n int) ([]byte, error) {
	if n < 0 || n > 64<<20 {
		return nil, fmt.Errorf("%d bytes", n)
	}
	b := make([]byte, n)
	switch v := e.(type) {
	case pdl.Ellipsis:
	case pdl.String:
		copy(b, v)
		if strings.Trim(string(v), "\x00") != "" {
			r.wrote = true
		}
	default:
		return nil, fmt.Errorf("%v is no memory", e)
	}
	return b, nil
}

// sockaddr is a struct sockaddr_in; "..." is the one given.
func sockaddr(e pdl.Expr, usual netip.AddrPort) ([]byte, netip.AddrPort, error) {
	a := usual
	switch v := e.(type) {
	case pdl.Ellipsis:
	case *pdl.Struct:
		family, err := number(v.Get("sa_family"))
		if err != nil {
			return nil, a, err
		}
		if family != syscall.AF_INET {
			return nil, a, &pdl.Unsupported{What: "an address that is not IPv4"}
		}
		port, err := number(v.Get("sin_port"))
		if err != nil {
			return nil, a, err
		}
		text, _ := v.Get("sin_addr").(pdl.String)
		ip, err := netip.ParseAddr(string(text))
		if err != nil {
			return nil, a, err
		}
		a = netip.AddrPortFrom(ip, uint16(port))
	case pdl.Word:
		if v == "AF_UNSPEC" {
			return make([]byte, 16), a, nil
		}
		return nil, a, fmt.Errorf("%v is no address", e)
	default:
		return nil, a, fmt.Errorf("%v is no address", e)
	}
	b := make([]byte, 16)
	ne.PutUint16(b, syscall.AF_INET)
	be.PutUint16(b[2:], a.Port())
	ip := a.Addr().As4()
	copy(b[4:], ip[:])
	return b, a, nil
}

// build makes a call ready.
func (r *runner) build(sc *pdl.Syscall) (*call, error) {
	f, ok := builders[sc.Name]
	if !ok {
		return nil, &pdl.Unsupported{What: sc.Name + "()"}
	}
	c := &call{}
	return c, f(r, c, sc)
}

// builders are the calls that scripts know. read-only.
var builders = map[string]func(*runner, *call, *pdl.Syscall) error{
	"socket":        (*runner).callSocket,
	"bind":          (*runner).callBind,
	"listen":        (*runner).callListen,
	"connect":       (*runner).callConnect,
	"accept":        (*runner).callAccept,
	"accept4":       (*runner).callAccept,
	"close":         (*runner).callClose,
	"read":          transfer(syscall.SYS_READ, true),
	"write":         transfer(syscall.SYS_WRITE, false),
	"recv":          transfer(syscall.SYS_RECVFROM, true),
	"recvfrom":      transfer(syscall.SYS_RECVFROM, true),
	"send":          transfer(syscall.SYS_SENDTO, false),
	"sendto":        transfer(syscall.SYS_SENDTO, false),
	"readv":         vector(syscall.SYS_READV),
	"writev":        vector(syscall.SYS_WRITEV),
	"recvmsg":       message(syscall.SYS_RECVMSG),
	"sendmsg":       message(syscall.SYS_SENDMSG),
	"getsockopt":    (*runner).callGetsockopt,
	"setsockopt":    (*runner).callSetsockopt,
	"poll":          (*runner).callPoll,
	"epoll_create":  descriptor(syscall.SYS_EPOLL_CREATE),
	"epoll_create1": descriptor(syscall.SYS_EPOLL_CREATE1),
	"epoll_ctl":     (*runner).callEpollCtl,
	"epoll_wait":    (*runner).callEpollWait,
	"shutdown":      plain(syscall.SYS_SHUTDOWN),
	"fcntl":         plain(syscall.SYS_FCNTL),
	"ioctl":         (*runner).callIoctl,
	"open":          (*runner).callOpen,
	"sendfile":      (*runner).callSendfile,
	"splice":        (*runner).callSplice,
	"pipe":          (*runner).callPipe,
	"cap_set":       func(_ *runner, c *call, _ *pdl.Syscall) error { c.num = syscall.SYS_GETPID; return errCaps },
}

var errCaps = &pdl.Unsupported{What: "cap_set()"}

// plain is a call of a descriptor and numbers.
func plain(num uintptr) func(*runner, *call, *pdl.Syscall) error {
	return func(r *runner, c *call, sc *pdl.Syscall) error {
		c.num = num
		for i := range sc.Args {
			v, err := numberArg(sc, i)
			if i == 0 {
				var fd int
				fd, err = r.fdArg(sc, 0)
				v = int64(fd)
			}
			if err != nil {
				return err
			}
			c.args[i] = uintptr(v)
		}
		return nil
	}
}

// descriptor is a call of numbers that makes a descriptor.
func descriptor(num uintptr) func(*runner, *call, *pdl.Syscall) error {
	return func(r *runner, c *call, sc *pdl.Syscall) error {
		v, err := numberArg(sc, 0)
		c.num, c.fd, c.args[0] = num, true, uintptr(v)
		return err
	}
}

func (r *runner) callSocket(c *call, sc *pdl.Syscall) error {
	c.num, c.fd = syscall.SYS_SOCKET, true
	for i := range 3 {
		e, err := argument(sc, i)
		if err != nil {
			return err
		}
		v := int64(syscall.AF_INET)
		if _, usual := e.(pdl.Ellipsis); !usual || i != 0 {
			if v, err = number(e); err != nil {
				return err
			}
		}
		c.args[i] = uintptr(v)
	}
	if c.args[0] != syscall.AF_INET {
		return &pdl.Unsupported{What: "a socket that is not IPv4"}
	}
	proto := uint8(c.args[2])
	if typ := c.args[1] & 15; proto == 0 && typ == syscall.SOCK_STREAM {
		proto = protoTCP
	} else if proto == 0 {
		proto = protoUDP
	}
	c.after = func(fd int) error {
		s := &socket{fd: fd, proto: proto, ts: map[uint32]uint32{}}
		r.sockets = append(r.sockets, s)
		r.under = s
		return nil
	}
	return nil
}

// named is a call of a descriptor and an address.
func (r *runner) named(c *call, sc *pdl.Syscall, num uintptr, usual netip.AddrPort) (s *socket, a netip.AddrPort, err error) {
	fd, e, err := r.fdAndArg(sc)
	if err != nil {
		return nil, a, err
	}
	sa, a, err := sockaddr(e, usual)
	if err != nil {
		return nil, a, err
	}
	n := len(sa)
	if len(sc.Args) > 2 {
		if v, err := number(sc.Args[2]); err == nil {
			n = int(v)
		}
	}
	c.num, c.args = num, [6]uintptr{uintptr(fd), c.ptr(append(sa, make([]byte, 128)...)), uintptr(n)}
	return r.byFd(fd), a, nil
}

func (r *runner) callBind(c *call, sc *pdl.Syscall) error {
	s, a, err := r.named(c, sc, syscall.SYS_BIND, netip.AddrPortFrom(r.Local, r.BindPort))
	c.after = func(int) error {
		if s != nil {
			s.local = a
		}
		return nil
	}
	return err
}

func (r *runner) callListen(c *call, sc *pdl.Syscall) error {
	err := plain(syscall.SYS_LISTEN)(r, c, sc)
	c.after = func(int) error {
		if s := r.byFd(int(c.args[0])); s != nil {
			s.state = listening
			r.under = s
		}
		return nil
	}
	return err
}

func (r *runner) callConnect(c *call, sc *pdl.Syscall) error {
	s, a, err := r.named(c, sc, syscall.SYS_CONNECT, netip.AddrPortFrom(r.Remote, r.ConnectPort))
	if len(sc.Args) > 1 && sc.Args[1] == pdl.Word("AF_UNSPEC") {
		c.after = func(ret int) error {
			if s != nil {
				s.over = ret == 0 && s.proto == protoTCP
			}
			return nil
		}
		return err
	}
	if err == nil && s != nil && s.over {
		*s = socket{fd: s.fd, scriptFd: s.scriptFd, proto: s.proto, ts: map[uint32]uint32{}}
	}
	if err == nil && s != nil && (s.state == fresh || s.proto == protoUDP) { // a call that blocks sends its SYN meanwhile
		s.state, s.remote = connecting, a
		r.under = s
	}
	return err
}

func (r *runner) callAccept(c *call, sc *pdl.Syscall) error {
	fd, err := r.fdArg(sc, 0)
	if err != nil {
		return err
	}
	name, size := make([]byte, 128), make([]byte, 4)
	ne.PutUint32(size, 128)
	c.num, c.fd, c.args = syscall.SYS_ACCEPT, true, [6]uintptr{uintptr(fd), c.ptr(name), c.ptr(size)}
	if sc.Name == "accept4" {
		c.num = syscall.SYS_ACCEPT4
		flags, err := numberArg(sc, 3)
		if err != nil {
			return err
		}
		c.args[3] = uintptr(flags)
	}
	c.after = func(fd int) error {
		for _, s := range r.sockets {
			if s.fd < 0 && s.remote.Port() == be.Uint16(name[2:]) {
				s.fd = fd
				r.under = s
				return nil
			}
		}
		return errors.New("the connection accepted is not the script's")
	}
	return nil
}

func (r *runner) callClose(c *call, sc *pdl.Syscall) error {
	script, err := numberArg(sc, 0)
	if err == nil {
		err = plain(syscall.SYS_CLOSE)(r, c, sc)
	}
	c.after = func(int) error {
		delete(r.fds, int(script))
		if s := r.byFd(int(c.args[0])); s != nil {
			s.fd = -2 // its packets still matter
			if s.state == listening && r.under == s {
				s.state = fresh
			}
		}
		return nil
	}
	return err
}
