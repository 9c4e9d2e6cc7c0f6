package icmp

import (
	"sync"
	"time"

	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/napi"
	"barewire/netfilter/conntrack"
	"barewire/skb"
	"barewire/skb/header"
)

// maxError is the largest error message in bytes, IP header included (RFC 1812
// section 4.3.2.3).
const maxError = 576

// precedence of error messages: internetwork control (RFC 1812 section
// 4.3.2.5).
const precedence = 0xc0

// Send makes an error of the given type and code about b, which stays the
// caller's (Linux: icmp_send). info is the second word: pointer, MTU. It does
// nothing where RFC 1122 section 3.2.2 forbids an error: about errors,
// fragments other than the first, broadcasts, and packets without a single
// sender.
func (i *ICMP) Send(b *skb.Buff, typ, code uint8, info uint32) {
	rt := ip.RtableOf(b)
	if rt == nil || b.PktType != skb.PacketHost || rt.Flags&(ip.RTCFBroadcast|ip.RTCFMulticast) != 0 {
		return
	}
	in, ok := header.ParseIPv4(b.NetworkHeader())
	if !ok || in.FragOffset() != 0 {
		return
	}
	// Sources that are nobody (RFC 1812 section 4.3.2.7).
	if s := in.Src(); s.IsZeronet() || s.IsMulticast() || s.IsLBcast() {
		return
	}
	off := b.NetworkOffset() // of the quote, which begins at the IP header
	if isError(typ) && in.Protocol() == header.ProtoICMP {
		var t [1]byte
		if b.CopyBits(off+in.HeaderLen(), t[:]) != 1 {
			if p := in[in.HeaderLen():]; len(p) == 0 {
				return
			} else {
				t[0] = p[0]
			}
		}
		if t[0] > header.ICMPMaxType || isError(t[0]) {
			return
		}
	}
	limited := i.limited(typ, code) && !isLoopback(b.Dev)
	if limited && !i.limit.allow() {
		i.stats.OutRateLimitGlobal.Add(1)
		return
	}
	var opt header.OptionSet
	if !i.ip.EchoOptions(&opt, b) {
		return
	}
	x := ip.Xmit{Src: i.errorSource(b, in, rt), Dst: in.Src(), Proto: header.ProtoICMP, TOS: in.TOS(), TTL: i.ip.DefaultTTL()}
	if isError(typ) {
		x.TOS = in.TOS()&0x1e | precedence
	}
	f := fib.Flow{Dst: x.Dst, Src: x.Src, Proto: header.ProtoICMP, TOS: x.TOS & 0x1e, Mark: i.mark(b)}
	if opt.Len > 0 {
		x.Opt = &opt
		if opt.SourceRoute != 0 {
			f.Dst = opt.FirstHop
		}
	}
	out, err := i.ip.RouteOutput(&f)
	if err != 0 || out.Flags&(ip.RTCFBroadcast|ip.RTCFMulticast) != 0 {
		return
	}
	if limited && !i.allowHost(out, f.Dst) {
		return
	}
	if x.Src = f.Src; x.Src == 0 {
		x.Src = addrDummy
	}
	room := min(out.MTU(), maxError) - header.IPv4MinLen - opt.Len - header.ICMPLen
	n := min(quotable(b, off), room)
	if room <= header.IPv4MinLen || n < header.IPv4MinLen {
		return
	}
	r := i.ip.Dev.SKB().Alloc(ip.Headroom + header.MaxOptions + header.ICMPLen + n)
	if r == nil {
		i.stats.OutErrors.Add(1)
		return
	}
	r.Mark = f.Mark
	if isError(typ) {
		conntrack.Attach(r, b)
	}
	r.Reserve(ip.Headroom + header.MaxOptions)
	h := header.PutICMP(r.Put(header.ICMPLen), typ, code, info)
	quote(b, off, r.Put(n))
	h = header.ICMP(r.Data())
	h.SetChecksum(skb.CsumFold(skb.CsumPartial(r.Data(), 0)))
	i.ip.Push(r, out, &x)
	i.stats.OutMsgs.Add(1)
	i.stats.OutType[typ].Add(1)
	r.Sk = &i.ip.Control
	i.ip.LocalOut(r)
}

