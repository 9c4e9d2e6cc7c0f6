package arp

import (
	"slices"

	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/napi"
	"barewire/skb/header"
)

// proxied is an answer for somebody else that waits for its time.
type proxied struct {
	dev      *napi.NetDevice
	sha      [6]byte
	sip, tip header.Addr
	at       int64
}

// proxies reports whether this host answers for tip, to which it forwards by
// rt (Linux: arp_fwd_proxy, arp_fwd_pvlan and the pneigh table).
func (a *ARP) proxies(in *ip.InDev, rt *ip.Rtable, sip, tip header.Addr) bool {
	if rt == nil || rt.Type != fib.Unicast {
		return false
	}
	if rt.Dev == in.Dev {
		// The same link: only a private VLAN, whose members cannot talk to each
		// other, needs us. Probes for one's own address are not answered.
		return sip != tip && ip.OrConf(&a.ip.ConfAll.ProxyARPPVLAN, &in.Conf.ProxyARPPVLAN)
	}
	if ip.OrConf(&a.ip.ConfAll.ProxyARP, &in.Conf.ProxyARP) && a.otherMedium(in, rt.Dev) {
		return true
	}
	return a.table.Proxy(in.Dev, tip)
}

// otherMedium reports whether two devices lead to different media
// (medium_id).
func (a *ARP) otherMedium(in *ip.InDev, out *napi.NetDevice) bool {
	own := in.Conf.MediumID.Load()
	if own == 0 || own == -1 {
		return own == 0
	}
	other := int32(0)
	if d := a.ip.InDev(out.Ifindex()); d != nil {
		other = d.Conf.MediumID.Load()
	}
	return other != own && other != -1
}

// proxyReply answers for somebody else, after a random time unless the request
// was for us alone (Linux: pneigh_enqueue).
func (a *ARP) proxyReply(p proxied, now bool) {
	parms := a.table.Parms(p.dev)
	delay := parms.ProxyDelay.Load()
	if now || delay == 0 {
		a.answer(p)
		return
	}
	var r [4]byte
	a.net.Rand(r[:])
	x := uint64(r[0])<<24 | uint64(r[1])<<16 | uint64(r[2])<<8 | uint64(r[3])
	p.at = a.net.Clock().Now() + int64(x*uint64(delay/1e3)>>32)*1e3
	a.proxyMu.Lock()
	defer a.proxyMu.Unlock()
	waiting := 0
	for i := range a.proxyQueue {
		if a.proxyQueue[i].dev == p.dev {
			waiting++
		}
	}
	if waiting >= int(parms.ProxyQlen.Load()) {
		return
	}
	i, _ := slices.BinarySearchFunc(a.proxyQueue, p.at, func(e proxied, at int64) int { return int(min(max(e.at-at, -1), 1)) })
	a.proxyQueue = slices.Insert(a.proxyQueue, i, p)
	if i == 0 {
		a.proxyTimer.Mod(p.at)
	}
}

// proxyExpired sends the answers that are due (Linux: neigh_proxy_process).
// What has changed meanwhile is looked at again.
func (a *ARP) proxyExpired() {
	now := a.net.Clock().Now()
	a.proxyMu.Lock()
	n := 0
	for n < len(a.proxyQueue) && a.proxyQueue[n].at <= now {
		n++
	}
	due := slices.Clone(a.proxyQueue[:n])
	a.proxyQueue = slices.Delete(a.proxyQueue, 0, n)
	if len(a.proxyQueue) > 0 {
		a.proxyTimer.Mod(a.proxyQueue[0].at)
	}
	a.proxyMu.Unlock()
	for _, p := range due {
		in := a.ip.InDev(p.dev.Ifindex())
		if in != nil && p.dev.IsUp() && a.proxies(in, a.ip.RouteRequest(p.sip, p.tip, p.dev), p.sip, p.tip) {
			a.answer(p)
		}
	}
}

func (a *ARP) answer(p proxied) {
	a.send(header.ARPReply, p.dev, p.sha, p.tip, p.sha, p.sip)
}

// flushProxied drops the answers that wait for a device, for all when it is
// nil (Linux: pneigh_queue_purge).
func (a *ARP) flushProxied(dev *napi.NetDevice) {
	a.proxyMu.Lock()
	defer a.proxyMu.Unlock()
	a.proxyQueue = slices.DeleteFunc(a.proxyQueue, func(p proxied) bool { return dev == nil || p.dev == dev })
	if len(a.proxyQueue) == 0 {
		a.proxyTimer.Del()
	}
}
