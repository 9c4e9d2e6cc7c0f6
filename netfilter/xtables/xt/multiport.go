package xt

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"barewire/netfilter/xtables"
	"barewire/skb/header"
)

var multiportDef = &xtables.Def{ // read-only
	Name:   "multiport",
	Protos: multiportProtos,
	Options: []xtables.Option{
		{Name: "source-ports", ID: 0, Args: 1, Invert: true, Excl: 6},
		{Name: "sports", ID: 0, Args: 1, Invert: true, Excl: 6},
		{Name: "destination-ports", ID: 1, Args: 1, Invert: true, Excl: 5},
		{Name: "dports", ID: 1, Args: 1, Invert: true, Excl: 5},
		{Name: "ports", ID: 2, Args: 1, Invert: true, Excl: 3},
	},
	NewMatch: func() xtables.Match { return new(multiportMatch) },
}

var multiportProtos = []uint8{header.ProtoTCP, header.ProtoUDP, header.ProtoUDPLite, protoSCTP, protoDCCP} // read-only

// Protocols with ports whose wire formats nothing else here needs.
const (
	protoDCCP = 33
	protoSCTP = 132
)

// multiportMax is how many ports a match holds; a range counts as two.
const multiportMax = 15

// multiportMatch is xt_multiport.
type multiportMatch struct {
	xtables.Plain
	ports  []portRange
	ranges []bool // written as a range, which "80:80" stays
	mode   int    // sports, dports or ports
	invert bool
	proto  uint8 // for names when printed
}

var multiportModes = []string{"sports", "dports", "ports"} // read-only

// Set implements xtables.Extension.
func (m *multiportMatch) Set(c *xtables.ParseContext, id int, args []string, invert bool) error {
	if c.Proto == 0 {
		return errors.New("multiport needs `-p tcp', `-p udp', `-p udplite', `-p sctp' or `-p dccp'")
	}
	if c.InvProto || !slices.Contains(multiportProtos, c.Proto) {
		return errors.New("multiport only works with TCP, UDP, UDPLITE, SCTP and DCCP")
	}
	m.mode, m.invert, m.proto = id, invert, c.Proto
	slots := 0
	for s := range strings.SplitSeq(args[0], ",") {
		lo, hi, is := strings.Cut(s, ":")
		if slots++; is {
			slots++
		}
		if slots > multiportMax {
			return errors.New("too many ports specified")
		}
		var r portRange
		var err error
		if r.lo, err = parsePort(lo, c.Proto); err != nil {
			return err
		}
		r.hi = r.lo
		if is {
			if r.hi, err = parsePort(hi, c.Proto); err != nil {
				return err
			}
			if r.lo >= r.hi {
				return errors.New("invalid portrange specified")
			}
		}
		m.ports, m.ranges = append(m.ports, r), append(m.ranges, is)
	}
	return nil
}

// Done implements xtables.Extension.
func (m *multiportMatch) Done(*xtables.ParseContext) error {
	if m.ports == nil {
		return errors.New("multiport expection an option")
	}
	return nil
}

// Save implements xtables.Extension.
func (m *multiportMatch) Save(b []byte) []byte {
	b = append(not(b, m.invert), " --"...)
	b = append(append(b, multiportModes[m.mode]...), ' ')
	return m.list(b, true)
}

func (m *multiportMatch) list(b []byte, numeric bool) []byte {
	for i, r := range m.ports {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendPort(b, r.lo, numeric, m.proto)
		if m.ranges[i] {
			b = appendPort(append(b, ':'), r.hi, numeric, m.proto)
		}
	}
	return b
}

// Print implements xtables.Extension.
func (m *multiportMatch) Print(b []byte, numeric bool) []byte {
	b = append(append(b, " multiport "...), multiportModes[m.mode]...)
	b = append(b, ' ')
	if m.invert {
		b = append(b, " !"...)
	}
	return m.list(b, numeric)
}

// Match implements xtables.Match (Linux: multiport_mt).
func (m *multiportMatch) Match(p *xtables.Packet) bool {
	if p.FragOff != 0 {
		return false
	}
	h := p.Transport(4)
	if h == nil {
		p.Hotdrop = true
		return false
	}
	src, dst := binary.BigEndian.Uint16(h), binary.BigEndian.Uint16(h[2:])
	for _, r := range m.ports {
		if m.mode != 1 && r.has(src) || m.mode != 0 && r.has(dst) {
			return !m.invert
		}
	}
	return m.invert
}

// Pure implements xtables.Pure.
func (m *multiportMatch) Pure() {}

// Constrain implements xtables.Constrainer.
func (m *multiportMatch) Constrain(add func(xtables.Field, ...xtables.Constraint)) {
	if m.invert || m.mode == 2 {
		return
	}
	l := make([]xtables.Constraint, len(m.ports))
	for i, r := range m.ports {
		l[i] = r.constraint()
	}
	add([]xtables.Field{xtables.FieldSport, xtables.FieldDport}[m.mode], l...)
}
