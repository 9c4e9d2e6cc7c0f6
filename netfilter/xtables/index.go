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

// indexHead is how many rules at the start of a chain are tried before the
// index is asked: often the first of all accepts what is ESTABLISHED.
const indexHead = 4

// index is the index of one chain.
type index struct {
	nodes  []node
	groups []group
	lists  []int32 // of rule numbers: a length, then so many
	root   ref
	names  map[string]uint32 // devices of the table, from 1
	fields uint16            // those asked for
}

// ref says where to go on: in the upper two bits what it is, in the others its
// place, or for a single rule its number.
type ref uint32

const (
	refNode ref = iota << 30
	refGroup
	refList
	refSingle
	refTag ref = 3 << 30
)

// span is the numbers of the first and the last rule below something.
type span struct{ min, max int32 }

func (s *span) add(t span) { s.min, s.max = min(s.min, t.min), max(s.max, t.max) }

// child is one way on from a node.
type child struct {
	ref
	span
}

// node asks for one field.
type node struct {
	kids  []child
	all   ref // every rule below, for packets cut short; of late fields
	allIn span
	field Field
}

// group is the rules of a node that need a value under one mask.
type group struct {
	field Field
	shift uint8
	mask  uint32
	slots []slot // a power of two, at most half full
}

type slot struct {
	key uint32
	ref ref // to a node, list or single; refNode 0 is an empty slot
	span
}

func (g *group) find(key uint32) *slot {
	key &= g.mask
	for i := key * 0x9e3779b1 >> g.shift; ; i = (i + 1) & uint32(len(g.slots)-1) {
		s := &g.slots[i]
		if s.ref == 0 {
			return nil
		}
		if s.key == key {
			return s
		}
	}
}

// item is a place in the tree a packet has reached. No rule before at is below.
type item struct {
	at  int32
	ref ref
	end uint32 // of a list
}

// search is a packet's way through an index.
type search struct {
	ix     *index
	next   int // the number up to which rules have been named
	heap   []item
	keys   [numFields]uint32
	keyed  uint16 // which keys are right; cleared when the packet changes
	noPort bool
	cut    bool
}

func (s *search) push(at int32, r ref, end uint32) {
	h := append(s.heap, item{at, r, end})
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if h[up].at <= at {
			break
		}
		h[i], i = h[up], up
	}
	h[i] = item{at, r, end}
	s.heap = h
}

// sink puts it in place of the first item and restores the order.
func (s *search) sink(it item) {
	h, i := s.heap, 0
	for {
		c := 2*i + 1
		if c >= len(h) {
			break
		}
		if c+1 < len(h) && h[c+1].at < h[c].at {
			c++
		}
		if h[c].at >= it.at {
			break
		}
		h[i], i = h[c], c
	}
	h[i] = it
}

func (s *search) pop() {
	n := len(s.heap) - 1
	it := s.heap[n]
	s.heap = s.heap[:n]
	if n > 0 {
		s.sink(it)
	}
}

// add enters a place with rules of the span from next on.
func (s *search) add(r ref, sp span, next int32) {
	if sp.max < next {
		return
	}
	at := max(sp.min, next)
	if r&refTag != refList {
		s.push(at, r, 0)
		return
	}
	pos := uint32(r &^ refTag)
	end := pos + 1 + uint32(s.ix.lists[pos])
	pos++
	if sp.min < next { // the first of the list that is not behind us
		lo, hi := pos, end
		for lo < hi {
			if m := (lo + hi) / 2; s.ix.lists[m] < next {
				lo = m + 1
			} else {
				hi = m
			}
		}
		pos, at = lo, s.ix.lists[lo]
	}
	s.push(at, refList|ref(pos), end)
}

// findIndexed is find by the index.
func (p *Packet) findIndexed(c *chain, next int) int {
	for ; next < indexHead; next++ {
		if c.rules[next].match(p) {
			return next
		}
		if p.Hotdrop {
			return -1
		}
	}
	ix, s := c.index, &p.walk.search
	if s.ix != ix || s.next != next || s.keyed&ix.fields != ix.fields {
		s.ix, s.heap = ix, s.heap[:0]
		p.keys(ix)
		s.add(ix.root, span{indexHead, int32(len(c.rules) - 1)}, int32(next))
	}
	for len(s.heap) > 0 {
		it := s.heap[0]
		switch it.ref & refTag {
		case refNode:
			s.pop()
			n := &ix.nodes[it.ref]
			switch late := n.field >= FieldSport; {
			case late && s.cut && (n.field == FieldMark || !s.noPort):
				s.add(n.all, n.allIn, int32(next))
			default:
				for i := range n.kids {
					s.add(n.kids[i].ref, n.kids[i].span, int32(next))
				}
			}
		case refGroup:
			s.pop()
			g := &ix.groups[it.ref&^refTag]
			if s.noPort && (g.field == FieldSport || g.field == FieldDport) {
				continue
			}
			if sl := g.find(s.keys[g.field]); sl != nil {
				s.add(sl.ref, sl.span, int32(next))
			}
		default:
			if pos := uint32(it.ref&^refTag) + 1; it.ref&refTag == refList && pos < it.end {
				s.sink(item{ix.lists[pos], refList | ref(pos), it.end})
			} else {
				s.pop()
			}
			i := int(it.at)
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
	}
	s.ix = nil
	return -1
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
		k[FieldIn] = ix.names[p.In]
	}
	if need&(1<<FieldOut) != 0 {
		k[FieldOut] = ix.names[p.Out]
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
