package conntrack

import (
	"time"

	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

// udpStreamAfter is how long both sides must have talked until it counts as a
// stream.
const udpStreamAfter = int64(2 * time.Second)

// udpHeader checks a datagram of UDP (Linux: udp_error) or UDP-Lite (RFC 3828
// section 3.1; Linux: udplite_error).
func (t *Table) udpHeader(p *packet) (why string) {
	if !p.need(8) {
		return "short packet"
	}
	h := header.UDP(p.l4)
	n := h.Length()
	if p.proto == ProtoUDPLite {
		switch {
		case n == 0:
			n = p.len
		case n < 8 || n > p.len:
			return "invalid checksum coverage"
		}
		if h.Checksum() == 0 {
			return "checksum missing"
		}
	} else {
		// A super-packet has the length of the whole or none that counts.
		if n > p.len || n < 8 {
			return "truncated/malformed packet"
		}
		if h.Checksum() == 0 {
			return ""
		}
		n = p.len
	}
	if !t.sumOK(p, n) {
		return "bad checksum"
	}
	return ""
}

// udpPacket is nf_conntrack_udp_packet: one datagram asks, an answer makes a
// conversation, and one that lasts is a stream.
func (t *Table) udpPacket(c *Conn, p *packet, info Info) verdict {
	if why := t.udpHeader(p); why != "" {
		t.invalid(p, why)
		return trackInvalid
	}
	st := c.Status()
	if st&Confirmed == 0 {
		c.proto.since = p.now + udpStreamAfter
	}
	timeout := t.Conf.UDPTimeout.Load()
	if st&SeenReply == 0 {
		c.refresh(p, info, timeout)
		return trackOK
	}
	stream := p.now > c.proto.since || p.proto == ProtoUDPLite // which has no probes
	if stream {
		timeout = t.Conf.UDPStream.Load()
	}
	c.refresh(p, info, timeout)
	if stream && st&(Assured|NATClash) == 0 && c.SetStatus(Assured)&Assured == 0 {
		c.Note(EventAssured)
	}
	return trackOK
}

// sumOK verifies the checksum over the pseudo header and n bytes of the
// transport packet, when the packet comes in and nobody has yet (Linux:
// nf_ip_checksum; nf_conntrack_checksum).
func (t *Table) sumOK(p *packet, n int) bool {
	if p.point != netfilter.PreRouting || t.Conf.Checksum.Load() == 0 {
		return true
	}
	b := p.b
	switch b.IPSummed {
	case skb.ChecksumUnnecessary, skb.ChecksumPartial:
		return true
	}
	if b.IsGSO() {
		return true
	}
	var sum uint32
	if p.proto != ProtoICMP {
		sum = header.PseudoSum(p.tuple.Src, p.tuple.Dst, p.proto, p.len)
	}
	return skb.CsumFold(b.Checksum(p.off, n, sum)) == 0
}
