package conntrack

import "time"

// evictionRange is how many chains are searched for a connection to give way
// (Linux: NF_CT_EVICTION_RANGE).
const evictionRange = 8

// dropEarly makes room in a full table (Linux: early_drop): it deletes what is
// expired or not assured in one of the chains from that of h on.
func (t *Table) dropEarly(h uint32, now int64) bool {
	b := t.buckets.Load()
	for i := range uint32(evictionRange) {
		drops := 0
		for n := b.heads[(h+i)&b.mask].Load(); n != nil; n = n.next.Load() {
			c := n.conn
			if c.expires.Load() > now && c.Status()&(Assured|Dying|Offload) != 0 {
				continue
			}
			if t.Delete(c) {
				drops++
			}
		}
		if drops > 0 {
			t.Stat.EarlyDrop.Add(uint64(drops))
			return true
		}
	}
	return false
}

// The worker that drops expired connections nobody asks for (Linux: gc_worker).
const (
	// GCInterval is how often [Table.GC] should be called, and GCIdle while the
	// table is empty.
	GCInterval = 250 * time.Millisecond
	GCIdle     = time.Second
	// gcWhole is in how many calls the whole table is walked over: 20 s, where
	// Linux takes from 1 to 60. Nobody sees the difference: lookups and listings
	// pass over what is expired. The calls are short, because packets wait.
	gcWhole = 80
)

// GC walks a part of the table and deletes what is expired; while the table was
// full, also connections that are as good as over. Softirq context.
func (t *Table) GC() {
	now := t.now()
	t.expireExpects(now)
	b := t.buckets.Load()
	n := (len(b.heads) + gcWhole - 1) / gcWhole
	early := t.earlyDrop.Swap(false)
	if early {
		n = len(b.heads)
	}
	most := int64(t.Conf.Max.Load())
	for range n {
		if t.gcNext >= len(b.heads) {
			t.gcNext = 0
		}
		for m := b.heads[t.gcNext].Load(); m != nil; m = m.next.Load() {
			c := m.conn
			if c.expires.Load() <= now {
				t.Delete(c)
			} else if early && most != 0 && t.count.Load() > most*95/100 && c.nearlyOver() {
				t.Delete(c)
				t.Stat.EarlyDrop.Add(1)
			}
		}
		t.gcNext++
	}
}

// nearlyOver reports whether a connection may give way to others when the table
// is full though it is assured (Linux: gc_worker_can_early_drop).
func (c *Conn) nearlyOver() bool {
	st := c.Status()
	if st&(Assured|Dying|Offload) != Assured {
		return st&(Dying|Offload) == 0
	}
	switch c.Proto() {
	case ProtoTCP:
		return c.tcpNearlyOver()
	case ProtoSCTP:
		st := c.SCTPState()
		return st >= SCTPShutdownSent && st <= SCTPShutdownAckSent
	}
	return false
}
