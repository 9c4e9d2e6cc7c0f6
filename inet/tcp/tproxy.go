package tcp

import (
	"barewire/inet/ip"
	"barewire/skb"
	"barewire/skb/header"
)

// FindSock implements ip.SockFinder.
func (t *TCP) FindSock(src header.Addr, sport uint16, dst header.Addr, dport uint16, dev int32) (ip.SockInfo, bool) {
	k := tuple{laddr: dst, raddr: src, lport: dport, rport: sport}
	if e := t.tab.lookup(&k, dev); e != nil {
		return e.info(), true
	}
	if l := t.tab.lookupListener(&k, dev, nil, nil); l != nil {
		return l.Info(), true
	}
	return ip.SockInfo{}, false
}

// info is what the packet filter may know of a connection.
func (e *entry) info() ip.SockInfo {
	if w := e.tw(); w != nil {
		return ip.SockInfo{Transparent: w.anySrc}
	}
	if r := e.req(); r != nil {
		return ip.SockInfo{Transparent: r.listener.Opt(ip.OptTransparent)}
	}
	return e.sk().Info()
}

// TProxy implements ip.SockFinder. What belongs to a connection finds it by its
// addresses; only a listener has to come with the packet.
func (t *TCP) TProxy(b *skb.Buff, addr header.Addr, port uint16) bool {
	in := header.IPv4(b.Data())
	at := in.HeaderLen()
	if !b.MayPull(at + header.TCPMinLen) {
		return false
	}
	in = header.IPv4(b.Data())
	h := header.TCP(b.Data()[at:])
	dev := b.DevIndex()
	k := tuple{laddr: in.Dst(), raddr: in.Src(), lport: h.DstPort(), rport: h.SrcPort()}
	e := t.tab.lookup(&k, dev)
	var w *timewait
	if e != nil {
		const kinds = header.TCPSyn | header.TCPRst | header.TCPAck | header.TCPFin
		if w = e.tw(); w == nil || h.Flags()&kinds != header.TCPSyn {
			return e.info().Transparent
		}
		// A new connection in place of an old one (nf_tproxy_handle_time_wait4).
	}
	to := tuple{laddr: addr, raddr: in.Src(), lport: port, rport: h.SrcPort()}
	l := t.tab.lookupListener(&to, dev, nil, nil)
	if l == nil || !l.Opt(ip.OptTransparent) {
		return w != nil && l == nil && w.anySrc
	}
	if w != nil {
		w.kill()
	}
	b.Sk = l
	return true
}

// SYNCookie makes the sequence number of a SYN-ACK that carries a cookie, for who
// answers a SYN in another's name, and brings mss down to what it can say.
func (t *TCP) SYNCookie(from, to header.Addr, fromPort, toPort uint16, seq uint32, mss *uint16) uint32 {
	return t.cookieSeq(&tuple{laddr: to, raddr: from, lport: toPort, rport: fromPort}, seq, mss)
}

// CheckSYNCookie returns the mss in a cookie of SYNCookie, 0 if it is none.
func (t *TCP) CheckSYNCookie(from, to header.Addr, fromPort, toPort uint16, cookie, seq uint32) (mss uint16) {
	return t.checkCookie(&tuple{laddr: to, raddr: from, lport: toPort, rport: fromPort}, cookie, seq)
}
