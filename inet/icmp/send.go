package icmp

import (
	"sync"
	"time"

	"barewire/inet/fib"
	"barewire/inet/header"
	"barewire/inet/ip"
	"barewire/napi"
	"barewire/skb"
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
	if limited(typ, code) && !i.limit.allow() {
		i.stats.OutRateLimitGlobal.Add(1)
		return
	}
	x := ip.Xmit{Dst: in.Src(), Proto: header.ProtoICMP, TOS: in.TOS(), TTL: ip.DefaultTTL}
	if rt.Flags&ip.RTCFLocal != 0 {
		x.Src = in.Dst()
	}
	if isError(typ) {
		x.TOS = in.TOS()&0x1e | precedence
	}
	f := fib.Flow{Dst: x.Dst, Src: x.Src, Proto: header.ProtoICMP, TOS: x.TOS & 0x1e}
	out, err := i.ip.RouteOutput(&f)
	if err != 0 || out.Flags&(ip.RTCFBroadcast|ip.RTCFMulticast) != 0 {
		i.stats.OutErrors.Add(1)
		return
	}
	x.Src = f.Src
	room := min(out.MTU(), maxError) - header.IPv4MinLen - header.ICMPLen
	total := min(quotable(b, off), in.TotalLen())
	n := min(total, room)
	if n < header.IPv4MinLen {
		return
	}
	r := i.ip.Dev.SKB().Alloc(ip.Headroom + header.ICMPLen + n)
	if r == nil {
		i.stats.OutErrors.Add(1)
		return
	}
	r.Reserve(ip.Headroom)
	h := header.PutICMP(r.Put(header.ICMPLen), typ, code, info)
	quote(b, off, r.Put(n))
	h = header.ICMP(r.Data())
	h.SetChecksum(skb.CsumFold(skb.CsumPartial(r.Data(), 0)))
	i.ip.Push(r, out, &x)
	i.stats.OutMsgs.Add(1)
	i.stats.OutType[typ].Add(1)
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

// limited reports whether messages of a type count against the rate limit
// (Linux: icmp_ratemask 6168, and never the answer of path MTU discovery).
func limited(typ, code uint8) bool {
	switch typ {
	case header.ICMPDestUnreach:
		return code != header.ICMPFragNeeded
	case header.ICMPSourceQuench, header.ICMPTimeExceeded, header.ICMPParameterProb:
		return true
	}
	return false
}

// Rate limit of the stack (net.ipv4.icmp_msgs_per_sec, icmp_msgs_burst).
const (
	msgsPerSec = 1000
	msgsBurst  = 50
)

// bucket is a token bucket (Linux: icmp_global_allow).
type bucket struct {
	clock  napi.Clock
	mu     sync.Mutex
	credit int64
	stamp  int64
}

func (k *bucket) init(c napi.Clock) {
	k.clock = c
	k.credit = msgsBurst
	k.stamp = c.Now()
}

func (k *bucket) allow() bool {
	now := k.clock.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	// Credit comes in steps of 20 ms, so that small differences do not round
	// to nothing.
	if d := min(now-k.stamp, int64(time.Second)); d >= int64(20*time.Millisecond) {
		k.credit = min(k.credit+msgsPerSec*d/int64(time.Second), msgsBurst)
		k.stamp = now
	}
	if k.credit <= 0 {
		return false
	}
	k.credit--
	return true
}
