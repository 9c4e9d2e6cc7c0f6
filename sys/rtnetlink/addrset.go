package rtnetlink

import (
	"net/netip"

	"barewire/inet/header"
	"barewire/inet/ip"
	"barewire/napi"
	"barewire/sys/netlink"
)

func (r *Route) label(dev *napi.NetDevice, _ *ip.Ifaddr) string { return dev.Name() }

func (r *Route) addAddr(q *request, dev *napi.NetDevice, local header.Addr, bits int, a netlink.Attrs) error {
	return errnoOf(r.ip.AddAddr(dev, netip.PrefixFrom(local.Netip(), bits)))
}

func (r *Route) removeAddr(q *request, dev *napi.NetDevice, o *ip.Ifaddr) error {
	return errnoOf(r.ip.DelAddr(dev, netip.PrefixFrom(o.Local.Netip(), o.Bits)))
}
