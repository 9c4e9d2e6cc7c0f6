package tcp

import (
	"syscall"

	"barewire/inet/ip"
	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/skb"
)

// flagDone says that the end of the stream was seen (Linux: SOCK_DONE).
const flagDone sock.Flag = 1 << 20

// newState is what closing does to a state, and whether a FIN is due (Linux:
// new_state; RFC 9293 section 3.6).
var newState = [...]struct { // read-only
	state uint32
	fin   bool
}{
	Established: {FinWait1, true},
	SynSent:     {Close, false},
	SynRecv:     {FinWait1, true},
	FinWait1:    {FinWait1, false},
	FinWait2:    {FinWait2, false},
	TimeWait:    {Close, false},
	Close:       {Close, false},
	CloseWait:   {LastAck, true},
	LastAck:     {LastAck, false},
	Listen:      {Close, false},
	Closing:     {Closing, false},
	NewSynRecv:  {Close, false},
}

// closeState is tcp_close_state.
func (s *Sock) closeState() bool {
	n := newState[s.State()]
	s.setState(n.state)
	return n.fin
}

// shutdownSend is tcp_shutdown: half-close.
func (s *Sock) shutdownSend() {
	if inStates(s.State(), fEstablished|fSynSent|fCloseWait) && s.closeState() {
		s.sendFin()
	}
}

// Shutdown is inet_shutdown: how is SHUT_RD, SHUT_WR or SHUT_RDWR. ENOTCONN when
// there is no connection.
func (s *Sock) Shutdown(how int) error {
	if how < syscall.SHUT_RD || how > syscall.SHUT_RDWR {
		return syscall.EINVAL
	}
	bits := uint32(how + 1)
	s.lockBH()
	defer s.unlock()
	var err error
	switch s.State() {
	case Close:
		s.StoreShutdown(bits)
		err = syscall.ENOTCONN
	case Listen, SynSent:
		if s.State() == Listen && bits&sock.RcvShutdown == 0 {
			break
		}
		s.disconnect()
		s.connecting, s.connected = false, false
	default:
		s.StoreShutdown(bits)
		if bits&sock.SendShutdown != 0 {
			s.shutdownSend()
		}
	}
	s.wake(wakeState)
	return err
}

// Release ends the socket (Linux: inet_release, tcp_close): what was written
// still goes out, unless SO_LINGER says otherwise.
func (s *Sock) Release() error {
	timeout := int64(0)
	on, secs := s.Linger()
	if on {
		timeout = int64(secs) * sec
	}
	s.lockBH()
	s.shutdownBoth()
	if s.State() == Listen {
		s.setState(Close)
		s.stopListening()
		s.orphan()
		return nil
	}
	// What was received and not read: the peer must learn that it is lost.
	unread := false
	for b := s.rq.Head(); b != nil; b = s.rq.Head() {
		n := rx(b).end - rx(b).seq
		if rx(b).flags&1 != 0 {
			n--
		}
		if n > 0 && after(rx(b).end, s.copied) {
			unread = true
		}
		s.eatSkb(b)
	}
	switch {
	case s.State() == Close:
		s.orphan()
		return nil
	case s.repairing():
		s.disconnect()
	case unread:
		// RFC 2525 section 2.17.
		s.tcp.inc(mib.TCPAbortOnClose)
		s.refresh()
		s.sendActiveReset() // while it still has its port
		s.setState(Close)
	case on && secs == 0:
		s.disconnect()
		s.tcp.inc(mib.TCPAbortOnData)
	case s.closeState():
		s.sendFin()
	}
	if timeout > 0 {
		s.waitClose(timeout)
	}
	s.orphan()
	return nil
}

// waitClose is sk_stream_wait_close: SO_LINGER.
func (s *Sock) waitClose(timeout int64) {
	const closing = fFinWait1 | fClosing | fLastAck
	if !inStates(s.State(), closing) {
		return
	}
	s.unlock()
	s.WaitEvent(true, timeout, func() (bool, error) { return !inStates(s.State(), closing), nil })
	s.lockBH()
}

// orphan is the second half of tcp_close: nobody holds the sock any more, and
// it lives on only as long as the protocol needs. It gives up the lock.
func (s *Sock) orphan() {
	t := s.tcp
	old := s.State()
	s.SetFlag(sock.FlagDead, true)
	t.orphans.Add(1)
	bh := s.inBH
	s.inBH = 0
	s.publish()
	s.Unlock() // what waited on the backlog is worked off
	s.BHLock()
	s.orphaned(old)
	s.bhUnlock()
	t.endBH(bh)
}

