package neigh

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"barewire/inet/header"
	"barewire/inet/mib"
	"barewire/napi"
	"barewire/skb"
)

// Params are the settings of a table, with Linux's names and defaults
// (net.ipv4.neigh.default.*). Times are in nanoseconds.
type Params struct {
	BaseReachableTime int64 // base_reachable_time: 30 s
	RetransTime       int64 // retrans_time: 1 s
	DelayProbeTime    int64 // delay_first_probe_time: 5 s
	LockTime          int64 // locktime: 1 s
	GCStaleTime       int64 // gc_stale_time: 60 s
	GCInterval        int64 // gc_interval: 30 s
	UcastProbes       int   // ucast_solicit: 3
	McastProbes       int   // mcast_solicit: 3
	QueueBytes        int   // unres_qlen_bytes: 212992, for one neighbour
	TotalQueueBytes   int64 // for all neighbours together: 8 MiB
	GCThresh1         int   // 128
	GCThresh2         int   // 512
	GCThresh3         int   // 1024
}

// DefaultParams returns Linux's defaults.
func DefaultParams() Params {
	const s = int64(time.Second)
	return Params{
		BaseReachableTime: 30 * s, RetransTime: s, DelayProbeTime: 5 * s, LockTime: s,
		GCStaleTime: 60 * s, GCInterval: 30 * s, UcastProbes: 3, McastProbes: 3,
		QueueBytes: 212992, TotalQueueBytes: 8 << 20, GCThresh1: 128, GCThresh2: 512, GCThresh3: 1024,
	}
}

// Ops is the protocol behind a table (Linux: neigh_ops and the constructor);
// ARP is the one there is.
type Ops interface {
	// Solicit asks for the neighbour's hardware address. b is a packet that
	// waits for it, borrowed, or nil. probe counts from 0; unicast asks the
	// address in hw, otherwise everybody.
	Solicit(n *Neigh, b *skb.Buff, unicast bool, hw [6]byte)
	// Error ends a packet whose neighbour could not be resolved. Consumes b.
	Error(n *Neigh, b *skb.Buff)
	// Static returns the hardware address of neighbours that need no
	// resolution, multicast and broadcast and those on links without ARP.
	Static(dev *napi.NetDevice, addr header.Addr) (hw [6]byte, ok bool)
}

const hashBits = 8 // 256 chains for at most about 1024 entries

// Table is a neighbour table (Linux: struct neigh_table).
type Table struct {
	net   *napi.Net
	clock napi.Clock
	ops   Ops
	stats *mib.ARP
	p     Params
	key   uint64

	buckets [1 << hashBits]atomic.Pointer[Neigh]
	queued  atomic.Int64 // truesize of all packets that wait

	mu         sync.Mutex // writers: chains, the list and what follows
	list, last *Neigh     // oldest first
	entries    int
	lastFlush  int64
	gc         napi.Timer
	closed     bool
}

// New makes a table for the devices of net.
func New(net *napi.Net, ops Ops, stats *mib.ARP, p Params) *Table {
	t := &Table{net: net, clock: net.Clock(), ops: ops, stats: stats, p: p}
	var key [8]byte
	net.Rand(key[:])
	t.key = binary.LittleEndian.Uint64(key[:]) | 1
	t.lastFlush = t.clock.Now()
	t.gc.Init(net.Timers(), func(*napi.Timer) { t.periodic() })
	return t
}

// Params returns the table's settings.
func (t *Table) Params() Params { return t.p }

// Len returns the number of entries.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.entries
}

func (t *Table) bucket(dev *napi.NetDevice, addr header.Addr) *atomic.Pointer[Neigh] {
	x := (uint64(addr)<<32 | uint64(uint32(dev.Ifindex()))) ^ t.key
	hi, lo := bits.Mul64(x, 0x9e3779b97f4a7c15^t.key<<1)
	return &t.buckets[(hi^lo)>>(64-hashBits)]
}

// Lookup returns the entry for addr on dev, nil if there is none (Linux:
// neigh_lookup). It takes no lock.
func (t *Table) Lookup(dev *napi.NetDevice, addr header.Addr) *Neigh {
	for n := t.bucket(dev, addr).Load(); n != nil; n = n.hashNext.Load() {
		if n.addr == addr && n.dev == dev {
			return n
		}
	}
	return nil
}

