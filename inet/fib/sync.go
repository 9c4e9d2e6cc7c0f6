package fib

import (
	"barewire/napi"
	"barewire/skb/header"
)

// nexthopsOf visits the nexthops of a device, each once.
func (f *FIB) nexthopsOf(d *napi.NetDevice, fn func(i *Info, nh *Nexthop)) {
	for _, l := range f.infos {
		for _, i := range l {
			for k := range i.NHs {
				if i.NHs[k].Dev == d {
					fn(i, &i.NHs[k])
				}
			}
		}
	}
}

// SyncDown takes a device that goes down, or with force one that goes away, out
// of the routes, and returns those that have no nexthop left and were removed
// (Linux: fib_sync_down_dev, fib_flush). Without force the addresses of the
// device stay this host's: routes of scope host are left alone.
func (f *FIB) SyncDown(d *napi.NetDevice, force bool) []Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nexthopsOf(d, func(i *Info, nh *Nexthop) {
		if nh.Scope == ScopeNowhere && !force {
			return
		}
		nh.flags.Or(NHDead)
		i.settle(f.env)
	})
	gone := f.deleteFunc(func(e *Entry) bool { return e.Dead() })
	f.gen.Add(1)
	return gone
}

// SyncUp gives routes with several nexthops the device back (Linux:
// fib_sync_up).
func (f *FIB) SyncUp(d *napi.NetDevice) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nexthopsOf(d, func(i *Info, nh *Nexthop) {
		nh.flags.And(^uint32(NHDead))
		i.settle(f.env)
	})
	f.gen.Add(1)
}

// SyncCarrier follows the carrier of a device (Linux: fib_sync_down_dev and
// fib_sync_up for RTNH_F_LINKDOWN).
func (f *FIB) SyncCarrier(d *napi.NetDevice, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nexthopsOf(d, func(i *Info, nh *Nexthop) {
		if nh.Scope == ScopeNowhere {
			return // this host's own addresses need no carrier
		}
		if ok {
			nh.flags.And(^uint32(NHLinkDown))
		} else {
			nh.flags.Or(NHLinkDown)
		}
		i.settle(f.env)
	})
	f.gen.Add(1)
}

// SyncAddr removes the routes that prefer an address this host no longer has
// (Linux: fib_sync_down_addr).
func (f *FIB) SyncAddr(a header.Addr) []Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.deleteFunc(func(e *Entry) bool { return e.PrefSrc == a })
}

// settle works out what follows from the flags of the nexthops.
func (i *Info) settle(env Env) {
	dead := len(i.NHs) > 0
	for k := range i.NHs {
		if i.NHs[k].flags.Load()&NHDead == 0 {
			dead = false
		}
	}
	i.dead.Store(dead)
	i.rebalance(env.IgnoreLinkDown)
}
