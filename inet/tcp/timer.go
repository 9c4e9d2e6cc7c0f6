package tcp

import (
	"syscall"

	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/napi"
)

// resetTimer sets one of the sock's timers (Linux:
// inet_csk_reset_xmit_timer). when is in ns from the time refresh took.
func (s *Sock) resetTimer(what uint8, when int64) {
	when = min(when, s.rtoMax)
	at := s.ns() + when
	if what == timeDack {
		s.ack.timeout = at
		s.armDack(at)
		return
	}
	s.pending = what
	s.timeout = at
	s.armRtx(at)
}

// armRtx sees to it that writeTimer runs at a time, give or take an eighth of what
// is left until then, as the timer wheel does. Every ACK moves that time on, but
// mostly by little.
func (s *Sock) armRtx(at int64) {
	near := (at - s.ns()) >> 3
	if due := s.rtx.Due(); !s.rtxSet || due > at+near || due < at-near {
		s.rtxSet = true
		s.rtx.ModAt(at, s.ns())
	}
}

// armDack is armRtx for delackTimer, which every segment moves on and hardly one
// ever meets: too early does not matter, as it is set anew then.
func (s *Sock) armDack(at int64) {
	if !s.dackSet || s.dack.Due() > at+(at-s.ns())>>3 {
		s.dackSet = true
		s.dack.ModAt(at, s.ns())
	}
}

// clearTimer forgets a timer (Linux: inet_csk_clear_xmit_timer). The timer
// itself stays on the wheel: setting it again is likelier than that it goes off
// for nothing.
func (s *Sock) clearTimer(what uint8) {
	if what == timeDack {
		s.ack.pending = 0
		s.ack.retry = 0
		return
	}
	s.pending = timeNone
}

// stopTimers takes all timers off (Linux: tcp_clear_xmit_timers).
func (s *Sock) stopTimers() {
	s.pending, s.ack.pending = timeNone, 0
	if s.rtxSet {
		s.rtx.Del()
	}
	if s.dackSet {
		s.dack.Del()
	}
	s.rtxSet, s.dackSet = false, false
	s.keepDel()
	s.stopPacing()
	s.stopComp()
}

// delackTimer is tcp_delack_timer.
func delackTimer(t *napi.Timer) {
	s := dackSock(t)
	s.BHLock()
	if s.OwnedByUser() {
		s.tcp.inc(mib.DelayedACKLocked)
		s.Defer(deferDelack)
	} else {
		s.delackHandler()
	}
	s.bhUnlock()
}

// delackHandler is tcp_delack_timer_handler.
func (s *Sock) delackHandler() {
	s.dackSet = false
	if inStates(s.State(), fClose|fListen) {
		return
	}
	// SACKs that were held back go first.
	if s.compSend() {
		return
	}
	if s.ack.pending&ackTimer == 0 {
		return
	}
	if now := s.tcp.now(); s.ack.timeout > now {
		s.armDack(s.ack.timeout)
		return
	}
	s.ack.pending &^= ackTimer
	if s.ackScheduled() {
		if !s.inPingpong() {
			// The program was slow: be less patient next time.
			s.ack.ato = min(s.ack.ato<<1, s.rto)
		} else {
			// It does not answer after all.
			s.exitPingpong()
			s.ack.ato = atoMin
		}
		s.refresh()
		s.sendAck()
		s.tcp.inc(mib.DelayedACKs)
	}
}

// writeTimer is tcp_write_timer.
func writeTimer(t *napi.Timer) {
	s := rtxSock(t)
	s.BHLock()
	if s.OwnedByUser() {
		s.Defer(deferWrite)
	} else {
		s.writeHandler()
	}
	s.bhUnlock()
}

// writeHandler is tcp_write_timer_handler.
func (s *Sock) writeHandler() {
	s.rtxSet = false
	if inStates(s.State(), fClose|fListen) || s.pending == timeNone {
		return
	}
	if s.timeout > s.tcp.now() {
		s.armRtx(s.timeout)
		return
	}
	s.refresh()
	switch ev := s.pending; ev {
	case timeReo:
		s.rackReoTimeout()
	case timeLossProbe:
		s.sendLossProbe()
	case timeRetrans:
		s.pending = timeNone
		s.retransmitTimer()
	case timeProbe0:
		s.pending = timeNone
		s.probeTimer()
	}
}

