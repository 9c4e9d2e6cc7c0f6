package tcp

import (
	"barewire/inet/header"
	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/skb"
)

// Scheduling of ACKs.

func (s *Sock) ackScheduled() bool { return s.ack.pending&ackSched != 0 }
func (s *Sock) scheduleAck()       { s.ack.pending |= ackSched }

func (s *Sock) inPingpong() bool {
	return s.ack.pingpong >= uint8(s.tcp.conf.pingpong.Load())
}
func (s *Sock) enterPingpong() { s.ack.pingpong = uint8(s.tcp.conf.pingpong.Load()) }
func (s *Sock) exitPingpong()  { s.ack.pingpong = 0 }
func (s *Sock) incPingpong() {
	if s.ack.pingpong < 255 {
		s.ack.pingpong++
	}
}

// incQuickack is tcp_incr_quickack: ACKs at once for about half a window.
func (s *Sock) incQuickack(most uint32) {
	n := uint32(2)
	if m := uint32(s.ack.rcvMSS); m != 0 {
		n = s.rcvWnd / (2 * m)
	}
	n = min(max(n, 2), most)
	s.ack.quick = max(s.ack.quick, uint8(n))
}

func (s *Sock) decQuickack() {
	if s.ack.quick == 0 {
		return
	}
	if s.ack.quick--; s.ack.quick == 0 {
		s.ack.ato = atoMin
	}
}

// enterQuickack is tcp_enter_quickack_mode.
func (s *Sock) enterQuickack(most uint32) {
	s.incQuickack(most)
	s.exitPingpong()
	s.ack.ato = atoMin
}

func (s *Sock) inQuickack() bool { return s.ack.quick != 0 && !s.inPingpong() }

// sendDelayedAck is tcp_send_delayed_ack.
func (s *Sock) sendDelayedAck() {
	a := &s.ack
	ato := a.ato
	now := s.tcp.now()
	if ato > delackMin {
		most := sec / 2
		if s.inPingpong() || a.pending&ackPushed != 0 {
			most = delackMax
		}
		// As long as a round trip at most, if that is known.
		if s.srtt != 0 {
			most = min(most, max((int64(s.srtt>>3)+999)/1000*ms, delackMin))
		}
		ato = min(ato, most)
	}
	ato = min(ato, s.delackMax)
	at := now + ato
	if a.pending&ackTimer != 0 {
		// Nearly due: do not wait for it.
		if a.timeout <= now+ato>>2 {
			s.sendAck()
			return
		}
		at = min(at, a.timeout)
	}
	a.pending |= ackSched | ackTimer
	a.timeout = at
	s.dack.Mod(at)
}

// ofoAck acknowledges while something is missing (Linux: the end of
// __tcp_ack_snd_check): at once. Compression of SACKs is not done.
func (s *Sock) ofoAck() { s.sendAck() }

// Space.

// scalingDefault is the share of the receive buffer that is window, of 256
// (Linux: tcp_adv_win_scale by way of tcp_scaling_ratio).
func (t *TCP) scalingDefault() uint8 { return 128 }

// winFromSpace is tcp_win_from_space.
func (s *Sock) winFromSpace(n int) int { return int(int64(n) * int64(s.scaling) >> scalingFull) }

// spaceFromWin is tcp_space_from_win.
func (s *Sock) spaceFromWin(w int) int { return int(int64(w) << scalingFull / int64(s.scaling)) }

func (s *Sock) space0() int { return s.ReceiveBuffer() - s.rmem }

// space is tcp_space.
func (s *Sock) space() int { return s.winFromSpace(max(s.space0(), 0)) }

// fullSpace is tcp_full_space.
func (s *Sock) fullSpace() int { return s.winFromSpace(s.ReceiveBuffer()) }

// underPressure is tcp_under_memory_pressure.
func (s *Sock) underPressure() bool {
	m := s.tcp.memory
	return m.Used() > m.Limit()/3*2
}

// rxTruesize is what a received segment counts against SO_RCVBUF.
// The window follows from it, so it is what Linux counts for a packet that came
// over a TUN device, or any driver that copies: struct sk_buff, and a data area
// of the allocator's next size for headroom, packet and shared info.
func rxTruesize(b *skb.Buff) int {
	const skBuff, shinfo, small = 256, 320, 704
	n := b.Len() - b.NetworkOffset() + skb.Pad + shinfo
	switch {
	case n <= small:
		return skBuff + small
	case n <= 4096:
		size := 1024
		for size < n {
			size <<= 1
		}
		return skBuff + size
	}
	return skBuff + (n+4095)&^4095
}

