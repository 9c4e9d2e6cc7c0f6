package xtables

import (
	"cmp"
	"math/bits"
	"slices"
)

// Limits of an index.
const (
	indexMin   = 16 // shorter chains are walked
	leafMax    = 6  // so few rules are tried one after the other
	masksMax   = 40 // hash tables of a node
	prefixMax  = 64 // entries of one rule in the tables of a node
	entriesPer = 12 // entries of a node's tables for a rule, on average
)

// needs is what a rule needs of the fields; none of a field: anything.
type needs [numFields][]Constraint

// compiler makes the indexes of a table.
type compiler struct {
	names *names
	ix    *index
	rules []needs // by number
}

// compile makes the index of a chain, nil if it is not worth it.
func (cp *compiler) compile(rules []rule) *index {
	if len(rules) < indexMin {
		return nil
	}
	cp.ix = &index{names: cp.names, nodes: make([]node, 1), lists: []int32{0}}
	cp.rules = make([]needs, len(rules))
	const narrow = 1<<FieldSrc | 1<<FieldDst | 1<<FieldSport | 1<<FieldDport
	var avail uint16
	inHead := true
	list := make([]int32, 0, len(rules))
	for i := range rules {
		n := &cp.rules[i]
		cp.harvest(&rules[i], n)
		var has uint16
		for f := range n {
			if n[f] != nil {
				has |= 1 << f
			}
		}
		if inHead = inHead && i < headMax && has&narrow == 0; inHead {
			cp.ix.head = i + 1
			continue
		}
		avail |= has
		list = append(list, int32(i))
	}
	cp.ix.root = cp.build(list, avail)
	cp.rules = nil
	if cp.ix.fields == 0 {
		return nil // nothing to tell them apart by
	}
	return cp.ix
}

// exact is the constraint to one value.
func exact(v uint32) []Constraint { return []Constraint{{^uint32(0), v, v}} }

// harvest collects what a rule needs.
func (cp *compiler) harvest(r *rule, n *needs) {
	e := &r.entry
	if e.srcMask != 0 && e.inv&InvSrc == 0 {
		n[FieldSrc] = []Constraint{{uint32(e.srcMask), uint32(e.src), 0}}
	}
	if e.dstMask != 0 && e.inv&InvDst == 0 {
		n[FieldDst] = []Constraint{{uint32(e.dstMask), uint32(e.dst), 0}}
	}
	if e.test&testProto != 0 && e.inv&InvProto == 0 {
		n[FieldProto] = exact(uint32(e.proto))
	}
	dev := func(f Field, name string, has bool) {
		if !has {
			return
		}
		n[f] = exact(cp.names.add(name))
	}
	dev(FieldIn, e.in, e.test&(testIn|testInPrefix) == testIn && e.inv&InvIn == 0)
	dev(FieldOut, e.out, e.test&(testOut|testOutPrefix) == testOut && e.inv&InvOut == 0)
	// Behind a match that may drop a packet cut short, only what such packets are
	// led past counts: the late fields.
	early := true
	for _, m := range r.matches {
		if _, ok := m.(Pure); !ok {
			return
		}
		reads := true // the transport header, for all we know
		if c, ok := m.(Constrainer); ok {
			c.Constrain(func(f Field, any ...Constraint) {
				reads = f == FieldSport || f == FieldDport
				if n[f] == nil && (early || f >= FieldSport) { // two on one field: the first is enough
					n[f] = prefixes(any)
				}
			})
		}
		early = early && !reads
	}
}

// prefixes turns ranges into prefixes. nil, for anything, if there are too many.
func prefixes(l []Constraint) []Constraint {
	var out []Constraint
	for _, c := range l {
		if c.Mask != 0 {
			out = append(out, Constraint{c.Mask, c.Lo & c.Mask, 0})
			continue
		}
		for lo, hi := uint64(c.Lo), uint64(c.Hi); lo <= hi; {
			// The largest block that begins at lo and ends within the range.
			n := min(bits.TrailingZeros64(lo|1<<32), bits.Len64(hi-lo+1)-1)
			if n >= 32 {
				return nil
			}
			out = append(out, Constraint{^uint32(0) << n, uint32(lo), 0})
			lo += 1 << n
		}
	}
	if len(out) > prefixMax {
		return nil
	}
	return out
}

// entry of a node's tables being made.
type keyed struct {
	mask, key uint32
	rule      int32
}

