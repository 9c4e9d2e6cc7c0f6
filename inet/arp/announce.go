package arp

import (
	"syscall"
	"time"

	"barewire/inet/ip"
	"barewire/napi"
	"barewire/skb/header"
)

// Event follows the devices (Linux: arp_netdev_event and the gratuitous ARP of
// inetdev_event): their settings, neighbours that are no longer true, and with
// arp_notify an announcement of our addresses.
func (a *ARP) Event(ev napi.Event, dev *napi.NetDevice) {
	in := a.ip.InDev(dev.Ifindex())
	notify := in != nil && ip.OrConf(&a.ip.ConfAll.ArpNotify, &in.Conf.ArpNotify)
	switch ev {
	case napi.EventRegister:
		a.table.AddDevice(dev)
	case napi.EventUp:
		a.table.AddDevice(dev)
		if notify {
			a.Announce(dev)
		}
	case napi.EventDown:
		a.table.FlushDev(dev, true)
		a.flushProxied(dev)
	case napi.EventChange:
		if dev.CarrierOK() {
			if notify && dev.IsUp() {
				a.Announce(dev)
			}
		} else if in == nil || ip.AndConf(&a.ip.ConfAll.ArpEvictNoCarrier, &in.Conf.ArpEvictNoCarrier) {
			a.table.FlushDev(dev, false)
		}
	case napi.EventChangeAddr:
		a.table.FlushDev(dev, true)
		if notify && dev.IsUp() {
			a.Announce(dev)
		}
	case napi.EventNotifyPeers:
		a.Announce(dev)
	case napi.EventChangeName:
		a.table.RenameDevice(dev)
	case napi.EventUnregister:
		a.flushProxied(dev)
		a.table.RemoveDevice(dev)
	}
}

// Close drops the answers that wait; for the end of a namespace.
func (a *ARP) Close() { a.flushProxied(nil) }

// Announce tells the link all addresses of dev (RFC 5227 section 2.3; Linux:
// inetdev_send_gratuitous_arp): requests whose sender and target are the same.
func (a *ARP) Announce(dev *napi.NetDevice) {
	in := a.ip.InDev(dev.Ifindex())
	if in == nil {
		return
	}
	for i := range in.Addrs() {
		local := in.Addrs()[i].Local
		a.send(header.ARPRequest, dev, dev.Broadcast, local, [6]byte{}, local)
	}
}

// Timing of Probe. RFC 5227 section 2.1.1 would have us wait up to seven
// seconds; a machine that boots to serve cannot, and a host on the same link
// answers within milliseconds.
const (
	probeNum      = 3
	probeInterval = 200 * time.Millisecond
	probeWait     = 400 * time.Millisecond
)

type probeKey struct {
	dev  *napi.NetDevice
	addr header.Addr
}

// Probe asks whether somebody on the link has addr, before it becomes ours
// (RFC 5227 section 2.1). It takes 800 ms. EADDRINUSE when somebody has it or
// probes for it too, EALREADY when a probe for it is under way, ENETDOWN.
// Process context.
func (a *ARP) Probe(dev *napi.NetDevice, addr header.Addr) error {
	if !dev.IsUp() {
		return syscall.ENETDOWN
	}
	if dev.Type != napi.ARPHRD_ETHER || dev.Flags()&napi.IFF_NOARP != 0 {
		return nil // nobody to ask
	}
	k := probeKey{dev, addr}
	hit := make(chan struct{})
	a.probeMu.Lock()
	if a.probes[k] != nil {
		a.probeMu.Unlock()
		return syscall.EALREADY
	}
	a.probes[k] = hit
	a.probing.Add(1)
	a.probeMu.Unlock()
	defer func() {
		a.probeMu.Lock()
		defer a.probeMu.Unlock()
		delete(a.probes, k)
		a.probing.Add(-1)
	}()
	for i := range probeNum {
		a.send(header.ARPRequest, dev, dev.Broadcast, 0, [6]byte{}, addr)
		wait := probeInterval
		if i == probeNum-1 {
			wait = probeWait
		}
		over := make(chan struct{})
		t := a.net.Clock().AfterFunc(wait, func() { close(over) })
		select {
		case <-hit:
			t.Stop()
			return syscall.EADDRINUSE
		case <-over:
		}
	}
	return nil
}

// conflict tells a probe of a packet that claims its address: one sent from it,
// or somebody else's probe for it.
func (a *ARP) conflict(dev *napi.NetDevice, sip, tip header.Addr, sha [6]byte) {
	if sha == dev.HardwareAddr() {
		return // our own, come back
	}
	addr := sip
	if sip == 0 {
		addr = tip
	}
	a.probeMu.Lock()
	defer a.probeMu.Unlock()
	if hit := a.probes[probeKey{dev, addr}]; hit != nil {
		select {
		case <-hit:
		default:
			close(hit)
		}
	}
}
