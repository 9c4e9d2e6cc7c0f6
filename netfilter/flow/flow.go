package flow

import (
	"sync"
	"sync/atomic"
	"time"

	"barewire/netfilter"
	"barewire/netfilter/conntrack"
	"barewire/netfilter/nat"
	"barewire/skb"
	"barewire/skb/header"
	"barewire/skb/siphash"
)

// Config is what a flow table needs from above.
type Config struct {
	Conntrack *conntrack.Table
	Hooks     *netfilter.Hooks
	// Now returns monotonic nanoseconds.
	Now  func() int64
	Rand func(b []byte)
	// Fits reports whether b may leave by d as it is: not longer than the link
	// takes, and d still holds.
	Fits func(b *skb.Buff, d skb.Dst) bool
	// Route returns the way of packets to an address out of a device, nil if
	// there is none.
	Route func(to header.Addr, by skb.Device, mark uint32) skb.Dst
	// Send passes a forwarded packet, whose header is final, on by d. It consumes
	// b.
	Send func(b *skb.Buff, d skb.Dst)
	// Max is how many flows there may be; 0 for DefaultMax.
	Max int
}

// DefaultMax bounds the flows.
const DefaultMax = 1 << 17

// Table is the flows of one stack.
type Table struct {
	cfg Config
	key siphash.Key

	// TCPTimeout and UDPTimeout are how long a flow without packets lives, ns.
	TCPTimeout, UDPTimeout atomic.Int64
	// Added, Ended, Full and Packets count flows, those there was no room for,
	// and packets that took the short way.
	Added, Ended, Full, Packets atomic.Uint64

	count atomic.Int64
	gen   atomic.Uint32 // another with every change of the routes
	heads []atomic.Pointer[entry]

	mu      sync.Mutex // of all changes
	flows   []*flow
	gcAt    int // index the GC goes on at
	remove  func()
	auto    func()
	stopped bool
}

// defaultTimeout is net.netfilter.nf_flowtable_tcp_timeout and _udp_timeout.
const defaultTimeout = 30 * time.Second

const buckets = 1 << 14

// key is what the packets of one direction have in common.
type key struct {
	src, dst     header.Addr
	sport, dport uint16
	proto        uint8
	in           int32 // ifindex of the device they come by
}

func (k *key) bucket(s *siphash.Key) uint32 {
	return uint32(s.Quick2(uint64(k.src)<<32|uint64(k.dst),
		uint64(k.sport)<<48|uint64(k.dport)<<32|uint64(uint32(k.in))<<8|uint64(k.proto))) & (buckets - 1)
}

// entry is one direction of a flow.
type entry struct {
	key        key
	next       atomic.Pointer[entry]
	flow       *flow
	dir        conntrack.Dir
	src, dst   nat.End // what the ends become
	snat, dnat bool
	out        skb.Dst
}

// flow is a connection past tracking (Linux: struct flow_offload).
type flow struct {
	conn    *conntrack.Conn
	dirs    [conntrack.NumDirs]entry
	gen     uint32
	at      int // place in Table.flows, -1 for out of it
	expires atomic.Int64
}

// New makes a flow table that takes no packets yet.
func New(c Config) *Table {
	if c.Max == 0 {
		c.Max = DefaultMax
	}
	t := &Table{cfg: c, key: siphash.NewKey(c.Rand)}
	t.TCPTimeout.Store(int64(defaultTimeout))
	t.UDPTimeout.Store(int64(defaultTimeout))
	return t
}

// Count returns how many flows there are.
func (t *Table) Count() int { return int(t.count.Load()) }

// Changed ends all flows, because routes, rules or addresses changed: each at its
// next packet or at the next GC.
func (t *Table) Changed() { t.gen.Add(1) }

// SetAuto has every connection that may be offloaded taken over when one of its
// packets is forwarded, without a rule that says so, or no longer.
func (t *Table) SetAuto(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case on && t.auto == nil && !t.stopped:
		t.auto = t.cfg.Hooks.Register(netfilter.Forward, netfilter.PriLast, func(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
			t.Offload(b, s)
			return netfilter.Accept
		})
	case !on && t.auto != nil:
		t.auto()
		t.auto = nil
	}
}

// Offload takes the connection of b, a packet at FORWARD, over if it may be
// (Linux: nft_flow_offload_eval). It reports whether there is a flow now.
func (t *Table) Offload(b *skb.Buff, s *netfilter.State) bool {
	c, info := conntrack.Get(b)
	if c == nil || s.In == nil || s.Out == nil || b.Dst == nil {
		return false
	}
	st := c.Status()
	if st&conntrack.Offload != 0 {
		return true
	}
	if st&conntrack.Confirmed == 0 || st&conntrack.SeenReply == 0 || info != conntrack.Established && info != conntrack.EstablishedReply ||
		st&(conntrack.SeqAdjust|conntrack.NATClash|conntrack.Dying|conntrack.Template) != 0 || c.Helper() != nil {
		return false
	}
	h, ok := header.ParseIPv4(b.Data())
	if !ok || h.HeaderLen() != header.IPv4MinLen || h.IsFragment() {
		return false
	}
	switch h.Protocol() {
	case header.ProtoTCP:
		th, ok := header.ParseTCP(b.Data()[header.IPv4MinLen:])
		if !ok || th.Flags()&(header.TCPFin|header.TCPRst|header.TCPSyn) != 0 || c.TCPState() != conntrack.TCPEstablished {
			return false
		}
	case header.ProtoUDP:
	default:
		return false
	}
	return t.add(b, s, c, info.Dir())
}

