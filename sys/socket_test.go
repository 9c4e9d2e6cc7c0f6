package sys

import (
	"bytes"
	"syscall"
	"testing"
	"testing/synctest"
	"unsafe"

	"barewire/inet/sock"
)

// fakeSocket is a family whose sockets echo: what is sent is received again,
// from the address it was sent to.
type fakeSocket struct {
	sock.NoOps
	s     *sock.Socket
	queue [][]byte
	from  [16]byte
	bound []byte
	freed int
	flags int // of the last message
	name  []byte
	ctl   []byte
}

func (f *fakeSocket) Release() error { f.freed++; return nil }

func (f *fakeSocket) Bind(sa []byte) error {
	f.bound = append([]byte(nil), sa...)
	return nil
}

func (f *fakeSocket) Getname(peer bool, buf []byte) (int, error) {
	if peer {
		return 0, syscall.ENOTCONN
	}
	copy(buf, f.bound)
	return len(f.bound), nil
}

func (f *fakeSocket) SendMsg(m *Msg, flags int) (int, error) {
	f.flags = flags
	f.name = append(f.name[:0], m.Name[:m.NameLen]...)
	f.ctl = append(f.ctl[:0], m.Control...)
	var b []byte
	if n := len(f.queue); n < cap(f.queue) && f.queue[:n+1][n] != nil {
		b = f.queue[:n+1][n][:0] // use the buffer that was here before
	}
	for _, v := range m.Iov {
		b = append(b, v...)
	}
	if m.NameLen > 0 {
		copy(f.from[:], m.Name[:m.NameLen])
	}
	f.queue = append(f.queue, b)
	return len(b), nil
}

func (f *fakeSocket) RecvMsg(m *Msg, flags int) (int, error) {
	f.flags = flags
	if len(f.queue) == 0 {
		return 0, syscall.EAGAIN
	}
	b := f.queue[0]
	copy(f.queue, f.queue[1:])
	f.queue = f.queue[:len(f.queue)-1]
	f.queue[:len(f.queue)+1][len(f.queue)] = b[:0:cap(b)]
	n := 0
	for _, v := range m.Iov {
		n += copy(v, b[n:])
	}
	if n < len(b) {
		m.Flags |= syscall.MSG_TRUNC
	}
	m.NameLen = copy(m.Name[:], f.from[:])
	m.PutCmsg(1, 2, []byte("ctl!"))
	if flags&syscall.MSG_TRUNC != 0 {
		n = len(b)
	}
	return n, nil
}

func (f *fakeSocket) SetSockOpt(level, name int, val []byte) error {
	if len(val) < 4 {
		return syscall.EINVAL
	}
	return nil
}

func (f *fakeSocket) GetSockOpt(level, name int, buf []byte) (int, error) {
	return copy(buf, []byte{9, 0, 0, 0}), nil
}

func (f *fakeSocket) Ioctl(cmd uint, arg []byte) error {
	if cmd != fioNread {
		return syscall.ENOTTY
	}
	if len(arg) < 4 {
		return syscall.EFAULT
	}
	arg[0] = byte(len(f.queue))
	return nil
}

func (f *fakeSocket) Poll() uint16 {
	m := pollOut
	if len(f.queue) > 0 {
		m |= pollIn
	}
	return m
}

func (f *fakeSocket) Accept(int) (*sock.Socket, error) {
	n := &fakeSocket{bound: []byte("child")}
	n.s = &sock.Socket{SK: new(sock.Sock), Ops: n}
	return n.s, nil
}

// withFake makes AF_INET sockets fakes and hands the last one out.
func withFake(last **fakeSocket) func(*Config) {
	return func(c *Config) {
		c.SockCreate = func(family, typ, protocol int) (*sock.Socket, error) {
			if family != syscall.AF_INET {
				return nil, syscall.EAFNOSUPPORT
			}
			f := &fakeSocket{}
			f.s = &sock.Socket{Family: family, Type: typ, Protocol: protocol, SK: new(sock.Sock), Ops: f}
			*last = f
			return f.s, nil
		}
	}
}

