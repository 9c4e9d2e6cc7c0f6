package tcp

import (
	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/skb"
	"barewire/skb/header"
)

// rxDst is the decision over the packets a connection receives, and when it
// holds (Linux: sk_rx_dst, sk_rx_dst_ifindex, sk_rx_dst_cookie). It does not
// change: connections by one device share it.
type rxDst struct {
	rt  *ip.Rtable
	gen uint32 // of the routes
	dev int32
}

// earlyDemux finds the connection of a packet before it is routed, and with it
// the decision that held for the one before (Linux: tcp_v4_early_demux). The
// packet then carries the sock, so that it is looked up once. Data is the IP
// header. Nil when either is not known; the packet may carry the sock all the same.
func (t *TCP) earlyDemux(b *skb.Buff, in header.IPv4) *ip.Rtable {
	at := in.HeaderLen()
	if t.conf.earlyDemux.Load() == 0 || b.PktType != skb.PacketHost || !b.MayPull(at+header.TCPMinLen) {
		return nil
	}
	p := b.Data()
	in, h := header.IPv4(p), header.TCP(p[at:])
	if h.Flags()&(header.TCPSyn|header.TCPAck) == header.TCPSyn {
		return nil // a connection that begins has come no way yet
	}
	k := tuple{laddr: in.Dst(), raddr: in.Src(), lport: h.DstPort(), rport: h.SrcPort()}
	e := t.tab.lookup(&k, b.DevIndex())
	if e == nil {
		return nil
	}
	s := e.sk()
	if s == nil {
		return nil
	}
	b.Sk = s
	d := s.rxDst.Load()
	if d == nil || d.dev != b.Iif || d.gen != t.ip.FIB.Generation() {
		return nil
	}
	return d.rt
}

// takeSock takes off the packet what earlyDemux found (Linux: skb_steal_sock).
func takeSock(b *skb.Buff) *Sock {
	s, _ := b.Sk.(*Sock)
	b.Sk = nil
	return s
}

// keepRxDst notes how a packet for the sock was routed (Linux:
// inet_sk_rx_dst_set). The sock is locked.
func (s *Sock) keepRxDst(b *skb.Buff) {
	t := s.tcp
	d := s.rxDst.Load()
	gen := t.ip.FIB.Generation()
	if d != nil && d.dev == b.Iif && d.gen == gen || t.conf.earlyDemux.Load() == 0 {
		return
	}
	rt := ip.RtableOf(b)
	if rt == nil || rt.Type != fib.Local {
		return
	}
	if d = t.lastRxDst.Load(); d == nil || *d != (rxDst{rt, gen, b.Iif}) {
		d = &rxDst{rt, gen, b.Iif}
		t.lastRxDst.Store(d)
	}
	s.rxDst.Store(d)
}
