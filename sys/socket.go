package sys

import (
	"encoding/binary"
	"sync/atomic"
	"syscall"

	"barewire/inet/sock"
)

// Socket calls (Linux: net/socket.c). Messages are in sockmsg.go.

// SockCreate makes a socket; inet.Net.SockCreate is one.
type SockCreate func(family, typ, protocol int) (*sock.Socket, error)

// Msg is a message as the socket layer takes it.
type Msg = sock.Msg

const (
	sockTypeMask = 0xf
	sockFlags    = syscall.SOCK_CLOEXEC | syscall.SOCK_NONBLOCK
	nproto       = 46 // Linux: NPROTO
	sockMax      = 11 // Linux: SOCK_MAX
	somaxconn    = 4096
)

// sockFile is a socket as a file.
type sockFile struct {
	baseFile
	s     *sock.Socket
	ns    *netns
	owner atomic.Int32 // who would get SIGIO
}

// errno takes the Errno out of an error of the socket layer.
func errno(err error) Errno {
	if err == nil {
		return 0
	}
	if e, ok := err.(Errno); ok {
		return e
	}
	return syscall.EIO
}

// newSocketFile makes the file of s and ties its notifications to the file's
// waiters.
func (k *Kernel) newSocketFile(s *sock.Socket, flags uintptr, ns *netns) *File {
	k.getNetns(ns) // of a goroutine in it, or of a socket: it is there
	m := &struct {
		f    File
		ops  sockFile
		wake func(events uint16)
	}{}
	m.ops.s, m.ops.ns = s, ns
	k.initFile(&m.f, &m.ops, syscall.O_RDWR|uint32(flags)&syscall.O_NONBLOCK)
	m.wake = m.f.wait.wake
	s.KeepNotify(&m.wake)
	return &m.f
}

// nameBuf returns room for a socket address, empty. Its user gives it back to
// k.names.
func (k *Kernel) nameBuf() *[sock.MaxAddr]byte {
	p, ok := k.names.Get().(*[sock.MaxAddr]byte)
	if !ok {
		return new([sock.MaxAddr]byte)
	}
	clear(p[:])
	return p
}

// getSocket looks up a descriptor that must be a socket: EBADF, ENOTSOCK
// (Linux: sockfd_lookup_light). The reference on f is the caller's.
func (k *Kernel) getSocket(fd uintptr) (*File, *sock.Socket, Errno) {
	f, e := k.files.get(fd)
	if e != 0 {
		return nil, nil, e
	}
	s, ok := f.ops.(*sockFile)
	if !ok {
		f.put()
		return nil, nil, syscall.ENOTSOCK
	}
	return f, s.s, 0
}

func (*sockFile) pollable() bool { return true }

func (d *sockFile) poll(*File) uint16 { return d.s.Poll() }

func (d *sockFile) release(f *File) {
	d.s.Release()
	f.k.putNetns(d.ns)
}

func (d *sockFile) stat(_ *File, st *syscall.Stat_t) { st.Mode = syscall.S_IFSOCK | 0o777 }

// ioctl passes the caller's memory on, as much as the request's structure has.
func (d *sockFile) ioctl(f *File, cmd, arg uintptr) (uintptr, Errno) {
	switch cmd {
	case siocGifconf, siocEthtool, siocAddrt, siocDelrt:
		return 0, f.k.ioctlPointer(d.s, cmd, arg)
	case fioSetown, siocSpgrp:
		pid, e := copyFrom[int32](f.k, arg)
		if e == 0 && pid != 0 && pid != initPid && pid != -initPid {
			e = syscall.ESRCH
		}
		if e == 0 {
			d.owner.Store(pid)
		}
		return 0, e
	case fioGetown, siocGpgrp:
		return 0, copyTo(f.k, arg, d.owner.Load())
	}
	b, bad := f.k.userBytes(arg, sockIoctlSize(cmd)) // what is not there is EFAULT, if the request is known
	e := errno(d.s.Ioctl(uint(cmd), b))
	if e == syscall.ENOTTY && bad != 0 && cmd>>8 == siocType {
		e = bad // any request about interfaces has a structure
	}
	return 0, e
}

