package tcp

import (
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
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
		discard(b, skb.HdrTrunc) // no error to Linux
		return
	}
	hl := int(b.Data()[12]>>4) * 4
	if hl < header.TCPMinLen {
		t.inError(b, skb.PktTooSmall)
		return
	}
	if !b.MayPull(hl) {
		discard(b, skb.HdrTrunc)
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
	if b.Sk != nil {
		if s := takeSock(b); s != nil {
			if s.State() != Listen {
				t.sockRcv(s, b)
				return
			}
			if t.listenRcv(s, b, h, 0) {
				return
			}
		}
	}
	k := tuple{laddr: dst, raddr: src, lport: h.DstPort(), rport: h.SrcPort()}
	dev := b.DevIndex()
	for range 8 { // what was found may be gone meanwhile
		e := t.tab.lookup(&k, dev)
		switch {
		case e == nil:
			l := t.tab.lookupListener(&k, dev, b, h)
			if l == nil {
				t.noSocket(b)
				return
			}
			if t.listenRcv(l, b, h, 0) {
				return
			}
		case e.req() != nil:
			if t.requestRcv(e.req(), b, h) {
				return
			}
		case e.tw() != nil:
			if t.timewaitRcv(e.tw(), b, h, &k, dev) {
				return
			}
		default:
			t.sockRcv(e.sk(), b)
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

// pass applies IP_MINTTL, TCP_MD5SIG and the sock's filter. False means that b is gone.
func (s *Sock) pass(b *skb.Buff) bool {
	if ttl := s.MinTTL(); ttl != 0 && header.IPv4(b.NetworkHeader()).TTL() < ttl {
		s.tcp.inc(mib.TCPMinTTLDrop)
		discard(b, skb.TCPMinTTL)
		return false
	}
	if !s.md5Check(b) {
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
	s.MarkNAPI(b)
	s.BHLock()
	if s.OwnedByUser() {
		s.addBacklog(b)
		s.BHUnlock()
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
		s.keepRxDst(b)
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
	s.MarkNAPI(b)
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
		if l := t.tab.lookupListener(k, dev, b, h); l != nil {
			w.kill()
			return t.listenRcv(l, b, h, isn)
		}
		fallthrough
	case twACK:
		w.sendAck(b)
	case twRST:
		if w.md5 != nil {
			t.sendResetMD5(b, nil, w.md5)
		} else {
			t.sendReset(b, nil)
		}
		w.kill()
	}
	b.Consume()
	return true
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
	rt, gen, errno := s.RouteOutput(&f)
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
	s.hashed = true
	s.SetIdent(&id)
	if f.Dst == id.Daddr && t.ip.SameForPorts(rt) {
		s.KeepRoute(rt, id.Saddr, gen)
	} else {
		rt, _, errno = s.rebuildRoute(&id) // now with the port
	}
	if errno == 0 {
		k := &e.key
		if !s.repairing() {
			if s.writeSeq == 0 {
				s.writeSeq = t.initSeq(k, t.now())
			}
			s.tsOffset = 0
			if t.conf.timestamps.Load() == 1 {
				s.tsOffset = t.tsOffset(k)
			}
		}
		s.SeedID(uint16(t.hashTuple(k) >> 32))
		if s.repairing() {
			s.repairConnect(rt)
			return nil
		}
		if s.fastopenDefer() {
			return nil
		}
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
