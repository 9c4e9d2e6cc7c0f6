package conntrack

import "encoding/binary"

const grePPP = 0x880b

// greKeys fills in the tuple of a GRE packet (Linux: gre_pkt_to_tuple): only
// version 1, which PPTP uses, has something to tell connections by (RFC 2637
// section 4.1).
func (p *packet) greKeys() bool {
	if !p.need(4) || p.l4[1]&7 != 1 {
		return true
	}
	if !p.need(8) {
		return true
	}
	if binary.BigEndian.Uint16(p.l4[2:]) != grePPP {
		return false
	}
	p.tuple.DstPort = binary.BigEndian.Uint16(p.l4[6:]) // the call ID
	return true
}

// grePacket is nf_conntrack_gre_packet.
func (t *Table) grePacket(c *Conn, p *packet, info Info) verdict {
	st := c.Status()
	if st&SeenReply == 0 {
		c.refresh(p, info, t.Conf.GRETimeout.Load())
		return trackOK
	}
	c.refresh(p, info, t.Conf.GREStream.Load())
	if st&(NATClash|Assured) == 0 && c.SetStatus(Assured)&Assured == 0 {
		c.Note(EventAssured)
	}
	return trackOK
}
