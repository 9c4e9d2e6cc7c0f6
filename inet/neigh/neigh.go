package neigh

import (
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/inet/header"
	"barewire/napi"
	"barewire/skb"
)

// States of a neighbour, bits with Linux's NUD_* values.
const (
	NUDNone       = 0x00
	NUDIncomplete = 0x01
	NUDReachable  = 0x02
	NUDStale      = 0x04
	NUDDelay      = 0x08
	NUDProbe      = 0x10
	NUDFailed     = 0x20
	NUDNoARP      = 0x40
	NUDPermanent  = 0x80

	nudInTimer   = NUDIncomplete | NUDReachable | NUDDelay | NUDProbe
	nudValid     = NUDPermanent | NUDNoARP | NUDReachable | NUDProbe | NUDStale | NUDDelay
	nudConnected = NUDPermanent | NUDNoARP | NUDReachable
)

// minTimer keeps a timer that is due from firing in a loop (Linux: HZ/100).
const minTimer = 10e6

// hhead is a ready link header (Linux: hh_cache).
type hhead [header.EthHLen]byte

// Neigh is one neighbour (Linux: struct neighbour).
type Neigh struct {
	hashNext atomic.Pointer[Neigh]
	state    atomic.Uint32
	hh       atomic.Pointer[hhead] // set while the address is known
	dead     atomic.Bool

	flags atomic.Uint32 // NTF*

	t    *Table
	dev  *napi.NetDevice
	addr header.Addr
	p    *Parms

	mu         sync.Mutex
	timer      napi.Timer
	queue      skb.List
	queueBytes int
	probes     int
	created    int64
	confirmed  int64 // last proof that it is there
	updated    int64 // last change
	used       int64 // last time a packet needed a look at the state; 0 never
	reachable  int64 // reachable_time of this round, random around the base

	// Guarded by the table.
	next, prev *Neigh // its list
	exempt     bool   // not collected, not counted
	unlinked   bool
}

// Dev returns the device of the link.
func (n *Neigh) Dev() *napi.NetDevice { return n.dev }

// Addr returns the protocol address.
func (n *Neigh) Addr() header.Addr { return n.addr }

// Parms returns the settings of the neighbour's device.
func (n *Neigh) Parms() *Parms { return n.p }

// State returns the state, a NUD* bit.
func (n *Neigh) State() uint32 { return n.state.Load() }

// Dead reports whether the entry has left the table; a cached pointer must
// then be looked up again.
func (n *Neigh) Dead() bool { return n.dead.Load() }

// HW returns the hardware address; ok is false while it is not known.
func (n *Neigh) HW() (hw [6]byte, ok bool) {
	if n.state.Load()&nudValid == 0 {
		return hw, false
	}
	if h := n.hh.Load(); h != nil {
		return [6]byte(h[0:6]), true
	}
	return hw, false
}

func (n *Neigh) hwLocked() (hw [6]byte) {
	if h := n.hh.Load(); h != nil {
		hw = [6]byte(h[0:6])
	}
	return hw
}

// setHW builds the cached header. The only allocation in the life of a
// neighbour beside its own: addresses hardly ever change.
func (n *Neigh) setHW(hw [6]byte) {
	h := new(hhead)
	e := header.Ethernet(h[:])
	e.SetDst(hw)
	e.SetSrc(n.dev.HardwareAddr())
	e.SetType(header.EthPIP)
	n.hh.Store(h)
}

// Output gives an IPv4 packet its link header and transmits it, or keeps it
// until the neighbour is resolved (Linux: neigh_output). b.Dev is the device,
// Data the network header, and there is headroom. Consumes b. Errors are those
// of DevQueueXmit; a packet that waits is no error.
func (n *Neigh) Output(b *skb.Buff) error {
	if n.state.Load()&nudConnected != 0 {
		if h := n.hh.Load(); h != nil {
			return n.xmit(b, h)
		}
	}
	return n.resolveOutput(b)
}

func (n *Neigh) xmit(b *skb.Buff, h *hhead) error {
	copy(b.Push(header.EthHLen), h[:])
	b.ResetMacHeader()
	return n.t.net.DevQueueXmit(b)
}

// resolveOutput is neigh_resolve_output.
func (n *Neigh) resolveOutput(b *skb.Buff) error {
	if n.eventSend(b) {
		return nil // kept or dropped
	}
	h := n.hh.Load()
	if h == nil {
		b.Free(skb.NeighFailed)
		return syscall.EINVAL
	}
	return n.xmit(b, h)
}

