package main

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// setUp brings the LAN's interface up, gives it an address if it has none, and
// returns the one it has.
func (c *config) setUp() (netip.Prefix, error) {
	link, err := netlink.LinkByName(c.LAN)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("LAN interface %s: %w; give the image a second network card, or name another with -lan", c.LAN, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return netip.Prefix{}, fmt.Errorf("%s up: %w", c.LAN, err)
	}
	if _, err := netlink.LinkByName(c.WAN); err != nil {
		return netip.Prefix{}, fmt.Errorf("WAN interface %s: %w", c.WAN, err)
	}
	addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("addresses of %s: %w", c.LAN, err)
	}
	for _, a := range addrs {
		bits, _ := a.Mask.Size()
		return netip.PrefixFrom(toAddr(a.IP), bits), nil
	}
	n := &net.IPNet{IP: c.Address.Addr().AsSlice(), Mask: net.CIDRMask(c.Address.Bits(), 32)}
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: n, Broadcast: broadcast(c.Address).AsSlice()}); err != nil {
		return netip.Prefix{}, fmt.Errorf("%v on %s: %w", c.Address, c.LAN, err)
	}
	return c.Address, nil
}