// chargeRx takes a segment's memory (Linux: tcp_try_rmem_schedule). False
// means that there is no room even after pruning.
func (s *Sock) chargeRx(b *skb.Buff) bool {
	cb := rx(b)
	c := rxTruesize(b)
	if s.rmem+c > s.ReceiveBuffer() && s.rmem > 0 {
		if !s.prune(c) {
			return false
		}
	}
	real := b.Truesize()
	if !s.tcp.memory.Charge(int64(real)) {
		return false
	}
	cb.charge, cb.real = uint32(c), uint32(real)
	s.rmem += c
	return true
}

// unchargeRx gives it back.
func (s *Sock) unchargeRx(b *skb.Buff) {
	cb := rx(b)
	s.rmem -= int(cb.charge)
	s.tcp.memory.Uncharge(int64(cb.real))
	cb.charge, cb.real = 0, 0
}

// prune makes room in the receive buffer (Linux: tcp_prune_queue): of what
// came out of order the last goes first, since it is needed last.
func (s *Sock) prune(need int) bool {
	s.tcp.inc(mib.PruneCalled)
	if s.rmem >= s.ReceiveBuffer() {
		s.clampWindow()
	} else if s.underPressure() {
		s.rcvSSThr = min(s.rcvSSThr, uint32(4*s.advMSS))
	}
	if s.rmem+need <= s.ReceiveBuffer() {
		return true
	}
	if len(s.ofo.q) > 0 {
		s.tcp.inc(mib.OfoPruned)
		for len(s.ofo.q) > 0 && s.rmem+need > s.ReceiveBuffer()-s.ReceiveBuffer()>>3 {
			i := len(s.ofo.q) - 1
			b := s.ofo.q[i]
			s.ofo.remove(i)
			s.unchargeRx(b)
			b.Free(skb.TCPOFODrop)
		}
		// What was SACKed is gone: the peer will notice (RFC 2018 section 8).
		s.numSacks = 0
	}
	if s.rmem <= s.ReceiveBuffer() {
		return true
	}
	s.tcp.inc(mib.RcvPruned)
	s.pred = predict{}
	return false
}

// clampWindow is tcp_clamp_window.
func (s *Sock) clampWindow() {
	most := int(s.tcp.conf.rmem[2].Load())
	if s.ReceiveBuffer() < most && !s.Flag(sock.FlagRcvBufLock) && !s.underPressure() {
		s.StoreRcvBuf(min(s.rmem, most))
	}
	if s.rmem > s.ReceiveBuffer() {
		s.rcvSSThr = min(s.winClamp, uint32(2*s.advMSS))
	}
}

// Out of order.

// ofoQueue keeps a segment that came before its time (Linux:
// tcp_data_queue_ofo; RFC 2018). Consumes b.
func (s *Sock) ofoQueue(b *skb.Buff) {
	t := s.tcp
	cb := rx(b)
	if !s.chargeRx(b) {
		t.inc(mib.TCPOFODrop)
		discard(b, skb.ProtoMem)
		return
	}
	s.pred = predict{}
	s.scheduleAck()
	s.rcvOOO += max(1, uint32(cb.gsoSegs))
	t.inc(mib.TCPOFOQueue)
	seq, end := cb.seq, cb.end
	i := s.ofo.find(seq)
	// What the one before it has need not be kept twice.
	if i > 0 {
		p := s.ofo.q[i-1]
		pc := rx(p)
		if before(seq, pc.end) {
			if !after(end, pc.end) {
				t.inc(mib.TCPOFOMerge)
				s.unchargeRx(b)
				s.dsackSet(seq, end)
				discard(b, skb.TCPOFOMerge)
				s.sackNew(seq, end)
				return
			}
			if after(seq, pc.seq) {
				s.dsackSet(seq, pc.end)
			} else {
				// The new one has all of the old one.
				s.dsackExtend(pc.seq, pc.end)
				t.inc(mib.TCPOFOMerge)
				s.unchargeRx(p)
				p.Free(skb.TCPOFOMerge)
				i--
				s.ofo.remove(i)
			}
		}
	}
	s.ofo.insert(i, b)
	for i+1 < len(s.ofo.q) {
		n := s.ofo.q[i+1]
		nc := rx(n)
		if !after(end, nc.seq) {
			break
		}
		if before(end, nc.end) {
			s.dsackExtend(nc.seq, end)
			break
		}
		s.dsackExtend(nc.seq, nc.end)
		t.inc(mib.TCPOFOMerge)
		s.ofo.remove(i + 1)
		s.unchargeRx(n)
		n.Free(skb.TCPOFOMerge)
	}
	if s.isSack() {
		s.sackNew(seq, end)
	}
	s.growWindow(b, false)
}