func TestSocket_createErrors(t *testing.T) {
	var fake *fakeSocket
	tk := newTestKernel(t, withFake(&fake))
	for _, tc := range []struct {
		family, typ uintptr
		want        Errno
	}{
		{syscall.AF_INET6, syscall.SOCK_DGRAM, syscall.EAFNOSUPPORT},
		{nproto, syscall.SOCK_DGRAM, syscall.EAFNOSUPPORT},
		{^uintptr(0), syscall.SOCK_DGRAM, syscall.EAFNOSUPPORT},
		{syscall.AF_INET, 11, syscall.EINVAL},
		{syscall.AF_INET, syscall.SOCK_DGRAM | 0x100, syscall.EINVAL},
		{nproto, syscall.SOCK_DGRAM | 0x100, syscall.EINVAL}, // flags are looked at first
	} {
		tk.fails(tc.want, syscall.SYS_SOCKET, tc.family, tc.typ, 0)
	}
	var sv [2]int32
	tk.fails(syscall.EOPNOTSUPP, syscall.SYS_SOCKETPAIR, syscall.AF_INET, syscall.SOCK_DGRAM, 0, ptr(&sv))
	tk.fails(syscall.EAFNOSUPPORT, syscall.SYS_SOCKETPAIR, syscall.AF_UNIX, syscall.SOCK_DGRAM, 0, ptr(&sv))
	lim := rlimit{3, 3}
	tk.must(syscall.SYS_SETRLIMIT, rlimitNofile, ptr(&lim))
	tk.fails(syscall.EMFILE, syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if fake.freed != 1 {
		t.Errorf("the socket without a descriptor was released %d times", fake.freed)
	}
}

// Each call with two things wrong: the errno says which Linux finds first.
func TestSocket_orderOfChecks(t *testing.T) {
	var fake *fakeSocket
	tk := newTestKernel(t, withFake(&fake))
	s := tk.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK, 0)
	buf := new([256]byte)
	neg := int32(-1)
	size := int32(16)
	badHdr := &msghdr{name: ptr(buf), namelen: -1}
	manyIov := &msghdr{iovlen: 1025}
	bigCtl := &msghdr{control: ptr(buf), controllen: 1 << 32}
	for _, tc := range []struct {
		name string
		want Errno
		num  uintptr
		args []uintptr
	}{
		{"sendto_buffer_before_fd", syscall.EFAULT, syscall.SYS_SENDTO, []uintptr{ebadfd, 1, 8, 0, 0, 0}},
		{"sendto_fd_before_address", syscall.EBADF, syscall.SYS_SENDTO, []uintptr{ebadfd, ptr(buf), 8, 0, 1, 16}},
		{"sendto_not_socket", syscall.ENOTSOCK, syscall.SYS_SENDTO, []uintptr{0, ptr(buf), 8, 0, 1, 999}},
		{"sendto_address_length", syscall.EINVAL, syscall.SYS_SENDTO, []uintptr{s, ptr(buf), 8, 0, 1, 129}},
		{"sendto_address_negative", syscall.EINVAL, syscall.SYS_SENDTO, []uintptr{s, ptr(buf), 8, 0, 1, uintptr(0xffffffff)}},
		{"sendto_address", syscall.EFAULT, syscall.SYS_SENDTO, []uintptr{s, ptr(buf), 8, 0, 1, 16}},
		{"recvfrom_buffer_before_fd", syscall.EFAULT, syscall.SYS_RECVFROM, []uintptr{ebadfd, 1, 8, 0, 0, 0}},
		{"recvfrom_empty", syscall.EAGAIN, syscall.SYS_RECVFROM, []uintptr{s, ptr(buf), 8, 0, 1, 1}},
		{"bind_fd_before_address", syscall.ENOTSOCK, syscall.SYS_BIND, []uintptr{0, 1, 16}},
		{"bind_length_before_address", syscall.EINVAL, syscall.SYS_BIND, []uintptr{s, 1, 129}},
		{"bind_address", syscall.EFAULT, syscall.SYS_BIND, []uintptr{s, 1, 16}},
		{"connect_address_before_notsock", syscall.EFAULT, syscall.SYS_CONNECT, []uintptr{0, 1, 16}},
		{"connect_notsock", syscall.ENOTSOCK, syscall.SYS_CONNECT, []uintptr{0, ptr(buf), 16}},
		{"connect_fd_first", syscall.EBADF, syscall.SYS_CONNECT, []uintptr{ebadfd, 1, 999}},
		{"connect_refused_by_family", syscall.EOPNOTSUPP, syscall.SYS_CONNECT, []uintptr{s, ptr(buf), 16}},
		{"accept4_flags_before_notsock", syscall.EINVAL, syscall.SYS_ACCEPT4, []uintptr{0, 0, 0, 1}},
		{"accept4_fd_before_flags", syscall.EBADF, syscall.SYS_ACCEPT4, []uintptr{ebadfd, 0, 0, 1}},
		{"listen_notsock", syscall.ENOTSOCK, syscall.SYS_LISTEN, []uintptr{1, 5}},
		{"listen_refused_by_family", syscall.EOPNOTSUPP, syscall.SYS_LISTEN, []uintptr{s, 5}},
		{"getsockname_length", syscall.EFAULT, syscall.SYS_GETSOCKNAME, []uintptr{s, ptr(buf), 0}},
		{"getsockname_negative", syscall.EINVAL, syscall.SYS_GETSOCKNAME, []uintptr{s, ptr(buf), ptr(&neg)}},
		{"getpeername_state_before_memory", syscall.ENOTCONN, syscall.SYS_GETPEERNAME, []uintptr{s, 1, 1}},
		{"setsockopt_length_before_fd", syscall.EINVAL, syscall.SYS_SETSOCKOPT, []uintptr{ebadfd, 0, 0, 0, uintptr(0xffffffff)}},
		{"setsockopt_memory", syscall.EFAULT, syscall.SYS_SETSOCKOPT, []uintptr{s, 0, 1, 1, 4}},
		{"getsockopt_fd_before_length", syscall.EBADF, syscall.SYS_GETSOCKOPT, []uintptr{ebadfd, 0, 0, 0, ptr(&neg)}},
		{"getsockopt_negative", syscall.EINVAL, syscall.SYS_GETSOCKOPT, []uintptr{s, 0, 1, ptr(buf), ptr(&neg)}},
		{"getsockopt_memory", syscall.EFAULT, syscall.SYS_GETSOCKOPT, []uintptr{s, 0, 1, 1, ptr(&size)}},
		{"sendmsg_fd_before_header", syscall.EBADF, syscall.SYS_SENDMSG, []uintptr{ebadfd, 1, 0}},
		{"sendmsg_header", syscall.EFAULT, syscall.SYS_SENDMSG, []uintptr{s, 1, 0}},
		{"sendmsg_name_negative", syscall.EINVAL, syscall.SYS_SENDMSG, []uintptr{s, ptr(badHdr), 0}},
		{"sendmsg_iov_count", syscall.EMSGSIZE, syscall.SYS_SENDMSG, []uintptr{s, ptr(manyIov), 0}},
		{"sendmsg_control_size", syscall.ENOBUFS, syscall.SYS_SENDMSG, []uintptr{s, ptr(bigCtl), 0}},
		{"recvmsg_iov_count", syscall.EMSGSIZE, syscall.SYS_RECVMSG, []uintptr{s, ptr(manyIov), 0}},
		{"shutdown_notsock", syscall.ENOTSOCK, syscall.SYS_SHUTDOWN, []uintptr{0, 9}},
		{"ioctl_memory_of_known", syscall.EFAULT, syscall.SYS_IOCTL, []uintptr{s, fioNread, 1}},
		{"ioctl_unknown", syscall.ENOTTY, syscall.SYS_IOCTL, []uintptr{s, 0x5499, 1}},
	} {
		if r, e := tk.call(tc.num, tc.args...); e != tc.want {
			t.Errorf("%s: %d, %v; want %v", tc.name, int(r), e, tc.want)
		}
	}
}

