package tcp

import (
	"barewire/inet/ip"
	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// SYN cookies (Linux: net/ipv4/syncookies.c; RFC 4987 section 3.6): when the SYN
// queue is full, what would have stood in a request is put into the sequence
// number and the timestamp of the SYN-ACK, and read back from the ACK. Nothing
// is kept meanwhile, so a flood costs no memory.
//
// The sequence number is, modulo 2^32,
//
//	hash0(connection) + peer's + minute<<24 + (hash1(connection, minute) + MSS index)&0xffffff
//
// and the low six bits of the timestamp carry the options. Without timestamps a
// connection has no options but the MSS.

const (
	cookieBits   = 24
	cookieMask   = 1<<cookieBits - 1
	cookiePeriod = 60 * sec                       // TCP_SYNCOOKIE_PERIOD
	cookieMaxAge = 2                              // MAX_SYNCOOKIE_AGE, periods
	cookieValid  = cookieMaxAge * cookiePeriod    // TCP_SYNCOOKIE_VALID
	cookieTSBits = 6                              // TSBITS
	cookieWScale = 0xf                            // TS_OPT_WSCALE_MASK; all ones: no scaling
	cookieSACK   = 1 << 4                         // TS_OPT_SACK
	cookieECN    = 1 << 5                         // TS_OPT_ECN
	cookieTSMask = uint32(1<<cookieTSBits) - 1    // what is not clock
	_            = uint(cookieTSMask - cookieECN) // the options fit
)

// cookieMSS are the segment sizes a cookie can say. read-only.
var cookieMSS = [...]uint16{536, 1300, 1440, 1460}

// cookieHash is cookie_hash: 32 bits of a connection, a minute and a use.
func (t *TCP) cookieHash(k *tuple, count uint32, use int) uint32 {
	a, b := k.words()
	return uint32(t.secr.cookie[use].sum2(a, b^uint64(count)<<32))
}

func (t *TCP) cookieTime() uint32 { return uint32(t.now() / cookiePeriod) }

// cookieSeq makes the sequence number of a SYN-ACK (Linux: cookie_v4_init_sequence)
// and brings mss down to what it can say.
func (t *TCP) cookieSeq(k *tuple, peer uint32, mss *uint16) uint32 {
	i := len(cookieMSS) - 1
	for i > 0 && *mss < cookieMSS[i] {
		i--
	}
	*mss = cookieMSS[i]
	count := t.cookieTime()
	return t.cookieHash(k, 0, 0) + peer + count<<cookieBits + (t.cookieHash(k, count, 1)+uint32(i))&cookieMask
}

// checkCookie returns the segment size in a cookie, 0 if it is none of ours, or
// too old (Linux: __cookie_v4_check).
func (t *TCP) checkCookie(k *tuple, cookie, peer uint32) uint16 {
	cookie -= t.cookieHash(k, 0, 0) + peer
	count := t.cookieTime()
	age := (count - cookie>>cookieBits) & (1<<(32-cookieBits) - 1)
	if age >= cookieMaxAge {
		return 0
	}
	if i := (cookie - t.cookieHash(k, count-age, 1)) & cookieMask; i < uint32(len(cookieMSS)) {
		return cookieMSS[i]
	}
	return 0
}

// cookieTimestamp is the clock with the options in its last bits, never ahead of
// the clock (Linux: cookie_init_timestamp).
func (r *request) cookieTimestamp(now uint32) uint32 {
	opts := uint32(cookieWScale)
	if r.wscaleOK {
		opts = uint32(r.sndWScale)
	}
	if r.sackOK {
		opts |= cookieSACK
	}
	if r.ecn.ok {
		opts |= cookieECN
	}
	ts := now&^cookieTSMask | opts
	if int32(ts-now) > 0 {
		ts -= cookieTSMask + 1
	}
	return ts
}

// cookieOptions takes the options out of the timestamp that came back (Linux:
// cookie_timestamp_decode). False when they ask for what has been turned off
// since.
func (r *request) cookieOptions(o *parsedOpts) bool {
	if !o.hasTS {
		return true
	}
	c := &r.listener.tcp.conf
	if c.timestamps.Load() == 0 {
		return false
	}
	opts := o.tsecr - r.tsOffset
	r.tsOK, r.tsRecent = true, o.tsval
	if r.sackOK = opts&cookieSACK != 0; r.sackOK && c.sack.Load() == 0 {
		return false
	}
	r.ecn.ok = opts&cookieECN != 0 && c.ecn.Load() != 0
	if opts&cookieWScale == cookieWScale {
		return true
	}
	r.wscaleOK, r.sndWScale = true, uint8(opts&cookieWScale)
	return c.windowScaling.Load() != 0
}

// floodAction decides about a SYN the queue has no place for (Linux:
// tcp_syn_flood_action): true for a cookie.
func (t *TCP) floodAction() bool {
	if t.conf.syncookies.Load() == 0 {
		t.inc(mib.TCPReqQFullDrop)
		return false
	}
	t.inc(mib.TCPReqQFullDoCookies)
	return true
}

// cookieSent notes that a listener gave out a cookie (Linux: tcp_synq_overflow):
// until the last one is too old ACKs are checked for them.
func (l *Sock) cookieSent() {
	q, now := l.extra, l.tcp.now()
	if last := q.overflow.Load(); last == 0 || now-last > sec {
		q.overflow.Store(now)
	}
	l.tcp.inc(mib.SyncookiesSent)
}

// cookieRcv takes an ACK for a listener (Linux: cookie_v4_check). It reports
// false if that is to look at the segment; otherwise b is gone.
func (t *TCP) cookieRcv(l *Sock, b *skb.Buff, h header.TCP) bool {
	cb := rx(b)
	if t.conf.syncookies.Load() == 0 || cb.flags&(header.TCPSyn|header.TCPAck|header.TCPRst) != header.TCPAck {
		return false
	}
	if last := l.extra.overflow.Load(); last == 0 || t.now()-last > cookieValid {
		return false
	}
	in := header.IPv4(b.NetworkHeader())
	r := &request{listener: l, cookie: true, loose: true, rcvISN: cb.seq - 1, rcvNxt: cb.seq, sntISN: cb.ack - 1, mark: l.Mark(), iif: b.DevIndex(), tos: l.TOS()}
	r.e = entry{key: tuple{laddr: in.Dst(), raddr: in.Src(), lport: h.DstPort(), rport: h.SrcPort()}, dev: l.BoundDev(), kind: entryRequest}
	if r.mss = t.checkCookie(&r.e.key, r.sntISN, r.rcvISN); r.mss == 0 {
		t.inc(mib.SyncookiesFailed)
		return false
	}
	t.inc(mib.SyncookiesRecv)
	var o parsedOpts
	parseOptions(h, &o)
	if o.hasTS {
		r.tsOffset = t.tsOffset(&r.e.key)
	}
	if !r.cookieOptions(&o) {
		return false
	}
	if r.ecn.ok && aceOf(h) > 1 && t.conf.ecn.Load() >= ecnAccurate {
		// RFC 9768 section 5.1: only the accurate feedback begins like that.
		r.ecn.accurate = true
		if o.acc != nil {
			r.ecn.optSeen = accOptState(o.acc)
		}
	}
	// The options of the SYN are gone; the ACK should have them again (RFC 1122
	// section 4.2.3.8).
	r.opt = t.echoOptions(b)
	out := r.route()
	if out == nil {
		discard(b, skb.IPOutNoRoutes)
		return true
	}
	r.cookieWindow(out)
	s, _ := r.makeSock(b, h)
	if s == nil {
		discard(b, skb.TCPListenOverflow)
		return true
	}
	t.childRcv(l, s, b)
	return true
}

// cookieWindow chooses the window that the SYN-ACK offered again.
func (r *request) cookieWindow(rt *ip.Rtable) {
	l := r.listener
	full := l.fullSpace()
	clamp := l.winClamp
	if clamp == 0 {
		clamp = rt.Metric(metricWindow)
	}
	if l.Flag(sock.FlagRcvBufLock) && (clamp > uint32(full) || clamp == 0) {
		clamp = uint32(full)
	}
	r.rcvWnd, r.winClamp, r.rcvWScale = l.tcp.selectInitialWindow(full, int(r.mss), clamp, r.wscaleOK, rt.Metric(metricInitRwnd))
}
