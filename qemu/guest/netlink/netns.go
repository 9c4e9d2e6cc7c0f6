package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// namespaces makes one with a name, joins it by a pair of devices and sends a
// datagram through it, then takes it away.
func namespaces() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := netns.Get()
	if err != nil {
		return fmt.Errorf("netns.Get: %w", err)
	}
	defer home.Close()
	blue, err := netns.NewNamed("blue")
	if err != nil {
		return fmt.Errorf("netns.NewNamed: %w", err)
	}
	defer blue.Close()
	if home.Equal(blue) {
		return fmt.Errorf("%v is %v", home, blue)
	}
	if l, err := net.Interfaces(); err != nil || len(l) != 1 || l[0].Name != "lo" {
		return fmt.Errorf("a new namespace has %v %v", l, err)
	}
	if err := netns.Set(home); err != nil {
		return fmt.Errorf("netns.Set: %w", err)
	}
	h, err := netlink.NewHandleAt(blue, syscall.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("NewHandleAt: %w", err)
	}
	defer h.Close()
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "here"}, PeerName: "there", PeerNamespace: netlink.NsFd(blue)}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("a pair: %w", err)
	}
	here, err := netlink.LinkByName("here")
	if err != nil || here.Attrs().NetNsID != 0 {
		return fmt.Errorf("here: %+v %w", here, err)
	}
	there, err := h.LinkByName("there")
	if err != nil {
		return fmt.Errorf("there: %w", err)
	}
	a, _ := netlink.ParseAddr("10.77.0.1/24")
	b, _ := netlink.ParseAddr("10.77.0.2/24")
	for _, f := range []func() error{
		func() error { return netlink.AddrAdd(here, a) }, func() error { return netlink.LinkSetUp(here) },
		func() error { return h.AddrAdd(there, b) }, func() error { return h.LinkSetUp(there) },
	} {
		if err := f(); err != nil {
			return err
		}
	}
	if err := netns.Set(blue); err != nil {
		return err
	}
	server, err := net.ListenPacket("udp4", "10.77.0.2:9")
	if err := netns.Set(home); err != nil {
		return err
	}
	if err != nil {
		return fmt.Errorf("listening in blue: %w", err)
	}
	client, err := net.Dial("udp4", "10.77.0.2:9")
	if err != nil {
		return err
	}
	if _, err := client.Write([]byte("hello")); err != nil {
		return err
	}
	server.SetReadDeadline(time.Now().Add(5 * time.Second))
	in := make([]byte, 16)
	n, from, err := server.ReadFrom(in)
	if err != nil || string(in[:n]) != "hello" || from.(*net.UDPAddr).IP.String() != "10.77.0.1" {
		return fmt.Errorf("received %q from %v: %v", in[:n], from, err)
	}
	client.Close()
	server.Close()
	if err := netlink.LinkSetNsFd(here, int(blue)); err != nil {
		return fmt.Errorf("LinkSetNsFd: %w", err)
	}
	if _, err := netlink.LinkByName("here"); err == nil {
		return fmt.Errorf("a link that was moved is here still")
	}
	if err := netns.DeleteNamed("blue"); err != nil {
		return fmt.Errorf("netns.DeleteNamed: %w", err)
	}
	if _, err := os.Stat("/var/run/netns/blue"); err == nil {
		return fmt.Errorf("its name is there still")
	}
	return nil
}

// generic looks for the drop monitor.
func generic() error {
	f, err := netlink.GenlFamilyGet("NET_DM")
	if err != nil {
		return fmt.Errorf("GenlFamilyGet: %w", err)
	}
	if len(f.Groups) != 1 || f.Groups[0].ID != 1 {
		return fmt.Errorf("groups of NET_DM: %+v", f.Groups)
	}
	l, err := netlink.QdiscList(nil)
	if err != nil || len(l) == 0 {
		return fmt.Errorf("QdiscList: %v %w", l, err)
	}
	for _, q := range l {
		fmt.Println("qdisc", q.Type(), q.Attrs())
	}
	eth, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	if err := netlink.LinkAddAltName(eth, "uplink"); err != nil {
		return fmt.Errorf("LinkAddAltName: %w", err)
	}
	if l, err := netlink.LinkByAlias("uplink"); err == nil {
		return fmt.Errorf("an alternative name is an alias: %v", l)
	}
	if l, err := netlink.LinkByName("uplink"); err != nil || l.Attrs().Name != "eth0" {
		return fmt.Errorf("by alternative name: %v %w", l, err)
	}
	return netlink.LinkDelAltName(eth, "uplink")
}