// eventSend is __neigh_event_send: a packet wants to go. It reports true when
// it took the packet over. b nil starts resolution without a packet.
func (n *Neigh) eventSend(b *skb.Buff) (taken bool) {
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
		n.timer.Mod(now + max(n.p.RetransTime.Load(), minTimer))
		probe = true
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
		case now <= n.confirmed+n.reachable:
			next = n.confirmed + n.reachable
		case n.used != 0 && now <= n.used+n.p.DelayProbeTime.Load():
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
			next = n.confirmed + n.reachable
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
		n.invalidate(now) // unlocks
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

// invalidate gives up: the packets that waited become errors. The caller holds
// mu; invalidate releases it.
func (n *Neigh) invalidate(now int64) {
	n.state.Store(NUDFailed)
	n.hh.Store(nil)
	n.updated = now
	var q skb.List
	n.takeQueue(&q)
	n.mu.Unlock()
	n.t.stats.ResFailed.Add(1)
	for b := q.PopFront(); b != nil; b = q.PopFront() {
		n.t.ops.Error(n, b)
	}
	n.t.tell(n)
}

// Update brings news of the neighbour (Linux: neigh_update): its hardware
// address and the state that follows, NUDReachable when it answered us,
// NUDStale when we only overheard it, NUDPermanent when configured. An address
// that differs from a valid one is taken only with override.
func (n *Neigh) Update(hw [6]byte, state uint32, override bool) {
	n.update(hw, state, override, state == NUDPermanent)
}

// update is Update; admin says that it comes from the administrator, who alone
// may change what is permanent.
func (n *Neigh) update(hw [6]byte, state uint32, override, admin bool) {
	t := n.t
	now := t.clock.Now()
	n.mu.Lock()
	old := n.state.Load()
	if n.dead.Load() || old&(NUDNoARP|NUDPermanent) != 0 && !admin {
		n.mu.Unlock()
		return
	}
	same := old&nudValid != 0 && hw == n.hwLocked()
	if state&nudConnected != 0 {
		n.confirmed = now
	}
	if old&nudValid != 0 {
		if !same && !override {
			n.mu.Unlock()
			return
		}
		if same && state == NUDStale && !admin {
			state = old // news that is none does not shake a good state
		}
	}
	if state != old || !same {
		n.updated = now
	}
	if state != old {
		n.timer.Del()
		n.state.Store(state)
		switch state {
		case NUDReachable:
			n.reachable = n.randomReachable()
			n.timer.Mod(now + n.reachable)
		case NUDDelay:
			n.timer.Mod(now + n.p.DelayProbeTime.Load())
		case NUDProbe:
			n.probes = 0
			n.timer.Mod(now + minTimer)
		}
	}
	if !same {
		n.setHW(hw)
		if state&nudConnected == 0 {
			n.confirmed = now - 2*n.p.BaseReachableTime.Load()
		}
	}
	var q skb.List
	if old&nudValid == 0 {
		n.takeQueue(&q)
	}
	h := n.hh.Load()
	n.mu.Unlock()
	if (state|old)&NUDPermanent != 0 || admin {
		t.account(n)
	}
	if state != old || !same {
		t.tell(n)
	}
	for b := q.PopFront(); b != nil; b = q.PopFront() {
		n.xmit(b, h) // errors are counted below; nobody waits for them here
	}
}

// Confirm notes a proof of reachability from a higher layer (Linux:
// neigh_confirm): progress of a connection, MSG_CONFIRM.
func (n *Neigh) Confirm() {
	n.mu.Lock()
	n.confirmed = n.t.clock.Now()
	n.mu.Unlock()
}

// Updated returns when the entry last changed.
func (n *Neigh) Updated() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.updated
}

// evictable is the rule of forced collection; see the package comment.
func (n *Neigh) evictable(now, age int64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch n.state.Load() {
	case NUDFailed, NUDNone:
		return n.queue.Len() == 0
	case NUDStale, NUDNoARP:
		return n.used == 0 || now-max(n.used, n.updated) > age
	}
	return false
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

// randomReachable returns a time between half and one and a half of the base
// (RFC 4861 section 6.3.2), so that hosts do not probe in step. Linux draws it
// every five minutes for a device, we for every neighbour that is confirmed.
func (n *Neigh) randomReachable() int64 {
	var r [4]byte
	n.t.net.Rand(r[:])
	base := n.p.BaseReachableTime.Load()
	x := int64(uint32(r[0])|uint32(r[1])<<8|uint32(r[2])<<16|uint32(r[3])<<24) % (base/1e6 + 1)
	return base/2 + x*1e6
}