// quotable returns how many bytes there are from the IP header on, which may
// have been pulled off.
func quotable(b *skb.Buff, off int) int { return b.Len() - off }

// quote copies the packet from its IP header on into p. off is the header's
// offset from Data, negative once it was pulled.
func quote(b *skb.Buff, off int, p []byte) {
	n := 0
	if off < 0 {
		n = copy(p, b.NetworkHeader()[:min(-off, len(p))])
		off = 0
	}
	b.CopyBits(off, p[n:])
}

// errorSource chooses the address an error comes from (Linux: __icmp_send):
// the one the packet was for, if that is ours, else the route's choice, 0, or
// with icmp_errors_use_inbound_ifaddr one of the device the packet came by.
func (i *ICMP) errorSource(b *skb.Buff, in header.IPv4, rt *ip.Rtable) header.Addr {
	if rt.Flags&ip.RTCFLocal != 0 {
		return in.Dst()
	}
	if b.Iif != 0 && i.conf.ICMPErrorsUseInboundAddr.Load() != 0 {
		if dev := i.ip.Dev.DevByIndex(b.Iif); dev != nil {
			return i.ip.SelectAddr(dev, in.Src(), fib.ScopeLink)
		}
	}
	return 0
}

// addrDummy is the source of errors of a host without an address (RFC 7600
// section 4.8; Linux: INADDR_DUMMY): 192.0.0.8.
const addrDummy header.Addr = 0xc0000008

func isLoopback(d skb.Device) bool {
	dev, ok := d.(*napi.NetDevice)
	return ok && dev.Flags()&napi.IFF_LOOPBACK != 0
}

// limited reports whether messages of a type count against the rate limits
// (Linux: icmpv4_mask_allow): those of icmp_ratemask, and never the answer of
// path MTU discovery.
func (i *ICMP) limited(typ, code uint8) bool {
	if typ > header.ICMPMaxType || typ == header.ICMPDestUnreach && code == header.ICMPFragNeeded {
		return false
	}
	return uint32(i.conf.ICMPRateMask.Load())>>typ&1 != 0
}

// allowHost is the limit per destination, which loopback does not have, and
// takes the message's price from the one for the whole stack (Linux:
// icmpv4_xrlim_allow).
func (i *ICMP) allowHost(rt *ip.Rtable, dst header.Addr) bool {
	if rt.Dev.Flags()&napi.IFF_LOOPBACK == 0 && !i.ip.AllowICMP(dst) {
		i.stats.OutRateLimitHost.Add(1)
		return false
	}
	i.limit.consume()
	return true
}

// bucket is the rate limit of the stack, a token bucket (Linux:
// icmp_global_allow, icmp_global_consume; net.ipv4.icmp_msgs_per_sec and
// icmp_msgs_burst).
type bucket struct {
	net    *ip.Net
	mu     sync.Mutex
	credit int64
	stamp  int64
}

// init starts with credit of a second, as a bucket that was never used has.
func (k *bucket) init(n *ip.Net) {
	k.net = n
	k.stamp = n.Dev.Clock().Now() - int64(time.Second)
}

// allow reports whether there is credit. It takes none: a message that the
// limit of its destination keeps back is free.
func (k *bucket) allow() bool {
	now := k.net.Dev.Clock().Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.credit > 0 {
		return true
	}
	// Credit comes in steps of 20 ms, so that small differences do not round
	// to nothing.
	d := min(now-k.stamp, int64(time.Second))
	if d < int64(20*time.Millisecond) {
		return false
	}
	c := &k.net.Conf
	more := int64(c.ICMPMsgsPerSec.Load()) * (d / 1e6) / 1000
	if more == 0 {
		return false
	}
	k.credit = min(k.credit+more, int64(c.ICMPMsgsBurst.Load()))
	k.stamp = now
	return true
}

// consume takes the price of a message, one on average but not to be counted
// on: an observer could otherwise read from the limit what is sent to others
// (CVE-2020-25705).
func (k *bucket) consume() {
	price := int64(k.net.Random() % 3)
	k.mu.Lock()
	k.credit -= price
	k.mu.Unlock()
}
