package conntrack

import (
	"time"

	"barewire/skb/header"
)

// kindOf sorts a segment by its flags.
func kindOf(flags uint8) segment {
	switch {
	case flags&header.TCPRst != 0:
		return segRst
	case flags&header.TCPSyn != 0 && flags&header.TCPAck != 0:
		return segSynAck
	case flags&header.TCPSyn != 0:
		return segSyn
	case flags&header.TCPFin != 0:
		return segFin
	case flags&header.TCPAck != 0:
		return segAck
	}
	return segNone
}

// tcpFlagsOK reports whether a combination of flags means anything (Linux:
// tcp_valid_flags); PSH, ECE and CWR do not count.
func tcpFlagsOK(f uint8) bool {
	switch f & (header.TCPFin | header.TCPSyn | header.TCPRst | header.TCPAck | header.TCPUrg) {
	case header.TCPSyn, header.TCPSyn | header.TCPUrg, header.TCPSyn | header.TCPAck,
		header.TCPRst, header.TCPRst | header.TCPAck,
		header.TCPFin | header.TCPAck, header.TCPFin | header.TCPAck | header.TCPUrg,
		header.TCPAck, header.TCPAck | header.TCPUrg:
		return true
	}
	return false
}

// tcpHeader returns the checked header (Linux: tcp_error); why says what is
// wrong.
func (t *Table) tcpHeader(p *packet) (h header.TCP, why string) {
	if !p.need(header.TCPMinLen) {
		return nil, "short packet"
	}
	n := int(p.l4[12]>>4) * 4
	if n < header.TCPMinLen || !p.need(n) {
		return nil, "truncated/malformed packet"
	}
	h = header.TCP(p.l4[:n])
	if !t.sumOK(p, p.len) {
		return nil, "bad checksum"
	}
	if !tcpFlagsOK(h.Flags()) {
		return nil, "invalid tcp flag combination"
	}
	return h, ""
}

// tcpPacket is nf_conntrack_tcp_packet.
func (t *Table) tcpPacket(c *Conn, p *packet, info Info) verdict {
	h, why := t.tcpHeader(p)
	if why != "" {
		t.invalid(p, why)
		return trackInvalid
	}
	n := p.len - len(h)
	kind, d := kindOf(h.Flags()), info.Dir()
	c.mu.Lock()
	s := &c.proto.tcp
	if !c.IsConfirmed() && !t.tcpNew(s, kind, h, n) {
		c.mu.Unlock()
		t.invalid(p, "invalid new")
		return trackInvalid
	}
	old := s.state
	next := tcpNext[d][kind][old]
	check := true
	switch next {
	case TCPSynSent:
		if old < TCPTimeWait {
			break
		}
		// RFC 9293 section 3.6.1: a SYN may open a connection in TIME_WAIT
		// again. It is a new one to us.
		if (s.seen[0].flags|s.seen[1].flags)&tcpCloseInit != 0 || s.lastDir == d && s.last == segRst {
			c.mu.Unlock()
			if t.Delete(c) {
				return trackRepeat
			}
			return trackDrop
		}
		next = tcpIgnore
	case TCPTimeWait:
		// A SYN we let through may be answered with a challenge (RFC 5961
		// section 4), which must not pass for the acknowledgment of the FIN.
		if old == TCPLastAck && kind == segAck && s.lastDir != d && s.last == segSyn && s.lastFlags&tcpChallenge != 0 {
			s.lastFlags &^= tcpChallenge
			c.mu.Unlock()
			t.invalid(p, "challenge-ack ignored")
			return trackOK
		}
	case TCPSynSent2:
		s.lastFlags |= tcpSimultaneous
	case TCPSynRecv:
		if d == Reply && kind == segAck && s.lastFlags&tcpSimultaneous != 0 {
			next = TCPEstablished
		}
	case TCPClose:
		if kind == segRst {
			var ok bool
			if next, check, ok = t.tcpReset(c, s, d, h); !ok {
				c.mu.Unlock()
				t.invalid(p, "invalid rst")
				return trackInvalid
			}
		}
	}
	switch next {
	case tcpIgnore:
		if !s.ignored(d, kind, h, n) {
			c.mu.Unlock()
			t.invalid(p, "packet ignored")
			return trackOK
		}
		old, next = TCPSynSent, TCPSynRecv
	case tcpInvalid:
		// A client that the SYN proxy answered asks again because the server has
		// not yet: the proxy wants to know.
		if m := c.seqadj.Load(); m != nil && m.proxied && old == TCPSynSent && kind == segAck && d == Original && s.lastDir == Original &&
			s.seen[Original].end-1 == h.Seq() {
			c.mu.Unlock()
			return trackOK
		}
		c.mu.Unlock()
		t.invalid(p, "packet of this kind invalid in this state")
		return trackInvalid
	}
	if check {
		switch v, why := s.window(c, d, kind, h, n); v {
		case staleSegment:
			c.mu.Unlock()
			t.invalid(p, why)
			return trackOK
		case outOfWindow:
			t.tcpOutside(c, s, d, kind, p)
			c.mu.Unlock()
			t.invalid(p, why)
			return trackInvalid
		}
	}
	s.last, s.lastDir = kind, d
	s.state = next
	if old != next && next == TCPFinWait {
		s.seen[d].flags |= tcpCloseInit
	}
	timeout := t.tcpTimeout(s, kind)
	c.mu.Unlock()
	if next != old {
		c.Note(EventProtoInfo)
	}
	switch st := c.Status(); {
	case st&SeenReply == 0:
		if kind == segRst {
			// Nobody answered but to refuse: it is over.
			c.count(p, info)
			t.Delete(c)
			return trackOK
		}
		if kind == segSyn && old == TCPSynSent {
			return trackOK // repeating a SYN does not keep it alive
		}
		if next == TCPEstablished {
			timeout = min(timeout, t.Conf.TCPTimeout[tcpUnack].Load())
		}
	case st&Assured == 0 && (old == TCPSynRecv || old == TCPEstablished) && next == TCPEstablished:
		if c.SetStatus(Assured)&Assured == 0 {
			c.Note(EventAssured)
		}
	}
	c.refresh(p, info, timeout)
	return trackOK
}

