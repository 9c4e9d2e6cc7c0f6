package ipmr

import (
	"slices"
	"sync"
	"syscall"

	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// maxWaiting is how many packets of a source and group wait.
const maxWaiting = 4

// waiting is a source and group the daemon was asked about (Linux: an
// mfc_cache on mfc_unres_queue).
type waiting struct {
	key
	t       *table
	expires int64
	bytes   int64 // truesize of what waits
	queue   skb.List
}

// unresolved is what waits for the daemon, of all tables.
type unresolved struct {
	r        *Router
	maxBytes int64

	mu    sync.Mutex
	list  []*waiting // newest first
	bytes int64
	timer napi.Timer
}

func (u *unresolved) init(r *Router, maxBytes int64) {
	u.r, u.maxBytes = r, maxBytes
	u.timer.Init(r.net.Timers(), func(*napi.Timer) { u.expire() })
}

func (u *unresolved) find(t *table, k key) *waiting {
	for _, w := range u.list {
		if w.key == k && w.t == t {
			return w
		}
	}
	return nil
}

// hold keeps a packet until the daemon knows its way, and asks the daemon when
// it is the first (Linux: ipmr_cache_unresolved). Consumes b, which came by vif
// number vif, or was sent by it.
func (u *unresolved) hold(t *table, vif int, b *skb.Buff) {
	h := header.IPv4(b.Data())
	k := key{h.Src(), h.Dst()}
	u.mu.Lock()
	w := u.find(t, k)
	if w == nil {
		if len(u.list) >= maxUnresolved || u.bytes+int64(b.Truesize()) > u.maxBytes {
			u.mu.Unlock()
			b.Free(skb.NoMem)
			return
		}
		w = &waiting{key: k, t: t, expires: u.r.clock.Now() + unresolvedLife}
		u.list = slices.Insert(u.list, 0, w)
		if len(u.list) == 1 {
			u.timer.Mod(w.expires)
		}
		u.mu.Unlock()
		if u.r.knows(t, k) {
			// The daemon was faster: nobody would wake what waits now.
			u.remove(w)
			u.r.again(t, b)
			return
		}
		if err := u.r.report(t, b, vif, msgNoCache); err != nil {
			u.remove(w)
			b.Free(skb.SocketRcvbuff)
			return
		}
		u.r.tellWaiting(RouteNew, w)
		u.mu.Lock()
		if !slices.Contains(u.list, w) {
			// The daemon has answered already.
			u.mu.Unlock()
			u.r.again(t, b)
			return
		}
	}
	size := int64(b.Truesize())
	if w.queue.Len() >= maxWaiting || u.bytes+size > u.maxBytes {
		u.mu.Unlock()
		b.Free(skb.NoMem)
		return
	}
	w.bytes += size
	u.bytes += size
	w.queue.PushBack(b)
	u.mu.Unlock()
}

// unlink takes w out; mu is held.
func (u *unresolved) unlink(w *waiting) {
	u.list = slices.DeleteFunc(u.list, func(o *waiting) bool { return o == w })
	u.bytes -= w.bytes
	if len(u.list) == 0 {
		u.timer.Del()
	}
}

// remove drops w and what waits in it.
func (u *unresolved) remove(w *waiting) {
	u.mu.Lock()
	if slices.Contains(u.list, w) {
		u.unlink(w)
	}
	u.mu.Unlock()
	w.queue.Purge(skb.QueuePurge)
}

// resolve sends on what waited for a new entry (Linux: ipmr_cache_resolve).
func (u *unresolved) resolve(t *table, e *entry) {
	u.mu.Lock()
	w := u.find(t, e.key)
	if w != nil {
		u.unlink(w)
	}
	u.mu.Unlock()
	if w == nil {
		return
	}
	for b := w.queue.PopFront(); b != nil; b = w.queue.PopFront() {
		dev, _ := b.Dev.(*napi.NetDevice)
		if dev == nil {
			b.Free(skb.DevReady)
			continue
		}
		u.r.forward(t, dev, b, e, false)
	}
}

// expire drops what waited in vain (Linux: ipmr_expire_process).
func (u *unresolved) expire() {
	now := u.r.clock.Now()
	var gone []*waiting
	next := int64(0)
	u.mu.Lock()
	for _, w := range slices.Clone(u.list) {
		switch {
		case w.expires <= now:
			u.unlink(w)
			gone = append(gone, w)
		case next == 0 || w.expires < next:
			next = w.expires
		}
	}
	if next != 0 {
		u.timer.Mod(next)
	}
	u.mu.Unlock()
	u.bury(gone)
}

// flush drops what waits for a table.
func (u *unresolved) flush(t *table) {
	var gone []*waiting
	u.mu.Lock()
	for _, w := range slices.Clone(u.list) {
		if w.t == t {
			u.unlink(w)
			gone = append(gone, w)
		}
	}
	u.mu.Unlock()
	u.bury(gone)
}

func (u *unresolved) bury(gone []*waiting) {
	for _, w := range gone {
		u.r.tellWaiting(RouteDel, w)
		w.queue.Purge(skb.QueuePurge)
	}
}

func (u *unresolved) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.timer.Del()
}

// keys lists what waits for a table, newest first.
func (u *unresolved) keys(t *table) (out []key) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, w := range u.list {
		if w.t == t {
			out = append(out, w.key)
		}
	}
	return out
}

func (r *Router) tellWaiting(kind EventKind, w *waiting) {
	r.notify(Event{Kind: kind, Route: Route{Table: w.t.id, Origin: w.origin, Group: w.group, Unresolved: true}})
}

// errNoDaemon is what an upcall gives when nobody listens.
const errNoDaemon = syscall.EINVAL
