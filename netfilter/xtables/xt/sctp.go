package xt

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"barewire/netfilter/xtables"
)

var (
	sctpDef = &xtables.Def{ // read-only
		Name:   "sctp",
		Protos: []uint8{protoSCTP},
		Options: []xtables.Option{
			{Name: "source-port", ID: 0, Args: 1, Invert: true},
			{Name: "sport", ID: 0, Args: 1, Invert: true},
			{Name: "destination-port", ID: 1, Args: 1, Invert: true},
			{Name: "dport", ID: 1, Args: 1, Invert: true},
			{Name: "chunk-types", ID: 2, Args: 2, Invert: true},
		},
		NewMatch: func() xtables.Match { return &sctpMatch{ports: ports{sport: allPorts, dport: allPorts}} },
	}
	dccpDef = &xtables.Def{ // read-only
		Name:   "dccp",
		Protos: []uint8{protoDCCP},
		Options: []xtables.Option{
			{Name: "source-port", ID: 0, Args: 1, Invert: true},
			{Name: "sport", ID: 0, Args: 1, Invert: true},
			{Name: "destination-port", ID: 1, Args: 1, Invert: true},
			{Name: "dport", ID: 1, Args: 1, Invert: true},
			{Name: "dccp-types", ID: 2, Args: 1, Invert: true},
			{Name: "dccp-option", ID: 3, Args: 1, Invert: true},
		},
		NewMatch: func() xtables.Match { return &dccpMatch{ports: ports{sport: allPorts, dport: allPorts}} },
	}
)

// ports is the part about ports of a match on a protocol.
type ports struct {
	sport, dport       portRange
	invSport, invDport bool
	given              [2]bool // sport and dport: all ports are printed, too
}

func (m *ports) set(id int, s string, invert bool, proto uint8) (err error) {
	m.given[id] = true
	if id == 0 {
		m.invSport = invert
		m.sport, err = parsePorts(s, proto)
	} else {
		m.invDport = invert
		m.dport, err = parsePorts(s, proto)
	}
	return err
}

func (m *ports) save(b []byte) []byte {
	if m.given[0] {
		b = m.sport.text(append(not(b, m.invSport), " --sport "...))
	}
	if m.given[1] {
		b = m.dport.text(append(not(b, m.invDport), " --dport "...))
	}
	return b
}

func (m *ports) print(b []byte, numeric bool, proto uint8) []byte {
	one := func(r portRange, name string, invert, given bool) {
		if r != allPorts || !given {
			b = r.print(b, name, invert, numeric, proto)
			return
		}
		b = append(append(append(b, ' '), name...), "s:"...)
		if invert {
			b = append(b, '!')
		}
		b = r.text(b)
	}
	one(m.sport, "spt", m.invSport, m.given[0])
	one(m.dport, "dpt", m.invDport, m.given[1])
	return b
}

// match takes the first four bytes of the transport header.
func (m *ports) match(h []byte) bool {
	return m.sport.has(uint16(h[0])<<8|uint16(h[1])) != m.invSport && m.dport.has(uint16(h[2])<<8|uint16(h[3])) != m.invDport
}

// sctpMatch is xt_sctp: ports and the chunks of a packet.
type sctpMatch struct {
	xtables.Plain
	ports
	how    uint8 // 0: not asked, else 1 + index in sctpHow
	invert bool
	types  [4]uint64          // set of chunk types
	flags  map[uint8][2]uint8 // of a type: which bits, and their values
}

var sctpHow = []string{"all", "any", "only"} // read-only

// sctpChunks are the types by name, with the letters of their flags from bit 7
// down. read-only
var sctpChunks = []struct {
	name  string
	typ   uint8
	flags string
}{
	{"DATA", 0, "----IUBE"}, {"INIT", 1, "--------"}, {"INIT_ACK", 2, "--------"}, {"SACK", 3, "--------"},
	{"HEARTBEAT", 4, "--------"}, {"HEARTBEAT_ACK", 5, "--------"}, {"ABORT", 6, "-------T"}, {"SHUTDOWN", 7, "--------"},
	{"SHUTDOWN_ACK", 8, "--------"}, {"ERROR", 9, "--------"}, {"COOKIE_ECHO", 10, "--------"}, {"COOKIE_ACK", 11, "--------"},
	{"ECN_ECNE", 12, "--------"}, {"ECN_CWR", 13, "--------"}, {"SHUTDOWN_COMPLETE", 14, "-------T"},
	{"I_DATA", 64, "----IUBE"}, {"RE_CONFIG", 130, "--------"}, {"PAD", 132, "--------"},
	{"ASCONF", 193, "--------"}, {"ASCONF_ACK", 128, "--------"}, {"FORWARD_TSN", 192, "--------"}, {"I_FORWARD_TSN", 194, "--------"},
}

