package xtables

import "barewire/skb/header"

// entry is an Entry prepared for packets: what can be decided beforehand is.
type entry struct {
	src, srcMask, dst, dstMask header.Addr
	in, out                    string // without the '+'
	proto                      uint8
	inv                        Inv
	test                       tests
}

// tests says what an entry asks for at all.
type tests uint8

const (
	testIn tests = 1 << iota
	testOut
	testInPrefix
	testOutPrefix
	testFrag
	testProto
)

func (e *entry) set(s *Entry) {
	*e = entry{src: s.Src, srcMask: s.SrcMask, dst: s.Dst, dstMask: s.DstMask, proto: s.Proto, inv: s.Inv}
	dev := func(name string, inv Inv, test, prefix tests) string {
		if name == "" && s.Inv&inv == 0 {
			return ""
		}
		e.test |= test
		if name == "" {
			e.test |= prefix // inverted any: nothing matches
		} else if n := len(name) - 1; name[n] == '+' {
			e.test |= prefix
			return name[:n]
		}
		return name
	}
	e.in = dev(s.In, InvIn, testIn, testInPrefix)
	e.out = dev(s.Out, InvOut, testOut, testOutPrefix)
	if s.Frag {
		e.test |= testFrag
	}
	if s.Proto != 0 {
		e.test |= testProto
	}
}

// matches is ip_packet_match.
func (e *entry) matches(p *Packet) bool {
	if (p.Src&e.srcMask != e.src) != (e.inv&InvSrc != 0) || (p.Dst&e.dstMask != e.dst) != (e.inv&InvDst != 0) {
		return false
	}
	if e.test == 0 {
		return true
	}
	if e.test&testProto != 0 && (p.Proto != e.proto) != (e.inv&InvProto != 0) {
		return false
	}
	if e.test&testIn != 0 && devMatches(e.in, p.In, e.test&testInPrefix != 0) == (e.inv&InvIn != 0) {
		return false
	}
	if e.test&testOut != 0 && devMatches(e.out, p.Out, e.test&testOutPrefix != 0) == (e.inv&InvOut != 0) {
		return false
	}
	return e.test&testFrag == 0 || (p.FragOff == 0) == (e.inv&InvFrag != 0)
}

func devMatches(pattern, name string, prefix bool) bool {
	if prefix {
		return len(name) >= len(pattern) && name[:len(pattern)] == pattern
	}
	return name == pattern
}
