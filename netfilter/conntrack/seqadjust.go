package conntrack

import (
	"encoding/binary"

	"barewire/skb"
	"barewire/skb/header"
)

// adjustSeq moves the sequence numbers of a segment of a connection whose
// payload a helper made longer or shorter: its own, the acknowledgment and the
// SACK blocks (Linux: nf_ct_seq_adjust). off is where the TCP header begins from
// Data. False when the segment is malformed or memory ran out.
func (c *Conn) adjustSeq(b *skb.Buff, off int, info Info) bool {
	s := c.seqadj.Load()
	if s == nil {
		return true
	}
	if !b.MayPull(off+header.TCPMinLen) || !b.Cow(0) {
		return false
	}
	h := header.TCP(b.Data()[off:])
	n := h.HeaderLen()
	if n < header.TCPMinLen || !b.MayPull(off+n) {
		return false
	}
	h = header.TCP(b.Data()[off : off+n])
	c.mu.Lock()
	defer c.mu.Unlock()
	a := adjuster{h, b.IPSummed == skb.ChecksumPartial, info.Dir(), &s.adj}
	a.put(4, h.Seq()+uint32(s.adj.offset(a.dir, h.Seq())))
	if h.Flags()&header.TCPAck == 0 {
		return true
	}
	a.put(8, a.back(h.AckSeq()))
	a.sack()
	return true
}

// adjuster is a segment being adjusted.
type adjuster struct {
	h       header.TCP
	partial bool // the checksum is still to be made
	dir     Dir
	s       *SeqAdj
}

// put replaces the word at an offset in the header, checksum included. An option
// may stand at an odd place, where its bytes count in the other order.
func (a *adjuster) put(at int, v uint32) {
	old := binary.BigEndian.Uint32(a.h[at:])
	binary.BigEndian.PutUint32(a.h[at:], v)
	if a.partial {
		return
	}
	a.h.SetChecksum(header.CsumReplace4At(a.h.Checksum(), at, old, v))
}

// back returns what the other end sent when this one acknowledges seq, which it
// received moved.
func (a *adjuster) back(seq uint32) uint32 {
	w := &a.s[a.dir.Other()]
	if int32(seq-uint32(w.Before)-w.Pos) > 0 {
		return seq - uint32(w.After)
	}
	return seq - uint32(w.Before)
}

// sack adjusts the edges of the SACK blocks (RFC 2018; Linux:
// nf_ct_sack_adjust). Options behind a malformed one are not looked at.
func (a *adjuster) sack() {
	for i := header.TCPMinLen; i < len(a.h); {
		switch a.h[i] {
		case header.TCPOptEOL:
			return
		case header.TCPOptNOP:
			i++
			continue
		}
		if i+1 >= len(a.h) {
			return
		}
		n := int(a.h[i+1])
		if n < 2 || i+n > len(a.h) {
			return
		}
		if a.h[i] == header.TCPOptSACK && (n-2)%8 == 0 {
			for j := i + 2; j < i+n; j += 4 {
				a.put(j, a.back(binary.BigEndian.Uint32(a.h[j:])))
			}
		}
		i += n
	}
}
