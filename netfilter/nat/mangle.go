package nat

import (
	"barewire/netfilter/conntrack"
	"barewire/skb"
	"barewire/skb/header"
)

// MangleTCP replaces n bytes at an offset in the payload of a segment of
// direction d by rep, for a helper, and notes how far the sequence numbers behind
// it move (Linux: nf_nat_mangle_tcp_packet). off is where the TCP header begins
// from Data, the IP header. False when that is not in the packet or memory ran
// out; the packet is to be dropped.
func MangleTCP(b *skb.Buff, off int, c *conntrack.Conn, d conntrack.Dir, at, n int, rep []byte) bool {
	if !b.Linearize() {
		return false
	}
	th, ok := header.ParseTCP(b.Data()[off:])
	if !ok || at < 0 || n < 0 || off+th.HeaderLen()+at+n > b.Len() {
		return false
	}
	seq := th.Seq()
	at += off + th.HeaderLen()
	grow := len(rep) - n
	if b.Len()+grow > header.IPv4MaxPacket || !resize(b, at, n, len(rep)) {
		return false
	}
	p := b.Data()
	copy(p[at:], rep)
	h := header.IPv4(p)
	h.SetTotalLen(len(p))
	h.UpdateChecksum()
	th = header.TCP(p[off:])
	pseudo := header.PseudoSum(h.Src(), h.Dst(), header.ProtoTCP, len(p)-off)
	if b.IPSummed == skb.ChecksumPartial {
		th.SetChecksum(^skb.CsumFold(pseudo))
	} else {
		b.IPSummed = skb.ChecksumNone
		th.SetChecksum(0)
		th.SetChecksum(skb.CsumFold(skb.CsumPartial(p[off:], pseudo)))
	}
	c.SetSeqAdj(d, seq, int32(grow))
	return true
}

// resize makes the n bytes at an offset of a linear packet size bytes long, and
// the packet private. What the bytes are afterwards is the caller's business.
func resize(b *skb.Buff, at, n, size int) bool {
	if !b.CowTail(max(size-n, 0)) {
		return false
	}
	if size > n {
		b.Put(size - n)
		p := b.Data()
		copy(p[at+size:], p[at+n:len(p)-(size-n)])
		return true
	}
	p := b.Data()
	copy(p[at+size:], p[at+n:])
	return b.Trim(len(p) - (n - size))
}
