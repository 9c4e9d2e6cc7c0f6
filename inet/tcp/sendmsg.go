package tcp

import (
	"syscall"

	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// wmemOverhead is what Linux charges for a segment beside its data.
const wmemOverhead = 960

// fewBytes is a write after which the caller does itself what the receiver on
// this machine has to do: less than it would cost to have somebody else do it.
const fewBytes = 4096

// chargeSkb counts a segment against the send buffer (Linux:
// tcp_skb_entail).
func (s *Sock) chargeSkb(b *skb.Buff) {
	c := b.Len() + wmemOverhead
	tx(b).charge = uint32(c)
	s.wmemQueued += c
	s.tcp.memory.ForceCharge(int64(c))
}

// growCharge follows n more bytes in a segment.
func (s *Sock) growCharge(b *skb.Buff, n int) {
	tx(b).charge += uint32(n)
	s.wmemQueued += n
	s.tcp.memory.ForceCharge(int64(n))
}

// chargeMove gives the part of a segment that was cut off its share.
func (s *Sock) chargeMove(b, c *skb.Buff) {
	n := uint32(c.Len())
	n = min(n, tx(b).charge)
	tx(b).charge -= n
	tx(c).charge = n + wmemOverhead
	s.wmemQueued += wmemOverhead
	s.tcp.memory.ForceCharge(wmemOverhead)
}

// freeTx ends a segment of the send queue (Linux: tcp_wmem_free_skb).
func (s *Sock) freeTx(b *skb.Buff) {
	c := int(tx(b).charge)
	s.wmemQueued -= c
	s.tcp.memFree(int64(c))
	tx(b).charge = 0
	b.Consume()
}

// QueuedMem implements sock.Stream: with SO_MEMINFO.
func (s *Sock) QueuedMem() int {
	s.lock()
	defer s.unlock()
	return s.wmemQueued
}

// writeQueuePurge drops everything to send (Linux: tcp_write_queue_purge).
func (s *Sock) writeQueuePurge() {
	s.purgeWrite()
	if s.zc != nil {
		s.zcAcked()
	}
	s.packetsOut = 0
	s.backoff = 0
	s.sackedOut, s.retransOut, s.lostOut = 0, 0, 0
}

func (s *Sock) purgeWrite() {
	for i := range s.wq.len() {
		s.freeTx(s.wq.at(i))
	}
	clear(s.wq.q)
	s.wq = sendQueue{q: s.wq.q[:0]}
	s.chronoStop(chronoBusy)
	s.dropFrag()
}

// dropFrag gives back the page sendmsg fills.
func (s *Sock) dropFrag() {
	if s.frag != nil {
		s.frag.Put()
		s.frag, s.fragOff = nil, 0
	}
}

// memoryFree reports whether more may be written (Linux: sk_stream_memory_free).
func (s *Sock) memoryFree() bool {
	return s.wmemQueued < s.SendBuffer() && s.notsentOK(0)
}

// notsentOK is __tcp_stream_memory_free: TCP_NOTSENT_LOWAT.
func (s *Sock) notsentOK(wake uint) bool {
	low := s.notsentLow
	if low == 0 {
		low = uint32(s.tcp.conf.notsentLow.Load())
	}
	return uint64(s.writeSeq-s.sndNxt)<<wake < uint64(low)
}

// writeable is sk_stream_is_writeable.
func (s *Sock) writeable() bool {
	return s.SendBuffer()-s.wmemQueued >= s.wmemQueued>>1 && s.notsentOK(1)
}

// checkSpace lets writers go on when ACKs made room (Linux: tcp_check_space,
// tcp_new_space).
func (s *Sock) checkSpace() {
	if s.wq.empty() && s.frag != nil {
		s.dropFrag()
	}
	if !s.NoSpace() {
		return
	}
	s.newSpace()
	if s.writeable() {
		s.wake(wakeSpace)
		s.chronoStop(chronoSndbuf)
	}
}

// newSpace grows the send buffer with the window (Linux: tcp_new_space,
// tcp_should_expand_sndbuf).
func (s *Sock) newSpace() {
	if s.Flag(sock.FlagSndBufLock) || s.underPressure() || !s.tcp.memBelowLow() || s.inFlight() >= s.cwnd {
		return
	}
	s.sndbufExpand()
}

// sndbufExpand is tcp_sndbuf_expand: twice what is needed for the window, with
// its overhead.
func (s *Sock) sndbufExpand() {
	per := max(s.opt.mssClamp, s.mssCache) + 320 + 320
	n := 1
	for n < per {
		n <<= 1
	}
	per = n + 256
	nr := max(s.cwnd, initCwnd, s.reordering+1)
	want := max(s.ca.sndExpand, 2) * int(nr) * per
	if s.SendBuffer() < want {
		s.StoreSndBuf(min(want, int(s.tcp.conf.wmem[2].Load())))
	}
}

// SendMsg writes to the connection (Linux: tcp_sendmsg). It returns the bytes
// taken. Errors: EPIPE after SHUT_WR or when the connection is gone, EAGAIN,
// the pending error.
func (s *Sock) SendMsg(m *sock.Msg, flags int) (int, error) {
	stamping := s.Stamping()
	if len(m.Control) > 0 {
		var c = s.InitCookie(flags)
		if err := s.ParseControl(&c, m.Control); err != nil {
			return 0, err
		}
		stamping = c.Stamping
	}
	if m.Len() <= fewBytes {
		s.lockBH()
	} else {
		s.lock()
	}
	n, err := s.sendLocked(m, flags, stamping)
	s.unlock()
	return n, err
}

func (s *Sock) sndTimeo(flags int) int64 {
	_, snd := s.Timeouts()
	return snd
}

// sendLocked is tcp_sendmsg_locked. stamping is which times of the last byte the
// program wants.
func (s *Sock) sendLocked(m *sock.Msg, flags int, stamping uint32) (int, error) {
	total := m.Len()
	inSyn := 0
	if flags&msgFastOpen != 0 || s.fastopen.deferConnect.Load() {
		var err error
		inSyn, err = s.sendFastOpen(m, total, flags)
		if err == syscall.EINPROGRESS && inSyn > 0 {
			s.zcEnd(s.zcBegin(flags, inSyn), inSyn, nil)
			return inSyn, nil
		} else if err != nil {
			return 0, s.sendError(0, flags, err)
		}
	}
	n, err := s.sendRest(m, inSyn, flags, stamping)
	if n <= 0 && inSyn > 0 {
		s.zcEnd(s.zcBegin(flags, inSyn), inSyn, nil) // else the rest stands for all
	}
	if n += inSyn; n > 0 {
		err = nil
	}
	return n, err
}

// sendRest writes all but the first skip bytes.
func (s *Sock) sendRest(m *sock.Msg, skip, flags int, stamping uint32) (int, error) {
	iov, total := m.Iov, m.Len()-skip
	if skip > 0 {
		iov = append([][]byte(nil), iov...)
		for skip > 0 {
			n := min(skip, len(iov[0]))
			skip -= n
			if iov[0] = iov[0][n:]; len(iov[0]) == 0 {
				iov = iov[1:]
			}
		}
	}
	s.rateCheckAppLimited()
	// The connection must be there, but for Fast Open.
	if !inStates(s.State(), fEstablished|fCloseWait) && !s.passiveFastopen() {
		if err := s.waitConnect(flags); err != nil {
			return 0, s.sendError(0, flags, err)
		}
	}
	if s.repairing() {
		if n, done, err := s.repairSend(m); done {
			return n, err
		}
	}
	mss, goal := s.sendMSS(flags&syscall.MSG_OOB != 0)
	if s.Error() != 0 || s.ShutdownBits()&sock.SendShutdown != 0 {
		return 0, s.sendError(0, flags, syscall.EPIPE)
	}
	it := sock.Iter{Iov: iov}
	done := 0
	zc := s.zcBegin(flags, total)
	for done < total {
		b := s.wq.tail()
		room := 0
		if b != nil && !tx(b).eor {
			room = goal - b.Len()
		}
		if room <= 0 {
			var err error
			if !s.memoryFree() {
				err = syscall.EAGAIN
			} else if b = s.newSegment(total - done); b == nil {
				err = syscall.ENOBUFS
			}
			if err != nil {
				if err = s.waitMemory(flags, done, mss); err != nil {
					return s.sendEnd(zc, done, mss, flags, stamping, err)
				}
				mss, goal = s.sendMSS(flags&syscall.MSG_OOB != 0)
				continue
			}
			room = goal
		}
		want := min(room, total-done)
		if zc != nil {
			if want = zc.limit(b, &it, want); want == 0 {
				s.zcFull(b)
				continue
			}
		}
		if want = s.wmemSchedule(want); want > 0 {
			want = s.fill(b, &it, want)
		}
		n := want
		if n == 0 {
			if len(b.Frags()) == skb.MaxFrags {
				tx(b).eor = true // its slots are used up: the next segment begins
				continue
			}
			if b.Len() == 0 {
				s.wq.remove(s.wq.len() - 1)
				s.freeTx(b)
				s.chronoStop(chronoBusy)
			}
			if err := s.waitMemory(flags, done, mss); err != nil {
				return s.sendEnd(zc, done, mss, flags, stamping, err)
			}
			mss, goal = s.sendMSS(flags&syscall.MSG_OOB != 0)
			continue
		}
		if done == 0 {
			tx(b).flags &^= header.TCPPsh
		}
		s.writeSeq += uint32(n)
		tx(b).end += uint32(n)
		tx(b).segs = 0
		s.growCharge(b, n)
		done += n
		if done == total {
			if flags&syscall.MSG_EOR != 0 {
				tx(b).eor = true
			}
			break
		}
		if b.Len() < goal || flags&syscall.MSG_OOB != 0 {
			continue
		}
		if s.forcedPush() {
			s.markPush(b)
			s.pushPending(mss, naglePush)
		} else if b == s.wq.sendHead() {
			s.pushOne(mss)
		}
	}
	return s.sendEnd(zc, done, mss, flags, stamping, nil)
}

// sendEnd pushes what was written and makes the result.
func (s *Sock) sendEnd(zc *zerocopy, done, mss, flags int, stamping uint32, err error) (int, error) {
	if done > 0 {
		s.wantTimes(stamping)
		s.zcEnd(zc, done, s.wq.tail())
		s.push(flags, mss, s.nonagle)
		return done, nil
	}
	if err == nil {
		return 0, nil
	}
	return 0, s.sendError(0, flags, err)
}

// sendError is sk_stream_error: the pending error comes before EPIPE.
func (s *Sock) sendError(_, _ int, err error) error {
	if err == syscall.EPIPE {
		if e := s.TakeError(); e != nil {
			return e
		}
	}
	return err
}

// newSegment adds an empty segment to the queue (Linux: tcp_stream_alloc_skb,
// tcp_skb_entail). n is how much is to come: little of it fits the page of the
// headers.
func (s *Sock) newSegment(n int) *skb.Buff {
	s.slowStartAfterIdleCheck()
	if !s.memMay(wmemOverhead, false) {
		return nil
	}
	b := s.tcp.cache.Alloc(frontRoom)
	if b == nil {
		return nil
	}
	b.Reserve(frontRoom)
	*tx(b) = txCB{seq: s.writeSeq, end: s.writeSeq, flags: header.TCPAck}
	s.chargeSkb(b)
	s.wq.push(b)
	s.chronoStart(chronoBusy)
	if s.nonagle&naglePush != 0 {
		s.nonagle &^= naglePush
	}
	return b
}

// fill copies up to n bytes into b, once: into the page of the headers if all
// of it fits there, or into fragments of the sock's page. It returns what was
// copied, 0 when memory ran out or b has no slot left.
func (s *Sock) fill(b *skb.Buff, it *sock.Iter, n int) int {
	if n <= b.Tailroom() && !b.Cloned() {
		return it.Read(b.Put(n))
	}
	done := 0
	for done < n {
		if s.frag == nil || s.fragOff == len(s.frag.Bytes()) {
			s.dropFrag()
			if s.frag = s.tcp.cache.Pool().Alloc(); s.frag == nil {
				return done
			}
		}
		if !b.CanAppend(s.frag, s.fragOff) {
			return done
		}
		p := s.frag.Bytes()[s.fragOff:]
		p = p[:min(len(p), n-done)]
		c := it.Read(p)
		if c == 0 || !b.AppendFrag(s.frag, s.fragOff, c) {
			return done
		}
		s.fragOff += c
		done += c
	}
	return done
}

// forcedPush reports whether half of the largest window was written since the
// last push (Linux: forced_push).
func (s *Sock) forcedPush() bool { return after(s.writeSeq, s.pushedSeq+s.maxWnd>>1) }

func (s *Sock) markPush(b *skb.Buff) {
	tx(b).flags |= header.TCPPsh
	s.pushedSeq = s.writeSeq
}

// push sends what was written (Linux: tcp_push).
func (s *Sock) push(flags, mss int, nonagle uint8) {
	b := s.wq.tail()
	if b == nil {
		return
	}
	s.xmitGoal = max(s.xmitGoal, mss)
	if flags&sock.MSG_MORE == 0 || s.forcedPush() {
		s.markPush(b)
	}
	if flags&syscall.MSG_OOB != 0 {
		s.sndUp = s.writeSeq
		s.urgMode = true
	}
	if s.autocork(b) {
		s.tcp.inc(mib.TCPAutoCorking)
		s.throttle()
		// It may all have been freed between look and mark.
		if s.WmemAlloc() > b.Truesize() {
			return
		}
	}
	if flags&sock.MSG_MORE != 0 {
		nonagle = nagleCork
	}
	s.pushPending(mss, nonagle)
}

// autocork holds a small segment back while others of this sock wait in the
// device's queue (Linux: tcp_should_autocork).
func (s *Sock) autocork(b *skb.Buff) bool {
	return b.Len() < s.xmitGoal && s.tcp.conf.autocork.Load() != 0 && s.wq.sent() > 0 && s.WmemAlloc() > b.Truesize()
}

// waitMemory waits for room to write, after pushing what there is (Linux:
// sk_stream_wait_memory). The sock is owned before and after.
func (s *Sock) waitMemory(flags, done, mss int) error {
	s.SetNoSpace()
	if done > 0 {
		s.push(flags&^sock.MSG_MORE, mss, naglePush)
	}
	if s.wq.empty() && s.frag != nil {
		s.dropFrag()
	}
	if flags&syscall.MSG_DONTWAIT != 0 {
		return syscall.EAGAIN
	}
	s.writePending++
	timeout := s.sndTimeo(flags)
	short := s.memoryFree()
	if short {
		// The buffer has room, the stack has no memory: try again soon.
		timeout = 2*ms + int64(s.tcp.random()%200)*ms
	}
	s.unlock()
	err := s.WaitEvent(true, timeout, func() (bool, error) {
		if s.Error() != 0 || s.ShutdownBits()&sock.SendShutdown != 0 {
			return true, nil
		}
		s.SetNoSpace()
		return !short && s.pub.bits.Load()&pubFree != 0, nil
	})
	s.lock()
	s.writePending--
	if err != nil && !short {
		return err
	}
	if s.Error() != 0 || s.ShutdownBits()&sock.SendShutdown != 0 {
		return syscall.EPIPE
	}
	return nil
}

// waitConnect waits until the connection is open (Linux:
// sk_stream_wait_connect).
func (s *Sock) waitConnect(flags int) error {
	for {
		st := s.State()
		if s.Error() != 0 {
			return s.TakeError()
		}
		if inStates(st, fEstablished|fCloseWait) {
			return nil
		}
		if !inStates(st, fSynSent|fSynRecv) {
			return syscall.EPIPE
		}
		if flags&syscall.MSG_DONTWAIT != 0 {
			return syscall.EAGAIN
		}
		s.writePending++
		s.unlock()
		err := s.WaitEvent(true, s.sndTimeo(flags), func() (bool, error) {
			return s.Error() != 0 || !inStates(s.State(), fSynSent|fSynRecv), nil
		})
		s.lock()
		s.writePending--
		if err != nil {
			return err
		}
	}
}
