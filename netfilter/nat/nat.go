package nat

import (
	"sync"
	"sync/atomic"

	"barewire/netfilter"
	"barewire/netfilter/conntrack"
	"barewire/skb"
	"barewire/skb/header"
)

// Config is what translation needs from above.
type Config struct {
	Table *conntrack.Table
	Hooks *netfilter.Hooks
	// Random returns an unpredictable number.
	Random func() uint32
	// RouteMe finds the route of a packet made here again after its destination
	// changed (Linux: ip_route_me_harder).
	RouteMe func(b *skb.Buff) error
	// MasqAddr returns the source address for packets that leave by out the way
	// b does; 0 if the device has none (Linux: inet_select_addr of rt_nexthop).
	MasqAddr func(b *skb.Buff, out skb.Device) header.Addr
	// DevAddr returns the first primary address of a device, 0 if it has none.
	DevAddr func(dev skb.Device) header.Addr
}

// NAT is the translation of one stack.
type NAT struct {
	Config
	rules atomic.Pointer[netfilter.Func]
	srcs  bySource

	mu     sync.Mutex // SetRules
	remove []func()

	// Exhausted counts searches for a port that found none.
	Exhausted atomic.Uint64
	// NoAddress counts packets dropped because the device they would be
	// masqueraded or redirected by has no address.
	NoAddress atomic.Uint64
}

// New makes the translation of the connections of a table. It takes the table's
// OnEnd. No hook is registered before SetRules.
func New(c Config) *NAT {
	n := &NAT{Config: c}
	n.srcs.init(c.Random)
	c.Table.OnEnd(n.srcs.forget)
	return n
}

// SetRules says what decides over new connections: the nat table, called at
// PREROUTING, INPUT, OUTPUT and POSTROUTING with the first packet of each. It
// decides by calling one of SNAT, DNAT, Masquerade, Redirect and Netmap. The
// first call registers the hooks (Linux: nf_nat_register_fn). With nil new
// connections stay as they are; those translated before are still, as long as
// they are tracked.
func (n *NAT) SetRules(fn netfilter.Func) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if fn == nil {
		n.rules.Store(nil)
		return
	}
	n.rules.Store(&fn)
	if n.remove != nil {
		return
	}
	n.remove = []func(){
		n.Hooks.Register(netfilter.PreRouting, netfilter.PriNATDst, n.preRouting),
		n.Hooks.Register(netfilter.LocalOut, netfilter.PriNATDst, n.localOut),
		n.Hooks.Register(netfilter.PostRouting, netfilter.PriNATSrc, n.translate),
		n.Hooks.Register(netfilter.LocalIn, netfilter.PriNATSrc, n.translate),
	}
}

// Close removes the hooks.
func (n *NAT) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rules.Store(nil)
	for _, f := range n.remove {
		f()
	}
	n.remove = nil
}

// manipAt is the end that a hook point may change (Linux: HOOK2MANIP).
func manipAt(p netfilter.Point) Manip {
	if p == netfilter.PostRouting || p == netfilter.LocalIn {
		return Src
	}
	return Dst
}

// preRouting is nf_nat_ipv4_pre_routing: the destination, before the route.
func (n *NAT) preRouting(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
	if b.Dst == nil {
		return n.translate(b, s)
	}
	// A packet over loopback brings its route along.
	dst := header.IPv4(b.Data()).Dst()
	v := n.translate(b, s)
	if v == netfilter.Accept && header.IPv4(b.Data()).Dst() != dst {
		b.Dst = nil
	}
	return v
}

// localOut is nf_nat_ipv4_local_fn: the destination of what is sent from here,
// and another route if it changed.
func (n *NAT) localOut(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
	v := n.translate(b, s)
	if v != netfilter.Accept {
		return v
	}
	if c, info := conntrack.Get(b); c != nil && c.Status()&NATMask != 0 {
		d := info.Dir()
		if c.Tuple(d).Dst != c.Tuple(d.Other()).Src && n.RouteMe(b) != nil {
			return netfilter.Drop
		}
	}
	return v
}

// NATMask is the status bits of translated connections.
const NATMask = conntrack.NATMask

// done is the bit that says that an end was decided.
func done(m Manip) conntrack.Status {
	if m == Src {
		return conntrack.SrcNATDone
	}
	return conntrack.DstNATDone
}

// translate is the hook at every point (Linux: nf_nat_ipv4_fn, nf_nat_inet_fn):
// a connection that is new is decided over, and every packet rewritten.
func (n *NAT) translate(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
	c, info := conntrack.Get(b)
	if c == nil || c.IsTemplate() {
		return netfilter.Accept
	}
	m := manipAt(s.Point)
	switch info {
	case conntrack.Related, conntrack.RelatedReply:
		h := header.IPv4(b.Data())
		if h.Protocol() == header.ProtoICMP {
			if !errorPacket(b, h.HeaderLen(), c, info.Dir(), m) {
				return netfilter.Drop
			}
			return netfilter.Accept
		}
		fallthrough
	case conntrack.New:
		if c.Status()&done(m) == 0 {
			if v := n.decide(b, s, c, m); v != netfilter.Accept {
				return v
			}
		} else if n.leftElsewhere(c, info, s) {
			return netfilter.Drop
		}
	case conntrack.Untracked:
		return netfilter.Accept
	default:
		if n.leftElsewhere(c, info, s) {
			return netfilter.Drop
		}
	}
	d := info.Dir()
	if needs(c, d, m) && !Rewrite(b, 0, m, target(c, d, m)) {
		return netfilter.Drop
	}
	return netfilter.Accept
}

