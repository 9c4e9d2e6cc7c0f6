//go:build tamago && !nodhcp

package start

import (
	"context"
	"time"

	"barewire/sys/boot"
	"barewire/sys/dhcp"
	"barewire/sys/lease"
)

const haveDHCP = true

// dhcpWait is how long a program that was promised an address waits for it.
const dhcpWait = 10 * time.Second

// startDHCP runs a DHCP client on each device that is to have one, for as long
// as the image runs, and waits for the first leases if the command line asked
// for them. Afterwards the clients go on in the background.
func startDHCP(b *boot.Booted) {
	var clients []*dhcp.Client
	for _, dev := range b.DHCP {
		hostname := b.Kernel.Hostname()
		if hostname == "(none)" {
			hostname = ""
		}
		c := dhcp.New(dhcp.Config{
			Device:   dev.Name(),
			Index:    int(dev.Ifindex()),
			HWAddr:   dev.HardwareAddr(),
			Hostname: hostname,
			Set:      func(from, to *lease.Lease) error { return b.SetLease(dev, from, to) },
			Log:      b.Say,
		})
		clients = append(clients, c)
		go c.Run(context.Background())
	}
	if !b.DHCPWait {
		return
	}
	late := time.After(dhcpWait)
	for i, c := range clients {
		select {
		case <-c.Bound():
		case <-late:
			b.Say(b.DHCP[i].Name() + ": no address yet; the program starts without, and DHCP goes on")
			return
		}
	}
}
