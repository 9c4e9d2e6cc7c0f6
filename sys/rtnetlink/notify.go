package rtnetlink

import (
	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/sys/netlink"
)

// listen hears of what changes.
func (r *Route) listen() {
	r.ip.Neigh.Notify, r.ip.Neigh.AppSolicit = r.neighEvent, r.neighAsk
	r.net.MRoute().Notify = r.mrouteEvent
	r.net.IGMP().Notify = r.groupEvent
	r.stop = append(r.stop, r.ip.RegisterRTNotifier(r.event))
}

// event announces a change of addresses, routes or rules. It does not block.
func (r *Route) event(ev ip.RTEvent) {
	switch ev.Kind {
	case ip.RouteNew, ip.RouteDel:
		r.gen[genRoute].Add(1)
		if ev.Quiet {
			return
		}
		typ, flags := uint16(rtmNewRoute), uint16(netlink.FlagCreate|netlink.FlagExcl)
		switch {
		case ev.Kind == ip.RouteDel:
			typ, flags = rtmDelRoute, 0
		case ev.Flags&fib.FlagReplace != 0:
			flags = netlink.FlagReplace
		case ev.Flags&fib.FlagAppend != 0:
			flags = netlink.FlagCreate | netlink.FlagAppend
		}
		r.tellFor(rtmNewRoute, groupRoute, func(b *netlink.Builder) { putRouteAs(b, typ, flags, ev.Route, ev.Route.Type) })
	case ip.AddrNew, ip.AddrDel:
		r.gen[genAddr].Add(1)
		typ := uint16(rtmNewAddr)
		if ev.Kind == ip.AddrDel {
			typ = rtmDelAddr
		}
		r.tellFor(rtmNewAddr, groupIfaddr, func(b *netlink.Builder) { r.putAddr(b, typ, ev.Dev, ev.Addr) })
	case ip.RuleNew, ip.RuleDel:
		r.gen[genRule].Add(1)
		typ := uint16(rtmNewRule)
		if ev.Kind == ip.RuleDel {
			typ = rtmDelRule
		}
		r.tellFor(rtmNewRule, groupRule, func(b *netlink.Builder) { r.putRule(b, typ, ev.Rule) })
	}
}
