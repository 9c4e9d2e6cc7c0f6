package tcp

import (
	"barewire/inet/fib"
	"barewire/skb"
	"barewire/skb/header"
)

// Explicit congestion notification: which kind of feedback a connection agrees
// on, and the classic one (RFC 3168). What the accurate one counts is in
// accecn.go.

// Bits of Sock.ecn. ecnOK, ecnAcc and ecnPending exclude each other; with none of
// them there is no ECN.
const (
	ecnOK        uint8 = 1 << iota // classic feedback was agreed on
	ecnQueueCWR                    // the window was reduced: say so
	ecnDemandCWR                   // CE was seen: echo until CWR comes
	ecnSeen                        // a packet with ECT came
	ecnAcc                         // accurate feedback was agreed on
	ecnPending                     // accurate feedback was asked for
	ecnECT                         // what is sent says ECT(0) (Linux: INET_ECN_xmit)

	ecnModes = ecnOK | ecnAcc | ecnPending
)

// Codepoints of the ECN field of the IP header.
const (
	ipNotECT uint8 = iota
	ipECT1
	ipECT0
	ipCE

	ipECN uint8 = 3 // the bits of the field
)

// Values of tcp_ecn: what connections that come may have, and what those that are
// opened ask for (Linux: enum tcp_ecn_mode).
const (
	ecnOff int32 = iota
	ecnClassic
	ecnClassicIn
	ecnAccurate
	ecnAccurateInClassicOut
	ecnAccurateIn
)

const tcpACE = header.TCPEce | header.TCPCwr // the two bits of ACE that lie among the flags

// aceOf returns the field ACE of a segment: AE, CWR and ECE as a number.
func aceOf(h header.TCP) uint8 { return h[12]&1<<2 | h[13]>>6 }

// setACE replaces it.
func setACE(h header.TCP, ace uint8) {
	h[12] = h[12]&^1 | ace>>2&1
	h[13] = h[13]&^tcpACE | ace<<6
}

// setECNMode replaces what was agreed on.
func (s *Sock) setECNMode(mode uint8) { s.ecn = s.ecn&^ecnModes | mode }

// ecnSend sets the bits of a segment that is no SYN (Linux: tcp_ecn_send).
func (s *Sock) ecnSend(b *skb.Buff, cb *txCB, h header.TCP, payload int) {
	if s.ecn&(ecnOK|ecnAcc) == 0 || cb.flags&header.TCPSyn != 0 {
		return
	}
	if s.ecn&ecnAcc != 0 {
		s.accSend(b, cb, h)
		return
	}
	f := h.Flags()
	s.ecn &^= ecnECT
	if payload > 0 && !before(cb.seq, s.sndNxt) {
		s.ecn |= ecnECT // new data only
		if s.ecn&ecnQueueCWR != 0 {
			s.ecn &^= ecnQueueCWR
			f |= header.TCPCwr
			if si := b.Shinfo(); si.GSOSize != 0 {
				si.GSOType |= skb.GSOTCPECN // the first of its segments says it
			}
		}
	}
	if s.ecn&ecnDemandCWR != 0 {
		f |= header.TCPEce
	}
	h.SetFlags(f)
}

// ecnBits are the ECN bits of the IP header, as ecnSend chose them.
func (s *Sock) ecnBits(h header.TCP) uint8 {
	if s.ecn&ecnECT == 0 || h.Flags()&header.TCPSyn != 0 {
		return ipNotECT
	}
	return ipECT0
}

// ecnSendSyn asks for ECN (Linux: tcp_ecn_send_syn).
func (s *Sock) ecnSendSyn(b *skb.Buff) {
	s.ecn = 0
	cb := tx(b)
	switch s.tcp.conf.ecn.Load() {
	case ecnAccurate:
		cb.flags |= tcpACE
		cb.ae = true
		s.setECNMode(ecnPending)
		s.makeECNCounts().synSent = s.TOS() & ipECN
		return
	case ecnClassic, ecnAccurateInClassicOut:
	default:
		if rt, _ := s.CachedRoute(s.Ident()); rt == nil || rt.Metric(fib.RTAXFeatures)&1 == 0 { // RTAX_FEATURE_ECN
			return
		}
	}
	cb.flags |= tcpACE
	s.setECNMode(ecnOK)
}

// ecnClearSyn no longer asks for ECN when the SYN goes unanswered, which with the
// classic one is so at once (RFC 3168 section 6.1.1.1) and with the accurate one
// after another try (RFC 9768 section 3.1.4.1).
func (s *Sock) ecnClearSyn(cb *txCB) {
	if s.tcp.conf.ecnFallback.Load() == 0 || s.ecn&ecnPending != 0 && s.retransmits < 2 {
		return
	}
	// What the peer answers to the first SYN still counts.
	cb.flags &^= tcpACE
	cb.ae = false
}

// ecnSendSynAck sets the bits of the SYN-ACK of a simultaneous open (Linux:
// tcp_ecn_send_synack).
func (s *Sock) ecnSendSynAck(cb *txCB) {
	cb.flags &^= header.TCPCwr
	cb.ae = false
	if s.ecn&ecnModes == 0 {
		cb.flags &^= header.TCPEce
	}
	if s.ecn&ecnAcc != 0 {
		c := s.makeECNCounts()
		cb.setACE(aceReflect[c.synRcvd])
		c.synSent = s.TOS() & ipECN
	}
}

