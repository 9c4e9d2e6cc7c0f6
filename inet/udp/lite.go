package udp

import (
	"sync/atomic"

	"barewire/inet/ip"
	"barewire/skb"
	"barewire/skb/header"
)

// UDP-Lite (RFC 3828; Linux: net/ipv4/udplite.c, include/net/udplite.h): UDP
// whose length field says how much of the datagram the checksum covers.

// coverage is the settings of a UDP-Lite sock; -1 while not set.
type coverage struct {
	send atomic.Int32 // UDPLITE_SEND_CSCOV
	recv atomic.Int32 // UDPLITE_RECV_CSCOV
}

// setCoverage reads the value of either option: 0 is everything, and less than
// the header makes no sense.
func setCoverage(v *atomic.Int32, n int) {
	switch {
	case n != 0 && n < header.UDPLen:
		n = header.UDPLen
	case n > 0xffff:
		n = 0xffff
	}
	v.Store(int32(n))
}

// liteChecksum is udplite_sender_cscov and udplite_csum.
func (s *Sock) liteChecksum(b *skb.Buff, h header.UDP, x *ip.Xmit) {
	n := b.Len()
	cov := n
	if c := int(s.cov.send.Load()); c >= 0 && c < n {
		if c > 0 {
			cov = c
		}
		h.SetLength(c)
	}
	sum := skb.CsumFold(b.Checksum(0, cov, header.PseudoSum(x.Src, x.Dst, header.ProtoUDPLite, n)))
	if sum == 0 {
		sum = 0xffff
	}
	h.SetChecksum(sum)
	b.IPSummed = skb.ChecksumNone
}

// liteOK checks a received packet (Linux: udplite_checksum_init) and returns
// how much of it the checksum covers.
func liteOK(b *skb.Buff, h header.UDP, src, dst header.Addr) (cov int, ok bool) {
	n := b.Len()
	if h.Checksum() == 0 {
		return 0, false // RFC 3828 section 3.1: never without
	}
	switch cov = h.Length(); {
	case cov == 0:
		cov = n
	case cov < header.UDPLen || cov > n:
		return 0, false
	}
	return cov, skb.CsumFold(b.Checksum(0, cov, header.PseudoSum(src, dst, header.ProtoUDPLite, n))) == 0
}

// enough reports whether a sock takes a packet of that coverage (Linux:
// udp_queue_rcv_one_skb).
func (s *Sock) enough(cov, n int) bool {
	want := int(s.cov.recv.Load())
	return want < 0 || cov >= n || want != 0 && cov >= want
}