// Set implements xtables.Extension.
func (m *sctpMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) error {
	if id < 2 {
		return m.set(id, args[0], invert, protoSCTP)
	}
	m.invert = invert
	for i, h := range sctpHow {
		if strings.EqualFold(h, args[0]) {
			m.how = uint8(i + 1)
		}
	}
	if m.how == 0 {
		return errors.New("Match type has to be one of \"ALL\", \"ANY\" or \"ONLY\"")
	}
	switch {
	case strings.EqualFold(args[1], "ALL"):
		m.types = [4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
		return nil
	case strings.EqualFold(args[1], "NONE"):
		return nil
	}
	for w := range strings.SplitSeq(args[1], ",") {
		if err := m.chunk(w); err != nil {
			return err
		}
	}
	return nil
}

// chunk takes "TYPE[:flags]".
func (m *sctpMatch) chunk(w string) error {
	name, flags, is := strings.Cut(w, ":")
	for _, c := range sctpChunks {
		if !strings.EqualFold(c.name, name) {
			continue
		}
		m.types[c.typ>>6] |= 1 << (c.typ & 63)
		if !is {
			return nil
		}
		var mask, value uint8
		for _, f := range flags {
			i := strings.IndexByte(c.flags, byte(f)&^0x20)
			if i < 0 || f > 0x7f {
				return fmt.Errorf("Invalid flags for chunk type %d", c.typ)
			}
			bit := uint8(0x80) >> i
			if mask |= bit; byte(f) == c.flags[i] {
				value |= bit
			}
		}
		if m.flags == nil {
			m.flags = map[uint8][2]uint8{}
		}
		m.flags[c.typ] = [2]uint8{mask, value}
		return nil
	}
	return fmt.Errorf("Unknown sctp chunk `%s'", name)
}

func (m *sctpMatch) chunks(b []byte, numeric bool) []byte {
	if m.how == 0 {
		return b
	}
	b = append(append(b, sctpHow[m.how-1]...), ' ')
	all, none := true, true
	for _, w := range m.types {
		all, none = all && w == ^uint64(0), none && w == 0
	}
	switch {
	case all:
		return append(b, "ALL"...)
	case none:
		return append(b, "NONE"...)
	}
	sep := ""
	for t := range 256 {
		if m.types[t>>6]&(1<<(t&63)) == 0 {
			continue
		}
		b = append(b, sep...)
		sep = ","
		b = m.oneChunk(b, uint8(t), numeric)
	}
	return b
}

func (m *sctpMatch) oneChunk(b []byte, t uint8, numeric bool) []byte {
	letters := "--------"
	name := fmt.Sprintf("0x%04x", t)
	for _, c := range sctpChunks {
		if c.typ == t {
			if letters = c.flags; !numeric {
				name = c.name
			}
		}
	}
	b = append(b, name...)
	f, ok := m.flags[t]
	if !ok || f[0] == 0 {
		return b
	}
	b = append(b, ':')
	for i := range 8 {
		bit := uint8(0x80) >> i
		if f[0]&bit != 0 {
			c := letters[i]
			if f[1]&bit == 0 {
				c |= 0x20
			}
			b = append(b, c)
		}
	}
	return b
}

// Save implements xtables.Extension.
func (m *sctpMatch) Save(b []byte) []byte {
	if b = m.save(b); m.how != 0 {
		b = m.chunks(append(not(b, m.invert), " --chunk-types "...), false)
	}
	return b
}

// Print implements xtables.Extension.
func (m *sctpMatch) Print(b []byte, numeric bool) []byte {
	if b = m.print(append(b, " sctp"...), numeric, protoSCTP); m.how != 0 {
		b = m.chunks(append(not(b, m.invert), ' '), numeric)
	}
	return b
}

// Match implements xtables.Match (Linux: sctp_mt).
func (m *sctpMatch) Match(p *xtables.Packet) bool {
	h := firstTransport(p, 12)
	if h == nil {
		return false
	}
	if !m.match(h) {
		return false
	}
	return m.how == 0 || m.matchChunks(p) != m.invert
}

// matchChunks is match_packet.
func (m *sctpMatch) matchChunks(p *xtables.Packet) bool {
	left := m.types
	for off := p.Off + 12; ; {
		h := p.Bytes(off, 4)
		if h == nil {
			p.Hotdrop = true
			return false
		}
		t, flags, n := h[0], h[1], int(h[2])<<8|int(h[3])
		if n == 0 {
			p.Hotdrop = true
			return false
		}
		off += (n + 3) &^ 3
		last := off >= p.B.Len() // a packet without a chunk is dropped
		in := m.types[t>>6]&(1<<(t&63)) != 0
		if f, ok := m.flags[t]; in && ok && flags&f[0] != f[1] {
			if m.how == 3 { // only
				return false
			}
		} else if in && m.how == 2 {
			return true
		} else if in {
			left[t>>6] &^= 1 << (t & 63)
		} else if m.how == 3 {
			return false
		}
		if last {
			break
		}
	}
	switch m.how {
	case 1:
		return left == [4]uint64{}
	case 3:
		return true
	}
	return false
}

// dccpMatch is xt_dccp: ports, the packet's type and an option.
type dccpMatch struct {
	xtables.Plain
	ports
	types               uint16
	option              uint8
	hasTypes, hasOption bool
	invTypes, invOption bool
}

var dccpTypes = []string{"REQUEST", "RESPONSE", "DATA", "ACK", "DATAACK", "CLOSEREQ", "CLOSE", "RESET", "SYNC", "SYNCACK"} // read-only

// Set implements xtables.Extension.
func (m *dccpMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) error {
	switch id {
	case 2:
		m.hasTypes, m.invTypes = true, invert
	next:
		for w := range strings.SplitSeq(args[0], ",") {
			for i, n := range dccpTypes {
				if strings.EqualFold(n, w) {
					m.types |= 1 << i
					continue next
				}
			}
			if !strings.EqualFold(w, "INVALID") {
				return fmt.Errorf("Unknown DCCP type `%s'", w)
			}
			m.types |= 0xfc00
		}
	case 3:
		n, err := number("dccp", "dccp-option", args[0], 1, 255)
		m.option, m.hasOption, m.invOption = uint8(n), true, invert
		return err
	default:
		return m.set(id, args[0], invert, protoDCCP)
	}
	return nil
}

func (m *dccpMatch) names(b []byte, numeric bool) []byte {
	sep := ""
	for i := range 16 {
		if m.types&(1<<i) == 0 {
			continue
		}
		b = append(b, sep...)
		sep = ","
		switch {
		case numeric:
			b = strconv.AppendInt(b, int64(i), 10)
		case i < len(dccpTypes):
			b = append(b, dccpTypes[i]...)
		default:
			return append(b, "INVALID"...)
		}
	}
	return b
}

// Save implements xtables.Extension.
func (m *dccpMatch) Save(b []byte) []byte {
	b = m.save(b)
	if m.hasTypes {
		b = m.names(append(not(b, m.invTypes), " --dccp-types "...), false)
	}
	if m.hasOption {
		b = fmt.Appendf(not(b, m.invOption), " --dccp-option %d", m.option)
	}
	return b
}

// Print implements xtables.Extension.
func (m *dccpMatch) Print(b []byte, numeric bool) []byte {
	b = m.print(append(b, " dccp"...), numeric, protoDCCP)
	if m.hasTypes {
		b = m.names(append(not(b, m.invTypes), ' '), numeric)
	}
	if m.hasOption {
		b = append(b, " option="...)
		if m.invOption {
			b = append(b, '!')
		}
		b = strconv.AppendInt(b, int64(m.option), 10)
	}
	return b
}

// Match implements xtables.Match (Linux: dccp_mt).
func (m *dccpMatch) Match(p *xtables.Packet) bool {
	h := firstTransport(p, 12)
	if h == nil {
		return false
	}
	typ, off, extended := h[8]>>1&15, int(h[4])*4, h[8]&1 != 0
	if !m.match(h) || m.hasTypes && (m.types&(1<<typ) != 0) == m.invTypes {
		return false
	}
	return !m.hasOption || m.find(p, typ, off, extended) != m.invOption
}

// find looks for the option.
func (m *dccpMatch) find(p *xtables.Packet, typ uint8, end int, extended bool) bool {
	// What stands between the ports and the options (RFC 4340, section 5): the
	// generic header of 16 bytes, 12 without extended sequence numbers, and the
	// subheader of the type.
	at := 12
	if extended {
		at = 16
	}
	switch typ {
	case 0:
		at += 4 // service code
	case 1, 7:
		at += 12
	case 3, 4, 5, 6, 8, 9:
		at += at - 8 // acknowledgement number: 4, or 8 if extended
	}
	if end < at {
		p.Hotdrop = true
		return false
	}
	if end == at {
		return false
	}
	o := p.Bytes(p.Off+at, min(end-at, 128))
	if o == nil || end-at > 128 {
		p.Hotdrop = o == nil
		return false
	}
	return optionAt(o, m.option) >= 0
}
