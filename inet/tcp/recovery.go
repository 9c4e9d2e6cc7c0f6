package tcp

import (
	"barewire/inet/mib"
	"barewire/skb"
)

// States of loss recovery, which are apart from those of the connection (Linux:
// TCP_CA_*).
const (
	caOpen     uint8 = iota // nothing suspicious
	caDisorder              // SACKs or duplicate ACKs: maybe a loss
	caCWR                   // the window is being reduced without a loss
	caRecovery              // fast retransmit
	caLoss                  // after a timeout
)

// recovery is what a sock keeps for loss recovery.
type recovery struct {
	highSeq      uint32 // sndNxt when the state was entered
	highSack     uint32
	undoMarker   uint32 // sndUna when retransmission began, 0 when undo is off
	undoRetrans  int32  // retransmissions that were not reported as needless
	retransStamp int64  // us: first retransmission
	priorSSThr   uint32
	priorCwnd    uint32
	prrDelivered uint32
	prrOut       uint32
	reordering   uint32
	tlpHighSeq   uint32 // sndNxt when the loss probe was sent, 0 if none is out
	rack         rack

	rtoStamp           int64 // ms
	totalRTOTime       uint32
	totalRTO           uint16
	totalRTORecoveries uint16

	tlpRetrans  bool
	frto        bool
	isSackReneg bool
}

// clearRetrans is tcp_clear_retrans.
func (s *Sock) clearRetrans() {
	s.retransOut, s.lostOut, s.sackedOut = 0, 0, 0
	s.undoMarker, s.undoRetrans = 0, -1
	s.totalRTO, s.totalRTORecoveries, s.totalRTOTime, s.rtoStamp = 0, 0, 0, 0
}

func (s *Sock) inRecovery() bool { return s.caState == caCWR || s.caState == caRecovery }

func (s *Sock) setCAState(st uint8) {
	if s.ca.setState != nil {
		s.ca.setState(s, st)
	}
	s.caState = st
}

// initUndo is tcp_init_undo.
func (s *Sock) initUndo() {
	s.undoMarker = s.sndUna
	s.undoRetrans = int32(s.retransOut)
	if s.tlpHighSeq != 0 && s.tlpRetrans {
		s.undoRetrans++
	}
	if s.undoRetrans == 0 {
		s.undoRetrans = -1
	}
}

// anyRetransDone reports whether a retransmission is still unacknowledged.
func (s *Sock) anyRetransDone() bool {
	if s.retransOut != 0 {
		return true
	}
	b := s.wq.rtxHead()
	return b != nil && tx(b).sacked&everRetrans != 0
}

// markLost is tcp_mark_skb_lost.
func (s *Sock) markLost(b *skb.Buff) {
	cb := tx(b)
	if cb.sacked&sackedAcked != 0 {
		return
	}
	n := segs(b)
	if cb.sacked&sackedLost != 0 {
		if cb.sacked&sackedRetrans != 0 {
			// The retransmission is lost too.
			cb.sacked &^= sackedRetrans
			s.retransOut -= n
			s.tcp.add(mib.TCPLostRetransmit, int(n))
			s.lost += n
		}
		return
	}
	s.lostOut += n
	cb.sacked |= sackedLost
	s.lost += n
}

// enterLoss is what a timeout means (Linux: tcp_enter_loss).
func (s *Sock) enterLoss() {
	fresh := s.caState < caRecovery
	head := s.wq.rtxHead()
	reneg := head != nil && tx(head).sacked&sackedAcked != 0
	if reneg {
		s.tcp.inc(mib.TCPSACKReneging)
		s.sackedOut = 0
		s.isSackReneg = true
	} else if !s.isSack() {
		s.resetRenoSack()
	}
	for i := range s.wq.sent() {
		b := s.wq.at(i)
		if reneg {
			tx(b).sacked &^= sackedAcked
		} else if s.isSack() && i != 0 && s.rackTimeout(b, 0) > 0 {
			continue // sent recently: not lost yet
		}
		s.markLost(b)
	}
	if reneg {
		s.clearRecvSacks()
	}
	if s.caState <= caDisorder || !after(s.highSeq, s.sndUna) || s.caState == caLoss && s.retransmits == 0 {
		s.priorSSThr = s.currentSSThr()
		s.priorCwnd = s.cwnd
		s.ssthresh = s.ca.ssthresh(s)
		s.caEvent(caEventLoss)
		s.initUndo()
	}
	s.cwnd = s.inFlight() + 1
	s.cwndCnt = 0
	s.cwndStamp = s.ns()
	dflt := uint32(s.tcp.conf.reordering.Load())
	if s.caState <= caDisorder && s.sackedOut >= dflt {
		// So many duplicates and yet a timeout: less patience next time.
		s.reordering = min(s.reordering, dflt)
	}
	s.setCAState(caLoss)
	s.highSeq = s.sndNxt
	s.tlpHighSeq = 0
	s.ecnQueueCWR()
	// RFC 5682 section 3.1, step 1.
	s.frto = s.tcp.conf.frto.Load() != 0 && (fresh || s.retransmits != 0) && !s.mtuProbing()
}

