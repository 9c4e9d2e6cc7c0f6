package sys

import (
	"syscall"

	"barewire/inet/sock"
)

// Sending and receiving messages. Each call borrows a frame from the kernel's
// pool and works on the caller's memory in place: nothing is allocated.

// sendInternal are the flags only the kernel sets (Linux:
// MSG_INTERNAL_SENDMSG_FLAGS); cmsgCompat is for 32-bit programs, EINVAL in
// calls with a message header.
const (
	sendInternal = 1<<27 | 1<<16 | 1<<19 | 1<<20 | 1<<31
	cmsgCompat   = 1 << 31
)

// sysSendto checks in the order of __sys_sendto: buffer, socket, address.
func sysSendto(k *Kernel, a args) (uintptr, Errno) {
	fr := k.getFrame()
	defer k.putFrame(fr)
	var e Errno
	fr.msg.Iov, e = k.importUbuf(a.a1, a.a2, fr.iov)
	absent := e == syscall.EFAULT && a.a3&msgFastOpen != 0 // the connection is begun all the same
	if e != 0 && !absent {
		return 0, e
	}
	f, s, e := k.getSocket(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	if absent {
		if s.Family != syscall.AF_INET || s.Type != syscall.SOCK_STREAM {
			return 0, syscall.EFAULT
		}
		fr.msg.Iov, fr.msg.Absent = nil, int(min(a.a2, 1<<31-1))
		defer func() { fr.msg.Absent = 0 }()
	}
	fr.msg.NameLen = 0
	if a.a4 != 0 {
		if fr.msg.NameLen, e = k.addrFrom(a.a4, a.a5, &fr.msg.Name); e != 0 {
			return 0, e
		}
		if fr.msg.NameLen == 0 && wantsName(s) {
			return 0, syscall.EINVAL // an address of no bytes is not the same as none
		}
	}
	n, err := s.SendMsg(&fr.msg, f.dontwait(a.a3&^sendInternal))
	if absent && err == nil {
		return 0, syscall.EFAULT
	}
	return uintptr(n), errno(err)
}

// msgFastOpen is MSG_FASTOPEN.
const msgFastOpen = 0x20000000

// wantsName reports whether a socket's family looks at an address however short
// it is (Linux: udp_sendmsg, ping_v4_sendmsg, packet_snd).
func wantsName(s *sock.Socket) bool {
	return s.Family == syscall.AF_PACKET || s.Family == syscall.AF_INET && s.Type == syscall.SOCK_DGRAM
}

func sysRecvfrom(k *Kernel, a args) (uintptr, Errno) {
	fr := k.getFrame()
	defer k.putFrame(fr)
	var e Errno
	if fr.msg.Iov, e = k.importUbuf(a.a1, a.a2, fr.iov); e != 0 {
		return 0, e
	}
	f, s, e := k.getSocket(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	flags := f.dontwait(a.a3)
	f.busyRead(s, flags)
	n, err := s.RecvMsg(&fr.msg, flags)
	if err != nil {
		return 0, errno(err)
	}
	if a.a4 != 0 {
		if e := k.addrTo(&fr.msg.Name, fr.msg.NameLen, a.a4, a.a5); e != 0 {
			return 0, e
		}
	}
	return uintptr(n), 0
}

// msghdr is struct user_msghdr. An element of sendmmsg's vector, struct
// mmsghdr, is one followed by the length sent or received.
type msghdr struct {
	name       uintptr
	namelen    int32
	_          int32
	iov        uintptr
	iovlen     uintptr
	control    uintptr
	controllen uintptr
	flags      uint32
	_          int32
}

// Offsets of what a call writes back.
const (
	msghdrNamelen    = 8
	msghdrControllen = 40
	msghdrFlags      = 48
	mmsghdrLen       = 56
	mmsghdrSize      = 64
)

// importMsg fills fr.msg from a message header (Linux: copy_msghdr_from_user,
// ____sys_sendmsg).
func (k *Kernel) importMsg(fr *frame, h *msghdr, send bool) Errno {
	if h.name == 0 {
		h.namelen = 0
	}
	if h.namelen < 0 {
		return syscall.EINVAL
	}
	h.namelen = min(h.namelen, sock.MaxAddr)
	var e Errno
	fr.msg.NameLen = 0
	if send && h.name != 0 && h.namelen > 0 {
		if fr.msg.NameLen, e = k.addrFrom(h.name, uintptr(h.namelen), &fr.msg.Name); e != 0 {
			return e
		}
	}
	if h.iovlen > uioMaxIov {
		return syscall.EMSGSIZE
	}
	if fr.msg.Iov, e = k.importIovec(h.iov, h.iovlen, fr.iov); e != 0 {
		return e
	}
	if !send {
		// Ancillary data has nowhere to go in memory that is not there; that is
		// no error.
		fr.msg.Control, _ = k.userBytes(h.control, h.controllen)
		return 0
	}
	if h.controllen > 1<<31-1 {
		return syscall.ENOBUFS
	}
	fr.msg.Control, e = k.userBytes(h.control, h.controllen)
	return e
}

func sysSendmsg(k *Kernel, a args) (uintptr, Errno) {
	if a.a2&cmsgCompat != 0 {
		return 0, syscall.EINVAL
	}
	f, s, e := k.getSocket(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	n, e := k.sendmsg(s, a.a1, f.dontwait(a.a2&^sendInternal))
	return uintptr(n), e
}

func (k *Kernel) sendmsg(s *sock.Socket, hdr uintptr, flags int) (int, Errno) {
	h, e := copyFrom[msghdr](k, hdr)
	if e != 0 {
		return 0, e
	}
	fr := k.getFrame()
	defer k.putFrame(fr)
	if e := k.importMsg(fr, &h, true); e != 0 {
		return 0, e
	}
	n, err := s.SendMsg(&fr.msg, flags)
	return n, errno(err)
}

func sysRecvmsg(k *Kernel, a args) (uintptr, Errno) {
	if a.a2&cmsgCompat != 0 {
		return 0, syscall.EINVAL
	}
	f, s, e := k.getSocket(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	flags := f.dontwait(a.a2)
	f.busyRead(s, flags)
	n, e := k.recvmsg(s, a.a1, flags)
	return uintptr(n), e
}

func (k *Kernel) recvmsg(s *sock.Socket, hdr uintptr, flags int) (int, Errno) {
	h, e := copyFrom[msghdr](k, hdr)
	if e != 0 {
		return 0, e
	}
	fr := k.getFrame()
	defer k.putFrame(fr)
	if e := k.importMsg(fr, &h, false); e != 0 {
		return 0, e
	}
	n, err := s.RecvMsg(&fr.msg, flags)
	if err != nil {
		return 0, errno(err)
	}
	if h.name != 0 {
		if e := k.addrTo(&fr.msg.Name, fr.msg.NameLen, h.name, hdr+msghdrNamelen); e != 0 {
			return 0, e
		}
	}
	// hdr was readable in whole, so these cannot fail.
	copyTo(k, hdr+msghdrFlags, uint32(fr.msg.Flags))
	copyTo(k, hdr+msghdrControllen, uintptr(fr.msg.ControlLen))
	return n, 0
}

func sysSendmmsg(k *Kernel, a args) (uintptr, Errno) {
	if a.a3&cmsgCompat != 0 {
		return 0, syscall.EINVAL
	}
	f, s, e := k.getSocket(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	n := min(uint32(a.a2), uioMaxIov)
	flags := f.dontwait(a.a3 &^ sendInternal)
	for i := range uintptr(n) {
		hdr := a.a1 + i*mmsghdrSize
		fl := flags
		if i+1 < uintptr(n) {
			fl |= sock.MSG_BATCH
		}
		c, e := k.sendmsg(s, hdr, fl)
		if e == 0 {
			e = copyTo(k, hdr+mmsghdrLen, uint32(c))
		}
		if e != 0 {
			if i > 0 { // what was sent is the answer
				return i, 0
			}
			return 0, e
		}
	}
	return uintptr(n), 0
}

// sysRecvmmsg receives until the vector is full, the timeout passed (looked at
// between messages only, as in Linux) or nothing more is there after the first
// with MSG_WAITFORONE.
func sysRecvmmsg(k *Kernel, a args) (uintptr, Errno) {
	const msgWaitForOne = 0x10000
	if a.a3&cmsgCompat != 0 {
		return 0, syscall.EINVAL
	}
	timeout, e := k.timeoutFrom(a.a4)
	if e != 0 {
		return 0, e
	}
	f, s, e := k.getSocket(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	start := k.cfg.Clock.Now()
	flags := f.dontwait(a.a3 &^ msgWaitForOne)
	f.busyRead(s, flags)
	n := min(uint32(a.a2), uioMaxIov)
	for i := range uintptr(n) {
		hdr := a.a1 + i*mmsghdrSize
		c, e := k.recvmsg(s, hdr, flags)
		if e == 0 {
			e = copyTo(k, hdr+mmsghdrLen, uint32(c))
		}
		if e != 0 {
			if i == 0 {
				return 0, e
			}
			if e != eagain && s.SK != nil { // the next call reports it
				s.SK.SetError(e)
			}
			return i, 0
		}
		if a.a3&msgWaitForOne != 0 {
			flags |= syscall.MSG_DONTWAIT
		}
		if timeout >= 0 && k.cfg.Clock.Now()-start >= timeout {
			return i + 1, 0
		}
	}
	return uintptr(n), 0
}
