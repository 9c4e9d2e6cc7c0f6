package netfilter

import (
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"barewire/skb"
)

// Point is one of the places where hooks are called (Linux: enum
// nf_inet_hooks).
type Point uint8

// Hook points, with Linux's numbers.
const (
	PreRouting Point = iota
	LocalIn
	Forward
	LocalOut
	PostRouting
	NumPoints
	// Ingress is where a device's packets come in, of whatever protocol, before
	// any of the five (Linux: NF_NETDEV_INGRESS, NF_INET_INGRESS). It is another
	// family's: no queue takes packets there.
	Ingress = NumPoints
)

var pointNames = [NumPoints]string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"} // read-only

// String returns the name iptables has for the point.
func (p Point) String() string {
	switch {
	case p < NumPoints:
		return pointNames[p]
	case p == Ingress:
		return "INGRESS"
	}
	return "UNKNOWN"
}

// Verdict is what a hook decides, with Linux's NF_* numbers in the low byte. For
// Queue the upper half is the number of the queue; see QueueTo.
type Verdict uint32

// Verdicts.
const (
	Drop   Verdict = iota // the packet is freed; the hook must not have freed it
	Accept                // go on with the next hook
	Stolen                // the hook took the packet over
	Queue                 // hand to the queue handler; without one it is a drop
	Repeat                // call this hook again
)

const (
	verdictMask   Verdict = 0xff
	verdictBypass Verdict = 0x8000
)

// Kind returns the verdict without what may stand in its upper bytes.
func (v Verdict) Kind() Verdict { return v & verdictMask }

// QueueTo is the verdict Queue for queue number num (Linux: NF_QUEUE_NR). With
// bypass the packet goes on when nobody takes it, instead of being dropped.
func QueueTo(num uint16, bypass bool) Verdict {
	v := Queue | Verdict(num)<<16
	if bypass {
		v |= verdictBypass
	}
	return v
}

// QueueNum returns the number of the queue of a verdict Queue.
func (v Verdict) QueueNum() uint16 { return uint16(v >> 16) }

// Priorities of the users of the hooks: lower runs first (Linux: enum
// nf_ip_hook_priorities).
const (
	PriFirst           = -1 << 31
	PriRawBeforeDefrag = -450
	PriConntrackDefrag = -400
	PriRaw             = -300
	PriConntrack       = -200
	PriMangle          = -150
	PriNATDst          = -100
	PriFilter          = 0
	PriSecurity        = 50
	PriNATSrc          = 100
	PriConntrackHelper = 300
	PriConfirm         = 1<<31 - 1
	PriLast            = 1<<31 - 1
)

// State is what a hook is told besides the packet (Linux: nf_hook_state).
type State struct {
	Point Point
	In    skb.Device // nil for packets made here
	Out   skb.Device // nil before routing
	Sk    any        // the sending sock, nil if none
}

// Func is a hook. It borrows b unless it returns Stolen, and s: it must not change
// the state, nor keep the pointer, also not in memory of its own while it runs,
// since s is on the caller's stack. It runs in softirq context or, on the way out,
// in the sender's; it must not block.
type Func func(b *skb.Buff, s *State) Verdict

// QueueFunc takes over a packet that got the verdict Queue, and ends it or gives
// it back with [Hooks.Reinject]. It reports false, taking nothing, when it
// cannot.
type QueueFunc func(b *skb.Buff, s State, at Place, v Verdict) bool

// Place is where in the list of a point a packet was taken out. It stays right
// when hooks come and go.
type Place struct {
	priority int
	seq      uint64
}

// After is the place behind all hooks of a priority.
func After(priority int) Place { return Place{priority, ^uint64(0)} }

// FinishFunc is the second half of the path behind a point (Linux: okfn). It
// consumes b.
type FinishFunc func(b *skb.Buff, s State)

type entry struct {
	fn       Func
	priority int
	seq      uint64 // registration order, for equal priorities and removal
}

// maxRepeat bounds how often one hook may ask to be called again for a packet,
// so that a faulty hook cannot hold the softirq.
const maxRepeat = 16

// Hooks are the hook points of one stack. The zero value has none registered.
// Registration copies the list, so that a packet sees either the old one or
// the new one.
type Hooks struct {
	lists [NumPoints + 1]atomic.Pointer[[]entry]
	queue atomic.Pointer[QueueFunc]
	// finish and useIngress are set while the stack is wired, before packets flow.
	finish     FinishFunc
	useIngress func(bool)

	mu  sync.Mutex
	seq uint64

	repeats atomic.Uint64
}

// Register enters fn at a point (Linux: nf_register_net_hook) and returns the
// function that removes it. Hooks of equal priority run in order of
// registration. It panics for a point that does not exist: that is a
// programming error.
func (h *Hooks) Register(p Point, priority int, fn Func) (remove func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq++
	seq := h.seq
	var old []entry
	if l := h.lists[p].Load(); l != nil {
		old = *l
	}
	list := append(append(make([]entry, 0, len(old)+1), old...), entry{fn, priority, seq})
	sort.SliceStable(list, func(i, j int) bool { return list[i].priority < list[j].priority })
	h.lists[p].Store(&list)
	if p == Ingress && len(list) == 1 && h.useIngress != nil {
		h.useIngress(true)
	}
	return func() { h.remove(p, seq) }
}

