package fib

import (
	"sync/atomic"
	"syscall"

	"barewire/napi"
	"barewire/skb/header"
)

// Info is a route without its prefix (Linux: struct fib_info). Routes that are
// alike share one. Only the flags of its nexthops change.
type Info struct {
	Type     Type
	Scope    Scope
	Protocol uint8
	Table    uint32 // of the request that made it (fib_tb_id)
	Priority uint32 // lower wins among equal prefixes
	PrefSrc  header.Addr
	Metrics  Metrics
	NHs      []Nexthop // empty for routes that refuse

	dead atomic.Bool
	dflt atomic.Int32 // see SelectDefault
	refs int          // routes in tables; guarded by FIB.mu
}

// Nexthop is where a route leads (Linux: struct fib_nh).
type Nexthop struct {
	Dev     *napi.NetDevice
	OIF     int32
	Gateway header.Addr // 0 when the destination is on the link
	Scope   Scope
	Weight  int
	OnLink  bool

	// Priv is what the IP layer keeps with a nexthop: routing decisions and
	// exceptions.
	Priv any

	flags atomic.Uint32 // NHDead, NHLinkDown
	upper atomic.Int64  // largest flow hash that is its own, -1 for none
}

// Flags returns the NH flags of the nexthop.
func (nh *Nexthop) Flags() uint32 {
	f := nh.flags.Load()
	if nh.OnLink {
		f |= NHOnLink
	}
	return f
}

// Dead reports whether no nexthop of the route is left.
func (i *Info) Dead() bool { return i.dead.Load() }

// Metric returns a metric by its RTAX number, 0 if it is not set.
func (i *Info) Metric(n int) uint32 {
	if n < 0 || n >= len(i.Metrics) {
		return 0
	}
	return i.Metrics[n]
}

// NH returns the first nexthop, nil if the route has none.
func (i *Info) NH() *Nexthop {
	if len(i.NHs) == 0 {
		return nil
	}
	return &i.NHs[0]
}

// Dev returns the device of the first nexthop, nil if the route has none.
func (i *Info) Dev() *napi.NetDevice {
	if len(i.NHs) == 0 {
		return nil
	}
	return i.NHs[0].Dev
}

// Gateway returns the gateway of the first nexthop, 0 if there is none.
func (i *Info) Gateway() header.Addr {
	if len(i.NHs) == 0 {
		return 0
	}
	return i.NHs[0].Gateway
}

// Select chooses among several nexthops by the hash of a flow, of which the
// upper 31 bits count (Linux: fib_select_multipath). Nexthops that are dead, or
// without carrier where those are ignored, take no part.
func (i *Info) Select(hash uint32) *Nexthop {
	for k := range i.NHs {
		if nh := &i.NHs[k]; nh.Takes(hash) {
			return nh
		}
	}
	return nil
}

// Takes reports whether a nexthop is the one for a flow hash, if none before it
// is.
func (nh *Nexthop) Takes(hash uint32) bool { return int64(hash>>1) <= nh.upper.Load() }

// rebalance divides the flow hashes among the nexthops by weight (Linux:
// fib_rebalance). ignoreDown says whether a device's nexthops without carrier
// are left out.
func (i *Info) rebalance(ignoreDown func(*napi.NetDevice) bool) {
	usable := func(nh *Nexthop) bool {
		f := nh.flags.Load()
		return f&NHDead == 0 && (f&NHLinkDown == 0 || !ignoreDown(nh.Dev))
	}
	total := 0
	for k := range i.NHs {
		if usable(&i.NHs[k]) {
			total += i.NHs[k].Weight
		}
	}
	w := 0
	for k := range i.NHs {
		nh := &i.NHs[k]
		if !usable(nh) {
			nh.upper.Store(-1)
			continue
		}
		w += nh.Weight
		nh.upper.Store((int64(w)<<31+int64(total)/2)/int64(total) - 1)
	}
}

// infoKey is what alike fib_infos have in common at least (Linux:
// fib_info_hashfn).
type infoKey struct {
	typ, scope      uint8
	protocol        uint8
	priority, table uint32
	prefSrc, gw     header.Addr
	oif             int32
	nhs             int
}

