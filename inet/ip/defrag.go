package ip

import (
	"sync"
	"time"

	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// Bounds of reassembly, with Linux's defaults.
const (
	// DefaultFragMemory bounds the memory all waiting fragments cost, in bytes
	// of truesize (net.ipv4.ipfrag_high_thresh). Beyond it no fragment is
	// accepted, of an old datagram or a new one; what waits leaves by
	// completion or by time, as in Linux since 4.17.
	DefaultFragMemory = 4 << 20
	// fragTime is how long a datagram may take to arrive
	// (net.ipv4.ipfrag_time).
	fragTime = 30 * time.Second
	// fragQueueCost is what a datagram under reassembly costs besides its
	// fragments, so that queues without content are bounded too.
	fragQueueCost = 256
)

// fragKey names a datagram (RFC 791 section 3.2): the same on two links are
// two.
type fragKey struct {
	src, dst header.Addr
	id       uint16
	proto    uint8
	iif      int32
}

// fragQueue is a datagram in the course of reassembly (Linux: struct ipq).
type fragQueue struct {
	key   fragKey
	timer napi.Timer
	frags skb.List // by offset; see fragPos
	len   int      // end of the datagram as far as known
	meat  int      // bytes received
	cost  int
	max   int    // largest fragment, header included
	maxDF int    // largest of those with DF
	rid   uint32 // the sender's count of fragments at the last one
	first bool   // the fragment with offset 0 is here
	last  bool   // the fragment without MF is here
	ecn   uint8
	done  bool
	next  *fragQueue // while it is free
}

// maxSpare is how many queues are kept for the next datagrams.
const maxSpare = 256

// fragTable holds the datagrams in the course of reassembly. A Go map hashes
// with a random key of its own.
type fragTable struct {
	n    *Net
	mu   sync.Mutex
	q    map[fragKey]*fragQueue
	cost int

	free  *fragQueue // of which spare are kept
	spare int
}

func (t *fragTable) init(n *Net) {
	t.n = n
	t.q = make(map[fragKey]*fragQueue)
}

// A fragment's place in its datagram is in the control buffer.
func setFragPos(b *skb.Buff, off, end int) { b.CB[0], b.CB[1] = uint64(off), uint64(end) }
func fragPos(b *skb.Buff) (off, end int)   { return int(b.CB[0]), int(b.CB[1]) }

// defrag adds a fragment to its datagram (Linux: ip_defrag). It returns the
// whole datagram when this was the last piece, else nil. Consumes b.
func (n *Net) defrag(b *skb.Buff) *skb.Buff {
	m := &n.MIB.IP
	m.ReasmReqds.Add(1)
	h := header.IPv4(b.NetworkHeader())
	key := fragKey{src: h.Src(), dst: h.Dst(), id: h.ID(), proto: h.Protocol(), iif: b.DevIndex()}
	t := &n.frags
	t.mu.Lock()
	q := t.q[key]
	if t.q == nil || int64(t.cost) > n.Conf.FragHighThresh.Load() {
		t.mu.Unlock()
		m.ReasmFails.Add(1)
		n.drop(b, skb.FragReasmLimit)
		return nil
	}
	if q == nil {
		q = t.begin(key)
	}
	var stale skb.List
	if n.tooFar(q, key) {
		t.restart(q, &stale)
	}
	whole, verdict := t.queue(q, b, h)
	if verdict == fragKeep {
		t.mu.Unlock()
		stale.Purge(skb.FragTooFar)
		if whole != nil {
			whole.CPU = b.CPU // the first may have come by another processor
		}
		return whole
	}
	var dead skb.List
	if verdict == fragKill {
		t.remove(q, &dead)
	}
	t.mu.Unlock()
	stale.Purge(skb.FragTooFar)
	switch verdict {
	case fragDup:
		n.drop(b, skb.DupFrag)
		return nil
	case fragKill:
		m.ReasmFails.Add(1)
		dead.Purge(skb.DupFrag)
	}
	n.drop(b, skb.IPInHdr)
	return nil
}

// begin makes the queue of a new datagram; the caller holds mu.
func (t *fragTable) begin(key fragKey) *fragQueue {
	q := t.free
	if q != nil {
		t.free = q.next
		t.spare--
	} else {
		q = &fragQueue{}
		q.timer.Init(t.n.Dev.Timers(), func(*napi.Timer) { t.expire(q) })
	}
	q.key, q.cost = key, fragQueueCost
	q.next, q.done = nil, false
	q.len, q.meat, q.max, q.maxDF, q.ecn = 0, 0, 0, 0, 0
	q.first, q.last = false, false
	q.timer.Mod(t.n.Dev.Clock().Now() + t.n.Conf.FragTime.Load())
	t.cost += q.cost
	t.q[key] = q
	return q
}

// tooFar reports whether so many fragments of the sender came between this one
// and the last of its datagram that they can hardly be of the same: the
// identification has gone round (Linux: ip_frag_too_far;
// net.ipv4.ipfrag_max_dist). The caller holds the table's lock.
func (n *Net) tooFar(q *fragQueue, key fragKey) bool {
	most := n.Conf.FragMaxDist.Load()
	if most == 0 {
		return false
	}
	start := q.rid
	q.rid = n.peers.fragment(key.src, 0)
	if q.frags.Len() == 0 || int32(q.rid-start) <= most {
		return false
	}
	n.MIB.IP.ReasmFails.Add(1)
	return true
}

// restart begins the datagram anew (Linux: ip_frag_reinit); the caller holds
// mu.
func (t *fragTable) restart(q *fragQueue, l *skb.List) {
	l.Splice(&q.frags)
	t.cost -= q.cost - fragQueueCost
	q.cost = fragQueueCost
	q.len, q.meat, q.max, q.maxDF, q.ecn = 0, 0, 0, 0, 0
	q.first, q.last = false, false
	q.timer.Mod(t.n.Dev.Clock().Now() + t.n.Conf.FragTime.Load())
}

// What becomes of a fragment.
type fragVerdict uint8

const (
	fragKeep fragVerdict = iota // taken
	fragDup                     // we have it; drop it and go on
	fragKill                    // drop it and the datagram
)

// queue is ip_frag_queue. It takes b over only with fragKeep; the caller holds
// mu.
func (t *fragTable) queue(q *fragQueue, b *skb.Buff, h header.IPv4) (*skb.Buff, fragVerdict) {
	hlen := h.HeaderLen()
	off := h.FragOffset()
	end := off + h.TotalLen() - hlen
	if h.FragField()&header.IPMF == 0 {
		// The last fragment says where the datagram ends. One that
		// contradicts what is known is a forgery.
		if end < q.len || q.last && end != q.len {
			return nil, fragKill
		}
		q.last = true
		q.len = end
	} else {
		end &^= 7 // all but the last are multiples of eight
		if end > q.len {
			if q.last {
				return nil, fragKill
			}
			q.len = end
		}
	}
	if end <= off {
		return nil, fragKill
	}
	after, v := q.place(off, end)
	if v != fragKeep {
		if v == fragKill {
			t.n.MIB.IP.ReasmOverlaps.Add(1)
		}
		return nil, v
	}
	ecn := h.TOS() & 3
	if off > 0 {
		b.Pull(hlen)
		if !b.Trim(end - off) {
			return nil, fragKill
		}
	} else if !b.Trim(hlen + end) {
		return nil, fragKill
	}
	b.IPSummed = skb.ChecksumNone // the sum of a piece says nothing of the whole
	setFragPos(b, off, end)
	q.insert(b, after)
	q.cost += b.Truesize()
	t.cost += b.Truesize()
	q.meat += end - off
	q.ecn |= 1 << ecn
	size := hlen + end - off
	q.max = max(q.max, size)
	if h.DF() {
		q.maxDF = max(q.maxDF, size)
	}
	if off == 0 {
		q.first = true
	}
	if !q.first || !q.last || q.meat != q.len {
		return nil, fragKeep
	}
	return t.reassemble(q), fragKeep
}

// place finds where a fragment goes: after the returned one, first if nil. A
// fragment that repeats what we have is a duplicate; one that overlaps it is an
// attack (RFC 5722, which Linux follows for IPv4 too).
func (q *fragQueue) place(off, end int) (after *skb.Buff, v fragVerdict) {
	tail := q.frags.Tail()
	if tail == nil {
		return nil, fragKeep
	}
	if _, e := fragPos(tail); off >= e {
		return tail, fragKeep // nearly always they come in order
	}
	for p := q.frags.Head(); p != nil; p = p.Next() {
		o, e := fragPos(p)
		if off >= e {
			after = p
			continue
		}
		switch {
		case end <= o:
			return after, fragKeep
		case off >= o && end <= e:
			return nil, fragDup
		}
		return nil, fragKill
	}
	return after, fragKeep
}

func (q *fragQueue) insert(b, after *skb.Buff) {
	switch {
	case after == nil:
		q.frags.PushFront(b)
	case after == q.frags.Tail():
		q.frags.PushBack(b)
	default:
		// Take those behind off, append, put them back.
		var behind skb.List
		for q.frags.Tail() != after {
			l := q.frags.Tail()
			q.frags.Remove(l)
			behind.PushFront(l)
		}
		q.frags.PushBack(b)
		q.frags.Splice(&behind)
	}
}

// reassemble joins the fragments (Linux: ip_frag_reasm): the first one keeps
// its header, the others hang behind it. The caller holds mu.
func (t *fragTable) reassemble(q *fragQueue) *skb.Buff {
	m := &t.n.MIB.IP
	var all skb.List
	t.remove(q, &all)
	head := all.PopFront()
	h := header.IPv4(head.NetworkHeader())
	hlen := h.HeaderLen()
	ecn, ok := reasmECN(q.ecn)
	fail := func() *skb.Buff {
		m.ReasmFails.Add(1)
		head.Free(skb.FragReasmLimit)
		all.Purge(skb.FragReasmLimit)
		return nil
	}
	// The header is written below: a tap may hold a clone of it.
	if hlen+q.len > header.IPv4MaxPacket || !ok || !head.Cow(head.Headroom()) {
		return fail()
	}
	for f := all.PopFront(); f != nil; f = all.PopFront() {
		if !head.AddFragList(f) {
			f.Free(skb.NoMem)
			return fail()
		}
	}
	h = header.IPv4(head.NetworkHeader())
	h.SetTotalLen(hlen + q.len)
	// If the largest piece was not to be cut, neither is the whole beyond that
	// size when it goes on from here.
	setFragMax(head, max(q.max, q.maxDF))
	if q.maxDF == q.max {
		head.CB[2] |= cbFragPMTU
		h.SetFragField(header.IPDF)
	} else {
		h.SetFragField(0)
	}
	h[1] |= ecn
	h.UpdateChecksum()
	m.ReasmOKs.Add(1)
	return head
}

// reasmECN is what is added to the ECN field of the first fragment, when the
// fragments had the codepoints in the set seen, a bit per codepoint (RFC 3168
// section 5.3; Linux: ip_frag_ecn_table): a mark on one is a mark on all. ok is
// false for not-ECT beside anything else, which no honest path makes.
func reasmECN(seen uint8) (ecn uint8, ok bool) {
	const notECT, ce = 1, 8
	switch {
	case seen&notECT != 0:
		return 0, seen == notECT
	case seen&ce != 0:
		return 3, true
	}
	return 0, true
}

// remove takes a datagram out of the table and its fragments into l; the caller
// holds mu.
func (t *fragTable) remove(q *fragQueue, l *skb.List) {
	if q.done {
		return
	}
	q.done = true
	idle := q.timer.Del()
	delete(t.q, q.key)
	t.cost -= q.cost
	l.Splice(&q.frags)
	// A timer that could not be stopped may still look at the queue.
	if idle && t.spare < maxSpare {
		q.next, t.free = t.free, q
		t.spare++
	}
}

// expire gives a datagram up (Linux: ip_expire). The sender is told if it was
// for this host and the first fragment, which has the ports, is here (RFC 1122
// section 3.3.2). Softirq context.
func (t *fragTable) expire(q *fragQueue) {
	var dead skb.List
	t.mu.Lock()
	// A timer that is set again while it goes off means the next datagram.
	if q.done || q.timer.Pending() {
		t.mu.Unlock()
		return
	}
	t.remove(q, &dead)
	t.mu.Unlock()
	m := &t.n.MIB.IP
	m.ReasmFails.Add(1)
	m.ReasmTimeout.Add(1)
	if head := dead.Head(); head != nil && q.first && header.IPv4(head.NetworkHeader()).FragOffset() == 0 {
		t.n.sendError(head, header.ICMPTimeExceeded, header.ICMPExcFragTime, 0)
	}
	dead.Purge(skb.FragReasmTimeout)
}

// close empties the table for good.
func (t *fragTable) close() {
	var dead skb.List
	t.mu.Lock()
	for _, q := range t.q {
		t.remove(q, &dead)
	}
	t.q = nil
	t.mu.Unlock()
	dead.Purge(skb.QueuePurge)
}
