package neigh

import (
	"sync/atomic"
	"syscall"

	"barewire/inet/header"
	"barewire/napi"
)

// Flags of a neighbour (Linux: NTF_*).
const (
	NTFUse        = 0x01
	NTFSelf       = 0x02
	NTFProxy      = 0x08
	NTFExtLearned = 0x10
	NTFSticky     = 0x40
	NTFRouter     = 0x80
)

// maxProxies bounds the proxy table; more are refused with ENOBUFS. Only the
// administrator adds to it.
const maxProxies = 16384

// nudAll are the states that may be asked for.
const nudAll = NUDIncomplete | NUDReachable | NUDStale | NUDDelay | NUDProbe | NUDFailed | NUDNoARP | NUDPermanent

// Add enters a neighbour by hand, or changes the one there is (Linux:
// neigh_add, neigh_update with NEIGH_UPDATE_F_ADMIN and F_OVERRIDE). lladdr nil
// keeps the hardware address; state is a NUD* bit, flags NTF*. With NTFUse the
// entry is as if a packet had used it. Errors: EINVAL for a bad state or
// address or a valid state without an address, ENOBUFS when the table is full.
// A permanent neighbour does not count against the table's thresholds.
func (t *Table) Add(dev *napi.NetDevice, addr header.Addr, lladdr []byte, state uint32, flags uint8) error {
	if state&^nudAll != 0 || state&(state-1) != 0 || lladdr != nil && len(lladdr) != 6 {
		return syscall.EINVAL
	}
	n := t.Lookup(dev, addr)
	if n == nil {
		if lladdr == nil && state&nudValid != 0 {
			return syscall.EINVAL
		}
		var err error
		if n, err = t.get(dev, addr, state == NUDPermanent || flags&NTFExtLearned != 0); err != nil {
			return err
		}
	}
	n.flags.Store(uint32(flags &^ (NTFUse | NTFProxy | NTFSelf)))
	if flags&NTFUse != 0 {
		n.eventSend(nil)
		return nil
	}
	return n.admin(lladdr, state)
}

// Update changes a neighbour that exists (ip neighbour change): as Add, and
// ENOENT when there is none.
func (t *Table) Update(dev *napi.NetDevice, addr header.Addr, lladdr []byte, state uint32, flags uint8) error {
	if t.Lookup(dev, addr) == nil {
		return syscall.ENOENT
	}
	return t.Add(dev, addr, lladdr, state, flags)
}

// admin is what the administrator says about a neighbour: it is taken whatever
// the state.
func (n *Neigh) admin(lladdr []byte, state uint32) error {
	if state&nudValid == 0 {
		n.down(state)
		return nil
	}
	hw, ok := n.HW()
	if lladdr != nil {
		hw, ok = [6]byte(lladdr), true
	}
	if !ok {
		return syscall.EINVAL
	}
	n.update(hw, state, true, true)
	return nil
}

// down makes the neighbour invalid by hand: FAILED, or INCOMPLETE, which asks
// again with the next packet. Packets that wait become errors.
func (n *Neigh) down(state uint32) {
	n.mu.Lock()
	if n.dead.Load() {
		n.mu.Unlock()
		return
	}
	n.timer.Del()
	n.invalidate(n.t.clock.Now()) // unlocks
	if state != NUDFailed {
		n.mu.Lock()
		n.state.Store(NUDNone)
		n.mu.Unlock()
	}
	n.t.account(n)
}

// Delete removes a neighbour (Linux: neigh_delete). ENOENT when it is not
// there.
func (t *Table) Delete(dev *napi.NetDevice, addr header.Addr) error {
	t.mu.Lock()
	n := t.Lookup(dev, addr)
	if n == nil {
		t.mu.Unlock()
		return syscall.ENOENT
	}
	t.unlink(n)
	t.mu.Unlock()
	n.mu.Lock()
	n.timer.Del()
	n.invalidate(n.t.clock.Now()) // unlocks; tells
	t.bury([]*Neigh{n})
	return nil
}

