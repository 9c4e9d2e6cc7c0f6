package nat

import (
	"barewire/netfilter"
	"barewire/netfilter/conntrack"
	"barewire/skb"
	"barewire/skb/header"
)

// The targets of the nat table. Each decides over the connection of b, the first
// packet of it at a hook, and returns Accept, or Drop when that cannot be.

// setup decides for the connection of b.
func (n *NAT) setup(b *skb.Buff, r *Range, m Manip) netfilter.Verdict {
	c, _ := conntrack.Get(b)
	if c == nil {
		return netfilter.Accept
	}
	return n.Setup(c, r, m)
}

// SNAT gives the connection a source of r (Linux: xt_snat_target). For
// POSTROUTING and INPUT.
func (n *NAT) SNAT(b *skb.Buff, r *Range) netfilter.Verdict { return n.setup(b, r, Src) }

// DNAT gives the connection a destination of r (Linux: xt_dnat_target). For
// PREROUTING and OUTPUT.
func (n *NAT) DNAT(b *skb.Buff, r *Range) netfilter.Verdict { return n.setup(b, r, Dst) }

// Masquerade gives the connection the address of the device it leaves by as its
// source, with ports of r (Linux: nf_nat_masquerade_ipv4). The connection ends
// when the device goes down or loses the address: see [NAT.DeviceDown] and
// [NAT.AddressGone]. For POSTROUTING.
func (n *NAT) Masquerade(b *skb.Buff, s *netfilter.State, r *Range) netfilter.Verdict {
	c, _ := conntrack.Get(b)
	if c == nil || c.Tuple(conntrack.Original).Src == header.AddrAny || s.Out == nil {
		return netfilter.Accept // a host without an address, as in DHCP, means it
	}
	a := n.MasqAddr(b, s.Out)
	if a == 0 {
		n.NoAddress.Add(1)
		return netfilter.Drop
	}
	c.SetMasq(s.Out.Ifindex())
	to := *r
	to.Flags |= MapIPs
	to.MinAddr, to.MaxAddr = a, a
	return n.Setup(c, &to, Src)
}

// Redirect sends the connection to this host: to the address of the device it
// came by, or to loopback when it was made here, at a port of r (Linux:
// nf_nat_redirect_ipv4). For PREROUTING and OUTPUT.
func (n *NAT) Redirect(b *skb.Buff, s *netfilter.State, r *Range) netfilter.Verdict {
	a := header.AddrLoopback
	if s.Point != netfilter.LocalOut {
		a = 0
		if s.In != nil {
			a = n.DevAddr(s.In)
		}
		if a == 0 {
			n.NoAddress.Add(1)
			return netfilter.Drop
		}
	}
	to := *r
	to.Flags |= MapIPs
	to.MinAddr, to.MaxAddr = a, a
	return n.setup(b, &to, Dst)
}

// Netmap replaces the network part of an address, MinAddr to MaxAddr being a
// whole network (Linux: netmap_tg4): of the destination at PREROUTING and
// OUTPUT, of the source at POSTROUTING and INPUT.
func (n *NAT) Netmap(b *skb.Buff, s *netfilter.State, r *Range) netfilter.Verdict {
	m := manipAt(s.Point)
	h := header.IPv4(b.Data())
	a := h.Dst()
	if m == Src {
		a = h.Src()
	}
	mask := ^(r.MinAddr ^ r.MaxAddr)
	a = a&^mask | r.MinAddr&mask
	to := *r
	to.Flags |= MapIPs
	to.MinAddr, to.MaxAddr = a, a
	return n.setup(b, &to, m)
}

// DeviceDown ends the connections masqueraded with an address of a device that
// goes down, and returns how many (Linux: masq_device_event). The address may be
// another when it comes up again.
func (n *NAT) DeviceDown(ifindex int32) int {
	return n.Table.Flush(func(c *conntrack.Conn) bool { return c.Masq() == ifindex })
}

// AddressGone ends the connections masqueraded with an address that a device
// lost, and returns how many (Linux: masq_inet_event).
func (n *NAT) AddressGone(ifindex int32, a header.Addr) int {
	return n.Table.Flush(func(c *conntrack.Conn) bool {
		return c.Masq() == ifindex && c.Tuple(conntrack.Reply).Dst == a
	})
}
