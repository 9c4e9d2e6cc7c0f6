package ip

import (
	"barewire/inet/fib"
	"barewire/skb"
	"barewire/skb/header"
)

// PathError acts on what an ICMP error says about the path of a packet sent
// from here: a smaller MTU, a better gateway (Linux: ipv4_update_pmtu,
// ipv4_redirect). Protocols call it from their Err with the same arguments, for
// packets of no sock; b is at the quoted IP header. Other errors change no
// route.
func (n *Net) PathError(b *skb.Buff, typ, code uint8, info uint32) {
	var mark uint32
	if n.Conf.FwmarkReflect.Load() != 0 {
		mark = b.Mark
	}
	n.pathError(b, typ, code, info, fib.Flow{Mark: mark})
}

// PathError is [Net.PathError] about a packet of the sock (Linux:
// ipv4_sk_update_pmtu, ipv4_sk_redirect): not heard by one that does not look
// for the path's MTU.
func (s *Sock) PathError(b *skb.Buff, typ, code uint8, info uint32) {
	if typ == header.ICMPDestUnreach && s.disc.Load() >= PMTUDiscInterface {
		return
	}
	s.IP.pathError(b, typ, code, info, fib.Flow{Mark: s.Mark(), OIF: s.BoundDev()})
}

func (n *Net) pathError(b *skb.Buff, typ, code uint8, info uint32, f fib.Flow) {
	q := header.IPv4(b.Data())
	f.Dst, f.Src, f.TOS, f.Proto = q.Dst(), q.Src(), q.TOS()&0x1e, q.Protocol()
	switch {
	case typ == header.ICMPRedirect:
		if icmp := b.TransportHeader(); len(icmp) >= 2 && icmp[1]&7 <= header.ICMPRedirHostTOS {
			n.Redirect(f, header.IPv4(b.NetworkHeader()).Src(), header.Addr(info))
		}
	case typ == header.ICMPDestUnreach && code == header.ICMPFragNeeded:
		n.UpdatePMTU(f, int(info))
	}
}
