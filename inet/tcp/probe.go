package tcp

import (
	"syscall"

	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/skb/header"
)

// Probes of a closed window (RFC 9293 section 3.8.6.1; Linux:
// tcp_probe_timer).

// probe0Base is the first interval of zero-window probes (Linux:
// tcp_probe0_base).
func (s *Sock) probe0Base() int64 { return max(s.rto, s.rtoMin) }

// probe0When backs it off.
func (s *Sock) probe0When(most int64) int64 {
	b := min(s.backoff, 32)
	when := s.probe0Base()
	for range b {
		if when <<= 1; when >= most {
			return most
		}
	}
	return min(when, most)
}

// clampProbe0 is tcp_clamp_probe0_to_user_timeout.
func (s *Sock) clampProbe0(when int64) int64 {
	if s.userTimeout == 0 || s.probesSince == 0 {
		return when
	}
	elapsed := max(s.tcp.now()-s.probesSince, 0)
	left := max(s.userTimeout-elapsed, timeoutMin)
	return min(left, when)
}

// checkProbeTimer starts probing if nothing else will happen (Linux:
// tcp_check_probe_timer).
func (s *Sock) checkProbeTimer() {
	if s.packetsOut == 0 && s.pending == timeNone {
		s.resetTimer(timeProbe0, s.probe0Base())
	}
}

// probeTimer is tcp_probe_timer.
func (s *Sock) probeTimer() {
	b := s.wq.sendHead()
	if s.packetsOut != 0 || b == nil {
		s.probesOut, s.probesSince = 0, 0
		return
	}
	now := s.tcp.now()
	if s.probesSince == 0 {
		s.probesSince = now
	} else if s.userTimeout != 0 && now-s.probesSince >= s.userTimeout {
		s.writeErr()
		return
	}
	most := int(s.tcp.conf.retries2.Load())
	if s.Flag(sock.FlagDead) {
		when := s.rto << min(s.backoff, 20)
		alive := s.backoff < 20 && when < s.rtoMax
		most = s.orphanRetries(alive)
		if !alive && int(s.backoff) >= most {
			s.writeErr()
			return
		}
		if s.outOfResources(true) {
			return
		}
	}
	if int(s.probesOut) >= most {
		s.writeErr()
		return
	}
	s.sendProbe0()
}

// xmitProbe sends a segment without data that makes the peer answer with its
// window (Linux: tcp_xmit_probe_skb). urgent tells it what is urgent.
func (s *Sock) xmitProbe(urgent bool) error {
	seq := s.sndUna
	if !urgent {
		seq--
	}
	b := s.initSkb(header.TCPAck, seq)
	if b == nil {
		return syscall.ENOBUFS
	}
	return s.transmit(b, false, s.rcvNxt)
}

// writeWakeup probes a window or a silent peer (Linux: tcp_write_wakeup): with
// data if the window lets some go.
func (s *Sock) writeWakeup(counter int) error {
	if s.State() == Close {
		return syscall.EPIPE
	}
	b := s.wq.sendHead()
	if b != nil && before(tx(b).seq, s.wndEnd()) {
		mss := s.currentMSS()
		size := int(s.wndEnd() - tx(b).seq)
		if before(s.pushedSeq, tx(b).end) {
			s.pushedSeq = tx(b).end
		}
		// Silly-window avoidance on the sending side: a piece rather than none.
		if size < int(tx(b).end-tx(b).seq) || b.Len() > mss {
			size = min(size, mss)
			tx(b).flags |= header.TCPPsh
			if !s.fragment(s.wq.sent(), size, mss, false) {
				return syscall.ENOMEM
			}
		} else if tx(b).segs == 0 {
			setSegs(b, mss)
		}
		tx(b).flags |= header.TCPPsh
		err := s.transmit(b, true, s.rcvNxt)
		if err == nil {
			s.newDataSent(b)
		}
		return err
	}
	s.tcp.inc(counter)
	if s.urgMode && before(s.sndUna, s.sndUp) && !after(s.sndUp, s.sndUna+0xffff) {
		s.xmitProbe(true)
	}
	return s.xmitProbe(false)
}

// sendProbe0 probes a closed window (Linux: tcp_send_probe0).
func (s *Sock) sendProbe0() {
	err := s.writeWakeup(mib.TCPWinProbe)
	if s.packetsOut != 0 || s.wq.sendHead() == nil {
		s.probesOut, s.backoff, s.probesSince = 0, 0, 0
		return
	}
	s.probesOut++
	var when int64
	if err == nil {
		if s.backoff < uint8(s.tcp.conf.retries2.Load()) {
			s.backoff++
		}
		when = s.probe0When(s.rtoMax)
	} else {
		when = resourceProbe // congestion here: soon again
	}
	s.resetTimer(timeProbe0, s.clampProbe0(when))
}
