package neigh

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"barewire/inet/mib"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// Ops is the protocol behind a table (Linux: neigh_ops and the constructor);
// ARP is the one there is.
type Ops interface {
	// Solicit asks for the neighbour's hardware address. b is a packet that
	// waits for it, borrowed, or nil. probe counts from 0; unicast asks the
	// address in hw, otherwise everybody.
	Solicit(n *Neigh, b *skb.Buff, unicast bool, hw [6]byte)
	// Error ends a packet whose neighbour could not be resolved. Consumes b.
	Error(n *Neigh, b *skb.Buff)
	// Static says what an address is, RTN_UNICAST or another, and the hardware
	// address of neighbours that need no resolution, multicast and broadcast
	// and those on links without ARP.
	Static(dev *napi.NetDevice, addr header.Addr) (typ uint8, hw [6]byte, ok bool)
}

// Table is a neighbour table (Linux: struct neigh_table).
type Table struct {
	net   *napi.Net
	clock napi.Clock
	ops   Ops
	stats *mib.ARP
	key   uint64

	// Notify hears of each change of state that Linux tells netlink listeners
	// (RTM_NEWNEIGH), and of entries that leave (RTM_DELNEIGH). It must not block, and is set before devices come up. May
	// be nil.
	Notify func(Entry)
	// AppSolicit hears of a neighbour that a program is to resolve, while
	// app_solicit is not 0 (Linux: neigh_app_ns). May be nil.
	AppSolicit func(Entry)

	defaults                  Parms // net.ipv4.neigh.default
	parms                     atomic.Pointer[map[*napi.NetDevice]*Parms]
	gcInterval                atomic.Int64
	thresh1, thresh2, thresh3 atomic.Int32
	totalQueue                int64
	proxies                   proxyTable

	hash   atomic.Pointer[hash]
	queued atomic.Int64 // truesize of all packets that wait

	mu         sync.Mutex // writers: chains, the list and what follows
	list, last *Neigh     // oldest first
	entries    int
	gcEntries  int // of them those that may be collected
	lastFlush  int64
	lastRand   int64
	lastLog    int64
	gc         napi.Timer
	managed    []*Neigh // kept resolved
	keeper     napi.Timer
	closed     bool
}

// New makes a table for the devices of net.
func New(net *napi.Net, ops Ops, stats *mib.ARP, p Params) *Table {
	t := &Table{net: net, clock: net.Clock(), ops: ops, stats: stats, totalQueue: p.TotalQueueBytes}
	t.defaults.set(&p)
	t.parms.Store(&map[*napi.NetDevice]*Parms{})
	t.proxies.Store(&map[proxyKey]proxy{})
	t.gcInterval.Store(p.GCInterval)
	t.thresh1.Store(int32(p.GCThresh1))
	t.thresh2.Store(int32(p.GCThresh2))
	t.thresh3.Store(int32(p.GCThresh3))
	t.registerDefault()
	var key [8]byte
	net.Rand(key[:])
	t.key = binary.LittleEndian.Uint64(key[:]) | 1
	t.lastFlush = t.clock.Now()
	t.lastRand = t.lastFlush
	t.hash.Store(newHash(firstBits, t.key))
	t.gc.Init(net.Timers(), func(*napi.Timer) { t.periodic() })
	t.keeper.Init(net.Timers(), func(*napi.Timer) { t.keep() })
	return t
}

// Len returns the number of entries.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.entries
}

// Lookup returns the entry for addr on dev, nil if there is none (Linux:
// neigh_lookup). It takes no lock.
func (t *Table) Lookup(dev *napi.NetDevice, addr header.Addr) *Neigh {
	for n := t.hash.Load().bucket(dev, addr).Load(); n != nil; n = n.hashNext.Load() {
		if n.addr == addr && n.dev == dev {
			return n
		}
	}
	return nil
}

// Get returns the entry for addr on dev and makes it if need be (Linux:
// __neigh_create). ENOBUFS when the table is full and nothing can go.
func (t *Table) Get(dev *napi.NetDevice, addr header.Addr) (*Neigh, error) {
	t.stats.Lookups.Add(1)
	if n := t.Lookup(dev, addr); n != nil {
		t.stats.Hits.Add(1)
		return n, nil
	}
	return t.get(dev, addr, false)
}

// get makes an entry if there is none. exempt entries are not collected and
// not counted against the thresholds.
func (t *Table) get(dev *napi.NetDevice, addr header.Addr, exempt bool) (*Neigh, error) {
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
	if dev.Flags()&(napi.IFF_LOOPBACK|napi.IFF_POINTOPOINT) != 0 {
		// There is one other end, whatever its address (Linux:
		// arp_constructor).
		if addr = 0; t.Lookup(dev, 0) != nil {
			defer t.mu.Unlock()
			return t.Lookup(dev, 0), nil
		}
	}
	now := t.clock.Now()
	if max := int(t.thresh3.Load()); !exempt {
		if t.gcEntries >= max || t.gcEntries >= int(t.thresh2.Load()) && now-t.lastFlush > 5*int64(time.Second) {
			drop = t.forcedGC(now)
		}
		if t.gcEntries >= max {
			// Said at most every five seconds, as Linux's rate limit has it.
			log := t.lastLog == 0 || now-t.lastLog > 5*int64(time.Second)
			if log {
				t.lastLog = now
			}
			t.mu.Unlock()
			t.stats.TableFulls.Add(1)
			if log {
				t.net.Logf("neighbour: arp_cache: neighbor table overflow!")
			}
			t.bury(drop)
			return nil, syscall.ENOBUFS
		}
	}
	n := &Neigh{t: t, dev: dev, addr: addr, p: t.Parms(dev), exempt: exempt}
	n.confirmed = now - 2*n.p.BaseReachableTime.Load()
	n.updated, n.created = now, now
	n.timer.Init(t.net.Timers(), func(*napi.Timer) { n.expire() })
	var hw [6]byte
	var ok bool
	if n.typ, hw, ok = t.ops.Static(dev, addr); ok {
		n.state.Store(NUDNoARP)
		n.setHW(hw)
	}
	t.hash.Load().insert(n)
	n.prev = t.last
	if t.last == nil {
		t.list = n
	} else {
		t.last.next = n
	}
	t.last = n
	if t.entries++; t.entries > len(t.hash.Load().buckets) {
		t.grow()
	}
	if !exempt {
		t.gcEntries++
	}
	if t.entries == 1 {
		t.gc.Mod(now + t.gcPeriod())
	}
	t.mu.Unlock()
	t.stats.Allocs.Add(1)
	t.bury(drop)
	return n, nil
}

// FlushDev removes the entries of dev, all devices' when it is nil, permanent
// ones only when all is true (Linux: neigh_ifdown, neigh_changeaddr).
func (t *Table) FlushDev(dev *napi.NetDevice, all bool) {
	var drop []*Neigh
	t.mu.Lock()
	for n := t.list; n != nil; {
		next := n.next
		stays := n.state.Load()&NUDPermanent != 0 || n.flags.Load()&NTFExtValidated != 0
		if (dev == nil || n.dev == dev) && (all || !stays) {
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
	t.keeper.Del()
	t.FlushDev(nil, true)
}