// Requests whose structures are not a struct ifreq, or hold pointers.
const (
	siocInq, siocOutq        = fioNread, 0x5411
	fioSetown, siocSpgrp     = 0x8901, 0x8902
	fioGetown, siocGpgrp     = 0x8903, 0x8904
	siocAtmark, siocType     = 0x8905, 0x89
	siocGstamp, siocGstampns = 0x8906, 0x8907
	siocAddrt, siocDelrt     = 0x890b, 0x890c
	siocGifconf, siocEthtool = 0x8912, 0x8946
	siocDarp, siocSarp       = 0x8953, 0x8955
	ifreqSize, timespecSize  = 40, 16
	rtentrySize, arpreqSize  = 120, 68
	ifreqData, rtentryDev    = 16, 88 // where their pointers are
	maxIfconf, ifnamsiz      = 1 << 16, 16
	maxEthtool               = 1 << 20 // bytes of a structure of SIOCETHTOOL
)

func sockIoctlSize(cmd uintptr) uintptr {
	switch {
	case cmd == siocInq || cmd == siocOutq || cmd >= siocSpgrp-1 && cmd <= siocAtmark:
		return 4
	case cmd == siocGstamp || cmd == siocGstampns:
		return timespecSize
	case cmd >= siocDarp && cmd <= siocSarp:
		return arpreqSize
	}
	return ifreqSize
}

// ioctlPointer is a request whose structure points to more: the socket gets
// that behind the structure, and what it changed there is copied back.
func (k *Kernel) ioctlPointer(s *sock.Socket, cmd, arg uintptr) Errno {
	switch cmd {
	case siocGifconf:
		type ifconf struct {
			len int32
			_   int32
			buf uintptr
		}
		c, e := copyFrom[ifconf](k, arg)
		if e != 0 {
			return e
		}
		var user []byte
		if c.buf != 0 {
			if user, e = k.userBytes(c.buf, uintptr(min(max(c.len, 0), maxIfconf))); e != 0 {
				return e
			}
			if len(user) < ifreqSize { // no room is not the question how much there must be
				return copyTo(k, arg, int32(0))
			}
		}
		b := make([]byte, 4+len(user))
		if e := errno(s.Ioctl(uint(cmd), b)); e != 0 {
			return e
		}
		n := int32(binary.NativeEndian.Uint32(b))
		copy(user, b[4:])
		return copyTo(k, arg, n)
	case siocEthtool:
		ifr, e := k.userBytes(arg, ifreqSize)
		if e != 0 {
			return e
		}
		data, _ := copyFrom[uintptr](k, arg+ifreqData)
		// How much of the program's memory is meant depends on the command and
		// on the device.
		for n := sock.NeedMore(4); ; {
			user, e := k.userBytes(data, uintptr(n))
			if e != 0 {
				return e
			}
			b := append(append(make([]byte, 0, ifreqSize+int(n)), ifr...), user...)
			err := s.Ioctl(uint(cmd), b)
			if more, ok := err.(sock.NeedMore); ok && more > n && more <= maxEthtool {
				n = more
				continue
			}
			if e := errno(err); e != 0 {
				return e
			}
			copy(user, b[ifreqSize:])
			return 0
		}
	}
	rt, e := k.userBytes(arg, rtentrySize) // SIOCADDRT, SIOCDELRT
	if e != 0 {
		return e
	}
	b := append(make([]byte, 0, rtentrySize+ifnamsiz), rt...)
	if name, _ := copyFrom[uintptr](k, arg+rtentryDev); name != 0 {
		for i := range uintptr(ifnamsiz - 1) { // it may end before a page does
			c, e := copyFrom[byte](k, name+i)
			if e != 0 {
				return e
			}
			if c == 0 {
				break
			}
			b = append(b, c)
		}
	}
	return errno(s.Ioctl(uint(cmd), b))
}

// read and write on a socket are messages without an address (sock_read_iter,
// sock_write_iter).
func (d *sockFile) read(f *File, iov [][]byte) (int, Errno) {
	if len(iov) == 0 {
		return 0, 0
	}
	f.busyRead(d.s, f.dontwait(0))
	return d.message(f, iov, d.s.RecvMsg)
}

func (d *sockFile) write(f *File, iov [][]byte) (int, Errno) {
	return d.message(f, iov, d.s.SendMsg)
}

func (d *sockFile) message(f *File, iov [][]byte, op func(*Msg, int) (int, error)) (int, Errno) {
	fr := f.k.getFrame()
	fr.msg.Iov, fr.msg.NameLen = iov, 0
	n, err := op(&fr.msg, f.dontwait(0))
	f.k.putFrame(fr)
	return n, errno(err)
}

