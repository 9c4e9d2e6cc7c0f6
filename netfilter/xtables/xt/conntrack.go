package xt

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"barewire/netfilter/conntrack"
	"barewire/netfilter/xtables"
	"barewire/skb/header"
)

// IDs of the options of conntrack, and bits of what a match asks for.
const (
	ctState = iota
	ctProto
	ctOrigSrc
	ctOrigDst
	ctReplSrc
	ctReplDst
	ctOrigSrcPort
	ctOrigDstPort
	ctReplSrcPort
	ctReplDstPort
	ctStatus
	ctExpire
	ctDir
)

var (
	conntrackDef = &xtables.Def{ // read-only
		Name: "conntrack",
		Options: []xtables.Option{
			{Name: "ctstate", ID: ctState, Args: 1, Invert: true},
			{Name: "ctproto", ID: ctProto, Args: 1, Invert: true},
			{Name: "ctorigsrc", ID: ctOrigSrc, Args: 1, Invert: true},
			{Name: "ctorigdst", ID: ctOrigDst, Args: 1, Invert: true},
			{Name: "ctreplsrc", ID: ctReplSrc, Args: 1, Invert: true},
			{Name: "ctrepldst", ID: ctReplDst, Args: 1, Invert: true},
			{Name: "ctorigsrcport", ID: ctOrigSrcPort, Args: 1, Invert: true},
			{Name: "ctorigdstport", ID: ctOrigDstPort, Args: 1, Invert: true},
			{Name: "ctreplsrcport", ID: ctReplSrcPort, Args: 1, Invert: true},
			{Name: "ctrepldstport", ID: ctReplDstPort, Args: 1, Invert: true},
			{Name: "ctstatus", ID: ctStatus, Args: 1, Invert: true},
			{Name: "ctexpire", ID: ctExpire, Args: 1, Invert: true},
			{Name: "ctdir", ID: ctDir, Args: 1},
		},
		NewMatch: func() xtables.Match { return new(conntrackMatch) },
	}
	stateDef = &xtables.Def{ // read-only
		Name:     "state",
		Options:  []xtables.Option{{Name: "state", Args: 1, Invert: true, Must: true}},
		NewMatch: func() xtables.Match { return new(stateMatch) },
	}
)

// ctAddr is an address of a tuple under a mask.
type ctAddr struct{ addr, mask header.Addr }

// conntrackMatch is xt_conntrack.
type conntrackMatch struct {
	xtables.Plain
	tracked
	asked, invert uint32 // sets of options
	state         conntrack.State
	status        conntrack.Status
	proto         uint8
	addr          [4]ctAddr    // in order of the options
	port          [4]portRange // likewise
	lo, hi        uint32       // seconds
	reply         bool
}

var ctStates = []struct { // read-only
	name string
	bit  conntrack.State
}{
	{"INVALID", conntrack.StateInvalid}, {"NEW", conntrack.StateNew}, {"RELATED", conntrack.StateRelated},
	{"ESTABLISHED", conntrack.StateEstablished}, {"UNTRACKED", conntrack.StateUntracked},
	{"SNAT", conntrack.StateSNAT}, {"DNAT", conntrack.StateDNAT},
}

var ctStatuses = []struct { // read-only
	name string
	bit  conntrack.Status
}{
	{"EXPECTED", conntrack.Expected}, {"SEEN_REPLY", conntrack.SeenReply},
	{"ASSURED", conntrack.Assured}, {"CONFIRMED", conntrack.Confirmed},
}

// parseStates takes a list of the first n names of ctStates.
func parseStates(s string, n int, what string) (st conntrack.State, err error) {
next:
	for w := range strings.SplitSeq(s, ",") {
		for _, e := range ctStates[:n] {
			if strings.EqualFold(e.name, w) {
				st |= e.bit
				continue next
			}
		}
		return 0, fmt.Errorf("Bad %s \"%s\"", what, w)
	}
	return st, nil
}

func appendStates(b []byte, st conntrack.State) []byte {
	sep := " "
	for _, e := range ctStates {
		if st&e.bit != 0 {
			b = append(append(b, sep...), e.name...)
			sep = ","
		}
	}
	return b
}

