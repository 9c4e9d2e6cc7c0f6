package tcp

// The round trip and the retransmission timeout (RFC 6298 with Linux's variance).

// ackUpdateRTT takes RTT samples in microseconds, each negative if there is
// none (Linux: tcp_ack_update_rtt; RFC 6298, RFC 7323 section 4).
func (s *Sock) ackUpdateRTT(flag int, seqRTT, sackRTT, caRTT int64, rs *rateSample) bool {
	if seqRTT < 0 {
		seqRTT = sackRTT
	}
	if seqRTT < 0 && s.opt.sawTS && s.opt.rcvTSecr != 0 && flag&flagAcked != 0 {
		seqRTT = s.rttByTS(1)
		caRTT = seqRTT
	}
	rs.rtt = caRTT
	if seqRTT < 0 {
		return false
	}
	s.updateRTTMin(caRTT, flag)
	s.rttEstimate(seqRTT)
	s.setRTO()
	s.backoff = 0
	return true
}

// rttByTS is the round trip by the echoed timestamp in us, at least least ms;
// negative when it makes no sense (Linux: tcp_rtt_tsopt_us).
func (s *Sock) rttByTS(least int64) int64 {
	d := int32(uint32(s.mstamp/1000) - (s.opt.rcvTSecr))
	if d < 0 {
		return -1
	}
	return max(int64(d), least) * 1000
}

func (s *Sock) updateRTTMin(rtt int64, flag int) {
	if flag&flagMaybeDelayed != 0 && rtt > int64(s.rttMin.get()) {
		return
	}
	if rtt <= 0 {
		rtt = 1000 // as good as the clock of 1 ms is
	}
	s.rttMin.runningMin(uint32(s.tcp.conf.minRTTWlen.Load())*1000, uint32(s.mstamp/1000), uint32(rtt)) // in ms
}

// rttEstimate is tcp_rtt_estimator: Jacobson's filter with Linux's care about
// the variance when the RTT falls.
func (s *Sock) rttEstimate(rtt int64) {
	m := rtt
	srtt := int64(s.srtt)
	if srtt != 0 {
		m -= srtt >> 3
		srtt += m
		if m < 0 {
			// A falling RTT is no reason for a longer timeout.
			m = -m - int64(s.mdev>>2)
			if m > 0 {
				m >>= 3
			}
		} else {
			m -= int64(s.mdev >> 2)
		}
		s.mdev = uint32(int64(s.mdev) + m)
		if s.mdev > s.mdevMax {
			s.mdevMax = s.mdev
			s.rttvar = max(s.rttvar, s.mdevMax)
		}
		if after(s.sndUna, s.rttSeq) {
			if s.mdevMax < s.rttvar {
				s.rttvar -= (s.rttvar - s.mdevMax) >> 2
			}
			s.rttSeq = s.sndNxt
			s.mdevMax = uint32(s.rtoMin / 1000)
		}
	} else {
		srtt = m << 3
		s.mdev = uint32(m << 1)
		s.rttvar = max(s.mdev, uint32(s.rtoMin/1000))
		s.mdevMax = s.rttvar
		s.rttSeq = s.sndNxt
	}
	s.srtt = uint32(max(1, srtt))
}

// calcRTO is __tcp_set_rto, in whole milliseconds as Linux's ticks are.
func (s *Sock) calcRTO() int64 {
	us := int64(s.srtt>>3) + int64(s.rttvar)
	return (us + 999) / 1000 * ms
}

func (s *Sock) setRTO() { s.rto = min(s.calcRTO(), s.rtoMax) }

// rtoDelta returns the microseconds left until the head's timeout (Linux:
// tcp_rto_delta_us).
func (s *Sock) rtoDelta() int64 {
	b := s.wq.rtxHead()
	if b == nil {
		return s.rto / 1000
	}
	return b.Tstamp + s.rto/1000 - s.mstamp
}

// rearmRTO restarts the retransmission timer (Linux: tcp_rearm_rto; RFC 6298
// section 5).
func (s *Sock) rearmRTO() {
	if s.fastopen.rsk.Load() != nil {
		return // the timer is the SYN-ACK's
	}
	if s.packetsOut == 0 {
		s.clearTimer(timeRetrans)
		return
	}
	rto := s.rto
	if s.pending == timeReo || s.pending == timeLossProbe {
		// Those took its place: what is left of its time counts.
		rto = (max(s.rtoDelta(), 1) + 999) / 1000 * ms
	}
	s.resetTimer(timeRetrans, rto)
}

// setXmitTimer is tcp_set_xmit_timer.
func (s *Sock) setXmitTimer() {
	if !s.scheduleLossProbe(true) {
		s.rearmRTO()
	}
}
