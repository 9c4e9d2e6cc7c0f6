package conntrack

import (
	"encoding/binary"

	"barewire/skb/header"
)

// Flags of a side of a TCP connection (Linux: IP_CT_TCP_FLAG_*). The values are
// those of ctnetlink.
const (
	tcpWScale       = 1 << iota // the window scale option was seen
	tcpSackOK                   // the side permits SACK
	tcpCloseInit                // it sent the first FIN
	tcpLiberal                  // its windows are not checked
	tcpUnacked                  // data of it is not acknowledged
	tcpMaxAckSet                // maxAck holds something
	tcpChallenge                // last: a challenge ACK may come
	tcpSimultaneous             // last: both sent a SYN
)

// tcpSide is what one side sent (Linux: struct ip_ct_tcp_state).
type tcpSide struct {
	end    uint32 // highest sequence number sent, plus one
	maxEnd uint32 // the peer allows up to here
	maxWin uint32 // largest window it announced
	maxAck uint32 // highest acknowledgment it sent
	scale  uint8
	flags  uint8
}

// tcpState is what is known of a TCP connection (Linux: struct ip_ct_tcp).
type tcpState struct {
	seen  [NumDirs]tcpSide
	state TCPState

	// The last segment that counted.
	lastDir    Dir
	retrans    uint8 // times it was repeated
	last       segment
	lastSeq    uint32
	lastAck    uint32
	lastEnd    uint32
	lastWin    uint16
	lastWScale uint8
	lastFlags  uint8
}

// maxAckWindow is how far behind an acknowledgment may be at least (Linux:
// MAXACKWINCONST).
const maxAckWindow = 66000

func before(a, b uint32) bool { return int32(a-b) < 0 }
func after(a, b uint32) bool  { return before(b, a) } // of numbers half the circle apart both hold, as in Linux

// segEnd returns the sequence number behind a segment; n is its payload.
func segEnd(h header.TCP, n int) uint32 {
	end := h.Seq() + uint32(n)
	if h.Flags()&header.TCPSyn != 0 {
		end++
	}
	if h.Flags()&header.TCPFin != 0 {
		end++
	}
	return end
}

// options takes window scale and SACK from a SYN (Linux: tcp_options). One
// without any options leaves what an earlier one said.
func (s *tcpSide) options(h header.TCP) {
	if len(h) == header.TCPMinLen {
		return
	}
	s.scale = 0
	s.flags &= tcpLiberal
	h.EachOption(func(kind uint8, p []byte) {
		switch {
		case kind == header.TCPOptSACKOK && len(p) == 0:
			s.flags |= tcpSackOK
		case kind == header.TCPOptWScale && len(p) == 1:
			s.scale = min(p[0], 14)
			s.flags |= tcpWScale
		}
	})
}

// sackEnd returns the highest sequence number a segment acknowledges, that of
// its SACK blocks included (Linux: tcp_sack).
func sackEnd(h header.TCP, ack uint32) uint32 {
	h.EachOption(func(kind uint8, p []byte) {
		if kind != header.TCPOptSACK || len(p) < 8 || len(p)%8 != 0 {
			return
		}
		for ; len(p) > 0; p = p[8:] {
			if e := binary.BigEndian.Uint32(p[4:]); after(e, ack) {
				ack = e
			}
		}
	})
	return ack
}

// initSender begins with a side's SYN (Linux: tcp_init_sender).
func (s *tcpState) initSender(d Dir, h header.TCP, end, win uint32) {
	snd, rcv := &s.seen[d], &s.seen[d.Other()]
	snd.end, snd.maxEnd = end, end
	snd.maxWin = max(win, 1)
	snd.options(h)
	// RFC 7323 section 2.2: scaling holds only when both sides have the option.
	if d == Reply && snd.flags&rcv.flags&tcpWScale == 0 {
		snd.scale, rcv.scale = 0, 0
	}
}

// windowVerdict is what the window says of a segment.
type windowVerdict uint8

const (
	inWindow windowVerdict = iota
	outOfWindow
	staleSegment // an old duplicate, or a little too much: it passes and changes nothing
)

