package udp

import (
	"barewire/inet/ip"
	"barewire/skb"
	"barewire/skb/header"
)

// FindSock implements ip.SockFinder.
func (u *UDP) FindSock(src header.Addr, sport uint16, dst header.Addr, dport uint16, dev int32) (ip.SockInfo, bool) {
	s := u.table.lookup(src, sport, dst, dport, dev, nil)
	if s == nil {
		return ip.SockInfo{}, false
	}
	return s.Info(), true
}

// TProxy implements ip.SockFinder.
func (u *UDP) TProxy(b *skb.Buff, addr header.Addr, port uint16) bool {
	in := header.IPv4(b.Data())
	at := in.HeaderLen()
	if !b.MayPull(at + header.UDPLen) {
		return false
	}
	in = header.IPv4(b.Data())
	h, _ := header.ParseUDP(b.Data()[at:])
	dev := b.DevIndex()
	s := u.table.lookup(in.Src(), h.SrcPort(), in.Dst(), h.DstPort(), dev, nil)
	if s == nil || s.Ident().Dport == 0 || s.Ident().RcvSaddr == 0 { // of no conversation of its own
		if s = u.table.lookup(in.Src(), h.SrcPort(), addr, port, dev, nil); s != nil && s.Ident().Dport != 0 {
			s = nil
		}
	}
	if s == nil || !s.Opt(ip.OptTransparent) {
		return false
	}
	b.Sk = s
	return true
}
