package neigh

import (
	"syscall"

	"barewire/skb"
)

// Flags of an update (Linux: NEIGH_UPDATE_F_*).
const (
	updOverride = 1 << iota
	updAdmin
	updUse
	updRouter // with updOverrideRouter: it is one
	updOverrideRouter
)

// Update brings news of the neighbour (Linux: neigh_update): its hardware
// address and the state that follows, NUDReachable when it answered us,
// NUDStale when we only overheard it, NUDPermanent when configured. An address
// that differs from a valid one is taken only with override.
func (n *Neigh) Update(hw [6]byte, state uint32, override bool) {
	f := 0
	if override {
		f = updOverride
	}
	if state == NUDPermanent {
		f |= updAdmin
		n.update(&hw, state, f, n.flags.Load())
		return
	}
	n.update(&hw, state, f, 0) // EPERM: what the administrator says stays
}

// update is __neigh_update. hw nil keeps the address there is; ntf are the flags
// of an updAdmin. Errors: EPERM for an entry that is gone, or that only the
// administrator may change; EINVAL when no address is known.
func (n *Neigh) update(hw *[6]byte, state uint32, f int, ntf uint32) (why string, err error) {
	t := n.t
	now := t.clock.Now()
	n.mu.Lock()
	old := n.state.Load()
	switch {
	case n.dead.Load():
		n.mu.Unlock()
		return "Neighbor entry is now dead", syscall.EPERM
	case f&updAdmin == 0 && old&(NUDNoARP|NUDPermanent) != 0:
		n.mu.Unlock()
		return "", syscall.EPERM
	}
	told := false
	if f&updAdmin != 0 {
		told = n.setFlags(ntf, ntfExempt|NTFManaged)
	}
	var q skb.List
	var h *hhead
	switch {
	case f&updUse != 0:
		state = old &^ NUDPermanent
		n.state.Store(state)
		n.mu.Unlock()
	case state&nudValid == 0:
		n.timer.Del()
		n.state.Store(state)
		told = old&nudValid != 0 // as in Linux, flags alone are then no news
		if old&(NUDIncomplete|NUDProbe) != 0 && state&NUDFailed != 0 {
			told = true
			n.invalidate(now) // unlocks
			break
		}
		n.mu.Unlock()
	default:
		var news bool
		news, h, why, err = n.learn(hw, state, old, f, ntf, now, &q)
		state = n.state.Load()
		n.mu.Unlock()
		told = told || news
	}
	if (state|old)&NUDPermanent != 0 || f&updAdmin != 0 {
		t.account(n)
	}
	if told {
		t.tell(n)
	}
	for b := q.PopFront(); b != nil; b = q.PopFront() {
		n.xmit(b, h) // errors are counted below; nobody waits for them here
	}
	return why, err
}

// setFlags sets the flags of mask and reports whether any changed; mu is held.
func (n *Neigh) setFlags(ntf, mask uint32) bool {
	old := n.flags.Load()
	n.flags.Store(old&^mask | ntf&mask)
	return (old^ntf)&mask != 0
}

// learn is the part of an update that makes the neighbour valid, or leaves it
// so. news says that listeners are to be told; the packets to be sent with header
// h go to q. mu is held.
func (n *Neigh) learn(hw *[6]byte, state, old uint32, f int, ntf uint32, now int64, q *skb.List) (news bool, h *hhead, why string, err error) {
	if hw == nil && n.dev.AddrLen != 0 && old&nudValid == 0 {
		return false, nil, "No link layer address given", syscall.EINVAL
	}
	same := hw == nil || n.dev.AddrLen == 0 || old&nudValid != 0 && *hw == n.hwLocked()
	// A proof, though it may not change what is known.
	if state&nudConnected != 0 {
		n.confirmed = now
	}
	if old&nudValid != 0 {
		if !same && f&updOverride == 0 {
			return false, nil, "", nil
		}
		if same && state == NUDStale && f&updAdmin == 0 {
			state = old // news that is none does not shake a good state
		}
	}
	if state != old || !same {
		n.updated = now
	}
	if state != old {
		news = true
		n.timer.Del()
		if state&NUDProbe != 0 {
			n.probes = 0
		}
		n.state.Store(state)
		switch {
		case state&NUDReachable != 0:
			n.timer.Mod(now + n.t.ReachableTime(n.p))
		case state&nudInTimer != 0:
			n.timer.Mod(now + 1)
		}
	}
	if !same {
		news = true
		n.setHW(*hw)
		if state&nudConnected == 0 {
			n.confirmed = now - 2*n.p.BaseReachableTime.Load()
		}
	}
	if n.hh.Load() == nil {
		n.setHW([6]byte{}) // a device without addresses
	}
	if old&nudValid == 0 {
		n.takeQueue(q)
	}
	if f&updOverrideRouter != 0 && n.setFlags(ntf, NTFRouter) {
		news = true
	}
	return news, n.hh.Load(), "", nil
}

// Confirm notes a proof of reachability from a higher layer (Linux:
// neigh_confirm): progress of a connection, MSG_CONFIRM.
func (n *Neigh) Confirm() {
	n.ConfirmAt(n.t.clock.Now())
}

// ConfirmAt is Confirm at a time by the stack's clock that has not been long ago.
func (n *Neigh) ConfirmAt(now int64) {
	n.mu.Lock()
	n.confirmed = max(n.confirmed, now)
	n.mu.Unlock()
}

// Updated returns when the entry last changed.
func (n *Neigh) Updated() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.updated
}
