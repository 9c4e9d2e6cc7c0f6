package tcp

import (
	"barewire/inet/mib"
	"barewire/skb"
	"barewire/skb/header"
)

// What one ACK turned out to be: found once, carried as flags (Linux: FLAG_*).
const (
	flagData           = 0x01 // carried data
	flagWinUpdate      = 0x02
	flagDataAcked      = 0x04 // acknowledged new data
	flagRetransAcked   = 0x08 // ... some of which was retransmitted
	flagSynAcked       = 0x10
	flagDataSacked     = 0x20 // new SACK
	flagECE            = 0x40
	flagLostRetrans    = 0x80 // a retransmission is known to be lost
	flagSlowpath       = 0x100
	flagOrigSackAcked  = 0x200 // never retransmitted data was (S)ACKed
	flagUnaAdvanced    = 0x400
	flagDsacking       = 0x800 // SACK blocks contained a D-SACK
	flagSetXmitTimer   = 0x1000
	flagSackReneging   = 0x2000
	flagUpdateTSRecent = 0x4000
	flagNoChallenge    = 0x8000
	flagMaybeDelayed   = 0x10000
	flagDsackTLP       = 0x20000
	flagTSProgress     = 0x40000 // the timestamp is newer than the last

	flagAcked    = flagDataAcked | flagSynAcked
	flagNotDup   = flagData | flagWinUpdate | flagAcked
	flagCAAlert  = flagDataSacked | flagECE | flagDsacking
	flagProgress = flagAcked | flagDataSacked
)

// sackState is what the work on one ACK has found so far (Linux: struct
// tcp_sacktag_state).
type sackState struct {
	firstSackT, lastSackT int64 // us: transmission of what was newly SACKed
	reord                 uint32
	sackDelivered         uint32
	delivered             uint32 // bytes; what snd_una moved comes on top
	ttl                   uint8  // of the ACK's packet
	flag                  int
	rs                    rateSample
}

// What to send after an ACK (Linux: REXMIT_*).
const (
	rexmitNone = iota
	rexmitLost
	rexmitNew
)

