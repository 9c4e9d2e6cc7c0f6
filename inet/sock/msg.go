package sock

import "syscall"

// MaxAddr is the largest socket address (Linux: struct sockaddr_storage).
const MaxAddr = 128

// Msg is one message on its way through sendmsg or recvmsg (Linux: struct
// msghdr in kernel form). The caller owns it and may use it again; it holds no
// memory of the stack.
type Msg struct {
	// Name is a socket address: the destination on send when NameLen != 0, the
	// source on return from receive.
	Name    [MaxAddr]byte
	NameLen int

	// Iov is the data: gathered on send, scattered into on receive.
	Iov [][]byte
	// Absent is how many bytes the program says it has where there is no memory
	// (MSG_FASTOPEN).
	Absent int

	// Control is ancillary data to send, or the buffer to receive it into.
	Control []byte
	// ControlLen is how many bytes of Control receive filled.
	ControlLen int

	// Flags is set by receive: MSG_TRUNC, MSG_CTRUNC, MSG_ERRQUEUE.
	Flags int
}

// Len returns the number of bytes in Iov.
func (m *Msg) Len() int {
	n := 0
	for _, v := range m.Iov {
		n += len(v)
	}
	return n
}

// Message flags that package syscall lacks.
const (
	// MSG_MORE: more data of the same datagram follows (corking).
	MSG_MORE = 0x8000
	// MSG_PROBE: only confirm the path, send nothing.
	MSG_PROBE = 0x10
	// MSG_BATCH: more messages follow (sendmmsg).
	MSG_BATCH = 0x40000
)

// Readiness events, with the values of EPOLL* in the Linux ABI.
const (
	EventIn     uint16 = 0x001  // EPOLLIN
	EventPri    uint16 = 0x002  // EPOLLPRI
	EventOut    uint16 = 0x004  // EPOLLOUT
	EventErr    uint16 = 0x008  // EPOLLERR
	EventHup    uint16 = 0x010  // EPOLLHUP
	EventRdNorm uint16 = 0x040  // EPOLLRDNORM
	EventRdBand uint16 = 0x080  // EPOLLRDBAND
	EventWrNorm uint16 = 0x100  // EPOLLWRNORM
	EventWrBand uint16 = 0x200  // EPOLLWRBAND
	EventRdHup  uint16 = 0x2000 // EPOLLRDHUP
)

// PutCmsg appends one ancillary data item to what receive returns (Linux:
// put_cmsg). When Control has no room MSG_CTRUNC is set; what fits of the item
// is still delivered, as Linux does.
func (m *Msg) PutCmsg(level, typ int, data []byte) {
	room := len(m.Control) - m.ControlLen
	if room < syscall.SizeofCmsghdr {
		m.Flags |= syscall.MSG_CTRUNC
		return
	}
	n := syscall.SizeofCmsghdr + len(data)
	if n > room {
		m.Flags |= syscall.MSG_CTRUNC
		n = room
	}
	p := m.Control[m.ControlLen:]
	putUint64(p, uint64(n))
	putUint32(p[8:], uint32(level))
	putUint32(p[12:], uint32(typ))
	copy(p[syscall.SizeofCmsghdr:n], data)
	m.ControlLen += min(cmsgAlign(n), room)
}

// Cmsg is one item of ancillary data (Linux: struct cmsghdr and its data).
type Cmsg struct {
	Level int
	Type  int
	Data  []byte // aliases the control buffer
}

// NextCmsg splits the first item off control data that a program passed to
// sendmsg (Linux: CMSG_NXTHDR with CMSG_OK). ok is false at the end; an item
// whose length is impossible gives EINVAL.
func NextCmsg(control []byte) (c Cmsg, rest []byte, ok bool, err error) {
	if len(control) < syscall.SizeofCmsghdr {
		return Cmsg{}, nil, false, nil
	}
	n := getUint64(control)
	if n < syscall.SizeofCmsghdr || n > uint64(len(control)) {
		return Cmsg{}, nil, false, syscall.EINVAL
	}
	c.Level = int(int32(getUint32(control[8:])))
	c.Type = int(int32(getUint32(control[12:])))
	c.Data = control[syscall.SizeofCmsghdr:n:n]
	return c, control[min(cmsgAlign(int(n)), len(control)):], true, nil
}

// cmsgAlign rounds up to the alignment of struct cmsghdr on 64-bit machines.
func cmsgAlign(n int) int { return (n + 7) &^ 7 }
