package neigh

import (
	"barewire/skb"
)

// expire is neigh_timer_handler.
func (n *Neigh) expire() {
	now := n.t.clock.Now()
	var next int64
	told := false
	n.mu.Lock()
	st := n.state.Load()
	if st&nudInTimer == 0 || n.dead.Load() {
		n.mu.Unlock()
		return
	}
	switch {
	case st&NUDReachable != 0:
		switch {
		case now <= n.confirmed+n.t.ReachableTime(n.p):
			next = n.confirmed + n.t.ReachableTime(n.p)
		case now <= max(n.used, n.created)+n.p.DelayProbeTime.Load():
			st = NUDDelay
			n.updated = now
			next = now + n.p.DelayProbeTime.Load()
		default:
			st = NUDStale
			n.updated = now
			told = true
		}
	case st&NUDDelay != 0:
		if now <= n.confirmed+n.p.DelayProbeTime.Load() {
			st = NUDReachable
			n.updated = now
			next = n.confirmed + n.t.ReachableTime(n.p)
			told = true
		} else {
			st = NUDProbe
			n.updated = now
			n.probes = 0
			told = true
			next = now + max(n.p.RetransTime.Load(), minTimer)
		}
	default: // INCOMPLETE, PROBE
		next = now + max(n.p.RetransTime.Load(), minTimer)
	}
	n.state.Store(st)
	if st&(NUDIncomplete|NUDProbe) != 0 && n.probes >= n.maxProbes(st) {
		if st == NUDProbe && n.flags.Load()&NTFExtValidated != 0 {
			// Somebody else vouches for it: our asking proves nothing.
			n.state.Store(NUDStale)
			n.updated = now
			n.mu.Unlock()
		} else {
			n.invalidate(now) // unlocks
		}
		n.t.tell(n)
		return
	}
	if st&nudInTimer != 0 {
		n.timer.Mod(max(next, now+minTimer))
	}
	if st&(NUDIncomplete|NUDProbe) != 0 {
		n.probe() // unlocks
	} else {
		n.mu.Unlock()
	}
	if told {
		n.t.tell(n)
	}
}

// maxProbes is neigh_max_probes.
func (n *Neigh) maxProbes(st uint32) int {
	most := int(n.p.UcastProbes.Load() + n.p.AppProbes.Load())
	if st&NUDProbe != 0 {
		return most + int(n.p.McastReprobes.Load())
	}
	return most + int(n.p.McastProbes.Load())
}

// invalidate gives up: the packets that waited become errors (Linux:
// neigh_invalidate). The caller holds mu; invalidate releases it.
func (n *Neigh) invalidate(now int64) {
	n.state.Store(NUDFailed)
	n.updated = now
	var q skb.List
	n.takeQueue(&q)
	n.mu.Unlock()
	n.t.stats.ResFailed.Add(1)
	for b := q.PopFront(); b != nil; b = q.PopFront() {
		n.t.ops.Error(n, b)
	}
}