func (i *Info) key() infoKey {
	k := infoKey{typ: uint8(i.Type), scope: uint8(i.Scope), protocol: i.Protocol, priority: i.Priority, table: i.Table, prefSrc: i.PrefSrc, nhs: len(i.NHs)}
	if len(i.NHs) > 0 {
		k.gw, k.oif = i.NHs[0].Gateway, i.NHs[0].OIF
	}
	return k
}

// same reports whether two infos with the same key are alike (Linux:
// fib_find_info, nh_comp).
func (i *Info) same(o *Info) bool {
	if i.Metrics != o.Metrics {
		return false
	}
	for k := range i.NHs {
		a, b := &i.NHs[k], &o.NHs[k]
		if a.Dev != b.Dev || a.Gateway != b.Gateway || a.Weight != b.Weight || a.Scope != b.Scope || a.OnLink != b.OnLink {
			return false
		}
	}
	return !o.Dead()
}

// share returns the info that is like i, i itself if there is none yet. The
// caller holds f.mu.
func (f *FIB) share(i *Info) *Info {
	for _, o := range f.infos[i.key()] {
		if i.same(o) {
			return o
		}
	}
	return i
}

// hold counts a route that uses i; the first enters it among the shared ones.
func (f *FIB) hold(i *Info) {
	if i.refs++; i.refs == 1 {
		k := i.key()
		f.infos[k] = append(f.infos[k], i)
	}
}

func (f *FIB) release(i *Info) {
	if i.refs--; i.refs > 0 {
		return
	}
	k := i.key()
	l := f.infos[k]
	for j := range l {
		if l[j] == i {
			l[j] = l[len(l)-1]
			l[len(l)-1] = nil
			f.infos[k] = l[:len(l)-1]
			break
		}
	}
	if len(f.infos[k]) == 0 {
		delete(f.infos, k)
	}
}

// createInfo checks a request and makes what it asks for, shared with routes
// that are alike (Linux: fib_create_info). EINVAL for what makes no sense,
// ENODEV, ENETDOWN, ENETUNREACH for a gateway that is on no link. The caller
// holds f.mu.
func (f *FIB) createInfo(c *Config) (*Info, error) {
	if c.Type == Unspec || c.Type > typeMax || c.Scope < c.Type.minScope() || c.NHFlags&(NHDead|NHLinkDown) != 0 {
		return nil, syscall.EINVAL
	}
	i := &Info{Type: c.Type, Scope: c.Scope, Protocol: c.Protocol, Table: c.Table, Priority: c.Priority, PrefSrc: c.PrefSrc, Metrics: c.Metrics}
	if c.Type.Err() != 0 {
		if c.OIF != 0 || c.Gateway != 0 || len(c.Multipath) > 0 {
			return nil, syscall.EINVAL
		}
	} else {
		if err := f.createNexthops(c, i); err != nil {
			return nil, err
		}
	}
	if c.PrefSrc != 0 && !(c.Type == Local && c.PrefSrc == c.Dst) && f.env.AddrType(c.PrefSrc) != Local {
		return nil, syscall.EINVAL
	}
	if o := f.share(i); o != i {
		return o, nil
	}
	for k := range i.NHs {
		f.env.InitNexthop(i, &i.NHs[k])
	}
	i.rebalance(f.env.IgnoreLinkDown)
	return i, nil
}

func (f *FIB) createNexthops(c *Config, i *Info) error {
	if c.Scope > ScopeHost || c.Type == Multicast && c.Scope > ScopeHost {
		return syscall.EINVAL
	}
	list := c.nexthops()
	if len(list) > 256 {
		return syscall.EINVAL
	}
	i.NHs = make([]Nexthop, len(list))
	for k, nc := range list {
		nh := &i.NHs[k]
		nh.OIF, nh.Gateway, nh.Weight, nh.OnLink = nc.OIF, nc.Gateway, max(1, nc.Weight), nc.Flags&NHOnLink != 0
		if nc.Flags&(NHDead|NHLinkDown) != 0 || nc.Weight < 0 || nc.Weight > 256 {
			return syscall.EINVAL
		}
		var err error
		switch {
		case c.Scope == ScopeHost:
			err = f.checkHost(nh, len(list))
		case nh.Gateway != 0:
			err = f.checkGateway(c, nh)
		default:
			err = f.checkOnLink(nh)
		}
		if err != nil {
			return err
		}
		if c.Scope != ScopeHost && !nh.Dev.CarrierOK() { // a local address needs no link
			nh.flags.Or(NHLinkDown)
		}
	}
	return nil
}

