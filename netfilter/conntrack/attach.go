package conntrack

import "barewire/skb"

// Attach makes a packet made here, an ICMP error or a reset, one of the
// connection of the packet it answers (Linux: nf_conntrack_attach). That need not
// be in the table yet, so the tuple would not lead to it.
func Attach(answer, b *skb.Buff) {
	c, info := Get(b)
	if c == nil || c.IsTemplate() {
		return
	}
	place := Related
	if info.Dir() == Original {
		place = RelatedReply
	}
	Set(answer, c, place)
}

// SetClosing notes that the connection of b is reset from here, so that it does
// not outlive that for long (Linux: nf_conntrack_tcp_set_closing).
func SetClosing(b *skb.Buff) {
	c, _ := Get(b)
	if c == nil || c.Proto() != ProtoTCP || c.Status()&(Confirmed|Template) != Confirmed {
		return
	}
	c.mu.Lock()
	s := &c.proto.tcp
	if s.state != TCPClose {
		s.state = TCPClose
		if c.Status()&FixedTimeout == 0 {
			c.expires.Store(c.table.now() + c.table.Conf.TCPTimeout[TCPClose].Load())
		}
	}
	c.mu.Unlock()
	c.Note(EventProtoInfo)
}
