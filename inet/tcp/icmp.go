package tcp

import (
	"syscall"

	"barewire/inet/ip"
	"barewire/inet/mib"
	"barewire/skb"
	"barewire/skb/header"
)

// err hears of an ICMP error about a segment sent from here (Linux:
// tcp_v4_err). b is at the quoted IP header.
func (t *TCP) err(b *skb.Buff, typ, code uint8, info uint32) {
	q := header.IPv4(b.Data())
	p := b.Data()[q.HeaderLen():]
	if len(p) < 8 {
		return
	}
	k := tuple{laddr: q.Src(), raddr: q.Dst(), lport: be16(p), rport: be16(p[2:])}
	seq := be32(p[4:])
	e := t.tab.lookup(&k, b.DevIndex())
	switch {
	case e == nil:
		t.ip.MIB.ICMP.InErrors.Add(1)
		return
	case e.tw() != nil:
		return
	case e.req() != nil:
		r := e.req()
		if seq != r.sntISN {
			t.inc(mib.OutOfWindowIcmps)
			return
		}
		_, fatal := ip.ErrnoOf(typ, code)
		if typ == header.ICMPParameterProb || typ == header.ICMPTimeExceeded || typ == header.ICMPDestUnreach && (code == header.ICMPNetUnreach || code == header.ICMPHostUnreach || fatal) {
			// It might be wrong; but nothing is lost: the peer tries again.
			if r.drop() {
				r.listener.listenDrop()
			}
		}
		return
	}
	s := e.sk()
	s.BHLock()
	defer s.bhUnlock()
	frag := typ == header.ICMPDestUnreach && code == header.ICMPFragNeeded
	if s.OwnedByUser() && !frag {
		t.inc(mib.LockDroppedIcmps)
	}
	if s.State() == Close {
		return
	}
	una := s.pub.sndUna.Load()
	if r := s.fastopen.rsk.Load(); r != nil {
		una = r.sntISN
	}
	if s.State() != Listen && !between(seq, una, s.pub.sndNxt.Load()) {
		t.inc(mib.OutOfWindowIcmps)
		return
	}
	var errno syscall.Errno
	switch typ {
	case header.ICMPRedirect:
		if !s.OwnedByUser() {
			t.ip.PathError(b, typ, code, info)
			s.ForgetRoute()
		}
		return
	case header.ICMPSourceQuench:
		return
	case header.ICMPParameterProb:
		errno = syscall.EPROTO
	case header.ICMPDestUnreach:
		if code > header.ICMPMaxUnreach {
			return
		}
		if frag {
			if s.State() == Listen {
				return
			}
			s.mtuInfo.Store(info)
			if s.OwnedByUser() {
				s.Defer(deferMTU)
			} else {
				s.mtuReduced()
			}
			return
		}
		errno, _ = ip.ErrnoOf(typ, code)
		if code == header.ICMPNetUnreach || code == header.ICMPHostUnreach {
			s.ldRTORevert(seq)
		}
	case header.ICMPTimeExceeded:
		errno = syscall.EHOSTUNREACH
	default:
		return
	}
	if inStates(s.State(), fSynSent|fSynRecv) {
		// Only hope that it goes away with time.
		if s.OwnedByUser() {
			s.SetSoftError(errno)
			return
		}
		if s.Opt(ip.OptRecvErr) {
			s.ICMPError(b, errno, typ, code, info, k.rport, q.HeaderLen()+8)
		}
		s.doneWithError(errno)
		return
	}
	// RFC 1122 section 4.2.3.9: an open connection is not aborted by what may
	// pass, unless the program asks to know.
	if !s.OwnedByUser() && s.Opt(ip.OptRecvErr) {
		s.StoreError(errno)
		s.wake(wakeErr)
	} else {
		s.SetSoftError(errno)
	}
}

func be16(p []byte) uint16 { return uint16(p[0])<<8 | uint16(p[1]) }

// ldRTORevert takes one step of backoff back when a router says that it was the
// path (Linux: tcp_ld_RTO_revert; RFC 6069).
func (s *Sock) ldRTORevert(seq uint32) {
	if s.OwnedByUser() || seq != s.sndUna || s.retransmits == 0 || s.backoff == 0 {
		return
	}
	b := s.wq.rtxHead()
	if b == nil {
		return
	}
	s.backoff--
	base := timeoutInit
	if s.srtt != 0 {
		base = s.calcRTO()
	}
	s.rto = min(base<<s.backoff, s.rtoMax)
	s.refresh()
	left := s.rto - (s.mstamp-b.Tstamp)*1000
	if left > 0 {
		s.resetTimer(timeRetrans, left)
	} else {
		s.retransmitTimer()
	}
}

// mtuReduced acts on a path that takes less than thought (Linux:
// tcp_v4_mtu_reduced; RFC 1191).
func (s *Sock) mtuReduced() {
	if inStates(s.State(), fListen|fClose) {
		return
	}
	id := s.Ident()
	rt, _ := s.CachedRoute(id)
	if rt == nil {
		return
	}
	mtu := int(s.mtuInfo.Load())
	rt.UpdatePMTU(id.Daddr, mtu)
	s.ForgetRoute()
	rt, _, err := s.rebuildRoute(id)
	if err != 0 {
		return
	}
	// The segment that did not fit was the head; the others will not either.
	if mtu < rt.MTU() && s.DontFragment(0, rt) {
		s.SetSoftError(syscall.EMSGSIZE)
	}
	mtu = rt.MTU()
	if d := s.PMTUDisc(); d != ip.PMTUDiscDont && d != ip.PMTUDiscInterface && s.pmtu > mtu {
		s.refresh()
		s.syncMSS(mtu)
		s.simpleRetransmit()
	}
}

// simpleRetransmit sends again what was too large, without taking it for
// congestion (Linux: tcp_simple_retransmit).
func (s *Sock) simpleRetransmit() {
	mss := s.currentMSS()
	if !s.isSack() && s.sackedOut > 0 {
		s.resetRenoSack()
	}
	if s.State() == SynSent && s.fastopen.synData { // its SYN may be what is too large
		mss = -1
	}
	for i := range s.wq.sent() {
		if b := s.wq.at(i); segSize(b) > mss {
			s.markLost(b)
		}
	}
	if s.lostOut != 0 {
		s.nonCongestionRetransmit()
	}
}

// nonCongestionRetransmit sends again what was marked lost, but not to
// congestion (Linux: tcp_non_congestion_loss_retransmit).
func (s *Sock) nonCongestionRetransmit() {
	if s.caState != caLoss {
		s.highSeq = s.sndNxt
		s.ssthresh = s.currentSSThr()
		s.priorSSThr = 0
		s.undoMarker = 0
		s.setCAState(caLoss)
	}
	s.xmitRetransmitQueue()
}