func (s *Sock) tryKeepOpen() {
	st := caOpen
	if s.leftOut() != 0 || s.anyRetransDone() {
		st = caDisorder
	}
	if s.caState != st {
		s.setCAState(st)
		s.highSeq = s.sndNxt
	}
}

func (s *Sock) tryToOpen(flag int) {
	if !s.anyRetransDone() {
		s.retransStamp = 0
	}
	if flag&flagECE != 0 {
		s.enterCWR()
	}
	if s.caState != caCWR {
		s.tryKeepOpen()
	}
}

// enterRecovery is tcp_enter_recovery.
func (s *Sock) enterRecovery(ece bool) {
	if s.isSack() {
		s.tcp.inc(mib.TCPSackRecovery)
	} else {
		s.tcp.inc(mib.TCPRenoRecovery)
	}
	s.priorSSThr = 0
	s.initUndo()
	if !s.inRecovery() {
		if !ece {
			s.priorSSThr = s.currentSSThr()
		}
		s.initCwndReduction()
	}
	s.setCAState(caRecovery)
}

// processLoss is what an ACK means after a timeout (Linux: tcp_process_loss),
// F-RTO included (RFC 5682 section 3.1).
func (s *Sock) processLoss(flag int, dup uint32, rexmit *int) {
	recovered := !before(s.sndUna, s.highSeq)
	if flag&flagUnaAdvanced != 0 && s.tryUndoLoss(false) {
		return
	}
	if s.frto {
		if flag&flagOrigSackAcked != 0 && s.tryUndoLoss(true) {
			return
		}
		if after(s.sndNxt, s.highSeq) {
			if flag&flagDataSacked != 0 || dup != 0 {
				s.frto = false // the loss was real
			}
		} else if flag&flagUnaAdvanced != 0 && !recovered {
			s.highSeq = s.sndNxt
			if b := s.wq.sendHead(); b != nil && after(s.wndEnd(), s.sndNxt) {
				*rexmit = rexmitNew
				return
			}
			s.frto = false
		}
	}
	if recovered {
		s.tryUndoRecovery()
		return
	}
	if !s.isSack() {
		if after(s.sndNxt, s.highSeq) && dup != 0 {
			s.addRenoSack(dup, flag&flagECE != 0)
		} else if flag&flagUnaAdvanced != 0 {
			s.resetRenoSack()
		}
	}
	*rexmit = rexmitLost
}

// checkSackReneging is tcp_check_sack_reneging: the peer threw away what it
// had SACKed. A little patience first, since the ACK may only be late.
func (s *Sock) checkSackReneging(flag *int) bool {
	if *flag&flagSackReneging == 0 || *flag&flagUnaAdvanced == 0 {
		return false
	}
	delay := max(int64(s.srtt>>4), 10*1000)
	s.resetTimer(timeRetrans, delay*1000)
	*flag &^= flagSetXmitTimer
	return true
}

// identifyLoss is tcp_identify_packet_loss.
func (s *Sock) identifyLoss(flag *int) {
	if s.wq.rtxHead() == nil {
		return
	}
	if !s.isSack() {
		s.newrenoMarkLost(*flag&flagUnaAdvanced != 0)
		return
	}
	prior := s.retransOut
	if s.rackMarkLost() {
		*flag &^= flagSetXmitTimer
	}
	if prior > s.retransOut {
		*flag |= flagLostRetrans
	}
}

// newrenoMarkLost is tcp_newreno_mark_lost.
func (s *Sock) newrenoMarkLost(advanced bool) {
	if !(s.caState < caRecovery && s.sackedOut >= s.reordering || s.caState == caRecovery && advanced) {
		return
	}
	b := s.wq.rtxHead()
	if tx(b).sacked&sackedLost != 0 {
		return
	}
	if mss := segSize(b); tx(b).segs > 1 && b.Len() > mss {
		s.fragment(0, mss, mss, true)
	}
	s.markLost(s.wq.rtxHead())
}

