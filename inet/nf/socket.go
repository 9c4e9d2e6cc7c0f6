package nf

import (
	"encoding/binary"

	"barewire/inet/ip"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/netfilter"
	"barewire/netfilter/conntrack"
	"barewire/netfilter/xtables"
	"barewire/skb"
	"barewire/skb/header"
)

// SetSockets makes the transport protocols known to the rules that ask for the
// socket of a packet, and to the SYN proxy. Before packets flow.
func (f *NF) SetSockets(tcp interface {
	ip.SockFinder
	Cookies
}, udp ip.SockFinder) {
	f.tcp, f.udp, f.cookies = tcp, udp, tcp
}

// hasSocket reports whether a packet was sent by a socket, and whether a program
// holds that.
func hasSocket(b *skb.Buff) (exists, held bool) {
	switch sk := b.Sk.(type) {
	case *sock.Sock:
		held = !sk.Flag(sock.FlagDead)
		return held, held
	case *ip.ControlSock:
		return true, false
	}
	return false, false
}

// finder is the transport protocol of that number, nil for others.
func (f *NF) finder(proto uint8) ip.SockFinder {
	switch proto {
	case header.ProtoTCP:
		return f.tcp
	case header.ProtoUDP:
		return f.udp
	}
	return nil
}

// socketOf finds the socket a packet is for, or an ICMP error is about (Linux:
// nf_sk_lookup_slow_v4).
func (f *NF) socketOf(b *skb.Buff, s netfilter.State) (xtables.Socket, bool) {
	h, ok := header.ParseIPv4(b.Data())
	if !ok || h.IsFragment() && h.FragField()&header.IPOffset != 0 {
		return xtables.Socket{}, false
	}
	src, dst, proto := h.Src(), h.Dst(), h.Protocol()
	at := h.HeaderLen()
	quoted := proto == header.ProtoICMP
	var buf [header.IPv4MinLen + 8]byte
	if quoted {
		if b.CopyBits(at, buf[:8]) != 8 || !header.ICMPIsError(buf[0]) {
			return xtables.Socket{}, false
		}
		at += 8
		if b.CopyBits(at, buf[:]) != len(buf) {
			return xtables.Socket{}, false
		}
		in := header.IPv4(buf[:])
		src, dst, proto = in.Dst(), in.Src(), in.Protocol()
		at += in.HeaderLen()
	}
	t := f.finder(proto)
	if t == nil || b.CopyBits(at, buf[:4]) != 4 {
		return xtables.Socket{}, false
	}
	sport, dport := binary.BigEndian.Uint16(buf[:]), binary.BigEndian.Uint16(buf[2:])
	if quoted {
		sport, dport = dport, sport
	}
	// An answer to a connection whose source was translated is for who made it.
	if c, info := conntrack.Get(b); c != nil && info.Dir() == conntrack.Reply && c.Status()&conntrack.SrcNATDone != 0 {
		o := c.Tuple(conntrack.Original)
		if dst = o.Src; proto == header.ProtoTCP || proto == header.ProtoUDP {
			dport = o.SrcPort
		}
	}
	i, ok := t.FindSock(src, sport, dst, dport, deviceIndex(s))
	return xtables.Socket(i), ok
}

func deviceIndex(s netfilter.State) int32 {
	if s.In == nil {
		return 0
	}
	return s.In.Ifindex()
}

// tproxy gives a packet to a socket at an address, by default that of the device
// the packet came by (Linux: nf_tproxy_laddr4).
func (f *NF) tproxy(b *skb.Buff, s netfilter.State, addr header.Addr, port uint16) bool {
	h, ok := header.ParseIPv4(b.Data())
	if !ok {
		return false
	}
	t := f.finder(h.Protocol())
	if t == nil {
		return false
	}
	if dev, ok := s.In.(*napi.NetDevice); ok && addr == 0 {
		addr = f.devAddr(dev)
	}
	if addr == 0 {
		addr = h.Dst()
	}
	return t.TProxy(b, addr, port)
}
