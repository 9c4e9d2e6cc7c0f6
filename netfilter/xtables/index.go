package xtables

import (
	"encoding/binary"

	"barewire/skb/header"
)

// The compiled index of a chain is a tree that names, in order, the rules a
// packet can match. Each inner node asks for one field. Rules that need a value
// of the field are found through hash tables, one for each mask that occurs;
// rules that do not care hang below the node's rest. A packet so meets a few
// lists of rules, which are merged by number as they are read; each rule named
// is then tried as the walk would. What the index leaves out could not match,
// so that verdict, counters and side effects are those of the walk.
//
// Ranges of ports and addresses are prefixes to it, several for a range. Rules
// are told apart by fields only up to their first match with a side effect:
// behind that, trying the rule is itself the effect.
//
// A packet whose transport header is cut short is dropped by the first match
// that wants to read it. For it the nodes that ask for ports or mark lead to
// all their rules.

// headMax is how many rules at the start of a chain may be tried before the
// index is asked: often the first of all accepts what is ESTABLISHED. They end
// where the first rule stands that asks for an address or a port.
const headMax = 8

// index is the index of one chain.
type index struct {
	nodes  []node
	slots  []slot   // of all groups
	bits   []uint64 // likewise
	lists  []int32  // of rule numbers: a length, then so many
	root   ref
	head   int // so many rules are tried first
	names  *names
	fields uint16 // those asked for
}

// ref says where to go on: in the upper two bits what it is, in the others its
// place, or for a single rule its number. 0 is nowhere.
type ref uint32

const (
	refNode ref = iota << 30
	refList
	refSingle
	refTag ref = 3 << 30
)

// node asks for one field.
type node struct {
	groups []group
	last   int32 // the number of the last rule below
	rest   ref   // the rules that do not care
	all    ref   // every rule below, for packets cut short; of late fields
	field  Field
}

// group is the rules of a node that need a value under one mask. Most values
// are in no rule: bits, one for each of many hashes, tell that from little
// memory.
type group struct {
	mask      uint32
	bits      uint32 // where in index.bits its words begin
	bitsShift uint8  // of the hash, for the bit
	shift     uint8  // for the slot
	slots     uint32 // where in index.slots it begins
	slotMask  uint32 // their number, a power of two, less one
}

type slot struct {
	key  uint32
	ref  ref
	last int32 // the number of the last rule below
}

const golden = 0x9e3779b1 // spreads keys over the upper bits

// find returns the slot of a masked key that the bits allow, by its hash: an
// empty one if they were wrong.
func (ix *index) find(g *group, key, h uint32) *slot {
	for i := h >> g.shift; ; i++ {
		s := &ix.slots[g.slots+i&g.slotMask]
		if s.key == key || s.ref == 0 {
			return s
		}
	}
}

// cursor is a list of rules the packet can match, from number at on.
type cursor struct {
	at       int32
	pos, end uint32 // what follows in index.lists
}

// search is a packet's way through an index.
type search struct {
	ix      *index
	next    int      // the number up to which rules have been named
	cursors []cursor // a heap by number
	keys    [numFields]uint32
	keyed   uint16 // which keys are right; cleared when the packet changes
	noPort  bool
	cut     bool
}

func (s *search) push(c cursor) {
	h := append(s.cursors, c)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if h[up].at <= c.at {
			break
		}
		h[i], i = h[up], up
	}
	h[i] = c
	s.cursors = h
}

// step moves the first cursor on, and restores the order.
func (s *search) step() {
	h := s.cursors
	c := h[0]
	if c.pos < c.end {
		c.at = s.ix.lists[c.pos]
		c.pos++
	} else {
		n := len(h) - 1
		c = h[n]
		h = h[:n]
		s.cursors = h
		if n == 0 {
			return
		}
	}
	i := 0
	for {
		k := 2*i + 1
		if k >= len(h) {
			break
		}
		if k+1 < len(h) && h[k+1].at < h[k].at {
			k++
		}
		if h[k].at >= c.at {
			break
		}
		h[i], i = h[k], k
	}
	h[i] = c
}

// collect enters the lists below r that have rules from next on.
func (s *search) collect(r ref, next int32) {
	for r != 0 {
		switch r & refTag {
		case refSingle:
			if at := int32(r &^ refTag); at >= next {
				s.push(cursor{at: at})
			}
			return
		case refList:
			s.list(uint32(r&^refTag), next)
			return
		}
		n := &s.ix.nodes[r]
		if n.last < next {
			return
		}
		if n.field >= FieldSport {
			if s.cut && (n.field == FieldMark || !s.noPort) {
				r = n.all
				continue
			}
			if s.noPort && n.field != FieldMark {
				r = n.rest
				continue
			}
		}
		key, bits := s.keys[n.field], s.ix.bits
		for i := range n.groups {
			g := &n.groups[i]
			k := key & g.mask
			h := k * golden
			b := h >> g.bitsShift
			if bits[g.bits+b/64]>>(b%64)&1 == 0 {
				continue
			}
			if sl := s.ix.find(g, k, h); sl.ref != 0 && sl.last >= next {
				s.collect(sl.ref, next)
			}
		}
		r = n.rest
	}
}

