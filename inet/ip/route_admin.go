package ip

import (
	"net/netip"
	"syscall"

	"barewire/inet/fib"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// NewRoute adds or replaces a route (Linux: inet_rtm_newroute). flags are the
// fib.Flag constants, which are those of netlink: fib.FlagCreate|fib.FlagExcl
// is "ip route add", FlagCreate|FlagReplace is replace, FlagCreate|FlagAppend
// append, FlagReplace change. Errors: EINVAL, EEXIST, ENOENT when there is
// nothing to change, ENODEV, ENETDOWN, ENETUNREACH for a gateway that is on no
// link. Process context.
func (n *Net) NewRoute(c *fib.Config, flags uint16) error {
	ch, err := n.FIB.Insert(c, flags)
	if err != nil {
		return err
	}
	if c.Type == fib.Local {
		n.FIB.SetCustomLocal()
	}
	n.Notify(RTEvent{Kind: RouteNew, Flags: ch.Flags, Route: &ch.Entry})
	return nil
}

// DelRoute removes the first route that fits: of c, Dst, Bits, TOS and Table
// must be those of the route, the rest where it is not zero, and Scope unless
// it is fib.ScopeNowhere (Linux: inet_rtm_delroute). ESRCH when there is none.
func (n *Net) DelRoute(c *fib.Config) error {
	ch, err := n.FIB.Remove(c)
	if err != nil {
		return err
	}
	n.Notify(RTEvent{Kind: RouteDel, Route: &ch.Entry})
	return nil
}

// DumpRoutes calls fn for every route of every table until fn returns false.
func (n *Net) DumpRoutes(fn func(e fib.Entry) bool) { n.FIB.Dump(fn) }

// NewRule adds a policy rule (Linux: fib_nl_newrule). Errors: EINVAL, EEXIST
// with fib.FlagExcl.
func (n *Net) NewRule(r *fib.Rule, flags uint16) error {
	done, err := n.FIB.AddRule(*r, flags)
	if err != nil {
		return err
	}
	n.Notify(RTEvent{Kind: RuleNew, Rule: &done})
	return nil
}

// DelRule removes the first rule that fits what is set in r. ENOENT when there
// is none.
func (n *Net) DelRule(r *fib.Rule) error {
	gone, err := n.FIB.DelRule(*r)
	if err != nil {
		return err
	}
	n.Notify(RTEvent{Kind: RuleDel, Rule: &gone})
	return nil
}

// Rules returns the policy rules in the order in which they are tried.
func (n *Net) Rules() []fib.Rule { return n.FIB.Rules() }

// AddRoute adds a unicast route to the main table: dst through gw, or on the
// link of dev if gw is the zero Addr. dev nil means the device the gateway is
// reached by. prefSrc may be the zero Addr. Errors as NewRoute's.
func (n *Net) AddRoute(dst netip.Prefix, gw netip.Addr, dev *napi.NetDevice, prefSrc netip.Addr, metric uint32) error {
	d, ok := header.AddrFrom(dst.Addr())
	if !ok || dst.Bits() < 0 || dst.Masked() != dst {
		return syscall.EINVAL
	}
	c := &fib.Config{Dst: d, Bits: dst.Bits(), Table: fib.TableMain, Type: fib.Unicast, Scope: fib.ScopeLink, Protocol: fib.ProtBoot, Priority: metric}
	if prefSrc.IsValid() {
		if c.PrefSrc, ok = header.AddrFrom(prefSrc); !ok {
			return syscall.EINVAL
		}
	}
	if gw.IsValid() {
		if c.Gateway, ok = header.AddrFrom(gw); !ok || c.Gateway == 0 {
			return syscall.EINVAL
		}
		// An own address as the gateway means that the destination is on the link.
		if t := n.AddrType(c.Gateway); t != fib.Unicast && (t != fib.Local || dev == nil) {
			return syscall.EINVAL
		}
		c.Scope = fib.ScopeUniverse
	} else if dev == nil {
		return syscall.ENODEV
	}
	if dev != nil {
		if c.OIF = dev.Ifindex(); n.InDev(c.OIF) == nil {
			return syscall.ENODEV
		}
	}
	return n.NewRoute(c, fib.FlagCreate|fib.FlagExcl)
}

// RouteInfo is the answer to RouteGet.
type RouteInfo struct {
	Rt  *Rtable
	Res fib.Result // what the tables said; Info is nil when they were not asked
	Dst header.Addr
	Src header.Addr // chosen, or as asked for

	Redirect bool // of a received packet: its sender would get a redirect
}

// RouteGet decides as the stack would for a packet of the flow, for RTM_GETROUTE
// (Linux: inet_rtm_getroute): one sent from here, or with iif one received on
// that device. Errors are those of routing; EINVAL for a packet that would be
// dropped.
func (n *Net) RouteGet(f fib.Flow, iif int32) (RouteInfo, error) {
	if iif == 0 {
		rt, res, err := n.routeOutput(&f)
		if err != 0 {
			return RouteInfo{}, err
		}
		return RouteInfo{Rt: rt, Res: n.asMerged(res), Dst: f.Dst, Src: f.Src}, nil
	}
	dev := n.Dev.DevByIndex(iif)
	if dev == nil {
		return RouteInfo{}, syscall.ENODEV
	}
	if f.Proto == 0 {
		f.Proto = header.ProtoUDP
	}
	b := n.packetOf(&f)
	if b == nil {
		return RouteInfo{}, syscall.ENOBUFS
	}
	defer b.Free(skb.NotSpecified)
	n.RouteStats.InSlowTot.Add(1)
	rt, _ := n.routeInput(b, f.Src, f.Dst, f.TOS, dev)
	if rt == nil {
		return RouteInfo{}, syscall.EINVAL
	}
	if rt.Err != 0 {
		return RouteInfo{}, rt.Err
	}
	out := RouteInfo{Rt: rt, Dst: f.Dst, Src: f.Src, Redirect: b.CB[2]&cbRedirect != 0}
	if f.Dst.IsMulticast() || f.Dst.IsLBcast() || f.Dst == 0 {
		return out, nil // no table was asked
	}
	f.IIF = iif
	n.FIB.Lookup(&f, &out.Res)
	out.Res = n.asMerged(out.Res)
	return out, nil
}

// packetOf is a packet of a flow, headers only; nil when memory ran out.
func (n *Net) packetOf(f *fib.Flow) *skb.Buff {
	b := n.Dev.SKB().Alloc(header.IPv4MinLen + 8)
	if b == nil {
		return nil
	}
	p := b.Put(header.IPv4MinLen + 8)
	clear(p)
	header.PutIPv4(p, &header.Fields{TOS: f.TOS, TotalLen: len(p), TTL: 64, Protocol: f.Proto, Src: f.Src, Dst: f.Dst})
	p[20], p[21], p[22], p[23] = byte(f.SPort>>8), byte(f.SPort), byte(f.DPort>>8), byte(f.DPort)
	b.Mark = f.Mark
	return b
}

// RouteRequest decides over the addresses of an ARP request as if it were a
// packet from who asks to what it asks for (Linux: arp_process asks
// ip_route_input_noref): source validation and rp_filter are for ARP too. Nil
// when such a packet would be dropped.
func (n *Net) RouteRequest(src, dst header.Addr, dev *napi.NetDevice) *Rtable {
	b := n.packetOf(&fib.Flow{Src: src, Dst: dst})
	if b == nil {
		return nil
	}
	rt, _ := n.routeInput(b, src, dst, 0, dev)
	b.Free(skb.NotSpecified)
	return rt
}

// asMerged names the table as Linux does, which keeps the routes of the local
// table in main until there are rules of one's own.
func (n *Net) asMerged(res fib.Result) fib.Result {
	if res.Table == fib.TableLocal && !n.FIB.CustomRules() {
		res.Table = fib.TableMain
	}
	return res
}
