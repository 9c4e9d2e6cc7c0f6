package tcp

import (
	"sync/atomic"
	"syscall"

	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// RecvMsg reads from the connection (Linux: tcp_recvmsg). 0 without error is
// the end of the stream. Errors: ENOTCONN, EAGAIN, the pending error.
func (s *Sock) RecvMsg(m *sock.Msg, flags int) (int, error) {
	if flags&syscall.MSG_ERRQUEUE != 0 {
		return s.RecvError(m)
	}
	s.lock()
	n, err := s.recvLocked(m, flags)
	inq, wants := s.inqHint(), s.inq
	s.unlock()
	if err == nil && wants && n >= 0 {
		var p [4]byte
		putInt32(p[:], inq)
		m.PutCmsg(syscall.SOL_TCP, tcpCmInq, p[:])
	}
	return n, err
}

// inqHint is what TCP_INQ tells: the bytes that wait, a FIN counted, so that the
// program reads once more (Linux: tcp_inq_hint).
func (s *Sock) inqHint() int {
	n := int(s.rcvNxt - s.copied)
	if n == 0 && s.Flag(flagDone) {
		n = 1
	}
	return n
}

func putInt32(p []byte, v int) {
	p[0], p[1], p[2], p[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
}

// readable is tcp_inq: the bytes a read would return.
func (s *Sock) readable() int {
	switch {
	case inStates(s.State(), fSynSent|fSynRecv):
		return 0
	case s.Flag(sock.FlagOOBInline) || s.urgData == 0 || before(s.urgSeq, s.copied) || !before(s.urgSeq, s.rcvNxt):
		n := int(s.rcvNxt - s.copied)
		if n > 0 && s.finReceived() {
			n-- // the FIN is no byte
		}
		return n
	}
	return int(s.urgSeq - s.copied)
}

// finReceived reports whether the FIN is counted in rcvNxt.
func (s *Sock) finReceived() bool { return s.ShutdownBits()&sock.RcvShutdown != 0 && s.finSeen() }

func (s *Sock) finSeen() bool {
	b := s.rq.Tail()
	return b != nil && rx(b).flags&header.TCPFin != 0
}

// recvLocked is tcp_recvmsg_locked.
func (s *Sock) recvLocked(m *sock.Msg, flags int) (int, error) {
	if s.State() == Listen {
		return 0, syscall.ENOTCONN
	}
	if flags&syscall.MSG_OOB != 0 {
		return s.recvUrg(m, flags)
	}
	if s.repairing() {
		if n, done, err := s.repairPeek(m, flags); done {
			return n, err
		}
	}
	want := m.Len()
	peek := flags&syscall.MSG_PEEK != 0
	seq := s.copied
	peekOff := -1
	if peek {
		if peekOff = s.PeekOffset(flags); peekOff > 0 {
			seq += uint32(peekOff)
		}
	}
	target := min(s.Lowat(), want)
	if flags&syscall.MSG_WAITALL != 0 {
		target = want
	}
	target = max(target, 1)
	rcvTimeo, _ := s.Timeouts()
	var out outIter
	out.iov = m.Iov
	trunc := flags&syscall.MSG_TRUNC != 0
	done := 0
	fresh := false // refresh was called
	for {
		// Urgent data ends a read, so that the mark can be found.
		if s.urgData != 0 && s.urgSeq == seq && done > 0 {
			break
		}
		b, off := s.findData(seq)
		if b != nil {
			cb := rx(b)
			used := b.Len() - off
			if used > want-done {
				used = want - done
			}
			if s.urgData != 0 {
				if u := int(s.urgSeq - seq); u >= 0 && u < used {
					switch {
					case u > 0:
						used = u
					case !s.Flag(sock.FlagOOBInline):
						// The urgent byte is not part of the stream.
						seq++
						off++
						used--
						if !peek {
							s.copied = seq
						}
					}
				}
			}
			if used > 0 {
				if !trunc && !out.copy(b, off, used) {
					if done == 0 {
						return 0, syscall.EFAULT
					}
					break
				}
				seq += uint32(used)
				done += used
				want = m.Len()
				if !peek {
					s.copied = seq
				}
			}
			if !peek {
				if !fresh {
					s.refresh()
					fresh = true
				}
				s.rcvSpaceAdjust()
			}
			if s.urgData != 0 && after(seq, s.urgSeq) {
				s.urgData = 0
				s.fastPathCheck()
			}
			if off+used < b.Len() {
				if done < want {
					continue
				}
				break
			}
			fin := cb.flags&header.TCPFin != 0
			if fin {
				seq++
				if !peek {
					s.copied = seq
				}
			}
			if !peek {
				s.eatSkb(b)
			}
			if fin {
				break
			}
			if done < want {
				continue
			}
			break
		}
		if done >= target {
			break
		}
		// Nothing there.
		if done > 0 {
			if s.Error() != 0 || s.State() == Close || s.ShutdownBits()&sock.RcvShutdown != 0 || flags&syscall.MSG_DONTWAIT != 0 {
				break
			}
		} else {
			if s.Flag(flagDone) {
				break
			}
			if err := s.TakeError(); err != nil {
				return 0, err
			}
			if s.ShutdownBits()&sock.RcvShutdown != 0 {
				break
			}
			if s.State() == Close {
				return 0, syscall.ENOTCONN
			}
			if flags&syscall.MSG_DONTWAIT != 0 {
				return 0, syscall.EAGAIN
			}
			if want == 0 {
				break
			}
		}
		s.cleanupRbuf(done)
		fresh = false
		if err := s.waitData(rcvTimeo, seq); err != nil {
			if done > 0 {
				break
			}
			return 0, err
		}
		if peek && s.copied != seq-uint32(done)-uint32(max(peekOff, 0)) {
			seq = s.copied // another read took it
		} else if !peek {
			seq = s.copied // the connection may have opened meanwhile
		}
	}
	if peek {
		if peekOff >= 0 {
			s.MovePeekOffset(flags, done)
		}
		return done, nil
	}
	s.MovePeekOffset(flags, done)
	s.cleanupRbuf(done)
	return done, nil
}

// findData returns the segment that has seq, and where in it.
func (s *Sock) findData(seq uint32) (*skb.Buff, int) {
	for b := s.rq.Head(); b != nil; b = b.Next() {
		cb := rx(b)
		off := int(int32(seq - cb.seq))
		if off < 0 {
			return nil, 0
		}
		if off < b.Len() || cb.flags&header.TCPFin != 0 && off == b.Len() {
			return b, off
		}
	}
	return nil, 0
}

// eatSkb ends a segment that was read (Linux: tcp_eat_recv_skb).
func (s *Sock) eatSkb(b *skb.Buff) {
	s.rq.Remove(b)
	s.unchargeRx(b)
	b.Consume()
}

// outIter writes into an iov from the front.
type outIter struct {
	iov [][]byte
	off int
}

// copy copies n bytes of b from off on.
func (o *outIter) copy(b *skb.Buff, off, n int) bool {
	for n > 0 {
		for len(o.iov) > 0 && o.off == len(o.iov[0]) {
			o.iov, o.off = o.iov[1:], 0
		}
		if len(o.iov) == 0 {
			return false
		}
		p := o.iov[0][o.off:]
		p = p[:min(len(p), n)]
		if b.CopyBits(off, p) != len(p) {
			return false
		}
		o.off += len(p)
		off += len(p)
		n -= len(p)
	}
	return true
}

// waitData waits until something beyond seq is there, or never will be (Linux:
// sk_wait_data). The sock is owned before and after.
func (s *Sock) waitData(timeout int64, seq uint32) error {
	const opening = fSynSent | fSynRecv
	early := inStates(s.State(), opening)
	s.unlock()
	err := s.WaitEvent(false, timeout, func() (bool, error) {
		if s.Error() != 0 || s.ShutdownBits()&sock.RcvShutdown != 0 || s.State() == Close {
			return true, nil
		}
		if early && !inStates(s.State(), opening) {
			return true, nil // seq is of before the peer's SYN
		}
		return after(s.pub.rcvNxt.Load(), seq) || s.pub.bits.Load()&pubUrg != 0, nil
	})
	s.lock()
	return err
}

// cleanupRbuf tells the peer of the room a read made, if that is worth an ACK
// (Linux: tcp_cleanup_rbuf, __tcp_cleanup_rbuf).
func (s *Sock) cleanupRbuf(copied int) {
	send := false
	if s.ackScheduled() {
		a := &s.ack
		if s.rcvNxt-s.rcvWup > uint32(a.rcvMSS) ||
			copied > 0 && (a.pending&ackPushed2 != 0 || a.pending&ackPushed != 0 && !s.inPingpong()) && s.rmem == 0 {
			send = true
		}
	}
	if copied > 0 && !send && s.ShutdownBits()&sock.RcvShutdown == 0 {
		// Twice the window or more: the sender should know.
		if now := s.receiveWindow(); 2*now <= s.winClamp {
			if nw := s.computeWindow(); nw != 0 && nw >= 2*now {
				send = true
			}
		}
	}
	if send {
		s.refresh()
		s.sendAck()
	}
}

// recvUrg reads the urgent byte (Linux: tcp_recv_urg). EINVAL when there is
// none, EAGAIN when it has not arrived.
func (s *Sock) recvUrg(m *sock.Msg, flags int) (int, error) {
	if s.Flag(sock.FlagOOBInline) || s.urgData == 0 || s.urgData == urgRead {
		return 0, syscall.EINVAL
	}
	if s.State() == Close && !s.Flag(flagDone) {
		return 0, syscall.ENOTCONN
	}
	if s.urgData&urgValid != 0 {
		c := byte(s.urgData)
		if flags&syscall.MSG_PEEK == 0 {
			s.urgData = urgRead
		}
		m.Flags |= syscall.MSG_OOB
		if m.Len() > 0 {
			for _, v := range m.Iov {
				if len(v) > 0 {
					v[0] = c
					break
				}
			}
			return 1, nil
		}
		m.Flags |= syscall.MSG_TRUNC
		return 0, nil
	}
	if s.State() == Close || s.ShutdownBits()&sock.RcvShutdown != 0 {
		return 0, nil
	}
	return 0, syscall.EAGAIN
}

// published is what others may know of a sock without its lock. It is brought
// up to date whenever the lock is given up, before anybody is woken.
type published struct {
	bits           atomic.Uint32
	rcvNxt         atomic.Uint32
	sndUna, sndNxt atomic.Uint32
	rmem           atomic.Uint32
}

const (
	pubRead  uint32 = 1 << iota // enough to read
	pubWrite                    // room to write, as poll sees it
	pubFree                     // room to write, as a writer sees it
	pubUrg                      // an urgent byte is there
)

// publish is called with the sock locked.
func (s *Sock) publish() {
	var v uint32
	if s.urgData != 0 && s.urgSeq == s.copied && !s.Flag(sock.FlagOOBInline) {
		// The byte at the mark does not count.
		if avail := int32(s.rcvNxt - s.copied); avail > 1 && int(avail) >= s.Lowat()+1 {
			v |= pubRead
		}
	} else if s.enoughToRead() {
		v |= pubRead
	}
	if s.urgData&urgValid != 0 {
		v |= pubUrg
	}
	if s.memoryFree() {
		v |= pubFree
	}
	if s.writeable() {
		v |= pubWrite
	}
	p := &s.pub
	change(&p.rcvNxt, s.rcvNxt)
	change(&p.sndUna, s.sndUna)
	change(&p.sndNxt, s.sndNxt)
	change(&p.rmem, uint32(s.rmem))
	if old := p.bits.Load(); v != old {
		p.bits.Store(v)
		if v&(pubWrite|pubFree)&^old != 0 && s.NoSpace() {
			s.wake(wakeSpace)
		}
	}
}

// change stores what is not there already: most of it is, and to look costs next
// to nothing.
func change(a *atomic.Uint32, v uint32) {
	if a.Load() != v {
		a.Store(v)
	}
}

// Poll is tcp_poll. It takes no lock of the sock: each event is announced when
// it happens.
func (s *Sock) Poll() uint16 {
	st := s.State()
	if st == Listen {
		if s.extra != nil && s.extra.n.Load() > 0 {
			return sock.EventIn | sock.EventRdNorm
		}
		return 0
	}
	var ev uint16
	sd := s.ShutdownBits()
	if sd == sock.RcvShutdown|sock.SendShutdown || st == Close {
		ev |= sock.EventHup
	}
	if sd&sock.RcvShutdown != 0 {
		ev |= sock.EventIn | sock.EventRdNorm | sock.EventRdHup
	}
	if st == SynSent && s.fastopen.deferConnect.Load() {
		// The first write sends the SYN.
		ev |= sock.EventOut | sock.EventWrNorm
	}
	if st != SynSent && (st != SynRecv || s.fastopen.rsk.Load() != nil) {
		pub := s.pub.bits.Load()
		if sd&sock.SendShutdown == 0 && pub&pubWrite == 0 {
			// Ask to be told, and look again.
			s.SetNoSpace()
			pub = s.pub.bits.Load()
		}
		if pub&pubRead != 0 {
			ev |= sock.EventIn | sock.EventRdNorm
		}
		if sd&sock.SendShutdown != 0 || pub&pubWrite != 0 {
			ev |= sock.EventOut | sock.EventWrNorm
		}
		if pub&pubUrg != 0 {
			ev |= sock.EventPri
		}
	}
	if s.Error() != 0 || s.ErrQueued() {
		ev |= sock.EventErr
	}
	return ev
}

// Ioctl is tcp_ioctl: SIOCINQ, SIOCATMARK, SIOCOUTQ, SIOCOUTQNSD. EINVAL for
// the queues of a listener, ENOTTY for other requests.
func (s *Sock) Ioctl(cmd uint, arg []byte) error {
	v := 0
	s.lock()
	defer s.unlock()
	st := s.State()
	switch cmd {
	case syscall.TIOCINQ:
		if st == Listen {
			return syscall.EINVAL
		}
		v = s.readable()
	case 0x8905: // SIOCATMARK
		if s.urgData != 0 && s.urgSeq == s.copied {
			v = 1
		}
	case syscall.TIOCOUTQ:
		if st == Listen {
			return syscall.EINVAL
		}
		if !inStates(st, fSynSent|fSynRecv) {
			v = int(s.writeSeq - s.sndUna)
		}
	case 0x894b: // SIOCOUTQNSD
		if st == Listen {
			return syscall.EINVAL
		}
		if !inStates(st, fSynSent|fSynRecv) {
			v = int(s.writeSeq - s.sndNxt)
		}
	default:
		return syscall.ENOTTY
	}
	if len(arg) < 4 {
		return syscall.EFAULT
	}
	putInt32(arg, v)
	return nil
}
