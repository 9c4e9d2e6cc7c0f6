package tcp

import (
	"barewire/inet/mib"
	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// ofoQueue keeps a segment that came before its time (Linux:
// tcp_data_queue_ofo; RFC 2018). Consumes b.
func (s *Sock) ofoQueue(b *skb.Buff) {
	t := s.tcp
	cb := rx(b)
	s.ecnDataRecv(b)
	if !s.chargeRx(b) {
		t.inc(mib.TCPOFODrop)
		discard(b, skb.ProtoMem)
		return
	}
	s.measureRcvMSS(b)
	s.pred = predict{}
	s.scheduleAck()
	s.rcvOOO += max(1, uint32(cb.gsoSegs))
	t.inc(mib.TCPOFOQueue)
	seq, end := cb.seq, cb.end
	i := s.ofo.find(seq)
	// What the one before it has need not be kept twice.
	if i > 0 {
		p := s.ofo.q[i-1]
		pc := rx(p)
		if before(seq, pc.end) {
			if !after(end, pc.end) {
				t.inc(mib.TCPOFOMerge)
				s.unchargeRx(b)
				s.dsackSet(seq, end)
				discard(b, skb.TCPOFOMerge)
				if s.isSack() {
					s.sackNew(seq, end)
				}
				return
			}
			if after(seq, pc.seq) {
				s.dsackSet(seq, pc.end)
			} else {
				// The new one has all of the old one.
				s.dsackExtend(pc.seq, pc.end)
				t.inc(mib.TCPOFOMerge)
				s.unchargeRx(p)
				p.Free(skb.TCPOFOMerge)
				i--
				s.ofo.remove(i)
			}
		}
	}
	if i > 0 {
		s.foldCharge(s.ofo.q[i-1], b)
	}
	if i > 0 && s.tryCoalesce(s.ofo.q[i-1], b) {
		i--
		s.ofoGrow(b)
		s.coalesced(b)
		b = nil
	} else {
		s.ofo.insert(i, b)
	}
	for i+1 < len(s.ofo.q) {
		n := s.ofo.q[i+1]
		nc := rx(n)
		if !after(end, nc.seq) {
			break
		}
		if before(end, nc.end) {
			s.dsackExtend(nc.seq, end)
			break
		}
		s.dsackExtend(nc.seq, nc.end)
		t.inc(mib.TCPOFOMerge)
		s.ofo.remove(i + 1)
		s.unchargeRx(n)
		n.Free(skb.TCPOFOMerge)
	}
	if s.isSack() {
		s.sackNew(seq, end)
	}
	if b != nil {
		s.ofoGrow(b)
	}
	// A connection that nobody has accepted, or that nobody has any more, need
	// not grow.
	if s.parent == nil && !s.Flag(sock.FlagDead) {
		s.rcvbufGrow(s.rcvSpace.space)
	}
}

// ofoGrow opens the window for a segment that does not count yet. Without SACK it
// stays, so that the ACKs are duplicates.
func (s *Sock) ofoGrow(b *skb.Buff) {
	if !s.isSack() {
		return
	}
	c := 0
	if cb := rx(b); !cb.folded {
		c = int(cb.charge)
	}
	s.rmem -= c
	s.growWindow(b)
	s.rmem += c
}

// ofoDrain moves what is in order now to the receive queue (Linux:
// tcp_ofo_queue).
func (s *Sock) ofoDrain() {
	dsackHigh := s.rcvNxt
	for len(s.ofo.q) > 0 {
		b := s.ofo.q[0]
		cb := rx(b)
		if after(cb.seq, s.rcvNxt) {
			break
		}
		if before(cb.seq, dsackHigh) {
			end := cb.end
			if after(end, dsackHigh) {
				end = dsackHigh
			}
			s.dsackExtend(cb.seq, end)
		}
		s.ofo.remove(0)
		if !after(cb.end, s.rcvNxt) {
			s.unchargeRx(b)
			b.Free(skb.TCPOFODrop)
			continue
		}
		if off := int(s.rcvNxt - cb.seq); off > 0 {
			if b.Len() < off || !b.PullAny(off) {
				s.unchargeRx(b)
				b.Free(skb.NoMem)
				continue
			}
			cb.seq = s.rcvNxt
		}
		fin := cb.flags&header.TCPFin != 0
		s.queueRcv(b)
		if fin {
			s.fin()
			return
		}
	}
}

func (s *Sock) ofoPurge() {
	for i, b := range s.ofo.q {
		s.unchargeRx(b)
		b.Free(skb.QueuePurge)
		s.ofo.q[i] = nil
	}
	s.ofo.q = s.ofo.q[:0]
}

// sackNew puts what just came first in the blocks to send (Linux:
// tcp_sack_new_ofo_skb; RFC 2018 section 4).
func (s *Sock) sackNew(seq, end uint32) {
	s.needSackLists()
	n := int(s.numSacks)
	for i := range n {
		x := &s.sacks[i]
		if !after(seq, x.end) && !before(end, x.start) {
			if i >= sacksExpected {
				s.compSend()
			}
			if before(seq, x.start) {
				x.start = seq
			}
			if after(end, x.end) {
				x.end = end
			}
			// It moves to the front; what it touches now is one with it.
			y := *x
			copy(s.sacks[1:i+1], s.sacks[:i])
			s.sacks[0] = y
			s.sackMerge()
			return
		}
	}
	if n >= sacksExpected {
		s.compSend()
	}
	if n == sackBlocks {
		n--
	}
	copy(s.sacks[1:], s.sacks[:n])
	s.sacks[0] = sackBlock{seq, end}
	s.numSacks = uint8(n + 1)
}

// sackMerge joins blocks the first one has grown into (Linux:
// tcp_sack_maybe_coalesce).
func (s *Sock) sackMerge() {
	first := &s.sacks[0]
	for i := 1; i < int(s.numSacks); {
		x := s.sacks[i]
		if !after(x.start, first.end) && !before(x.end, first.start) {
			if before(x.start, first.start) {
				first.start = x.start
			}
			if after(x.end, first.end) {
				first.end = x.end
			}
			copy(s.sacks[i:], s.sacks[i+1:s.numSacks])
			s.numSacks--
			i = 1
			continue
		}
		i++
	}
}

// sackRemove drops blocks that were reached (Linux: tcp_sack_remove).
func (s *Sock) sackRemove() {
	if len(s.ofo.q) == 0 {
		s.numSacks = 0
		return
	}
	k := 0
	for _, x := range s.sacks[:s.numSacks] {
		if before(s.rcvNxt, x.start) {
			s.sacks[k] = x
			k++
		}
	}
	s.numSacks = uint8(k)
}
