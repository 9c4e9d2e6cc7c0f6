package tcp

import (
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/header"
	"barewire/inet/ip"
	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
)

// Metrics of a route that TCP looks at.
const (
	metricWindow   = fib.RTAXWindow
	metricAdvMSS   = fib.RTAXAdvMSS
	metricInitCwnd = fib.RTAXInitCwnd
	metricInitRwnd = fib.RTAXInitRwnd
)

// rcv takes TCP segments for this host (Linux: tcp_v4_rcv). Consumes b.
func (t *TCP) rcv(b *skb.Buff) {
	if b.PktType != skb.PacketHost {
		discard(b, skb.NotSpecified)
		return
	}
	t.stats.InSegs.Add(1)
	if !b.MayPull(header.TCPMinLen) {
		t.inError(b, skb.HdrTrunc)
		return
	}
	hl := int(b.Data()[12]>>4) * 4
	if hl < header.TCPMinLen || !b.MayPull(hl) {
		t.inError(b, skb.PktTooSmall)
		return
	}
	in := header.IPv4(b.NetworkHeader())
	src, dst := in.Src(), in.Dst()
	if !checksumOK(b, src, dst) {
		t.stats.InCsumErrors.Add(1)
		t.inError(b, skb.TCPCsum)
		return
	}
	b.ResetTransportHeader()
	h := header.TCP(b.Data()[:hl:hl])
	fillCB(b, h, in)
	k := tuple{laddr: dst, raddr: src, lport: h.DstPort(), rport: h.SrcPort()}
	dev := b.DevIndex()
	for range 8 { // what was found may be gone meanwhile
		e := t.tab.lookup(&k, dev)
		switch {
		case e == nil:
			l := t.tab.lookupListener(&k, dev)
			if l == nil {
				t.noSocket(b)
				return
			}
			if t.listenRcv(l, b, h, 0) {
				return
			}
		case e.req != nil:
			if t.requestRcv(e.req, b, h) {
				return
			}
		case e.tw != nil:
			if t.timewaitRcv(e.tw, b, h, &k, dev) {
				return
			}
		default:
			t.sockRcv(e.sk, b)
			return
		}
	}
	discard(b, skb.NoSocket)
}

// fillCB notes what every step needs to know of a segment (Linux:
// tcp_v4_fill_cb).
func fillCB(b *skb.Buff, h header.TCP, in header.IPv4) {
	cb := rx(b)
	cb.seq, cb.ack, cb.flags, cb.ds = h.Seq(), h.AckSeq(), h.Flags(), in.TOS()
	n := uint32(b.Len() - len(h))
	if cb.flags&header.TCPSyn != 0 {
		n++
	}
	if cb.flags&header.TCPFin != 0 {
		n++
	}
	cb.end = cb.seq + n
	cb.gsoSegs = max(1, b.Shinfo().GSOSegs)
	cb.charge, cb.real, cb.hasTS = 0, 0, false
}

func (t *TCP) inError(b *skb.Buff, r skb.Reason) {
	t.stats.InErrs.Add(1)
	b.Free(r)
}

// checksumOK verifies the checksum unless the device did (Linux:
// skb_checksum_init and tcp_checksum_complete).
func checksumOK(b *skb.Buff, src, dst header.Addr) bool {
	switch b.IPSummed {
	case skb.ChecksumUnnecessary, skb.ChecksumPartial:
		return true
	}
	pseudo := header.PseudoSum(src, dst, header.ProtoTCP, b.Len())
	if b.IPSummed == skb.ChecksumComplete && skb.CsumFold(skb.CsumAdd(b.Csum, pseudo)) == 0 {
		return true
	}
	return skb.CsumFold(b.Checksum(0, b.Len(), pseudo)) == 0
}

// noSocket answers a segment for nobody with a RST (RFC 9293 section 3.10.7.1).
func (t *TCP) noSocket(b *skb.Buff) {
	t.sendReset(b, nil)
	discard(b, skb.NoSocket)
}

// pass applies IP_MINTTL and the sock's filter. False means that b is gone.
func (s *Sock) pass(b *skb.Buff) bool {
	if ttl := s.MinTTL(); ttl != 0 && header.IPv4(b.NetworkHeader()).TTL() < ttl {
		s.tcp.inc(mib.TCPMinTTLDrop)
		discard(b, skb.TCPMinTTL)
		return false
	}
	h := header.TCP(b.TransportHeader())
	n := b.Len()
	if !s.RunFilter(b, h.HeaderLen()) {
		discard(b, skb.SocketFilter)
		return false
	}
	if d := n - b.Len(); d > 0 {
		rx(b).end -= uint32(d)
	}
	return true
}

