package tcp

import (
	"barewire/inet/mib"
	"barewire/skb"
)

// rack is time-based loss detection (RFC 8985; Linux: tcp_rack of struct
// tcp_sock).
type rack struct {
	mstamp    int64 // us: transmission of the latest segment delivered
	rtt       int64 // us
	endSeq    uint32
	lastDeliv uint32
	steps     uint8 // of the reordering window
	persist   uint8
	dsackSeen bool
	advanced  bool
}

// sentAfter orders transmissions, by time and then by sequence (Linux:
// tcp_skb_sent_after).
func sentAfter(t1, t2 int64, seq1, seq2 uint32) bool {
	return t1 > t2 || t1 == t2 && after(seq1, seq2)
}

// rackAdvance takes a delivered segment (Linux: tcp_rack_advance; RFC 8985
// section 6.2 step 2).
func (s *Sock) rackAdvance(sacked uint8, end uint32, sent int64) {
	rtt := s.mstamp - sent
	if rtt < int64(s.rttMin.get()) && sacked&(sackedRetrans|everRetrans|repaired) != 0 {
		// Faster than the path allows: the original was delivered.
		return
	}
	r := &s.rack
	r.advanced = true
	r.rtt = rtt
	if sentAfter(sent, r.mstamp, end, r.endSeq) {
		r.mstamp, r.endSeq = sent, end
	}
}

// rackReoWnd is the time given to packets that were overtaken (Linux:
// tcp_rack_reo_wnd).
func (s *Sock) rackReoWnd() int64 {
	if s.reordSeen == 0 {
		if s.caState >= caRecovery {
			return 0
		}
		if s.sackedOut >= s.reordering && s.tcp.conf.recovery.Load()&4 == 0 {
			return 0
		}
	}
	return min(int64(s.rttMin.get()>>2)*int64(max(s.rack.steps, 1)), int64(s.srtt>>3))
}

// rackTimeout returns how long until a segment counts as lost, in us (Linux:
// tcp_rack_skb_timeout).
func (s *Sock) rackTimeout(b *skb.Buff, reo int64) int64 {
	return s.rack.rtt + reo - (s.mstamp - b.Tstamp)
}

// rackDetectLoss marks what was sent long enough before something delivered
// and returns when to look again, 0 for never (Linux: tcp_rack_detect_loss; RFC
// 8985 section 6.2 step 5). Linux has a list by time of transmission; here the
// queue by sequence is looked at as far as the latest segment delivered.
func (s *Sock) rackDetectLoss() int64 {
	reo := s.rackReoWnd()
	again := int64(0)
	r := &s.rack
	for i := range s.wq.sent() {
		b := s.wq.at(i)
		cb := tx(b)
		if cb.sacked&sackedAcked != 0 || cb.sacked&(sackedLost|sackedRetrans) == sackedLost {
			continue
		}
		if !sentAfter(r.mstamp, b.Tstamp, r.endSeq, cb.end) {
			if cb.sacked&everRetrans == 0 {
				// Whatever follows was sent later still, the first time and,
				// if there was one, the second.
				break
			}
			continue
		}
		if left := s.rackTimeout(b, reo); left <= 0 {
			s.markLost(b)
		} else {
			again = max(again, left)
		}
	}
	return again
}

// rackMarkLost is tcp_rack_mark_lost. It reports whether it set the timer.
func (s *Sock) rackMarkLost() bool {
	if !s.rack.advanced {
		return false
	}
	s.rack.advanced = false
	us := s.rackDetectLoss()
	if us == 0 {
		return false
	}
	s.resetTimer(timeReo, (us+timeoutMin/1000+999)/1000*ms)
	return true
}

// rackReoTimeout is tcp_rack_reo_timeout.
func (s *Sock) rackReoTimeout() {
	prior, lost := s.inFlight(), s.lost
	s.rackDetectLoss()
	if prior != s.inFlight() {
		if s.caState != caRecovery {
			s.enterRecovery(false)
			if s.ca.control == nil {
				s.cwndReduction(1, int(s.lost-lost), 0)
			}
		}
		s.xmitRetransmitQueue()
	}
	if s.pending != timeRetrans {
		s.rearmRTO()
	}
}

