package napi

import (
	"sync/atomic"
	"time"

	"barewire/skb"
)

// State bits of a NAPI context (Linux: NAPI_STATE_*).
const (
	napiSched   = 1 << iota // on the poll list, being polled, or disabled
	napiMissed              // scheduled again meanwhile: poll once more
	napiDisable             // Disable waits; nobody may schedule
)

// NAPI is a polling context of a device, usually one per receive queue (Linux:
// struct napi_struct).
type NAPI struct {
	dev    *NetDevice
	poller Poller
	weight int

	state atomic.Uint32
	net   *Net  // set by Enable
	next  *NAPI // poll list; owned by who set napiSched

	// Stats counts what was handed up.
	Stats     QueueStats
	multicast atomic.Uint64
	count     rxCount // poll only
}

// Dev returns the device.
func (n *NAPI) Dev() *NetDevice { return n.dev }

// Enable lets the context be scheduled (Linux: napi_enable). The device is
// registered.
func (n *NAPI) Enable() {
	n.net = n.dev.net.Load()
	if n.net == nil || n.state.Load()&napiSched == 0 {
		panic("napi: Enable on an enabled context or an unregistered device")
	}
	n.state.Store(0)
}

// Disable waits for the poll that is under way and keeps the context from
// being scheduled again (Linux: napi_disable). Process context only.
func (n *NAPI) Disable() {
	n.state.Or(napiDisable)
	for wait := 20 * time.Microsecond; ; wait = min(2*wait, time.Millisecond) {
		// Free of a poll: take the place of one.
		if n.state.CompareAndSwap(napiDisable, napiSched) {
			return
		}
		// As local_bh_enable does: who waits for softirq may well run it.
		n.net.soft.DoSoftirq()
		time.Sleep(wait)
	}
}

// schedule is napi_schedule_prep and __napi_schedule.
func (n *NAPI) schedule() bool {
	for {
		old := n.state.Load()
		if old&napiDisable != 0 {
			return false
		}
		next := old | napiSched
		if old&napiSched != 0 {
			next |= napiMissed
		}
		if n.state.CompareAndSwap(old, next) {
			if old&napiSched != 0 {
				return false
			}
			n.net.soft.pollAdd(n)
			return true
		}
	}
}

func (n *NAPI) completeDone(int) bool {
	for {
		old := n.state.Load()
		next := old &^ (napiSched | napiMissed)
		if old&napiMissed != 0 {
			next |= napiSched
		}
		if n.state.CompareAndSwap(old, next) {
			if old&napiMissed != 0 {
				n.net.soft.pollAdd(n)
				return false
			}
			return true
		}
	}
}

func (n *NAPI) receive(b *skb.Buff) {
	n.count.add(b)
	n.net.receiveSkb(n.net.ptypes.Load(), b)
}

// ReceiveList hands up all packets of l, as Receive does for one, and empties
// it (Linux: netif_receive_skb_list).
func (n *NAPI) ReceiveList(l *skb.List) {
	t := n.net.ptypes.Load()
	for b := l.PopFront(); b != nil; b = l.PopFront() {
		n.count.add(b)
		n.net.receiveSkb(t, b)
	}
}

// poll runs one poll and reports the packets done and whether the context
// stays on the list (Linux: __napi_poll).
func (n *NAPI) poll() (work int, again bool) {
	work = n.poller.Poll(n, n.weight)
	n.count.flush(&n.Stats, &n.multicast)
	if work < n.weight {
		return work, false
	}
	if n.state.Load()&napiDisable != 0 {
		n.completeDone(work)
		return work, false
	}
	return work, true
}