// sockRcv gives a segment to its sock, or leaves it to the call that owns it.
// Consumes b.
func (t *TCP) sockRcv(s *Sock, b *skb.Buff) {
	if !s.pass(b) {
		return
	}
	s.BHLock()
	if s.OwnedByUser() {
		// Some room more than the buffers have: the owner may be slow.
		ok := s.AddBacklogLimit(b, s.ReceiveBuffer()*2+s.SendBuffer()/2+64<<10-int(s.pub.rmem.Load()))
		s.BHUnlock()
		if !ok {
			t.inc(mib.TCPBacklogDrop)
			discard(b, skb.SocketBacklog)
		}
		return
	}
	s.doRcv(b)
	s.bhUnlock()
}

// BacklogRcv implements sock.Stream.
func (s *Sock) BacklogRcv(b *skb.Buff) {
	s.doRcv(b)
	s.publish()
}

// doRcv is tcp_v4_do_rcv for what is no listener. The sock is locked.
func (s *Sock) doRcv(b *skb.Buff) {
	s.countIn(b)
	switch s.State() {
	case Established:
		s.rcvEstablished(b)
	case Listen:
		// It became one while the segment waited.
		discard(b, skb.TCPClose)
	default:
		if s.rcvStateProcess(b) == answer {
			s.tcp.sendReset(b, s)
			discard(b, skb.TCPReset)
		}
	}
}

// countIn is tcp_segs_in.
func (s *Sock) countIn(b *skb.Buff) {
	cb := rx(b)
	s.segsIn += uint32(cb.gsoSegs)
	if cb.end != cb.seq && b.Len() > header.TCP(b.TransportHeader()).HeaderLen() {
		s.dataSegsIn += uint32(cb.gsoSegs)
	}
}

// listenRcv gives a segment to a listener. False means that it is none any
// more.
func (t *TCP) listenRcv(l *Sock, b *skb.Buff, h header.TCP, isn uint32) bool {
	if !l.pass(b) {
		return true
	}
	if l.State() != Listen {
		return false
	}
	if t.cookieRcv(l, b, h) {
		return true
	}
	flags := rx(b).flags
	switch {
	case flags&header.TCPAck != 0:
		t.sendReset(b, nil)
		discard(b, skb.TCPFlags)
	case flags&header.TCPRst != 0:
		discard(b, skb.TCPReset)
	case flags&header.TCPSyn != 0 && flags&header.TCPFin == 0:
		t.connRequestISN(l, b, h, isn)
	default:
		discard(b, skb.TCPFlags)
	}
	return true
}

// requestRcv gives a segment to a request. False means that it is gone.
func (t *TCP) requestRcv(r *request, b *skb.Buff, h header.TCP) bool {
	l := r.listener
	if l.State() != Listen {
		r.drop()
		return false
	}
	if !l.pass(b) {
		return true
	}
	s := r.check(b, h)
	switch s {
	case nil:
		return true
	case l:
		return t.listenRcv(l, b, h, 0)
	}
	t.childRcv(l, s, b)
	return true
}

// childRcv gives a connection that was just made, and is locked, the segment
// that made it (Linux: tcp_child_process). Consumes b.
func (t *TCP) childRcv(l, s *Sock, b *skb.Buff) {
	if s.OwnedByUser() {
		s.AddBacklogLimit(b, 1<<30) // accepted already
		s.BHUnlock()
		return
	}
	s.countIn(b)
	d := s.rcvStateProcess(b)
	s.bhUnlock()
	l.DataReady()
	if d == answer {
		t.sendReset(b, nil)
		discard(b, skb.TCPReset)
	}
}

// timewaitRcv gives a segment to what is left of a connection. False means that
// the tables are to be looked at again.
func (t *TCP) timewaitRcv(w *timewait, b *skb.Buff, h header.TCP, k *tuple, dev int32) bool {
	v, isn := w.process(b, h)
	switch v {
	case twSYN:
		if l := t.tab.lookupListener(k, dev); l != nil {
			w.kill()
			return t.listenRcv(l, b, h, isn)
		}
		fallthrough
	case twACK:
		w.sendAck(b)
	case twRST:
		t.sendReset(b, nil)
		w.kill()
	}
	b.Consume()
	return true
}