// rackUpdateReoWnd widens the window when D-SACKs say that it was too short
// (Linux: tcp_rack_update_reo_wnd).
func (s *Sock) rackUpdateReoWnd(rs *rateSample) {
	r := &s.rack
	if s.tcp.conf.recovery.Load()&2 != 0 || rs.priorDelivered == 0 {
		return
	}
	if before(rs.priorDelivered, r.lastDeliv) {
		r.dsackSeen = false
	}
	if r.dsackSeen {
		r.steps = uint8(min(255, int(max(r.steps, 1))+1))
		r.dsackSeen = false
		r.lastDeliv = s.delivered
		r.persist = 16
	} else if r.persist == 0 {
		r.steps = 1
	}
}

// scheduleLossProbe sets the timer of a tail loss probe instead of the
// retransmission timer (Linux: tcp_schedule_loss_probe; RFC 8985 section 7.2).
func (s *Sock) scheduleLossProbe(advancing bool) bool {
	er := s.tcp.conf.earlyRetrans.Load()
	if er != 3 && er != 4 || s.packetsOut == 0 || !s.isSack() || s.caState != caOpen && s.caState != caCWR {
		return false
	}
	if !inStates(s.State(), fEstablished|fCloseWait|fFinWait1|fClosing|fLastAck|fFinWait2) {
		return false
	}
	if s.fastopen.rsk.Load() != nil {
		return false
	}
	when := timeoutInit
	if s.srtt != 0 {
		us := int64(s.srtt >> 2)
		if s.packetsOut == 1 {
			us += s.rtoMin / 1000 // its ACK may be delayed
		} else {
			us += timeoutMin / 1000
		}
		when = (us + 999) / 1000 * ms
	}
	left := s.rto
	if !advancing {
		left = (max(s.rtoDelta(), 0) + 999) / 1000 * ms
	}
	if left > 0 {
		when = min(when, left)
	}
	s.resetTimer(timeLossProbe, when)
	return true
}

// sendLossProbe sends new data, or the last segment again, so that the ACK
// tells what is missing at the tail (Linux: tcp_send_loss_probe).
func (s *Sock) sendLossProbe() {
	defer s.rearmRTO()
	if s.tlpHighSeq != 0 {
		return
	}
	s.tlpRetrans = false
	mss := s.currentMSS()
	if b := s.wq.sendHead(); b != nil && s.wndTest(b, mss) {
		n := s.packetsOut
		s.writeXmit(mss, nagleOff, 2)
		if s.packetsOut <= n {
			return
		}
	} else {
		b := s.wq.rtxTail()
		if b == nil {
			return
		}
		i := s.wq.sent() - 1
		if k := int(tx(b).segs); k > 1 && b.Len() > (k-1)*mss {
			if !s.fragment(i, (k-1)*mss, mss, true) {
				return
			}
			i++
		}
		if s.retransmitSkb(i, 1) != nil {
			return
		}
		s.tlpRetrans = true
	}
	s.tlpHighSeq = s.sndNxt
	s.tcp.inc(mib.TCPLossProbes)
	s.pending = timeNone // the timer starts again from now
}

// processTLPAck is tcp_process_tlp_ack.
func (s *Sock) processTLPAck(ack uint32, flag int) {
	if before(ack, s.tlpHighSeq) {
		return
	}
	switch {
	case !s.tlpRetrans, flag&flagDsackTLP != 0:
		s.tlpHighSeq = 0
	case after(ack, s.tlpHighSeq):
		// The probe repaired a loss, which the sender must answer for.
		s.initCwndReduction()
		s.setCAState(caCWR)
		s.endCwndReduction()
		s.tryKeepOpen()
		s.tcp.inc(mib.TCPLossProbeRecovery)
	case flag&(flagUnaAdvanced|flagNotDup|flagDataSacked) == 0:
		s.tlpHighSeq = 0 // a duplicate: both arrived
	}
}
