package tcp

import (
	"barewire/inet/mib"
)

// Taking back what was for nothing (RFC 4015, RFC 3708; Linux:
// tcp_try_undo_recovery and its kin).

// echoBefore reports whether the peer's timestamp echo is of before a time in
// us (Linux: tcp_tsopt_ecr_before).
func (s *Sock) echoBefore(us int64) bool {
	return s.opt.sawTS && s.opt.rcvTSecr != 0 && before(s.opt.rcvTSecr, uint32(us/1000))
}

// packetDelayed reports whether the original arrived, not the retransmission
// (Linux: tcp_packet_delayed; the Eifel detection of RFC 3522).
func (s *Sock) packetDelayed() bool {
	if s.retransStamp != 0 && s.echoBefore(s.retransStamp) {
		return true
	}
	// Nothing sent again, and yet it moved; unless the time of the first
	// retransmission was only forgotten, as for NewReno at the end of recovery.
	return s.retransStamp == 0 && s.State() != SynSent && (s.isSack() || before(s.sndUna, s.highSeq))
}

func (s *Sock) mayUndo() bool {
	return s.undoMarker != 0 && (s.undoRetrans == 0 || s.packetDelayed())
}

// undoCwnd takes a reduction back (Linux: tcp_undo_cwnd_reduction).
func (s *Sock) undoCwnd(unmark bool) {
	if unmark {
		for i := range s.wq.sent() {
			tx(s.wq.at(i)).sacked &^= sackedLost
		}
		s.lostOut = 0
	}
	if s.priorSSThr != 0 {
		s.cwnd = s.ca.undo(s)
		if s.priorSSThr > s.ssthresh {
			s.ssthresh = s.priorSSThr
			s.ecnWithdrawCWR()
		}
	}
	s.cwndStamp = s.tcp.now()
	s.undoMarker = 0
	s.rack.advanced = true // retransmissions may be due
}

// nonSackReopen holds the state at high_seq without SACK, so that no second
// fast retransmit follows from old duplicates (RFC 6582 section 4.1; Linux:
// tcp_is_non_sack_preventing_reopen).
func (s *Sock) nonSackReopen() bool {
	if s.sndUna == s.highSeq && !s.isSack() {
		if !s.anyRetransDone() {
			s.retransStamp = 0
		}
		return true
	}
	return false
}

// tryUndoRecovery is tcp_try_undo_recovery.
func (s *Sock) tryUndoRecovery() bool {
	if s.mayUndo() {
		s.undoCwnd(false)
		if s.caState == caLoss {
			s.tcp.inc(mib.TCPLossUndo)
		} else {
			s.tcp.inc(mib.TCPFullUndo)
		}
	} else if s.rack.persist > 0 {
		s.rack.persist--
	}
	if s.nonSackReopen() {
		return true
	}
	s.setCAState(caOpen)
	s.isSackReneg = false
	return false
}

// tryUndoDsack is tcp_try_undo_dsack: every retransmission was needless.
func (s *Sock) tryUndoDsack() bool {
	if s.undoMarker == 0 || s.undoRetrans != 0 {
		return false
	}
	s.rack.persist = min(16, s.rack.persist+1)
	s.undoCwnd(false)
	s.tcp.inc(mib.TCPDSACKUndo)
	return true
}

// tryUndoLoss is tcp_try_undo_loss.
func (s *Sock) tryUndoLoss(frto bool) bool {
	if !frto && !s.mayUndo() {
		return false
	}
	s.undoCwnd(true)
	s.tcp.inc(mib.TCPLossUndo)
	if frto {
		s.tcp.inc(mib.TCPSpuriousRTOs)
	}
	s.retransmits = 0
	if s.nonSackReopen() {
		return true
	}
	if frto || s.isSack() {
		s.setCAState(caOpen)
		s.isSackReneg = false
	}
	return true
}

// tryUndoPartial is tcp_try_undo_partial.
func (s *Sock) tryUndoPartial(priorUna uint32) bool {
	if s.undoMarker == 0 || !s.packetDelayed() {
		return false
	}
	s.checkSackReordering(priorUna, true)
	if s.retransOut != 0 {
		return true // until all retransmissions are answered
	}
	if !s.anyRetransDone() {
		s.retransStamp = 0
	}
	s.undoCwnd(true)
	s.tcp.inc(mib.TCPPartialUndo)
	s.tryKeepOpen()
	return false
}
