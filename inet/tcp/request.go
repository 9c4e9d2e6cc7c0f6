package tcp

import (
	"sync"
	"unsafe"

	"barewire/inet/ip"
	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// request is a SYN that was answered: much less than a sock, since anybody can
// make one (Linux: struct tcp_request_sock). It begins with its timer. Softirq
// context only, but for drop.
type request struct {
	timer    napi.Timer
	e        entry
	listener *Sock
	mu       sync.Mutex
	dead     bool

	rcvISN, sntISN uint32
	mss            uint16
	rcvWnd         uint32
	winClamp       uint32
	sndWScale      uint8
	rcvWScale      uint8
	tsOK, wscaleOK bool
	sackOK         bool
	ecn            ecnOffer
	acked          bool
	cookie         bool // in no table: its SYN-ACK was, or is, a SYN cookie
	tos            uint8
	tsRecent       uint32
	tsOffset       uint32
	numTimeout     uint8
	numRetrans     uint8
	sent           int64 // us: SYN-ACK
	lastOOW        int64
	mark           uint32
	iif            int32
	opt            *header.OptionSet
	savedSyn       []byte // TCP_SAVE_SYN
	rcvNxt         uint32 // what the SYN-ACK acknowledges
	loose          bool   // in no table: cookies, Fast Open
	foc            fastopenCookie
	child          *Sock // made by Fast Open already
}

// connRequest takes a SYN for a listener (Linux: tcp_conn_request). Consumes b.
func (t *TCP) connRequest(l *Sock, b *skb.Buff, h header.TCP) {
	t.connRequestISN(l, b, h, 0)
}

// connRequestISN is connRequest with an initial sequence number, 0 for a fresh
// one.
func (t *TCP) connRequestISN(l *Sock, b *skb.Buff, h header.TCP, isn uint32) {
	rt := ip.RtableOf(b)
	q := l.extra
	if rt == nil || rt.Flags&(ip.RTCFBroadcast|ip.RTCFMulticast) != 0 {
		l.listenDrop()
		discard(b, skb.NotSpecified)
		return
	}
	// A SYN that follows a TIME_WAIT is of a peer that exists.
	cookie := false
	if isn == 0 && (q.synFull() || t.conf.syncookies.Load() == 2) {
		if cookie = t.floodAction(); !cookie {
			l.listenDrop()
			discard(b, skb.TCPListenOverflow)
			return
		}
	}
	if q.full() {
		t.inc(mib.ListenOverflows)
		l.listenDrop()
		discard(b, skb.TCPListenOverflow)
		return
	}
	if isn == 0 && !cookie && t.conf.syncookies.Load() == 0 {
		// The last quarter is not for those we know nothing about.
		if most := t.conf.maxSynBacklog.Load(); most-q.qlen.Load() < most>>2 {
			l.listenDrop()
			discard(b, skb.TCPListenOverflow)
			return
		}
	}
	now := t.now()
	var o parsedOpts
	parseOptions(h, &o)
	if cookie && !o.hasTS {
		o = parsedOpts{mss: o.mss} // there is no place for more
	}
	cb := rx(b)
	in := header.IPv4(b.NetworkHeader())
	r := &request{listener: l, cookie: cookie, loose: cookie, rcvISN: cb.seq, rcvNxt: cb.seq + 1, foc: fastopenCookie{n: -1}, mark: l.Mark(), iif: b.DevIndex()}
	r.e = entry{key: tuple{laddr: in.Dst(), raddr: in.Src(), lport: h.DstPort(), rport: h.SrcPort()}, dev: l.BoundDev(), kind: entryRequest}
	c := &t.conf
	r.mss = mssDefault
	if o.mss != 0 {
		r.mss = o.mss
		if l.userMSS != 0 {
			r.mss = uint16(min(int(o.mss), l.userMSS))
		}
	}
	r.tsOK = o.hasTS && c.timestamps.Load() != 0
	r.sackOK = o.sackOK && c.sack.Load() != 0
	if r.wscaleOK = o.wscaleOK && c.windowScaling.Load() != 0; r.wscaleOK {
		r.sndWScale = o.wscale
	}
	r.tsRecent = o.tsval
	if r.tos = l.TOS(); c.reflectTOS.Load() != 0 {
		r.tos = in.TOS()&^3 | r.tos&3
	}
	if r.mark == 0 && c.fwmarkAccept.Load() != 0 {
		r.mark = b.Mark
	}
	if r.tsOK {
		r.tsOffset = t.tsOffset(&r.e.key)
	}
	r.ecnRequest(cb, in, h)
	switch {
	case cookie:
		isn = t.cookieSeq(&r.e.key, cb.seq, &r.mss)
		if !r.tsOK {
			r.ecn = ecnOffer{} // there is no place for it either
		}
		l.cookieSent()
	case isn == 0:
		isn = t.initSeq(&r.e.key, now)
	}
	r.sntISN = isn
	r.opt = t.echoOptions(b)
	out := r.route()
	if out == nil {
		l.listenDrop()
		discard(b, skb.IPOutNoRoutes)
		return
	}
	r.initRwin(out)
	if cookie {
		r.sendSynAck(out)
		b.Consume()
		return
	}
	r.savedSyn = l.recordSyn(b, h)
	if s := r.tryFastopen(b, h, &o, out); s != nil {
		r.sendSynAck(out)
		s.synackSent = r.sent
		s.bhUnlock()
		l.DataReady()
		b.Consume()
		return
	}
	r.timer.Init(t.timers, reqTimer)
	r.mu.Lock()
	if !t.tab.insert(&r.e, nil) {
		r.mu.Unlock()
		discard(b, skb.NotSpecified)
		return
	}
	q.qlen.Add(1)
	q.young.Add(1)
	r.timer.ModAt(now+timeoutInit, now)
	r.mu.Unlock()
	r.sendSynAckAt(out, now)
	b.Consume()
}

// echoOptions returns the IP options to answer a segment with, nil if there are
// none (Linux: tcp_v4_save_options).
func (t *TCP) echoOptions(b *skb.Buff) *header.OptionSet {
	var o header.OptionSet
	if !t.ip.EchoOptions(&o, b) || o.Len == 0 {
		return nil
	}
	heap := o
	return &heap
}

// initRwin is tcp_openreq_init_rwin.
func (r *request) initRwin(rt *ip.Rtable) {
	l := r.listener
	full := l.fullSpace()
	mss := r.advMSS(rt)
	clamp := l.winClamp
	if clamp == 0 {
		clamp = rt.Metric(metricWindow)
	}
	if l.Flag(sock.FlagRcvBufLock) && (clamp > uint32(full) || clamp == 0) {
		clamp = uint32(full)
	}
	if r.tsOK {
		mss -= tsOptLen
	}
	r.rcvWnd, r.winClamp, r.rcvWScale = l.tcp.selectInitialWindow(full, mss, clamp, r.wscaleOK, rt.Metric(metricInitRwnd))
}

func (r *request) advMSS(rt *ip.Rtable) int {
	m := int(rt.Metric(metricAdvMSS))
	if u := r.listener.userMSS; u != 0 && u < m {
		m = u
	}
	return m
}

// sendSynAck sends the SYN-ACK (Linux: tcp_v4_send_synack, tcp_make_synack).
func (r *request) sendSynAck(rt *ip.Rtable) bool { return r.sendSynAckAt(rt, r.listener.tcp.now()) }

// sendSynAckAt is sendSynAck at a time in ns.
func (r *request) sendSynAckAt(rt *ip.Rtable, now int64) bool {
	t := r.listener.tcp
	if rt == nil {
		if rt = r.route(); rt == nil {
			return false
		}
	}
	key := r.listener.md5Lookup(r.e.key.raddr)
	if key != nil && !r.cookie && r.sackOK {
		r.tsOK = false // no SACK block would fit beside it
	}
	again := r.sent != 0
	if !again {
		r.sent = now / 1000
	}
	p := reply{key: r.e.key, seq: r.sntISN, ack: r.rcvNxt, flags: header.TCPSyn | header.TCPAck,
		win: uint16(min(r.rcvWnd, 65535)), tos: r.tos, mark: r.mark, opt: r.opt, sk: r.listener, dev: r.e.dev}
	o := &p.opts
	o.mss, o.sackOK, o.wscale, o.ws = uint16(r.advMSS(rt)), r.sackOK, r.wscaleOK, r.rcvWScale
	if r.tsOK {
		clock := uint32(now / 1e6)
		if r.cookie {
			clock = r.cookieTimestamp(clock)
		}
		o.ts, o.tsval, o.tsecr = true, clock+r.tsOffset, r.tsRecent
	}
	if r.foc.n >= 0 && key == nil {
		o.foCookie, o.foExp = r.foc.bytes(), r.foc.exp
	}
	o.md5 = key
	r.ecnSynAck(&p, o, again)
	return t.sendReplyTo(&p, rt)
}

// route finds the way back to the peer (Linux: inet_csk_route_req).
func (r *request) route() *ip.Rtable {
	l := r.listener
	f := l.flowTo(&r.e.key, r.opt)
	rt, _, err := l.RouteOutput(&f)
	if err != 0 {
		return nil
	}
	return rt
}

// reqTimer sends the SYN-ACK again or gives up (Linux: reqsk_timer_handler).
func reqTimer(tm *napi.Timer) {
	r := (*request)(unsafe.Pointer(tm))
	l := r.listener
	t := l.tcp
	q := l.extra
	if l.State() != Listen {
		r.drop()
		return
	}
	most := int(l.synRetries)
	if most == 0 {
		most = int(t.conf.synackRetries.Load())
	}
	// When the queue is half full old requests make room for young ones.
	if n := q.qlen.Load(); n<<1 > max(8, q.max.Load()) {
		for young := q.young.Load() << 1; most > 2; most-- {
			if n < young {
				break
			}
			young <<= 1
		}
	}
	expire, resend := int(r.numTimeout) >= most, true
	if d := int(l.deferAcc); d != 0 {
		expire = expire && (!r.acked || int(r.numTimeout) >= d)
		resend = !r.acked || int(r.numTimeout) >= d-1
	}
	t.inc(mib.TCPTimeouts)
	if !expire && (!resend || r.rtxSynAck() || r.acked) {
		if r.numTimeout == 0 {
			q.young.Add(-1)
		}
		r.numTimeout++
		r.mu.Lock()
		if !r.dead {
			r.timer.Mod(t.now() + r.timeout())
		}
		r.mu.Unlock()
		return
	}
	r.drop()
}

func (r *request) timeout() int64 {
	return min(timeoutInit<<min(r.numTimeout, 20), r.listener.rtoMax)
}

// rtxSynAck is tcp_rtx_synack.
func (r *request) rtxSynAck() bool {
	if !r.sendSynAck(nil) {
		return false
	}
	t := r.listener.tcp
	t.stats.RetransSegs.Add(1)
	t.inc(mib.TCPSynRetrans)
	r.numRetrans++
	return true
}

// drop forgets a request (Linux: inet_csk_reqsk_queue_drop) and reports whether
// it was there.
func (r *request) drop() bool {
	if !r.listener.tcp.tab.remove(&r.e) {
		return false
	}
	r.end()
	return true
}

// end stops a request that is out of the table.
func (r *request) end() {
	if r.loose {
		return
	}
	r.mu.Lock()
	dead := r.dead
	r.dead = true
	r.timer.Del()
	r.mu.Unlock()
	if dead {
		return
	}
	q := r.listener.extra
	q.qlen.Add(-1)
	if r.numTimeout == 0 {
		q.young.Add(-1)
	}
}

// check takes a segment for a request (Linux: tcp_check_req; RFC 9293 section
// 3.10.7.4 for SYN_RECEIVED). It returns the connection that came of it, locked
// by BHLock, or the listener if that is to look at the segment; with nil, b is
// gone.
func (r *request) check(b *skb.Buff, h header.TCP) *Sock {
	l := r.listener
	t := l.tcp
	cb := rx(b)
	flags := cb.flags & (header.TCPRst | header.TCPSyn | header.TCPAck)
	var o parsedOpts
	parseOptions(h, &o)
	hasTS := o.hasTS && r.tsOK
	reject := false
	if hasTS {
		// RFC 7323 section 5.3, with the request's patience as the age of the
		// timestamp. To a RST it counts for so long (Linux: tcp_paws_reject).
		if int32(r.tsRecent-o.tsval) > 0 && r.tsRecent != 0 && (flags&header.TCPRst == 0 || r.timeout() < msl) {
			reject = true
		}
	}
	if cb.seq == r.rcvISN && flags == header.TCPSyn && !reject {
		// The SYN again: so our answer was lost.
		if r.ecn.accurate {
			r.ecn.synRcvd = cb.ds & ipECN
			if aceOf(h) == 0 {
				r.ecn.fail |= accACEFailRecv
			}
		}
		if !t.oowLimited(mib.TCPACKSkippedSynRecv, &r.lastOOW) && r.rtxSynAck() {
			r.mu.Lock()
			if !r.dead {
				r.timer.Mod(t.now() + r.timeout())
			}
			r.mu.Unlock()
		}
		b.Consume()
		return nil
	}
	if flags&header.TCPAck != 0 && cb.ack != r.sntISN+1 && r.child == nil {
		return l // the listener resets
	}
	if reject || !requestInWindow(cb.seq, cb.end, r.rcvNxt, r.rcvNxt+r.rcvWnd) {
		if flags&header.TCPRst == 0 && !t.oowLimited(mib.TCPACKSkippedSynRecv, &r.lastOOW) {
			r.sendAck(b)
		}
		if reject {
			t.inc(mib.PAWSEstab)
		}
		discard(b, skb.TCPInvalidSequence)
		return nil
	}
	if cb.seq == r.rcvISN {
		flags &^= header.TCPSyn // it is before the window
	}
	if flags&(header.TCPRst|header.TCPSyn) != 0 {
		t.stats.AttemptFails.Add(1)
		if flags&header.TCPRst == 0 {
			t.sendReset(b, nil)
		} else if r.child != nil {
			r.child.fastopenRemove(true)
			r.child.reset()
		}
		if r.child == nil && r.drop() {
			t.inc(mib.EmbryonicRsts)
		}
		discard(b, skb.TCPReset)
		return nil
	}
	if flags&header.TCPAck == 0 {
		discard(b, skb.TCPFlags)
		return nil
	}
	if r.ecn.accurate && o.acc != nil && r.ecn.optSeen < accOptCounters {
		if r.ecn.optSeen = accOptState(o.acc); r.ecn.optSeen == accOptFailed {
			r.ecn.fail |= accOptFailRecv
		}
	}
	if r.child != nil {
		return r.child
	}
	if r.numTimeout < l.deferAcc && cb.end == r.rcvISN+1 {
		r.acked = true
		t.inc(mib.TCPDeferAcceptDrop)
		discard(b, skb.SocketFilter)
		return nil
	}
	if hasTS && !after(cb.seq, r.rcvNxt) {
		r.tsRecent = o.tsval
	}
	s, overflow := r.makeSock(b, h)
	if s != nil {
		return s
	}
	if overflow {
		if t.conf.abortOnOverflow.Load() == 0 {
			r.acked = true
			discard(b, skb.TCPListenOverflow)
			return nil
		}
		t.sendReset(b, nil)
		if r.drop() {
			t.inc(mib.EmbryonicRsts)
		}
	}
	discard(b, skb.TCPListenOverflow)
	return nil
}

func requestInWindow(seq, end, lo, hi uint32) bool {
	if seq == lo || after(end, lo) && before(seq, hi) {
		return true
	}
	return seq == hi && seq == end
}

// sendAck is tcp_v4_reqsk_send_ack.
func (r *request) sendAck(b *skb.Buff) {
	t := r.listener.tcp
	p := reply{md5: r.listener.md5Lookup(r.e.key.raddr), key: r.e.key, seq: r.sntISN + 1, ack: r.rcvNxt, flags: header.TCPAck,
		win: uint16(min(r.rcvWnd>>r.rcvWScale, 65535)), tos: r.tos, mark: r.mark, dev: r.e.dev,
		transparent: r.listener.Opt(ip.OptTransparent)}
	if r.child != nil {
		p.seq = r.child.sndNxt
	}
	if r.tsOK {
		p.ts, p.tsval, p.tsecr = true, uint32(t.now()/1e6)+r.tsOffset, r.tsRecent
	}
	t.sendReply(&p, ip.RtableOf(b))
}
