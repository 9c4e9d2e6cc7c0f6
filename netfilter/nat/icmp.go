package nat

import (
	"barewire/skb"
	"barewire/skb/header"
)

// RewriteError rewrites an ICMP error about a packet of a translated connection
// (Linux: nf_nat_icmp_reply_translation): one end of its header, and the other
// end of the packet it quotes, which travelled the other way. hlen is the length
// of the error's IP header, at Data. False when it is malformed or memory ran
// out.
func RewriteError(b *skb.Buff, hlen int, m Manip, outer header.Addr, inner End) bool {
	quote := hlen + header.ICMPLen
	if !Rewrite(b, quote, m^1, inner) {
		return false
	}
	if b.IPSummed != skb.ChecksumPartial {
		h := header.ICMP(b.Data()[hlen:])
		h.SetChecksum(0)
		h.SetChecksum(skb.CsumFold(b.Checksum(hlen, b.Len()-hlen, 0)))
	}
	return Rewrite(b, 0, m, End{Addr: outer})
}
