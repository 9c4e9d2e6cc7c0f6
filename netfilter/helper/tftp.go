package helper

import (
	"encoding/binary"

	"barewire/netfilter"
	"barewire/netfilter/conntrack"
	"barewire/skb"
	"barewire/skb/header"
)

type tftp struct{ *Set }

// Opcodes of the requests (RFC 1350 section 5).
const (
	tftpRead  = 1
	tftpWrite = 2
)

// help expects the answer to a request: it comes from a port of the server's
// choice, to the one the request came from (Linux: tftp_help).
func (t *tftp) help(b *skb.Buff, off int, c *conntrack.Conn, info conntrack.Info) netfilter.Verdict {
	var op [2]byte
	if b.CopyBits(off+header.UDPLen, op[:]) != len(op) {
		return netfilter.Accept
	}
	if o := binary.BigEndian.Uint16(op[:]); o != tftpRead && o != tftpWrite {
		return netfilter.Accept
	}
	r := c.Tuple(conntrack.Reply)
	e := &conntrack.Expect{Master: c,
		Tuple:   conntrack.Tuple{Src: r.Src, Dst: r.Dst, DstPort: r.DstPort, Proto: conntrack.ProtoUDP},
		SrcMask: header.AddrBroadcast}
	if t.translated(c) {
		e.SavedPort, e.Dir, e.OnMatch = c.Tuple(conntrack.Original).SrcPort, conntrack.Reply, t.followMaster
	}
	if t.cfg.Table.Expect(e) != nil {
		t.cfg.Logf("nf_ct_tftp: cannot add expectation")
		return netfilter.Drop
	}
	return netfilter.Accept
}
