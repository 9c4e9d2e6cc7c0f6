package sys

import (
	"slices"
	"sync"
	"syscall"
)

// epoll (Linux: fs/eventpoll.c). The Go runtime does not need it here; programs
// with an event loop of their own do.

const (
	epollExclusive = 1 << 28
	epollWakeup    = 1 << 29 // nothing sleeps here
	epollOneshot   = 1 << 30
	epollET        = 1 << 31
	// epollPrivate are the bits of an interest that are not events; an item
	// with nothing else is disabled (Linux: EP_PRIVATE_BITS).
	epollPrivate = epollOneshot | epollET | epollExclusive | epollWakeup
	// epollExclusiveOK are those that may stand beside EPOLLEXCLUSIVE (Linux:
	// EPOLLEXCLUSIVE_OK_BITS).
	epollExclusiveOK = uint32(pollIn|pollOut|pollErr|pollHup) | epollWakeup | epollET | epollExclusive

	epMaxNests = 4 // Linux: EP_MAX_NESTS

	epCtlAdd = 1
	epCtlDel = 2
	epCtlMod = 3

	epMaxEvents = int32((1<<31 - 1) / 12) // Linux: EP_MAX_EVENTS
)

// epollEvent is struct epoll_event, packed on amd64.
type epollEvent struct {
	events uint32
	data   [8]byte
}

// epKey names an item: the same file may be in once per descriptor.
type epKey struct {
	f  *File
	fd uint32
}

// eventpoll is an epoll instance.
type eventpoll struct {
	baseFile
	file *File // its own

	mu    sync.Mutex
	items map[epKey]*epItem
	ready []*epItem // queued items in order, from head on
	head  int

	// Nesting, under Kernel.epMu: the instances in this one and those it is
	// in, each with how often.
	inner, outer map[*eventpoll]int
}

// epItem is one interest. Everything mutable is under ep.mu.
type epItem struct {
	ep     *eventpoll
	key    epKey
	ev     epollEvent
	queued bool
	dead   bool
	// exclusive is EPOLLEXCLUSIVE: of several such items of a file one is
	// told. It does not change.
	exclusive bool
}

// wakeup queues the item when it cares (Linux: ep_poll_callback).
func (it *epItem) wakeup(events uint16) { it.tell(events) }

// tell is wakeup and returns whether somebody who waits was told of events the
// item is for, so that no other exclusive item need be.
func (it *epItem) tell(events uint16) (used bool) {
	ep := it.ep
	ep.mu.Lock()
	care := !it.dead && it.ev.events&^epollPrivate != 0 &&
		uint32(events)&(it.ev.events|uint32(pollErr|pollHup)) != 0
	if care {
		ep.enqueue(it)
		inOut := uint32(events & (pollIn | pollOut))
		used = (inOut == 0 || inOut&it.ev.events != 0) && ep.file.wait.any()
	}
	ep.mu.Unlock()
	if care {
		ep.file.wait.wake(pollIn | pollRdNorm)
	}
	return used
}

func (ep *eventpoll) enqueue(it *epItem) {
	if it.queued {
		return
	}
	if len(ep.ready) == cap(ep.ready) && ep.head > len(ep.ready)/2 {
		n := copy(ep.ready, ep.ready[ep.head:])
		clear(ep.ready[n:])
		ep.ready, ep.head = ep.ready[:n], 0
	}
	it.queued = true
	ep.ready = append(ep.ready, it)
}

// dequeue returns the first queued item, nil if there is none.
func (ep *eventpoll) dequeue() *epItem {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	if ep.head == len(ep.ready) {
		return nil
	}
	it := ep.ready[ep.head]
	ep.ready[ep.head] = nil
	if ep.head++; ep.head == len(ep.ready) {
		ep.ready, ep.head = ep.ready[:0], 0
	}
	it.queued = false
	return it
}

func (*eventpoll) pollable() bool { return true }

func (ep *eventpoll) poll(*File) uint16 {
	ep.mu.Lock()
	items := append([]*epItem(nil), ep.ready[ep.head:]...)
	ep.mu.Unlock()
	for _, it := range items {
		if it.revents() != 0 {
			return pollIn | pollRdNorm
		}
	}
	return 0
}

// revents returns what the item's file is ready for among what it wants.
func (it *epItem) revents() uint32 {
	it.ep.mu.Lock()
	want := it.ev.events
	dead := it.dead
	it.ep.mu.Unlock()
	if dead || want&^epollPrivate == 0 || !it.key.f.tryGet() {
		return 0
	}
	m := uint32(it.key.f.ops.poll(it.key.f)) & (want | uint32(pollErr|pollHup))
	it.key.f.put()
	return m
}

func (ep *eventpoll) stat(_ *File, st *syscall.Stat_t) { st.Mode = 0o600 }

