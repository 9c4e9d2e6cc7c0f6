package conntrack

import (
	"barewire/skb/header"
	"barewire/skb/siphash"
)

// Dir is a direction of a connection (Linux: enum ip_conntrack_dir).
type Dir uint8

// Directions: that of the packet which began it, and the other.
const (
	Original Dir = iota
	Reply
	NumDirs = 2
)

// Other returns the opposite direction.
func (d Dir) Other() Dir { return d ^ 1 }

// IP protocols with a tracker of their own.
const (
	ProtoICMP    = 1
	ProtoTCP     = 6
	ProtoUDP     = 17
	ProtoDCCP    = 33 // no tracker: as any other
	ProtoGRE     = 47
	ProtoSCTP    = 132
	ProtoUDPLite = 136
)

// Tuple names one direction of a connection (Linux: struct
// nf_conntrack_tuple): what its packets have in common. It is comparable and a
// key of maps.
//
// The ports are those of TCP, UDP and their like. For ICMP, SrcPort is the
// identifier and DstPort holds type and code; see [Tuple.ICMP]. For protocols
// without ports both are 0.
type Tuple struct {
	Src, Dst         header.Addr
	SrcPort, DstPort uint16
	Zone             uint16 // of this direction; see Zone.For
	Proto            uint8
	_                uint8
}

// ICMPTuple makes the tuple of an ICMP query.
func ICMPTuple(src, dst header.Addr, id uint16, typ, code uint8) Tuple {
	return Tuple{Src: src, Dst: dst, SrcPort: id, DstPort: uint16(typ)<<8 | uint16(code), Proto: ProtoICMP}
}

// ICMP returns what the ports mean in a tuple of ICMP.
func (t *Tuple) ICMP() (id uint16, typ, code uint8) {
	return t.SrcPort, uint8(t.DstPort >> 8), uint8(t.DstPort)
}

// words are the tuple for the hash.
func (t *Tuple) words() (a, b uint64) {
	return uint64(t.Src)<<32 | uint64(t.Dst),
		uint64(t.SrcPort)<<48 | uint64(t.DstPort)<<32 | uint64(t.Zone)<<16 | uint64(t.Proto)
}

func (t *Tuple) hash(k *siphash.Key) uint32 { return uint32(k.Quick2(t.words())) }

// icmpInverse is the type that answers a type, plus one; 0 for types that
// begin no connection (Linux: invmap in nf_conntrack_proto_icmp.c).
var icmpInverse = [header.ICMPMaxType + 1]uint8{ // read-only
	header.ICMPEcho:           header.ICMPEchoReply + 1,
	header.ICMPEchoReply:      header.ICMPEcho + 1,
	header.ICMPTimestamp:      header.ICMPTimestampReply + 1,
	header.ICMPTimestampReply: header.ICMPTimestamp + 1,
	icmpInfoRequest:           icmpInfoReply + 1,
	icmpInfoReply:             icmpInfoRequest + 1,
	header.ICMPAddressMask:    header.ICMPAddressReply + 1,
	header.ICMPAddressReply:   header.ICMPAddressMask + 1,
}

const (
	icmpInfoRequest = 15
	icmpInfoReply   = 16
)

// Invert returns the tuple of the answers (Linux: nf_ct_invert_tuple). ok is
// false for an ICMP message that has none. The zone is kept.
func (t *Tuple) Invert() (r Tuple, ok bool) {
	r = *t
	r.Src, r.Dst = t.Dst, t.Src
	if t.Proto != ProtoICMP {
		r.SrcPort, r.DstPort = t.DstPort, t.SrcPort
		return r, true
	}
	typ := t.DstPort >> 8
	if int(typ) >= len(icmpInverse) || icmpInverse[typ] == 0 {
		return r, false
	}
	r.DstPort = uint16(icmpInverse[typ]-1)<<8 | t.DstPort&0xff
	return r, true
}

// Zone is the tracking domain of a connection: the same tuple in two zones is
// two connections (Linux: struct nf_conntrack_zone).
type Zone struct {
	ID   uint16
	Dirs uint8 // bits by Dir: in which directions the ID counts; 0 means both
	Mark bool  // the packet's mark is the ID (CT --zone mark)
}

// Directions a zone may be limited to.
const (
	ZoneOrig  = 1 << Original
	ZoneReply = 1 << Reply
)

// For returns the zone's number in a direction: 0 where it does not count
// (Linux: nf_ct_zone_id).
func (z Zone) For(d Dir) uint16 {
	if z.Dirs == 0 || z.Dirs>>d&1 != 0 {
		return z.ID
	}
	return 0
}