// Get returns the entry for addr on dev and makes it if need be (Linux:
// __neigh_create). ENOBUFS when the table is full and nothing can go.
func (t *Table) Get(dev *napi.NetDevice, addr header.Addr) (*Neigh, error) {
	if n := t.Lookup(dev, addr); n != nil {
		return n, nil
	}
	var drop []*Neigh
	t.mu.Lock()
	if n := t.Lookup(dev, addr); n != nil {
		t.mu.Unlock()
		return n, nil
	}
	if t.closed {
		t.mu.Unlock()
		return nil, syscall.ENOBUFS
	}
	now := t.clock.Now()
	if t.entries >= t.p.GCThresh3 || t.entries >= t.p.GCThresh2 && now-t.lastFlush > 5*int64(time.Second) {
		drop = t.forcedGC(now)
	}
	if t.entries >= t.p.GCThresh3 {
		t.mu.Unlock()
		t.stats.TableFulls.Add(1)
		t.bury(drop)
		return nil, syscall.ENOBUFS
	}
	n := &Neigh{t: t, dev: dev, addr: addr}
	n.confirmed = now - 2*t.p.BaseReachableTime
	n.updated, n.created = now, now
	n.timer.Init(t.net.Timers(), func(*napi.Timer) { n.expire() })
	if hw, ok := t.ops.Static(dev, addr); ok {
		n.state.Store(NUDNoARP)
		n.setHW(hw)
	}
	b := t.bucket(dev, addr)
	n.hashNext.Store(b.Load())
	b.Store(n)
	n.prev = t.last
	if t.last == nil {
		t.list = n
	} else {
		t.last.next = n
	}
	t.last = n
	t.entries++
	if t.entries == 1 {
		t.gc.Mod(now + t.p.GCInterval)
	}
	t.mu.Unlock()
	t.stats.Allocs.Add(1)
	t.bury(drop)
	return n, nil
}

// unlink takes n out of chain and list; the caller holds mu and then buries n.
// A reader that stands on n still finds the rest of the chain.
func (t *Table) unlink(n *Neigh) {
	p := t.bucket(n.dev, n.addr)
	for q := p.Load(); q != nil; q = p.Load() {
		if q == n {
			p.Store(n.hashNext.Load())
			break
		}
		p = &q.hashNext
	}
	if n.prev == nil {
		t.list = n.next
	} else {
		n.prev.next = n.next
	}
	if n.next == nil {
		t.last = n.prev
	} else {
		n.next.prev = n.prev
	}
	n.next, n.prev = nil, nil
	t.entries--
}

// bury ends entries that are no longer in the table: packets that wait are
// dropped. No lock is held.
func (t *Table) bury(list []*Neigh) {
	for _, n := range list {
		n.mu.Lock()
		n.dead.Store(true)
		n.timer.Del()
		var q skb.List
		n.takeQueue(&q)
		n.mu.Unlock()
		q.Purge(skb.NeighDead)
		t.stats.Destroys.Add(1)
	}
}

// forcedGC is neigh_forced_gc; see the package comment for the rule.
func (t *Table) forcedGC(now int64) (drop []*Neigh) {
	t.stats.ForcedGCRuns.Add(1)
	t.lastFlush = now
	for n := t.list; n != nil && t.entries > t.p.GCThresh2; {
		next := n.next
		if n.evictable(now, 5*int64(time.Second)) {
			t.unlink(n)
			drop = append(drop, n)
		}
		n = next
	}
	return drop
}

// periodic removes what was not used for gc_stale_time, once there are more
// than GCThresh1 entries (neigh_periodic_work).
func (t *Table) periodic() {
	now := t.clock.Now()
	var drop []*Neigh
	t.mu.Lock()
	t.stats.PeriodicGCRuns.Add(1)
	for n := t.list; n != nil && t.entries >= t.p.GCThresh1; {
		next := n.next
		if n.idle(now, t.p.GCStaleTime) {
			t.unlink(n)
			drop = append(drop, n)
		}
		n = next
	}
	if t.entries > 0 && !t.closed {
		t.gc.Mod(now + t.p.GCInterval)
	}
	t.mu.Unlock()
	t.bury(drop)
}

// FlushDev removes the entries of dev, all devices' when it is nil, permanent
// ones only when all is true (Linux: neigh_ifdown, neigh_changeaddr).
func (t *Table) FlushDev(dev *napi.NetDevice, all bool) {
	var drop []*Neigh
	t.mu.Lock()
	for n := t.list; n != nil; {
		next := n.next
		if (dev == nil || n.dev == dev) && (all || n.state.Load()&NUDPermanent == 0) {
			t.unlink(n)
			drop = append(drop, n)
		}
		n = next
	}
	t.mu.Unlock()
	t.bury(drop)
}

// Close removes everything and refuses new entries; for the end of a
// namespace.
func (t *Table) Close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.gc.Del()
	t.FlushDev(nil, true)
}

// Entry is a copy of one neighbour for listings.
type Entry struct {
	Dev    *napi.NetDevice
	Addr   header.Addr
	HW     [6]byte
	State  uint32
	Queued int // packets waiting
}

// Entries returns all neighbours, oldest first.
func (t *Table) Entries() []Entry {
	t.mu.Lock()
	var all []*Neigh
	for n := t.list; n != nil; n = n.next {
		all = append(all, n)
	}
	t.mu.Unlock()
	out := make([]Entry, 0, len(all))
	for _, n := range all {
		n.mu.Lock()
		out = append(out, Entry{Dev: n.dev, Addr: n.addr, HW: n.hwLocked(), State: n.state.Load(), Queued: n.queue.Len()})
		n.mu.Unlock()
	}
	return out
}