func (s *search) list(pos uint32, next int32) {
	l := s.ix.lists
	end := pos + 1 + uint32(l[pos])
	pos++
	if l[end-1] < next {
		return
	}
	if l[pos] < next { // the first that is not behind us
		lo, hi := pos, end
		for lo < hi {
			if m := (lo + hi) / 2; l[m] < next {
				lo = m + 1
			} else {
				hi = m
			}
		}
		pos = lo
	}
	s.push(cursor{l[pos], pos + 1, end})
}

// findIndexed is find by the index.
func (p *Packet) findIndexed(c *chain, next int) int {
	ix, s := c.index, &p.walk.search
	for ; next < ix.head; next++ {
		if c.rules[next].match(p) {
			return next
		}
		if p.Hotdrop {
			return -1
		}
	}
	if s.ix != ix || s.next != next || s.keyed&ix.fields != ix.fields {
		s.ix, s.cursors = ix, s.cursors[:0]
		p.keys(ix)
		s.collect(ix.root, int32(next))
	}
	for len(s.cursors) > 0 {
		i := int(s.cursors[0].at)
		s.step()
		if i < next {
			continue // named twice
		}
		next = i + 1
		if c.rules[i].match(p) {
			s.next = next
			return i
		}
		if p.Hotdrop {
			return -1
		}
	}
	s.ix = nil
	return -1
}

// names are the devices rules of a table name, by numbers from 1.
type names struct {
	byName map[string]uint32
	few    []string // in order of numbers, while there are few
}

const fewNames = 8

func (n *names) add(name string) uint32 {
	id, ok := n.byName[name]
	if !ok {
		id = uint32(len(n.byName) + 1)
		n.byName[name] = id
		n.few = append(n.few, name)
	}
	return id
}

// id returns the number of a device, 0 for one that no rule names.
func (n *names) id(name string) uint32 {
	if len(n.few) > fewNames {
		return n.byName[name]
	}
	for i := range n.few {
		if n.few[i] == name {
			return uint32(i + 1)
		}
	}
	return 0
}

// keys reads the fields an index asks for from the packet.
func (p *Packet) keys(ix *index) {
	s := &p.walk.search
	need := ix.fields &^ s.keyed
	if need == 0 {
		return
	}
	s.keyed |= ix.fields
	k := &s.keys
	k[FieldSrc], k[FieldDst], k[FieldProto], k[FieldMark] = uint32(p.Src), uint32(p.Dst), uint32(p.Proto), p.B.Mark
	if need&(1<<FieldIn) != 0 {
		k[FieldIn] = ix.names.id(p.In)
	}
	if need&(1<<FieldOut) != 0 {
		k[FieldOut] = ix.names.id(p.Out)
	}
	if need&(1<<FieldSport|1<<FieldDport|1<<FieldMark) != 0 {
		p.portKeys(s)
	}
}

// portKeys reads the ports, and sees whether the transport header is cut short
// as a match that reads it would.
func (p *Packet) portKeys(s *search) {
	s.noPort, s.cut = false, false
	n := 16
	switch p.Proto {
	case header.ProtoTCP:
		n = header.TCPMinLen
	case header.ProtoUDP, header.ProtoUDPLite:
		n = header.UDPLen
	case protoSCTP, protoDCCP:
	case header.ProtoICMP:
		n, s.noPort = header.ICMPLen, true
	default:
		s.noPort = true
	}
	if p.FragOff != 0 {
		// No match looks into a later fragment, but tcp refuses the second one.
		s.cut = p.FragOff == 1 && p.Proto == header.ProtoTCP
		s.noPort = s.noPort || !s.cut
		return
	}
	h := p.Transport(n)
	if h == nil {
		s.cut = true
		return
	}
	if !s.noPort {
		s.keys[FieldSport] = uint32(binary.BigEndian.Uint16(h))
		s.keys[FieldDport] = uint32(binary.BigEndian.Uint16(h[2:]))
	}
	if p.Proto == header.ProtoTCP {
		l := header.TCP(h).HeaderLen()
		s.cut = l < header.TCPMinLen || p.Off+l > p.B.Len()
	}
}

// Protocols with ports that the wire formats do not know.
const (
	protoDCCP = 33
	protoSCTP = 132
)
