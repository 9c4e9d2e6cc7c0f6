package rtnetlink

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/skb/header"
	"barewire/sys/netlink"
)

// Attributes of routes (Linux: RTA_*).
const (
	rtaDst       = 1
	rtaSrc       = 2
	rtaIif       = 3
	rtaOif       = 4
	rtaGateway   = 5
	rtaPriority  = 6
	rtaPrefSrc   = 7
	rtaMetrics   = 8
	rtaMultipath = 9
	rtaFlow      = 11
	rtaCacheInfo = 12
	rtaTable     = 15
	rtaMark      = 16
	rtaVia       = 18
	rtaEncap     = 22
	rtaUID       = 25
	rtaIPProto   = 27
	rtaSport     = 28
	rtaDport     = 29
	rtaNHID      = 30
	rtmsgLen     = 12
	rtnexthopLen = 8

	rtmFNotify   = 0x100
	rtmFCloned   = 0x200
	rtmFPrefix   = 0x800
	rtmFLookup   = 0x1000 // RTM_F_LOOKUP_TABLE
	rtmFFibMatch = 0x2000
	rtnMax       = 11 // RTN_MAX
)

// routePolicy is rtm_ipv4_policy.
var routePolicy = netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	rtaDst:       {Kind: netlink.U32},
	rtaSrc:       {Kind: netlink.U32},
	rtaIif:       {Kind: netlink.U32},
	rtaOif:       {Kind: netlink.U32},
	rtaGateway:   {Kind: netlink.U32},
	rtaPriority:  {Kind: netlink.U32},
	rtaPrefSrc:   {Kind: netlink.U32},
	rtaMetrics:   {Kind: netlink.Nested},
	rtaMultipath: {Kind: netlink.Unspec, Len: rtnexthopLen},
	rtaFlow:      {Kind: netlink.U32},
	rtaTable:     {Kind: netlink.U32},
	rtaMark:      {Kind: netlink.U32},
	rtaVia:       {Kind: netlink.Unspec, Len: 2},
	rtaEncap:     {Kind: netlink.Nested},
	rtaUID:       {Kind: netlink.U32},
	rtaIPProto:   {Kind: netlink.U8},
	rtaSport:     {Kind: netlink.U16},
	rtaDport:     {Kind: netlink.U16},
	rtaNHID:      {Kind: netlink.U32},
}}

// metricsPolicy: all metrics are numbers but the name of the congestion
// control.
var metricsPolicy = netlink.Policy{Items: []netlink.PolicyItem{ // read-only
	1: {Kind: netlink.U32}, 2: {Kind: netlink.U32}, 3: {Kind: netlink.U32}, 4: {Kind: netlink.U32},
	5: {Kind: netlink.U32}, 6: {Kind: netlink.U32}, 7: {Kind: netlink.U32}, 8: {Kind: netlink.U32},
	9: {Kind: netlink.U32}, 10: {Kind: netlink.U32}, 11: {Kind: netlink.U32}, 12: {Kind: netlink.U32},
	13: {Kind: netlink.U32}, 14: {Kind: netlink.U32}, 15: {Kind: netlink.U32}, rtaxCCAlgo: {Kind: netlink.String, Len: 15},
	17: {Kind: netlink.U32},
}}

const rtaxCCAlgo = 16

// routeFilter reads what a list of routes is to hold (Linux:
// ip_valid_fib_dump_req): of a table, 0 for all, and what the attributes say.
// none means that the list is empty.
func (r *Route) routeFilter(q *request) (table uint32, a netlink.Attrs, none bool, err error) {
	if len(q.Data) < rtmsgLen {
		if q.Strict() {
			err = q.fail(syscall.EINVAL, "Invalid header for FIB dump request")
		}
		return
	}
	if a, err = q.Parse(rtmsgLen, &routePolicy, q.Strict()); err != nil {
		return
	}
	flags := binary.NativeEndian.Uint32(q.Data[8:])
	if q.Strict() {
		switch {
		case q.Data[1] != 0 || q.Data[2] != 0 || q.Data[3] != 0 || q.Data[6] != 0:
			err = q.fail(syscall.EINVAL, "Invalid values in header for FIB dump request")
		case flags&^(rtmFCloned|rtmFPrefix) != 0:
			err = q.fail(syscall.EINVAL, "Invalid flags for FIB dump request")
		case !only(a, rtaTable, rtaOif):
			err = q.fail(syscall.EINVAL, "Unsupported attribute in dump request")
		case a.Has(rtaOif) && r.dev.DevByIndex(int32(a.U32(rtaOif))) == nil:
			err = syscall.ENODEV
		}
		table = uint32(q.Data[4])
		if a.Has(rtaTable) {
			table = a.U32(rtaTable)
		}
	}
	none = flags&rtmFPrefix != 0 // prefixes are IPv6's alone
	return
}