// orphaned is orphan with the short lock held.
func (s *Sock) orphaned(old uint32) {
	t := s.tcp
	if old != Close && s.State() == Close {
		s.finish()
		return
	}
	if s.State() == FinWait2 {
		if s.linger2 < 0 {
			s.sendActiveReset()
			s.setState(Close)
			t.inc(mib.TCPAbortOnLinger)
		} else if when := s.finTime(); when > timeWaitLen {
			s.keepMod(t.now() + when - timeWaitLen)
		} else {
			s.timeWait(FinWait2, when)
			return
		}
	}
	if s.State() != Close && (t.tooManyOrphans(0) || s.outOfMemory()) {
		s.refresh()
		s.sendActiveReset()
		s.setState(Close)
		t.inc(mib.TCPAbortOnMemory)
	}
	if s.State() == Close {
		s.finish()
	}
}

// done ends a connection (Linux: tcp_done).
func (s *Sock) done() {
	if inStates(s.State(), fSynSent|fSynRecv) {
		s.tcp.stats.AttemptFails.Add(1)
	}
	s.fastopenRemove(false)
	s.setState(Close)
	s.stopTimers()
	s.StoreShutdown(sock.RcvShutdown | sock.SendShutdown)
	if !s.Flag(sock.FlagDead) {
		s.wake(wakeState)
	} else {
		s.finish()
	}
}

// finish gives back everything an orphan in CLOSE has (Linux:
// inet_csk_destroy_sock). It may be called more than once.
func (s *Sock) finish() {
	if !s.Flag(sock.FlagDead) || s.finished {
		return
	}
	s.finished = true
	s.tcp.orphans.Add(-1)
	s.freeAll()
}

// destroy is finish for a sock that never was an orphan.
func (s *Sock) destroy() {
	if !s.finished {
		s.finished = true
		s.freeAll()
	}
}

func (s *Sock) freeAll() {
	s.stopTimers()
	s.fastopenRemove(false)
	s.fastopenEnd()
	s.writeQueuePurge()
	for b := s.rq.Head(); b != nil; b = s.rq.Head() {
		s.rq.Remove(b)
		s.unchargeRx(b)
		b.Free(skb.QueuePurge)
	}
	s.ofoPurge()
	s.tcp.tab.unhash(s)
	s.tcp.tab.putPort(s)
	s.ForgetRoute()
	s.Destroy()
	s.tcp.socks.Add(-1)
}

// Disconnect dissolves the connection (Linux: tcp_disconnect, connect to
// AF_UNSPEC).
func (s *Sock) Disconnect() error {
	s.lockBH()
	s.disconnect()
	s.connecting, s.connected = false, false
	s.unlock()
	return nil
}

// disconnect is tcp_disconnect. The sock is owned.
func (s *Sock) disconnect() {
	old := s.State()
	if old != Close {
		s.moveState(Close)
	}
	needReset := inStates(old, fEstablished|fCloseWait|fFinWait1|fFinWait2|fSynRecv)
	switch {
	case old == Listen:
		s.stopListening()
	case s.repairing():
		s.StoreError(syscall.ECONNABORTED)
	case needReset || s.sndNxt != s.writeSeq && inStates(old, fClosing|fLastAck):
		// The peer should know.
		s.SetState(old)
		s.refresh()
		s.sendActiveReset()
		s.SetState(Close)
		s.StoreError(syscall.ECONNRESET)
	case old == SynSent:
		s.StoreError(syscall.ECONNRESET)
	}
	s.stopTimers()
	for b := s.rq.Head(); b != nil; b = s.rq.Head() {
		s.eatSkb(b)
	}
	s.copied = s.rcvNxt
	s.urgData = 0
	s.writeQueuePurge()
	s.ofoPurge()
	s.afterDisconnect()
	s.tcp.tab.unhash(s)
	id := *s.Ident()
	id.Daddr, id.Dport = 0, 0
	if !id.UserAddr {
		id.RcvSaddr, id.Saddr = 0, 0
	}
	s.SetIdent(&id)
	if !id.UserPort {
		s.tcp.tab.putPort(s)
	}
	s.ClearShutdown()
	s.SetFlag(flagDone, false)
	s.wake(wakeErr)
}

