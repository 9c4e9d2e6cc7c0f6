package napi

import (
	"sync"
	"sync/atomic"
)

// Event is a change of a device (Linux: enum netdev_cmd).
type Event uint8

// Device events, with Linux's NETDEV_* meanings.
const (
	EventRegister   Event = iota + 1 // known by name and ifindex
	EventUnregister                  // about to be forgotten; it is down
	EventUp                          // opened
	EventGoingDown                   // about to be closed, still works
	EventDown                        // closed
	EventChange                      // carrier or flags changed
	EventChangeMTU                   // MTU changed
	EventChangeAddr                  // hardware address changed
)

// String returns Linux's name without its prefix.
func (e Event) String() string {
	switch e {
	case EventRegister:
		return "REGISTER"
	case EventUnregister:
		return "UNREGISTER"
	case EventUp:
		return "UP"
	case EventGoingDown:
		return "GOING_DOWN"
	case EventDown:
		return "DOWN"
	case EventChange:
		return "CHANGE"
	case EventChangeMTU:
		return "CHANGEMTU"
	case EventChangeAddr:
		return "CHANGEADDR"
	}
	return "UNKNOWN"
}

// eventQueue is the netdevice notifier chain. Events are queued under a lock
// and delivered without one, in order, by one goroutine at a time: a notifier
// may configure devices, and what that causes is delivered after it returned.
type eventQueue struct {
	notifiers atomic.Pointer[[]*notifier]

	mu         sync.Mutex
	queue      []event
	delivering bool
}

type notifier struct{ fn func(Event, *NetDevice) }

type event struct {
	ev  Event
	dev *NetDevice
}

// RegisterNotifier has fn called for every device event from now on, and at
// once with Register, and Up where it applies, for the devices there are
// (Linux: register_netdevice_notifier). fn runs in process context without a
// lock held. The returned function takes it off the chain.
func (n *Net) RegisterNotifier(fn func(ev Event, dev *NetDevice)) (remove func()) {
	q := &n.events
	nt := &notifier{fn}
	n.rtnl.Lock() // no event of the replay below is missed or doubled
	q.update(func(l []*notifier) []*notifier { return append(l, nt) })
	replay := n.Devs()
	n.rtnl.Unlock()
	for _, d := range replay {
		fn(EventRegister, d)
		if d.Flags()&IFF_UP != 0 {
			fn(EventUp, d)
		}
	}
	return func() {
		q.update(func(l []*notifier) []*notifier {
			var keep []*notifier
			for _, o := range l {
				if o != nt {
					keep = append(keep, o)
				}
			}
			return keep
		})
	}
}

func (q *eventQueue) update(f func([]*notifier) []*notifier) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var old []*notifier
	if p := q.notifiers.Load(); p != nil {
		old = *p
	}
	l := f(old[:len(old):len(old)])
	q.notifiers.Store(&l)
}

func (q *eventQueue) add(ev Event, dev *NetDevice) {
	q.mu.Lock()
	q.queue = append(q.queue, event{ev, dev})
	q.mu.Unlock()
}

// deliver empties the queue unless another goroutine is at it.
func (q *eventQueue) deliver() {
	q.mu.Lock()
	if q.delivering {
		q.mu.Unlock()
		return
	}
	q.delivering = true
	for len(q.queue) > 0 {
		e := q.queue[0]
		q.queue = q.queue[1:]
		q.mu.Unlock()
		if l := q.notifiers.Load(); l != nil {
			for _, nt := range *l {
				nt.fn(e.ev, e.dev)
			}
		}
		q.mu.Lock()
	}
	q.queue = nil
	q.delivering = false
	q.mu.Unlock()
}
