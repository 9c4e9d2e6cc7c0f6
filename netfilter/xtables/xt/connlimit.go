package xt

import (
	"errors"
	"fmt"
	"sync"

	"barewire/netfilter/conntrack"
	"barewire/netfilter/xtables"
	"barewire/skb/header"
)

// IDs of the options of connlimit.
const (
	connlimitUpto = iota
	connlimitAbove
	connlimitMask
	connlimitSaddr
	connlimitDaddr
)

var connlimitDef = &xtables.Def{ // read-only
	Name: "connlimit",
	Options: []xtables.Option{
		{Name: "connlimit-upto", ID: connlimitUpto, Args: 1, Invert: true, Excl: 1 << connlimitAbove},
		{Name: "connlimit-above", ID: connlimitAbove, Args: 1, Invert: true, Excl: 1 << connlimitUpto},
		{Name: "connlimit-mask", ID: connlimitMask, Args: 1},
		{Name: "connlimit-saddr", ID: connlimitSaddr, Excl: 1 << connlimitDaddr},
		{Name: "connlimit-daddr", ID: connlimitDaddr, Excl: 1 << connlimitSaddr},
	},
	NewMatch: func() xtables.Match { return &connlimitMatch{mask: 32} },
}

// connlimitMatch is xt_connlimit: how many connections a group of addresses has.
type connlimitMatch struct {
	xtables.Plain
	tracked
	limit  uint32
	given  bool
	invert bool // upto
	dest   bool
	mask   int

	mu     sync.Mutex
	groups map[header.Addr]map[conntrack.Tuple]struct{}
	count  int // of connections in all groups
	sweep  int // when all groups are looked through
	table  *conntrack.Table
}

// connlimitMax bounds how many connections a rule remembers. A packet of one more
// is dropped.
const connlimitMax = 1 << 20

// Set implements xtables.Extension.
func (m *connlimitMatch) Set(_ *xtables.ParseContext, id int, args []string, invert bool) error {
	switch id {
	case connlimitUpto, connlimitAbove:
		name := [...]string{"connlimit-upto", "connlimit-above"}[id]
		n, err := number("connlimit", name, args[0], 0, 1<<32-1)
		if err != nil {
			return err
		}
		m.limit, m.given, m.invert = uint32(n), true, (id == connlimitUpto) != invert
	case connlimitMask:
		if a, ok := parseAddr(args[0]); ok && maskLen(a) >= 0 {
			m.mask = maskLen(a)
			return nil
		}
		n, err := number("connlimit", "connlimit-mask", args[0], 0, 128) // 128 is for IPv6
		if err != nil {
			return err
		}
		m.mask = min(int(n), 32)
	case connlimitDaddr:
		m.dest = true
	}
	return nil
}

// Done implements xtables.Extension.
func (m *connlimitMatch) Done(*xtables.ParseContext) error {
	if !m.given {
		return errors.New("You must specify \"--connlimit-above\" or \"--connlimit-upto\".")
	}
	return nil
}

// Save implements xtables.Extension.
func (m *connlimitMatch) Save(b []byte) []byte {
	what, dir := "above", "saddr"
	if m.invert {
		what = "upto"
	}
	if m.dest {
		dir = "daddr"
	}
	return fmt.Appendf(b, " --connlimit-%s %d --connlimit-mask %d --connlimit-%s", what, m.limit, m.mask, dir)
}

// Print implements xtables.Extension.
func (m *connlimitMatch) Print(b []byte, _ bool) []byte {
	dir, op := "src", ">"
	if m.invert {
		op = "<="
	}
	if m.dest {
		dir = "dst"
	}
	return fmt.Appendf(b, " #conn %s/%d %s %d", dir, m.mask, op, m.limit)
}

// Attach implements xtables.Attacher.
func (m *connlimitMatch) Attach(c *xtables.CheckContext) error {
	if c.Env.Conntrack == nil {
		return errNoConntrack
	}
	m.table = c.Env.Conntrack
	m.groups, m.count, m.sweep = map[header.Addr]map[conntrack.Tuple]struct{}{}, 0, 1024
	return m.tracked.Attach(c)
}

// Match implements xtables.Match (Linux: connlimit_mt).
func (m *connlimitMatch) Match(p *xtables.Packet) bool {
	addr := p.Src
	if m.dest {
		addr = p.Dst
	}
	addr &= prefixMask(m.mask)
	var key conntrack.Tuple
	ok := false
	if c, _ := conntrack.Get(p.B); c != nil && !c.IsTemplate() {
		key, ok = c.Tuple(conntrack.Original), true
	} else {
		key, ok = packetTuple(p)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !ok || !m.add(addr, key) {
		p.Hotdrop = true
		return false
	}
	return (uint32(len(m.groups[addr])) > m.limit) != m.invert
}

// add counts a connection. What has ended is looked for only when it may matter:
// in a group that is above the limit, and everywhere when there are twice as many
// as after the last look. False if there is no room.
func (m *connlimitMatch) add(addr header.Addr, key conntrack.Tuple) bool {
	if m.count >= m.sweep {
		for a, g := range m.groups {
			if m.expire(g); len(g) == 0 {
				delete(m.groups, a)
			}
		}
		m.sweep = max(1024, 2*m.count)
	}
	g := m.groups[addr]
	if g == nil {
		g = map[conntrack.Tuple]struct{}{}
		m.groups[addr] = g
	}
	if _, there := g[key]; there {
		if uint32(len(g)) <= m.limit {
			return true
		}
		delete(g, key) // it counts also while it is not confirmed
		m.count--
	}
	if uint32(len(g)) >= m.limit {
		m.expire(g)
	}
	if m.count >= connlimitMax {
		return false
	}
	g[key] = struct{}{}
	m.count++
	return true
}

// expire forgets the connections of a group that are over.
func (m *connlimitMatch) expire(g map[conntrack.Tuple]struct{}) {
	for k := range g {
		if c, _ := m.table.Lookup(k); c == nil || tcpIsOver(c) {
			delete(g, k)
			m.count--
		}
	}
}

// tcpIsOver tells connections of TCP that are closing (Linux: already_closed).
func tcpIsOver(c *conntrack.Conn) bool {
	if c.Proto() != header.ProtoTCP {
		return false
	}
	s := c.TCPState()
	return s == conntrack.TCPTimeWait || s == conntrack.TCPClose
}

// packetTuple is the tuple of a packet that is not tracked.
func packetTuple(p *xtables.Packet) (t conntrack.Tuple, ok bool) {
	t.Src, t.Dst, t.Proto = p.Src, p.Dst, p.Proto
	if p.FragOff != 0 {
		return t, false
	}
	switch p.Proto {
	case header.ProtoTCP, header.ProtoUDP, header.ProtoUDPLite, 132, 33:
		h := p.Transport(4)
		if h == nil {
			return t, false
		}
		t.SrcPort, t.DstPort = uint16(h[0])<<8|uint16(h[1]), uint16(h[2])<<8|uint16(h[3])
	}
	return t, true
}
