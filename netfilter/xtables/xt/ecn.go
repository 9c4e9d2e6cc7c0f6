package xt

import (
	"errors"
	"fmt"

	"barewire/netfilter/xtables"
	"barewire/skb/header"
)

var (
	ecnDef = &xtables.Def{ // read-only
		Name: "ecn",
		Options: []xtables.Option{
			{Name: "ecn-tcp-cwr", ID: 0, Invert: true},
			{Name: "ecn-tcp-ece", ID: 1, Invert: true},
			{Name: "ecn-ip-ect", ID: 2, Args: 1, Invert: true},
		},
		NewMatch: func() xtables.Match { return new(ecnMatch) },
	}
	tcpmssDef = &xtables.Def{ // read-only
		Name:     "tcpmss",
		Protos:   []uint8{header.ProtoTCP},
		Options:  []xtables.Option{{Name: "mss", Args: 1, Invert: true, Must: true}},
		NewMatch: func() xtables.Match { return new(tcpmssMatch) },
	}
)

// ecnMatch is xt_ecn: the bits of explicit congestion notification.
type ecnMatch struct {
	xtables.Plain
	asked, invert uint8 // bits of the options
	ect           uint8
}

// Set implements xtables.Extension.
func (m *ecnMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) error {
	m.asked |= 1 << id
	if invert {
		m.invert |= 1 << id
	}
	if id == 2 {
		n, err := number("ecn", "ecn-ip-ect", args[0], 0, 3)
		m.ect = uint8(n)
		return err
	}
	return nil
}

// Done implements xtables.Extension.
func (m *ecnMatch) Done(*xtables.ParseContext) error {
	if m.asked == 0 {
		return errors.New("ECN match: some option required")
	}
	return nil
}

// Save implements xtables.Extension.
func (m *ecnMatch) Save(b []byte) []byte {
	for id, name := range []string{"ece", "cwr"} {
		id = 1 - id
		if m.asked&(1<<id) != 0 {
			b = append(append(not(b, m.invert&(1<<id) != 0), " --ecn-tcp-"...), name...)
		}
	}
	if m.asked&4 != 0 {
		b = fmt.Appendf(not(b, m.invert&4 != 0), " --ecn-ip-ect %d", m.ect)
	}
	return b
}

// Print implements xtables.Extension.
func (m *ecnMatch) Print(b []byte, _ bool) []byte {
	b = append(b, " ECN match"...)
	put := func(id int, s string) {
		if m.asked&(1<<id) == 0 {
			return
		}
		b = append(b, ' ')
		if m.invert&(1<<id) != 0 {
			b = append(b, '!')
		}
		b = append(b, s...)
	}
	put(1, "ECE")
	put(0, "CWR")
	put(2, fmt.Sprintf("ECT=%d", m.ect))
	return b
}

// Check implements xtables.Extension (Linux: ecn_mt_check4).
func (m *ecnMatch) Check(c *xtables.CheckContext) error {
	if m.asked&3 != 0 && (c.Proto != header.ProtoTCP || c.InvProto) {
		return errors.New("cannot match TCP bits for non-tcp packets")
	}
	return nil
}

// Match implements xtables.Match (Linux: ecn_mt4).
func (m *ecnMatch) Match(p *xtables.Packet) bool {
	if m.asked&4 != 0 && (p.IP.TOS()&3 == m.ect) == (m.invert&4 != 0) {
		return false
	}
	if m.asked&3 == 0 {
		return true
	}
	// As on Linux what stands there in a later fragment is taken for a header.
	h := p.Transport(header.TCPMinLen)
	if h == nil {
		return false
	}
	flags := header.TCP(h).Flags()
	for id, bit := range []uint8{0x80, 0x40} { // CWR, ECE
		if m.asked&(1<<id) != 0 && (flags&bit != 0) == (m.invert&(1<<id) != 0) {
			return false
		}
	}
	return true
}

// Pure implements xtables.Pure.
func (m *ecnMatch) Pure() {}

// tcpmssMatch is xt_tcpmss: the MSS option of a segment.
type tcpmssMatch struct {
	xtables.Plain
	portRange
	invert bool
}

// Set implements xtables.Extension.
func (m *tcpmssMatch) Set(_ *xtables.ParseContext, _ int, args []string, invert bool) error {
	m.invert = invert
	var err error
	if m.portRange, err = parseRange16("tcpmss", "mss", args[0]); err != nil {
		return err
	}
	if m.lo > m.hi {
		return errors.New("tcpmss: invalid range given")
	}
	return nil
}

// Save implements xtables.Extension.
func (m *tcpmssMatch) Save(b []byte) []byte { return m.text(append(not(b, m.invert), " --mss "...)) }

// Print implements xtables.Extension.
func (m *tcpmssMatch) Print(b []byte, _ bool) []byte {
	b = append(b, " tcpmss match "...)
	if m.invert {
		b = append(b, '!')
	}
	return m.text(b)
}

// Match implements xtables.Match (Linux: tcpmss_mt). A segment without the
// option matches only inverted.
func (m *tcpmssMatch) Match(p *xtables.Packet) bool {
	h := p.Transport(header.TCPMinLen)
	if h == nil {
		p.Hotdrop = true
		return false
	}
	n := header.TCP(h).HeaderLen()
	if n < header.TCPMinLen {
		p.Hotdrop = true
		return false
	}
	if n == header.TCPMinLen {
		return m.invert
	}
	o := p.Bytes(p.Off+header.TCPMinLen, n-header.TCPMinLen)
	if o == nil {
		p.Hotdrop = true
		return false
	}
	for {
		i := optionAt(o, 2)
		if i < 0 {
			return m.invert
		}
		if o = o[i:]; len(o) >= 4 && o[1] == 4 {
			return m.has(uint16(o[2])<<8|uint16(o[3])) != m.invert
		}
		step := 1 // one that is malformed is passed over
		if len(o) > 1 && o[1] != 0 {
			step = int(o[1])
		}
		o = o[min(step, len(o)):]
	}
}

// Pure implements xtables.Pure.
func (m *tcpmssMatch) Pure() {}