func (r *Route) dumpRoutes(q *request) error {
	table, a, none, err := r.routeFilter(q)
	if err != nil {
		return err
	}
	if none {
		return q.Dump(empty())
	}
	// Who asks strictly gets the routes or what is known of single destinations
	// behind them; others get both.
	routes, exceptions := true, true
	if q.Strict() {
		exceptions = binary.NativeEndian.Uint32(q.Data[8:])&rtmFCloned != 0
		routes = !exceptions
	}
	type item struct {
		fib.Entry
		cached
	}
	var list []item
	found := false
	r.ip.DumpRoutes(func(e fib.Entry) bool {
		if q.Strict() {
			switch {
			case table != 0 && e.Table != table,
				q.Data[5] != 0 && e.Protocol != q.Data[5],
				q.Data[7] != 0 && uint8(e.Type) != q.Data[7],
				a.Has(rtaOif) && !leadsBy(&e, int32(a.U32(rtaOif))):
				return true
			}
		}
		found = true
		if routes {
			list = append(list, item{Entry: e})
		}
		if exceptions {
			ip.Exceptions(&e, func(dst header.Addr, rt *ip.Rtable) { list = append(list, item{cached: cached{e.Table, dst, rt}}) })
		}
		return true
	})
	if table != 0 && !found && !r.hasTable(table) {
		return q.fail(syscall.ENOENT, "ipv4: FIB table does not exist")
	}
	next := netlink.List(list, func(b *netlink.Builder, i item) {
		if i.rt != nil {
			i.put(b)
			return
		}
		putRoute(b, rtmNewRoute, &i.Entry)
	})
	if q.family != afInet { // a list of all families
		next = r.thenMRoutes(next, table)
	}
	return q.Dump(netlink.Dump{Seq: r.seq(genRoute), Filtered: q.Strict(), Next: next})
}

// hasTable reports whether a table was ever made.
func (r *Route) hasTable(id uint32) bool {
	found := id == fib.TableLocal || id == fib.TableMain
	r.ip.DumpRoutes(func(e fib.Entry) bool {
		found = found || e.Table == id
		return !found
	})
	return found
}

func leadsBy(e *fib.Entry, oif int32) bool {
	for i := range e.NHs {
		if e.NHs[i].OIF == oif {
			return true
		}
	}
	return false
}

// rtmsg is struct rtmsg as the kernel writes it.
type rtmsg struct {
	dstLen, srcLen, tos   uint8
	table                 uint32
	protocol, scope, rtyp uint8
	flags                 uint32
}

func (m *rtmsg) put(b *netlink.Builder) { m.putFamily(b, afInet) }

func (m *rtmsg) putFamily(b *netlink.Builder, family uint8) {
	t := m.table
	if t > 255 {
		t = 252 // RT_TABLE_COMPAT
	}
	var h [rtmsgLen]byte
	h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7] = family, m.dstLen, m.srcLen, m.tos, uint8(t), m.protocol, m.scope, m.rtyp
	binary.NativeEndian.PutUint32(h[8:], m.flags)
	b.Raw(h[:]...)
	b.AttrU32(rtaTable, m.table)
}

// putRoute is fib_dump_info.
func putRoute(b *netlink.Builder, typ uint16, e *fib.Entry) { putRouteAs(b, typ, 0, e, e.Type) }