// window checks a segment against what both sides sent and allowed, and notes
// what it adds (Linux: tcp_in_window; Guido van Rooij, Real Stateful TCP Packet
// Filtering in IP Filter). n is its payload in bytes. why is the reason for a
// refusal.
func (s *tcpState) window(c *Conn, d Dir, kind segment, h header.TCP, n int) (v windowVerdict, why string) {
	snd, rcv := &s.seen[d], &s.seen[d.Other()]
	seq, ack, rawWin := h.Seq(), h.AckSeq(), h.Window()
	win, end, flags := uint32(rawWin), segEnd(h, n), h.Flags()
	sack := ack
	if rcv.flags&tcpSackOK != 0 && len(h) > header.TCPMinLen {
		sack = sackEnd(h, ack)
	}
	if adj := c.seqadj.Load(); adj != nil {
		off := uint32(adj.adj.offset(d.Other(), ack-1))
		ack -= off
		sack -= off
	}
	syn := flags&header.TCPSyn != 0
	switch {
	case snd.maxWin == 0 && syn:
		s.initSender(d, h, end, win)
		if flags&header.TCPAck == 0 {
			return inWindow, "" // simultaneous open
		}
	case snd.maxWin == 0:
		// In the middle of a connection: the packet is all we know.
		snd.end = end
		snd.maxWin = max(win<<snd.scale, 1)
		snd.maxEnd = end + snd.maxWin
		if rcv.maxWin == 0 {
			rcv.end, rcv.maxEnd = sack, sack
		} else if sack == rcv.end+1 {
			rcv.end++ // answers a keep-alive
		}
	case syn && after(end, snd.end) && (s.state == TCPSynSent || s.state == TCPSynRecv):
		// RFC 9293 section 3.4: a new incarnation begins above the old one.
		s.initSender(d, h, end, win)
		if d == Reply && flags&header.TCPAck == 0 {
			return inWindow, ""
		}
	}
	if flags&header.TCPAck == 0 || flags&header.TCPRst != 0 && ack == 0 {
		ack, sack = rcv.end, rcv.end
	}
	if flags&header.TCPRst != 0 && seq == 0 && s.state == TCPSynSent {
		seq, end = snd.end, snd.end // answers a SYN
	}
	if v, why := s.bounds(c, d, seq, end, sack); why != "" {
		if snd.flags&tcpLiberal != 0 || c.table.Conf.TCPLiberal.Load() != 0 {
			return inWindow, ""
		}
		return v, why
	}
	if !syn {
		win <<= snd.scale
	}
	snd.maxWin = max(snd.maxWin, win+sack-ack)
	if after(end, snd.end) {
		snd.end = end
		snd.flags |= tcpUnacked
	}
	if flags&header.TCPAck != 0 && (snd.flags&tcpMaxAckSet == 0 || after(ack, snd.maxAck)) {
		snd.maxAck = ack
		snd.flags |= tcpMaxAckSet
	}
	if rcv.maxWin != 0 && after(end, snd.maxEnd) {
		rcv.maxWin += end - snd.maxEnd
	}
	if after(sack+win, rcv.maxEnd-1) {
		rcv.maxEnd = sack + win
		if win == 0 {
			rcv.maxEnd++
		}
	}
	if ack == rcv.end {
		rcv.flags &^= tcpUnacked
	}
	if kind == segAck {
		if s.lastDir == d && s.lastSeq == seq && s.lastAck == ack && s.lastEnd == end && s.lastWin == rawWin {
			s.retrans++
		} else {
			s.lastDir, s.lastSeq, s.lastAck, s.lastEnd, s.lastWin = d, seq, ack, end, rawWin
			s.retrans = 0
		}
	}
	return inWindow, ""
}

// bounds are the four conditions of the paper; why is "" when they hold.
func (s *tcpState) bounds(c *Conn, d Dir, seq, end, sack uint32) (v windowVerdict, why string) {
	snd, rcv := &s.seen[d], &s.seen[d.Other()]
	ackFloor := rcv.end - max(snd.maxWin, maxAckWindow) - 1
	if !before(seq, snd.maxEnd+1) {
		over := end - snd.maxEnd + 1
		if rcv.maxWin != 0 && after(end, snd.end-rcv.maxWin-1) && after(sack, ackFloor) &&
			over <= rcv.maxWin && before(sack, rcv.end+1) {
			// Some send more than they may. If a rule lets it pass all the
			// same, the answer must not look as if it came from nowhere.
			snd.end = end
			snd.flags |= tcpUnacked
			return staleSegment, "bytes more than expected"
		}
		return outOfWindow, "SEQ is over upper bound (over the window of the receiver)"
	}
	if !before(sack, rcv.end+1) {
		return outOfWindow, "ACK is over upper bound (ACKed data not seen yet)"
	}
	if rcv.maxWin != 0 && !after(end, snd.end-rcv.maxWin-1) {
		return staleSegment, "SEQ is under lower bound (already ACKed data retransmitted)"
	}
	if !after(sack, ackFloor) {
		return staleSegment, "ignored ACK under lower bound (possible overly delayed)"
	}
	return inWindow, ""
}
