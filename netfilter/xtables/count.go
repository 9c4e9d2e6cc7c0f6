package xtables

import (
	"math/bits"

	"barewire/netfilter"
	"barewire/skb"
)

// Every packet counts at the rules it meets. A counter that softirqs of several
// processors add to is a cache line they wait for in turns, so that Linux has one
// for each processor. Here each softirq adds up apart what a poll counts, and the
// rules are told when the poll ends.

// countSlots is how many counters a softirq adds up at a time. Which a rule
// takes is by its number in the table: those that one packet meets mostly have one
// each. One that is taken by another rule is emptied for it.
const countSlots = 32

// counts is what one processor's softirq has counted and not told.
type counts struct {
	asked bool   // that the poll's end tells it
	used  uint32 // slots, a bit each
	slots [countSlots]count

	_ [64]byte // the next is another processor's
}

type count struct {
	c              *Counter
	packets, bytes uint64
}

// add counts a packet of n bytes.
func (k *counts) add(c *Counter, slot uint8, n int) {
	s := &k.slots[slot%countSlots]
	if s.c != c {
		k.take(s, c, slot)
	}
	s.packets++
	s.bytes += uint64(n)
}

// take empties a slot for another counter.
func (k *counts) take(s *count, c *Counter, slot uint8) {
	if s.c != nil {
		s.c.add(s.packets, s.bytes)
	}
	*s = count{c: c}
	k.used |= 1 << (slot % countSlots)
}

// countsOf returns where a packet's softirq adds up, nil if none has it: a packet
// made here may be anywhere.
func (t *Tables) countsOf(b *skb.Buff, at netfilter.Point) *counts {
	if int(b.CPU) >= len(t.counts) || at == netfilter.LocalOut || at == netfilter.PostRouting {
		return nil
	}
	k := &t.counts[b.CPU]
	if !k.asked {
		k.asked = true
		t.env.AtPollEnd(int(b.CPU))
	}
	return k
}

// CountAtPollEnd has what a poll counts told to the rules when it ends: the
// softirq of a processor asks Env.AtPollEnd once in a poll to call
// [Tables.EndPoll]. For so many processors, before packets flow.
func (t *Tables) CountAtPollEnd(cpus int) { t.counts = make([]counts, cpus) }

// EndPoll tells the rules what the poll has counted that ends on a processor.
// Softirq context of that processor.
func (t *Tables) EndPoll(cpu int) {
	k := &t.counts[cpu]
	k.asked = false
	for ; k.used != 0; k.used &= k.used - 1 {
		s := &k.slots[bits.TrailingZeros32(k.used)]
		s.c.add(s.packets, s.bytes)
		s.c = nil
	}
}

// count counts the packet at a rule or a policy.
func (p *Packet) count(c *Counter, slot uint8) {
	if k := p.walk.counts; k != nil {
		k.add(c, slot, p.B.Len())
	} else {
		c.add(1, uint64(p.B.Len()))
	}
}
