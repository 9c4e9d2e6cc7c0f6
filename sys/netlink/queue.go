package netlink

import (
	"slices"
	"syscall"

	"barewire/inet/sock"
)

// overhead is what a queued message counts beside its data, as Linux's skb
// would; dumpMin and dumpMax bound a part of a dump in bytes.
const (
	overhead = 576
	dumpMin  = 4096 - 320
	dumpMax  = 32768 - 320
)

// message is one datagram on a queue. Its data does not change.
type message struct {
	data  []byte
	from  uint32 // port of the sender, 0 for the kernel
	group int    // it was for, 0 for a unicast
}

func (m *message) charge() int { return (len(m.data)+63)&^63 + overhead }

// deliver puts m on the queue (Linux: netlink_broadcast_deliver, and
// netlink_attachskb for a kernel that does not wait).
func (s *Sock) deliver(m message) bool {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return false
	}
	if s.rmem > s.ReceiveBuffer() || s.congested {
		tell := !s.opt(optNoENOBUFS) && !s.congested
		if !s.opt(optNoENOBUFS) {
			s.congested = true
		}
		s.mu.Unlock()
		s.drops.Add(1)
		if tell {
			s.SetError(syscall.ENOBUFS)
		}
		return false
	}
	s.queue = append(s.queue, m)
	s.rmem += m.charge()
	s.mu.Unlock()
	s.DataReady()
	return true
}

// take returns the first message. ok is false if there is none.
func (s *Sock) take(peek bool) (m message, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return m, false
	}
	m = s.queue[0]
	if !peek {
		s.queue[0] = message{}
		s.queue = s.queue[1:]
		s.rmem -= m.charge()
	}
	if len(s.queue) == 0 && !peek {
		s.queue = nil
		s.congested = false
	}
	return m, true
}

// RecvMsg is netlink_recvmsg.
func (s *Sock) RecvMsg(m *sock.Msg, flags int) (int, error) {
	if flags&syscall.MSG_OOB != 0 {
		return 0, syscall.EOPNOTSUPP
	}
	peek := flags&syscall.MSG_PEEK != 0
	var q message
	try := func() (ok bool, err error) {
		if err := s.TakeError(); err != nil {
			return false, err
		}
		q, ok = s.take(peek)
		return ok || s.IsShutdown(sock.RcvShutdown), nil
	}
	ok, err := try()
	if !ok && err == nil {
		if flags&syscall.MSG_DONTWAIT != 0 {
			return 0, syscall.EAGAIN
		}
		err = s.WaitRead(try)
	}
	if err != nil {
		return 0, err
	}
	if q.data == nil {
		return 0, nil // shut down
	}
	n, left := 0, q.data
	for _, v := range m.Iov {
		c := copy(v, left)
		n, left = n+c, left[c:]
	}
	if len(left) > 0 {
		m.Flags |= syscall.MSG_TRUNC
	}
	m.NameLen = putAddr(m.Name[:], q.from, groupMask(q.group))
	if s.opt(optPktInfo) {
		var p [4]byte
		p[0] = byte(q.group)
		m.PutCmsg(solNetlink, syscall.NETLINK_PKTINFO, p[:])
	}
	if flags&syscall.MSG_TRUNC != 0 {
		n = len(q.data)
	}
	s.mu.Lock()
	s.maxRead = min(max(s.maxRead, m.Len()), dumpMax)
	s.mu.Unlock()
	s.pump()
	return n, nil
}

// Dump makes the answer to a dump request in parts. Calls are serialised.
type Dump struct {
	// Next appends the next message, a whole one; false means that there was
	// none left. An error ends the dump and is told in its NLMSG_DONE.
	Next func(b *Builder) (bool, error)
	// Seq returns a number that changes whenever what is listed does, for
	// NLM_F_DUMP_INTR. Nil: it does not change.
	Seq func() uint32
	// Filtered says that the program's wishes decided what is listed; every
	// message is marked NLM_F_DUMP_FILTERED.
	Filtered bool
}

// dump is a dump in progress (Linux: struct netlink_callback).
type dump struct {
	Dump
	req  *Request
	seq  uint32
	pend []byte // a message that did not fit into the part before
	intr bool
}

// Dump starts a dump and makes its first part (Linux: netlink_dump_start). The
// socket has one dump at a time: EBUSY. The handler returns its result.
func (r *Request) Dump(d Dump) error {
	s := r.sock
	s.mu.Lock()
	if s.dump != nil {
		s.mu.Unlock()
		return syscall.EBUSY
	}
	c := &dump{Dump: d, req: r}
	// The sender's buffer is not its any more when the next part is made.
	r.raw = slices.Clip(slices.Clone(r.raw))
	r.Data = r.raw[HeaderLen:]
	if d.Seq != nil {
		c.seq = d.Seq()
	}
	s.dump = c
	s.mu.Unlock()
	s.pump()
	return errDumping
}

// errDumping tells that the answer is on its way and no ACK is due.
const errDumping = syscall.EINTR

// Dumping reports whether err is the result of a [Request.Dump] that began.
func Dumping(err error) bool { return err == errDumping }

// pump makes the next part of the dump if there is room for it (Linux:
// netlink_dump).
func (s *Sock) pump() {
	s.dumpMu.Lock()
	defer s.dumpMu.Unlock()
	s.mu.Lock()
	d := s.dump
	if d == nil || s.closed || s.rmem > s.ReceiveBuffer()/2 {
		s.mu.Unlock()
		return
	}
	size := max(dumpMin, s.maxRead)
	s.mu.Unlock()

	port := s.Port()
	b := Builder{hdr: Header{Seq: d.req.Seq, Pid: port, Flags: FlagMulti}}
	if d.Filtered {
		b.hdr.Flags |= FlagFiltered
	}
	b.buf = make([]byte, 0, size)
	b.buf = append(b.buf, d.pend...)
	d.pend = nil
	more, err := true, error(nil)
	for more && err == nil && b.Len() < size {
		at := b.Len()
		more, err = d.Next(&b)
		if b.Len() > size && at > 0 {
			d.pend = append([]byte(nil), b.buf[at:]...)
			b.buf = b.buf[:at]
			break
		}
	}
	if d.Seq != nil && d.Seq() != d.seq {
		d.intr, d.seq = true, d.Seq()
	}
	done := (!more || err != nil) && d.pend == nil
	if done {
		var x [4]byte
		e, _ := err.(syscall.Errno)
		putU32(x[:], uint32(-int32(e)))
		flags := uint16(0)
		tlv := d.req.hasTLVs(e)
		if tlv {
			flags |= FlagTLVs
		}
		b.Begin(TypeDone, flags)
		b.Raw(x[:]...)
		if tlv {
			d.req.putTLVs(&b, e)
		}
		b.End()
	}
	if d.intr {
		markInterrupted(b.buf)
		d.intr = false
	}
	if done {
		s.mu.Lock()
		s.dump = nil
		s.mu.Unlock()
	}
	s.deliver(message{data: b.buf})
}

// markInterrupted sets NLM_F_DUMP_INTR in every message of a part.
func markInterrupted(b []byte) {
	for len(b) >= HeaderLen {
		b[6] |= FlagDumpIntr
		h := parseHeader(b)
		b = b[min(align4(int(h.Len)), len(b)):]
	}
}

// List is the Next of a dump of a list: put appends one message, or none.
func List[T any](list []T, put func(b *Builder, v T)) func(*Builder) (bool, error) {
	return func(b *Builder) (bool, error) {
		for at := b.Len(); len(list) > 0 && b.Len() == at; list = list[1:] {
			put(b, list[0])
		}
		return len(list) > 0, nil
	}
}