// writeErr ends a connection that timed out (Linux: tcp_write_err).
func (s *Sock) writeErr() {
	err := s.SoftError()
	if err == 0 {
		err = syscall.ETIMEDOUT
	}
	s.doneWithError(err)
	s.tcp.inc(mib.TCPAbortOnTimeout)
}

// doneWithError is tcp_done_with_error.
func (s *Sock) doneWithError(err syscall.Errno) {
	s.StoreError(err)
	s.writeQueuePurge()
	s.done()
	s.wake(wakeErr)
}

// outOfResources ends orphans when there are too many (Linux:
// tcp_out_of_resources).
func (s *Sock) outOfResources(doReset bool) bool {
	shift := 0
	if s.tcp.now()-s.lsndtime > 2*s.rtoMax || !doReset {
		shift++
	}
	if s.SoftError() != 0 {
		shift++
	}
	if s.tcp.tooManyOrphans(shift) || s.outOfMemory() {
		if s.tcp.now()-s.lsndtime <= timeWaitLen || s.sndWnd == 0 && s.packetsOut == 0 {
			doReset = true
		}
		if doReset {
			s.sendActiveReset()
		}
		s.done()
		s.tcp.inc(mib.TCPAbortOnMemory)
		return true
	}
	return false
}

func (t *TCP) tooManyOrphans(shift int) bool {
	return t.orphans.Load()<<shift > int64(t.conf.maxOrphans.Load())
}

// orphanRetries is tcp_orphan_retries.
func (s *Sock) orphanRetries(alive bool) int {
	n := int(s.tcp.conf.orphanRetries.Load())
	if s.SoftError() != 0 && !alive {
		return 0
	}
	if n == 0 && alive {
		n = 8 // enough to outlive a reboot of the peer's router
	}
	return n
}

// modelTimeout returns how long boundary retransmissions take from base on
// (Linux: tcp_model_timeout).
func (s *Sock) modelTimeout(boundary int, base int64) int64 {
	thresh := 0
	for b := base; b < s.rtoMax; b <<= 1 {
		thresh++
	}
	if thresh > 0 {
		thresh--
	}
	if boundary <= thresh {
		return (2<<boundary - 1) * base
	}
	return (2<<thresh-1)*base + int64(boundary-thresh)*s.rtoMax
}

// timedOut reports whether it has been tried for long enough (Linux:
// retransmits_timed_out; RFC 9293 section 3.8.3). timeout 0 computes the time
// that boundary retransmissions take.
func (s *Sock) timedOut(boundary int, timeout int64) bool {
	if s.retransmits == 0 {
		return false
	}
	start := s.retransStamp
	if timeout == 0 {
		base := s.rtoMin
		if inStates(s.State(), fSynSent|fSynRecv) {
			base = timeoutInit
		}
		timeout = s.modelTimeout(boundary, base)
	}
	return s.tcp.now()/1e6-start/1000 >= timeout/ms
}

// writeTimeout decides whether to give up (Linux: tcp_write_timeout).
func (s *Sock) writeTimeout() bool {
	c := &s.tcp.conf
	expired, until := false, 0
	if inStates(s.State(), fSynSent|fSynRecv) {
		if s.retransmits != 0 {
			s.negativeAdvice()
		}
		if until = int(s.synRetries); until == 0 {
			until = int(c.synRetries.Load())
		}
		most := until
		if s.State() == SynSent {
			most += int(c.synLinear.Load())
		}
		expired = int(s.retransmits) >= most
	} else {
		if s.timedOut(int(c.retries1.Load()), 0) {
			s.mtuBlackHole()
			s.negativeAdvice()
		}
		until = int(c.retries2.Load())
		if s.Flag(sock.FlagDead) {
			alive := s.rto < s.rtoMax
			until = s.orphanRetries(alive)
			if s.outOfResources(alive || !s.timedOut(until, 0)) {
				return true
			}
		}
	}
	if !expired {
		expired = s.timedOut(until, s.userTimeout)
	}
	s.fastopenBlackhole(expired)
	if expired {
		s.writeErr()
		return true
	}
	return false
}

// negativeAdvice looks for another way to the peer (Linux:
// dst_negative_advice).
func (s *Sock) negativeAdvice() { s.ForgetRoute() }

