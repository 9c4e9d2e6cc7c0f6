package tcp

import (
	"syscall"

	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// pawsCheck reports whether the timestamp is recent enough, or what we have is
// too old to judge by (Linux: tcp_paws_check).
func (s *Sock) pawsCheck(win int32) bool {
	return int32(s.opt.tsRecent-s.opt.rcvTSval) <= win ||
		s.opt.tsRecentStamp == 0 || s.tcp.now() >= s.opt.tsRecentStamp+paws24Days || s.opt.tsRecent == 0
}

// pawsDiscard is tcp_paws_discard: an old duplicate, unless it is an ACK that
// was overtaken.
func (s *Sock) pawsDiscard(b *skb.Buff, h header.TCP) bool {
	return s.opt.sawTS && !s.pawsCheck(pawsWindow) && !s.disorderedAck(b, h)
}

// disorderedAck is tcp_disordered_ack_check: an ACK may have been overtaken by what
// the peer sent within the timeout, by the fastest clock there is, of 1200 Hz.
func (s *Sock) disorderedAck(b *skb.Buff, h header.TCP) bool {
	cb := rx(b)
	return cb.flags&header.TCPAck != 0 && cb.seq == cb.end && cb.seq == s.rcvNxt && cb.ack == s.sndUna &&
		!s.mayUpdateWindow(cb.ack, cb.seq, uint32(h.Window())<<s.opt.sndWScale) &&
		int64(int32(s.opt.tsRecent-s.opt.rcvTSval)) <= s.rto/ms*1200/1000
}

func (s *Sock) mayUpdateWindow(ack, seq, w uint32) bool {
	return after(ack, s.sndUna) || after(seq, s.sndWl1) || seq == s.sndWl1 && (w > s.sndWnd || w == 0)
}

// sequenceOK reports whether a segment touches the window (Linux:
// tcp_sequence; RFC 9293 section 3.4). One that ends beyond it is taken only
// while nobody has to read first, so that a peer who ignores the window cannot
// fill the receive queue; a FIN may stand one behind the window.
func (s *Sock) sequenceOK(cb *rxCB) bool {
	if before(cb.end, s.rcvWup) {
		return false
	}
	limit := s.rcvNxt + s.receiveWindow()
	if !after(cb.end-uint32(cb.flags&header.TCPFin), limit) {
		return true
	}
	return !after(cb.seq, limit) && s.rq.Len() == 0
}

// oowRatelimited reports whether an answer to a segment out of window is one
// too many (Linux: tcp_oow_rate_limited).
func (s *Sock) oowRatelimited(b *skb.Buff, counter int) bool {
	cb := rx(b)
	if cb.seq != cb.end && cb.flags&header.TCPSyn == 0 {
		return false // data: the sender needs to know
	}
	return s.tcp.oowLimited(counter, &s.lastOOW)
}

func (t *TCP) oowLimited(counter int, last *int64) bool {
	now := t.now()
	if *last != 0 {
		if d := now - *last; 0 <= d && d < int64(t.conf.invalidRatelimit.Load())*ms {
			t.inc(counter)
			return true
		}
	}
	*last = now
	return false
}

// validateIncoming makes the checks of RFC 9293 section 3.10.7.4 that come
// before the acknowledgment: PAWS, sequence, RST, SYN (Linux:
// tcp_validate_incoming). When it returns false b is gone.
func (s *Sock) validateIncoming(b *skb.Buff, h header.TCP, o *parsedOpts) bool {
	t := s.tcp
	cb := rx(b)
	rst, syn := cb.flags&header.TCPRst != 0, cb.flags&header.TCPSyn != 0
	s.readOptions(h, o)
	if s.pawsDiscard(b, h) {
		if !rst {
			if syn {
				s.synChallenge(b)
				return false
			}
			if cb.flags&header.TCPAck != 0 && cb.seq == cb.end && before(cb.seq, s.rcvNxt) {
				// Old ACKs are common, and nobody needs an answer.
				t.inc(mib.PAWSOldAck)
				discard(b, skb.TCPRFC7323PAWS)
				return false
			}
			t.inc(mib.PAWSEstab)
			if !s.oowRatelimited(b, mib.TCPACKSkippedPAWS) {
				s.sendDupack(b)
			}
			discard(b, skb.TCPRFC7323PAWS)
			return false
		}
		// An old RST is looked at all the same.
	}
	if !s.sequenceOK(cb) {
		// RFC 9293: answer with an ACK, unless it was a RST.
		if !rst {
			if syn {
				s.synChallenge(b)
				return false
			}
			if !before(cb.end, s.rcvWup) {
				t.inc(mib.BeyondWindow)
			}
			if !s.oowRatelimited(b, mib.TCPACKSkippedSeq) {
				s.sendDupack(b)
			}
		} else if s.resetCheck(cb) {
			s.reset()
		}
		discard(b, skb.TCPInvalidSequence)
		return false
	}
	if rst {
		// RFC 5961 section 3.2: only the exact sequence number resets; others
		// in the window are challenged.
		if cb.seq == s.rcvNxt || s.resetCheck(cb) {
			s.reset()
			discard(b, skb.TCPReset)
			return false
		}
		if s.isSack() && s.numSacks > 0 {
			most := s.sacks[0].end
			for _, x := range s.sacks[1:s.numSacks] {
				if after(x.end, most) {
					most = x.end
				}
			}
			if cb.seq == most {
				s.reset()
				discard(b, skb.TCPReset)
				return false
			}
		}
		s.sendChallengeAck()
		discard(b, skb.TCPReset)
		return false
	}
	if syn {
		// RFC 5961 section 4.2.
		s.accSyn(cb, o)
		if s.State() == SynRecv && cb.flags&header.TCPAck != 0 && cb.seq+1 == cb.end && cb.seq+1 == s.rcvNxt && cb.ack == s.sndNxt {
			return true // the SYN-ACK of a simultaneous open
		}
		s.synChallenge(b)
		return false
	}
	return true
}

func (s *Sock) synChallenge(b *skb.Buff) {
	s.tcp.inc(mib.TCPSYNChallenge)
	s.challenge(true)
	discard(b, skb.TCPInvalidSYN)
}

// resetCheck accepts a RST that follows the FIN it came with (Linux:
// tcp_reset_check).
func (s *Sock) resetCheck(cb *rxCB) bool {
	return cb.seq == s.rcvNxt-1 && inStates(s.State(), fCloseWait|fLastAck|fClosing)
}

// reset is what a RST does (Linux: tcp_reset).
func (s *Sock) reset() {
	var err syscall.Errno
	switch s.State() {
	case SynSent:
		err = syscall.ECONNREFUSED
	case CloseWait:
		err = syscall.EPIPE
	case Close:
		return
	default:
		err = syscall.ECONNRESET
	}
	s.StoreError(err)
	s.writeQueuePurge()
	s.done()
	if !s.Flag(sock.FlagDead) {
		s.wake(wakeErr)
	}
}

// challengeLimit bounds challenge ACKs of the stack (RFC 5961 section 7).
type challengeLimit struct {
	stamp int64
	count uint32
}

// sendChallengeAck is tcp_send_challenge_ack.
func (s *Sock) sendChallengeAck() { s.challenge(false) }

// challenge is sendChallengeAck; syn says that it answers a SYN.
func (s *Sock) challenge(syn bool) {
	t := s.tcp
	if t.oowLimited(mib.TCPACKSkippedChallenge, &s.lastOOW) {
		return
	}
	if limit := t.conf.challengeLimit.Load(); limit != 1<<31-1 && !t.challenge.allow(t, uint32(limit)) {
		return
	}
	t.inc(mib.TCPChallengeACK)
	if syn {
		s.reflectAck()
		return
	}
	s.sendAck()
}

// allow counts per second, from a random half of the limit on, so that nobody
// can count what others were sent.
func (c *challengeLimit) allow(t *TCP, limit uint32) bool {
	now := t.now() / sec
	if now != c.stamp {
		c.stamp = now
		half := (limit + 1) / 2
		c.count = half + t.random()%max(limit, 1)
	}
	if c.count == 0 {
		return false
	}
	c.count--
	return true
}