// dontwait adds MSG_DONTWAIT for a file that must not block.
func (f *File) dontwait(flags uintptr) int {
	fl := int(int32(flags))
	if f.nonblock() {
		fl |= syscall.MSG_DONTWAIT
	}
	return fl
}

// addrFrom reads a socket address into dst (Linux: move_addr_to_kernel).
func (k *Kernel) addrFrom(addr, n uintptr, dst *[sock.MaxAddr]byte) (int, Errno) {
	l := int(int32(n))
	if l < 0 || l > sock.MaxAddr {
		return 0, syscall.EINVAL
	}
	b, e := k.userBytes(addr, uintptr(l))
	if e != 0 {
		return 0, e
	}
	return copy(dst[:], b), 0
}

// addrTo writes a socket address of klen bytes, cut to the room the caller
// gave, and its full length (Linux: move_addr_to_user).
func (k *Kernel) addrTo(name *[sock.MaxAddr]byte, klen int, addr, lenAddr uintptr) Errno {
	room, e := copyFrom[int32](k, lenAddr)
	if e != 0 {
		return e
	}
	if room < 0 {
		return syscall.EINVAL
	}
	if e := k.copyBytesTo(addr, name[:min(int(room), klen, len(name))]); e != 0 {
		return e
	}
	return copyTo(k, lenAddr, int32(klen))
}

// createSocket is the part socket and socketpair share: flags, family and type
// in range, then the family's own checks.
func (k *Kernel) createSocket(a args) (*sock.Socket, uintptr, Errno) {
	flags := a.a1 &^ sockTypeMask
	if uint32(flags)&^sockFlags != 0 {
		return nil, 0, syscall.EINVAL
	}
	family, typ := int32(a.a0), int32(a.a1&sockTypeMask)
	if family < 0 || family >= nproto {
		return nil, 0, syscall.EAFNOSUPPORT
	}
	if typ >= sockMax {
		return nil, 0, syscall.EINVAL
	}
	create := k.netns().SockCreate
	if create == nil {
		return nil, 0, syscall.EAFNOSUPPORT
	}
	s, err := create(int(family), int(typ), int(int32(a.a2)))
	return s, flags, errno(err)
}

func sysSocket(k *Kernel, a args) (uintptr, Errno) {
	s, flags, e := k.createSocket(a)
	if e != 0 {
		return 0, e
	}
	return k.installNew(k.newSocketFile(s, flags, k.netns()), flags&syscall.SOCK_CLOEXEC != 0)
}

// sysSocketpair: no family here has pairs yet, so it ends as Linux's does for
// AF_INET. As there the room for the descriptors is looked at first.
func sysSocketpair(k *Kernel, a args) (uintptr, Errno) {
	if uint32(a.a1)&^(sockTypeMask|sockFlags) != 0 {
		return 0, syscall.EINVAL
	}
	if !k.accessOK(a.a3, 8) {
		return 0, syscall.EFAULT
	}
	s, _, e := k.createSocket(a)
	if e != 0 {
		return 0, e
	}
	s.Release()
	return 0, syscall.EOPNOTSUPP
}

