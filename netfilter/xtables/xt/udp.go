package xt

import (
	"barewire/netfilter/xtables"
	"barewire/skb/header"
)

var udpDef = &xtables.Def{ // read-only
	Name:     "udp",
	Protos:   []uint8{header.ProtoUDP},
	Options:  tcpDef.Options[:4],
	NewMatch: func() xtables.Match { return &udpMatch{sport: allPorts, dport: allPorts} },
}

// udpMatch is the udp half of xt_tcpudp.
type udpMatch struct {
	xtables.Plain
	sport, dport       portRange
	invSport, invDport bool
}

// Set implements xtables.Extension.
func (m *udpMatch) Set(c *xtables.ParseContext, id int, args []string, invert bool) (err error) {
	if err := onlyOne(c, id); err != nil {
		return err
	}
	if id == 0 {
		m.invSport = invert
		m.sport, err = parsePorts(args[0], header.ProtoUDP)
	} else {
		m.invDport = invert
		m.dport, err = parsePorts(args[0], header.ProtoUDP)
	}
	return err
}

// Save implements xtables.Extension.
func (m *udpMatch) Save(b []byte) []byte {
	return m.dport.save(m.sport.save(b, "sport", m.invSport), "dport", m.invDport)
}

// Print implements xtables.Extension.
func (m *udpMatch) Print(b []byte, numeric bool) []byte {
	b = m.sport.print(append(b, " udp"...), "spt", m.invSport, numeric, header.ProtoUDP)
	return m.dport.print(b, "dpt", m.invDport, numeric, header.ProtoUDP)
}

// Match implements xtables.Match (Linux: udp_mt).
func (m *udpMatch) Match(p *xtables.Packet) bool {
	if p.FragOff != 0 {
		return false
	}
	h := p.Transport(header.UDPLen)
	if h == nil {
		p.Hotdrop = true
		return false
	}
	u := header.UDP(h)
	return m.sport.has(u.SrcPort()) != m.invSport && m.dport.has(u.DstPort()) != m.invDport
}

// Pure implements xtables.Pure.
func (m *udpMatch) Pure() {}

// Constrain implements xtables.Constrainer.
func (m *udpMatch) Constrain(add func(xtables.Field, ...xtables.Constraint)) {
	if !m.invSport && m.sport != allPorts {
		add(xtables.FieldSport, m.sport.constraint())
	}
	if !m.invDport && m.dport != allPorts {
		add(xtables.FieldDport, m.dport.constraint())
	}
}
