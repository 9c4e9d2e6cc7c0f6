// Package arp resolves IPv4 addresses on Ethernet (RFC 826; Linux:
// net/ipv4/arp.c). It is the protocol behind the neighbour table and the
// handler of ETH_P_ARP.
//
// Which requests are answered, with which address others are asked and what is
// learnt unasked follows net.ipv4.conf.*: arp_ignore, arp_filter, arp_announce,
// arp_accept, drop_gratuitous_arp, arp_notify, arp_evict_nocarrier, proxy_arp,
// proxy_arp_pvlan, medium_id, with Linux's meanings and defaults.
//
// # Bounds
//
// A proxy's answer is delayed by a random time up to proxy_delay, so that the
// host itself comes first; at most proxy_qlen answers of a device wait, more
// are dropped. A request costs its sender one entry of the neighbour table,
// which has its own bounds, and us one answer.
package arp

import (
	"sync"
	"sync/atomic"

	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/inet/neigh"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// ARP is the protocol of one stack. It implements neigh.Ops.
type ARP struct {
	ip    *ip.Net
	net   *napi.Net
	table *neigh.Table

	proxyMu    sync.Mutex
	proxyQueue []proxied // by time
	proxyTimer napi.Timer

	probing atomic.Int32 // probes under way; nearly always 0
	probeMu sync.Mutex
	probes  map[probeKey]chan struct{}
}

// New makes the protocol and its neighbour table, and gives the table to the
// IP layer (Linux: arp_init). The caller registers Rcv for ETH_P_ARP.
func New(n *ip.Net, p neigh.Params) *ARP {
	a := &ARP{ip: n, net: n.Dev}
	a.table = neigh.New(n.Dev, a, &n.MIB.ARP, p)
	n.Neigh = a.table
	a.probes = make(map[probeKey]chan struct{})
	a.proxyTimer.Init(n.Dev.Timers(), func(*napi.Timer) { a.proxyExpired() })
	n.Dev.Proc().Register("arp", a.show)
	n.Dev.Proc().Register("stat/arp_cache", a.showStat)
	return a
}

// Rcv takes every ARP packet a device hands up (Linux: arp_rcv). Consumes b.
func (a *ARP) Rcv(b *skb.Buff, dev *napi.NetDevice) {
	if dev.Flags()&napi.IFF_NOARP != 0 || b.PktType == skb.PacketOtherHost || b.PktType == skb.PacketLoopback {
		b.Free(skb.OtherHost)
		return
	}
	b = b.ShareCheck()
	if !b.MayPull(header.ARPLen) {
		b.Free(skb.HdrTrunc)
		return
	}
	h, ok := header.ParseARP(b.Data())
	if !ok || !a.valid(h, dev) {
		b.Free(skb.ARPInvalid)
		return
	}
	a.process(h, b.PktType, dev)
	b.Consume()
}

// valid checks what RFC 826 has the receiver ask first: do I have the hardware
// type, do I speak the protocol; and that it is an operation we know.
func (a *ARP) valid(h header.ARP, dev *napi.NetDevice) bool {
	if a.ip.InDev(dev.Ifindex()) == nil || dev.Type != napi.ARPHRD_ETHER {
		return false
	}
	if h.HType() != header.ARPEther && h.HType() != header.ARPIEEE802 || h.PType() != header.EthPIP {
		return false
	}
	if op := h.Op(); op != header.ARPRequest && op != header.ARPReply {
		return false
	}
	// Nobody asks for these. A group address for a station would be refused by
	// RFC 1812 section 3.3.2; as in Linux it is not: clusters answer with one.
	tip := h.TargetIP()
	in := a.ip.InDev(dev.Ifindex())
	if tip.IsLoopback() && !ip.OrConf(&a.ip.ConfAll.RouteLocalnet, &in.Conf.RouteLocalnet) {
		return false
	}
	if h.SenderIP() == tip && ip.OrConf(&a.ip.ConfAll.DropGratuitousARP, &in.Conf.DropGratuitousARP) {
		return false
	}
	return !tip.IsMulticast()
}

// process is arp_process.
func (a *ARP) process(h header.ARP, pkt skb.PktType, dev *napi.NetDevice) {
	sip, tip, sha := h.SenderIP(), h.TargetIP(), h.SenderHW()
	request := h.Op() == header.ARPRequest
	in := a.ip.InDev(dev.Ifindex())
	if in == nil {
		return
	}
	if a.probing.Load() != 0 {
		a.conflict(dev, sip, tip, sha)
	}

	// Address conflict detection (RFC 5227): a probe has no sender address.
	// Answer it if the address is ours, and learn nothing.
	if sip == 0 {
		if request && a.ip.AddrType(tip) == fib.Local && !a.ignore(in, sip, tip) {
			a.send(header.ARPReply, dev, sha, tip, sha, sip)
		}
		return
	}
	// Nobody but us has our addresses, and none of these is a station's.
	if sip.IsMulticast() || sip.IsLBcast() || sip.IsLoopback() {
		return
	}
	var rt *ip.Rtable
	if request {
		rt = a.ip.RouteRequest(sip, tip, dev)
	}
	if rt != nil {
		if rt.Type == fib.Local {
			if a.ignore(in, sip, tip) || ip.OrConf(&a.ip.ConfAll.ArpFilter, &in.Conf.ArpFilter) && a.filter(dev, sip, tip) {
				return
			}
			// Who asks will soon be talked to.
			if a.learn(dev, sip, sha) {
				a.send(header.ARPReply, dev, sha, tip, sha, sip)
			}
			return
		}
		if in.Conf.Forwarding.Load() != 0 && a.proxies(in, rt, sip, tip) {
			a.learn(dev, sip, sha)
			a.proxyReply(proxied{dev: dev, sha: sha, sip: sip, tip: tip}, pkt == skb.PacketHost)
			return
		}
	}
	// Not a request for us: it can only refresh what we have, unless
	// arp_accept lets it make an entry. Announcements (RFC 5227: sender and
	// target address are the same) count as news at once, other changes only
	// when the entry has settled.
	n := a.table.Lookup(dev, sip)
	accept := n == nil && a.accept(in, sip)
	if n == nil && !accept {
		return
	}
	unicast := a.ip.AddrType(sip) == fib.Unicast
	garp := sip == tip && unicast && (request || h.TargetHW() == sha)
	if n == nil {
		if !garp && (request || !unicast) {
			return
		}
		var err error
		if n, err = a.table.Get(dev, sip); err != nil {
			return
		}
	}
	override := garp || a.net.Clock().Now() > n.Updated()+n.Parms().LockTime.Load()
	state := uint32(neigh.NUDReachable)
	if request || pkt != skb.PacketHost {
		state = neigh.NUDStale // not an answer to us
	}
	n.Update(sha, state, override)
}

// learn enters who asked (Linux: neigh_event_ns); false when there is no room.
func (a *ARP) learn(dev *napi.NetDevice, sip header.Addr, sha [6]byte) bool {
	n, err := a.table.Get(dev, sip)
	if err != nil {
		return false
	}
	n.Update(sha, neigh.NUDStale, true)
	return true
}

// Error implements neigh.Ops: the sender hears that the host is unreachable
// (Linux: arp_error_report, ipv4_link_failure).
func (a *ARP) Error(n *neigh.Neigh, b *skb.Buff) {
	if a.ip.ICMP != nil {
		a.ip.ICMP.Send(b, header.ICMPDestUnreach, header.ICMPHostUnreach, 0)
	}
	b.Free(skb.NeighFailed)
}

// Static implements neigh.Ops: addresses that map to a hardware address by rule
// (Linux: arp_constructor; RFC 1112 section 6.4).
func (a *ARP) Static(dev *napi.NetDevice, addr header.Addr) (typ uint8, hw [6]byte, ok bool) {
	t := a.ip.AddrType(addr)
	f := dev.Flags()
	switch {
	case dev.HardHeaderLen == 0:
		return uint8(t), hw, true
	case t == fib.Multicast:
		g := addr.As4()
		return uint8(t), [6]byte{0x01, 0x00, 0x5e, g[1] & 0x7f, g[2], g[3]}, true
	case f&(napi.IFF_NOARP|napi.IFF_LOOPBACK) != 0:
		return uint8(t), dev.HardwareAddr(), true
	case t == fib.Broadcast || f&napi.IFF_POINTOPOINT != 0:
		return uint8(t), dev.Broadcast, true
	}
	return uint8(t), hw, false
}

// send makes and transmits an ARP packet (Linux: arp_send): to is the link
// destination, tha the target in the packet.
func (a *ARP) send(op uint16, dev *napi.NetDevice, to [6]byte, spa header.Addr, tha [6]byte, tpa header.Addr) {
	if dev.Flags()&napi.IFF_NOARP != 0 {
		return
	}
	b := a.net.SKB().Alloc(skb.MaxHeader + header.ARPLen)
	if b == nil {
		return // counted by the pool; the next probe may do better
	}
	b.Reserve(skb.MaxHeader)
	header.PutARP(b.Put(header.ARPLen), op, dev.HardwareAddr(), spa, tha, tpa)
	b.ResetNetworkHeader()
	b.Protocol = header.EthPARP
	b.Dev = dev
	dev.HardHeader(b, header.EthPARP, &to, nil)
	a.net.DevQueueXmit(b) // its errors are counted by the queue
}
