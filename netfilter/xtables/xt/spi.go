package xt

import (
	"encoding/binary"
	"fmt"
	"strings"

	"barewire/netfilter/xtables"
)

var (
	ahDef = &xtables.Def{ // read-only
		Name:     "ah",
		Protos:   []uint8{51},
		Options:  []xtables.Option{{Name: "ahspi", Args: 1, Invert: true}},
		NewMatch: func() xtables.Match { return &spiMatch{name: "ah", at: 4, hi: 1<<32 - 1} },
	}
	espDef = &xtables.Def{ // read-only
		Name:     "esp",
		Protos:   []uint8{50},
		Options:  []xtables.Option{{Name: "espspi", Args: 1, Invert: true}},
		NewMatch: func() xtables.Match { return &spiMatch{name: "esp", hi: 1<<32 - 1} },
	}
)

// spiMatch is ipt_ah and xt_esp: the security parameter index.
type spiMatch struct {
	xtables.Plain
	name   string
	at     int // of the index in the header
	lo, hi uint32
	invert bool
}

// parseRange32 takes "n", "lo:hi", "lo:" and ":hi" (XTTYPE_UINT32RC). As in
// iptables the first may be the larger, and then nothing is between.
func parseRange32(name, opt, s string) (lo, hi uint32, err error) {
	a, b, is := strings.Cut(s, ":")
	n, m := uint64(0), uint64(1<<32-1)
	if a != "" || !is {
		if n, err = number(name, opt, a, 0, 1<<32-1); err != nil {
			return 0, 0, err
		}
	}
	switch {
	case !is:
		m = n
	case b != "":
		if m, err = number(name, opt, b, 0, 1<<32-1); err != nil {
			return 0, 0, err
		}
	}
	return uint32(n), uint32(m), nil
}

func appendRange32(b []byte, lo, hi uint32) []byte {
	b = fmt.Appendf(b, "%d", lo)
	if hi != lo {
		b = fmt.Appendf(b, ":%d", hi)
	}
	return b
}

// Set implements xtables.Extension.
func (m *spiMatch) Set(_ *xtables.ParseContext, _ int, args []string, invert bool) (err error) {
	m.invert = invert
	m.lo, m.hi, err = parseRange32(m.name, m.name+"spi", args[0])
	return err
}

// Save implements xtables.Extension.
func (m *spiMatch) Save(b []byte) []byte {
	if m.lo == 0 && m.hi == 1<<32-1 {
		return b
	}
	b = append(append(not(b, m.invert), " --"...), m.name...)
	return appendRange32(append(b, "spi "...), m.lo, m.hi)
}

// Print implements xtables.Extension.
func (m *spiMatch) Print(b []byte, _ bool) []byte {
	b = append(append(b, ' '), m.name...)
	if m.lo == 0 && m.hi == 1<<32-1 && !m.invert {
		if m.at != 0 {
			b = append(b, ' ')
		}
		return b
	}
	b = append(b, " spi"...)
	if m.lo != m.hi {
		b = append(b, 's')
	}
	b = append(b, ':')
	if m.invert {
		b = append(b, '!')
	}
	return appendRange32(b, m.lo, m.hi)
}

// Match implements xtables.Match (Linux: ah_mt, esp_mt).
func (m *spiMatch) Match(p *xtables.Packet) bool {
	h := firstTransport(p, m.at+8)
	if h == nil {
		return false
	}
	n := binary.BigEndian.Uint32(h[m.at:])
	return (n >= m.lo && n <= m.hi) != m.invert
}

// Pure implements xtables.Pure.
func (m *spiMatch) Pure() {}
