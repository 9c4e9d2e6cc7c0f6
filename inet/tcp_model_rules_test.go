package inet_test

import (
	"strings"

	"barewire/inet/tcp"
	"barewire/skb/header"
)

const (
	mFin = header.TCPFin
	mSyn = header.TCPSyn
	mRst = header.TCPRst
	mAck = header.TCPAck
)

// want is the rules: what must become of a segment in a state.
func (c *mconn) want(state int, name string, g mseg) verdict {
	same := verdict{state: state}
	ack, rst, syn := g.flags&mAck != 0, g.flags&mRst != 0, g.flags&mSyn != 0
	switch state {
	case tcp.Listen:
		// RFC 9293 section 3.10.7.2. Linux takes no SYN with a FIN.
		same.state = tcp.Close // there is no connection
		switch {
		case rst:
		case ack:
			same.answer = "rst"
		case syn && g.flags&mFin == 0:
			return verdict{tcp.SynRecv, "synack", 0}
		}
		return same
	case tcp.SynSent:
		return c.wantSynSent(g)
	case tcp.TimeWait:
		return c.wantTimeWait(g)
	case tcp.Closing, tcp.CloseWait, tcp.LastAck:
		c.queued = name != "LAST-ACK, closed" // the FIN is
	case tcp.SynRecv:
		if !strings.Contains(name, "SYN-SENT") {
			return c.wantRequest(g)
		}
	}
	if name == "FIN-WAIT-2, closed" {
		return c.wantFinWait2(g)
	}
	return c.wantSynchronized(state, strings.Contains(name, "closed"), g)
}

// wantSynSent is RFC 9293 section 3.10.7.3.
func (c *mconn) wantSynSent(g mseg) verdict {
	same := verdict{state: tcp.SynSent}
	ack, rst, syn := g.flags&mAck != 0, g.flags&mRst != 0, g.flags&mSyn != 0
	if ack && g.ack != "nxt" {
		if !rst {
			same.answer = "rst"
		}
		return same
	}
	switch {
	case rst && ack:
		return verdict{state: tcp.Close}
	case rst || !syn:
		return same
	case ack:
		return verdict{tcp.Established, "ack", 0}
	}
	return verdict{tcp.SynRecv, "synack", 0}
}

// wantRequest is SYN-RECEIVED of a passive open: no sock yet (Linux:
// tcp_check_req).
func (c *mconn) wantRequest(g mseg) verdict {
	same := verdict{state: tcp.SynRecv}
	ack, rst, syn := g.flags&mAck != 0, g.flags&mRst != 0, g.flags&mSyn != 0
	if g.seq == "before" && syn && !ack && !rst {
		same.answer = "synack"
		return same
	}
	if ack && g.ack != "nxt" {
		if !rst {
			same.answer = "rst"
		}
		return same
	}
	if !c.inWindow(g) {
		if !rst {
			same.answer = "ack"
		}
		return same
	}
	switch {
	case rst:
		return verdict{state: tcp.Close}
	case syn && g.seq != "before":
		return verdict{tcp.Close, "rst", 0}
	case !ack:
		return same
	case syn:
		same.answer = "ack" // RFC 5961 section 4.2
		return same
	}
	return c.wantText(tcp.Established, false, g)
}

// inWindow is the acceptance test word for word: some of the segment's numbers
// are in the window, or it is empty and at one of its ends. It is asked of what
// has no sock (Linux: tcp_in_window).
func (c *mconn) inWindow(g mseg) bool {
	seq, _ := c.numbers(g)
	end := seq + g.len()
	return seq == c.rcv || int32(end-c.rcv) > 0 && int32(seq-c.edge) < 0 || seq == c.edge && seq == end
}

// touches is the acceptance test of RFC 9293 section 3.4: the segment has
// something of the window. What ends beyond it is taken too while nothing is queued.
func (c *mconn) touches(g mseg) bool {
	seq, _ := c.numbers(g)
	end := seq + g.len()
	inside := int32(end-uint32(g.flags&mFin)-c.edge) <= 0
	return int32(end-c.rcv) >= 0 && int32(seq-c.edge) <= 0 && (inside || !c.queued)
}