// checkHost is the nexthop of a local address.
func (f *FIB) checkHost(nh *Nexthop, n int) error {
	if n != 1 || nh.Gateway != 0 {
		return syscall.EINVAL
	}
	nh.Scope = ScopeNowhere
	if nh.Dev = f.env.Device(nh.OIF); nh.Dev == nil {
		return syscall.ENODEV
	}
	return nil
}

// checkOnLink is a nexthop without gateway (Linux: fib_check_nh_nongw).
func (f *FIB) checkOnLink(nh *Nexthop) error {
	if nh.OnLink {
		return syscall.EINVAL
	}
	if nh.Dev = f.env.Device(nh.OIF); nh.Dev == nil {
		return syscall.ENODEV
	}
	if !nh.Dev.IsUp() {
		return syscall.ENETDOWN
	}
	nh.Scope = ScopeHost
	return nil
}

// checkGateway finds the link a gateway is on: it must be closer than the route
// itself (Linux: fib_check_nh_v4_gw).
func (f *FIB) checkGateway(c *Config, nh *Nexthop) error {
	if nh.OnLink {
		if c.Scope >= ScopeLink || f.env.AddrType(nh.Gateway) != Unicast {
			return syscall.EINVAL
		}
		nh.Scope = ScopeLink
		if nh.Dev = f.env.Device(nh.OIF); nh.Dev == nil {
			return syscall.ENODEV
		}
		if !nh.Dev.IsUp() {
			return syscall.ENETDOWN
		}
		return nil
	}
	fl := Flow{Dst: nh.Gateway, OIF: nh.OIF, Scope: max(c.Scope+1, ScopeLink), IgnoreLinkDown: true}
	var res Result
	err := syscall.EAGAIN
	if c.Table != TableMain && c.Table != TableUnspec {
		if t := f.Table(c.Table); t != nil {
			err = t.Lookup(f, &fl, &res)
		}
	}
	if err != 0 {
		if err = f.Lookup(&fl, &res); err != 0 {
			return err
		}
	}
	if res.Type != Unicast && res.Type != Local {
		return syscall.EINVAL
	}
	nh.Scope = res.Scope
	if res.NH == nil || res.NH.Dev == nil {
		return syscall.ENODEV
	}
	nh.Dev, nh.OIF = res.NH.Dev, res.NH.OIF
	if !nh.Dev.IsUp() {
		return syscall.ENETDOWN
	}
	return nil
}

// matches reports whether a request to delete means this info (Linux: the
// conditions of fib_table_delete, fib_nh_match).
func (i *Info) matches(c *Config) bool {
	if c.Type != Unspec && c.Type != i.Type ||
		c.Scope != ScopeNowhere && c.Scope != i.Scope ||
		c.PrefSrc != 0 && c.PrefSrc != i.PrefSrc ||
		c.Protocol != 0 && c.Protocol != i.Protocol ||
		c.Priority != 0 && c.Priority != i.Priority {
		return false
	}
	for k, m := range c.Metrics {
		if m != 0 && m != i.Metrics[k] {
			return false
		}
	}
	if len(c.Multipath) == 0 {
		if c.OIF == 0 && c.Gateway == 0 {
			return true
		}
		nh := i.NH()
		return nh != nil && (c.OIF == 0 || c.OIF == nh.OIF) && (c.Gateway == 0 || c.Gateway == nh.Gateway)
	}
	if len(c.Multipath) != len(i.NHs) {
		return false
	}
	for k, nc := range c.Multipath {
		nh := &i.NHs[k]
		if nc.OIF != 0 && nc.OIF != nh.OIF || nc.Gateway != 0 && nc.Gateway != nh.Gateway {
			return false
		}
	}
	return true
}