// tcpAck takes the acknowledgment of a segment (Linux: tcp_ack). It returns a
// number above 0 for one that counts, 0 for an old one, below 0 for one that is
// not acceptable.
func (s *Sock) tcpAck(b *skb.Buff, opts *parsedOpts, flag int) int {
	t := s.tcp
	cb := rx(b)
	priorUna := s.sndUna
	ackSeq, ack := cb.seq, cb.ack
	isSack := s.isSack()
	priorPackets := s.packetsOut
	delivered, lost := s.delivered, s.lost
	rexmit := rexmitNone
	st := &sackState{}
	if s.Stamping() != 0 {
		st.ttl = header.IPv4(b.NetworkHeader()).TTL()
	}

	if before(ack, priorUna) {
		// RFC 5961 section 5.2: too old is answered with a challenge.
		most := min(uint64(s.maxWnd), s.bytesAcked)
		if before(ack, priorUna-uint32(most)) {
			if flag&flagNoChallenge == 0 {
				s.sendChallengeAck()
			}
			return -1
		}
		if isSack && opts.sack != nil {
			flag |= s.sacktag(b, opts.sack, priorUna, st)
			ce := s.ackCE(b, opts, st, delivered, priorUna, &flag)
			s.fastretransAlert(priorUna, s.numDupack(b, flag), &flag, &rexmit)
			s.newlyDelivered(delivered, ce, flag)
			s.xmitRecovery(rexmit)
		}
		return 0
	}
	if after(ack, s.sndNxt) {
		// So is one of what was never sent (RFC 5961 section 5.2).
		if flag&flagNoChallenge == 0 {
			s.sendChallengeAck()
		}
		return -1
	}
	if after(ack, priorUna) {
		flag |= flagUnaAdvanced
		s.retransmits = 0
	}
	priorFack := s.sndUna
	if isSack {
		priorFack = s.highestSackSeq()
	}
	st.rs.priorInFlight = s.inFlight()
	if flag&flagUpdateTSRecent != 0 {
		flag |= s.replaceTSRecent(cb.seq)
	}
	if flag&(flagSlowpath|flagUnaAdvanced) == flagUnaAdvanced {
		// The window is as it was, the acknowledgment moved: bulk sending.
		s.sndWl1 = ackSeq
		s.unaUpdate(ack)
		flag |= flagWinUpdate
		t.inc(mib.TCPHPAcks)
	} else {
		if ackSeq != cb.end {
			flag |= flagData
		} else {
			t.inc(mib.TCPPureAcks)
		}
		flag |= s.ackUpdateWindow(b, ack, ackSeq)
		if opts.sack != nil && isSack {
			flag |= s.sacktag(b, opts.sack, priorUna, st)
		}
		if s.ecnEcho(cb) {
			flag |= flagECE
		}
	}
	s.SetSoftError(0)
	s.probesOut = 0
	s.rcvTstamp = s.ns()
	if priorPackets == 0 {
		ce := s.ackCE(b, opts, st, delivered, priorUna, &flag)
		if flag&flagDsacking != 0 {
			s.fastretransAlert(priorUna, s.numDupack(b, flag), &flag, &rexmit)
			s.newlyDelivered(delivered, ce, flag)
		}
		// The answer to a probe of a closed window, maybe.
		s.ackProbe()
		if s.tlpHighSeq != 0 {
			s.processTLPAck(ack, flag)
		}
		return 1
	}
	flag |= s.cleanRtxQueue(priorFack, priorUna, st, flag&flagECE != 0)
	s.rackUpdateReoWnd(&st.rs)
	ce := s.ackCE(b, opts, st, delivered, priorUna, &flag)
	if s.tlpHighSeq != 0 {
		s.processTLPAck(ack, flag)
	}
	if flag&flagNotDup == 0 || flag&flagCAAlert != 0 || s.caState != caOpen {
		s.fastretransAlert(priorUna, s.numDupack(b, flag), &flag, &rexmit)
	}
	if flag&flagSetXmitTimer != 0 {
		s.setXmitTimer()
	}
	if flag&flagProgress != 0 || flag&flagNotDup == 0 {
		s.confirmNeigh()
	}
	d := s.newlyDelivered(delivered, ce, flag)
	st.rs.ackDelayed = flag&flagMaybeDelayed != 0
	s.rateGen(d, s.lost-lost, s.isSackReneg, &st.rs)
	s.congControl(ack, d, flag, &st.rs)
	s.xmitRecovery(rexmit)
	return 1
}

// numDupack returns how many duplicate ACKs a segment counts for (RFC 5681
// section 2).
func (s *Sock) numDupack(b *skb.Buff, flag int) uint32 {
	if flag&(flagUnaAdvanced|flagNotDup|flagDsacking) != 0 {
		return 0
	}
	n := uint32(1)
	if flag&flagData == 0 {
		n = max(1, uint32(rx(b).gsoSegs))
	}
	return n
}

// ackCE is accProcess where the accurate feedback was agreed on. prior is what was
// delivered before this ACK.
func (s *Sock) ackCE(b *skb.Buff, o *parsedOpts, st *sackState, prior, priorUna uint32, flag *int) uint32 {
	if s.ecn&ecnAcc == 0 {
		return 0
	}
	moved := s.sndUna - priorUna
	return s.accProcess(header.TCP(b.TransportHeader()), o, s.delivered-prior, st.delivered+moved, s.bytesAcked-uint64(moved), flag)
}

