package tcp

import (
	"encoding/binary"

	"barewire/inet/mib"
	"barewire/skb"
	"barewire/skb/header"
)

// Segments for a sock that a call owns wait for it to be done. Linux once had a
// second queue beside this one, the prequeue, whose segments a waiting reader
// worked off itself and copied straight into its buffer; it is gone since 4.15. A
// reader that waits here owns nothing: its segments go through the receive queue
// in softirq context, and it copies them once when it wakes.

// addBacklog leaves a segment to the owner of the sock, as part of the last if it
// is the next in order, so that a slow owner has little to work off (Linux:
// tcp_add_backlog). It consumes b. BHLock is held and the sock is owned.
func (s *Sock) addBacklog(b *skb.Buff) {
	if tail := s.BacklogTail(); tail != nil && s.joinBacklog(tail, b) {
		s.tcp.inc(mib.TCPBacklogCoalesce)
		return
	}
	// Some room more than the buffers have: only the owner can make more.
	if !s.AddBacklogLimit(b, s.ReceiveBuffer()*2+s.SendBuffer()/2+64<<10-int(s.pub.rmem.Load())) {
		s.tcp.inc(mib.TCPBacklogDrop)
		discard(b, skb.SocketBacklog)
	}
}

// deferAck puts an ACK off that is due while a call works off the backlog: one for
// all of it will do (tcp_backlog_ack_defer). False when there is no such call.
func (s *Sock) deferAck() bool {
	if !s.OwnedByUser() || s.tcp.conf.backlogAck.Load() == 0 {
		return false
	}
	if s.ack.pending&ackDeferred == 0 {
		s.ack.pending |= ackDeferred
		s.BHLock()
		s.Defer(deferAck)
		s.BHUnlock()
	}
	return true
}

// deferredAck sends it, if it is still due.
func (s *Sock) deferredAck() {
	s.ack.pending &^= ackDeferred
	if s.ackScheduled() {
		s.sendAck()
	}
}

// joinBacklog makes b part of tail. True, and b is gone, when it has data that
// follows and what else it says is the same, or more of it.
func (s *Sock) joinBacklog(tail, b *skb.Buff) bool {
	cb, tc := rx(b), rx(tail)
	h, th := header.TCP(b.Data()), header.TCP(tail.Data())
	const never, same = header.TCPSyn | header.TCPRst | header.TCPUrg | header.TCPFin, header.TCPEce | header.TCPCwr
	n, hl := b.Len(), h.HeaderLen()
	if n == hl || tail.Cloned() || tc.end != cb.seq || cb.ds != tc.ds || (tc.flags|cb.flags)&never != 0 || tc.flags&cb.flags&header.TCPAck == 0 ||
		(tc.flags^cb.flags)&same != 0 || b.Tstamp != 0 || th[12] != h[12] || string(th[header.TCPMinLen:hl]) != string(h[header.TCPMinLen:hl]) ||
		before(cb.ack, tc.ack) {
		return false
	}
	end, ack, flags, segs, window, cost := cb.end, cb.ack, cb.flags, cb.gsoSegs, h.Window(), b.Truesize()
	mss := max(int(b.Shinfo().GSOSize), int(tail.Shinfo().GSOSize))
	if mss == 0 {
		mss = max(n, tail.Len()) - hl
	}
	was := tail.Truesize()
	var m skb.Merger
	if n-hl <= tail.Tailroom() && n-hl <= coalesceMost {
		b.CopyBits(hl, tail.Put(n-hl))
		b.Consume()
	} else if !m.Merge(tail, b, hl) {
		return false
	}
	m.Flush()
	tc.end, tc.ack = end, ack
	tc.flags |= flags
	tc.gsoSegs = uint16(min(int(tc.gsoSegs)+int(segs), 0xffff))
	binary.BigEndian.PutUint16(th[14:], window)
	th[13] |= flags & header.TCPPsh
	si := tail.Shinfo()
	si.GSOSize, si.GSOSegs = uint16(mss), tc.gsoSegs
	s.BacklogGrew(min(tail.Truesize()-was, cost))
	return true
}