// ecnRcvSynAck takes what a SYN-ACK agrees to (Linux: tcp_ecn_rcv_synack; RFC 9768
// table 2).
func (s *Sock) ecnRcvSynAck(cb *rxCB, h header.TCP, o *parsedOpts) {
	if s.ecn&ecnModes == 0 {
		return
	}
	if s.ecn&ecnOK != 0 {
		if cb.flags&tcpACE != header.TCPEce {
			s.setECNMode(0)
		}
		return
	}
	switch ace := aceOf(h); ace {
	case 0, 7: // no ECN, or one that copies what it does not know
		s.setECNMode(0)
	case 1:
		s.setECNMode(ecnOK)
	default:
		s.accStart(cb.ds&ipECN, o)
		c := s.makeECNCounts()
		if cb.ds&ipECN == ipCE && (ace == 5 || s.accFeedbackOK(c, ace)) {
			c.receivedCE++
			c.cePending++
		}
	}
}

// ecnRcvSyn takes what a SYN that crossed ours asks for (Linux: tcp_ecn_rcv_syn).
func (s *Sock) ecnRcvSyn(cb *rxCB, h header.TCP) {
	if s.ecn&ecnPending != 0 {
		if ace := aceOf(h); ace == 0 || ace == 3 {
			s.setECNMode(ecnOK)
		} else {
			c := s.makeECNCounts()
			c.synRcvd = cb.ds & ipECN
			c.prev = c.synRcvd
			s.setECNMode(ecnAcc)
		}
	}
	if s.ecn&ecnOK != 0 && cb.flags&tcpACE != tcpACE {
		s.setECNMode(0)
	}
}

func (s *Sock) ecnEcho(cb *rxCB) bool {
	return cb.flags&(header.TCPEce|header.TCPSyn) == header.TCPEce && s.ecn&ecnOK != 0
}

func (s *Sock) ecnQueueCWR() {
	if s.ecn&ecnOK != 0 {
		s.ecn |= ecnQueueCWR
	}
}

func (s *Sock) ecnWithdrawCWR() { s.ecn &^= ecnQueueCWR }

// ecnDataRecv looks at the bits of data that arrived (Linux: tcp_data_ecn_check,
// tcp_ecn_accept_cwr).
func (s *Sock) ecnDataRecv(b *skb.Buff) {
	if s.ecn&(ecnOK|ecnAcc) == 0 {
		return
	}
	cb := rx(b)
	classic := s.ecn&ecnOK != 0
	if classic && cb.flags&header.TCPCwr != 0 {
		s.ecn &^= ecnDemandCWR
		if cb.end != cb.seq {
			s.ack.pending |= ackNow
		}
	}
	switch cb.ds & ipECN {
	case ipNotECT:
		// Without ECT in the middle of a flow: a retransmission, likely.
		if s.ecn&ecnSeen != 0 {
			s.enterQuickack(2)
		}
		return
	case ipCE:
		if classic && s.ecn&ecnDemandCWR == 0 {
			s.enterQuickack(2) // the sender should know soon
			s.ecn |= ecnDemandCWR
		}
	}
	if classic {
		s.ecn |= ecnSeen // with the accurate one every segment counts, see ecnCount
	}
}

// ecnOffer is what a SYN asked for, and what became of it (Linux: in struct
// tcp_request_sock).
type ecnOffer struct {
	ok       bool // ECN of whichever kind
	accurate bool
	synRcvd  uint8 // IP-ECN field of the SYN
	optSeen  uint8
	fail     uint8
}

// ecnRequest decides about a SYN's offer (Linux: tcp_ecn_create_request).
func (r *request) ecnRequest(cb *rxCB, in header.IPv4, h header.TCP) {
	mode := r.listener.tcp.conf.ecn.Load()
	ace := aceOf(h)
	switch {
	case ace != 0 && ace != 3 && mode >= ecnAccurate:
		// RFC 9768 section 3.1.2: as if it had been 7.
		r.ecn = ecnOffer{ok: true, accurate: true, synRcvd: in.TOS() & ipECN}
	case cb.flags&tcpACE == tcpACE && mode != ecnOff && (in.TOS()&ipECN == ipNotECT || h[12]&0xf != 0):
		r.ecn.ok = true
	}
}

// ecnSynAck sets the bits of a SYN-ACK (Linux: tcp_ecn_make_synack). again says that it is a
// retransmission: without the option then, and from the second on as if there
// were no ECN, since something on the way may not let it pass.
func (r *request) ecnSynAck(p *reply, o *outOpts, again bool) {
	switch {
	case r.ecn.accurate:
		if r.numRetrans > 0 {
			return
		}
		ace := aceReflect[r.ecn.synRcvd]
		p.flags |= ace << 6
		p.ae = ace&4 != 0
		if !again && r.listener.tcp.conf.ecnOption.Load() != 0 {
			var buf [header.TCPMaxOption]byte
			o.size = o.put(buf[:])
			o.fitAccECN(0, true)
		}
	case r.ecn.ok:
		p.flags |= header.TCPEce
	}
}

// ecnChild gives a connection what its request agreed to (Linux:
// tcp_ecn_openreq_child). b is the segment that made it.
func (s *Sock) ecnChild(r *request, b *skb.Buff, h header.TCP) {
	switch {
	case r.ecn.accurate:
		s.accChild(r, b, h)
	case r.ecn.ok:
		s.setECNMode(ecnOK)
	}
}
