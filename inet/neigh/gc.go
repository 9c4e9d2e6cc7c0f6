package neigh

import (
	"encoding/binary"
	"slices"
	"time"

	"barewire/skb"
)

// account follows a change of state or flags: what the administrator entered
// for good is neither collected nor counted, what is managed is kept resolved
// (Linux: neigh_update_gc_list, neigh_update_managed_list). No lock is held.
func (t *Table) account(n *Neigh) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.unlinked {
		return
	}
	flags := n.flags.Load()
	t.manage(n, flags&NTFManaged != 0)
	exempt := n.state.Load()&NUDPermanent != 0 || flags&ntfExempt != 0
	if exempt == n.exempt {
		return
	}
	n.exempt = exempt
	if exempt {
		t.gcEntries--
	} else {
		t.gcEntries++
	}
}

// unlink takes n out of chain and list; the caller holds mu and then buries n.
// A reader that stands on n still finds the rest of the chain.
func (t *Table) unlink(n *Neigh) {
	p := t.hash.Load().bucket(n.dev, n.addr)
	for q := p.Load(); q != nil; q = p.Load() {
		if q == n {
			p.Store(n.hashNext.Load())
			break
		}
		p = &q.hashNext
	}
	if n.prev == nil {
		t.list = n.next
	} else {
		n.prev.next = n.next
	}
	if n.next == nil {
		t.last = n.prev
	} else {
		n.next.prev = n.prev
	}
	n.next, n.prev = nil, nil
	n.unlinked = true
	t.manage(n, false)
	t.entries--
	if !n.exempt {
		t.gcEntries--
	}
}

// bury ends entries that are no longer in the table: packets that wait are
// dropped. No lock is held.
func (t *Table) bury(list []*Neigh) {
	for _, n := range list {
		n.mu.Lock()
		n.dead.Store(true)
		n.timer.Del()
		var q skb.List
		n.takeQueue(&q)
		n.mu.Unlock()
		q.Purge(skb.NeighDead)
		t.stats.Destroys.Add(1)
		t.tellGone(n)
	}
}

// forcedGC is neigh_forced_gc; see the package comment for the rule.
func (t *Table) forcedGC(now int64) (drop []*Neigh) {
	t.stats.ForcedGCRuns.Add(1)
	t.lastFlush = now
	for n := t.list; n != nil && t.gcEntries > int(t.thresh2.Load()); {
		next := n.next
		if !n.exempt && n.evictable(now, 5*int64(time.Second)) {
			t.unlink(n)
			drop = append(drop, n)
		}
		n = next
	}
	return drop
}

// periodic removes what was not used for gc_stale_time, once there are as many
// entries as GCThresh1, and draws the reachable times anew every five minutes
// (neigh_periodic_work).
func (t *Table) periodic() {
	now := t.clock.Now()
	var drop []*Neigh
	t.mu.Lock()
	t.stats.PeriodicGCRuns.Add(1)
	if now-t.lastRand >= randInterval {
		t.lastRand = now
		t.defaults.reach.Store(0)
		for _, p := range *t.parms.Load() {
			p.reach.Store(0)
		}
	}
	some := t.entries >= int(t.thresh1.Load())
	for n := t.list; some && n != nil; {
		next := n.next
		if !n.exempt && n.idle(now, n.p.GCStaleTime.Load()) {
			t.unlink(n)
			drop = append(drop, n)
		}
		n = next
	}
	if t.entries > 0 && !t.closed {
		t.gc.Mod(now + t.gcPeriod())
	}
	t.mu.Unlock()
	t.bury(drop)
}

// evictable is the rule of forced collection; see the package comment.
func (n *Neigh) evictable(now, age int64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch st := n.state.Load(); {
	case st&nudInTimer != 0:
		return false
	case st == NUDFailed, st == NUDNone:
		return n.queue.Len() == 0
	}
	return n.used == 0 || now-max(n.used, n.updated) > age
}

// idle is the rule of periodic collection.
func (n *Neigh) idle(now, age int64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	st := n.state.Load()
	if st&(NUDPermanent|nudInTimer) != 0 {
		return false
	}
	return st == NUDFailed || now-max(n.used, n.confirmed, n.created) > age
}

// gcPeriod is the time between two periodic collections. gc_interval is only
// shown, as in Linux.
func (t *Table) gcPeriod() int64 { return max(t.defaults.BaseReachableTime.Load()/2, minTimer) }

// randInterval is how long a reachable time holds (RFC 4861 section 6.3.4 has it
// change every few hours; Linux every five minutes).
const randInterval = 300 * int64(time.Second)

// ReachableTime is how long a proof of reachability holds on a device: between
// half and one and a half of the base (RFC 4861 section 6.3.2), so that hosts do
// not probe in step. It is drawn anew when the base changes.
func (t *Table) ReachableTime(p *Parms) int64 {
	base := p.BaseReachableTime.Load()
	if v := p.reach.Load(); v != 0 && p.reachBase.Load() == base {
		return v
	}
	var r [4]byte
	t.net.Rand(r[:])
	x := int64(binary.LittleEndian.Uint32(r[:])) % (base/1e6 + 1)
	v := max(base/2+x*1e6, 1)
	p.reach.Store(v)
	p.reachBase.Store(base)
	return v
}

// manage puts an entry on the list of those kept resolved, or takes it off; mu
// is held.
func (t *Table) manage(n *Neigh, on bool) {
	if n.managed == on {
		return
	}
	n.managed = on
	if !on {
		t.managed = slices.DeleteFunc(t.managed, func(o *Neigh) bool { return o == n })
		return
	}
	t.managed = append(t.managed, n)
	if len(t.managed) == 1 && !t.closed {
		t.keeper.Mod(t.clock.Now() + max(t.defaults.IntervalProbeTime.Load(), minTimer))
	}
}

// keep has managed neighbours resolved before anybody needs them (Linux:
// neigh_managed_work).
func (t *Table) keep() {
	t.mu.Lock()
	list := slices.Clone(t.managed)
	if len(list) > 0 && !t.closed {
		t.keeper.Mod(t.clock.Now() + max(t.defaults.IntervalProbeTime.Load(), minTimer))
	}
	t.mu.Unlock()
	for _, n := range list {
		n.send(nil, false)
	}
}
