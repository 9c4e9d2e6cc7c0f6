package neigh

import (
	"barewire/skb"
)

// eventSend is __neigh_event_send: a packet wants to go. It reports true when
// it took the packet over. b nil starts resolution without a packet.
func (n *Neigh) eventSend(b *skb.Buff) (taken bool) { return n.send(b, true) }

// send is eventSend; without atOnce the first solicitation is left to the timer.
func (n *Neigh) send(b *skb.Buff, atOnce bool) (taken bool) {
	now := n.t.clock.Now()
	n.mu.Lock()
	n.used = now
	st := n.state.Load()
	if st&(nudConnected|NUDDelay|NUDProbe) != 0 {
		n.mu.Unlock()
		return false
	}
	if n.dead.Load() {
		n.mu.Unlock()
		if b != nil {
			b.Free(skb.NeighDead)
		}
		return true
	}
	probe := false
	switch {
	case st&NUDStale != 0:
		// Use it, and expect a confirmation soon (RFC 4861 section 7.3.3).
		n.state.Store(NUDDelay)
		n.updated = now
		n.timer.Mod(now + n.p.DelayProbeTime.Load())
		n.mu.Unlock()
		return false
	case st&NUDIncomplete == 0:
		if n.p.McastProbes.Load()+n.p.AppProbes.Load() == 0 {
			n.state.Store(NUDFailed)
			n.updated = now
			n.mu.Unlock()
			if b != nil {
				b.Free(skb.NeighFailed)
			}
			return true
		}
		n.probes = int(n.p.UcastProbes.Load()) // there is nobody to ask by unicast
		n.state.Store(NUDIncomplete)
		n.updated = now
		if probe = atOnce; probe {
			n.timer.Mod(now + max(n.p.RetransTime.Load(), minTimer))
		} else {
			n.timer.Mod(now + 1)
		}
	}
	var drop skb.List
	if b != nil {
		n.enqueue(b, &drop)
	}
	if probe {
		n.probe() // unlocks
	} else {
		n.mu.Unlock()
	}
	if drop.Len() > 0 {
		n.t.stats.UnresolvedDiscards.Add(uint64(drop.Len()))
		drop.Purge(skb.NeighQueueFull)
	}
	return true
}

// enqueue keeps a packet until the address is known; what has no room goes to
// drop. The bounds are in bytes, and the newest packet gets the place of the
// oldest of its neighbour: it is the one somebody still waits for. The caller
// holds mu.
func (n *Neigh) enqueue(b *skb.Buff, drop *skb.List) {
	size := b.Truesize()
	for n.queueBytes+size > int(n.p.QueueBytes.Load()) || n.t.queued.Load()+int64(size) > n.t.totalQueue {
		old := n.queue.PopFront()
		if old == nil {
			break
		}
		n.charge(-old.Truesize())
		drop.PushBack(old)
	}
	if n.t.queued.Load()+int64(size) > n.t.totalQueue {
		drop.PushBack(b) // others have it all
		return
	}
	n.charge(size)
	n.queue.PushBack(b)
}

// charge counts bytes that wait; the caller holds mu.
func (n *Neigh) charge(bytes int) {
	n.queueBytes += bytes
	n.t.queued.Add(int64(bytes))
}

// takeQueue moves the packets that wait to q; the caller holds mu.
func (n *Neigh) takeQueue(q *skb.List) {
	q.Splice(&n.queue)
	n.charge(-n.queueBytes)
}

// probe sends a solicitation (neigh_probe, arp_solicit): first to the address
// we know, then by a program, then to everybody. The caller holds mu; probe
// releases it.
func (n *Neigh) probe() {
	ucast, app := int(n.p.UcastProbes.Load()), int(n.p.AppProbes.Load())
	hw := n.hwLocked()
	unicast := n.probes < ucast && n.state.Load()&nudValid != 0
	byApp := n.probes >= ucast && n.probes < ucast+app
	n.probes++
	if byApp {
		n.mu.Unlock()
		if f := n.t.AppSolicit; f != nil {
			f(n.entry(n.t.clock.Now()))
		}
		return
	}
	var b *skb.Buff
	if last := n.queue.Tail(); last != nil {
		b = last.Get()
	}
	n.mu.Unlock()
	n.t.ops.Solicit(n, b, unicast, hw)
	if b != nil {
		b.Consume()
	}
}