// tcpNew begins to track with a first segment (Linux: tcp_new).
func (t *Table) tcpNew(s *tcpState, kind segment, h header.TCP, n int) bool {
	next := tcpNext[Original][kind][TCPNone]
	if next > TCPSynSent2 || next != TCPSynSent && t.Conf.TCPLoose.Load() == 0 {
		return false
	}
	*s = tcpState{last: segNone}
	snd := &s.seen[Original]
	snd.end = segEnd(h, n)
	snd.maxWin = max(uint32(h.Window()), 1)
	snd.maxEnd = snd.end
	if next == TCPSynSent {
		snd.options(h)
		return true
	}
	// Picked up in the middle: the scale of the windows is not known.
	snd.maxEnd += snd.maxWin
	snd.flags = tcpSackOK | tcpLiberal
	s.seen[Reply].flags = tcpSackOK | tcpLiberal
	return true
}

// ignored notes a segment that fits no connection we know of, but may fit the
// one the two hosts have. It reports true when it is the SYN-ACK that answers a
// SYN noted before: then we take over what they know.
func (s *tcpState) ignored(d Dir, kind segment, h header.TCP, n int) (insync bool) {
	if kind == segSynAck && s.last == segSyn && s.lastDir != d && h.AckSeq() == s.lastEnd {
		o := &s.seen[s.lastDir]
		o.end, o.maxEnd = s.lastEnd, s.lastEnd
		o.maxWin = max(uint32(s.lastWin), 1)
		o.scale = s.lastWScale
		s.lastFlags &^= tcpChallenge
		o.flags = s.lastFlags
		s.seen[d] = tcpSide{flags: s.seen[d].flags & tcpLiberal}
		return true
	}
	s.last, s.lastDir = kind, d
	s.lastSeq, s.lastEnd, s.lastWin = h.Seq(), segEnd(h, n), h.Window()
	if kind == segSyn && d == Original {
		var o tcpSide
		o.options(h)
		s.lastFlags, s.lastWScale = o.flags, o.scale
		if s.state == TCPLastAck {
			s.lastFlags |= tcpChallenge
		}
	}
	if s.state == TCPSynSent && kind == segAck && d == Reply {
		s.lastAck = h.AckSeq() // may be a challenge
	}
	return false
}