// putRouteAs shows a route as one of another type, that of a decision, in a
// message with flags.
func putRouteAs(b *netlink.Builder, typ, flags uint16, e *fib.Entry, as fib.Type) {
	b.Begin(typ, flags)
	m := rtmsg{dstLen: uint8(e.Bits), tos: e.TOS, table: e.Table, protocol: e.Protocol, scope: uint8(e.Scope), rtyp: uint8(as)}
	if len(e.NHs) == 1 {
		m.flags = e.NHs[0].Flags()
	} else if e.Dead() {
		m.flags = fib.NHDead
	}
	m.put(b)
	if e.Bits != 0 {
		b.AttrBE32(rtaDst, uint32(e.Dst))
	}
	if e.Priority != 0 {
		b.AttrU32(rtaPriority, e.Priority)
	}
	putMetrics(b, &e.Metrics)
	if e.PrefSrc != 0 {
		b.AttrBE32(rtaPrefSrc, uint32(e.PrefSrc))
	}
	switch {
	case len(e.NHs) == 1:
		if nh := &e.NHs[0]; true {
			if nh.Gateway != 0 {
				b.AttrBE32(rtaGateway, uint32(nh.Gateway))
			}
			if nh.OIF != 0 {
				b.AttrU32(rtaOif, uint32(nh.OIF))
			}
		}
	case len(e.NHs) > 1:
		n := b.Nest(rtaMultipath, false)
		for i := range e.NHs {
			nh := &e.NHs[i]
			l := uint16(rtnexthopLen)
			if nh.Gateway != 0 {
				l += 8
			}
			var h [rtnexthopLen]byte
			binary.NativeEndian.PutUint16(h[:], l)
			h[2], h[3] = uint8(nh.Flags()), uint8(nh.Weight-1)
			binary.NativeEndian.PutUint32(h[4:], uint32(nh.OIF))
			b.Raw(h[:]...)
			if nh.Gateway != 0 {
				b.AttrBE32(rtaGateway, uint32(nh.Gateway))
			}
		}
		b.EndNest(n)
	}
	b.End()
}

func putMetrics(b *netlink.Builder, m *fib.Metrics) {
	n := b.Nest(rtaMetrics, false)
	any := false
	for i := 1; i < len(m); i++ {
		if m[i] != 0 && i != rtaxCCAlgo {
			b.AttrU32(uint16(i), m[i])
			any = true
		}
	}
	if !any {
		b.CancelNest(n)
		return
	}
	b.EndNest(n)
}

// routeConfig is rtm_to_fib_config.
func (r *Route) routeConfig(q *request) (*fib.Config, error) {
	a, err := q.Parse(rtmsgLen, &routePolicy, false)
	if err != nil {
		return nil, err
	}
	h := q.Data
	if h[3]&3 != 0 {
		return nil, q.fail(syscall.EINVAL, "Invalid dsfield (tos): ECN bits must be 0")
	}
	c := &fib.Config{Bits: int(h[1]), TOS: h[3], Table: uint32(h[4]), Protocol: h[5], Scope: fib.Scope(h[6]), Type: fib.Type(h[7]),
		NHFlags: binary.NativeEndian.Uint32(h[8:])}
	if h[7] > rtnMax {
		return nil, q.fail(syscall.EINVAL, "Invalid route type")
	}
	c.Dst = header.Addr(a.BE32(rtaDst))
	c.OIF = int32(a.U32(rtaOif))
	c.Gateway = header.Addr(a.BE32(rtaGateway))
	c.Priority = a.U32(rtaPriority)
	c.PrefSrc = header.Addr(a.BE32(rtaPrefSrc))
	if a.Has(rtaTable) {
		c.Table = a.U32(rtaTable)
	}
	if a.Has(rtaVia) {
		if a.Has(rtaGateway) {
			return nil, q.fail(syscall.EINVAL, "Nexthop configuration can not contain both GATEWAY and VIA")
		}
		v := a[rtaVia]
		if f := binary.NativeEndian.Uint16(v); f != afInet || len(v) < 6 {
			return nil, q.fail(syscall.EINVAL, "Unsupported address family in RTA_VIA")
		}
		c.Gateway = header.Addr(binary.BigEndian.Uint32(v[2:]))
	}
	if a.Has(rtaEncap) || a.Has(rtaNHID) {
		return nil, q.fail(syscall.EINVAL, "Nexthop id does not exist")
	}
	if a.Has(rtaMetrics) {
		if err := metrics(q, a[rtaMetrics], &c.Metrics); err != nil {
			return nil, err
		}
	}
	if a.Has(rtaMultipath) {
		if c.Multipath, err = multipath(q, a[rtaMultipath]); err != nil {
			return nil, err
		}
	}
	if c.Table == 0 {
		c.Table = fib.TableMain
	}
	if c.Bits > 32 {
		return nil, q.fail(syscall.EINVAL, "Invalid prefix length")
	}
	if c.Dst&^header.Mask(c.Bits) != 0 {
		return nil, q.fail(syscall.EINVAL, "Invalid prefix for given prefix length")
	}
	return c, nil
}

