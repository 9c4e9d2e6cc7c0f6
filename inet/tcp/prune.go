package tcp

import (
	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// Room in the receive buffer, and what is done when there is none: first what is
// queued is packed, then what came out of order is thrown away.

// collapseMost is how much one packet made by packing holds: what one page of the
// allocator does in Linux (SKB_MAX_ORDER).
const collapseMost = 4096 - shinfoSize

// canIngest reports whether the receive buffer takes another segment: while what
// is queued does not exceed it, whatever comes costs (Linux: tcp_can_ingest).
func (s *Sock) canIngest() bool { return s.rmem <= s.ReceiveBuffer() }

// chargeFast takes the memory of a segment if that is no more than was taken for
// the sock already, in pages: then nobody has to be asked, not even the receive
// buffer (Linux: sk_forward_alloc in the fast path of tcp_rcv_established).
func (s *Sock) chargeFast(b *skb.Buff) bool {
	if rxTruesize(b) > -(s.rmem+s.wmemQueued)&(memPage-1) || !s.memMay(b.Truesize(), true) {
		return false
	}
	s.forceRx(b)
	return true
}

// chargeRx takes a segment's memory (Linux: tcp_try_rmem_schedule). False means
// that there is no room even after pruning.
func (s *Sock) chargeRx(b *skb.Buff) bool {
	seq, real := rx(b).seq, b.Truesize()
	if !s.canIngest() || !s.memMay(real, true) {
		if !s.prune(seq) {
			return false
		}
		for !s.memMay(real, true) {
			if !s.pruneOfo(seq) {
				return false
			}
		}
	}
	s.forceRx(b)
	return true
}

// forceRx takes it whatever there is.
func (s *Sock) forceRx(b *skb.Buff) {
	cb := rx(b)
	used := usedSize(b)
	size := dataSize(used)
	cb.charge, cb.real, cb.room, cb.folded = uint32(skBuffSize+size), uint32(b.Truesize()), 0, false
	if used <= 4096 {
		cb.room = uint16(size - used)
	}
	s.rmem += int(cb.charge)
	s.tcp.memory.ForceCharge(int64(cb.real))
}

// unchargeRx gives it back.
func (s *Sock) unchargeRx(b *skb.Buff) {
	cb := rx(b)
	if !cb.folded {
		s.rmem -= int(cb.charge)
	}
	s.tcp.memFree(int64(cb.real))
	cb.charge, cb.real = 0, 0
}

// prune makes room in the receive buffer for a segment (Linux: tcp_prune_queue).
// False when it could not: the segment is to be dropped, and the peer sends it
// again.
func (s *Sock) prune(seq uint32) bool {
	if s.rmem == 0 {
		return false // it is others who use the memory
	}
	s.tcp.inc(mib.PruneCalled)
	if !s.canIngest() {
		s.clampWindow()
	} else if s.underPressure() {
		s.rcvSSThr = min(s.rcvSSThr, uint32(4*s.advMSS))
	}
	if s.canIngest() {
		return true
	}
	s.collapseOfo()
	s.collapseRcv()
	if s.canIngest() {
		return true
	}
	s.pruneOfo(seq)
	if s.canIngest() {
		return true
	}
	s.tcp.inc(mib.RcvPruned)
	s.pred = predict{}
	return false
}

// pruneOfo throws away what came out of order, the last first, since it is needed
// last; nothing of what stands before seq (Linux: tcp_prune_ofo_queue). An eighth
// of the buffer goes at a time, so that it is not called for each segment. It
// reports whether anything went.
func (s *Sock) pruneOfo(seq uint32) bool {
	pruned := false
	goal := s.ReceiveBuffer() >> 3
	for i := len(s.ofo.q) - 1; i >= 0; i-- {
		b := s.ofo.q[i]
		if after(seq, rx(b).seq) {
			break
		}
		pruned = true
		goal -= int(rx(b).charge)
		s.ofo.remove(i)
		s.unchargeRx(b)
		b.Free(skb.TCPOFODrop)
		if i == 0 || goal <= 0 {
			if s.canIngest() && !s.underPressure() {
				break
			}
			goal = s.ReceiveBuffer() >> 3
		}
	}
	if pruned {
		s.tcp.inc(mib.OfoPruned)
		// What was SACKed is gone: the peer will notice (RFC 2018 section 8).
		s.numSacks, s.hasDup = 0, false
	}
	return pruned
}

// clampWindow is tcp_clamp_window.
func (s *Sock) clampWindow() {
	s.ack.quick = 0
	most := int(s.tcp.conf.rmem[2].Load())
	if s.ReceiveBuffer() < most && !s.Flag(sock.FlagRcvBufLock) && !s.underPressure() && s.tcp.memBelowLow() {
		s.StoreRcvBuf(min(s.rmem, most))
	}
	if s.rmem > s.ReceiveBuffer() {
		s.rcvSSThr = min(s.winClamp, uint32(2*s.advMSS))
	}
}

// collapseRcv packs the receive queue from what was not read yet on.
func (s *Sock) collapseRcv() {
	if s.rq.Len() == 0 {
		return
	}
	l := make([]*skb.Buff, 0, s.rq.Len())
	for b := s.rq.PopFront(); b != nil; b = s.rq.PopFront() {
		l = append(l, b)
	}
	c := collapser{s: s, emit: s.rq.PushBack}
	c.run(l, s.copied, s.rcvNxt)
}

// collapseOfo packs each run of segments out of order that has no gap (Linux:
// tcp_collapse_ofo_queue). Small ones that stand alone are left, and when there
// are many of them, the rest too: there is nothing to gain.
func (s *Sock) collapseOfo() {
	old := s.ofo.q
	if len(old) == 0 {
		return
	}
	next := make([]*skb.Buff, 0, len(old))
	c := collapser{s: s, emit: func(b *skb.Buff) { next = append(next, b) }}
	tiny := 0
	for i := 0; i < len(old); {
		first := rx(old[i])
		start, end, charge := first.seq, first.end, int(first.charge)
		j := i + 1
		for ; j < len(old) && !after(rx(old[j]).seq, end); j++ {
			charge += int(rx(old[j]).charge)
			if after(rx(old[j]).end, end) {
				end = rx(old[j]).end
			}
		}
		if j > i+1 || end-start >= collapseMost {
			c.run(old[i:j], start, end)
		} else {
			next = append(next, old[i])
			if tiny += charge; tiny > s.ReceiveBuffer()>>3 {
				next = append(next, old[j:]...)
				break
			}
		}
		i = j
	}
	clear(old)
	s.ofo.q = next
}

// collapser packs segments (Linux: tcp_collapse).
type collapser struct {
	s    *Sock
	emit func(b *skb.Buff) // gets what stays, in order
}

// run packs the bytes from start to end of segments that follow each other or
// overlap. What wastes no memory stays as it is; so do SYN and FIN.
func (c *collapser) run(l []*skb.Buff, start, end uint32) {
	s := c.s
	const whole = header.TCPSyn | header.TCPFin
	i := 0
	for ; i < len(l); i++ {
		cb := rx(l[i])
		if !before(start, cb.end) {
			c.spent(l[i]) // nothing new in it
			continue
		}
		if cb.flags&whole == 0 && (s.winFromSpace(int(cb.charge)) > l[i].Len() || before(cb.seq, start)) ||
			i+1 < len(l) && rx(l[i+1]).seq != cb.end {
			break
		}
		start = cb.end
		c.emit(l[i])
	}
	for i < len(l) && before(start, end) && rx(l[i]).flags&whole == 0 {
		n, rest := c.pack(l[i:], start, end)
		if n == nil {
			break // no memory: as it was
		}
		start = rx(n).end
		i = len(l) - rest
		c.emit(n)
	}
	for _, b := range l[i:] {
		c.emit(b)
	}
}

// pack makes one packet of what fits, beginning at start, and returns how many
// segments are left.
func (c *collapser) pack(l []*skb.Buff, start, end uint32) (n *skb.Buff, rest int) {
	s := c.s
	room := int(min(end-start, collapseMost))
	if n = s.tcp.cache.Alloc(room); n == nil {
		return nil, len(l)
	}
	room = min(room, n.Tailroom())
	n.CopyMeta(l[0])
	nb := rx(n)
	*nb = *rx(l[0])
	nb.seq, nb.end = start, start
	size := dataSize(room + shinfoSize)
	nb.charge, nb.real, nb.room, nb.folded = uint32(skBuffSize+size), uint32(n.Truesize()), uint16(size-room-shinfoSize), false
	s.rmem += int(nb.charge)
	s.tcp.memory.ForceCharge(int64(nb.real))
	for i := 0; ; {
		b := l[i]
		cb := rx(b)
		if k := min(room, int(int32(cb.end-start))); k > 0 {
			b.CopyBits(int(start-cb.seq), n.Put(k))
			nb.end += uint32(k)
			start += uint32(k)
			room -= k
		}
		if !before(start, cb.end) {
			c.spent(b)
			if i++; i == len(l) || rx(l[i]).flags&(header.TCPSyn|header.TCPFin) != 0 {
				return n, len(l) - i
			}
		}
		if room == 0 {
			return n, len(l) - i
		}
	}
}

// spent ends a segment whose bytes are elsewhere (Linux: tcp_collapse_one).
func (c *collapser) spent(b *skb.Buff) {
	c.s.unchargeRx(b)
	c.s.tcp.inc(mib.TCPRcvCollapsed)
	b.Consume()
}