func TestSocket_sendtoRecvfrom(t *testing.T) {
	var fake *fakeSocket
	tk := newTestKernel(t, withFake(&fake))
	s := tk.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK, 0)
	to := &[16]byte{2, 0, 0, 7, 192, 0, 2, 1}
	msg := []byte("datagram")
	if n := tk.must(syscall.SYS_SENDTO, s, ptr(&msg[0]), 8, 1<<27, ptr(to), 16); n != 8 {
		t.Errorf("sendto = %d", n)
	}
	if fake.flags != syscall.MSG_DONTWAIT || !bytes.Equal(fake.name, to[:]) {
		t.Errorf("the socket saw flags %#x and address %x", fake.flags, fake.name)
	}
	var left int32
	tk.must(syscall.SYS_IOCTL, s, fioNread, ptr(&left))
	if left != 1 {
		t.Errorf("ioctl wrote %d", left)
	}
	// The address is cut to the room there is; its full length is told.
	buf, from, room := new([5]byte), new([16]byte), int32(4)
	if n := tk.must(syscall.SYS_RECVFROM, s, ptr(buf), 5, syscall.MSG_TRUNC, ptr(from), ptr(&room)); n != 8 {
		t.Errorf("recvfrom with MSG_TRUNC = %d, want the real length", n)
	}
	if string(buf[:]) != "datag" || *from != [16]byte{2, 0, 0, 7} || room != 16 {
		t.Errorf("got %q from %x, length %d", buf, from, room)
	}
	// Without O_NONBLOCK the socket is told to wait.
	tk.must(syscall.SYS_FCNTL, s, syscall.F_SETFL, 0)
	tk.must(syscall.SYS_SENDTO, s, 0, 0, 0, 0, 0)
	if fake.flags != 0 || len(fake.queue) != 1 || len(fake.name) != 0 {
		t.Errorf("empty datagram: flags %#x, %d queued, address %x", fake.flags, len(fake.queue), fake.name)
	}
	if n := tk.must(syscall.SYS_RECVFROM, s, ptr(buf), 5, syscall.MSG_DONTWAIT, 0, 0); n != 0 {
		t.Errorf("empty datagram has %d bytes", n)
	}
}

