package napi

import (
	"encoding/binary"

	"barewire/skb"
	"barewire/skb/header"
)

// flowHash returns the hash of a packet's flow, made if it has none yet, 0 when it
// has no flow (Linux: skb_get_hash). Both directions of a connection have the same.
// Data is the network header. Fragments go by their addresses alone, so that all
// pieces of a datagram meet.
func (n *Net) flowHash(b *skb.Buff) uint32 {
	if b.Hash != 0 {
		return b.Hash
	}
	if b.Protocol != ETH_P_IP || !b.MayPull(header.IPv4MinLen) {
		return 0
	}
	if p := b.Data(); len(p) < header.IPv4MinLen+4 && hasPorts(header.IPv4(p).Protocol()) {
		b.MayPull(header.IPv4MinLen + 4)
	}
	n.hashIP(b, b.Data())
	return b.Hash
}

// hashIP notes the hash of the packet b, of which p is what is linear from its IP
// header on.
func (n *Net) hashIP(b *skb.Buff, p []byte) {
	if len(p) < header.IPv4MinLen {
		return
	}
	h := header.IPv4(p)
	proto := h.Protocol()
	hlen := int(p[0]&15) * 4
	if p[0]>>4 != 4 || hlen < header.IPv4MinLen {
		return
	}
	src, dst := binary.BigEndian.Uint32(p[12:]), binary.BigEndian.Uint32(p[16:])
	var sport, dport uint16
	if hasPorts(proto) && !h.IsFragment() && len(p) >= hlen+4 {
		t := p[hlen:]
		sport, dport = binary.BigEndian.Uint16(t), binary.BigEndian.Uint16(t[2:])
		b.L4Hash = true
	}
	if dst < src || dst == src && dport < sport {
		src, dst, sport, dport = dst, src, dport, sport
	}
	b.Hash = n.hash(uint64(src)<<32|uint64(dst), uint64(sport)<<32|uint64(dport)<<16|uint64(proto))
}

func hasPorts(proto uint8) bool {
	const sctp, udplite = 132, 136
	return proto == header.ProtoTCP || proto == header.ProtoUDP || proto == sctp || proto == udplite
}

// hash mixes a flow's keys with the stack's secret; never 0.
func (n *Net) hash(a, b uint64) uint32 { return max(uint32(n.flowKey.Quick2(a, b)), 1) }
