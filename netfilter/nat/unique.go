package nat

import (
	"math/bits"

	"barewire/netfilter/conntrack"
	"barewire/skb/header"
)

// Bounds of the search for a port (Linux: NF_NAT_MAX_ATTEMPTS,
// NF_NAT_HARDER_THRESH).
const (
	maxAttempts = 128
	minAttempts = 16
	harderBelow = maxAttempts / 4
)

// unique returns what a connection's packets look like after a translation
// within r, given what they look like before (Linux: get_unique_tuple). When
// every port was taken the last one tried is returned: such a connection cannot
// be confirmed.
func (n *NAT) unique(orig conntrack.Tuple, r *Range, c *conntrack.Conn, m Manip) conntrack.Tuple {
	// What was chosen for the same source before keeps its mapping (RFC 4787,
	// REQ-1), as far as the range allows.
	if m == Src && r.Flags&ProtoRandomAll == 0 {
		if r.allows(&orig) {
			if !n.takenNew(&orig, c) {
				return orig
			}
		} else if t, ok := n.findSrc(&orig, r, c.Zone()); ok && !n.taken(&t, c) {
			return t
		}
	}
	t := orig
	chooseAddr(&t, r, c.Zone().ID, m)
	if r.Flags&ProtoRandomAll == 0 {
		if r.Flags&ProtoSpecified != 0 {
			if r.Flags&ProtoOffset == 0 && r.hasPort(&t, m) && (r.MinPort == r.MaxPort || !n.taken(&t, c)) {
				return t
			}
		} else if !n.taken(&t, c) {
			return t
		}
	}
	n.choosePort(&t, r, c, m)
	return t
}

// chooseAddr takes an address of the range (Linux: find_best_ips_proto). A
// source keeps its address for a destination, and with Persistent for all.
func chooseAddr(t *conntrack.Tuple, r *Range, zone uint16, m Manip) {
	if r.Flags&MapIPs == 0 {
		return
	}
	a := r.MinAddr
	if r.MinAddr != r.MaxAddr {
		var seed uint32
		if r.Flags&Persistent == 0 {
			seed = wire(t.Dst) ^ uint32(zone)
		}
		j := JHash([]uint32{wire(t.Src), 0, 0, 0}, seed)
		span := uint64(uint32(r.MaxAddr - r.MinAddr + 1)) // all addresses: 0, so always the first
		a += header.Addr(uint64(j) * span >> 32)
	}
	if m == Src {
		t.Src = a
	} else {
		t.Dst = a
	}
}

// wire is an address as a little-endian machine has it in a header.
func wire(a header.Addr) uint32 { return bits.ReverseBytes32(uint32(a)) }

// choosePort looks for a port, or identifier, that makes the tuple unlike all
// others (Linux: nf_nat_l4proto_unique_tuple).
func (n *NAT) choosePort(t *conntrack.Tuple, r *Range, c *conntrack.Conn, m Manip) {
	var key *uint16
	first, size := uint32(0), uint32(65536)
	switch t.Proto {
	case conntrack.ProtoICMP:
		key = &t.SrcPort
		if r.Flags&ProtoSpecified != 0 {
			first, size = uint32(r.MinPort), uint32(r.MaxPort)-uint32(r.MinPort)+1
		}
	case conntrack.ProtoTCP, conntrack.ProtoUDP, conntrack.ProtoUDPLite, conntrack.ProtoDCCP, conntrack.ProtoSCTP:
		key = &t.DstPort
		if m == Src {
			key = &t.SrcPort
		}
		switch {
		case r.Flags&ProtoSpecified != 0:
			lo, hi := uint32(r.MinPort), uint32(r.MaxPort)
			if hi < lo {
				lo, hi = hi, lo
			}
			first, size = lo, hi-lo+1
		case m == Dst:
			return // nobody would listen on another port
		case *key < 512: // some services trust these ports, those below 512 the more
			first, size = 1, 511
		case *key < 1024:
			first, size = 600, 1023-600+1
		default:
			first, size = 1024, 65535-1024+1
		}
	default:
		return
	}
	if size-1 > 0xffff {
		return // a range of identifiers that ends before it begins
	}
	off := uint16(0)
	switch {
	case r.Flags&ProtoOffset != 0:
		off = *key - r.BasePort
	case r.Flags&ProtoRandomAll != 0 || m == Src:
		off = uint16(n.Random())
	}
	attempts := min(size, maxAttempts)
	for {
		for i := range attempts {
			*key = uint16(first + uint32(off+uint16(i))%size)
			if !n.takenHarder(t, c, attempts-i) {
				return
			}
		}
		if attempts >= size || attempts < minAttempts {
			n.Exhausted.Add(1)
			return
		}
		attempts /= 2
		off = uint16(n.Random())
	}
}
