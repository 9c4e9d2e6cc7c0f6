package nf

import (
	"barewire/inet/ip"
	"barewire/netfilter/reject"
	"barewire/skb"
	"barewire/skb/header"
)

// newReject makes the engine of the target REJECT.
func (f *NF) newReject() {
	f.Reject = reject.New(reject.Config{
		SendICMP: func(b *skb.Buff, typ, code uint8, info uint32) {
			if f.IP.ICMP != nil {
				f.IP.ICMP.Send(b, typ, code, info)
			}
		},
		RouteBack: f.IP.RouteBack,
		ToMany: func(b *skb.Buff) bool {
			rt := ip.RtableOf(b)
			return rt == nil || rt.Flags&(ip.RTCFBroadcast|ip.RTCFMulticast) != 0
		},
		SendReset: f.sendTCP,
		Mark: func(b *skb.Buff) uint32 {
			if f.IP.Conf.FwmarkReflect.Load() != 0 {
				return b.Mark
			}
			return 0
		},
	})
}

// sendTCP gives a segment made here its IP header, finds the way and sends it. The source
// need not be an address of this host.
func (f *NF) sendTCP(r *skb.Buff, src, dst header.Addr) {
	r.ResetTransportHeader()
	header.PutIPv4(r.Push(header.IPv4MinLen), &header.Fields{TotalLen: r.Len(), Frag: header.IPDF,
		TTL: f.IP.DefaultTTL(), Protocol: header.ProtoTCP, Src: src, Dst: dst})
	r.ResetNetworkHeader()
	r.Protocol = header.EthPIP
	if f.IP.RouteMeHarder(r) != nil {
		r.Free(skb.IPOutNoRoutes)
		return
	}
	f.IP.LocalOut(r) // its errors are counted on the way
}
