package arp

import (
	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/inet/mib"
	"barewire/inet/neigh"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// ignore reports whether arp_ignore forbids an answer (Linux: arp_ignore).
func (a *ARP) ignore(in *ip.InDev, sip, tip header.Addr) bool {
	switch ip.MaxConf(&a.ip.ConfAll.ArpIgnore, &in.Conf.ArpIgnore) {
	case 1: // only for addresses of this device
		return !confirm(in, 0, tip, fib.ScopeHost)
	case 2: // ... asked for from the same subnet
		return !confirm(in, sip, tip, fib.ScopeHost)
	case 3: // not for addresses of scope host, whatever the device
		for _, dev := range a.net.Devs() {
			if d := a.ip.InDev(dev.Ifindex()); d != nil && confirm(d, 0, tip, fib.ScopeLink) {
				return false
			}
		}
		return true
	case 8:
		return true
	}
	return false
}

// confirm reports whether the device has the address local with at most the
// scope, in a subnet that peer, if not 0, belongs to (Linux:
// inet_confirm_addr).
func confirm(in *ip.InDev, peer, local header.Addr, scope fib.Scope) bool {
	for i := range in.Addrs() {
		ifa := &in.Addrs()[i]
		if (local == 0 || ifa.Local == local) && ifa.Scope <= scope && (peer == 0 || ifa.Match(peer)) {
			return true
		}
	}
	return false
}

// filter reports whether arp_filter forbids an answer: packets to the asker
// would leave by another device (Linux: arp_filter).
func (a *ARP) filter(dev *napi.NetDevice, sip, tip header.Addr) bool {
	rt, err := a.ip.RouteOutput(&fib.Flow{Dst: sip, Src: tip})
	if err == 0 && rt.Dev != dev {
		a.ip.MIB.TCPExt[mib.ArpFilter].Add(1) // shown there, of all places
	}
	return err != 0 || rt.Dev != dev
}

// accept reports whether an entry is made for who was not asked (Linux:
// arp_accept): always, or from the device's subnets only.
func (a *ARP) accept(in *ip.InDev, sip header.Addr) bool {
	switch ip.MaxConf(&a.ip.ConfAll.ArpAccept, &in.Conf.ArpAccept) {
	case 1:
		return true
	case 2:
		return confirm(in, sip, 0, fib.ScopeLink)
	}
	return false
}

// Solicit implements neigh.Ops (Linux: arp_solicit).
func (a *ARP) Solicit(n *neigh.Neigh, b *skb.Buff, unicast bool, hw [6]byte) {
	dev, target := n.Dev(), n.Addr()
	in := a.ip.InDev(dev.Ifindex())
	if in == nil {
		return
	}
	var src header.Addr
	// Ask with the address the waiting packet has, if it is ours: the answer
	// will then fit the conversation. arp_announce restricts that to the
	// target's subnet, or forbids it.
	level := ip.MaxConf(&a.ip.ConfAll.ArpAnnounce, &in.Conf.ArpAnnounce)
	if b != nil && level < 2 {
		if h, ok := header.ParseIPv4(b.NetworkHeader()); ok && a.ip.AddrType(h.Src()) == fib.Local {
			if level == 0 || onLink(in, target, h.Src()) {
				src = h.Src()
			}
		}
	}
	if src == 0 {
		src = a.ip.SelectAddr(dev, target, fib.ScopeLink)
	}
	if src == 0 {
		return
	}
	to := dev.Broadcast
	if unicast {
		to = hw
	}
	a.send(header.ARPRequest, dev, to, src, [6]byte{}, target)
}

// onLink reports whether one subnet of the device holds both addresses (Linux:
// inet_addr_onlink).
func onLink(in *ip.InDev, x, y header.Addr) bool {
	for i := range in.Addrs() {
		if ifa := &in.Addrs()[i]; ifa.Match(x) && ifa.Match(y) {
			return true
		}
	}
	return false
}
