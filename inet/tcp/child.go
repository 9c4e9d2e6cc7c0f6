package tcp

import (
	"syscall"

	"barewire/inet/ip"
	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// The connection a request becomes (Linux: tcp_v4_syn_recv_sock,
// tcp_create_openreq_child).

// makeSock makes the connection of a request that was answered (Linux:
// tcp_v4_syn_recv_sock, tcp_create_openreq_child). It comes back locked, in the
// established hash and in the accept queue.
func (r *request) makeSock(b *skb.Buff, h header.TCP) (s *Sock, overflow bool) {
	l := r.listener
	t := l.tcp
	q := l.extra
	if q.full() {
		t.inc(mib.ListenOverflows)
		l.listenDrop()
		return nil, true
	}
	gen := t.ip.FIB.Generation()
	rt := r.route()
	if rt == nil {
		l.listenDrop()
		return nil, true
	}
	s = t.NewSock()
	s.inherit(l)
	if c := &t.conf; c.reflectTOS.Load() != 0 {
		s.SetSockOpt(syscall.SOL_IP, syscall.IP_TOS, []byte{r.tos &^ 3})
	}
	s.StoreMark(r.mark)
	k := &r.e.key
	id := &ip.Ident{RcvSaddr: k.laddr, Saddr: k.laddr, Daddr: k.raddr, Num: k.lport, Dport: k.rport,
		BoundDev: r.e.dev, UserAddr: true, UserPort: true}
	s.SetIdent(id)
	s.KeepRoute(rt, k.laddr, gen)
	s.keepRxDst(b)
	s.routeRTOMin(rt)
	s.SeedID(uint16(t.hashTuple(k) >> 32))
	if r.opt != nil {
		s.SetSendOptions(r.opt)
	}
	s.SetState(SynRecv)

	seq := r.rcvISN + 1
	s.rcvWup, s.copied, s.rcvNxt = seq, seq, seq
	s.sndUna, s.sndNxt, s.sndSML, s.sndUp = r.sntISN+1, r.sntISN+1, r.sntISN+1, r.sntISN+1
	s.writeSeq, s.pushedSeq = r.sntISN+1, r.sntISN+1
	s.segsIn = 1
	s.sndWl1 = r.rcvISN
	s.refresh()
	s.ack.lrcvtime = s.ns()
	s.opt.tsOK, s.opt.sackOK, s.opt.wscaleOK = r.tsOK, r.sackOK, r.wscaleOK
	s.winClamp, s.rcvSSThr, s.rcvWnd = r.winClamp, r.rcvWnd, r.rcvWnd
	if r.wscaleOK {
		s.opt.sndWScale, s.opt.rcvWScale = r.sndWScale, r.rcvWScale
	} else {
		s.winClamp = min(s.winClamp, 65535)
	}
	s.sndWnd = uint32(h.Window()) << s.opt.sndWScale
	s.maxWnd = s.sndWnd
	s.headerLen = header.TCPMinLen
	if r.tsOK {
		s.opt.tsRecent, s.opt.tsRecentStamp = r.tsRecent, s.ns()
		s.headerLen += tsOptLen
		s.tsOffset = r.tsOffset
	}
	s.synackSent = r.sent
	if r.numTimeout > 0 {
		s.totalRetrans = uint32(r.numTimeout)
		s.undoMarker = r.sntISN
		s.retransStamp = r.sent
		s.synackSent = 0
	}
	s.inheritMD5(l, k.raddr)
	if r.savedSyn != nil {
		s.mutableRare().savedSyn = r.savedSyn
	}
	s.opt.mssClamp = int(r.mss)
	s.ecnChild(r, b, h)
	s.syncMSS(rt.MTU())
	s.advMSS = r.advMSS(rt)
	s.initRcvMSS()

	s.BHLock()
	s.parent = l
	s.e = entry{key: *k, dev: r.e.dev}
	s.hashed = true
	t.tab.inheritPort(s, k.lport, k.laddr)
	old := &r.e
	if r.loose {
		old = nil
	}
	if !t.tab.insert(&s.e, old) {
		// Somebody else answered the request, or the listener closed.
		s.hashed = false
		s.discardNew()
		return nil, false
	}
	r.end()
	t.stats.PassiveOpens.Add(1)
	if !q.push(s) {
		s.discardNew()
		return nil, false
	}
	return s, false
}

// discardNew ends a connection nobody knows of yet; it gives up BHLock.
func (s *Sock) discardNew() {
	s.SetFlag(sock.FlagDead, true)
	s.setState(Close)
	s.tcp.tab.unhash(s)
	s.tcp.tab.putPort(s)
	s.BHUnlock()
	s.destroy()
}

// inherit copies what a connection gets from its listener (Linux:
// inet_csk_clone_lock).
func (s *Sock) inherit(l *Sock) {
	s.Sock.Inherit(&l.Sock)
	s.SetState(Close)
	s.inheritParams(l)
	s.nonagle, s.inq = l.nonagle, l.inq
	s.scaling = l.scaling
	if l.congSet {
		s.ca, s.congSet = l.ca, true
	}
	s.ack.pingpong = l.ack.pingpong
}

// recordSyn keeps the headers of a SYN if the listener wants them (Linux:
// tcp_reqsk_record_syn): 1 from the IP header on, 2 from the link header on.
func (l *Sock) recordSyn(b *skb.Buff, h header.TCP) []byte {
	mode := l.saveSyn.Load()
	if mode == 0 {
		return nil
	}
	var p []byte
	if mode == 2 && b.MacHeaderWasSet() {
		p = append(p, b.MacHeader()[:b.MacLen()]...)
	}
	ip := header.IPv4(b.NetworkHeader())
	return append(append(p, ip[:ip.HeaderLen()]...), h...)
}