// ofoDrain moves what is in order now to the receive queue (Linux:
// tcp_ofo_queue).
func (s *Sock) ofoDrain() {
	dsackHigh := s.rcvNxt
	for len(s.ofo.q) > 0 {
		b := s.ofo.q[0]
		cb := rx(b)
		if after(cb.seq, s.rcvNxt) {
			break
		}
		if before(cb.seq, dsackHigh) {
			d := dsackHigh
			if before(cb.end, dsackHigh) {
				dsackHigh = cb.end
			}
			s.dsackExtend(cb.seq, d)
		}
		s.ofo.remove(0)
		if !after(cb.end, s.rcvNxt) {
			s.unchargeRx(b)
			b.Free(skb.TCPOFODrop)
			continue
		}
		if off := int(s.rcvNxt - cb.seq); off > 0 {
			if b.Len() < off || !b.PullAny(off) {
				s.unchargeRx(b)
				b.Free(skb.NoMem)
				continue
			}
			cb.seq = s.rcvNxt
		}
		fin := cb.flags&header.TCPFin != 0
		s.queueRcv(b)
		if fin {
			s.fin()
			return
		}
	}
}

func (s *Sock) ofoPurge() {
	for i, b := range s.ofo.q {
		s.unchargeRx(b)
		b.Free(skb.QueuePurge)
		s.ofo.q[i] = nil
	}
	s.ofo.q = s.ofo.q[:0]
}

// sackNew puts what just came first in the blocks to send (Linux:
// tcp_sack_new_ofo_skb; RFC 2018 section 4).
func (s *Sock) sackNew(seq, end uint32) {
	n := s.numSacks
	for i := range n {
		x := &s.sacks[i]
		if !after(seq, x.end) && !before(end, x.start) {
			if before(seq, x.start) {
				x.start = seq
			}
			if after(end, x.end) {
				x.end = end
			}
			// It moves to the front; what it touches now is one with it.
			y := *x
			copy(s.sacks[1:i+1], s.sacks[:i])
			s.sacks[0] = y
			s.sackMerge()
			return
		}
	}
	if n == sackBlocks {
		n--
	}
	copy(s.sacks[1:], s.sacks[:n])
	s.sacks[0] = sackBlock{seq, end}
	s.numSacks = n + 1
}

// sackMerge joins blocks the first one has grown into (Linux:
// tcp_sack_maybe_coalesce).
func (s *Sock) sackMerge() {
	first := &s.sacks[0]
	for i := 1; i < s.numSacks; {
		x := s.sacks[i]
		if !after(x.start, first.end) && !before(x.end, first.start) {
			if before(x.start, first.start) {
				first.start = x.start
			}
			if after(x.end, first.end) {
				first.end = x.end
			}
			copy(s.sacks[i:], s.sacks[i+1:s.numSacks])
			s.numSacks--
			i = 1
			continue
		}
		i++
	}
}

// sackRemove drops blocks that were reached (Linux: tcp_sack_remove).
func (s *Sock) sackRemove() {
	if len(s.ofo.q) == 0 {
		s.numSacks = 0
		return
	}
	k := 0
	for _, x := range s.sacks[:s.numSacks] {
		if before(s.rcvNxt, x.start) {
			s.sacks[k] = x
			k++
		}
	}
	s.numSacks = k
}

// What arriving segments teach.

// initRcvMSS is tcp_initialize_rcv_mss.
func (s *Sock) initRcvMSS() {
	hint := min(s.advMSS, s.mssCache)
	hint = min(hint, int(s.rcvWnd/2))
	hint = min(hint, mssDefault)
	s.ack.rcvMSS = uint16(max(hint, minMSS))
}

