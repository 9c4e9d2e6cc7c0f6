package tcp

// Reducing the window by what leaves the network (RFC 6937; Linux:
// tcp_cwnd_reduction).

// currentSSThr is tcp_current_ssthresh.
func (s *Sock) currentSSThr() uint32 {
	if s.inRecovery() {
		return s.ssthresh
	}
	return max(s.ssthresh, s.cwnd>>1+s.cwnd>>2)
}

// initCwndReduction begins a proportional rate reduction (Linux:
// tcp_init_cwnd_reduction; RFC 6937).
func (s *Sock) initCwndReduction() {
	s.highSeq = s.sndNxt
	s.tlpHighSeq = 0
	s.cwndCnt = 0
	s.priorCwnd = s.cwnd
	s.prrDelivered, s.prrOut = 0, 0
	s.ssthresh = s.ca.ssthresh(s)
	s.ecnQueueCWR()
}

// cwndReduction is one step of it.
func (s *Sock) cwndReduction(acked, lost int, flag int) {
	if acked <= 0 || s.priorCwnd == 0 {
		return
	}
	delta := int(s.ssthresh) - int(s.inFlight())
	s.prrDelivered += uint32(acked)
	var n int
	if delta < 0 {
		d := uint64(s.ssthresh)*uint64(s.prrDelivered) + uint64(s.priorCwnd) - 1
		n = int(d/uint64(s.priorCwnd)) - int(s.prrOut)
	} else {
		n = max(int(s.prrDelivered)-int(s.prrOut), acked)
		if flag&flagUnaAdvanced != 0 && lost == 0 {
			n++
		}
		n = min(delta, n)
	}
	// The first retransmission always goes.
	if s.prrOut == 0 {
		n = max(n, 1)
	}
	s.cwnd = uint32(max(int(s.inFlight())+max(n, 0), 1))
}

func (s *Sock) endCwndReduction() {
	if s.ca.control != nil {
		return
	}
	if s.ssthresh < infiniteSsthr && (s.caState == caCWR || s.undoMarker != 0) {
		s.cwnd = s.ssthresh
		s.cwndStamp = s.ns()
	}
	s.caEvent(caEventCompleteCWR)
}

// enterCWR is tcp_enter_cwr.
func (s *Sock) enterCWR() {
	s.priorSSThr = 0
	if s.caState < caCWR {
		s.undoMarker = 0
		s.initCwndReduction()
		s.setCAState(caCWR)
	}
}
