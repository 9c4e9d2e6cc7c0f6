package xtables

// index names the rules of a chain that can match a packet.
type index struct{}

func compile([]rule) *index { return nil }

func (p *Packet) findIndexed(*chain, int) int { return -1 }
