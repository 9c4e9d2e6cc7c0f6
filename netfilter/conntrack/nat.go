package conntrack

// AllowsClash reports whether connections of a protocol that began at the same
// time may be taken for one (Linux: nf_conntrack_l4proto.allow_clash).
func AllowsClash(proto uint8) bool { return clashOK(proto) }

// Superseded reports whether a TCP connection is over but for its waiting, and
// the first segment of c is beyond its last, so that c may take its place (Linux:
// tcp_can_early_drop and nf_seq_has_advanced).
func (old *Conn) Superseded(c *Conn) bool {
	old.mu.Lock()
	over := old.proto.tcp.nearlyOver()
	end := old.proto.tcp.seen[Original].end
	old.mu.Unlock()
	c.mu.Lock()
	begin := c.proto.tcp.seen[Original].end
	c.mu.Unlock()
	return over && int32(begin-end) > 0
}
