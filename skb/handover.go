package skb

// HandOver makes a packet that leaves one stack for another the latter's, bytes
// and all: what happens to it from now on is counted by c, while its memory
// still goes back to where it came from. All that one stack knows about a
// packet beside its bytes is forgotten (Linux: skb_scrub_packet), but for a
// checksum that is still to be filled in. It reports false, changing nothing,
// when somebody else holds the packet too, or when it is made of packets; then
// it takes a copy.
func (b *Buff) HandOver(c *Cache) bool {
	if b.Shared() || b.page.shinfo.FragList != nil {
		return false
	}
	b.Orphan()
	b.ResetNF()
	b.cache = c
	b.CB = [6]uint64{}
	b.Dev, b.Dst = nil, nil
	b.transport, b.network, b.mac = unset, unset, unset
	b.Tstamp = 0
	b.Protocol, b.VlanTCI, b.VlanProto, b.QueueMapping = 0, 0, 0, 0
	b.Hash, b.Mark, b.Priority, b.Iif = 0, 0, 0, 0
	b.PktType, b.L4Hash, b.IgnoreDF, b.TxFlags = PacketHost, false, false, 0
	if b.IPSummed != ChecksumPartial {
		b.IPSummed, b.Csum, b.CsumLevel = ChecksumNone, 0, 0
	}
	return true
}

// Lends reports whether packets with pages of pp may be handed over to a stack
// with pages of to: a device of either must see the same memory at the same
// address, and half of pp must be free, so that a stack that does not read what
// it is given cannot starve the other.
func (pp *PagePool) Lends(to *PagePool) bool {
	if pp == to {
		return true
	}
	if pp.mapped || to.mapped {
		return false
	}
	pp.mu.Lock()
	defer pp.mu.Unlock()
	return pp.inUse <= pp.max/2
}
