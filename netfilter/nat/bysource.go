package nat

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"barewire/netfilter/conntrack"
	"barewire/skb/siphash"
)

// bySource finds the connections of a source address and port (Linux:
// nf_nat_bysource). Chains are linked through Conn.NAT. A connection is in from
// the decision over its source until it ends.
type bySource struct {
	key   siphash.Key
	locks [srcLocks]sync.Mutex // of the chains whose number ends like the lock's
	once  sync.Once
	heads atomic.Pointer[[]*conntrack.Conn] // made with the first connection; never another
}

const (
	srcLocks   = 64
	minSources = 1024
)

func (s *bySource) init(random func() uint32) {
	s.key = siphash.NewKey(func(b []byte) {
		for i := 0; i+4 <= len(b); i += 4 {
			binary.LittleEndian.PutUint32(b[i:], random())
		}
	})
}

// make makes as many chains as the table has, a power of two.
func (s *bySource) make(t *conntrack.Table) {
	s.once.Do(func() {
		n := minSources
		for n < int(t.Conf.Buckets.Load()) && n < 1<<26 {
			n *= 2
		}
		heads := make([]*conntrack.Conn, n)
		s.heads.Store(&heads)
	})
}

// bucket returns the chain of the source of an original tuple.
func (s *bySource) bucket(t *conntrack.Tuple, zone uint16) uint32 {
	h := s.key.Quick2(uint64(t.Src)<<32|uint64(t.SrcPort)<<8|uint64(t.Proto), uint64(zone))
	return uint32(h) & uint32(len(*s.heads.Load())-1)
}

// add enters a connection that is not in.
func (s *bySource) add(c *conntrack.Conn) {
	if s.heads.Load() == nil {
		s.make(c.Table())
	}
	t := c.Tuple(conntrack.Original)
	i := s.bucket(&t, c.Zone().ID)
	mu := &s.locks[i%srcLocks]
	mu.Lock()
	head := &(*s.heads.Load())[i]
	c.NAT.Next = *head
	if *head != nil {
		(*head).NAT.Prev = c
	}
	*head = c
	mu.Unlock()
}

// forget takes a connection out that ended, if it was in (Linux:
// nf_nat_cleanup_conntrack).
func (s *bySource) forget(c *conntrack.Conn) {
	if c.Status()&conntrack.SrcNATDone == 0 || s.heads.Load() == nil {
		return
	}
	t := c.Tuple(conntrack.Original)
	i := s.bucket(&t, c.Zone().ID)
	mu := &s.locks[i%srcLocks]
	mu.Lock()
	head := &(*s.heads.Load())[i]
	next, prev := c.NAT.Next, c.NAT.Prev
	switch {
	case prev != nil:
		prev.NAT.Next = next
	case *head == c:
		*head = next
	}
	if next != nil {
		next.NAT.Prev = prev
	}
	c.NAT.Next, c.NAT.Prev = nil, nil
	mu.Unlock()
}

// findSrc returns t with the source that another connection of the same source
// was given, if the range allows it (Linux: find_appropriate_src).
func (n *NAT) findSrc(t *conntrack.Tuple, r *Range, zone conntrack.Zone) (conntrack.Tuple, bool) {
	s := &n.srcs
	if s.heads.Load() == nil {
		return conntrack.Tuple{}, false
	}
	i := s.bucket(t, zone.ID)
	mu := &s.locks[i%srcLocks]
	mu.Lock()
	defer mu.Unlock()
	for c := (*s.heads.Load())[i]; c != nil; c = c.NAT.Next {
		o := c.Tuple(conntrack.Original)
		if o.Src != t.Src || o.SrcPort != t.SrcPort || o.Proto != t.Proto || c.Zone().ID != zone.ID {
			continue
		}
		reply := c.Tuple(conntrack.Reply)
		got, ok := reply.Invert()
		if !ok {
			continue
		}
		// Only the source is the other connection's.
		got.Dst, got.DstPort, got.Zone = t.Dst, t.DstPort, t.Zone
		if r.allows(&got) {
			return got, true
		}
	}
	return conntrack.Tuple{}, false
}

// taken reports whether a connection that looks like t would get answers that
// are another's (Linux: nf_nat_used_tuple).
func (n *NAT) taken(t *conntrack.Tuple, c *conntrack.Conn) bool {
	r, ok := t.Invert()
	return ok && n.Table.TupleTaken(r, c)
}

// takenNew is taken for a connection that is to stay as it is (Linux:
// nf_nat_used_tuple_new): when packets of both directions began it at the same
// time, the other one is not somebody else's.
func (n *NAT) takenNew(t *conntrack.Tuple, c *conntrack.Conn) bool {
	if !n.taken(t, c) {
		return false
	}
	if !conntrack.AllowsClash(t.Proto) {
		return true
	}
	other, d := n.Table.Lookup(*t)
	if other == nil {
		r, ok := t.Invert()
		if !ok {
			return true
		}
		if other, d = n.Table.Lookup(r); other == nil {
			return false // it went away meanwhile
		}
	}
	if d == conntrack.Original || other.Status()&(NATMask|conntrack.SeqAdjust) != 0 {
		return true
	}
	reply := other.Tuple(conntrack.Reply)
	return reply != c.Tuple(conntrack.Original)
}

// takenHarder is taken that, when few tries are left, ends a TCP connection that
// is over but for its waiting, if the new one's first segment is beyond it
// (Linux: nf_nat_used_tuple_harder).
func (n *NAT) takenHarder(t *conntrack.Tuple, c *conntrack.Conn, left uint32) bool {
	if left > harderBelow || t.Proto != conntrack.ProtoTCP || c.TCPState() != conntrack.TCPSynSent {
		return n.taken(t, c)
	}
	r, ok := t.Invert()
	if !ok {
		return false
	}
	r.Zone = c.Tuple(conntrack.Reply).Zone
	old, _ := n.Table.Lookup(r)
	if old == nil || old == c {
		return false
	}
	if old.Status()&(conntrack.FixedTimeout|conntrack.Dying|conntrack.Offload) != 0 || !old.Superseded(c) {
		return true
	}
	return !n.Table.Delete(old)
}
