package tcp

import (
	"sync"

	"barewire/inet/sock"
	"barewire/skb"
)

// MSG_ZEROCOPY: the program learns on the error queue when it may use its memory
// again (Linux: Documentation/networking/msg_zerocopy.rst). Data is copied all
// the same, as Linux does when a receiver on this host or a tunnel wants it, and
// the notice says so; but it comes when the peer has acknowledged the bytes, and
// segments are cut as if each piece of memory took one of their slots, so that a
// program sees what it would see on Linux.

const (
	zcSlots = 17        // MAX_SKB_FRAGS
	zcPage  = 4096      // what one slot takes
	zcCalls = 1<<16 - 2 // sends that one notice can tell of (msg_zerocopy_realloc)
)

// zcSend is one send, or several in one segment.
type zcSend struct {
	id, n uint32
	end   uint32 // done when this is acknowledged
}

// zerocopy is what a sock that sends so keeps.
type zerocopy struct {
	pending []zcSend // one per segment at most, in order
	seg     uint32   // start of the segment that is filled
	slots   int      // and the pieces in it

	mu     sync.Mutex // guards the rest
	lo, hi uint32     // sends that are done and not told of
	told   bool       // nothing to tell
}

// zcBegin begins a send (Linux: msg_zerocopy_realloc). Nil means that it is an
// ordinary one.
func (s *Sock) zcBegin(flags, n int) *zerocopy {
	if flags&sock.MSG_ZEROCOPY == 0 || n == 0 || !s.Flag(sock.FlagZerocopy) {
		return nil
	}
	if s.zc == nil {
		s.zc = &zerocopy{told: true}
	}
	return s.zc
}

// limit returns how many bytes of b the next slot takes, 0 if all are taken.
func (z *zerocopy) limit(b *skb.Buff, it *sock.Iter, n int) int {
	if seq := tx(b).seq; b.Len() == 0 || z.seg != seq {
		z.seg, z.slots = seq, 0
	}
	if z.slots == zcSlots {
		return 0
	}
	z.slots++
	return min(n, zcPage, it.Next())
}

// zcEnd ends a send of which done bytes were taken.
func (s *Sock) zcEnd(z *zerocopy, done int, tail *skb.Buff) {
	if z == nil || done == 0 {
		return // an aborted send has no number
	}
	id := s.NextZerocopy()
	if k := len(z.pending); k > 0 && tail != nil {
		// More of the segment that the last one is in.
		if l := &z.pending[k-1]; after(l.end, tx(tail).seq) && l.n < zcCalls {
			l.n++
			l.end = s.writeSeq
			return
		}
	}
	z.pending = append(z.pending, zcSend{id, 1, s.writeSeq})
	s.zcAcked() // it may all be acknowledged already
}

// zcAcked notes which sends are done.
func (s *Sock) zcAcked() {
	z := s.zc
	k := 0
	for k < len(z.pending) && (!after(z.pending[k].end, s.sndUna) || s.wq.empty()) {
		k++
	}
	if k == 0 {
		return
	}
	lo, last := z.pending[0].id, z.pending[k-1]
	z.pending = z.pending[:copy(z.pending, z.pending[k:])]
	if s.Flag(sock.FlagDead) {
		return
	}
	z.mu.Lock()
	if z.told {
		z.lo, z.told = lo, false
	}
	z.hi = last.id + last.n - 1
	z.mu.Unlock()
	s.wake(wakeZerocopy)
}

// zcTell tells the program. No lock may be held.
func (s *Sock) zcTell() {
	z := s.zc
	z.mu.Lock()
	lo, hi, told := z.lo, z.hi, z.told
	z.told = true
	z.mu.Unlock()
	if !told {
		s.ZerocopyRange(s.tcp.cache, lo, hi)
	}
}

// zcFull pushes a segment whose slots are all taken.
func (s *Sock) zcFull(b *skb.Buff) {
	tx(b).eor = true
	s.markPush(b)
}
