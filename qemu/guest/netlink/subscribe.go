package main

import (
	"fmt"
	"net"
	"time"

	"github.com/vishvananda/netlink"
)

// subscribed makes changes and waits until vishvananda/netlink has told of
// each.
func subscribed() error {
	done := make(chan struct{})
	defer close(done)
	links, addrs := make(chan netlink.LinkUpdate, 64), make(chan netlink.AddrUpdate, 64)
	routes, neighs := make(chan netlink.RouteUpdate, 64), make(chan netlink.NeighUpdate, 64)
	if err := netlink.LinkSubscribe(links, done); err != nil {
		return fmt.Errorf("LinkSubscribe: %w", err)
	}
	if err := netlink.AddrSubscribeWithOptions(addrs, done, netlink.AddrSubscribeOptions{ListExisting: true}); err != nil {
		return fmt.Errorf("AddrSubscribe: %w", err)
	}
	if err := netlink.RouteSubscribe(routes, done); err != nil {
		return fmt.Errorf("RouteSubscribe: %w", err)
	}
	if err := netlink.NeighSubscribe(neighs, done); err != nil {
		return fmt.Errorf("NeighSubscribe: %w", err)
	}
	if err := wait("the addresses there are", addrs, func(u netlink.AddrUpdate) bool { return u.NewAddr && u.LinkAddress.IP.IsLoopback() }); err != nil {
		return err
	}
	d := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "sub0"}}
	if err := netlink.LinkAdd(d); err != nil {
		return err
	}
	l, err := netlink.LinkByName("sub0")
	if err != nil {
		return err
	}
	index := l.Attrs().Index
	if err := wait("a new link", links, func(u netlink.LinkUpdate) bool { return u.Attrs().Name == "sub0" && u.Header.Type == 16 }); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return err
	}
	if err := wait("a link that goes up", links, func(u netlink.LinkUpdate) bool {
		return int(u.Index) == index && u.Change&1 != 0 && u.Attrs().Flags&net.FlagUp != 0
	}); err != nil {
		return err
	}
	a, _ := netlink.ParseAddr("192.0.2.77/24")
	if err := netlink.AddrAdd(l, a); err != nil {
		return err
	}
	if err := wait("a new address", addrs, func(u netlink.AddrUpdate) bool {
		return u.NewAddr && u.LinkIndex == index && u.LinkAddress.String() == "192.0.2.77/24"
	}); err != nil {
		return err
	}
	if err := wait("its route", routes, func(u netlink.RouteUpdate) bool {
		return u.Type == 24 && u.LinkIndex == index && u.Dst != nil && u.Dst.String() == "192.0.2.0/24"
	}); err != nil {
		return err
	}
	hw, _ := net.ParseMAC("02:00:00:00:00:0a")
	if err := netlink.NeighAdd(&netlink.Neigh{LinkIndex: index, State: netlink.NUD_PERMANENT, IP: net.IPv4(192, 0, 2, 78), HardwareAddr: hw}); err != nil {
		return err
	}
	if err := wait("a new neighbour", neighs, func(u netlink.NeighUpdate) bool {
		return u.LinkIndex == index && u.HardwareAddr.String() == hw.String()
	}); err != nil {
		return err
	}
	if err := netlink.LinkDel(l); err != nil {
		return err
	}
	if err := wait("an address that went", addrs, func(u netlink.AddrUpdate) bool { return !u.NewAddr && u.LinkIndex == index }); err != nil {
		return err
	}
	return wait("a link that went", links, func(u netlink.LinkUpdate) bool { return u.Header.Type == 17 && u.Attrs().Name == "sub0" })
}

// wait reads until an update is the one.
func wait[T any](what string, c <-chan T, is func(T) bool) error {
	t := time.After(5 * time.Second)
	for {
		select {
		case u := <-c:
			if is(u) {
				return nil
			}
		case <-t:
			return fmt.Errorf("not told of %s", what)
		}
	}
}