// retransmitTimer is tcp_retransmit_timer (RFC 6298 section 5).
func (s *Sock) retransmitTimer() {
	t := s.tcp
	if r := s.fastopen.rsk.Load(); r != nil {
		s.fastopenTimer(r)
		return
	}
	if s.packetsOut == 0 {
		return
	}
	head := s.wq.rtxHead()
	if head == nil {
		return
	}
	if s.sndWnd == 0 && !s.Flag(sock.FlagDead) && !inStates(s.State(), fSynSent|fSynRecv) {
		// The peer shrank its window to nothing. Probe it for as long as it
		// answers.
		if s.windowProbeTimedOut() {
			s.writeErr()
			return
		}
		s.enterLoss()
		s.retransmit(0, 1)
		s.ForgetRoute()
		s.backOff()
		return
	}
	t.inc(mib.TCPTimeouts)
	if s.writeTimeout() {
		return
	}
	if s.retransmits == 0 {
		i := mib.TCPTimeouts
		switch s.caState {
		case caRecovery:
			i = mib.TCPRenoRecoveryFail
			if s.opt.sackOK {
				i = mib.TCPSackRecoveryFail
			}
		case caLoss:
			i = mib.TCPLossFailures
		case caDisorder:
			i = mib.TCPRenoFailures
			if s.opt.sackOK {
				i = mib.TCPSackFailures
			}
		default:
			if s.sackedOut != 0 {
				i = mib.TCPRenoFailures
				if s.opt.sackOK {
					i = mib.TCPSackFailures
				}
			}
		}
		if i != mib.TCPTimeouts {
			t.inc(i)
		}
	}
	s.enterLoss()
	s.updateRTOStats()
	if s.retransmit(0, 1) != nil {
		// Nothing went out for want of resources here: that is no reason to
		// back off.
		s.resetTimer(timeRetrans, resourceProbe)
		return
	}
	s.backOff()
}

// updateRTOStats is tcp_update_rto_stats.
func (s *Sock) updateRTOStats() {
	if s.retransmits == 0 {
		s.totalRTORecoveries++
		s.rtoStamp = s.tcp.now() / 1e6
	}
	s.retransmits++
	s.totalRTO++
}

// windowProbeTimedOut is tcp_rtx_probe0_timed_out.
func (s *Sock) windowProbeTimedOut() bool {
	timeout := s.rtoMax * 2
	now := s.tcp.now()
	if rcv := s.rcvTstamp; now-rcv <= timeout {
		return false
	}
	head := s.wq.rtxHead()
	return now-head.Tstamp*1000 > timeout
}

// backOff doubles the timeout (Linux: the end of tcp_retransmit_timer).
func (s *Sock) backOff() {
	s.backoff++
	c := &s.tcp.conf
	thin := s.State() == Established && (c.thin.Load() != 0 || s.thinLinear()) && s.packetsOut < 4 && !s.inInitialSlowstart() && s.retransmits <= 6
	switch {
	case thin:
		s.backoff = 0
		s.rto = min(max(s.calcRTO(), s.rtoMin), s.rtoMax)
	case s.State() != SynSent || int(s.totalRTO) > int(c.synLinear.Load()):
		// SYNs are spaced evenly at first.
		s.rto = min(s.rto<<1, s.rtoMax)
	}
	s.resetTimer(timeRetrans, s.clampRTO())
	if s.timedOut(int(c.retries1.Load())+1, 0) {
		s.ForgetRoute()
	}
}

func (s *Sock) inInitialSlowstart() bool { return s.ssthresh >= infiniteSsthr }

// clampRTO keeps the timer within TCP_USER_TIMEOUT (Linux:
// tcp_clamp_rto_to_user_timeout).
func (s *Sock) clampRTO() int64 {
	if s.userTimeout == 0 || s.retransStamp == 0 {
		return s.rto
	}
	elapsed := s.tcp.now() - s.retransStamp*1000
	if left := s.userTimeout - elapsed; left > 0 {
		return min(s.rto, left)
	}
	return 1 * ms
}

// ReleaseCB implements sock.Stream (Linux: tcp_release_cb).
func (s *Sock) ReleaseCB(bits uint32) {
	if bits&deferTSQ != 0 {
		s.tsqWrite()
	}
	if bits&deferWrite != 0 {
		s.writeHandler()
	}
	if bits&deferDelack != 0 {
		s.delackHandler()
	}
	if bits&deferMTU != 0 {
		s.mtuReduced()
	}
	if bits&deferAck != 0 {
		s.deferredAck()
	}
	s.publish()
}