// RegisterIngress is Register at [Ingress] for the packets of one device.
func (h *Hooks) RegisterIngress(dev skb.Device, priority int, fn Func) (remove func()) {
	return h.Register(Ingress, priority, func(b *skb.Buff, s *State) Verdict {
		if s.In != dev {
			return Accept
		}
		return fn(b, s)
	})
}

// OnIngress says who is told when the first hook comes to [Ingress] and when
// the last has gone: the device layer calls Run only in between.
func (h *Hooks) OnIngress(fn func(used bool)) { h.useIngress = fn }

func (h *Hooks) remove(p Point, seq uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.lists[p].Load()
	if l == nil {
		return
	}
	list := make([]entry, 0, len(*l))
	for _, e := range *l {
		if e.seq != seq {
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		h.lists[p].Store(nil)
		if p == Ingress && len(*l) > 0 && h.useIngress != nil {
			h.useIngress(false)
		}
		return
	}
	h.lists[p].Store(&list)
}

// SetQueueHandler installs what takes packets with the verdict Queue (Linux:
// nf_register_queue_handler); nil removes it. EBUSY if there is one already.
func (h *Hooks) SetQueueHandler(fn QueueFunc) error {
	if fn == nil {
		h.queue.Store(nil)
		return nil
	}
	if !h.queue.CompareAndSwap(nil, &fn) {
		return syscall.EBUSY
	}
	return nil
}

// Empty reports whether no hook is registered at p.
func (h *Hooks) Empty(p Point) bool { return h.lists[p].Load() == nil }

// Run calls the hooks of a point in order (Linux: nf_hook). True means the
// caller still has the packet and goes on; false means it is gone: dropped,
// stolen or queued.
func (h *Hooks) Run(p Point, b *skb.Buff, in, out skb.Device, sk any) bool {
	l := h.lists[p].Load()
	if l == nil {
		return true
	}
	var s State // field by field: a literal would be made elsewhere and copied
	s.Point, s.In, s.Out, s.Sk = p, in, out, sk
	if int(p) >= len(h.lists) { // never, and not in the code: it says what noescape hides, that what s leads to is kept
		h.finish(b, s)
	}
	return h.slow(*l, b, noescape(&s))
}

// noescape hides s from the compiler's escape analysis, which cannot see that no
// [Func] keeps it and would allocate a state for every packet.
//
//go:nosplit
func noescape(s *State) *State {
	x := uintptr(unsafe.Pointer(s))
	return *(**State)(unsafe.Pointer(&x))
}

// SetFinish says how the path goes on behind the points, for packets that are
// given back.
func (h *Hooks) SetFinish(fn FinishFunc) { h.finish = fn }

// Reinject gives a packet back that a hook or the queue took out at a place
// (Linux: nf_reinject): with Accept it goes on with the next hook, with Repeat
// with the one it was at, and behind the last with the second half of the path;
// with Drop it is dropped. Consumes b.
func (h *Hooks) Reinject(b *skb.Buff, s State, at Place, v Verdict) {
	switch v.Kind() {
	case Accept, Repeat:
		var list []entry
		if l := h.lists[s.Point].Load(); l != nil {
			list = *l
		}
		i := sort.Search(len(list), func(i int) bool {
			e := &list[i]
			if e.priority != at.priority {
				return e.priority > at.priority
			}
			return e.seq > at.seq || v.Kind() == Repeat && e.seq == at.seq
		})
		if h.slow(list[i:], b, noescape(&s)) && h.finish != nil {
			h.finish(b, s)
		}
	case Stolen:
	default:
		b.Free(skb.NetfilterDrop)
	}
}

// slow is nf_hook_slow.
func (h *Hooks) slow(list []entry, b *skb.Buff, s *State) bool {
	for i := range list {
		v := list[i].fn(b, s)
		if v == Accept {
			continue
		}
		for n := 0; v == Repeat; n++ {
			if n == maxRepeat {
				h.repeats.Add(1)
				v = Drop
				break
			}
			v = list[i].fn(b, s)
		}
		switch v.Kind() {
		case Accept:
			continue
		case Stolen:
			return false
		case Queue:
			q := h.queue.Load()
			if q != nil && s.Point != Ingress && (*q)(b, *s, Place{list[i].priority, list[i].seq}, v) {
				return false
			}
			if v&verdictBypass != 0 {
				continue
			}
		}
		b.Free(skb.NetfilterDrop)
		return false
	}
	return true
}

// RepeatLimit returns how many packets were dropped because a hook asked for
// Repeat without end.
func (h *Hooks) RepeatLimit() uint64 { return h.repeats.Load() }
