// Command netlink is a guest program: what the standard library and
// vishvananda/netlink show and change of the network, by netlink.
package main

import (
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
)

func main() {
	if err := run(); err != nil {
		fmt.Println("FAIL", err)
		os.Exit(1)
	}
	fmt.Println("PASS")
}

func run() error {
	ifs, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, i := range ifs {
		a, err := i.Addrs()
		if err != nil {
			return err
		}
		fmt.Println("interface", i.Name, i.MTU, i.HardwareAddr, i.Flags, a)
	}
	eth, err := netlink.LinkByName("eth0")
	if err != nil {
		return fmt.Errorf("LinkByName: %w", err)
	}
	addr, err := netlink.ParseAddr("198.51.100.1/24")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(eth, addr); err != nil {
		return fmt.Errorf("AddrAdd: %w", err)
	}
	if err := netlink.AddrAdd(eth, addr); err == nil {
		return fmt.Errorf("an address was added twice")
	}
	_, dst, _ := net.ParseCIDR("203.0.113.0/24")
	gw := net.IPv4(198, 51, 100, 2)
	if err := netlink.RouteAdd(&netlink.Route{Dst: dst, Gw: gw}); err != nil {
		return fmt.Errorf("RouteAdd: %w", err)
	}
	got, err := netlink.RouteGet(net.IPv4(203, 0, 113, 9))
	if err != nil || len(got) != 1 || !got[0].Gw.Equal(gw) || !got[0].Src.Equal(addr.IP) {
		return fmt.Errorf("RouteGet: %v %v", got, err)
	}
	routes, err := netlink.RouteList(eth, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("RouteList: %w", err)
	}
	found := false
	for _, r := range routes {
		fmt.Println("route", r)
		found = found || r.Gw.Equal(gw)
	}
	if !found {
		return fmt.Errorf("the route is not in the list")
	}
	hw, _ := net.ParseMAC("02:00:00:00:00:09")
	if err := netlink.NeighAdd(&netlink.Neigh{LinkIndex: eth.Attrs().Index, State: netlink.NUD_PERMANENT, IP: gw, HardwareAddr: hw}); err != nil {
		return fmt.Errorf("NeighAdd: %w", err)
	}
	neighs, err := netlink.NeighList(eth.Attrs().Index, netlink.FAMILY_V4)
	if err != nil || len(neighs) == 0 || neighs[0].HardwareAddr.String() != hw.String() {
		return fmt.Errorf("NeighList: %v %v", neighs, err)
	}
	rule := netlink.NewRule()
	rule.Table, rule.Priority = 100, 500
	if err := netlink.RuleAdd(rule); err != nil {
		return fmt.Errorf("RuleAdd: %w", err)
	}
	rules, err := netlink.RuleList(netlink.FAMILY_V4)
	if err != nil || len(rules) != 4 {
		return fmt.Errorf("RuleList: %v %v", rules, err)
	}
	if err := netlink.LinkAdd(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "d0"}}); err != nil {
		return fmt.Errorf("LinkAdd: %w", err)
	}
	d, err := netlink.LinkByName("d0")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(d); err != nil {
		return fmt.Errorf("LinkSetUp: %w", err)
	}
	if err := netlink.LinkSetMTU(d, 1300); err != nil {
		return fmt.Errorf("LinkSetMTU: %w", err)
	}
	if i, err := net.InterfaceByName("d0"); err != nil || i.MTU != 1300 || i.Flags&net.FlagUp == 0 {
		return fmt.Errorf("d0: %+v %v", i, err)
	}
	if err := netlink.LinkDel(d); err != nil {
		return fmt.Errorf("LinkDel: %w", err)
	}
	for _, f := range []func() error{subscribed, namespaces, generic} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}
