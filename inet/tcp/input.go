package tcp

import (
	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// predict is the header the fast path expects (Linux: pred_flags): on while
// nothing is out of order, urgent or at its limit.
type predict struct {
	on     bool
	ace    uint8
	window uint16 // as it stands in the header
}

func (s *Sock) fastPathOn() {
	s.pred = predict{on: true, window: uint16(s.sndWnd >> s.opt.sndWScale)}
	if s.ecn&ecnAcc != 0 {
		s.pred.ace = uint8(s.deliveredCE+aceInit) & aceMask
	}
}

// fastPathCheck is tcp_fast_path_check.
func (s *Sock) fastPathCheck() {
	if len(s.ofo.q) == 0 && s.rcvWnd != 0 && s.rmem < s.ReceiveBuffer() && s.urgData == 0 {
		s.fastPathOn()
	}
}

// discard ends a segment that is refused.
func discard(b *skb.Buff, r skb.Reason) { b.Free(r) }

// rcvEstablished takes a segment for an open connection (Linux:
// tcp_rcv_established): the expected ones by a short way, the header prediction
// of Van Jacobson. Consumes b.
func (s *Sock) rcvEstablished(b *skb.Buff) {
	t := s.tcp
	cb := rx(b)
	h := header.TCP(b.TransportHeader())
	h = h[:h.HeaderLen()]
	s.refresh()
	s.opt.sawTS = false
	n := len(h)
	if s.pred.on && cb.flags&^header.TCPPsh == header.TCPAck|s.pred.ace<<6 && h[12]&1 == s.pred.ace>>2 &&
		h.Window() == s.pred.window && n == s.headerLen && cb.seq == s.rcvNxt && !after(cb.ack, s.sndNxt) {
		ok, flag := true, 0
		if s.opt.tsOK {
			ok = s.fastTS(h) && int32(s.opt.rcvTSval-s.opt.tsRecent) >= 0
		}
		if ok {
			if b.Len() == n {
				// An ACK without data, for a sender.
				if n == header.TCPMinLen+tsOptLen && s.rcvNxt == s.rcvWup {
					flag = s.advanceTSRecent()
				}
				s.ecnCount(b, 0)
				var none parsedOpts
				s.tcpAck(b, &none, flag)
				b.Consume()
				s.dataSndCheck()
				return
			}
			// Data in order, for a receiver.
			if !after(cb.end, s.rcvNxt+s.receiveWindow()) && s.chargeFast(b) {
				if n == header.TCPMinLen+tsOptLen && s.rcvNxt == s.rcvWup {
					flag = s.advanceTSRecent()
				}
				s.rcvRTTMeasureTS(b)
				t.inc(mib.TCPHPHits)
				b.Pull(n)
				s.ecnCount(b, b.Len())
				s.queueRcv(b)
				s.eventDataRecv(b)
				if cb.ack != s.sndUna {
					var none parsedOpts
					s.tcpAck(b, &none, flag|flagData)
					s.dataSndCheck()
					if !s.ackScheduled() {
						s.mergeTail()
						s.dataReady()
						return
					}
				} else {
					s.sndWl1 = cb.seq
				}
				s.ackSndCheck()
				s.mergeTail()
				s.dataReady()
				return
			}
		}
	}
	if b.Len() < n {
		discard(b, skb.PktTooSmall)
		return
	}
	if cb.flags&(header.TCPAck|header.TCPRst|header.TCPSyn) == 0 {
		discard(b, skb.TCPFlags)
		return
	}
	var o parsedOpts
	if !s.validateIncoming(b, h, &o) {
		return
	}
	s.ecnCount(b, b.Len()-n)
	if s.tcpAck(b, &o, flagSlowpath|flagUpdateTSRecent) < 0 {
		discard(b, skb.NotSpecified)
		return
	}
	s.rcvRTTMeasureTS(b)
	s.rcvUrg(b, h)
	s.dataQueue(b, h)
	s.dataSndCheck()
	s.ackSndCheck()
}

// fastTS reads the timestamp option where it nearly always stands (Linux:
// tcp_parse_aligned_timestamp).
func (s *Sock) fastTS(h header.TCP) bool {
	o := h.Options()
	if len(o) < tsOptLen || o[0] != header.TCPOptNOP || o[1] != header.TCPOptNOP || o[2] != header.TCPOptTimestamp || o[3] != 10 {
		return false
	}
	s.opt.sawTS = true
	s.opt.rcvTSval = be32(o[4:])
	s.opt.rcvTSecr = be32(o[8:])
	if s.opt.rcvTSecr != 0 {
		s.opt.rcvTSecr -= s.tsOffset
	}
	return true
}

func be32(p []byte) uint32 {
	return uint32(p[0])<<24 | uint32(p[1])<<16 | uint32(p[2])<<8 | uint32(p[3])
}

// readOptions parses a segment's options and keeps its timestamps.
func (s *Sock) readOptions(h header.TCP, o *parsedOpts) {
	parseOptions(h, o)
	s.opt.sawTS = false
	if o.hasTS && s.opt.tsOK {
		s.opt.sawTS = true
		s.opt.rcvTSval, s.opt.rcvTSecr = o.tsval, o.tsecr
		if o.tsecr != 0 {
			s.opt.rcvTSecr -= s.tsOffset
		}
	}
	if !s.opt.sackOK {
		o.sack = nil
	}
}

// storeTSRecent is tcp_store_ts_recent.
func (s *Sock) storeTSRecent() {
	s.opt.tsRecent = s.opt.rcvTSval
	s.opt.tsRecentStamp = s.ns()
}

// advanceTSRecent is storeTSRecent that tells of a newer timestamp than the last
// (Linux: __tcp_replace_ts_recent).
func (s *Sock) advanceTSRecent() (flag int) {
	if int32(s.opt.rcvTSval-s.opt.tsRecent) > 0 {
		flag = flagTSProgress
	}
	s.storeTSRecent()
	return flag
}

// replaceTSRecent is tcp_replace_ts_recent (RFC 7323 section 4.3).
func (s *Sock) replaceTSRecent(seq uint32) (flag int) {
	if s.opt.sawTS && !after(seq, s.rcvWup) && s.pawsCheck(0) {
		flag = s.advanceTSRecent()
	}
	return flag
}

// sendDupack answers a segment that was nothing new (Linux: tcp_send_dupack):
// with a D-SACK if it repeated data.
func (s *Sock) sendDupack(b *skb.Buff) {
	cb := rx(b)
	if cb.end != cb.seq && before(cb.seq, s.rcvNxt) {
		s.tcp.inc(mib.DelayedACKLost)
		s.enterQuickack(maxQuickacks)
		if s.isSack() && s.tcp.conf.dsack.Load() != 0 {
			end := cb.end
			if after(end, s.rcvNxt) {
				end = s.rcvNxt
			}
			s.accSpurious(cb)
			s.dsackSet(cb.seq, end)
		}
	}
	s.sendAck()
}

// dsackSet notes data that came twice (Linux: tcp_dsack_set; RFC 2883).
func (s *Sock) dsackSet(start, end uint32) {
	if !s.isSack() || s.tcp.conf.dsack.Load() == 0 {
		return
	}
	if before(start, s.rcvNxt) {
		s.tcp.inc(mib.TCPDSACKOldSent)
	} else {
		s.tcp.inc(mib.TCPDSACKOfoSent)
	}
	s.hasDup = true
	s.needSackLists()
	s.sackDup = sackBlock{start, end}
}

func (s *Sock) dsackExtend(start, end uint32) {
	if !s.hasDup {
		s.dsackSet(start, end)
		return
	}
	d := &s.sackDup
	if !(after(start, d.end) || before(end, d.start)) {
		if before(start, d.start) {
			d.start = start
		}
		if after(end, d.end) {
			d.end = end
		}
	}
}

// dataQueue takes the data of a segment in the window (Linux: tcp_data_queue).
// Consumes b.
func (s *Sock) dataQueue(b *skb.Buff, h header.TCP) {
	t := s.tcp
	cb := rx(b)
	if cb.seq == cb.end {
		b.Consume()
		return
	}
	b.Pull(len(h))
	s.hasDup = false
	switch {
	case cb.seq == s.rcvNxt:
		if s.receiveWindow() == 0 {
			// Linux takes a bare FIN into a closed window.
			if b.Len() != 0 || cb.flags&header.TCPFin == 0 {
				t.inc(mib.TCPZeroWindowDrop)
				s.outOfWindow(b)
				return
			}
		}
		s.queueInOrder(b)
	case !after(cb.end, s.rcvNxt):
		// All of it came before.
		t.inc(mib.DelayedACKLost)
		s.accSpurious(cb)
		s.dsackSet(cb.seq, cb.end)
		s.outOfWindow(b)
	case !before(cb.seq, s.rcvNxt+s.receiveWindow()):
		s.outOfWindow(b)
	case before(cb.seq, s.rcvNxt):
		// The front came before.
		s.dsackSet(cb.seq, s.rcvNxt)
		if s.receiveWindow() == 0 {
			t.inc(mib.TCPZeroWindowDrop)
			s.outOfWindow(b)
			return
		}
		off := int(s.rcvNxt - cb.seq)
		if b.Len() >= off && b.PullAny(off) {
			cb.seq = s.rcvNxt
			s.queueInOrder(b)
			return
		}
		discard(b, skb.NoMem)
	default:
		s.ofoQueue(b)
	}
}

// queueInOrder queues a segment that begins at rcvNxt, and what waited for it.
func (s *Sock) queueInOrder(b *skb.Buff) {
	if !s.chargeRx(b) {
		// No memory: say so with a zero window, at once.
		s.ack.pending |= ackNoMem | ackNow
		s.scheduleAck()
		s.wake(wakeData)
		if b.Len() > 0 && s.rq.Len() > 0 {
			s.tcp.inc(mib.TCPRcvQDrop)
			discard(b, skb.ProtoMem)
			return
		}
		// A FIN alone costs nothing more, and with nothing to read the
		// connection would stand still.
		s.forceRx(b)
	}
	cb := rx(b)
	n, fin := b.Len(), cb.flags&header.TCPFin != 0
	s.queueRcv(b)
	if n > 0 {
		s.eventDataRecv(b)
	}
	if fin {
		s.fin()
	}
	if len(s.ofo.q) > 0 {
		s.ofoDrain()
		// RFC 5681 section 4.2: the ACK of a filled gap is immediate.
		if len(s.ofo.q) == 0 {
			s.ack.pending |= ackNow
		}
	}
	if s.numSacks > 0 {
		s.sackRemove()
	}
	s.fastPathCheck()
	s.mergeTail()
	if !s.Flag(sock.FlagDead) {
		s.dataReady()
	}
}

// outOfWindow answers at once and drops.
func (s *Sock) outOfWindow(b *skb.Buff) {
	s.enterQuickack(maxQuickacks)
	s.scheduleAck()
	discard(b, skb.TCPOldData)
}

// queueRcv puts a segment in order on the receive queue (Linux:
// tcp_queue_rcv). The charge was taken.
func (s *Sock) queueRcv(b *skb.Buff) {
	cb := rx(b)
	s.rcvNxt = cb.end
	s.bytesRecv += uint64(b.Len())
	if t := s.rq.Tail(); t != nil {
		s.foldCharge(t, b)
	}
	s.rq.PushBack(b)
}

// dataReady tells the reader if there is enough for it (Linux: tcp_data_ready).
func (s *Sock) dataReady() {
	if s.enoughToRead() || s.Flag(sock.FlagDead) || s.ShutdownBits()&sock.RcvShutdown != 0 {
		s.wake(wakeData)
	}
}

func (s *Sock) enoughToRead() bool {
	avail := int32(s.rcvNxt - s.copied)
	if avail <= 0 {
		return false
	}
	return int(avail) >= min(s.Lowat(), s.ReceiveBuffer()>>1) || s.rcvFull() || int(s.receiveWindow()) <= int(s.ack.rcvMSS)
}

// rcvFull is tcp_rmem_pressure.
func (s *Sock) rcvFull() bool {
	if s.underPressure() {
		return true
	}
	buf := s.ReceiveBuffer()
	return s.rmem > buf-(buf>>3)
}

// fin is what a FIN does (Linux: tcp_fin; RFC 9293 section 3.10.7.4, eighth).
func (s *Sock) fin() {
	s.SetFlag(flagDone, true)
	s.scheduleAck()
	s.StoreShutdown(sock.RcvShutdown)
	switch s.State() {
	case SynRecv, Established:
		s.setState(CloseWait)
		s.enterPingpong()
	case CloseWait, Closing, LastAck:
		// A FIN again: nothing new.
	case FinWait1:
		// Both close at once.
		s.sendAck()
		s.setState(Closing)
	case FinWait2:
		s.sendAck()
		s.timeWait(TimeWait, 0)
	}
	// Nothing can be behind the FIN.
	s.ofoPurge()
	if s.isSack() {
		s.numSacks, s.hasDup = 0, false
	}
	if !s.Flag(sock.FlagDead) {
		s.wake(wakeState)
	}
}

// dataSndCheck sends what the ACK made possible (Linux: tcp_data_snd_check).
func (s *Sock) dataSndCheck() {
	if s.wq.sendHead() != nil {
		s.pushPending(s.currentMSS(), s.nonagle)
	}
	s.checkSpace()
}

// ackSndCheck sends an ACK if one is due (Linux: tcp_ack_snd_check,
// __tcp_ack_snd_check; RFC 9293 section 3.8.6.3).
func (s *Sock) ackSndCheck() {
	if !s.ackScheduled() {
		return
	}
	rcvd := s.rcvNxt - s.rcvWup
	if rcvd > uint32(s.ack.rcvMSS) && (int(s.rcvNxt-s.copied) < s.Lowat() || s.computeWindow() >= s.rcvWnd) ||
		s.inQuickack() || s.ack.pending&ackNow != 0 {
		if !s.deferAck() {
			s.sendAck()
		}
		return
	}
	if len(s.ofo.q) > 0 {
		s.ofoAck()
		return
	}
	s.sendDelayedAck()
}

// eventDataRecv learns from arriving data how to acknowledge it (Linux:
// tcp_event_data_recv).
func (s *Sock) eventDataRecv(b *skb.Buff) {
	s.scheduleAck()
	s.measureRcvMSS(b)
	s.rcvRTTMeasure()
	now := s.ns()
	a := &s.ack
	if a.ato == 0 {
		// The first data: the sender is in slow start and wants ACKs.
		s.incQuickack(maxQuickacks)
		a.ato = atoMin
	} else {
		m := now - a.lrcvtime
		if m <= atoMin/2 {
			a.ato = a.ato>>1 + atoMin/2
		} else if m < a.ato {
			a.ato = min(a.ato>>1+m, s.rto)
		} else if m > s.rto {
			// Too long a gap: the sender may have restarted slowly.
			s.incQuickack(maxQuickacks)
		}
	}
	a.lrcvtime = now
	s.ecnDataRecv(b)
	if b.Len() >= 128 {
		s.growWindow(b)
	}
}