// metrics is ip_metrics_convert.
func metrics(q *request, b []byte, m *fib.Metrics) error {
	a, err := netlink.Parse(b, &metricsPolicy, false, &q.Ack)
	if err != nil {
		return q.fail(syscall.EINVAL, "Invalid attribute in metrics")
	}
	for i := 1; i < len(a); i++ {
		if !a.Has(i) {
			continue
		}
		if i == rtaxCCAlgo || i >= len(m) {
			return q.fail(syscall.EINVAL, "Unknown tcp congestion algorithm")
		}
		v := a.U32(i)
		switch i {
		case fib.RTAXMTU:
			v = min(v, 65535-15)
		case fib.RTAXAdvMSS:
			v = min(v, 65535-40)
		case fib.RTAXHopLimit:
			v = min(v, 255)
		}
		m[i] = v
	}
	return nil
}

// multipath reads the nexthops of a route, struct rtnexthop each with
// attributes (Linux: fib_count_nexthops, fib_get_nhs).
func multipath(q *request, b []byte) (out []fib.NexthopConfig, err error) {
	for len(b) >= rtnexthopLen {
		l := int(binary.NativeEndian.Uint16(b))
		if l < rtnexthopLen || l > len(b) {
			break
		}
		if b[2]&(fib.NHDead|fib.NHLinkDown) != 0 {
			return nil, q.fail(syscall.EINVAL, "Invalid flags for nexthop - can not contain DEAD or LINKDOWN")
		}
		nh := fib.NexthopConfig{OIF: int32(binary.NativeEndian.Uint32(b[4:])), Weight: int(b[3]) + 1, Flags: uint32(b[2])}
		for rest := b[rtnexthopLen:l]; ; {
			typ, val, next, ok := netlink.NextAttr(rest)
			if !ok {
				break
			}
			if typ == rtaGateway {
				if len(val) < 4 {
					return nil, q.fail(syscall.EINVAL, "Invalid IPv4 gateway")
				}
				nh.Gateway = header.Addr(binary.BigEndian.Uint32(val))
			}
			rest = next
		}
		out = append(out, nh)
		b = b[min((l+3)&^3, len(b)):]
	}
	if len(b) > 0 || len(out) == 0 {
		return nil, q.fail(syscall.EINVAL, "Invalid nexthop configuration - extra data after nexthops")
	}
	return out, nil
}

// newRoute is inet_rtm_newroute.
func (r *Route) newRoute(q *request) error {
	c, err := r.routeConfig(q)
	if err != nil {
		return err
	}
	return r.explain(q, c, r.ip.NewRoute(c, q.Flags))
}

// delRoute is inet_rtm_delroute.
func (r *Route) delRoute(q *request) error {
	c, err := r.routeConfig(q)
	if err != nil {
		return err
	}
	if !r.hasTable(c.Table) {
		return q.fail(syscall.ESRCH, "FIB table does not exist")
	}
	return errnoOf(r.ip.DelRoute(c))
}

// explain says with an error what is meant by it, where that is sure.
func (r *Route) explain(q *request, c *fib.Config, err error) error {
	err = errnoOf(err)
	switch {
	case err == syscall.ENETUNREACH:
		return q.fail(syscall.ENETUNREACH, "Nexthop has invalid gateway")
	case err == syscall.ENETDOWN:
		return q.fail(syscall.ENETDOWN, "Device for nexthop is not up")
	case err == syscall.ENODEV && c.NHFlags&fib.NHOnLink != 0 && c.OIF == 0:
		return q.fail(syscall.ENODEV, "Nexthop device required for onlink")
	case err == syscall.EINVAL && c.Type >= fib.Blackhole && (c.Gateway != 0 || c.OIF != 0 || len(c.Multipath) > 0):
		return q.fail(syscall.EINVAL, "Gateway, device and multipath can not be specified for this route type")
	}
	return err
}