func sysBind(k *Kernel, a args) (uintptr, Errno) {
	f, s, e := k.getSocket(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	sa := k.nameBuf()
	defer k.names.Put(sa)
	n, e := k.addrFrom(a.a1, a.a2, sa)
	if e != 0 {
		return 0, e
	}
	return 0, errno(s.Bind(sa[:n]))
}

func sysConnect(k *Kernel, a args) (uintptr, Errno) {
	f, e := k.files.get(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	sa := k.nameBuf()
	defer k.names.Put(sa)
	n, e := k.addrFrom(a.a1, a.a2, sa)
	if e != 0 {
		return 0, e
	}
	s, ok := f.ops.(*sockFile)
	if !ok {
		return 0, syscall.ENOTSOCK
	}
	return 0, errno(s.s.Connect(sa[:n], int(f.flags.Load())))
}

func sysListen(k *Kernel, a args) (uintptr, Errno) {
	f, s, e := k.getSocket(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	return 0, errno(s.Listen(int(min(uint32(a.a1), somaxconn))))
}

func sysAccept(k *Kernel, a args) (uintptr, Errno) {
	a.a3 = 0
	return sysAccept4(k, a)
}

func sysAccept4(k *Kernel, a args) (uintptr, Errno) {
	f, e := k.files.get(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	if uint32(a.a3)&^sockFlags != 0 {
		return 0, syscall.EINVAL
	}
	if e := k.files.hasRoom(); e != 0 {
		return 0, e
	}
	s, ok := f.ops.(*sockFile)
	if !ok {
		return 0, syscall.ENOTSOCK
	}
	c, err := s.s.Accept(int(f.flags.Load()))
	if err != nil {
		return 0, errno(err)
	}
	nf := k.newSocketFile(c, a.a3, s.ns)
	if a.a1 != 0 {
		sa := k.nameBuf()
		defer k.names.Put(sa)
		n, err := c.AcceptedName(sa[:])
		if err != nil {
			nf.put()
			return 0, syscall.ECONNABORTED
		}
		if e := k.addrTo(sa, n, a.a1, a.a2); e != 0 {
			nf.put()
			return 0, e
		}
	}
	return k.installNew(nf, a.a3&syscall.SOCK_CLOEXEC != 0)
}

func sysGetsockname(k *Kernel, a args) (uintptr, Errno) { return k.getname(a, false) }

func sysGetpeername(k *Kernel, a args) (uintptr, Errno) { return k.getname(a, true) }

func (k *Kernel) getname(a args, peer bool) (uintptr, Errno) {
	f, s, e := k.getSocket(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	sa := k.nameBuf()
	defer k.names.Put(sa)
	n, err := s.Getname(peer, sa[:])
	if err != nil {
		return 0, errno(err)
	}
	return 0, k.addrTo(sa, n, a.a1, a.a2)
}

func sysShutdown(k *Kernel, a args) (uintptr, Errno) {
	f, s, e := k.getSocket(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	return 0, errno(s.Shutdown(int(int32(a.a1))))
}

func sysSetsockopt(k *Kernel, a args) (uintptr, Errno) {
	if int32(a.a4) < 0 {
		return 0, syscall.EINVAL
	}
	f, s, e := k.getSocket(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	val, e := k.userBytes(a.a3, uintptr(uint32(a.a4)))
	if e != 0 {
		if int32(a.a1) == syscall.SOL_SOCKET && a.a4 < 4 && int32(a.a2) != syscall.SO_BINDTODEVICE {
			e = syscall.EINVAL // too short for an int: that is seen first
		}
		return 0, e
	}
	if int32(a.a1) == syscall.SOL_SOCKET && (int32(a.a2) == syscall.SO_ATTACH_FILTER || int32(a.a2) == soAttachReuseportCBPF) ||
		int32(a.a1) == solPacket && int32(a.a2) == packetFanoutData {
		if val, e = k.filter(a.a3, uint32(a.a4)); e != 0 {
			return 0, e
		}
	}
	return 0, errno(s.SetSockOpt(int(int32(a.a1)), int(int32(a.a2)), val))
}

const (
	soAttachReuseportCBPF       = 51
	solPacket, packetFanoutData = 263, 22
)

// filter copies the instructions that a struct sock_fprog points to, 8 bytes
// each (Linux: copy_bpf_fprog_from_user, bpf_check_basics_ok). A copy: the
// program is checked once, and its memory may change.
func (k *Kernel) filter(addr uintptr, optlen uint32) ([]byte, Errno) {
	type fprog struct {
		len    uint16
		_      [6]byte
		filter uintptr
	}
	const bpfMaxInsns, insnSize = 4096, 8
	if optlen != 16 {
		return nil, syscall.EINVAL
	}
	p, e := copyFrom[fprog](k, addr)
	if e != 0 {
		return nil, e
	}
	if p.filter == 0 || p.len == 0 || p.len > bpfMaxInsns {
		return nil, syscall.EINVAL
	}
	b, e := k.userBytes(p.filter, uintptr(p.len)*insnSize)
	return append([]byte(nil), b...), e
}

func sysGetsockopt(k *Kernel, a args) (uintptr, Errno) {
	f, s, e := k.getSocket(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	n, e := copyFrom[int32](k, a.a4)
	if e != 0 {
		return 0, e
	}
	if n < 0 {
		return 0, syscall.EINVAL
	}
	buf, e := k.userBytes(a.a3, uintptr(n))
	if e != 0 {
		return 0, e
	}
	l, err := s.GetSockOpt(int(int32(a.a1)), int(int32(a.a2)), buf)
	if err != nil {
		return 0, errno(err)
	}
	return 0, copyTo(k, a.a4, int32(l))
}