// measureRcvMSS is tcp_measure_rcv_mss.
func (s *Sock) measureRcvMSS(b *skb.Buff) {
	a := &s.ack
	last := a.lastSegSize
	a.lastSegSize = 0
	cb := rx(b)
	n := b.Len()
	if g := int(b.Shinfo().GSOSize); g != 0 {
		n = g
	}
	if n >= int(a.rcvMSS) {
		if n != int(a.rcvMSS) {
			ratio := uint64(b.Len()) << scalingFull / uint64(max(int(cb.charge), 1))
			old := s.scaling
			s.scaling = uint8(min(max(ratio, 1), 255))
			if old != s.scaling {
				w := s.winFromSpace(s.ReceiveBuffer())
				s.setWindowClamp(uint32(max(w, 0)))
				s.rcvSpace.space = min(s.rcvSpace.space, s.winClamp)
			}
		}
		a.rcvMSS = uint16(min(n, s.advMSS))
		if cb.flags&header.TCPPsh != 0 {
			a.pending |= ackPushed
		}
		return
	}
	// Smaller, but maybe as large as the peer makes them.
	hl := header.TCP(b.TransportHeader()).HeaderLen()
	n += hl
	if n >= mssDefault+header.TCPMinLen ||
		n >= minMSS+header.TCPMinLen && cb.flags&(header.TCPPsh|header.TCPFin|header.TCPUrg|header.TCPRst|header.TCPSyn) == 0 {
		n -= s.headerLen
		a.lastSegSize = uint16(n)
		if uint16(n) == last {
			a.rcvMSS = uint16(n)
			return
		}
	}
	if a.pending&ackPushed != 0 {
		a.pending |= ackPushed2
	}
	a.pending |= ackPushed
}

// setWindowClamp is tcp_set_window_clamp.
func (s *Sock) setWindowClamp(v uint32) {
	if s.State() == Listen {
		s.winClamp = v
		return
	}
	old := s.winClamp
	s.winClamp = v
	if v == old {
		return
	}
	if v > old {
		s.rcvSSThr = max(s.rcvSSThr, min(s.rcvWnd, v))
	} else {
		s.rcvSSThr = min(s.rcvSSThr, v)
	}
}

// growWindow opens the window as far as the buffer is used well (Linux:
// tcp_grow_window).
func (s *Sock) growWindow(b *skb.Buff, adjust bool) {
	room := int(min(s.winClamp, uint32(max(s.space(), 0)))) - int(s.rcvSSThr)
	if room <= 0 || s.underPressure() {
		return
	}
	var incr int
	if s.winFromSpace(int(rx(b).charge)) <= b.Len() {
		incr = 2 * s.advMSS
	} else {
		incr = s.growWindowSmall(b)
	}
	if incr != 0 {
		incr = max(incr, 2*b.Len())
		s.rcvSSThr += uint32(min(room, incr))
		s.ack.quick |= 1
	} else if adjust {
		// Small segments: the window cannot be what the buffer holds of them.
		s.rcvSSThr = min(s.rcvSSThr, s.winClamp)
	}
}

// growWindowSmall is __tcp_grow_window: how much for segments that waste their
// buffers.
func (s *Sock) growWindowSmall(b *skb.Buff) int {
	truesize := s.winFromSpace(int(rx(b).charge)) >> 1
	window := s.winFromSpace(int(s.tcp.conf.rmem[2].Load())) >> 1
	for int(s.rcvSSThr) <= window {
		if truesize <= b.Len() {
			return 2 * int(s.ack.rcvMSS)
		}
		truesize >>= 1
		window >>= 1
	}
	return 0
}

// rcvRTT measures the round trip from the receiving side (Linux: rcv_rtt_est).
type rcvRTT struct {
	rtt  uint32 // us, shifted by 3
	seq  uint32
	time int64 // us
	last uint32
}

// rcvSpace measures how fast the program reads (Linux: rcvq_space).
type rcvSpace struct {
	space uint32
	seq   uint32
	time  int64 // us
}

func (s *Sock) rcvRTTUpdate(sample uint32, winDep bool) {
	r := s.rcvRTT.rtt
	m := sample << 3
	if r != 0 {
		if !winDep {
			s.rcvRTT.rtt = r - r>>3 + sample
		} else {
			s.rcvRTT.rtt = min(m, r)
		}
	} else {
		s.rcvRTT.rtt = m
	}
}

// rcvRTTMeasure takes a sample for every window received.
func (s *Sock) rcvRTTMeasure() {
	r := &s.rcvRTT
	if r.time != 0 {
		if before(s.rcvNxt, r.seq) {
			return
		}
		s.rcvRTTUpdate(uint32(max(s.mstamp-r.time, 1)), true)
	}
	r.seq = s.rcvNxt + s.rcvWnd
	r.time = s.mstamp
}

// rcvRTTMeasureTS takes a sample by timestamps.
func (s *Sock) rcvRTTMeasureTS(b *skb.Buff) {
	if !s.opt.sawTS || s.opt.rcvTSecr == s.rcvRTT.last || s.opt.rcvTSecr == 0 {
		return
	}
	s.rcvRTT.last = s.opt.rcvTSecr
	cb := rx(b)
	if int(cb.end-cb.seq) >= int(s.ack.rcvMSS) {
		if d := s.rttByTS(0); d >= 0 {
			s.rcvRTTUpdate(uint32(max(d, 1)), false)
		}
	}
}

