package tcp

import (
	"barewire/skb"
	"barewire/skb/header"
)

// Segments of the send queue cut and shortened (Linux: tcp_fragment,
// tcp_trim_head).

// fragment cuts the segment at index i of the send queue after n bytes (Linux:
// tcp_fragment, tso_fragment). False means memory ran out.
func (s *Sock) fragment(i, n, mss int, sent bool) bool {
	b := s.wq.at(i)
	if n <= 0 || n >= b.Len() {
		return n == b.Len()
	}
	room := frontRoom
	if h := b.Headlen(); h > n {
		room += h - n
	}
	c := s.tcp.cache.Alloc(room)
	if c == nil {
		return false
	}
	c.Reserve(frontRoom)
	if !b.Split(c, n) {
		c.Free(skb.NoMem)
		return false
	}
	cb, nc := tx(b), tx(c)
	old := cb.segs
	*nc = *cb
	nc.seq = cb.seq + uint32(n)
	cb.end = nc.seq
	cb.flags &^= header.TCPFin | header.TCPPsh
	cb.eor = false
	c.Tstamp = b.Tstamp
	nc.charge = 0
	if b.TxFlags != 0 {
		stampSplit(b, c)
	}
	s.chargeMove(b, c)
	setSegs(b, mss)
	setSegs(c, mss)
	if sent {
		// If it was sent, the counts of what is where follow.
		if diff := int(old) - int(cb.segs) - int(nc.segs); diff != 0 {
			s.adjustPcount(b, diff)
		}
	}
	s.wq.insert(i+1, c, sent)
	return true
}

// adjustPcount takes diff packets of a segment out of the counts (Linux:
// tcp_adjust_pcount).
func (s *Sock) adjustPcount(b *skb.Buff, diff int) {
	d := uint32(diff)
	cb := tx(b)
	s.packetsOut -= d
	if cb.sacked&sackedAcked != 0 {
		s.sackedOut -= d
	}
	if cb.sacked&sackedRetrans != 0 {
		s.retransOut -= d
	}
	if cb.sacked&sackedLost != 0 {
		s.lostOut -= d
	}
	if !s.opt.sackOK && diff > 0 {
		s.sackedOut -= min(s.sackedOut, d)
	}
}

// trimHead removes n acknowledged bytes from the front of a segment (Linux:
// tcp_trim_head).
func (s *Sock) trimHead(b *skb.Buff, n int) bool {
	if !b.PullAny(n) {
		return false
	}
	tx(b).seq += uint32(n)
	if tx(b).segs > 1 {
		setSegs(b, segSize(b))
	}
	return true
}