// decide asks the rules what a connection becomes.
func (n *NAT) decide(b *skb.Buff, s *netfilter.State, c *conntrack.Conn, m Manip) netfilter.Verdict {
	if fn := n.rules.Load(); fn != nil {
		if v := (*fn)(b, s); v != netfilter.Accept {
			return v
		}
		if c.Status()&done(m) != 0 {
			return netfilter.Accept
		}
	}
	return n.null(c, m)
}

// null leaves an end as it is, unless the answers would be another's (Linux:
// nf_nat_alloc_null_binding). What the packets look like follows from the reply
// tuple: they may be translated at the other end already.
func (n *NAT) null(c *conntrack.Conn, m Manip) netfilter.Verdict {
	t := c.Tuple(conntrack.Reply)
	a := t.Src
	if m == Src {
		a = t.Dst
	}
	return n.Setup(c, &Range{Flags: MapIPs, MinAddr: a, MaxAddr: a}, m)
}

// Setup decides what one end of a new connection becomes (Linux:
// nf_nat_setup_info). Of a connection that is confirmed nothing can be decided
// any more. Drop when it was decided already, or when there is no address.
func (n *NAT) Setup(c *conntrack.Conn, r *Range, m Manip) netfilter.Verdict {
	st := c.Status()
	if st&conntrack.Confirmed != 0 {
		return netfilter.Accept
	}
	if st&done(m) != 0 {
		return netfilter.Drop
	}
	reply := c.Tuple(conntrack.Reply)
	cur, ok := reply.Invert()
	if !ok {
		return netfilter.Drop
	}
	to := n.unique(cur, r, c, m)
	bits := done(m)
	if to != cur {
		if reply, ok = to.Invert(); !ok {
			return netfilter.Drop
		}
		c.AlterReply(reply)
		if m == Src {
			bits |= conntrack.SrcNAT
		} else {
			bits |= conntrack.DstNAT
		}
	}
	if m == Src {
		n.srcs.add(c)
	}
	c.SetStatus(bits)
	return netfilter.Accept
}

// leftElsewhere ends a masqueraded connection whose packets leave by another
// device than its address is of (Linux: nf_nat_oif_changed).
func (n *NAT) leftElsewhere(c *conntrack.Conn, info conntrack.Info, s *netfilter.State) bool {
	return s.Point == netfilter.PostRouting && c.Masq() != 0 && n.leftBy(c, info, s.Out)
}

func (n *NAT) leftBy(c *conntrack.Conn, info conntrack.Info, out skb.Device) bool {
	if out == nil || info.Dir() != conntrack.Original || c.Masq() == out.Ifindex() {
		return false
	}
	n.Table.Delete(c)
	return true
}

// needs reports whether packets of a direction change at an end (Linux:
// nf_nat_packet).
func needs(c *conntrack.Conn, d conntrack.Dir, m Manip) bool {
	bit := conntrack.DstNAT
	if (m == Src) == (d == conntrack.Original) {
		bit = conntrack.SrcNAT
	}
	return c.Status()&bit != 0
}

// target is what an end of a direction's packets becomes: they shall look like
// what the other direction answers.
func target(c *conntrack.Conn, d conntrack.Dir, m Manip) End {
	t := c.Tuple(d.Other())
	to := End{t.Src, t.SrcPort}
	if m == Src {
		to = End{t.Dst, t.DstPort}
	}
	if t.Proto == conntrack.ProtoICMP {
		to.Port = t.SrcPort
	}
	return to
}

// Target returns what an end of the packets of one direction of a decided
// connection becomes, and whether it changes at all.
func Target(c *conntrack.Conn, d conntrack.Dir, m Manip) (to End, changes bool) {
	return target(c, d, m), needs(c, d, m)
}

// errorPacket rewrites an ICMP error about a connection. False means that it is
// to be dropped.
func errorPacket(b *skb.Buff, hlen int, c *conntrack.Conn, d conntrack.Dir, m Manip) bool {
	if !EnsureWritable(b, hlen+header.ICMPLen+header.IPv4MinLen) {
		return false
	}
	if b.IPSummed != skb.ChecksumPartial && b.IPSummed != skb.ChecksumUnnecessary &&
		skb.CsumFold(b.Checksum(hlen, b.Len()-hlen, 0)) != 0 {
		return false // what is wrong must not be made right on the way
	}
	// A redirect names a gateway, which would have to be translated as well.
	if b.Data()[hlen] == header.ICMPRedirect {
		if st := c.Status(); st&conntrack.NATDoneMask != conntrack.NATDoneMask || st&NATMask != 0 {
			return false
		}
	}
	if !needs(c, d, m) {
		return true
	}
	to := target(c, d, m)
	return RewriteError(b, hlen, m, to.Addr, to)
}