func TestSocket_sendmsgRecvmsg(t *testing.T) {
	var fake *fakeSocket
	tk := newTestKernel(t, withFake(&fake))
	s := tk.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	a, b, to, ctl := []byte("first "), []byte("second"), &[16]byte{2, 9}, []byte("control data")
	iov := &[3]iovec{{ptr(&a[0]), 6}, {0, 0}, {ptr(&b[0]), 6}}
	h := &msghdr{name: ptr(to), namelen: 16, iov: ptr(iov), iovlen: 3, control: ptr(&ctl[0]), controllen: uintptr(len(ctl))}
	if n := tk.must(syscall.SYS_SENDMSG, s, ptr(h), 0); n != 12 {
		t.Errorf("sendmsg = %d", n)
	}
	if string(fake.ctl) != string(ctl) || !bytes.Equal(fake.name, to[:]) {
		t.Errorf("the socket saw control %q, address %x", fake.ctl, fake.name)
	}
	in, from, rc := new([10]byte), new([32]byte), new([64]byte)
	riov := &[2]iovec{{ptr(in), 4}, {ptr(in) + 4, 6}}
	r := &msghdr{name: ptr(from), namelen: 32, iov: ptr(riov), iovlen: 2, control: ptr(rc), controllen: 64}
	if n := tk.must(syscall.SYS_RECVMSG, s, ptr(r), 0); n != 10 || string(in[:]) != "first seco" {
		t.Errorf("recvmsg = %d, %q", n, in)
	}
	if r.namelen != 16 || from[1] != 9 || r.flags&syscall.MSG_TRUNC == 0 || r.controllen != 24 {
		t.Errorf("header %+v, from %x", r, from)
	}
	if string(rc[16:20]) != "ctl!" {
		t.Errorf("control %q", rc[:24])
	}
}

type mmsghdr struct {
	h   msghdr
	len uint32
	_   uint32
}