func (ep *eventpoll) release(f *File) {
	ep.mu.Lock()
	var items []*epItem
	for _, it := range ep.items {
		items = append(items, it)
	}
	ep.mu.Unlock()
	for _, it := range items {
		ep.drop(f.k, it)
	}
}

// drop takes an item out.
func (ep *eventpoll) drop(k *Kernel, it *epItem) {
	ep.mu.Lock()
	gone := it.dead
	it.dead = true
	delete(ep.items, it.key)
	if i := slices.Index(ep.ready, it); i >= 0 {
		ep.ready = slices.Delete(ep.ready, i, i+1)
	}
	ep.mu.Unlock()
	if gone {
		return
	}
	it.key.f.wait.removeWaker(it)
	if inner, ok := it.key.f.ops.(*eventpoll); ok {
		k.unnest(ep, inner)
	}
}

// detachEpoll takes a file that ends out of every instance that has it (Linux:
// eventpoll_release).
func (f *File) detachEpoll() {
	for {
		w := f.wait.remove(func(w waker) bool {
			it, ok := w.(*epItem)
			return ok && it.key.f == f
		})
		if w == nil {
			return
		}
		it := w.(*epItem)
		it.ep.drop(f.k, it)
	}
}

func sysEpollCreate(k *Kernel, a args) (uintptr, Errno) {
	if int32(a.a0) <= 0 {
		return 0, syscall.EINVAL
	}
	return k.epollCreate(0)
}

func sysEpollCreate1(k *Kernel, a args) (uintptr, Errno) {
	if uint32(a.a0)&^syscall.O_CLOEXEC != 0 {
		return 0, syscall.EINVAL
	}
	return k.epollCreate(uint32(a.a0))
}

func (k *Kernel) epollCreate(flags uint32) (uintptr, Errno) {
	ep := &eventpoll{items: map[epKey]*epItem{}}
	ep.file = k.newFile(ep, syscall.O_RDWR)
	return k.installNew(ep.file, flags&syscall.O_CLOEXEC != 0)
}

// sysEpollCtl checks in the order of do_epoll_ctl.
func sysEpollCtl(k *Kernel, a args) (uintptr, Errno) {
	op := int32(a.a1)
	var ev epollEvent
	var e Errno
	if op != epCtlDel {
		if ev, e = copyFrom[epollEvent](k, a.a3); e != 0 {
			return 0, e
		}
	}
	ef, e := k.files.get(a.a0)
	if e != 0 {
		return 0, e
	}
	defer ef.put()
	f, e := k.files.get(a.a2)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	if !f.ops.pollable() {
		return 0, syscall.EPERM
	}
	ep, ok := ef.ops.(*eventpoll)
	if !ok || ef == f {
		return 0, syscall.EINVAL
	}
	key := epKey{f, uint32(a.a2)}
	ep.mu.Lock()
	it := ep.items[key]
	ep.mu.Unlock()
	ev.events |= uint32(pollErr | pollHup)
	switch {
	case op != epCtlDel && ev.events&epollExclusive != 0 && !exclusiveOK(op, f, ev.events):
		return 0, syscall.EINVAL
	case op == epCtlAdd && it != nil:
		return 0, syscall.EEXIST
	case op == epCtlAdd:
		return 0, ep.addItem(k, key, ev)
	case op != epCtlDel && op != epCtlMod:
		return 0, syscall.EINVAL
	case it == nil:
		return 0, syscall.ENOENT
	case op == epCtlDel:
		ep.drop(k, it)
		return 0, 0
	case it.exclusive:
		return 0, syscall.EINVAL
	}
	ep.mu.Lock()
	it.ev = ev
	ep.mu.Unlock()
	it.wakeup(f.ops.poll(f)) // it may be ready for what it now wants
	return 0, 0
}

// exclusiveOK reports whether EPOLLEXCLUSIVE may be asked for: when an item is
// added, with the events a crowd waits for, and not for another instance.
func exclusiveOK(op int32, f *File, events uint32) bool {
	_, nested := f.ops.(*eventpoll)
	return op == epCtlAdd && !nested && events&^epollExclusiveOK == 0
}

func (ep *eventpoll) addItem(k *Kernel, key epKey, ev epollEvent) Errno {
	inner, nested := key.f.ops.(*eventpoll)
	if nested {
		if e := k.nest(ep, inner); e != 0 {
			return e
		}
	}
	it := &epItem{ep: ep, key: key, ev: ev, exclusive: ev.events&epollExclusive != 0}
	ep.mu.Lock()
	if ep.items[key] != nil { // another call was first
		ep.mu.Unlock()
		if nested {
			k.unnest(ep, inner)
		}
		return syscall.EEXIST
	}
	ep.items[key] = it
	ep.mu.Unlock()
	key.f.wait.add(it)
	it.wakeup(key.f.ops.poll(key.f))
	return 0
}

