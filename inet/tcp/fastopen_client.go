package tcp

import (
	"sync"
	"syscall"

	"barewire/inet/ip"
	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// TCP Fast Open, the side that connects (RFC 7413 section 4.2.1; Linux:
// tcp_send_syn_data, tcp_rcv_fastopen_synack, net/ipv4/tcp_metrics.c).

const msgFastOpen = 0x20000000 // MSG_FASTOPEN

// What tcpi_fastopen_client_fail says (Linux: TFO_*).
const (
	foCookieUnavailable uint8 = 1 + iota
	foDataNotAcked
	foSynRetransmitted
)

// fastopenReq is what our SYN is to bring.
type fastopenReq struct {
	cookie fastopenCookie
	m      *sock.Msg // nil when connect alone asks for a cookie
	size   int
	copied int
}

// more reports whether data waits that the SYN had no room for.
func (r *fastopenReq) more() bool { return r != nil && r.copied < r.size }

// foCacheMax bounds the cookies kept. When there is one more an arbitrary one
// goes: it costs that peer's next connection a round trip.
const foCacheMax = 1024

type fastopenPeer struct{ laddr, raddr header.Addr }

// fastopenEntry is what is known of a peer (Linux: struct
// tcp_fastopen_metrics).
type fastopenEntry struct {
	mss    uint16
	tryExp uint8 // 1: ask with the experimental option, 2: that did not work either
	cookie fastopenCookie
}

type fastopenCache struct {
	mu sync.Mutex
	m  map[fastopenPeer]*fastopenEntry
}

func (s *Sock) fastopenPeer() fastopenPeer {
	id := s.Ident()
	return fastopenPeer{id.Saddr, id.Daddr}
}

// get returns what is known of a peer (Linux: tcp_fastopen_cache_get).
func (c *fastopenCache) get(p fastopenPeer) (e fastopenEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.m[p]; f != nil {
		e = *f
	}
	if e.cookie.n <= 0 && e.tryExp == 1 {
		e.cookie.exp = true
	}
	return e
}

// set is tcp_fastopen_cache_set. cookie is nil if none came.
func (c *fastopenCache) set(p fastopenPeer, mss uint16, cookie *fastopenCookie, tryExp uint8) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.m[p]
	if e == nil {
		for k := range c.m {
			if len(c.m) < foCacheMax {
				break
			}
			delete(c.m, k)
		}
		e = &fastopenEntry{}
		c.m[p] = e
	}
	if mss != 0 {
		e.mss = mss
	}
	if cookie != nil && cookie.n > 0 {
		e.cookie = *cookie
	} else if tryExp > e.tryExp && e.cookie.n <= 0 && !e.cookie.exp {
		e.tryExp = tryExp
	}
}

// fastopenHole remembers that Fast Open lost connections: something on the way
// swallows them, so it rests, for longer every time (Linux:
// tcp_fastopen_active_disable).
type fastopenHole struct {
	mu    sync.Mutex
	times int
	since int64
}

func (t *TCP) fastopenDisable() {
	if t.fo.bhTime.Load() == 0 {
		return
	}
	h := &t.fo.hole
	h.mu.Lock()
	h.times++
	h.since = t.now()
	h.mu.Unlock()
	t.inc(mib.TCPFastOpenBlackhole)
}

// fastopenDisabled is tcp_fastopen_active_should_disable.
func (s *Sock) fastopenDisabled() bool {
	t := s.tcp
	h := &t.fo.hole
	h.mu.Lock()
	defer h.mu.Unlock()
	base := int64(t.fo.bhTime.Load()) * sec
	if base == 0 || h.times == 0 {
		return false
	}
	if t.now() < h.since+base<<min(h.times-1, 6) {
		return true
	}
	s.fastopen.probe = true // if this one works all is well again
	return false
}

// fastopenBlackhole looks at a timeout (Linux:
// tcp_fastopen_active_detect_blackhole).
func (s *Sock) fastopenBlackhole(expired bool) {
	f := &s.fastopen
	if (f.syn || f.synData || f.dataAcked) && (s.retransmits == 2 || s.retransmits < 2 && expired) {
		s.tcp.fastopenDisable()
		s.tcp.inc(mib.TCPFastOpenActiveFail)
	}
}

