package nat

import (
	"barewire/netfilter/conntrack"
	"barewire/skb/header"
)

// Flags say what of a Range counts, with Linux's NF_NAT_RANGE_* values.
type Flags uint32

// Flags of a Range.
const (
	MapIPs           Flags = 1 << 0 // MinAddr to MaxAddr
	ProtoSpecified   Flags = 1 << 1 // MinPort to MaxPort
	ProtoRandom      Flags = 1 << 2 // --random
	Persistent       Flags = 1 << 3 // --persistent: the address follows from the source alone
	ProtoRandomFully Flags = 1 << 4 // --random-fully
	ProtoOffset      Flags = 1 << 5 // the port keeps its distance from BasePort
	Netmap           Flags = 1 << 6

	// Both draw the port anew, whatever it was. The difference was once how.
	ProtoRandomAll = ProtoRandom | ProtoRandomFully
)

// Range is what a rule lets an end of a connection become (Linux: struct
// nf_nat_range2). For ICMP the ports are identifiers.
type Range struct {
	Flags            Flags
	MinAddr, MaxAddr header.Addr
	MinPort, MaxPort uint16
	BasePort         uint16
}

// hasAddr reports whether an address is in the range.
func (r *Range) hasAddr(a header.Addr) bool { return a >= r.MinAddr && a <= r.MaxAddr }

// allows reports whether the source of t is one the range could have given
// (Linux: nf_in_range).
func (r *Range) allows(t *conntrack.Tuple) bool {
	if r.Flags&MapIPs != 0 && !r.hasAddr(t.Src) {
		return false
	}
	return r.Flags&ProtoSpecified == 0 || r.hasPort(t, Src)
}

// hasPort reports whether the port of an end is in the range (Linux:
// l4proto_in_range).
func (r *Range) hasPort(t *conntrack.Tuple, m Manip) bool {
	var p uint16
	switch t.Proto {
	case conntrack.ProtoICMP:
		p = t.SrcPort
	case conntrack.ProtoGRE, conntrack.ProtoTCP, conntrack.ProtoUDP, conntrack.ProtoUDPLite, conntrack.ProtoDCCP, conntrack.ProtoSCTP:
		p = t.DstPort
		if m == Src {
			p = t.SrcPort
		}
	default:
		return true
	}
	return p >= r.MinPort && p <= r.MaxPort
}
