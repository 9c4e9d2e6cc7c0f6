package main

import (
	"net/netip"
	"sort"
	"sync"
	"time"
)

// Times of the lease table.
const (
	offerTime   = time.Minute      // an offer nobody took up
	declineTime = 10 * time.Minute // an address a client found in use
)

// lease is an address and who has it. The client is what RFC 2131 section 4.2
// identifies one by: its identifier option, else its hardware address.
type lease struct {
	Addr   netip.Addr
	Client string
	MAC    string
	Name   string // the host's own, empty if it has none
	Until  time.Time
	Bound  bool // false: only offered, or declined by the one that had it
}

// leases are the addresses of a pool. There are never more of them than the
// pool has addresses: who is not known gets a free one, else the one that ended
// longest ago, else none.
type leases struct {
	first, last netip.Addr
	self        netip.Addr // the router's own, which nobody gets
	now         func() time.Time

	mu       sync.Mutex
	byAddr   map[netip.Addr]*lease
	byClient map[string]*lease
	next     netip.Addr // where the search for a free one goes on
}

// newLeases makes the table of the addresses from first to last, without self.
func newLeases(first, last, self netip.Addr, now func() time.Time) *leases {
	return &leases{
		first: first, last: last, self: self, now: now, next: first,
		byAddr: make(map[netip.Addr]*lease), byClient: make(map[string]*lease),
	}
}

// has tells whether an address is of the pool.
func (l *leases) has(a netip.Addr) bool {
	return a.Is4() && !a.Less(l.first) && !l.last.Less(a) && a != l.self
}

// offer finds an address for a client: the one it has or had, the one it asks
// for if that is free, or any (RFC 2131 section 4.3.1). It is kept for the
// client for a minute.
func (l *leases) offer(client, mac string, want netip.Addr) (netip.Addr, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if e := l.byClient[client]; e != nil {
		if e.Until.Before(now.Add(offerTime)) {
			e.Bound, e.Until = false, now.Add(offerTime)
		}
		return e.Addr, true
	}
	addr := want
	if !l.has(want) || !l.free(want, now) {
		var ok bool
		if addr, ok = l.find(now); !ok {
			return netip.Addr{}, false
		}
	}
	l.set(&lease{Addr: addr, Client: client, MAC: mac, Until: now.Add(offerTime)})
	return addr, true
}

// bind makes an address a client's for a time. False: it is another's, or none
// of the pool.
func (l *leases) bind(client, mac, name string, addr netip.Addr, d time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	old := l.byAddr[addr]
	if !l.has(addr) || old != nil && old.Client != client && now.Before(old.Until) {
		return false
	}
	l.set(&lease{Addr: addr, Client: client, MAC: mac, Name: name, Until: now.Add(d), Bound: true})
	return true
}

// release ends a client's lease; the address stays his while nobody needs it.
func (l *leases) release(client string, addr netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.byClient[client]; e != nil && e.Addr == addr {
		e.Until, e.Bound = l.now(), false
	}
}

// decline keeps an address from everybody for a while: the client found that
// somebody else uses it.
func (l *leases) decline(client string, addr netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.byClient[client]; e != nil && e.Addr == addr {
		l.set(&lease{Addr: addr, Client: "declined " + addr.String(), Until: l.now().Add(declineTime)})
	}
}

// set enters a lease, in the place of what the address and the client had.
func (l *leases) set(e *lease) {
	if old := l.byAddr[e.Addr]; old != nil {
		delete(l.byClient, old.Client)
	}
	if old := l.byClient[e.Client]; old != nil {
		delete(l.byAddr, old.Addr)
	}
	l.byAddr[e.Addr], l.byClient[e.Client] = e, e
}

// free tells whether nobody has, or had, an address.
func (l *leases) free(a netip.Addr, now time.Time) bool {
	e := l.byAddr[a]
	return e == nil || !now.Before(e.Until)
}

// find returns an address nobody had, else the one that ended longest ago.
func (l *leases) find(now time.Time) (netip.Addr, bool) {
	start := l.next
	for a := start; ; {
		next := a.Next()
		if l.last.Less(next) {
			next = l.first
		}
		if l.has(a) && l.byAddr[a] == nil {
			l.next = next
			return a, true
		}
		if a = next; a == start {
			break
		}
	}
	var oldest *lease
	for _, e := range l.byAddr {
		if !now.Before(e.Until) && (oldest == nil || e.Until.Before(oldest.Until)) {
			oldest = e
		}
	}
	if oldest == nil {
		return netip.Addr{}, false
	}
	return oldest.Addr, true
}

// list returns the leases that hold now, by address.
func (l *leases) list() []lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []lease
	for _, e := range l.byAddr {
		if e.Bound && l.now().Before(e.Until) {
			all = append(all, *e)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Addr.Less(all[j].Addr) })
	return all
}

// named returns the lease of the host with a name, in small letters.
func (l *leases) named(name string) (lease, bool) {
	for _, e := range l.list() {
		if e.Name != "" && e.Name == name {
			return e, true
		}
	}
	return lease{}, false
}

// of returns the lease of an address.
func (l *leases) of(a netip.Addr) (lease, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.byAddr[a]; e != nil && e.Bound && l.now().Before(e.Until) {
		return *e, true
	}
	return lease{}, false
}
