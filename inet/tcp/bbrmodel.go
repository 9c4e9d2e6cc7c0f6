package tcp

// The model BBR keeps of the path, and what it does next by it.

func (b *bbr) startup() {
	b.mode = bbrStartup
	b.pacingGain, b.cwndGain = bbrHighGain, bbrHighGain
}

// probeBW begins the cycle at a random place, but not with less than the rate:
// flows would otherwise probe together.
func (b *bbr) probeBW(s *Sock) {
	b.mode = bbrProbeBW
	b.cycle = bbrCycleLen - 1 - uint8(s.tcp.random()%(bbrCycleLen-1))
	b.advance(s)
}

func (b *bbr) advance(s *Sock) {
	b.cycle = (b.cycle + 1) % bbrCycleLen
	b.cycleAt = s.deliveredAt
}

func (b *bbr) resetMode(s *Sock) {
	if b.fullBWReached {
		b.probeBW(s)
	} else {
		b.startup()
	}
}

// bbrNextPhase reports whether the cycle moves on: each phase takes a round
// trip, probing lasts until it made a queue or a loss, draining no longer than
// the queue.
func (s *Sock) bbrNextPhase(rs *rateSample) bool {
	b := s.bbr
	full := s.deliveredAt-b.cycleAt > b.minRTT
	if b.pacingGain == bbrUnit {
		return full
	}
	in := s.bbrAtDeparture(rs.priorInFlight)
	if b.pacingGain > bbrUnit {
		return full && (rs.losses != 0 || in >= s.bbrInflight(b.maxBW(), b.pacingGain))
	}
	return full || in <= s.bbrInflight(b.maxBW(), bbrUnit)
}

// bbrUpdateBW takes a sample into the bandwidth filter. A sample that the
// program held back says only that the path gives at least so much.
func (s *Sock) bbrUpdateBW(rs *rateSample) {
	b := s.bbr
	b.roundStart = false
	if rs.delivered < 0 || rs.interval <= 0 {
		return
	}
	if !before(rs.priorDelivered, b.nextRound) {
		b.nextRound = s.delivered
		b.rounds++
		b.roundStart = true
		b.packetConservation = false
	}
	s.bbrSampleLT(rs)
	bw := uint64(rs.delivered) * bwUnit / uint64(rs.interval)
	if !rs.appLimited || bw >= b.maxBW() {
		b.bw.runningMin(bbrBWRounds, uint32(b.rounds), ^uint32(min(bw, 1<<32-1)))
	}
}

// bbrUpdateAggregation measures how far ACKs run ahead of the rate: links that
// gather packets acknowledge them in bursts, and the window must not run dry in
// between.
func (s *Sock) bbrUpdateAggregation(rs *rateSample) {
	b := s.bbr
	if rs.ackedSacked == 0 || rs.delivered < 0 || rs.interval <= 0 {
		return
	}
	if b.roundStart {
		if b.extraRound = min(b.extraRound+1, 0x1f); b.extraRound >= bbrAckWinRTTs {
			b.extraRound = 0
			b.extraIdx ^= 1
			b.extra[b.extraIdx] = 0
		}
	}
	expected := uint32(b.rate() * uint64(max(s.deliveredAt-b.ackEpoch, 0)) / bwUnit)
	if b.ackAcked <= expected || b.ackAcked+rs.ackedSacked >= bbrAckReset {
		b.ackAcked, b.ackEpoch, expected = 0, s.deliveredAt, 0
	}
	b.ackAcked = min(b.ackAcked+rs.ackedSacked, bbrAckReset-1)
	b.extra[b.extraIdx] = max(b.extra[b.extraIdx], min(b.ackAcked-expected, s.cwnd))
}

// checkFull sees that the pipe is full: the rate does not grow.
func (b *bbr) checkFull(rs *rateSample) {
	if b.fullBWReached || !b.roundStart || rs.appLimited {
		return
	}
	if b.maxBW() >= b.fullBW*bbrFullThresh>>bbrScale {
		b.fullBW, b.fullBWCount = b.maxBW(), 0
		return
	}
	b.fullBWCount++
	b.fullBWReached = b.fullBWCount >= bbrFullCount
}

