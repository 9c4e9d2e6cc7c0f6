package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"barewire/inet/ipconfig"
	"barewire/sys/cmdline"
)

// As the init of a Linux guest the agent does first what barewire's kernel does
// by itself: it loads the drivers that the initial file system holds and gives
// the cards their addresses.

// modulesOrder names the modules to load, one to a line; where it is missing
// there is no Linux guest to be set up.
const modulesOrder = "/modules.order"

// platform prepares a Linux guest, and does nothing elsewhere.
func platform() error {
	order, err := os.ReadFile(modulesOrder)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, m := range []struct{ kind, at string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil && err != unix.EBUSY {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	for name := range strings.FieldsSeq(string(order)) {
		if err := load(name); err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
	}
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	if err := up("lo", netip.Prefix{}, netip.Addr{}); err != nil {
		return err
	}
	params := cmdline.Parse(string(line))
	params.Sysctls(func(name, value string) {
		if e := os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0); err == nil {
			err = e
		}
	})
	if err != nil {
		return err
	}
	for _, value := range params.All("ip") {
		c, err := ipconfig.Parse(value)
		if err != nil {
			return err
		}
		if err := up(c.Device, netip.PrefixFrom(c.Client, c.Bits), c.Gateway); err != nil {
			return fmt.Errorf("ip=%s: %w", value, err)
		}
	}
	return nil
}

func load(name string) error {
	f, err := os.Open(filepath.Join("/modules", name))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && err != unix.EEXIST {
		return err
	}
	return nil
}

// up brings a device up, waiting for its driver, with an address and a gateway
// if they are given.
func up(dev string, addr netip.Prefix, gateway netip.Addr) error {
	var link netlink.Link
	var err error
	for range 500 {
		if link, err = netlink.LinkByName(dev); err == nil {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", dev, err)
	}
	if addr.IsValid() {
		a, err := netlink.ParseAddr(addr.String())
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(link, a); err != nil {
			return err
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	if gateway.IsValid() {
		return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway.AsSlice()})
	}
	return nil
}
