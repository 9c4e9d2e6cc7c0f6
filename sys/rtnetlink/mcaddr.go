package rtnetlink

import (
	"encoding/binary"

	"barewire/inet/igmp"
	"barewire/inet/ip"
	"barewire/sys/netlink"
)

// Messages, group and attribute of the groups devices are in (Linux:
// RTM_*MULTICAST, RTNLGRP_IPV4_MCADDR).
const (
	rtmNewMulticast = 56
	rtmDelMulticast = 57
	rtmGetMulticast = 58
	groupMcaddr     = 37
	ifaMulticast    = 7
)

// dumpGroups is inet_dump_ifmcaddr.
func (r *Route) dumpGroups(q *request) error {
	index, err := r.addrFilter(q)
	if err != nil {
		return err
	}
	var list []igmp.Group
	for _, g := range r.net.IGMP().Groups() {
		if index == 0 || g.Dev.Ifindex() == index {
			list = append(list, g)
		}
	}
	return q.Dump(netlink.Dump{Seq: r.seq(genAddr), Filtered: index != 0, Next: netlink.List(list, func(b *netlink.Builder, g igmp.Group) {
		putGroup(b, rtmGetMulticast, &g) // the type of the request, as Linux has it
	})})
}

// putGroup is inet_fill_ifmcaddr.
func putGroup(b *netlink.Builder, typ uint16, g *igmp.Group) {
	b.Begin(typ, 0)
	h := [ifaddrmsgLen]byte{afInet, 32, ifaFPermanent}
	binary.NativeEndian.PutUint32(h[4:], uint32(g.Dev.Ifindex()))
	b.Raw(h[:]...)
	b.AttrBE32(ifaMulticast, uint32(g.Addr))
	var c []byte // struct ifa_cacheinfo
	since := uint32(g.Since / (1e9 / userHZ))
	for _, v := range []uint32{ip.Forever, ip.Forever, since, since} {
		c = binary.NativeEndian.AppendUint32(c, v)
	}
	b.Attr(ifaCacheInfo, c...)
	b.End()
}

// groupEvent announces that a device joined a group or left it.
func (r *Route) groupEvent(g igmp.Group, joined bool) {
	r.gen[genAddr].Add(1)
	typ := uint16(rtmDelMulticast)
	if joined {
		typ = rtmNewMulticast
	}
	r.tell(groupMcaddr, func(b *netlink.Builder) { putGroup(b, typ, &g) })
}
