package rtnetlink

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/ipmr"
	"barewire/skb/header"
	"barewire/sys/netlink"
)

// Messages, groups and attributes of multicast routing (Linux:
// include/uapi/linux/rtnetlink.h, mroute.h).
const (
	rtmNewCacheReport = 96
	groupMRoute       = 6  // RTNLGRP_IPV4_MROUTE
	groupMRouteReport = 30 // RTNLGRP_IPV4_MROUTE_R

	rtaMFCStats = 17
	rtaExpires  = 23

	rtprotStatic    = 4
	rtprotMrouted   = 17
	rtnMulticast    = 5
	rtnhUnresolved  = 32
	iflaAFSpecIPMR  = 26
	igmpmsgSrc      = 12 // struct igmpmsg
	igmpmsgLen      = 20
	ipmrVIFs        = 6 // IPMRA_TABLE_VIFS
	ipmrVIF         = 1 // IPMRA_VIF
	rtnexthopHops   = 3 // struct rtnexthop
	rtnexthopIfindx = 4
)

// mroutePolicy is rtm_ipmr_policy.
var mroutePolicy = netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	rtaDst:       {Kind: netlink.U32},
	rtaSrc:       {Kind: netlink.U32},
	rtaIif:       {Kind: netlink.U32},
	rtaPrefSrc:   {Kind: netlink.Binary},
	rtaMultipath: {Kind: netlink.Unspec, Len: rtnexthopLen},
	rtaTable:     {Kind: netlink.U32},
}}

// mroute handles the requests of the family RTNL_FAMILY_IPMR.
func (r *Route) mroute(q *request) error {
	switch q.Type {
	case rtmNewRoute, rtmDelRoute:
		c, err := r.mrouteConfig(q)
		if err != nil {
			return err
		}
		change := r.net.MRoute().NewRoute
		if q.Type == rtmDelRoute {
			change = r.net.MRoute().DelRoute
		}
		return errnoOf(change(c))
	case rtmGetRoute:
		return r.getMRoute(q)
	}
	return syscall.EOPNOTSUPP
}

// mrouteConfig is rtm_to_ipmr_mfcc.
func (r *Route) mrouteConfig(q *request) (*ipmr.Config, error) {
	a, err := q.Parse(rtmsgLen, &mroutePolicy, false)
	if err != nil {
		return nil, err
	}
	h := q.Data
	if h[1] != 32 || h[7] != rtnMulticast || h[6] != 0 || h[5] != rtprotMrouted && h[5] != rtprotStatic {
		return nil, syscall.EINVAL
	}
	c := &ipmr.Config{Table: ipmr.DefaultTable, Origin: header.Addr(a.BE32(rtaSrc)), Group: header.Addr(a.BE32(rtaDst)),
		Daemon: h[5] == rtprotMrouted, Proxy: a.Has(rtaPrefSrc)}
	if a.Has(rtaIif) {
		if c.In = r.dev.DevByIndex(int32(a.U32(rtaIif))); c.In == nil {
			return nil, syscall.ENODEV
		}
	}
	if a.Has(rtaTable) {
		c.Table = a.U32(rtaTable)
	}
	if a.Has(rtaMultipath) {
		// A list by number of the vif, whatever device it names.
		p, i := []byte(a[rtaMultipath]), 0
		for ; len(p) >= rtnexthopLen && i < ipmr.MaxVIFs; i++ {
			n := int(binary.NativeEndian.Uint16(p))
			if n < rtnexthopLen || n > len(p) {
				break
			}
			c.TTLs[i] = p[rtnexthopHops]
			p = p[min((n+3)&^3, len(p)):]
		}
		if len(p) > 0 {
			return nil, syscall.EINVAL
		}
	}
	return c, nil
}

