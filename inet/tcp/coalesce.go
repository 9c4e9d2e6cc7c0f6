package tcp

import (
	"barewire/inet/mib"
	"barewire/skb"
	"barewire/skb/header"
)

// coalesceMost is the largest segment that is copied behind another. Larger ones
// fill a page well enough by themselves; what GRO can do for them it has done.
const coalesceMost = 512

// tryCoalesce copies a small segment behind the one it follows, where its page has
// room, so that a peer who sends little at a time does not hold a page for each
// (Linux: tcp_try_coalesce). What they count against the receive buffer stays;
// foldCharge said what that is. On true b is spent: the caller ends it with coalesced, when
// nobody looks at it any more.
func (s *Sock) tryCoalesce(to, b *skb.Buff) bool {
	cb, tc := rx(b), rx(to)
	if b.Len() > coalesceMost || b.Tstamp != 0 || b.Len() > to.Tailroom() || tc.end != cb.seq ||
		(tc.flags|cb.flags)&(header.TCPFin|header.TCPSyn) != 0 || !to.Coalesce(b) {
		return false
	}
	s.tcp.inc(mib.TCPRcvCoalesce)
	tc.end = cb.end
	tc.flags |= cb.flags
	if !cb.folded {
		if tc.folded {
			tc.charge, tc.folded = 0, false
		}
		tc.charge += cb.charge
	}
	return true
}

// foldCharge frees a segment of its charge if it fits behind to, the one before it:
// what it is copied into is paid for (Linux: skb_try_coalesce, with a difference
// of truesize that is nothing).
func (s *Sock) foldCharge(to, b *skb.Buff) {
	cb, tc := rx(b), rx(to)
	if n := b.Len(); n <= int(tc.room) && tc.end == cb.seq && (tc.flags|cb.flags)&(header.TCPFin|header.TCPSyn) == 0 {
		tc.room -= uint16(n)
		cb.room = tc.room
		cb.folded = true
		s.rmem -= int(cb.charge)
	}
}

// coalesced ends a segment that is part of another.
func (s *Sock) coalesced(b *skb.Buff) {
	s.tcp.memFree(int64(rx(b).real))
	b.Consume()
}

// mergeTail coalesces the segment at the end of the receive queue. It may be gone
// afterwards: nobody may still look at it.
func (s *Sock) mergeTail() {
	b := s.rq.Tail()
	if b == nil || b.Len() > coalesceMost {
		return
	}
	if t := b.Prev(); t != nil && s.tryCoalesce(t, b) {
		s.rq.Remove(b)
		s.coalesced(b)
	}
}
