package xt

import (
	"errors"
	"fmt"
	"strings"

	"barewire/netfilter"
	"barewire/netfilter/xtables"
	"barewire/skb"
)

var addrtypeDef = &xtables.Def{ // read-only
	Name: "addrtype",
	Options: []xtables.Option{
		{Name: "src-type", ID: 0, Args: 1, Invert: true},
		{Name: "dst-type", ID: 1, Args: 1, Invert: true},
		{Name: "limit-iface-in", ID: 2, Excl: 8},
		{Name: "limit-iface-out", ID: 3, Excl: 4},
	},
	NewMatch: func() xtables.Match { return new(addrtypeMatch) },
}

// addrTypes are the types of routes by their RTN_* numbers. read-only
var addrTypes = []string{"UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST", "BLACKHOLE",
	"UNREACHABLE", "PROHIBIT", "THROW", "NAT", "XRESOLVE"}

// addrtypeMatch is xt_addrtype: what the routing table thinks of the addresses.
type addrtypeMatch struct {
	xtables.Plain
	types             [2]uint16 // sets of RTN_*, for source and destination
	invert            [2]bool
	limitIn, limitOut bool // look up for the device only
}

// Set implements xtables.Extension.
func (m *addrtypeMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) error {
	switch id {
	case 2:
		m.limitIn = true
		return nil
	case 3:
		m.limitOut = true
		return nil
	}
	m.invert[id] = invert
next:
	for s := range strings.SplitSeq(args[0], ",") {
		for i, n := range addrTypes {
			if s != "" && strings.EqualFold(n, s) {
				m.types[id] |= 1 << i
				continue next
			}
		}
		return fmt.Errorf("addrtype: bad type \"%s\"", s)
	}
	return nil
}

// Done implements xtables.Extension.
func (m *addrtypeMatch) Done(*xtables.ParseContext) error {
	if m.types == [2]uint16{} {
		return errors.New("addrtype: you must specify --src-type or --dst-type")
	}
	return nil
}

func (m *addrtypeMatch) list(b []byte, i int) []byte {
	b = append(b, ' ')
	first := true
	for k, n := range addrTypes {
		if m.types[i]&(1<<k) != 0 {
			if !first {
				b = append(b, ',')
			}
			b, first = append(b, n...), false
		}
	}
	return b
}

// Save implements xtables.Extension.
func (m *addrtypeMatch) Save(b []byte) []byte {
	for i, o := range []string{" --src-type", " --dst-type"} {
		if m.types[i] != 0 {
			b = m.list(append(not(b, m.invert[i]), o...), i)
		}
	}
	if m.limitIn {
		b = append(b, " --limit-iface-in"...)
	}
	if m.limitOut {
		b = append(b, " --limit-iface-out"...)
	}
	return b
}

// Print implements xtables.Extension.
func (m *addrtypeMatch) Print(b []byte, _ bool) []byte {
	b = append(b, " ADDRTYPE match"...)
	for i, o := range []string{" src-type", " dst-type"} {
		if m.types[i] == 0 {
			continue
		}
		b = append(b, o...)
		at := len(b)
		b = m.list(b, i)
		if m.invert[i] {
			b = append(b[:at], append([]byte(" !"), b[at+1:]...)...)
		}
	}
	if m.limitIn {
		b = append(b, " limit-in"...)
	}
	if m.limitOut {
		b = append(b, " limit-out"...)
	}
	return b
}

// Check implements xtables.Extension (Linux: addrtype_mt_checkentry_v1).
func (m *addrtypeMatch) Check(c *xtables.CheckContext) error {
	const in, out = 1<<netfilter.PreRouting | 1<<netfilter.LocalIn, 1<<netfilter.PostRouting | 1<<netfilter.LocalOut
	switch {
	case c.Hooks&in != 0 && m.limitOut:
		return errors.New("output interface limitation not valid in PREROUTING and INPUT")
	case c.Hooks&out != 0 && m.limitIn:
		return errors.New("input interface limitation not valid in POSTROUTING and OUTPUT")
	case c.Env.AddrType == nil:
		return errors.New("there is no routing table here")
	}
	return nil
}

// Match implements xtables.Match (Linux: addrtype_mt_v1).
func (m *addrtypeMatch) Match(p *xtables.Packet) bool {
	var d skb.Device
	if m.limitIn {
		d = p.State.In
	} else if m.limitOut {
		d = p.State.Out
	}
	if t := m.types[0]; t != 0 && (t>>p.Env.AddrType(d, p.Src)&1 != 0) == m.invert[0] {
		return false
	}
	t := m.types[1]
	return t == 0 || (t>>p.Env.AddrType(d, p.Dst)&1 != 0) != m.invert[1]
}

// Pure implements xtables.Pure.
func (m *addrtypeMatch) Pure() {}