// fastopenEnd looks at how a connection went when it ends (Linux:
// tcp_fastopen_active_disable_ofo_check).
func (s *Sock) fastopenEnd() {
	f := &s.fastopen
	if !f.syn {
		return
	}
	if s.dataSegsIn == 0 {
		// A FIN came, and nothing of what it follows.
		if len(s.ofo.q) == 1 && rx(s.ofo.q[0]).flags&header.TCPFin != 0 {
			s.tcp.fastopenDisable()
		}
		return
	}
	if !f.probe {
		return
	}
	rt, _ := s.CachedRoute(s.Ident())
	if rt == nil || rt.Dev.Flags()&napi.IFF_LOOPBACK == 0 {
		h := &s.tcp.fo.hole
		h.mu.Lock()
		h.times = 0
		h.mu.Unlock()
	}
}

// fastopenCookie decides whether the SYN may bring data, and with which cookie
// (Linux: tcp_fastopen_cookie_check).
func (s *Sock) fastopenCookie(mss *int) (c fastopenCookie, ok bool) {
	e := s.tcp.fo.cache.get(s.fastopenPeer())
	if e.mss != 0 {
		*mss = int(e.mss)
	}
	c = e.cookie
	if s.fastopenDisabled() {
		c.n = -1
		return c, false
	}
	rt, _ := s.CachedRoute(s.Ident())
	if s.fastopenNoCookie(foClientNoCookie, rt) {
		c.n = -1
		return c, true
	}
	if c.n > 0 {
		return c, true
	}
	s.fastopen.fail = foCookieUnavailable
	return c, false
}

// fastopenDefer leaves the SYN to the first write, after TCP_FASTOPEN_CONNECT
// and with a cookie (Linux: tcp_fastopen_defer_connect). Without one the SYN
// goes now, and asks.
func (s *Sock) fastopenDefer() bool {
	f := &s.fastopen
	if !f.connect || f.req != nil {
		return false
	}
	mss := 0
	if _, ok := s.fastopenCookie(&mss); ok {
		f.deferConnect.Store(true)
		return true
	}
	f.req = &fastopenReq{}
	return false
}

// fastopenSynOption puts the option into our SYN.
func (s *Sock) fastopenSynOption(o *outOpts, left *int) {
	f := &s.fastopen
	if f.req == nil || f.req.cookie.n < 0 {
		return
	}
	c := &f.req.cookie
	need := 2 + int(c.n)
	if c.exp {
		need += 2
	}
	if need = (need + 3) &^ 3; *left < need {
		return
	}
	*left -= need
	o.foCookie, o.foExp = c.bytes(), c.exp
	f.syn, f.synExp = true, c.exp
}

// sendSynData sends our SYN with data, if there is a cookie, and asks for one
// otherwise (Linux: tcp_send_syn_data). What is sent again is a SYN alone, and
// then the data: so both stand in the queue.
func (s *Sock) sendSynData(syn *skb.Buff) error {
	f := &s.fastopen
	req := f.req
	defer func() { req.cookie.n = -1 }() // not when it is sent again
	s.opt.mssClamp = s.advMSS
	var ok bool
	if req.cookie, ok = s.fastopenCookie(&s.opt.mssClamp); ok {
		if sent, err := s.synData(syn); sent {
			return err
		}
	}
	if req.cookie.n > 0 {
		req.cookie.n = 0
	}
	err := s.transmit(syn, true, 0)
	if err != nil {
		f.syn = false
	}
	return err
}

func (s *Sock) synData(syn *skb.Buff) (sent bool, err error) {
	req := s.fastopen.req
	if s.userMSS != 0 {
		s.opt.mssClamp = min(s.opt.mssClamp, s.userMSS)
	}
	s.syncMSS(s.pmtu)
	// Room for options that somebody on the way might add.
	space := min(s.mtuToMSS(s.pmtu)+s.headerLen-header.TCPMinLen-header.TCPMaxOption, req.size)
	b := s.tcp.cache.Alloc(frontRoom)
	if b == nil {
		return false, nil
	}
	b.Reserve(frontRoom)
	if space > 0 && req.m != nil {
		it := sock.Iter{Iov: req.m.Iov}
		if req.copied = s.fill(b, &it, space); req.copied == 0 {
			b.Free(skb.NoMem) // there is nothing where the data should be
			return false, nil
		}
	}
	cb := tx(b)
	*cb = *tx(syn)
	cb.charge = 0
	cb.end += uint32(req.copied)
	s.writeSeq = cb.end
	s.chargeSkb(b)
	s.wq.push(b)
	if req.copied > 0 {
		s.chronoStart(chronoBusy)
	}
	err = s.transmit(b, true, 0)
	syn.Tstamp = b.Tstamp
	*tx(syn) = txCB{seq: tx(syn).seq, end: tx(syn).end, flags: tx(syn).flags, ae: tx(syn).ae, segs: 1, charge: tx(syn).charge,
		firstTx: cb.firstTx, deliveredAt: cb.deliveredAt, delivered: cb.delivered, deliveredCE: cb.deliveredCE, appLimited: cb.appLimited}
	cb.seq++
	cb.flags, cb.ae = header.TCPAck|header.TCPPsh, false
	if err != nil {
		return false, nil // it stays in the queue, unsent
	}
	s.wq.nrtx++
	s.packetsOut++
	s.fastopen.synData = req.copied > 0
	s.tcp.inc(mib.TCPOrigDataSent)
	return true, nil
}