// getMRoute is ipmr_rtm_getroute.
func (r *Route) getMRoute(q *request) error {
	if len(q.Data) < rtmsgLen {
		return q.fail(syscall.EINVAL, "ipv4: Invalid header for multicast route get request")
	}
	h := q.Data
	if q.Strict() && (h[1] != 0 && h[1] != 32 || h[2] != 0 && h[2] != 32 ||
		h[3]|h[4]|h[5]|h[6]|h[7] != 0 || binary.NativeEndian.Uint32(h[8:]) != 0) {
		return q.fail(syscall.EINVAL, "ipv4: Invalid values in header for multicast route get request")
	}
	a, err := q.Parse(rtmsgLen, &routePolicy, q.Strict())
	if err != nil {
		return err
	}
	if q.Strict() {
		switch {
		case a.Has(rtaSrc) && h[2] == 0 || a.Has(rtaDst) && h[1] == 0:
			return q.fail(syscall.EINVAL, "ipv4: rtm_src_len and rtm_dst_len must be 32 for IPv4")
		case !only(a, rtaSrc, rtaDst, rtaTable):
			return q.fail(syscall.EINVAL, "ipv4: Unsupported attribute in multicast route get request")
		}
	}
	table := a.U32(rtaTable)
	if table == 0 {
		table = ipmr.DefaultTable
	}
	e, err := r.net.MRoute().Get(table, header.Addr(a.BE32(rtaSrc)), header.Addr(a.BE32(rtaDst)))
	if err != nil {
		return errnoOf(err)
	}
	q.Reply(func(b *netlink.Builder) { putMRoute(b, rtmNewRoute, &e) })
	return nil
}

// putMRoute is ipmr_fill_mroute.
func putMRoute(b *netlink.Builder, typ uint16, e *ipmr.Route) {
	b.Begin(typ, 0)
	m := rtmsg{dstLen: 32, srcLen: 32, table: e.Table, protocol: rtprotMrouted, rtyp: rtnMulticast}
	if e.Static {
		m.protocol = rtprotStatic
	}
	if e.Unresolved {
		m.flags = rtnhUnresolved
	}
	m.putFamily(b, rtnlFamilyIPMR)
	b.AttrBE32(rtaSrc, uint32(e.Origin))
	b.AttrBE32(rtaDst, uint32(e.Group))
	if !e.Unresolved {
		if e.In != nil {
			b.AttrU32(rtaIif, uint32(e.In.Ifindex()))
		}
		at := b.Nest(rtaMultipath, false)
		for _, o := range e.Outs {
			var nh [rtnexthopLen]byte
			binary.NativeEndian.PutUint16(nh[:], rtnexthopLen)
			nh[rtnexthopHops] = o.TTL
			binary.NativeEndian.PutUint32(nh[rtnexthopIfindx:], uint32(o.Dev.Ifindex()))
			b.Raw(nh[:]...)
		}
		b.EndNest(at)
		var st []byte // struct rta_mfc_stats
		for _, v := range []uint64{e.Packets, e.Bytes, e.WrongIf} {
			st = binary.NativeEndian.AppendUint64(st, v)
		}
		b.Attr(rtaMFCStats, st...)
		b.Attr(rtaExpires, binary.NativeEndian.AppendUint64(nil, uint64(e.Idle/(1e9/userHZ)))...)
	}
	b.End()
}

// mroutes lists what a dump of routes asks for; table 0 is all.
func (r *Route) mroutes(table uint32) (list []ipmr.Route, exists bool) {
	exists = table == 0
	for _, t := range r.net.MRoute().Tables() {
		exists = exists || t.ID == table
	}
	for _, e := range r.net.MRoute().Routes() {
		if table == 0 || e.Table == table {
			list = append(list, e)
		}
	}
	return list, exists
}

// listMRoutes is mr_table_dump.
func (r *Route) listMRoutes(table uint32) (next func(*netlink.Builder) (bool, error), exists bool) {
	list, exists := r.mroutes(table)
	return netlink.List(list, func(b *netlink.Builder, e ipmr.Route) { putMRoute(b, rtmNewRoute, &e) }), exists
}

// thenMRoutes continues a list of routes with those of multicast.
func (r *Route) thenMRoutes(first func(*netlink.Builder) (bool, error), table uint32) func(*netlink.Builder) (bool, error) {
	next, _ := r.listMRoutes(table)
	return func(b *netlink.Builder) (bool, error) {
		if first == nil {
			return next(b)
		}
		more, err := first(b)
		if !more {
			first = nil
		}
		return err == nil, err
	}
}