// Entry is a copy of one neighbour for listings.
type Entry struct {
	Dev    *napi.NetDevice // nil in a proxy entry for every device
	Addr   header.Addr
	HW     [6]byte
	State  uint32
	Flags  uint8 // NTF*
	Queued int   // packets waiting
	Probes int   // solicitations since the last proof

	// Ages in nanoseconds, as in struct nda_cacheinfo.
	Confirmed, Used, Updated int64
}

// entry copies n.
func (n *Neigh) entry(now int64) Entry {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := Entry{Dev: n.dev, Addr: n.addr, HW: n.hwLocked(), State: n.state.Load(), Flags: uint8(n.flags.Load()),
		Queued: n.queue.Len(), Probes: n.probes,
		Confirmed: now - n.confirmed, Used: now - max(n.used, n.created), Updated: now - n.updated}
	return e
}

// Entries returns all neighbours, oldest first.
func (t *Table) Entries() []Entry {
	t.mu.Lock()
	var all []*Neigh
	for n := t.list; n != nil; n = n.next {
		all = append(all, n)
	}
	t.mu.Unlock()
	now := t.clock.Now()
	out := make([]Entry, 0, len(all))
	for _, n := range all {
		out = append(out, n.entry(now))
	}
	return out
}

// tell announces a change of state to the listener.
func (t *Table) tell(n *Neigh) {
	if t.Notify != nil {
		t.Notify(n.entry(t.clock.Now()))
	}
}

// proxyKey names a proxy entry; dev nil means every device.
type proxyKey struct {
	dev  *napi.NetDevice
	addr header.Addr
}

// proxyTable is an immutable map; a change replaces it (Linux: phash_buckets).
type proxyTable = atomic.Pointer[map[proxyKey]uint8]

// AddProxy has this host answer for addr on dev, or on every device when dev is
// nil (Linux: pneigh_lookup with creat). An entry that exists gets the flags.
// ENOBUFS beyond 16384 entries.
func (t *Table) AddProxy(dev *napi.NetDevice, addr header.Addr, flags uint8) error {
	return t.changeProxies(func(m map[proxyKey]uint8) error {
		k := proxyKey{dev, addr}
		if _, ok := m[k]; !ok && len(m) >= maxProxies {
			return syscall.ENOBUFS
		}
		m[k] = flags | NTFProxy
		return nil
	})
}

// DelProxy removes a proxy entry (Linux: pneigh_delete). ENOENT when it is not
// there.
func (t *Table) DelProxy(dev *napi.NetDevice, addr header.Addr) error {
	return t.changeProxies(func(m map[proxyKey]uint8) error {
		k := proxyKey{dev, addr}
		if _, ok := m[k]; !ok {
			return syscall.ENOENT
		}
		delete(m, k)
		return nil
	})
}

func (t *Table) flushProxies(dev *napi.NetDevice) {
	t.changeProxies(func(m map[proxyKey]uint8) error {
		for k := range m {
			if k.dev == dev {
				delete(m, k)
			}
		}
		return nil
	})
}

func (t *Table) changeProxies(f func(m map[proxyKey]uint8) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := *t.proxies.Load()
	m := make(map[proxyKey]uint8, len(old)+1)
	for k, v := range old {
		m[k] = v
	}
	if err := f(m); err != nil {
		return err
	}
	t.proxies.Store(&m)
	return nil
}

// Proxy reports whether there is a proxy entry for addr on dev (Linux:
// pneigh_lookup). It takes no lock.
func (t *Table) Proxy(dev *napi.NetDevice, addr header.Addr) bool {
	m := *t.proxies.Load()
	if len(m) == 0 {
		return false
	}
	if _, ok := m[proxyKey{dev, addr}]; ok {
		return true
	}
	_, ok := m[proxyKey{nil, addr}]
	return ok
}

// Proxies returns all proxy entries, in no order.
func (t *Table) Proxies() []Entry {
	var out []Entry
	for k, f := range *t.proxies.Load() {
		out = append(out, Entry{Dev: k.dev, Addr: k.addr, Flags: f, State: NUDNone})
	}
	return out
}