// fastopenSynAck looks at the answer to our SYN (Linux: tcp_rcv_fastopen_synack).
// True means that data of the SYN was not acknowledged and has been sent again.
func (s *Sock) fastopenSynAck(b *skb.Buff, o *parsedOpts) bool {
	f := &s.fastopen
	if !f.syn && !f.synData {
		return false
	}
	var data *skb.Buff
	if f.synData {
		data = s.wq.rtxHead()
	}
	var c *fastopenCookie
	if o.fo != nil && f.syn {
		c = &fastopenCookie{n: int8(len(o.fo)), exp: o.foExp}
		copy(c.p[:], o.fo)
	}
	tryExp := uint8(0)
	if f.syn && s.totalRetrans == 0 && c == nil && !f.synData {
		// It did not understand. Once it is asked the old way.
		if tryExp = 1; f.synExp {
			tryExp = 2
		}
	}
	mss := uint16(s.opt.mssClamp)
	if s.userMSS != 0 {
		mss = o.mss
	}
	s.tcp.fo.cache.set(s.fastopenPeer(), mss, c, tryExp)
	if data != nil {
		if f.fail = foDataNotAcked; s.totalRetrans != 0 {
			f.fail = foSynRetransmitted
		}
		for i := range s.wq.sent() {
			s.markLost(s.wq.at(i))
		}
		s.nonCongestionRetransmit()
		s.tcp.inc(mib.TCPFastOpenActiveFail)
		return true
	}
	if f.dataAcked = f.synData; f.dataAcked {
		s.tcp.inc(mib.TCPFastOpenActive)
		// SYN and data were one packet.
		if s.delivered > 1 {
			s.delivered--
		}
	}
	s.fastopenAdd(b, header.TCP(b.TransportHeader()).HeaderLen())
	return false
}

// sendFastOpen opens the connection with the data of a sendto (Linux:
// tcp_sendmsg_fastopen). It returns what the SYN took.
func (s *Sock) sendFastOpen(m *sock.Msg, size, flags int) (int, error) {
	f := &s.fastopen
	if s.tcp.conf.fastopen.Load()&foClient == 0 {
		return 0, syscall.EOPNOTSUPP
	}
	var sa ip.Sockaddr
	if m.NameLen > 0 {
		var err error
		if m.NameLen >= 2 && m.Name[0] == syscall.AF_UNSPEC && m.Name[1] == 0 {
			return 0, syscall.EOPNOTSUPP
		}
		if sa, err = ip.ParseSockaddr(m.Name[:m.NameLen]); err != nil {
			return 0, err
		}
	} else if !f.deferConnect.Load() && !s.connecting && !s.connected {
		return 0, syscall.EDESTADDRREQ
	}
	if f.req != nil {
		return 0, syscall.EALREADY
	}
	req := &fastopenReq{m: m, size: size + m.Absent}
	f.req = req
	if f.deferConnect.Load() {
		rt, _ := s.CachedRoute(s.Ident())
		var err error
		if rt == nil {
			var errno syscall.Errno
			if rt, _, errno = s.rebuildRoute(s.Ident()); errno != 0 {
				err = errno
			}
		}
		if err == nil {
			err = s.sendSyn(rt)
		}
		if err != nil {
			s.setState(Close)
		}
	}
	err := s.connectLocked(sa, flags&syscall.MSG_DONTWAIT != 0, true)
	if f.req == req {
		f.req = nil
		f.deferConnect.Store(false)
	}
	if err == syscall.EINPROGRESS && req.copied > 0 {
		return req.copied, err
	}
	return req.copied, err
}

// fastopenReset forgets all of it (Linux: tcp_free_fastopen_req and its like in
// tcp_disconnect).
func (f *fastopenState) reset() {
	f.req = nil
	f.deferConnect.Store(false)
	f.syn, f.synExp, f.synData, f.dataAcked, f.probe = false, false, false, false, false
	f.fail = 0
}