// dumpMRoutes is ipmr_rtm_dumproute.
func (r *Route) dumpMRoutes(q *request) error {
	table, _, _, err := r.routeFilter(q)
	if err != nil {
		return err
	}
	next, exists := r.listMRoutes(table)
	if !exists {
		return q.fail(syscall.ENOENT, "ipv4: MR table does not exist")
	}
	return q.Dump(netlink.Dump{Seq: r.seq(genRoute), Filtered: q.Strict(), Next: next})
}

// dumpMRouteTables is ipmr_rtm_dumplink: the tables and their vifs, dressed up
// as links.
func (r *Route) dumpMRouteTables(q *request) error {
	flag := func(v bool) uint8 {
		if v {
			return 1
		}
		return 0
	}
	u64 := func(v uint64) []byte { return binary.NativeEndian.AppendUint64(nil, v) }
	return q.Dump(netlink.Dump{Next: netlink.List(r.net.MRoute().Tables(), func(b *netlink.Builder, t ipmr.Table) {
		b.Begin(rtmNewLink, 0)
		var h [ifinfomsgLen]byte
		h[0] = rtnlFamilyIPMR
		b.Raw(h[:]...)
		af := b.Nest(iflaAFSpecIPMR, false)
		b.AttrU32(1, t.ID)
		b.AttrU32(2, uint32(t.Waiting))
		b.AttrU32(3, uint32(int32(t.RegVIF)))
		b.AttrU8(4, flag(t.Assert))
		b.AttrU8(5, flag(t.PIM))
		b.AttrU8(7, flag(t.WrongVIFWhole))
		vifs := b.Nest(ipmrVIFs, false)
		for _, v := range t.VIFs {
			at := b.Nest(ipmrVIF, false)
			b.AttrU32(1, uint32(v.Dev.Ifindex()))
			b.AttrU32(2, uint32(v.ID))
			b.AttrU16(3, uint16(v.Flags))
			b.Attr(4, u64(v.BytesIn)...)
			b.Attr(5, u64(v.BytesOut)...)
			b.Attr(6, u64(v.PacketsIn)...)
			b.Attr(7, u64(v.PacketsOut)...)
			b.Attr(8, v.Local[:]...)
			b.Attr(9, v.Remote[:]...)
			b.EndNest(at)
		}
		b.EndNest(vifs)
		b.EndNest(af)
		b.End()
	})})
}

// mrouteEvent announces changes and upcalls (Linux: mroute_netlink_event,
// igmpmsg_netlink_event).
func (r *Route) mrouteEvent(ev ipmr.Event) {
	switch ev.Kind {
	case ipmr.RouteNew, ipmr.RouteDel:
		r.gen[genRoute].Add(1)
		typ := uint16(rtmNewRoute)
		if ev.Kind == ipmr.RouteDel {
			typ = rtmDelRoute
		}
		r.tell(groupMRoute, func(b *netlink.Builder) { putMRoute(b, typ, &ev.Route) })
	case ipmr.Forwarding:
		index := int32(netconfAll)
		if ev.Dev != nil {
			index = ev.Dev.Ifindex()
		}
		if c := r.devConfOf(index); c != nil {
			r.tell(groupNetconf, func(b *netlink.Builder) { putNetconf(b, rtmNewNetconf, index, c, netconfMcForwarding) })
		}
	case ipmr.Report:
		r.tell(groupMRouteReport, func(b *netlink.Builder) {
			m := ev.Msg
			b.Begin(rtmNewCacheReport, 0)
			b.Raw(rtnlFamilyIPMR)
			b.AttrU8(1, m[8])
			b.AttrU32(2, uint32(m[10])|uint32(m[11])<<8)
			b.AttrBE32(3, binary.BigEndian.Uint32(m[igmpmsgSrc:]))
			b.AttrBE32(4, binary.BigEndian.Uint32(m[igmpmsgSrc+4:]))
			b.AttrU32(6, ev.Table)
			b.Attr(5, m[igmpmsgLen:]...)
			b.End()
		})
	}
}