// newlyDelivered counts what this ACK delivered (Linux: tcp_newly_delivered), ce
// packets with CE if the feedback is accurate.
func (s *Sock) newlyDelivered(prior, ce uint32, flag int) uint32 {
	d := s.delivered - prior
	s.tcp.add(mib.TCPDelivered, int(d))
	if flag&flagECE != 0 {
		if s.ecn&ecnAcc == 0 {
			ce = d
		}
		s.tcp.add(mib.TCPDeliveredCE, int(ce))
	}
	return d
}

func (s *Sock) countDelivered(n uint32, ece bool) {
	s.delivered += n
	if ece && s.ecn&ecnAcc == 0 {
		s.deliveredCE += n
	}
}

// unaUpdate is tcp_snd_una_update.
func (s *Sock) unaUpdate(ack uint32) {
	s.bytesAcked += uint64(ack - s.sndUna)
	s.sndUna = ack
}

// ackUpdateWindow takes the window of a segment if it is newer than the last
// (Linux: tcp_ack_update_window; RFC 9293 section 3.10.7.4).
func (s *Sock) ackUpdateWindow(b *skb.Buff, ack, ackSeq uint32) int {
	flag := 0
	w := s.windowOf(b)
	if after(ack, s.sndUna) || after(ackSeq, s.sndWl1) || ackSeq == s.sndWl1 && (w > s.sndWnd || w == 0) {
		flag = flagWinUpdate
		s.sndWl1 = ackSeq
		if s.sndWnd != w {
			s.sndWnd = w
			// What the fast path expects contains the window.
			s.pred = predict{}
			s.fastPathCheck()
			if !s.wq.empty() && s.wq.sendHead() != nil {
				s.slowStartAfterIdleCheck()
			}
			if w > s.maxWnd {
				s.maxWnd = w
				s.syncMSS(s.pmtu)
			}
		}
	}
	s.unaUpdate(ack)
	return flag
}

// windowOf returns the window of a segment in bytes.
func (s *Sock) windowOf(b *skb.Buff) uint32 {
	w := uint32(header.TCP(b.TransportHeader()).Window())
	if rx(b).flags&header.TCPSyn == 0 {
		w <<= s.opt.sndWScale
	}
	return w
}

// ackProbe looks at the window after an answer to a probe (Linux:
// tcp_ack_probe).
func (s *Sock) ackProbe() {
	b := s.wq.sendHead()
	if b == nil {
		return
	}
	if !after(tx(b).end, s.wndEnd()) {
		s.backoff, s.probesSince = 0, 0
		s.clearTimer(timeProbe0)
		return // sending goes on when this segment is done with
	}
	when := s.probe0When(s.rtoMax)
	s.resetTimer(timeProbe0, s.clampProbe0(when))
}