// Set implements xtables.Extension.
func (m *conntrackMatch) Set(c *xtables.ParseContext, id int, args []string, invert bool) (err error) {
	m.asked |= 1 << id
	if invert {
		m.invert |= 1 << id
	}
	s := args[0]
	switch id {
	case ctState:
		m.state, err = parseStates(s, len(ctStates), "ctstate")
	case ctProto:
		var ok bool
		if m.proto, ok = xtables.ProtoNumber(s); !ok {
			return fmt.Errorf("unknown protocol \"%s\" specified", s)
		}
		if m.proto == 0 && invert {
			return errors.New("conntrack: rule would never match protocol")
		}
	case ctOrigSrc, ctOrigDst, ctReplSrc, ctReplDst:
		a := &m.addr[id-ctOrigSrc]
		a.addr, a.mask, err = parseAddrMask(s)
	case ctOrigSrcPort, ctOrigDstPort, ctReplSrcPort, ctReplDstPort:
		m.port[id-ctOrigSrcPort], err = parsePorts(s, m.proto)
	case ctStatus:
		err = m.setStatus(s)
	case ctExpire:
		m.lo, m.hi, err = parseSeconds(s)
	case ctDir:
		switch {
		case strings.EqualFold(s, "ORIGINAL"):
		case strings.EqualFold(s, "REPLY"):
			m.reply = true
		default:
			return fmt.Errorf("conntrack: Bad value for \"--ctdir\" option: \"%s\"", s)
		}
	}
	return err
}

func (m *conntrackMatch) setStatus(s string) error {
next:
	for w := range strings.SplitSeq(s, ",") {
		if strings.EqualFold(w, "NONE") {
			continue
		}
		for _, e := range ctStatuses {
			if strings.EqualFold(e.name, w) {
				m.status |= e.bit
				continue next
			}
		}
		return fmt.Errorf("Bad ctstatus \"%s\"", w)
	}
	return nil
}

// parseSeconds takes "n", "lo:hi", "lo:" or ":hi".
func parseSeconds(s string) (lo, hi uint32, err error) {
	a, b, is := strings.Cut(s, ":")
	hi = ^uint32(0)
	var n uint64
	if a != "" || !is {
		if n, err = bound("conntrack", "ctexpire", a, 0xffffffff); err != nil {
			return 0, 0, err
		}
		lo = uint32(n)
	}
	if !is {
		return lo, lo, nil
	}
	if b != "" {
		n, err = bound("conntrack", "ctexpire", b, 0xffffffff)
		hi = uint32(n)
	}
	return lo, hi, err
}

// Done implements xtables.Extension.
func (m *conntrackMatch) Done(*xtables.ParseContext) error {
	if m.asked == 0 {
		return errors.New("conntrack: At least one option is required")
	}
	return nil
}

// Save implements xtables.Extension.
func (m *conntrackMatch) Save(b []byte) []byte { return m.text(b, "--", true) }

// Print implements xtables.Extension.
func (m *conntrackMatch) Print(b []byte, numeric bool) []byte { return m.text(b, "", numeric) }

func (m *conntrackMatch) text(b []byte, dashes string, numeric bool) []byte {
	for id := range conntrackDef.Options {
		if m.asked&(1<<id) == 0 {
			continue
		}
		b = append(not(b, m.invert&(1<<id) != 0), ' ')
		b = append(append(b, dashes...), conntrackDef.Options[id].Name...)
		if id == ctState {
			b = appendStates(b, m.state)
			continue
		}
		if id == ctStatus {
			b = m.appendStatus(b)
			continue
		}
		b = append(b, ' ')
		switch id {
		case ctProto:
			b = strconv.AppendUint(b, uint64(m.proto), 10)
		case ctOrigSrc, ctOrigDst, ctReplSrc, ctReplDst:
			a := &m.addr[id-ctOrigSrc]
			if a.mask == 0 && !numeric {
				b = append(b, "anywhere"...)
				continue
			}
			b = appendMask(appendAddr(b, a.addr), a.mask)
		case ctOrigSrcPort, ctOrigDstPort, ctReplSrcPort, ctReplDstPort:
			b = m.port[id-ctOrigSrcPort].text(b)
		case ctExpire:
			b = strconv.AppendUint(b, uint64(m.lo), 10)
			if m.hi != m.lo {
				b = strconv.AppendUint(append(b, ':'), uint64(m.hi), 10)
			}
		case ctDir:
			if m.reply {
				b = append(b, "REPLY"...)
			} else {
				b = append(b, "ORIGINAL"...)
			}
		}
	}
	return b
}

