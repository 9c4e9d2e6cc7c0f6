package ip

import (
	"barewire/inet/fib"
	"barewire/inet/header"
	"barewire/napi"
	"barewire/skb"
)

// PathError acts on what an ICMP error says about the path of a packet sent
// from here: a smaller MTU, a better gateway (Linux: ipv4_update_pmtu,
// ipv4_redirect). Protocols call it from their Err with the same arguments; b
// is at the quoted IP header. Other errors change no route.
func (n *Net) PathError(b *skb.Buff, typ, code uint8, info uint32) {
	if typ != header.ICMPRedirect && (typ != header.ICMPDestUnreach || code != header.ICMPFragNeeded) {
		return
	}
	q := header.IPv4(b.Data())
	f := fib.Flow{Dst: q.Dst(), Src: q.Src(), TOS: q.TOS() & 0x1e, Proto: q.Protocol(), Mark: b.Mark}
	if typ == header.ICMPRedirect {
		if dev, ok := b.Dev.(*napi.NetDevice); ok {
			f.OIF = dev.Ifindex()
		}
	}
	if typ == header.ICMPRedirect {
		icmp := b.TransportHeader()
		if len(icmp) >= 2 && icmp[1] <= header.ICMPRedirHostTOS {
			n.Redirect(f, header.IPv4(b.NetworkHeader()).Src(), header.Addr(info))
		}
		return
	}
	n.UpdatePMTU(f, int(info))
}
