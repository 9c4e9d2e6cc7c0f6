package sock

import (
	"sync/atomic"

	"barewire/napi"
	"barewire/skb"
)

// Busy polling of the device that a sock's packets come from (Linux:
// include/net/busy_poll.h); package napi says what that is.

// maxBusyPollBudget is the most of SO_BUSY_POLL_BUDGET.
const maxBusyPollBudget = 0xffff

// busyPolling is what a sock knows about it.
type busyPolling struct {
	napi   atomic.Uint32 // NAPI that its last packet came by, 0 for none (sk_napi_id)
	usecs  atomic.Int32  // SO_BUSY_POLL: how long a read that would wait polls
	budget atomic.Int32  // SO_BUSY_POLL_BUDGET, 0 for the usual
	rxHash atomic.Uint32 // of its flow, if packets are steered, or 0 (sk_rxhash)
}

// MarkNAPI notes where a packet came from, and its flow (Linux: sk_mark_napi_id,
// sock_rps_save_rxhash). Protocols
// call it for each that is for sk.
func (sk *Sock) MarkNAPI(b *skb.Buff) {
	if b.NapiID != 0 && sk.busy.napi.Load() != b.NapiID {
		sk.busy.napi.Store(b.NapiID)
	}
	if b.Hash != 0 && sk.busy.rxHash.Load() != b.Hash {
		sk.busy.rxHash.Store(b.Hash)
	}
}

// recordFlow notes that sk is used on this processor, so that its packets may come
// there (Linux: sock_rps_record_flow). Process context.
func (sk *Sock) recordFlow() {
	if h := sk.busy.rxHash.Load(); h != 0 && sk.limits != nil && sk.limits.net != nil {
		sk.limits.net.RecordFlow(h)
	}
}

// HasNAPI reports whether it is known which device polls for sk.
func (sk *Sock) HasNAPI() bool { return sk.busy.napi.Load() != 0 }

// BusyRead returns how long, in microseconds, a read that finds nothing polls
// the device before it waits; 0: not at all (Linux: sk_ll_usec).
func (sk *Sock) BusyRead() int32 { return sk.busy.usecs.Load() }

// BusyWait returns how long a program that waits for readiness polls, in
// microseconds (net.core.busy_poll).
func (sk *Sock) BusyWait() int32 {
	if sk.limits == nil {
		return 0
	}
	return sk.limits.BusyPoll.Load()
}

// BusyLoop polls the device that sk's last packet came from until done returns
// true or usecs microseconds have passed; 0 polls once (Linux: sk_busy_loop).
// Process context.
func (sk *Sock) BusyLoop(usecs int32, done func() bool) {
	id := sk.busy.napi.Load()
	if id == 0 || sk.limits == nil || sk.limits.net == nil {
		return
	}
	p := napi.BusyPoll{Prefer: sk.Flag(FlagPreferBusyPoll), Budget: int(sk.busy.budget.Load())}
	if usecs > 0 {
		clock := sk.limits.net.Clock()
		end := clock.Now() + int64(usecs)*1000
		p.Done = func() bool { return done() || clock.Now() >= end }
	}
	sk.limits.net.BusyLoop(id, p)
}