func (m *conntrackMatch) appendStatus(b []byte) []byte {
	if m.status == 0 {
		return append(b, " NONE"...)
	}
	sep := " "
	for _, e := range ctStatuses {
		if m.status&e.bit != 0 {
			b = append(append(b, sep...), e.name...)
			sep = ","
		}
	}
	return b
}

// is reports whether the option was asked for and has does not agree with it.
func (m *conntrackMatch) fails(id int, has bool) bool {
	return m.asked&(1<<id) != 0 && has == (m.invert&(1<<id) != 0)
}

// Match implements xtables.Match (Linux: conntrack_mt).
func (m *conntrackMatch) Match(p *xtables.Packet) bool {
	if m.asked&(1<<ctState) != 0 {
		if (conntrack.StateOf(p.B)&m.state != 0) == (m.invert&(1<<ctState) != 0) {
			return false
		}
		if m.asked == 1<<ctState {
			return true
		}
	}
	c, info := conntrack.Get(p.B)
	if c == nil {
		return m.asked&(1<<ctState) != 0
	}
	if m.asked&(1<<ctDir) != 0 && (info.Dir() == conntrack.Reply) != m.reply {
		return false
	}
	if m.fails(ctProto, c.Proto() == m.proto) || m.fails(ctStatus, c.Status()&m.status != 0) {
		return false
	}
	if m.asked>>ctOrigSrc&0xff != 0 && !m.tuples(c) {
		return false
	}
	if m.asked&(1<<ctExpire) != 0 {
		s := uint32(0) // as Linux has it before the first packet got through
		if c.IsConfirmed() {
			s = uint32(min(c.Expires()/1e9, 0xffffffff))
		}
		return !m.fails(ctExpire, s >= m.lo && s <= m.hi)
	}
	return true
}

// tuples compares addresses and ports of both directions.
func (m *conntrackMatch) tuples(c *conntrack.Conn) bool {
	for d := range 2 {
		t := c.Tuple(conntrack.Dir(d))
		for k := range 2 {
			a, p := t.Src, t.SrcPort
			if k == 1 {
				a, p = t.Dst, t.DstPort
			}
			i := 2*d + k
			if m.fails(ctOrigSrc+i, a&m.addr[i].mask == m.addr[i].addr) || m.fails(ctOrigSrcPort+i, m.port[i].has(p)) {
				return false
			}
		}
	}
	return true
}

// Pure implements xtables.Pure.
func (m *conntrackMatch) Pure() {}

// stateMatch is conntrack's state alone, under its old name (Linux: xt_state).
type stateMatch struct {
	xtables.Plain
	tracked
	state  conntrack.State
	invert bool
}

// Set implements xtables.Extension.
func (m *stateMatch) Set(_ *xtables.ParseContext, _ int, args []string, invert bool) (err error) {
	m.invert = invert
	m.state, err = parseStates(args[0], 5, "state")
	return err
}

// Save implements xtables.Extension.
func (m *stateMatch) Save(b []byte) []byte {
	return appendStates(append(not(b, m.invert), " --state"...), m.state)
}

// Print implements xtables.Extension.
func (m *stateMatch) Print(b []byte, _ bool) []byte {
	return appendStates(append(not(b, m.invert), " state"...), m.state)
}

// Match implements xtables.Match.
func (m *stateMatch) Match(p *xtables.Packet) bool {
	return (conntrack.StateOf(p.B)&m.state != 0) != m.invert
}

// Pure implements xtables.Pure.
func (m *stateMatch) Pure() {}