// add makes the flow.
func (t *Table) add(b *skb.Buff, s *netfilter.State, c *conntrack.Conn, d conntrack.Dir) bool {
	f := &flow{conn: c, gen: t.gen.Load()}
	there, back := c.Tuple(d), c.Tuple(d.Other())
	// The answers go to the sender, by the device its packets come by.
	out := t.cfg.Route(there.Src, s.In, b.Mark)
	if out == nil {
		return false
	}
	f.init(d, &there, s.In, b.Dst)
	f.init(d.Other(), &back, s.Out, out)
	f.expires.Store(t.cfg.Now() + t.timeout(there.Proto))
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return false
	}
	if len(t.flows) >= t.cfg.Max {
		t.Full.Add(1)
		return false
	}
	if !c.BeginOffload() {
		return true
	}
	if t.heads == nil {
		t.heads = make([]atomic.Pointer[entry], buckets)
	}
	for i := range f.dirs {
		e := &f.dirs[i]
		head := &t.heads[e.key.bucket(&t.key)]
		e.next.Store(head.Load())
		head.Store(e)
	}
	f.at = len(t.flows)
	t.flows = append(t.flows, f)
	t.count.Store(int64(len(t.flows)))
	t.Added.Add(1)
	if t.remove == nil {
		t.remove = t.cfg.Hooks.Register(netfilter.PreRouting, netfilter.PriFirst, t.hook)
	}
	return true
}

func (f *flow) init(d conntrack.Dir, k *conntrack.Tuple, in skb.Device, out skb.Dst) {
	e := &f.dirs[d]
	*e = entry{key: key{k.Src, k.Dst, k.SrcPort, k.DstPort, k.Proto, in.Ifindex()}, flow: f, dir: d, out: out}
	e.src, e.snat = nat.Target(f.conn, d, nat.Src)
	e.dst, e.dnat = nat.Target(f.conn, d, nat.Dst)
}

func (t *Table) timeout(proto uint8) int64 {
	if proto == header.ProtoTCP {
		return t.TCPTimeout.Load()
	}
	return t.UDPTimeout.Load()
}

// end takes a flow out and gives its connection back to tracking (Linux:
// flow_offload_teardown, flow_offload_del).
func (t *Table) end(f *flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLocked(f)
}

func (t *Table) endLocked(f *flow) {
	if f.at < 0 {
		return
	}
	last := t.flows[len(t.flows)-1]
	t.flows[f.at], last.at = last, f.at
	t.flows[len(t.flows)-1] = nil
	t.flows = t.flows[:len(t.flows)-1]
	f.at = -1
	t.count.Store(int64(len(t.flows)))
	for i := range f.dirs {
		e := &f.dirs[i]
		at := &t.heads[e.key.bucket(&t.key)]
		for m := at.Load(); m != nil; m = at.Load() {
			if m == e {
				at.Store(e.next.Load()) // e still leads on, for readers that are at it
				break
			}
			at = &m.next
		}
	}
	idle := t.timeout(f.dirs[0].key.proto)
	if left := f.expires.Load() - t.cfg.Now(); left > 0 {
		idle -= left
	}
	f.conn.EndOffload(max(idle, 0))
	t.Ended.Add(1)
	if len(t.flows) == 0 && t.remove != nil {
		t.remove()
		t.remove = nil
	}
}

// gcWhole is in how many calls the GC comes round, at least gcStep flows in each:
// packets wait meanwhile.
const gcWhole, gcStep = 16, 256

// GC ends what has expired, and keeps the connections of the rest from it. It
// does a part of the flows, and is to be called a few times a second (Linux:
// nf_flow_offload_work_gc).
func (t *Table) GC() {
	if t.count.Load() == 0 {
		return
	}
	now, gen := t.cfg.Now(), t.gen.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	for range max(len(t.flows)/gcWhole, gcStep) {
		if t.gcAt >= len(t.flows) {
			t.gcAt = 0
			return
		}
		f := t.flows[t.gcAt]
		if f.gen != gen || f.conn.IsDying() || f.expires.Load() <= now {
			t.endLocked(f) // another one is there now
			continue
		}
		f.conn.KeepOffloaded()
		t.gcAt++
	}
}

// Close ends all flows and takes no more.
func (t *Table) Close() {
	t.SetAuto(false)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	for len(t.flows) > 0 {
		t.endLocked(t.flows[0])
	}
}