func TestSocket_sendmmsgRecvmmsg(t *testing.T) {
	if unsafe.Sizeof(mmsghdr{}) != mmsghdrSize || unsafe.Offsetof(msghdr{}.flags) != msghdrFlags || unsafe.Offsetof(msghdr{}.controllen) != msghdrControllen {
		t.Fatal("layout of struct mmsghdr")
	}
	var fake *fakeSocket
	tk := newTestKernel(t, withFake(&fake))
	s := tk.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	data := []byte("abcdef")
	iov := new([4]iovec)
	vec := new([4]mmsghdr)
	for i := range 3 {
		iov[i] = iovec{ptr(&data[0]), uintptr(i + 1)}
		vec[i].h = msghdr{iov: ptr(&iov[i]), iovlen: 1}
	}
	vec[3].h = msghdr{iov: 1, iovlen: 1} // not there
	if n := tk.must(sysSENDMMSG, s, ptr(vec), 4, 0); n != 3 {
		t.Errorf("sendmmsg = %d, want what went before the bad one", n)
	}
	if vec[0].len != 1 || vec[2].len != 3 || len(fake.queue) != 3 {
		t.Errorf("lengths %d %d, %d queued", vec[0].len, vec[2].len, len(fake.queue))
	}
	tk.fails(syscall.EFAULT, sysSENDMMSG, s, ptr(&vec[3]), 1, 0)
	in := new([4][8]byte)
	for i := range in {
		iov[i] = iovec{ptr(&in[i]), 8}
		vec[i] = mmsghdr{h: msghdr{iov: ptr(&iov[i]), iovlen: 1}}
	}
	if n := tk.must(sysRECVMMSG, s, ptr(vec), 4, 0x10000, 0); n != 3 || vec[2].len != 3 || string(in[2][:3]) != "abc" {
		t.Errorf("recvmmsg = %d, third %d bytes %q", n, vec[2].len, in[2])
	}
	tk.fails(syscall.EAGAIN, sysRECVMMSG, s, ptr(vec), 4, 0, 0)
}

func TestSocket_fileOperations(t *testing.T) {
	var fake *fakeSocket
	tk := newTestKernel(t, withFake(&fake))
	s := tk.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if tk.must(syscall.SYS_FCNTL, s, syscall.F_GETFD) != 1 || tk.must(syscall.SYS_FCNTL, s, syscall.F_GETFL) != syscall.O_RDWR|syscall.O_NONBLOCK {
		t.Error("flags of socket(2) are lost")
	}
	tk.writeString(s, "by write")
	if got, _ := tk.readString(s, 100); got != "by write" {
		t.Errorf("read = %q", got)
	}
	if got, e := tk.readString(s, 0); got != "" || e != 0 {
		t.Errorf("read of nothing = %q, %v", got, e)
	}
	var st syscall.Stat_t
	tk.must(syscall.SYS_FSTAT, s, ptr(&st))
	if st.Mode&syscall.S_IFMT != syscall.S_IFSOCK {
		t.Errorf("mode %#o", st.Mode)
	}
	d := tk.must(syscall.SYS_DUP, s)
	tk.must(syscall.SYS_CLOSE, s)
	if fake.freed != 0 {
		t.Error("released with a descriptor left")
	}
	tk.must(syscall.SYS_CLOSE, d)
	if fake.freed != 1 {
		t.Errorf("released %d times", fake.freed)
	}
}

func TestSocket_accept(t *testing.T) {
	var fake *fakeSocket
	tk := newTestKernel(t, withFake(&fake))
	s := tk.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_STREAM, 0)
	c := tk.must(syscall.SYS_ACCEPT4, s, 0, 0, syscall.SOCK_NONBLOCK)
	if fl := tk.must(syscall.SYS_FCNTL, c, syscall.F_GETFL); fl&syscall.O_NONBLOCK == 0 {
		t.Errorf("flags %#x", fl)
	}
	var sa [16]byte
	size := int32(16)
	// The fake has no peer name any more.
	tk.fails(syscall.ECONNABORTED, syscall.SYS_ACCEPT, s, ptr(&sa), ptr(&size))
	lim := rlimit{3, 3}
	tk.must(syscall.SYS_SETRLIMIT, rlimitNofile, ptr(&lim))
	tk.fails(syscall.EMFILE, syscall.SYS_ACCEPT4, s, 0, 0, 0)
}