// build makes the tree of a list of rules, which may be told apart by the fields
// of avail.
func (cp *compiler) build(list []int32, avail uint16) ref {
	if len(list) == 1 {
		return refSingle | ref(list[0])
	}
	best, bestCost := numFields, 0.8*float64(len(list))
	if len(list) > leafMax {
		for f := Field(0); f < numFields; f++ {
			if avail&(1<<f) == 0 {
				continue
			}
			if c := cp.cost(list, f); c < bestCost {
				best, bestCost = f, c
			}
		}
	}
	if best == numFields {
		return cp.leaf(list)
	}
	return cp.split(list, best, avail&^(1<<best))
}

func (cp *compiler) leaf(list []int32) ref {
	at := len(cp.ix.lists)
	cp.ix.lists = append(append(cp.ix.lists, int32(len(list))), list...)
	return refList | ref(at)
}

// entries returns what list needs of f, in order of mask, key and rule, and the
// rules without need.
func (cp *compiler) entries(list []int32, f Field) (l []keyed, rest []int32) {
	for _, i := range list {
		n := cp.rules[i][f]
		if n == nil || len(n) > entriesPer && len(l)+len(n) > entriesPer*len(list) {
			rest = append(rest, i)
			continue
		}
		for _, c := range n {
			l = append(l, keyed{c.Mask, c.Lo, i})
		}
	}
	slices.SortFunc(l, func(a, b keyed) int {
		return cmp.Or(cmp.Compare(b.mask, a.mask), cmp.Compare(a.key, b.key), cmp.Compare(a.rule, b.rule))
	})
	return slices.Compact(l), rest
}

// cost estimates how many rules a packet meets below a node that asks for f.
func (cp *compiler) cost(list []int32, f Field) float64 {
	l, rest := cp.entries(list, f)
	if len(l) == 0 {
		return float64(len(list))
	}
	masks, squares := 0, 0.0
	for i := 0; i < len(l); {
		if i == 0 || l[i].mask != l[i-1].mask {
			masks++
		}
		n := run(l[i:])
		squares += float64(n) * float64(n)
		i += n
	}
	return float64(len(rest)) + squares/float64(len(l)) + 0.5*float64(masks)
}

// run returns how many entries at the start of l have the same mask and key.
func run(l []keyed) int {
	n := 1
	for n < len(l) && l[n].mask == l[0].mask && l[n].key == l[0].key {
		n++
	}
	return n
}

// split makes a node that asks for f.
func (cp *compiler) split(list []int32, f Field, avail uint16) ref {
	cp.ix.fields |= 1 << f
	l, rest := cp.entries(list, f)
	n := node{field: f, last: list[len(list)-1]}
	if f >= FieldSport {
		n.all = cp.leaf(list)
	}
	for len(l) > 0 {
		end := 1
		for end < len(l) && l[end].mask == l[0].mask {
			end++
		}
		if len(n.groups) == masksMax-1 && end < len(l) {
			for _, k := range l { // the last masks are not worth a table
				rest = append(rest, k.rule)
			}
			break
		}
		n.groups = append(n.groups, cp.group(l[:end], avail))
		l = l[end:]
	}
	if len(rest) > 0 {
		slices.Sort(rest)
		n.rest = cp.build(slices.Compact(rest), avail)
	}
	cp.ix.nodes = append(cp.ix.nodes, n)
	return refNode | ref(len(cp.ix.nodes)-1)
}

// group makes the hash table of the entries l, which have one mask.
func (cp *compiler) group(l []keyed, avail uint16) group {
	keys := 0
	for i := 0; i < len(l); i += run(l[i:]) {
		keys++
	}
	size := bits.Len(uint(2*keys - 1))
	bitSize := max(size+3, 6)
	g := group{mask: l[0].mask, shift: uint8(32 - size), slotMask: 1<<size - 1, slots: uint32(len(cp.ix.slots)),
		bitsShift: uint8(32 - bitSize), bits: uint32(len(cp.ix.bits))}
	cp.ix.slots = append(cp.ix.slots, make([]slot, 1<<size)...)
	cp.ix.bits = append(cp.ix.bits, make([]uint64, 1<<(bitSize-6))...)
	for len(l) > 0 {
		n := run(l)
		list := make([]int32, n)
		for i := range list {
			list[i] = l[i].rule
		}
		r := cp.build(list, avail) // before the slot, which it may move
		h := l[0].key * golden
		b := h >> g.bitsShift
		cp.ix.bits[g.bits+b/64] |= 1 << (b % 64)
		slots := cp.ix.slots[g.slots : g.slots+g.slotMask+1]
		i := h >> g.shift
		for slots[i].ref != 0 {
			i = (i + 1) & g.slotMask
		}
		slots[i] = slot{l[0].key, r, list[n-1]}
		l = l[n:]
	}
	return g
}
