package xt

import (
	"errors"
	"strconv"
	"strings"

	"barewire/netfilter"
	"barewire/netfilter/xtables"
	"barewire/skb/header"
)

var macDef = &xtables.Def{ // read-only
	Name:     "mac",
	Hooks:    1<<netfilter.PreRouting | 1<<netfilter.LocalIn | 1<<netfilter.Forward,
	Options:  []xtables.Option{{Name: "mac-source", Args: 1, Invert: true, Must: true}},
	NewMatch: func() xtables.Match { return new(macMatch) },
}

// macMatch is xt_mac.
type macMatch struct {
	xtables.Plain
	addr   [6]byte
	invert bool
}

// Set implements xtables.Extension.
func (m *macMatch) Set(_ *xtables.ParseContext, _ int, args []string, invert bool) error {
	m.invert = invert
	l := strings.Split(args[0], ":")
	if len(l) != 6 {
		return errors.New("Invalid MAC address specified.")
	}
	for i, s := range l {
		n, err := strconv.ParseUint(s, 16, 8)
		if err != nil || len(s) > 2 {
			return errors.New("Invalid MAC address specified.")
		}
		m.addr[i] = byte(n)
	}
	return nil
}

func (m *macMatch) text(b []byte) []byte {
	const digits = "0123456789abcdef"
	for i, c := range m.addr {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[c>>4], digits[c&15])
	}
	return b
}

// Save implements xtables.Extension.
func (m *macMatch) Save(b []byte) []byte {
	return m.text(append(not(b, m.invert), " --mac-source "...))
}

// Print implements xtables.Extension.
func (m *macMatch) Print(b []byte, _ bool) []byte {
	return m.text(append(not(append(b, " MAC"...), m.invert), ' '))
}

// Match implements xtables.Match (Linux: mac_mt). A packet without an Ethernet
// header matches neither way.
func (m *macMatch) Match(p *xtables.Packet) bool {
	b := p.B
	if !b.MacHeaderWasSet() || b.MacLen() < header.EthHLen {
		return false
	}
	h := b.MacHeader()
	return len(h) >= header.EthHLen && (([6]byte)(h[6:12]) == m.addr) != m.invert
}

// Pure implements xtables.Pure.
func (m *macMatch) Pure() {}