// nest notes that inner is in ep. ELOOP when wake-ups could go round, or
// through more than epMaxNests instances (Linux: ep_loop_check).
func (k *Kernel) nest(ep, inner *eventpoll) Errno {
	k.epMu.Lock()
	defer k.epMu.Unlock()
	down := inner.depth(ep, func(e *eventpoll) map[*eventpoll]int { return e.inner })
	up := ep.depth(inner, func(e *eventpoll) map[*eventpoll]int { return e.outer })
	if down+1+up > epMaxNests {
		return syscall.ELOOP
	}
	if ep.inner == nil {
		ep.inner = map[*eventpoll]int{}
	}
	if inner.outer == nil {
		inner.outer = map[*eventpoll]int{}
	}
	ep.inner[inner]++
	inner.outer[ep]++
	return 0
}

func (k *Kernel) unnest(ep, inner *eventpoll) {
	k.epMu.Lock()
	defer k.epMu.Unlock()
	if ep.inner[inner]--; ep.inner[inner] == 0 {
		delete(ep.inner, inner)
		delete(inner.outer, ep)
		return
	}
	inner.outer[ep]--
}

// depth returns how many instances lie behind ep in one direction, more than
// epMaxNests when stop is among them. What is there already is no deeper than
// that, so the walk ends.
func (ep *eventpoll) depth(stop *eventpoll, next func(*eventpoll) map[*eventpoll]int) int {
	most := 0
	for n := range next(ep) {
		if n == stop {
			return epMaxNests + 1
		}
		if most = max(most, 1+n.depth(stop, next)); most > epMaxNests {
			break
		}
	}
	return most
}

func sysEpollWait(k *Kernel, a args) (uintptr, Errno) {
	timeout := int64(forever)
	if ms := int32(a.a3); ms >= 0 {
		timeout = int64(ms) * 1e6
	}
	return k.epollWait(a.a0, a.a1, int32(a.a2), timeout)
}

// sysEpollPwait is epoll_wait with a signal mask, which changes nothing.
func sysEpollPwait(k *Kernel, a args) (uintptr, Errno) {
	if e := k.signalMask(a.a4, a.a5); e != 0 {
		return 0, e
	}
	return sysEpollWait(k, a)
}

func sysEpollPwait2(k *Kernel, a args) (uintptr, Errno) {
	timeout, e := k.timeoutFrom(a.a3)
	if e != 0 {
		return 0, e
	}
	if e := k.signalMask(a.a4, a.a5); e != 0 {
		return 0, e
	}
	return k.epollWait(a.a0, a.a1, int32(a.a2), timeout)
}

func (k *Kernel) epollWait(fd, out uintptr, n int32, timeout int64) (uintptr, Errno) {
	if n <= 0 || n > epMaxEvents {
		return 0, syscall.EINVAL
	}
	if !k.accessOK(out, uintptr(n)*12) {
		return 0, syscall.EFAULT
	}
	f, e := k.files.get(fd)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	ep, ok := f.ops.(*eventpoll)
	if !ok {
		return 0, syscall.EINVAL
	}
	c := ep.collect(k, out, int(n))
	if c > 0 || timeout == 0 {
		return uintptr(c), 0
	}
	deadline := k.deadline(timeout)
	ep.busyPoll()
	s := k.newSleeper()
	f.wait.add(s)
	defer f.wait.removeWaker(s)
	for {
		if c = ep.collect(k, out, int(n)); c > 0 {
			return uintptr(c), 0
		}
		if s.until(k.cfg.Clock, deadline) {
			return uintptr(ep.collect(k, out, int(n))), 0
		}
	}
}

// collect stores up to n events (Linux: ep_send_events). Files are polled
// without ep.mu, which softirq takes. A level-triggered item goes back to the
// end of the queue; a oneshot item is disabled.
func (ep *eventpoll) collect(k *Kernel, out uintptr, n int) int {
	ep.mu.Lock()
	tries := len(ep.ready) - ep.head
	ep.mu.Unlock()
	c := 0
	for ; tries > 0 && c < n; tries-- {
		it := ep.dequeue()
		if it == nil {
			break
		}
		m := it.revents()
		if m == 0 {
			continue
		}
		ep.mu.Lock()
		ev := it.ev
		if it.dead || ev.events&^epollPrivate == 0 {
			ep.mu.Unlock()
			continue
		}
		switch {
		case ev.events&epollOneshot != 0:
			it.ev.events &= epollPrivate
		case ev.events&epollET == 0:
			ep.enqueue(it)
		}
		ep.mu.Unlock()
		ev.events = m
		copyTo(k, out+uintptr(c)*12, ev)
		c++
	}
	return c
}