// moveState moves the state with its counters but keeps the sock in the
// tables.
func (s *Sock) moveState(state uint32) {
	old := s.State()
	if inStates(old, fEstablished|fCloseWait) {
		s.tcp.stats.CurrEstab.Add(^uint64(0))
		s.tcp.stats.EstabResets.Add(1)
	}
	if old == Listen {
		s.tcp.tab.unlisten(s)
	}
	s.SetState(state)
}

// afterDisconnect makes the sock as good as new.
func (s *Sock) afterDisconnect() {
	s.srtt, s.mdev = 0, uint32(timeoutInit/1000)
	s.rcvRTT = rcvRTT{}
	if s.writeSeq += s.maxWnd + 2; s.writeSeq == 0 {
		s.writeSeq = 1
	}
	s.backoff, s.probesOut, s.probesSince = 0, 0, 0
	s.rto = timeoutInit
	s.ssthresh = infiniteSsthr
	s.cwnd, s.cwndCnt = initCwnd, 0
	s.cwndLimited, s.maxPackets = false, 0
	s.winClamp = 0
	s.delivered, s.deliveredCE, s.lost = 0, 0, 0
	s.setCAState(caOpen)
	s.isSackReneg = false
	s.clearRetrans()
	s.totalRetrans = 0
	s.ack = ackState{}
	s.opt = optState{}
	s.sndUna, s.sndNxt = s.writeSeq, s.writeSeq
	s.numSacks, s.hasDup = 0, false
	s.clearRecvSacks()
	s.bytesSent, s.bytesAcked, s.bytesRecv, s.bytesRetrans = 0, 0, 0, 0
	s.dsackDups, s.reordSeen = 0, 0
	s.recovery.rack = rack{}
	s.tlpHighSeq = 0
	s.retransStamp = 0
	s.pred = predict{}
	s.ecn = 0
	if s.rare != nil {
		s.rare.ecn = nil
	}
	s.fastopenRemove(false)
	s.fastopen.reset()
	s.ForgetRoute()
}

// shutdownBoth closes both directions.
func (s *Sock) shutdownBoth() { s.StoreShutdown(sock.RcvShutdown | sock.SendShutdown) }

// Connect opens the connection (Linux: __inet_stream_connect). Errors:
// EINPROGRESS, EALREADY, EISCONN, and what became of it: ECONNREFUSED,
// ETIMEDOUT and so on.
func (s *Sock) Connect(sa ip.Sockaddr, nonblock bool) error {
	s.lockBH()
	defer s.unlock()
	return s.connectLocked(sa, nonblock, false)
}

// connectLocked is Connect for one who owns the sock: connect, or a sendmsg that
// opens the connection.
func (s *Sock) connectLocked(sa ip.Sockaddr, nonblock, sending bool) error {
	if sa.Family == syscall.AF_UNSPEC && !sending {
		s.disconnect()
		s.connecting, s.connected = false, false
		return nil
	}
	fresh := false
	switch {
	case s.connected:
		return syscall.EISCONN
	case s.connecting:
		if s.fastopen.deferConnect.Load() && !sending {
			return syscall.EISCONN
		}
		fresh = s.fastopen.deferConnect.Load()
	default:
		if s.State() != Close {
			return syscall.EISCONN
		}
		if sa.Family != syscall.AF_INET {
			return syscall.EAFNOSUPPORT
		}
		if err := s.connect(sa); err != nil {
			return err
		}
		s.connecting, fresh = true, true
		if s.fastopen.deferConnect.Load() {
			return nil
		}
	}
	if inStates(s.State(), fSynSent|fSynRecv) {
		if nonblock {
			if fresh {
				return syscall.EINPROGRESS
			}
			return syscall.EALREADY
		}
		_, snd := s.Timeouts()
		more := s.fastopen.req.more()
		if more {
			s.writePending++
		}
		s.unlock()
		var err error
		if inStates(s.State(), fSynSent|fSynRecv) { // the answer may be here already
			err = s.WaitEvent(true, snd, func() (bool, error) {
				return !inStates(s.State(), fSynSent|fSynRecv), nil
			})
		}
		s.lockBH()
		if more {
			s.writePending--
		}
		if err == syscall.EAGAIN {
			return syscall.EINPROGRESS
		}
	}
	// The answer may have been a RST.
	if s.State() == Close {
		err := s.TakeError()
		if err == nil {
			err = syscall.ECONNABORTED
		}
		s.connecting = false
		s.disconnectFailed()
		return err
	}
	s.connecting, s.connected = false, true
	return nil
}

// disconnectFailed lets a sock whose connect failed try again.
func (s *Sock) disconnectFailed() {
	s.disconnect()
	s.StoreError(0)
}
