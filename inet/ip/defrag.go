package ip

import (
	"sync"
	"time"

	"barewire/inet/header"
	"barewire/napi"
	"barewire/skb"
)

// Bounds of reassembly, with Linux's defaults.
const (
	// DefaultFragMemory bounds the memory all waiting fragments cost, in bytes
	// of truesize (net.ipv4.ipfrag_high_thresh). Beyond it no new datagram is
	// begun and no fragment accepted; what waits leaves by completion or time.
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
	first bool // the fragment with offset 0 is here
	last  bool // the fragment without MF is here
	ecn   uint8
	done  bool
}

// fragTable holds the datagrams in the course of reassembly. A Go map hashes
// with a random key of its own.
type fragTable struct {
	n    *Net
	mu   sync.Mutex
	q    map[fragKey]*fragQueue
	cost int
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
	key := fragKey{src: h.Src(), dst: h.Dst(), id: h.ID(), proto: h.Protocol()}
	if b.Dev != nil {
		key.iif = b.Dev.Ifindex()
	}
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
		q = &fragQueue{key: key}
		q.timer.Init(n.Dev.Timers(), func(*napi.Timer) { t.expire(q) })
		q.timer.Mod(n.Dev.Clock().Now() + n.Conf.FragTime.Load())
		q.cost = fragQueueCost
		t.cost += q.cost
		t.q[key] = q
	}
	whole, verdict := t.queue(q, b, h)
	if verdict == fragKeep {
		t.mu.Unlock()
		return whole
	}
	var dead skb.List
	if verdict == fragKill {
		t.remove(q, &dead)
	}
	t.mu.Unlock()
	switch verdict {
	case fragDup:
		n.drop(b, skb.DupFrag)
		return nil
	case fragKill:
		m.ReasmFails.Add(1 + uint64(dead.Len()))
		dead.Purge(skb.DupFrag)
	default:
		m.ReasmFails.Add(1)
	}
	n.drop(b, skb.IPInHdr)
	return nil
}

// What becomes of a fragment.
type fragVerdict uint8

const (
	fragKeep fragVerdict = iota // taken
	fragDup                     // we have it; drop it and go on
	fragBad                     // drop it
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
	if end <= off || end > header.IPv4MaxPacket {
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
			return nil, fragBad
		}
	} else if !b.Trim(hlen + end) {
		return nil, fragBad
	}
	b.IPSummed = skb.ChecksumNone // the sum of a piece says nothing of the whole
	setFragPos(b, off, end)
	q.insert(b, after)
	q.cost += b.Truesize()
	t.cost += b.Truesize()
	q.meat += end - off
	q.ecn |= 1 << ecn
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
	h.SetFragField(0)
	h[1] = h[1]&^3 | ecn
	h.UpdateChecksum()
	m.ReasmOKs.Add(1)
	return head
}

// reasmECN is the ECN field of a datagram whose fragments had the codepoints in
// the set seen, a bit per codepoint (RFC 3168 section 5.3; Linux:
// ip_frag_ecn_table). ok is false for mixtures no honest path makes.
func reasmECN(seen uint8) (ecn uint8, ok bool) {
	const notECT, ect1, ect0, ce = 1, 2, 4, 8
	switch {
	case seen&ce != 0 && seen&notECT != 0:
		return 0, false
	case seen&ce != 0:
		return 3, true
	case seen&notECT != 0:
		return 0, true
	case seen == ect1:
		return 1, true
	}
	return 2, true
}

// remove takes a datagram out of the table and its fragments into l; the caller
// holds mu.
func (t *fragTable) remove(q *fragQueue, l *skb.List) {
	if q.done {
		return
	}
	q.done = true
	q.timer.Del()
	delete(t.q, q.key)
	t.cost -= q.cost
	l.Splice(&q.frags)
}

// expire gives a datagram up (Linux: ip_expire). The sender is told if it was
// for this host and the first fragment, which has the ports, is here (RFC 1122
// section 3.3.2). Softirq context.
func (t *fragTable) expire(q *fragQueue) {
	var dead skb.List
	t.mu.Lock()
	gone := q.done
	t.remove(q, &dead)
	t.mu.Unlock()
	if gone {
		return
	}
	m := &t.n.MIB.IP
	m.ReasmFails.Add(1)
	m.ReasmTimeout.Add(1)
	if head := dead.Head(); head != nil && q.first && t.n.ICMP != nil {
		t.n.ICMP.Send(head, header.ICMPTimeExceeded, header.ICMPExcFragTime, 0)
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
