package xt

import (
	"fmt"
	"strconv"
	"strings"

	"barewire/netfilter/xtables"
	"barewire/skb/header"
)

var icmpDef = &xtables.Def{ // read-only
	Name:     "icmp",
	Protos:   []uint8{header.ProtoICMP},
	Options:  []xtables.Option{{Name: "icmp-type", Args: 1, Invert: true, Must: true}},
	NewMatch: func() xtables.Match { return new(icmpMatch) },
}

// icmpMatch is the icmp match of ip_tables: a type, and of that all codes or
// one.
type icmpMatch struct {
	xtables.Plain
	typ, lo, hi uint8
	invert      bool
}

// icmpAny is the type that stands for all.
const icmpAny = 255

// icmpNames are the names of types and codes, other names of the same behind
// the first. read-only
var icmpNames = []struct {
	name        string
	typ, lo, hi uint8
}{
	{"any", icmpAny, 0, 255},
	{"echo-reply", 0, 0, 255}, {"pong", 0, 0, 255},
	{"destination-unreachable", 3, 0, 255},
	{"network-unreachable", 3, 0, 0}, {"host-unreachable", 3, 1, 1}, {"protocol-unreachable", 3, 2, 2},
	{"port-unreachable", 3, 3, 3}, {"fragmentation-needed", 3, 4, 4}, {"source-route-failed", 3, 5, 5},
	{"network-unknown", 3, 6, 6}, {"host-unknown", 3, 7, 7}, {"network-prohibited", 3, 9, 9},
	{"host-prohibited", 3, 10, 10}, {"TOS-network-unreachable", 3, 11, 11}, {"TOS-host-unreachable", 3, 12, 12},
	{"communication-prohibited", 3, 13, 13}, {"host-precedence-violation", 3, 14, 14}, {"precedence-cutoff", 3, 15, 15},
	{"source-quench", 4, 0, 255},
	{"redirect", 5, 0, 255},
	{"network-redirect", 5, 0, 0}, {"host-redirect", 5, 1, 1}, {"TOS-network-redirect", 5, 2, 2}, {"TOS-host-redirect", 5, 3, 3},
	{"echo-request", 8, 0, 255}, {"ping", 8, 0, 255},
	{"router-advertisement", 9, 0, 255}, {"router-solicitation", 10, 0, 255},
	{"time-exceeded", 11, 0, 255}, {"ttl-exceeded", 11, 0, 255},
	{"ttl-zero-during-transit", 11, 0, 0}, {"ttl-zero-during-reassembly", 11, 1, 1},
	{"parameter-problem", 12, 0, 255}, {"ip-header-bad", 12, 0, 0}, {"required-option-missing", 12, 1, 1},
	{"timestamp-request", 13, 0, 255}, {"timestamp-reply", 14, 0, 255},
	{"address-mask-request", 17, 0, 255}, {"address-mask-reply", 18, 0, 255},
}

// Set implements xtables.Extension. A name may be cut short as long as it is
// clear.
func (m *icmpMatch) Set(_ *xtables.ParseContext, _ int, args []string, invert bool) error {
	m.invert = invert
	s, found := args[0], ""
	for _, n := range icmpNames {
		if s != "" && len(s) <= len(n.name) && strings.EqualFold(n.name[:len(s)], s) {
			if found != "" {
				return fmt.Errorf("Ambiguous ICMP type `%s': `%s' or `%s'?", s, found, n.name)
			}
			found = n.name
			m.typ, m.lo, m.hi = n.typ, n.lo, n.hi
		}
	}
	if found != "" {
		return nil
	}
	t, code, is := strings.Cut(s, "/")
	n, ok := parseUint(t, 0, 255)
	if !ok {
		return fmt.Errorf("Unknown ICMP type `%s'", s)
	}
	m.typ, m.lo, m.hi = uint8(n), 0, 255
	if is {
		if n, ok = parseUint(code, 0, 255); !ok {
			return fmt.Errorf("Unknown ICMP code `%s'", s)
		}
		m.lo, m.hi = uint8(n), uint8(n)
	}
	return nil
}

// Save implements xtables.Extension.
func (m *icmpMatch) Save(b []byte) []byte {
	b = append(not(b, m.invert), " --icmp-type "...)
	if m.typ == icmpAny {
		return append(b, "any"...)
	}
	b = strconv.AppendUint(b, uint64(m.typ), 10)
	if m.lo != 0 || m.hi != 255 {
		b = strconv.AppendUint(append(b, '/'), uint64(m.lo), 10)
	}
	return b
}

// Print implements xtables.Extension.
func (m *icmpMatch) Print(b []byte, numeric bool) []byte {
	b = append(b, " icmp"...)
	if !numeric {
		for _, n := range icmpNames {
			if n.typ == m.typ && n.lo == m.lo && n.hi == m.hi {
				b = append(b, ' ')
				if m.invert {
					b = append(b, '!')
				}
				return append(b, n.name...)
			}
		}
	}
	b = append(not(b, m.invert), "type "...)
	b = strconv.AppendUint(b, uint64(m.typ), 10)
	if m.lo != 0 || m.hi != 255 {
		b = strconv.AppendUint(append(b, " code "...), uint64(m.lo), 10)
	}
	return b
}

// Match implements xtables.Match (Linux: icmp_match).
func (m *icmpMatch) Match(p *xtables.Packet) bool {
	if p.FragOff != 0 {
		return false
	}
	h := p.Transport(header.ICMPLen)
	if h == nil {
		p.Hotdrop = true
		return false
	}
	return (m.typ == icmpAny || h[0] == m.typ && h[1] >= m.lo && h[1] <= m.hi) != m.invert
}

// Pure implements xtables.Pure.
func (m *icmpMatch) Pure() {}