// reply is a segment that no sock sends: RST, ACK or SYN-ACK (Linux: the
// ctl_sk of tcp_v4_send_reset and tcp_v4_send_ack).
type reply struct {
	key          tuple
	seq, ack     uint32
	flags        uint8
	win          uint16
	tos          uint8
	ts           bool
	tsval, tsecr uint32
	mark         uint32
	dev          int32
	opts         *outOpts
	opt          *header.OptionSet
	sk           *Sock // whose options IP follows, nil for none
}

// sendReply finds the way and sends p. in is the route of what it answers.
func (t *TCP) sendReply(p *reply, in *ip.Rtable) bool {
	k := &p.key
	f := fib.Flow{Dst: k.raddr, Src: k.laddr, OIF: p.dev, Mark: p.mark, TOS: p.tos & 0x1c, Proto: header.ProtoTCP, SPort: k.lport, DPort: k.rport}
	rt, err := t.ip.RouteOutput(&f)
	if err != 0 {
		return false
	}
	return t.sendReplyTo(p, rt)
}

// sendReplyTo sends p by a route.
func (t *TCP) sendReplyTo(p *reply, rt *ip.Rtable) bool {
	var o outOpts
	if p.opts != nil {
		o = *p.opts
	} else if p.ts {
		o = outOpts{ts: true, tsval: p.tsval, tsecr: p.tsecr}
	}
	b := t.cache.Alloc(frontRoom)
	if b == nil {
		return false
	}
	b.Reserve(frontRoom)
	var buf [header.TCPMaxOption]byte
	n := o.put(buf[:])
	k := &p.key
	h := header.PutTCP(b.Push(header.TCPMinLen+n), &header.TCPFields{SrcPort: k.lport, DstPort: k.rport, Seq: p.seq, Ack: p.ack,
		HeaderLen: header.TCPMinLen + n, Flags: p.flags, Window: p.win})
	copy(h.Options(), buf[:n])
	b.Mark = p.mark
	putChecksum(b, h, k.laddr, k.raddr, rt)
	x := ip.Xmit{Src: k.laddr, Dst: k.raddr, Proto: header.ProtoTCP, TOS: p.tos, TTL: t.ip.DefaultTTL(), DF: true, Opt: p.opt}
	if p.sk != nil {
		x.TTL = p.sk.TTL(false)
		x.DF = p.sk.DontFragment(0, rt)
		b.Priority = p.sk.Priority()
	}
	t.ip.Push(b, rt, &x)
	t.stats.OutSegs.Add(1)
	if p.flags&header.TCPRst != 0 {
		t.stats.OutRsts.Add(1)
	}
	return t.ip.LocalOut(b) == nil
}

// sendReset answers b with a RST (Linux: tcp_v4_send_reset; RFC 9293 section
// 3.5.2), unless it is one, or was not for this host.
func (t *TCP) sendReset(b *skb.Buff, s *Sock) {
	cb := rx(b)
	if cb.flags&header.TCPRst != 0 {
		return
	}
	rt := ip.RtableOf(b)
	if s == nil && (rt == nil || rt.Type != fib.Local) {
		return
	}
	in := header.IPv4(b.NetworkHeader())
	h := header.TCP(b.TransportHeader())
	p := reply{key: tuple{laddr: in.Dst(), raddr: in.Src(), lport: h.DstPort(), rport: h.SrcPort()}, flags: header.TCPRst}
	if cb.flags&header.TCPAck != 0 {
		p.seq = cb.ack
	} else {
		p.flags |= header.TCPAck
		p.ack = cb.end
	}
	if s != nil {
		p.mark, p.dev = s.Mark(), s.BoundDev()
	} else if t.ip.Conf.FwmarkReflect.Load() != 0 {
		p.mark = b.Mark
	}
	// The answer leaves where the question came in, if that says anything.
	if dev, ok := b.Dev.(*napi.NetDevice); ok && p.dev == 0 && dev.Flags()&napi.IFF_LOOPBACK == 0 && in.Src().IsLocalMulticast() {
		p.dev = dev.Ifindex()
	}
	t.sendReply(&p, rt)
}