// cleanRtxQueue takes what was acknowledged off the queue (Linux:
// tcp_clean_rtx_queue).
func (s *Sock) cleanRtxQueue(priorFack, priorUna uint32, st *sackState, ece bool) int {
	flag := 0
	fully := true
	var firstAckT, lastAckT int64
	priorSacked := s.sackedOut
	reord := s.sndNxt
	pktsAcked := uint32(0)
	for {
		b := s.wq.rtxHead()
		if b == nil {
			break
		}
		cb := tx(b)
		sacked := cb.sacked
		acked := uint32(0)
		// A super-skb may be acknowledged in part.
		if after(cb.end, s.sndUna) {
			if cb.segs == 1 || !after(s.sndUna, cb.seq) {
				break
			}
			if acked = s.tsoAcked(b); acked == 0 {
				break
			}
			fully = false
		} else {
			acked = segs(b)
		}
		if sacked&(sackedRetrans|everRetrans|repaired) != 0 {
			if sacked&sackedRetrans != 0 {
				s.retransOut -= acked
			}
			flag |= flagRetransAcked
		} else if sacked&sackedAcked == 0 {
			lastAckT = b.Tstamp
			if firstAckT == 0 {
				firstAckT = lastAckT
			}
			if before(cb.seq, reord) {
				reord = cb.seq
			}
			if !after(cb.end, s.highSeq) {
				flag |= flagOrigSackAcked
			}
		}
		if sacked&sackedAcked != 0 {
			s.sackedOut -= acked
			st.delivered -= uint32(b.Len())
		} else if s.isSack() {
			s.countDelivered(acked, ece)
			if sacked&(sackedRetrans|everRetrans) == 0 || !s.echoBefore(b.Tstamp) {
				s.rackAdvance(sacked, cb.end, b.Tstamp)
			}
		}
		if sacked&sackedLost != 0 {
			s.lostOut -= acked
		}
		s.packetsOut -= acked
		pktsAcked += acked
		s.rateSkbDelivered(b, &st.rs)
		// The SYN is not data: it opens the congestion window no further.
		if cb.flags&header.TCPSyn == 0 {
			flag |= flagDataAcked
		} else {
			flag |= flagSynAcked
			s.retransStamp = 0
		}
		if !fully {
			break
		}
		if b.TxFlags != 0 {
			s.stampAck(b, st.ttl)
		}
		s.wq.pop()
		s.freeTx(b)
	}
	if s.zc != nil {
		s.zcAcked()
	}
	s.chronoStop(chronoBusy)
	if between(s.sndUp, priorUna, s.sndUna) {
		s.sndUp = s.sndUna
	}
	if b := s.wq.rtxHead(); b != nil && b.TxFlags != 0 && s.sndUna != priorUna {
		s.stampAck(b, st.ttl)
	}
	if b := s.wq.rtxHead(); b != nil && tx(b).sacked&sackedAcked != 0 {
		flag |= flagSackReneging
	}
	now := s.mstamp
	seqRTT, sackRTT, caRTT := int64(-1), int64(-1), int64(-1)
	if firstAckT != 0 && flag&flagRetransAcked == 0 {
		seqRTT = now - firstAckT
		caRTT = now - lastAckT
		if pktsAcked == 1 && fully && priorSacked == 0 && s.sndUna-priorUna < uint32(s.mssCache) &&
			st.rs.priorDelivered+1 == s.delivered && (flag|st.flag)&(flagCAAlert|flagSynAcked) == 0 {
			// One packet alone: its ACK may have been delayed.
			flag |= flagMaybeDelayed
		}
	}
	if st.firstSackT != 0 {
		sackRTT = now - st.firstSackT
		caRTT = now - st.lastSackT
	}
	rttUpdated := s.ackUpdateRTT(flag, seqRTT, sackRTT, caRTT, &st.rs)
	if flag&flagAcked != 0 {
		flag |= flagSetXmitTimer
		if s.mtuProbing() && !after(s.mtuProbeEnd(), s.sndUna) {
			s.mtuProbeSuccess()
		}
		if !s.isSack() {
			s.removeRenoSacks(pktsAcked, ece)
			// A partial ACK may mean that a retransmission was lost.
			if flag&flagRetransAcked != 0 {
				flag &^= flagOrigSackAcked
			}
		} else if before(reord, priorFack) {
			s.checkSackReordering(reord, false)
		}
	} else if b := s.wq.rtxHead(); b != nil && rttUpdated && sackRTT >= 0 && sackRTT > now-b.Tstamp {
		// The SACK is of something sent after the last transmission of the
		// head: the timer starts again from now, lest it fire too early.
		flag |= flagSetXmitTimer
	}
	if s.ca.pktsAcked != nil {
		s.ca.pktsAcked(s, pktsAcked, st.rs.rtt, st.rs.inFlightAt)
	}
	return flag | st.flag&(flagDsacking|flagDsackTLP)
}

// tsoAcked removes what was acknowledged of a super-skb and returns the packets
// that are gone (Linux: tcp_tso_acked).
func (s *Sock) tsoAcked(b *skb.Buff) uint32 {
	old := segs(b)
	if !s.trimHead(b, int(s.sndUna-tx(b).seq)) {
		return 0
	}
	return old - segs(b)
}