// tcpReset looks at a RST (RFC 5961 section 3): one that is not exactly at the
// next sequence number keeps the connection as it is, since the receiver will
// ask back. check is false when the window does not matter; ok when it may pass.
func (t *Table) tcpReset(c *Conn, s *tcpState, d Dir, h header.TCP) (next TCPState, check, ok bool) {
	if s.nearlyOver() {
		return TCPClose, false, true // what we know may be of an older connection
	}
	next = TCPClose
	rcv := &s.seen[d.Other()]
	seq := h.Seq()
	established := s.state == TCPEstablished && c.Status()&Assured != 0
	if rcv.flags&tcpMaxAckSet != 0 && s.last != segSyn {
		if seq == 0 && !established {
			return next, true, true
		}
		if before(seq, rcv.maxAck) && t.Conf.TCPIgnRST.Load() == 0 {
			return next, true, false
		}
		if !established || seq == rcv.maxAck {
			return next, true, true
		}
		if s.last == segAck && s.lastDir == d && seq == s.lastEnd {
			return next, true, true // behind data that was sent just before
		}
		next = s.state
	}
	st := c.Status()
	if h.AckSeq() == s.lastEnd &&
		(st&SeenReply != 0 && s.last == segSyn && s.lastDir != d || st&Assured == 0 && s.last == segAck) {
		return next, false, true // refuses a segment we ignored
	}
	if s.state == TCPSynSent && s.last == segAck && s.lastDir == Reply && seq == s.lastAck {
		return next, false, true // answers a challenge we let through
	}
	return next, true, true
}

// tcpOutside keeps connections whose end we missed from living for days: a FIN or
// RST outside the window that the other side answers with another cuts the time
// (Linux: nf_tcp_handle_invalid).
func (t *Table) tcpOutside(c *Conn, s *tcpState, d Dir, kind segment, p *packet) {
	st := c.Status()
	if st&Assured == 0 || st&FixedTimeout != 0 || kind != segRst && kind != segFin {
		return
	}
	if s.lastDir == d || s.last != segFin && s.last != segRst {
		s.last, s.lastDir = kind, d
		return
	}
	left, most := c.expires.Load()-p.now, t.Conf.TCPTimeout[tcpUnack].Load()
	if left >= int64(120*time.Second) && left >= most {
		c.expires.Store(p.now + most)
	}
}

// tcpTimeout is how long the connection lives from now.
func (t *Table) tcpTimeout(s *tcpState, kind segment) int64 {
	set := &t.Conf.TCPTimeout
	own := set[s.state].Load()
	retrans := set[tcpRetrans].Load()
	switch {
	case int32(s.retrans) >= t.Conf.TCPRetrans.Load() && own > retrans:
		return retrans
	case kind == segRst:
		return set[TCPClose].Load()
	case (s.seen[0].flags|s.seen[1].flags)&tcpUnacked != 0 && own > set[tcpUnack].Load():
		return set[tcpUnack].Load()
	case s.lastWin == 0 && own > retrans:
		return retrans
	}
	return own
}

// nearlyOver reports whether both sides know that it ends (Linux:
// tcp_can_early_drop).
func (s *tcpState) nearlyOver() bool {
	switch s.state {
	case TCPFinWait, TCPLastAck, TCPTimeWait, TCPClose, TCPCloseWait:
		return true
	}
	return false
}

func (c *Conn) tcpNearlyOver() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.proto.tcp.nearlyOver()
}

// TCPState returns the state of a TCP connection.
func (c *Conn) TCPState() TCPState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.proto.tcp.state
}

// SetLiberal turns the check of windows off for a connection, as a flow table
// does that takes its packets past us (Linux: IP_CT_TCP_FLAG_BE_LIBERAL).
func (c *Conn) SetLiberal() {
	c.mu.Lock()
	c.proto.tcp.seen[0].flags |= tcpLiberal
	c.proto.tcp.seen[1].flags |= tcpLiberal
	c.mu.Unlock()
}