// updateRTOTime is tcp_update_rto_time.
func (s *Sock) updateRTOTime() {
	if s.rtoStamp != 0 {
		s.totalRTOTime += uint32(s.tcp.now()/1e6 - s.rtoStamp)
		s.rtoStamp = 0
	}
}

// fastretransAlert is the machine of loss recovery (Linux:
// tcp_fastretrans_alert).
func (s *Sock) fastretransAlert(priorUna, dup uint32, flag *int, rexmit *int) {
	ece := *flag&flagECE != 0
	if s.packetsOut == 0 && s.sackedOut != 0 {
		s.sackedOut = 0
	}
	if ece {
		s.priorSSThr = 0
	}
	if s.checkSackReneging(flag) {
		return
	}
	if s.caState == caOpen {
		s.retransStamp = 0
	} else if !before(s.sndUna, s.highSeq) {
		switch s.caState {
		case caCWR:
			if s.sndUna != s.highSeq {
				s.endCwndReduction()
				s.setCAState(caOpen)
			}
		case caRecovery:
			if !s.isSack() {
				s.resetRenoSack()
			}
			if s.tryUndoRecovery() {
				return
			}
			s.endCwndReduction()
		}
	}
	switch s.caState {
	case caRecovery:
		if *flag&flagUnaAdvanced == 0 {
			if !s.isSack() {
				s.addRenoSack(dup, ece)
			}
		} else if s.tryUndoPartial(priorUna) {
			return
		}
		if s.tryUndoDsack() {
			s.tryToOpen(*flag)
		}
		s.identifyLoss(flag)
		if s.caState != caRecovery {
			if s.lostOut == 0 {
				return
			}
			s.enterRecovery(ece)
		}
		*rexmit = rexmitLost
		return
	case caLoss:
		s.processLoss(*flag, dup, rexmit)
		if s.caState != caLoss {
			s.updateRTOTime()
		}
		s.identifyLoss(flag)
		if s.caState != caOpen && *flag&flagLostRetrans == 0 {
			return
		}
	}
	if !s.isSack() {
		if *flag&flagUnaAdvanced != 0 {
			s.resetRenoSack()
		}
		s.addRenoSack(dup, ece)
	}
	if s.caState <= caDisorder {
		s.tryUndoDsack()
	}
	s.identifyLoss(flag)
	if s.lostOut == 0 {
		s.tryToOpen(*flag)
		return
	}
	if s.caState < caCWR && s.mtuProbing() && s.sndUna == s.mtuProbeStart() {
		s.mtuProbeFailed()
		s.cwnd++
		s.simpleRetransmit()
		return
	}
	s.enterRecovery(ece)
	*rexmit = rexmitLost
}

// xmitRecovery sends what fastretransAlert decided (Linux: tcp_xmit_recovery).
func (s *Sock) xmitRecovery(rexmit int) {
	if rexmit == rexmitNone || s.State() == SynSent {
		return
	}
	if rexmit == rexmitNew {
		s.pushPending(s.currentMSS(), nagleOff)
		if after(s.sndNxt, s.highSeq) {
			return
		}
		s.frto = false
	}
	s.xmitRetransmitQueue()
}

// xmitRetransmitQueue sends again what is lost, as far as the window goes
// (Linux: tcp_xmit_retransmit_queue).
func (s *Sock) xmitRetransmitQueue() {
	if s.packetsOut == 0 {
		return
	}
	rearm := false
	maxSegs := s.tsoSegs(s.currentMSS())
	for i := 0; i < s.wq.sent(); i++ {
		b := s.wq.at(i)
		in := s.inFlight()
		if in >= s.cwnd || s.retransOut >= s.lostOut || s.pacingCheck() {
			break
		}
		sacked := tx(b).sacked
		if sacked&sackedLost == 0 || sacked&(sackedAcked|sackedRetrans) != 0 {
			continue
		}
		which := mib.TCPFastRetrans
		if s.caState == caLoss {
			which = mib.TCPSlowStartRetrans
		}
		if s.smallQueueCheck(b, 1) {
			break
		}
		if s.retransmit(i, min(s.cwnd-in, maxSegs)) != nil {
			break
		}
		s.tcp.add(which, int(tx(b).segs))
		if s.inRecovery() {
			s.prrOut += segs(b)
		}
		if i == 0 && s.pending != timeReo {
			rearm = true
		}
	}
	if rearm {
		s.resetTimer(timeRetrans, s.rto)
	}
}
