package synproxy

import (
	"encoding/binary"

	"barewire/netfilter"
	"barewire/netfilter/conntrack"
	"barewire/skb"
	"barewire/skb/header"
)

// hook looks after the packets of the proxy's connections (Linux:
// ipv4_synproxy_hook).
func (x *Proxy) hook(b *skb.Buff, st *netfilter.State) netfilter.Verdict {
	c, info := conntrack.Get(b)
	if c == nil || c.Proto() != header.ProtoTCP || c.IsTemplate() || info == conntrack.Related || info == conntrack.RelatedReply {
		return netfilter.Accept
	}
	p, ok := c.SynProxy()
	if !ok || conntrack.IsLoopback(st.In) || conntrack.IsLoopback(st.Out) {
		return netfilter.Accept
	}
	var s segment
	if !s.read(b) {
		return netfilter.Drop
	}
	d, flags := info.Dir(), s.h.Flags()
	state := c.TCPState()
	if state == conntrack.TCPClose {
		if flags&header.TCPRst != 0 && d != conntrack.Original {
			// The server refuses: it says so with a number the client knows.
			c.InitSeqAdj(d, int32(p.ISN-s.h.Seq()+1))
		} else if flags&(header.TCPSyn|header.TCPAck) == header.TCPSyn && d == conntrack.Original {
			p.TSOff = 0
			c.SetSynProxy(p)
			x.Stats.ConnReopened.Add(1)
			state = conntrack.TCPSynSent
		}
	}
	switch state {
	case conntrack.TCPSynSent:
		if flags&(header.TCPSyn|header.TCPAck) == header.TCPAck && d == conntrack.Original {
			// The server has not answered yet and the client asks whether anybody
			// is there, with the number before the next (RFC 9293 section 3.8.4).
			x.Stats.CookieRetrans.Add(1)
			if !x.clientAck(&s, s.h.Seq()+1) {
				return netfilter.Drop
			}
			b.Consume()
			return netfilter.Stolen
		}
		if d == conntrack.Original {
			p.ISN = s.h.AckSeq()
			if s.opts.hasTS {
				p.ITS = s.opts.tsecr
			}
			c.SetSynProxy(p)
			c.Note(conntrack.EventSeqAdj)
		}
	case conntrack.TCPSynRecv:
		if flags&(header.TCPSyn|header.TCPAck) == header.TCPSyn|header.TCPAck {
			x.established(c, info, &s, p)
			b.Consume()
			return netfilter.Stolen
		}
	}
	if p.TSOff != 0 && !shift(&s, d, p.TSOff) {
		return netfilter.Drop
	}
	return netfilter.Accept
}

// established joins the two ends when the server has answered (Linux:
// synproxy_send_server_ack, synproxy_send_client_ack).
func (x *Proxy) established(c *conntrack.Conn, info conntrack.Info, s *segment, p conntrack.SynProxy) {
	o := options{hasTS: s.opts.hasTS, tsval: s.opts.tsecr, tsecr: s.opts.tsval}
	if o.hasTS {
		p.TSOff = s.opts.tsval - p.ITS
		c.SetSynProxy(p)
		c.Note(conntrack.EventSeqAdj)
	}
	flags := uint8(header.TCPAck)
	window := min(c.MaxWindow(conntrack.Original), 0xffff)
	x.send(s.b, nil, 0, s.flow.back(), header.TCPFields{Seq: s.h.AckSeq(), Ack: s.h.Seq() + 1, Flags: flags, Window: uint16(window)}, &o)

	c.InitSeqAdj(info.Dir(), int32(p.ISN-s.h.Seq()))
	c.Note(conntrack.EventSeqAdj)
	o.tsval, o.tsecr = o.tsecr, o.tsval
	scale := uint8(0)
	if s.opts.wscaleOK {
		scale = s.opts.wscale // a SYN-ACK's window is not scaled, those after it are
	}
	x.send(s.b, c, info, s.flow, header.TCPFields{Seq: s.h.Seq() + 1, Ack: s.h.AckSeq(), Flags: flags, Window: s.h.Window() >> scale}, &o)
}

// shift moves the server's timestamps to those the client was told, and back
// (Linux: synproxy_tstamp_adjust). False when memory ran out.
func shift(s *segment, d conntrack.Dir, off uint32) bool {
	at := -1
	s.h.EachOption(func(kind uint8, p []byte) {
		if kind == header.TCPOptTimestamp && len(p) == 8 {
			at = cap(s.h) - cap(p) // where p stands in the header
		}
	})
	if at < 0 {
		return true
	}
	if d == conntrack.Original {
		at += 4 // what it echoes
	} else {
		off = -off
	}
	ip := header.IPv4(s.b.Data())
	if !s.b.MayPull(ip.HeaderLen()+len(s.h)) || !s.b.Cow(0) {
		return false
	}
	h := header.TCP(s.b.Data()[header.IPv4(s.b.Data()).HeaderLen():][:len(s.h)])
	old := binary.BigEndian.Uint32(h[at:])
	binary.BigEndian.PutUint32(h[at:], old+off)
	if s.b.IPSummed != skb.ChecksumPartial {
		h.SetChecksum(header.CsumReplace4At(h.Checksum(), at, old, old+off))
	}
	return true
}