func (s *Sock) bbrCheckDrain() {
	b := s.bbr
	if b.mode == bbrStartup && b.fullBWReached {
		b.mode = bbrDrain
		s.ssthresh = s.bbrInflight(b.maxBW(), bbrUnit)
	}
	if b.mode == bbrDrain && s.bbrAtDeparture(s.inFlight()) <= s.bbrInflight(b.maxBW(), bbrUnit) {
		b.probeBW(s)
	}
}

func (s *Sock) bbrCheckProbeDone() {
	b := s.bbr
	if now := s.tcp.now(); b.probeDone != 0 && now > b.probeDone {
		b.minRTTStamp = now
		s.cwnd = max(s.cwnd, b.priorCwnd)
		b.resetMode(s)
	}
}

// bbrUpdateMinRTT keeps the lowest round trip of 10 s, and empties the queue for
// a moment when none was seen that long.
func (s *Sock) bbrUpdateMinRTT(rs *rateSample) {
	b := s.bbr
	now := s.tcp.now()
	expired := now > b.minRTTStamp+bbrMinRTTWin
	if rs.rtt >= 0 && (rs.rtt < b.minRTT || expired && !rs.ackDelayed) {
		b.minRTT, b.minRTTStamp = rs.rtt, now
	}
	if expired && !b.idleRestart && b.mode != bbrProbeRTT {
		b.mode = bbrProbeRTT
		b.saveCwnd(s)
		b.probeDone = 0
	}
	if b.mode == bbrProbeRTT {
		// What is delivered now says nothing of the path's rate.
		s.appLimited = max(s.delivered+s.inFlight(), 1)
		if b.probeDone == 0 && s.inFlight() <= bbrMinCwnd {
			b.probeDone = now + bbrProbeTime
			b.probeRTTRoundDone = false
			b.nextRound = s.delivered
		} else if b.probeDone != 0 {
			if b.roundStart {
				b.probeRTTRoundDone = true
			}
			if b.probeRTTRoundDone {
				s.bbrCheckProbeDone()
			}
		}
	}
	if rs.delivered > 0 {
		b.idleRestart = false
	}
}

// A policer lets bursts go and then drops whatever is above its rate: two
// intervals with much loss and the same rate give it away, and that rate is used
// for a while instead of the filter's.

func (b *bbr) resetLTInterval(s *Sock) {
	b.ltStamp = s.deliveredAt / 1000
	b.ltDelivered, b.ltLost, b.ltRounds = s.delivered, s.lost, 0
}

func (b *bbr) resetLT(s *Sock) {
	b.ltBW, b.ltUse, b.ltSampling = 0, false, false
	b.resetLTInterval(s)
}

func (s *Sock) bbrLTDone(bw uint64) {
	b := s.bbr
	if b.ltBW != 0 {
		diff := max(bw, b.ltBW) - min(bw, b.ltBW)
		if diff*bbrUnit <= bbrLTRatio*b.ltBW || s.bbrBytesPerSec(diff, bbrUnit) <= bbrLTDiff {
			b.ltBW = (bw + b.ltBW) >> 1
			b.ltUse = true
			b.pacingGain = bbrUnit
			b.ltRounds = 0
			return
		}
	}
	b.ltBW = bw
	b.resetLTInterval(s)
}

func (s *Sock) bbrSampleLT(rs *rateSample) {
	b := s.bbr
	if b.ltUse {
		if b.mode == bbrProbeBW && b.roundStart {
			if b.ltRounds++; b.ltRounds >= bbrLTMaxRTTs {
				b.resetLT(s)
				b.probeBW(s)
			}
		}
		return
	}
	if !b.ltSampling {
		if rs.losses == 0 {
			return
		}
		b.resetLTInterval(s)
		b.ltSampling = true
	}
	if rs.appLimited {
		b.resetLT(s)
		return
	}
	if b.roundStart {
		b.ltRounds++
	}
	if b.ltRounds < bbrLTMinRTTs {
		return
	}
	if b.ltRounds > 4*bbrLTMinRTTs {
		b.resetLT(s)
		return
	}
	if rs.losses == 0 {
		return // an interval ends with a loss
	}
	lost, delivered := s.lost-b.ltLost, s.delivered-b.ltDelivered
	if delivered == 0 || lost<<bbrScale < bbrLTLoss*delivered {
		return
	}
	t := s.deliveredAt/1000 - b.ltStamp
	if t < 1 {
		return
	}
	if t >= 1<<32/1000 {
		b.resetLT(s)
		return
	}
	s.bbrLTDone(uint64(delivered) * bwUnit / uint64(t*1000))
}
