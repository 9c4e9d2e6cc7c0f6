package conntrack

import (
	"sync"
	"sync/atomic"
)

// Event is a set of things that happened to a connection (Linux: enum
// ip_conntrack_events), as bits.
type Event uint32

// Events.
const (
	EventNew     Event = 1 << iota // it came into the table
	EventRelated                   // so did one that was expected
	EventDestroy                   // it left the table
	EventReply                     // the first packet of the other direction
	EventAssured
	EventProtoInfo // the protocol's state changed
	EventHelper
	EventMark
	EventSeqAdj
	EventSecMark
	EventLabel
	EventSynproxy

	EventAll = EventSynproxy<<1 - 1
)

// ExpectEvent is what happened to an expectation (Linux: enum
// ip_conntrack_expect_events).
type ExpectEvent uint32

// Events of expectations.
const (
	ExpectEventNew ExpectEvent = 1 << iota
	ExpectEventDestroy
)

// Watcher is told what happens to connections, in the context of the packet that
// made it happen: it must not block. Nil functions are not called.
type Watcher struct {
	Mask   Event // which events of Conn are wanted
	Conn   func(ev Event, c *Conn)
	Expect func(ev ExpectEvent, e *Expect)
}

type watchers struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*Watcher]
	mask atomic.Uint32 // of all
}

// Watch enters w until the returned function is called. w must not be changed.
func (t *Table) Watch(w *Watcher) (stop func()) {
	t.watch.change(func(l []*Watcher) []*Watcher { return append(l, w) })
	return func() {
		t.watch.change(func(l []*Watcher) []*Watcher {
			for i := range l {
				if l[i] == w {
					return append(l[:i], l[i+1:]...)
				}
			}
			return l
		})
	}
}

func (s *watchers) change(fn func([]*Watcher) []*Watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var l []*Watcher
	if p := s.list.Load(); p != nil {
		l = append(l, *p...)
	}
	l = fn(l)
	var mask Event
	for _, w := range l {
		mask |= w.Mask
	}
	s.list.Store(&l)
	s.mask.Store(uint32(mask))
}

// Note keeps events for the next time they are told: when the packet at hand
// went through (Linux: nf_conntrack_event_cache).
func (c *Conn) Note(ev Event) {
	t := c.table
	if t == nil || Event(t.watch.mask.Load())&ev == 0 || t.Conf.Events.Load() == 0 {
		return
	}
	if p := c.policy.Load(); p != nil && p.Events != nil && *p.Events&uint32(ev) == 0 {
		return
	}
	c.events.Or(uint32(ev))
}

// Deliver tells what was noted for c (Linux: nf_ct_deliver_cached_events).
func (c *Conn) Deliver() {
	if c.events.Load() == 0 || c.IsDying() || !c.IsConfirmed() {
		return
	}
	if ev := Event(c.events.Swap(0)); ev != 0 {
		c.table.tell(ev, c)
	}
}

// notify tells an event at once.
func (t *Table) notify(ev Event, c *Conn) {
	if Event(t.watch.mask.Load())&ev == 0 || t.Conf.Events.Load() == 0 {
		return
	}
	if p := c.policy.Load(); p != nil && p.Events != nil && *p.Events&uint32(ev) == 0 {
		return
	}
	t.tell(ev, c)
}

func (t *Table) tell(ev Event, c *Conn) {
	for _, w := range *t.watch.list.Load() {
		if w.Conn != nil && w.Mask&ev != 0 {
			w.Conn(ev&w.Mask, c)
		}
	}
}

func (t *Table) tellExpect(ev ExpectEvent, e *Expect) {
	l := t.watch.list.Load()
	if l == nil || t.Conf.Events.Load() == 0 {
		return
	}
	for _, w := range *l {
		if w.Expect != nil {
			w.Expect(ev, e)
		}
	}
}