// flow is what the sock's packets are routed by.
func (s *Sock) flow(id *ip.Ident) fib.Flow {
	f := fib.Flow{Dst: id.Daddr, Src: id.Saddr, OIF: s.BoundDev(), Mark: s.Mark(), TOS: s.TOS() & 0x1c, Proto: header.ProtoTCP,
		OnLink: s.Flag(sock.FlagDontRoute), SPort: id.Num, DPort: id.Dport}
	if o := s.SendOptions(); o != nil && o.SourceRoute != 0 {
		f.Dst = o.FirstHop
	}
	return f
}

// flowTo is flow for a peer of a listener.
func (s *Sock) flowTo(k *tuple, opt *header.OptionSet) fib.Flow {
	f := fib.Flow{Dst: k.raddr, Src: k.laddr, OIF: s.BoundDev(), Mark: s.Mark(), TOS: s.TOS() & 0x1c, Proto: header.ProtoTCP,
		OnLink: s.Flag(sock.FlagDontRoute), SPort: k.lport, DPort: k.rport}
	if opt != nil && opt.SourceRoute != 0 {
		f.Dst = opt.FirstHop
	}
	return f
}

// connect is tcp_v4_connect. The sock is owned.
func (s *Sock) connect(sa ip.Sockaddr) error {
	t := s.tcp
	id := *s.Ident()
	f := s.flow(&ip.Ident{Daddr: sa.Addr, Dport: sa.Port, Saddr: id.Saddr, Num: id.Num})
	if o := s.SendOptions(); o != nil && o.SourceRoute != 0 && sa.Addr == 0 {
		return syscall.EINVAL
	}
	rt, _, errno := s.RouteOutput(&f)
	if errno != 0 {
		return errno
	}
	if rt.Flags&(ip.RTCFBroadcast|ip.RTCFMulticast) != 0 {
		return syscall.ENETUNREACH
	}
	if o := s.SendOptions(); o == nil || o.SourceRoute == 0 {
		sa.Addr = f.Dst
	}
	id.Daddr, id.Dport = sa.Addr, sa.Port
	if id.Saddr == 0 {
		id.Saddr = f.Src
	}
	if id.RcvSaddr == 0 {
		id.RcvSaddr = id.Saddr
	}
	id.BoundDev = s.BoundDev()
	old := s.Ident()
	if s.opt.tsRecentStamp != 0 && old.Daddr != sa.Addr {
		// What was learnt was of another peer.
		s.opt.tsRecent, s.opt.tsRecentStamp = 0, 0
		s.writeSeq = 0
	}
	s.opt.mssClamp = mssDefault
	s.SetState(SynSent)
	e := t.tab.connectPort(s, &id)
	if e == nil {
		s.SetState(Close)
		return syscall.EADDRNOTAVAIL
	}
	s.tab = e
	s.SetIdent(&id)
	rt, _, errno = s.rebuildRoute(&id) // now with the port
	if errno == 0 {
		k := &e.key
		if s.writeSeq == 0 {
			s.writeSeq = t.initSeq(k)
		}
		s.tsOffset = 0
		if t.conf.timestamps.Load() == 1 {
			s.tsOffset = t.tsOffset(k)
		}
		s.SeedID()
		s.order = uint64(t.hashTuple(k))
		err := s.sendSyn(rt)
		if err == nil {
			return nil
		}
		errno, _ = err.(syscall.Errno)
	}
	// Back to where it was.
	s.setState(Close)
	back := *s.Ident()
	back.Daddr, back.Dport = 0, 0
	if !back.UserAddr {
		back.RcvSaddr, back.Saddr = 0, 0
	}
	s.SetIdent(&back)
	return errno
}

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
	case e.tw != nil:
		return
	case e.req != nil:
		r := e.req
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
	s := e.sk
	s.BHLock()
	defer s.bhUnlock()
	frag := typ == header.ICMPDestUnreach && code == header.ICMPFragNeeded
	if s.OwnedByUser() && !frag {
		t.inc(mib.LockDroppedIcmps)
	}
	if s.State() == Close {
		return
	}
	if s.State() != Listen && !between(seq, s.pub.sndUna.Load(), s.pub.sndNxt.Load()) {
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
	if s.State() == SynSent {
		mss = -1
	}
	for i := range s.wq.sent() {
		if b := s.wq.at(i); segSize(b) > mss {
			s.markLost(b)
		}
	}
	if s.lostOut == 0 {
		return
	}
	if s.caState != caLoss {
		s.highSeq = s.sndNxt
		s.ssthresh = s.currentSSThr()
		s.priorSSThr = 0
		s.undoMarker = 0
		s.setCAState(caLoss)
	}
	s.xmitRetransmitQueue()
}