// rcvSpaceAdjust grows the receive buffer to what the program reads in a round
// trip and more (Linux: tcp_rcv_space_adjust: dynamic right-sizing).
func (s *Sock) rcvSpaceAdjust() {
	s.refresh()
	q := &s.rcvSpace
	if s.mstamp-q.time < int64(s.rcvRTT.rtt>>3) || s.rcvRTT.rtt == 0 {
		return
	}
	copied := s.copied - q.seq
	if copied > q.space {
		if s.tcp.conf.moderate.Load() != 0 && !s.Flag(sock.FlagRcvBufLock) {
			// Room for twice of it, since the sender may double in slow start.
			win := uint64(copied)<<1 + 16*uint64(s.advMSS)
			win += win * uint64(copied-q.space) / uint64(max(q.space, 1)) << 1
			most := int(s.tcp.conf.rmem[2].Load())
			buf := min(s.spaceFromWin(int(min(win, 1<<30))), most)
			if buf > s.ReceiveBuffer() {
				s.StoreRcvBuf(buf)
				s.winClamp = uint32(s.winFromSpace(buf))
			}
		}
		q.space = copied
	}
	q.seq = s.copied
	q.time = s.mstamp
}

// initBufferSpace is tcp_init_buffer_space.
func (s *Sock) initBufferSpace() {
	appWin := uint(s.tcp.conf.appWin.Load())
	if !s.Flag(sock.FlagSndBufLock) {
		s.sndbufExpand()
	}
	s.refresh()
	s.rcvSpace.time = s.mstamp
	s.rcvSpace.seq = s.copied
	most := s.fullSpace()
	if int(s.winClamp) >= most {
		s.winClamp = uint32(most)
		if appWin != 0 && most > 4*s.advMSS {
			s.winClamp = uint32(max(most-most>>appWin, 4*s.advMSS))
		}
	}
	// One segment is not a window.
	if appWin != 0 && int(s.winClamp) > 2*s.advMSS && int(s.winClamp)+s.advMSS > most {
		s.winClamp = uint32(max(2*s.advMSS, most-s.advMSS))
	}
	s.rcvSSThr = min(s.rcvSSThr, s.winClamp)
	s.cwndStamp = s.tcp.now()
	s.rcvSpace.space = min(s.rcvWnd, uint32(initCwnd*s.advMSS))
}

// Urgent data (RFC 9293 section 3.8.5, with Linux's reading of the pointer).
const (
	urgValid  = 0x100
	urgNotYet = 0x200
	urgRead   = 0x400
)

// rcvUrg is tcp_urg.
func (s *Sock) rcvUrg(b *skb.Buff, h header.TCP) {
	if h.Flags()&header.TCPUrg != 0 {
		s.checkUrg(b, h)
	}
	if s.urgData == urgNotYet {
		// Has the byte itself arrived?
		if at := s.urgSeq - rx(b).seq + uint32(len(h)); at < uint32(b.Len()) {
			var p [1]byte
			b.CopyBits(int(at), p[:])
			s.urgData = urgValid | uint16(p[0])
			if !s.Flag(sock.FlagDead) {
				s.wake(wakeData)
			}
		}
	}
}

// checkUrg is tcp_check_urg.
func (s *Sock) checkUrg(b *skb.Buff, h header.TCP) {
	ptr := uint32(h.Urgent())
	if ptr != 0 && s.tcp.conf.stdurg.Load() == 0 {
		ptr--
	}
	ptr += rx(b).seq
	if after(s.copied, ptr) || before(ptr, s.rcvNxt) {
		return // read already, or in what came before
	}
	if s.urgData != 0 && !after(ptr, s.urgSeq) {
		return
	}
	s.wake(wakeUrg)
	// A second urgent byte makes the first an ordinary one.
	if s.urgSeq == s.copied && s.urgData != 0 && !s.Flag(sock.FlagOOBInline) && s.copied != s.rcvNxt {
		s.copied++
		if q := s.rq.Head(); q != nil && !before(s.copied, rx(q).end) {
			s.rq.Remove(q)
			s.unchargeRx(q)
			q.Consume()
		}
	}
	s.urgData = urgNotYet
	s.urgSeq = ptr
	s.pred = predict{}
}
