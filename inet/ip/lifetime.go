package ip

import (
	"slices"
	"time"

	"barewire/inet/fib"
	"barewire/napi"
	"barewire/skb/header"
)

// IFAFDeprecated is an address whose preferred lifetime is over (Linux:
// IFA_F_DEPRECATED). IPv4 goes on using it; programs may not want to.
const IFAFDeprecated = 0x20

// lifetimes waits for the next address whose time comes (Linux:
// check_lifetime_work). Net.mu guards it.
type lifetimes struct {
	alarm  napi.Alarm
	closed bool
}

// setLifetime notes how long an address is good for from now on (Linux:
// set_ifa_lifetime).
func (ifa *Ifaddr) setLifetime(valid, preferred uint32, now int64) {
	ifa.Flags &^= IFAFDeprecated
	if preferred == 0 {
		ifa.Flags |= IFAFDeprecated
	}
	ifa.ValidLft, ifa.PreferredLft, ifa.Updated = valid, preferred, now
}

// ends returns when a lifetime is over, 0 if never.
func (ifa *Ifaddr) ends(lft uint32) int64 {
	if lft == Forever {
		return 0
	}
	return ifa.Updated + int64(lft)*int64(time.Second)
}

// next returns when the address has to be looked at again, 0 for never. One
// that is valid forever is permanent, and not deprecated in the course of time
// either.
func (ifa *Ifaddr) next() int64 {
	valid, preferred := ifa.ends(ifa.ValidLft), ifa.ends(ifa.PreferredLft)
	if valid != 0 && preferred != 0 && ifa.Flags&IFAFDeprecated == 0 {
		return min(valid, preferred)
	}
	return valid
}

// armLifetimes sets the alarm to the next address whose time comes; mu is held.
func (n *Net) armLifetimes() {
	l := &n.lifetimes
	if l.alarm != nil {
		l.alarm.Stop()
		l.alarm = nil
	}
	var first int64
	for _, d := range *n.indevs.Load() {
		if d == nil || l.closed {
			continue
		}
		for i := range d.addrs {
			if at := d.addrs[i].next(); at != 0 && (first == 0 || at < first) {
				first = at
			}
		}
	}
	if first != 0 {
		wait := max(0, first-n.Dev.Clock().Now())
		l.alarm = n.Dev.Clock().AfterFunc(time.Duration(wait), n.checkLifetimes)
	}
}

// checkLifetimes removes the addresses whose valid lifetime is over and marks
// those that are no longer preferred (Linux: check_lifetime). On a goroutine of
// its own, as a work of Linux's.
func (n *Net) checkLifetimes() {
	n.mu.Lock()
	now := n.Dev.Clock().Now()
	over := func(ifa *Ifaddr, lft uint32) bool { at := ifa.ends(lft); return at != 0 && at <= now }
	var evs []RTEvent
	for _, d := range *n.indevs.Load() {
		if d == nil || n.lifetimes.closed {
			continue
		}
		list := slices.Clone(d.addrs)
		var gone []Ifaddr
		changed := false
		for i := range list {
			ifa := &list[i]
			switch {
			case over(ifa, ifa.ValidLft):
				gone = append(gone, *ifa)
			case ifa.ValidLft != Forever && over(ifa, ifa.PreferredLft) && ifa.Flags&IFAFDeprecated == 0:
				ifa.Flags |= IFAFDeprecated
				told := *ifa
				evs = append(evs, RTEvent{Kind: AddrNew, Flags: fib.FlagReplace, Dev: d.Dev, Addr: &told})
				changed = true
			}
		}
		if changed {
			n.setAddrs(d, list)
		}
		for _, ifa := range gone {
			// It may have gone with the first address of its subnet.
			if more, err := n.removeAddr(d.Dev, AddrConfig{Local: ifa.Local, Bits: ifa.Bits, Peer: ifa.Address}); err == nil {
				evs = append(evs, more...)
			}
		}
	}
	n.armLifetimes()
	n.mu.Unlock()
	n.Notify(evs...)
}

// stopLifetimes is for the end of the namespace.
func (n *Net) stopLifetimes() {
	n.mu.Lock()
	n.lifetimes.closed = true
	n.armLifetimes()
	n.mu.Unlock()
}

// changeMetric gives the route of an address's subnet another priority (Linux:
// fib_modify_prefix_metric); mu is held.
func (n *Net) changeMetric(d *InDev, ifa *Ifaddr, metric uint32) (evs []RTEvent) {
	old := ifa.Metric
	prefix := ifa.Address & header.Mask(ifa.Bits)
	ifa.Metric = metric
	if !d.Dev.IsUp() || ifa.Secondary || ifa.Flags&IFAFNoPrefixRoute != 0 || prefix.IsZeronet() ||
		prefix == ifa.Local && ifa.Bits == 32 {
		return nil
	}
	evs = n.addIfaddrRoutes(d, ifa)
	return append(evs, routesGone(n.FIB.DeleteFunc(func(r *fib.Entry) bool {
		return r.Protocol == fib.ProtKernel && r.Dev() == d.Dev && r.Dst == prefix && r.Bits == ifa.Bits &&
			r.Priority == old && r.PrefSrc == ifa.Local && (r.Type == fib.Unicast || r.Type == fib.Local && r.Bits < 32)
	}))...)
}