func TestSocket_notifyWakesPollers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fake *fakeSocket
		tk := newTestKernel(t, withFake(&fake))
		s := tk.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
		tk.PollOpen(s, 0x1000)
		if m := tk.takeReady(0x1000); m != 2 {
			t.Errorf("ready %d at open, want writable", m)
		}
		ep := tk.must(sysEPCREATE1, 0)
		epCtl(tk, ep, epCtlAdd, s, uint32(pollIn))
		done := make(chan map[byte]uint32)
		go func() { done <- epWait(tk, ep, -1) }()
		synctest.Wait()
		fake.queue = append(fake.queue, []byte("x"))
		fake.s.SK.DataReady() // as the protocol does from softirq
		if m := <-done; m[byte(s)] != uint32(pollIn) {
			t.Errorf("epoll_wait = %v", m)
		}
		if m := tk.takeReady(0x1000); m != 1 {
			t.Errorf("ready %d after data, want readable", m)
		}
		tk.must(syscall.SYS_CLOSE, ep)
		tk.must(syscall.SYS_CLOSE, s)
	})
}

// The four calls of a datagram allocate nothing.
func TestSocket_allocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget on purpose")
	}
	var fake *fakeSocket
	tk := newTestKernel(t, withFake(&fake))
	s := tk.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK, 0)
	tk.PollOpen(s, 0x1000)
	addr, buf, size := new([16]byte), new([64]byte), new(int32)
	iov := &iovec{ptr(buf), 64}
	ctl := new([64]byte)
	h := new(msghdr)
	pa, pb, ps, ph := ptr(addr), ptr(buf), ptr(size), ptr(h)
	for _, tc := range []struct {
		name string
		fn   func()
	}{
		{"sendto_recvfrom", func() {
			tk.Syscall(syscall.SYS_SENDTO, s, pb, 64, 0, pa, 16)
			*size = 16
			tk.Syscall(syscall.SYS_RECVFROM, s, pb, 64, 0, pa, ps)
		}},
		{"write_read", func() {
			tk.Syscall(syscall.SYS_WRITE, s, pb, 64, 0, 0, 0)
			tk.Syscall(syscall.SYS_READ, s, pb, 64, 0, 0, 0)
		}},
		{"sendmsg_recvmsg", func() {
			*h = msghdr{name: pa, namelen: 16, iov: uintptr(unsafe.Pointer(iov)), iovlen: 1, control: uintptr(unsafe.Pointer(ctl)), controllen: 64}
			tk.Syscall(syscall.SYS_SENDMSG, s, ph, 0, 0, 0, 0)
			tk.Syscall(syscall.SYS_RECVMSG, s, ph, 0, 0, 0, 0)
		}},
		{"eagain", func() { tk.Syscall(syscall.SYS_RECVFROM, s, pb, 64, 0, 0, 0) }},
	} {
		tc.fn()
		if n := testing.AllocsPerRun(1000, tc.fn); n != 0 {
			t.Errorf("%s: %v allocations", tc.name, n)
		}
	}
}

func BenchmarkSyscall_getpid(b *testing.B) {
	tk := newTestKernel(b)
	b.ReportAllocs()
	for b.Loop() {
		tk.Syscall(syscall.SYS_GETPID, 0, 0, 0, 0, 0, 0)
	}
}

func BenchmarkSyscall_sendtoRecvfrom(b *testing.B) {
	var fake *fakeSocket
	tk := newTestKernel(b, withFake(&fake))
	s := tk.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK, 0)
	addr, buf, size := new([16]byte), new([64]byte), new(int32)
	pa, pb, ps := ptr(addr), ptr(buf), ptr(size)
	b.ReportAllocs()
	for b.Loop() {
		tk.Syscall(syscall.SYS_SENDTO, s, pb, 64, 0, pa, 16)
		*size = 16
		tk.Syscall(syscall.SYS_RECVFROM, s, pb, 64, 0, pa, ps)
	}
}
