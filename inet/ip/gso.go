package ip

import (
	"barewire/skb"
	"barewire/skb/header"
)

// Super-packets in the IP layer: those that are forwarded were merged on
// arrival (napi, GRO), and leave as what they came as.

// gsoFits reports whether the packets that a super-packet is cut into are no
// longer than mtu (Linux: skb_gso_validate_network_len). Data is the IP header.
func gsoFits(b *skb.Buff, mtu int) bool {
	p := b.Data()
	at := header.IPv4(p).HeaderLen()
	hl := header.UDPLen
	if b.Shinfo().GSOType&skb.GSOTCPv4 != 0 {
		if len(p) < at+header.TCPMinLen {
			return false
		}
		hl = int(p[at+12]>>4) * 4
	}
	return at+hl+int(b.Shinfo().GSOSize) <= mtu
}

// finishOutputGSO sends a super-packet: whole, or cut here if what it is cut into
// has to be fragmented (Linux: ip_finish_output_gso). Consumes b. The error is
// that of the first piece that had one.
func (n *Net) finishOutputGSO(b *skb.Buff, rt *Rtable, mtu int) error {
	// One made here is TCP's, which cuts to what it knows of the path.
	if !Forwarded(b) || gsoFits(b, mtu) {
		return n.finishOutput2(b, rt)
	}
	l, first := n.Dev.Segment(b, true)
	for s := l.PopFront(); s != nil; s = l.PopFront() {
		if err := n.finishOutput(s, rt); err != nil && first == nil {
			first = err
		}
	}
	return first
}
