package ip

import (
	"encoding/binary"

	"barewire/inet/fib"
	"barewire/inet/neigh"
	"barewire/skb"
	"barewire/skb/header"
)

// Values of fib_multipath_hash_policy.
const (
	hashL3     = iota // addresses
	hashL4            // addresses, protocol and ports
	hashInner         // addresses inside a tunnel, else outside
	hashCustom        // what fib_multipath_hash_fields says
)

// Bits of fib_multipath_hash_fields (Linux: FIB_MULTIPATH_HASH_FIELD_*). The
// flow label is IPv6's.
const (
	fieldSrc = 1 << iota
	fieldDst
	fieldProto
	fieldFlowLabel
	fieldSPort
	fieldDPort

	fieldInner   = 6 // inner fields stand that much higher
	fieldsAll    = 1<<12 - 1
	fieldDefault = fieldSrc | fieldDst | fieldProto
)

const protoIPIP, protoGRE = 4, 47

// flowHash is what one nexthop of several is chosen by (Linux:
// fib_multipath_hash): the same for all packets of a conversation, and not to
// be guessed from outside unless fib_multipath_hash_seed is set. b is the
// packet when it was received, nil for what is sent from here.
func (n *Net) flowHash(f *fib.Flow, b *skb.Buff) uint32 {
	key := n.hashKey
	if s := n.Route.HashSeed.Load(); s != 0 {
		key = mix(uint64(s))
	}
	hash := func(f *fib.Flow, fields uint32) uint64 {
		var h uint64
		if fields&fieldSrc != 0 {
			h = uint64(f.Src) << 32
		}
		if fields&fieldDst != 0 {
			h |= uint64(f.Dst)
		}
		h = mix(key ^ h)
		var rest uint64
		if fields&fieldProto != 0 {
			rest = uint64(f.Proto)
		}
		if fields&fieldSPort != 0 {
			rest |= uint64(f.SPort) << 32
		}
		if fields&fieldDPort != 0 {
			rest |= uint64(f.DPort) << 16
		}
		if fields&^(fieldSrc|fieldDst) != 0 {
			h = mix(h ^ rest)
		}
		return h
	}
	var h uint64
	switch n.Route.MultipathHash.Load() {
	case hashL4:
		h = hash(f, fieldSrc|fieldDst|fieldProto|fieldSPort|fieldDPort)
	case hashInner:
		in := innerFlow(b)
		if in.Dst == 0 {
			in = l3Flow(f, b)
		}
		h = hash(&in, fieldSrc|fieldDst)
	case hashCustom:
		fields := uint32(n.Route.HashFields.Load())
		h = hash(f, fields&(1<<fieldInner-1))
		if in := innerFlow(b); in.Dst != 0 {
			h = mix(h ^ hash(&in, fields>>fieldInner))
		}
	default:
		l3 := l3Flow(f, b)
		h = hash(&l3, fieldSrc|fieldDst)
	}
	return uint32(h >> 32)
}

// selectNexthop chooses one of several nexthops (Linux: fib_select_multipath);
// with fib_multipath_use_neigh none whose gateway does not answer, if there is
// another.
func (n *Net) selectNexthop(res *fib.Result, f *fib.Flow, b *skb.Buff) {
	hash := n.flowHash(f, b)
	if n.Route.UseNeigh.Load() == 0 {
		if nh := res.Select(hash); nh != nil {
			res.NH = nh
		}
		return
	}
	var first *fib.Nexthop
	for k := range res.NHs {
		nh := &res.NHs[k]
		if !n.answers(nh) {
			continue
		}
		if first == nil {
			first = nh
		}
		if nh.Takes(hash) {
			res.NH = nh
			return
		}
	}
	if first != nil {
		res.NH = first
	}
}

// answers reports whether the gateway of a nexthop is there, as far as known
// (Linux: fib_good_nh).
func (n *Net) answers(nh *fib.Nexthop) bool {
	if nh.Gateway == 0 || nh.Scope != fib.ScopeLink {
		return true
	}
	nb := n.Neigh.Lookup(nh.Dev, nh.Gateway)
	return nb == nil || nb.Valid()
}

// gatewayReach is what the neighbour table knows of the gateway of a nexthop.
func (n *Net) gatewayReach(nh *fib.Nexthop) fib.Reach {
	nb := n.Neigh.Lookup(nh.Dev, nh.Gateway)
	if nb == nil {
		return fib.ReachUnknown
	}
	switch st := nb.State(); {
	case st == neigh.NUDReachable:
		return fib.ReachSure
	case nb.Valid():
		return fib.ReachMaybe
	case st == neigh.NUDIncomplete:
		return fib.ReachAsking
	}
	return fib.ReachFailed
}

// l3Flow is the flow as far as addresses go. An ICMP error belongs to the
// packets it is about (Linux: ip_multipath_l3_keys).
func l3Flow(f *fib.Flow, b *skb.Buff) fib.Flow {
	if b == nil || f.Proto != header.ProtoICMP {
		return *f
	}
	h := header.IPv4(b.Data())
	var p [header.ICMPLen + header.IPv4MinLen]byte
	if h.FragOffset() != 0 || b.CopyBits(h.HeaderLen(), p[:]) != len(p) {
		return *f
	}
	switch p[0] {
	case header.ICMPDestUnreach, header.ICMPSourceQuench, header.ICMPRedirect, header.ICMPTimeExceeded, header.ICMPParameterProb:
		return flowAt(p[header.ICMPLen:])
	}
	return *f
}

// innerFlow is the flow inside an IPIP or GRE packet, zero if it is none.
func innerFlow(b *skb.Buff) (f fib.Flow) {
	if b == nil {
		return f
	}
	h := header.IPv4(b.Data())
	if h.IsFragment() {
		return f
	}
	off := h.HeaderLen()
	switch h.Protocol() {
	case protoIPIP:
	case protoGRE: // RFC 2784, RFC 2890
		var g [4]byte
		if b.CopyBits(off, g[:]) != len(g) || g[1]&7 != 0 || binary.BigEndian.Uint16(g[2:]) != header.EthPIP {
			return f
		}
		off += 4
		for _, bit := range []byte{0x80, 0x20, 0x10} { // checksum, key, sequence number
			if g[0]&bit != 0 {
				off += 4
			}
		}
	default:
		return f
	}
	var p [header.IPv4MaxLen + 4]byte
	k := b.CopyBits(off, p[:])
	if k < header.IPv4MinLen || p[0]>>4 != 4 || p[0]&15 < header.IPv4MinLen/4 {
		return f
	}
	f = flowAt(p[:])
	f.Proto = p[9]
	in := header.IPv4(p[:])
	if hl := in.HeaderLen(); (f.Proto == header.ProtoUDP || f.Proto == protoTCP) && !in.IsFragment() && k >= hl+4 {
		f.SPort, f.DPort = binary.BigEndian.Uint16(p[hl:]), binary.BigEndian.Uint16(p[hl+2:])
	}
	return f
}

// flowAt is the addresses of an IP header.
func flowAt(p []byte) fib.Flow { return fib.Flow{Src: getAddr(p[12:]), Dst: getAddr(p[16:])} }
