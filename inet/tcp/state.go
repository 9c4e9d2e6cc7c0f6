package tcp

import (
	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// disposition is what became of a segment.
type disposition uint8

const (
	taken  disposition = iota // consumed
	answer                    // not acceptable: the caller answers with a RST and ends it
)

// rcvStateProcess takes a segment in every state but ESTABLISHED and TIME_WAIT
// (Linux: tcp_rcv_state_process; RFC 9293 section 3.10.7). With answer b is
// still the caller's.
func (s *Sock) rcvStateProcess(b *skb.Buff) disposition {
	t := s.tcp
	cb := rx(b)
	h := header.TCP(b.TransportHeader())
	h = h[:h.HeaderLen()]
	switch s.State() {
	case Close:
		discard(b, skb.TCPClose)
		return taken
	case Listen:
		switch {
		case cb.flags&header.TCPAck != 0:
			return answer
		case cb.flags&header.TCPRst != 0:
			discard(b, skb.TCPReset)
		case cb.flags&header.TCPSyn != 0 && cb.flags&header.TCPFin == 0:
			t.connRequest(s, b, h)
		default:
			discard(b, skb.TCPFlags)
		}
		return taken
	case SynSent:
		s.opt.sawTS = false
		s.refresh()
		d := s.rcvSynSent(b, h)
		return d
	}
	s.refresh()
	s.opt.sawTS = false
	waits := false // for the peer's FIN, without a program
	if r := s.fastopen.rsk.Load(); r != nil && r.check(b, h) == nil {
		return taken
	}
	if cb.flags&(header.TCPAck|header.TCPRst|header.TCPSyn) == 0 {
		discard(b, skb.TCPFlags)
		return taken
	}
	var o parsedOpts
	if !s.validateIncoming(b, h, &o) {
		return taken
	}
	if r := s.tcpAck(b, &o, flagSlowpath|flagUpdateTSRecent|flagNoChallenge); r <= 0 {
		if s.State() == SynRecv {
			return answer
		}
		if r < 0 {
			s.sendChallengeAck()
			discard(b, skb.NotSpecified)
			return taken
		}
	}
	s.ecnCount(b, b.Len()-len(h))
	switch s.State() {
	case SynRecv:
		s.synRecvDone(b, h)
	case FinWait1:
		if s.fastopen.rsk.Load() != nil {
			s.fastopenDone()
		}
		if s.sndUna != s.writeSeq {
			break
		}
		d, done := s.finWait1Acked(b)
		if done {
			return d
		}
		waits = s.Flag(sock.FlagDead)
	case Closing:
		if s.sndUna == s.writeSeq {
			s.timeWait(TimeWait, 0)
			b.Consume()
			return taken
		}
	case LastAck:
		if s.sndUna == s.writeSeq {
			s.saveMetrics()
			s.done()
			b.Consume()
			return taken
		}
	}
	s.rcvUrg(b, h)
	queue := false
	switch st := s.State(); st {
	case CloseWait, Closing, LastAck, FinWait1, FinWait2:
		if inStates(st, fCloseWait|fClosing|fLastAck) && !before(cb.seq, s.rcvNxt) {
			break
		}
		// RFC 1122 section 4.2.2.13: data for a program that will never read
		// it resets.
		if s.ShutdownBits()&sock.RcvShutdown != 0 && s.lateData(cb) {
			t.inc(mib.TCPAbortOnData)
			s.reset()
			return answer
		}
		queue = true
	case Established:
		queue = true
	}
	if queue {
		s.dataQueue(b, h)
	} else {
		b.Consume()
	}
	if s.State() != Close && s.State() != TimeWait {
		s.dataSndCheck()
		s.ackSndCheck()
	}
	if waits && s.State() == FinWait2 {
		when := s.finTime()
		if when > timeWaitLen {
			when -= timeWaitLen
		}
		s.keepMod(s.ns() + when)
	}
	return taken
}

// lateData reports whether a segment has data that nobody has seen.
func (s *Sock) lateData(cb *rxCB) bool {
	fin := uint32(cb.flags & header.TCPFin)
	return cb.end != cb.seq && after(cb.end-fin, s.rcvNxt)
}

// synRecvDone makes a connection of one that was answered (Linux: the case
// TCP_SYN_RECV).
func (s *Sock) synRecvDone(b *skb.Buff, h header.TCP) {
	cb := rx(b)
	s.delivered++
	if s.srtt == 0 && s.synackSent != 0 {
		rtt := s.mstamp - s.synackSent
		var rs rateSample
		s.ackUpdateRTT(flagSynAcked, rtt, -1, rtt, &rs)
	}
	if s.fastopen.rsk.Load() != nil {
		s.fastopenDone()
	} else {
		s.retransStamp = 0
		s.initTransfer()
		s.copied = s.rcvNxt
	}
	s.setState(Established)
	s.connected = true
	s.wake(wakeState)
	s.sndUna = cb.ack
	s.sndWnd = uint32(h.Window()) << s.opt.sndWScale
	s.maxWnd = max(s.maxWnd, s.sndWnd)
	s.sndWl1 = cb.seq
	if s.opt.tsOK {
		s.advMSS -= tsOptLen
	}
	if s.ca.control == nil {
		s.updatePacingRate()
	}
	s.lsndtime = s.ns()
	s.initRcvMSS()
	s.fastPathOn()
	if s.ShutdownBits()&sock.SendShutdown != 0 {
		s.shutdownSend()
	}
}

// finWait1Acked is what the ACK of our FIN does. done means that b is gone, or
// to be answered.
func (s *Sock) finWait1Acked(b *skb.Buff) (d disposition, done bool) {
	cb := rx(b)
	s.setState(FinWait2)
	s.StoreShutdown(sock.SendShutdown)
	s.confirmNeigh()
	if !s.Flag(sock.FlagDead) {
		s.wake(wakeState)
		return 0, false
	}
	if s.linger2 < 0 || s.lateData(cb) {
		s.done()
		s.tcp.inc(mib.TCPAbortOnData)
		return answer, true
	}
	when := s.finTime()
	if when > timeWaitLen || cb.flags&header.TCPFin != 0 || s.OwnedByUser() {
		// The FIN, if there is one, is still to be taken. The caller then has the
		// sock wait for as long as need be.
		return 0, false
	}
	s.timeWait(FinWait2, when)
	b.Consume()
	return taken, true
}

// initTransfer is tcp_init_transfer: the connection begins.
func (s *Sock) initTransfer() {
	s.mtupInit()
	rt, _ := s.CachedRoute(s.Ident())
	if rt == nil {
		rt, _, _ = s.rebuildRoute(s.Ident())
	}
	s.initMetrics(rt)
	if s.totalRetrans > 1 && s.undoMarker != 0 {
		s.cwnd = 1 // the SYN was lost (RFC 5681 section 3.1)
	} else {
		s.cwnd = initCwnd
		if rt != nil {
			if v := rt.Metric(metricInitCwnd); v != 0 {
				s.cwnd = v
			}
		}
	}
	s.cwndStamp = s.ns()
	s.PacingChanged()
	s.initCong()
	s.initBufferSpace()
}

// rcvSynSent takes a segment in SYN_SENT (Linux:
// tcp_rcv_synsent_state_process; RFC 9293 section 3.10.7.3).
func (s *Sock) rcvSynSent(b *skb.Buff, h header.TCP) disposition {
	t := s.tcp
	cb := rx(b)
	var o parsedOpts
	parseOptions(h, &o)
	rst, syn := cb.flags&header.TCPRst != 0, cb.flags&header.TCPSyn != 0
	var tsecr uint32
	if o.hasTS && o.tsecr != 0 {
		tsecr = o.tsecr - s.tsOffset
	}
	if cb.flags&header.TCPAck != 0 {
		if !after(cb.ack, s.sndUna) || after(cb.ack, s.sndNxt) {
			// An old connection of the peer's: reset it and try again soon.
			if s.retransmits == 0 {
				s.resetTimer(timeRetrans, timeoutMin)
			}
			return answer
		}
		if o.hasTS && tsecr != 0 && !between(tsecr, uint32(s.retransStamp/1000), uint32(s.mstamp/1000)) {
			t.inc(mib.PAWSActive)
			return answer
		}
		if rst {
			s.reset()
			discard(b, skb.TCPReset)
			return taken
		}
		if !syn {
			discard(b, skb.TCPFlags)
			return taken
		}
		s.takeSynOptions(&o, tsecr)
		s.ecnRcvSynAck(cb, h, &o)
		s.sndWl1 = cb.seq
		s.undoSpuriousSyn()
		s.tcpAck(b, &o, flagSlowpath)
		s.rcvNxt = cb.seq + 1
		s.rcvWup = s.rcvNxt
		s.sndWnd = uint32(h.Window())
		if !s.opt.wscaleOK {
			s.opt.sndWScale, s.opt.rcvWScale = 0, 0
			s.winClamp = min(s.winClamp, 65535)
		}
		if s.opt.sawTS {
			s.opt.tsOK = true
			s.headerLen = header.TCPMinLen + tsOptLen
			s.advMSS -= tsOptLen
			s.storeTSRecent()
		} else {
			s.opt.tsOK = false
			s.headerLen = header.TCPMinLen
		}
		s.syncMSS(s.pmtu)
		s.initRcvMSS()
		s.copied = s.rcvNxt
		s.finishConnect()
		s.keepRxDst(b)
		failed := s.fastopenSynAck(b, &o)
		s.wake(wakeState | wakeSpace)
		if failed {
			b.Consume()
			s.dataSndCheck()
			return taken
		}
		if s.writePending > 0 || s.deferAcc != 0 || s.inPingpong() {
			// Somebody is about to send: his data carries the ACK.
			s.scheduleAck()
			s.enterQuickack(maxQuickacks)
			s.ack.pending |= ackTimer
			s.resetTimer(timeDack, delackMax)
			b.Consume()
			s.dataSndCheck()
			return taken
		}
		s.reflectAck()
		b.Consume()
		s.dataSndCheck()
		return taken
	}
	if rst || !syn || s.opt.tsRecentStamp != 0 && o.hasTS && s.opt.tsRecent != 0 && int32(o.tsval-s.opt.tsRecent) < 0 {
		discard(b, skb.TCPFlags)
		return taken
	}
	// A SYN crossed ours: both open at once (RFC 9293 section 3.5, figure 8).
	s.takeSynOptions(&o, tsecr)
	s.setState(SynRecv)
	if s.opt.sawTS {
		s.opt.tsOK = true
		s.storeTSRecent()
		s.headerLen = header.TCPMinLen + tsOptLen
	} else {
		s.opt.tsOK = false
		s.headerLen = header.TCPMinLen
	}
	s.rcvNxt = cb.seq + 1
	s.copied = s.rcvNxt
	s.rcvWup = s.rcvNxt
	s.sndWnd = uint32(h.Window())
	s.sndWl1 = cb.seq
	s.maxWnd = s.sndWnd
	s.ecnRcvSyn(cb, h)
	s.syncMSS(s.pmtu)
	s.initRcvMSS()
	s.sendSynAck()
	b.Consume()
	return taken
}

// takeSynOptions keeps what the peer's SYN agreed to.
func (s *Sock) takeSynOptions(o *parsedOpts, tsecr uint32) {
	c := &s.tcp.conf
	p := &s.opt
	p.sawTS = o.hasTS && c.timestamps.Load() != 0
	p.rcvTSval, p.rcvTSecr = o.tsval, tsecr
	p.sackOK = o.sackOK && c.sack.Load() != 0
	p.wscaleOK = o.wscaleOK && c.windowScaling.Load() != 0
	if p.wscaleOK {
		p.sndWScale = o.wscale
	}
	if o.mss != 0 {
		m := int(o.mss)
		if s.userMSS != 0 {
			m = min(m, s.userMSS)
		}
		p.mssClamp = m
	} else {
		p.mssClamp = mssDefault
	}
	s.tsTick = p.sawTS
}

// undoSpuriousSyn is tcp_try_undo_spurious_syn: our SYN was retransmitted
// before its answer could come.
func (s *Sock) undoSpuriousSyn() {
	if s.retransmits != 0 && s.retransStamp != 0 && s.opt.sawTS && s.opt.rcvTSecr != 0 && uint32(s.retransStamp/1000) == s.opt.rcvTSecr {
		s.undoMarker = 0
	}
}

// finishConnect is tcp_finish_connect.
func (s *Sock) finishConnect() {
	s.setState(Established)
	s.ack.lrcvtime = s.ns()
	s.initTransfer()
	s.lsndtime = s.ns()
	if s.Flag(sock.FlagKeepOpen) {
		s.keepMod(s.tcp.now() + s.keepTimeWhen())
	}
	if s.opt.sndWScale == 0 {
		s.fastPathOn()
	} else {
		s.pred = predict{}
	}
}