// wantSynchronized is RFC 9293 section 3.10.7.4 with RFC 5961.
func (c *mconn) wantSynchronized(state int, closed bool, g mseg) verdict {
	same := verdict{state: state}
	ack, rst, syn := g.flags&mAck != 0, g.flags&mRst != 0, g.flags&mSyn != 0
	if !ack && !rst && !syn {
		return same
	}
	afterFin := state == tcp.CloseWait || state == tcp.LastAck || state == tcp.Closing
	switch {
	case rst && (g.seq == "at" || g.seq == "before" && afterFin):
		return verdict{state: tcp.Close}
	case rst && !c.touches(g):
		return same
	case rst, syn:
		// The SYN-ACK of a simultaneous open.
		if state == tcp.SynRecv && !rst && ack && g.seq == "before" && g.n == 0 && g.flags&mFin == 0 && g.ack == "nxt" {
			return verdict{tcp.Established, "ack", 0}
		}
		same.answer = "ack"
		return same
	case !c.touches(g):
		same.answer = "ack"
		return same
	}
	switch {
	case state == tcp.SynRecv:
		// Linux takes an ACK of nothing too, where the RFC wants a RST.
		if g.ack != "nxt" && g.ack != "una" {
			same.answer = "rst"
			return same
		}
		state = tcp.Established
	case g.ack == "future":
		same.answer = "ack"
		return same
	case g.ack == "ancient" || g.ack == "old" && c.una == c.iss+1: // RFC 5961 section 5.2
		same.answer = "ack"
		if state == tcp.Established && g.flags == mAck && g.seq == "at" && c.una != c.nxt {
			// The short way of Linux, open while a page of the sock's memory is
			// in use, looks at the ACK last.
			same.data = g.n
		}
		return same
	case g.ack == "nxt":
		switch state {
		case tcp.FinWait1:
			state = tcp.FinWait2
			if v := c.wantText(state, closed, g); closed && v.state == state && g.flags&mFin == 0 {
				return verdict{state: state} // the sock goes, and the segment with it
			}
		case tcp.Closing:
			return verdict{state: tcp.TimeWait}
		case tcp.LastAck:
			return verdict{state: tcp.Close}
		}
	}
	return c.wantText(state, closed, g)
}

// wantText is what becomes of data and FIN of a segment that touches the
// window.
func (c *mconn) wantText(state int, closed bool, g mseg) verdict {
	v := verdict{state: state}
	seq, _ := c.numbers(g)
	fin := g.flags&mFin != 0
	if g.flags&mSyn != 0 {
		seq++
	}
	end := seq + uint32(g.n)
	fresh := int32(end-c.rcv) > 0 && (g.n > 0 || fin)
	switch state {
	case tcp.CloseWait, tcp.LastAck, tcp.Closing:
		if int32(seq-c.rcv) >= 0 {
			return v // nothing can follow a FIN
		}
		if fresh {
			return verdict{tcp.Close, "rst", 0}
		}
		if fin && end == c.rcv {
			v.answer = "ack?" // a FIN again
			return v
		}
	default:
		if closed && fresh {
			return verdict{tcp.Close, "rst", 0} // nobody will read it (RFC 1122 section 4.2.2.13)
		}
	}
	switch {
	case g.n == 0 && !fin:
		return v
	case int32(seq-c.rcv) > 0:
		v.answer = "ack" // early, or beyond the window
		return v
	case int32(end-c.rcv) < 0 || int32(end-c.rcv) == 0 && !fin:
		v.answer = "ack" // all of it came before
		return v
	}
	v.data = int(end - c.rcv)
	v.answer = "ack?"
	if fin {
		v.state = map[int]int{tcp.Established: tcp.CloseWait, tcp.FinWait1: tcp.Closing, tcp.FinWait2: tcp.TimeWait}[state]
	}
	return v
}

// wantFinWait2 is FIN-WAIT-2 when the program is gone and with it the sock.
func (c *mconn) wantFinWait2(g mseg) verdict {
	seq, _ := c.numbers(g)
	switch {
	case !c.inWindow(g):
		return verdict{tcp.FinWait2, "ack", 0}
	case g.flags&mRst != 0:
		return verdict{state: tcp.Close}
	case g.flags&mSyn != 0 && int32(seq-c.rcv) >= 0:
		return verdict{tcp.Close, "rst", 0}
	case g.flags&mAck == 0 || g.len() == 0 || int32(seq+g.len()-c.rcv) <= 0:
		return verdict{state: tcp.FinWait2}
	case g.flags&mFin == 0 || seq+g.len() != c.rcv+1:
		return verdict{tcp.Close, "rst", 0}
	}
	return verdict{tcp.TimeWait, "ack", 0}
}

// wantTimeWait is RFC 9293 section 3.10.7.4 for TIME-WAIT, with RFC 6191 for
// the SYN that opens it again.
func (c *mconn) wantTimeWait(g mseg) verdict {
	same := verdict{state: tcp.TimeWait}
	ack, rst, syn := g.flags&mAck != 0, g.flags&mRst != 0, g.flags&mSyn != 0
	seq, _ := c.numbers(g)
	switch {
	case rst && g.seq == "at":
		return verdict{state: tcp.Close}
	case rst:
	case g.seq == "at" && g.len() == 0:
	case syn && !ack && int32(seq-c.rcv) > 0:
		if g.flags&mFin == 0 {
			return verdict{tcp.SynRecv, "synack", 0}
		}
		return verdict{state: tcp.Close}
	default:
		same.answer = "ack"
	}
	return same
}
