package helper

import (
	"fmt"

	"barewire/netfilter"
	"barewire/netfilter/conntrack"
	"barewire/netfilter/nat"
	"barewire/skb"
	"barewire/skb/header"
)

type ftp struct{ *Set }

// help looks at a segment of a control connection (Linux: help of
// nf_conntrack_ftp.c).
func (f *ftp) help(b *skb.Buff, off int, c *conntrack.Conn, info conntrack.Info) netfilter.Verdict {
	if info != conntrack.Established && info != conntrack.EstablishedReply {
		return netfilter.Accept
	}
	if !b.Linearize() {
		return netfilter.Drop
	}
	th, ok := header.ParseTCP(b.Data()[off:])
	if !ok {
		return netfilter.Accept
	}
	data := b.Data()[off+th.HeaderLen():]
	if len(data) == 0 {
		return netfilter.Accept
	}
	d := info.Dir()
	help := c.Help()
	next := th.Seq() + uint32(len(data))
	ends := data[len(data)-1] == '\n'
	v := netfilter.Accept
	if f.atLine(c, help, d, th.Seq()) {
		v = f.line(b, off, data, c, d)
	}
	if ends && v == netfilter.Accept {
		f.noteLine(c, help, d, next)
	}
	return v
}

// What follows a line's end is remembered twice for each direction, since the
// last segment may come again: Help.Data[dir] holds two sequence numbers, the
// next word how many there are in each direction.
const known = 2

func lines(help *conntrack.Help, d conntrack.Dir) (a [2]uint32, n int) {
	w := help.Data[d]
	return [2]uint32{uint32(w), uint32(w >> 32)}, int(help.Data[known] >> (8 * d) & 3)
}

// atLine reports whether a segment begins a line (Linux: find_nl_seq).
func (f *ftp) atLine(c *conntrack.Conn, help *conntrack.Help, d conntrack.Dir, seq uint32) bool {
	c.Lock()
	defer c.Unlock()
	a, n := lines(help, d)
	return n > 0 && a[0] == seq || n > 1 && a[1] == seq
}

// noteLine notes where a line begins (Linux: update_nl_seq).
func (f *ftp) noteLine(c *conntrack.Conn, help *conntrack.Help, d conntrack.Dir, seq uint32) {
	c.Lock()
	defer c.Unlock()
	a, n := lines(help, d)
	if n > 0 && a[0] == seq || n > 1 && a[1] == seq {
		return
	}
	switch {
	case n < 2:
		a[n] = seq
		help.Data[known] += 1 << (8 * d)
	case int32(a[0]-a[1]) < 0:
		a[0] = seq
	default:
		a[1] = seq
	}
	help.Data[d] = uint64(a[1])<<32 | uint64(a[0])
}

// line looks at the start of a line, expects what it announces, and translates
// it.
func (f *ftp) line(b *skb.Buff, off int, data []byte, c *conntrack.Conn, d conntrack.Dir) netfilter.Verdict {
	own := c.Tuple(d)
	p := parseFTP(data, d, own.Src)
	switch p.found {
	case absent:
		return netfilter.Accept
	case partial:
		// Tracking would lose what follows; the sender will repeat it whole.
		f.cfg.Logf("nf_ct_ftp: partial matching of `%s'", p.pattern)
		return netfilter.Drop
	}
	other := c.Tuple(d.Other())
	dst := other.Dst
	if p.addr != own.Src {
		// Somebody else's address: connections to third hosts can open holes
		// (the bounce attack, RFC 2577 section 3).
		if f.Loose.Load() == 0 {
			return netfilter.Accept
		}
		dst = p.addr
	}
	e := &conntrack.Expect{Master: c,
		Tuple:   conntrack.Tuple{Src: other.Src, Dst: dst, DstPort: p.port, Proto: conntrack.ProtoTCP},
		SrcMask: header.AddrBroadcast}
	if !f.translated(c) {
		if f.cfg.Table.Expect(e) != nil {
			return netfilter.Drop
		}
		return netfilter.Accept
	}
	e.SavedPort, e.Dir, e.OnMatch = p.port, d.Other(), f.followMaster
	port := f.expectAt(e, p.port)
	if port == 0 {
		f.cfg.Logf("nf_nat_ftp: all ports in use")
		return netfilter.Drop
	}
	// The data connection goes where this packet does.
	if !nat.MangleTCP(b, off, c, d, p.at, p.len, p.kind.format(other.Dst, port)) {
		f.cfg.Table.Unexpect(e)
		return netfilter.Drop
	}
	return netfilter.Accept
}

// format writes an address and port the way a command or answer has them
// (Linux: nf_nat_ftp_fmt_cmd).
func (k ftpKind) format(a header.Addr, port uint16) []byte {
	switch k {
	case ftpEPRT:
		return fmt.Appendf(nil, "|1|%v|%d|", a, port)
	case ftpEPSV:
		return fmt.Appendf(nil, "|||%d|", port)
	}
	q := a.As4()
	return fmt.Appendf(nil, "%d,%d,%d,%d,%d,%d", q[0], q[1], q[2], q[3], port>>8, port&0xff)
}
