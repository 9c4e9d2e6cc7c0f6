package tcp

import (
	"encoding/binary"

	"barewire/skb"
	"barewire/skb/header"
)

// Accurate ECN feedback (RFC 9768): each segment carries, in the three flags that
// make the field ACE, how many packets with CE came so far, modulo 8, and now
// and then an option with bytes by codepoint, modulo 2^24.

const (
	aceInit     = 5 // the count of CE packets begins here (TCP_ACCECN_CEP_INIT_OFFSET)
	aceMask     = 7
	aceMaxDelta = aceMask - 1 // CE packets that may come without an ACK saying so

	// The option's bytes: what stands ahead of its fields, and one field.
	accBase, accField, accFields = 2, 3, 3

	// What the byte counts of the option begin at: those of CE at 0.
	accInit0, accInit1 = 1, 1

	// Where ACKs always stand for so many packets (mean, shifted by 6) some are missing
	// on the way, not marks: ACE is taken as it is.
	ackedMany = 4 << 6

	accUnusable = 1<<23 - 1 // bytes after which the option comes too late to be understood
	accBeacon   = 22        // a count that passes a multiple of 1<<22 is to be told
)

// Bits of ecnCounts.fail: what was found not to get through (Linux:
// TCP_ACCECN_*_FAIL_*).
const (
	accACEFailSend uint8 = 1 << iota
	accACEFailRecv
	accOptFailSend
	accOptFailRecv
)

// Values of ecnCounts.optSeen (Linux: TCP_ACCECN_OPT_*_SEEN).
const (
	accOptNotSeen uint8 = iota
	accOptEmpty
	accOptCounters
	accOptFailed
)

// ecnCounts is what a connection keeps of ECN fields. It has one once a packet
// says ECT or CE, or when the accurate feedback is asked for.
type ecnCounts struct {
	receivedCE uint32    // packets with CE
	received   [4]uint32 // bytes that came, by codepoint
	delivered  [4]uint32 // bytes that the peer says came
	optAt      int64     // us: the option was sent last
	cePending  uint8     // CE packets that ACE has not told of
	synRcvd    uint8     // IP-ECN of the peer's SYN or SYN-ACK
	synSent    uint8     // ... of ours
	prev       uint8     // ... of the last segment
	minFields  uint8     // fields of the option that have news
	demand     uint8     // options that are due whatever tcp_ecn_option says
	growing    uint8     // the codepoint whose bytes grow, 0 if that is not clear
	optSeen    uint8
	fail       uint8
	dsackSent  bool   // the last option went with a D-SACK
	ackedMean  uint16 // packets an ACK delivers, shifted by 6, with a weight of 1/64
}

// aceReflect is ACE of what answers a SYN or SYN-ACK, by the latter's IP-ECN (RFC
// 9768 table 2). read-only.
var aceReflect = [4]uint8{ipNotECT: 2, ipECT1: 3, ipECT0: 4, ipCE: 6}

// aceSynECN is the reverse: what our SYN had when it arrived. read-only.
var aceSynECN = [8]uint8{ipECT0, ipECT1, ipNotECT, ipECT1, ipECT0, ipECT1, ipCE, ipECT1}

// accOrder are the codepoints of the option's fields, by the order that its kind
// says (RFC 9768 section 3.2.3). read-only.
var accOrder = [2][accFields]uint8{{ipECT0, ipCE, ipECT1}, {ipECT1, ipCE, ipECT0}}

// accFieldOf is how many fields of an option of order 1 a codepoint's needs.
// read-only.
var accFieldOf = [4]uint8{ipECT1: 1, ipCE: 2, ipECT0: 3}

// accOffset is what a count begins at. read-only.
var accOffset = [4]uint32{ipECT1: accInit1, ipECT0: accInit0}

// makeECNCounts returns what s keeps of ECN fields.
func (s *Sock) makeECNCounts() *ecnCounts {
	r := s.mutableRare()
	if r.ecn == nil {
		r.ecn = &ecnCounts{}
	}
	return r.ecn
}

func (cb *txCB) setACE(ace uint8) {
	cb.flags = cb.flags&^tcpACE | ace<<6
	cb.ae = ace&4 != 0
}

// ecnCount counts a segment with n bytes of data by its ECN field (Linux:
// tcp_ecn_received_counters).
func (s *Sock) ecnCount(b *skb.Buff, n int) {
	if rx(b).ds&ipECN != ipNotECT || s.ecn&ecnAcc != 0 {
		s.ecnCountAny(b, n)
	}
}

func (s *Sock) ecnCountAny(b *skb.Buff, n int) {
	c := s.makeECNCounts()
	cb := rx(b)
	code := cb.ds & ipECN
	if code != ipNotECT {
		if s.ecn&ecnOK == 0 {
			s.ecn |= ecnSeen
		}
		if code == ipCE {
			k := max(1, uint32(cb.gsoSegs))
			c.receivedCE += k
			c.cePending = uint8(min(uint32(c.cePending)+k, 15))
		}
		if n > 0 {
			was := c.received[code]
			c.received[code] += uint32(n)
			c.minFields = max(c.minFields, accFieldOf[code])
			if (c.received[code]^was)>>accBeacon != 0 {
				c.demand = max(c.demand, 1)
			}
		}
	}
	edge := c.prev != code
	c.prev = code
	if s.ecn&ecnAcc != 0 && (edge || code == ipCE) {
		// Two of them, the second of which says beyond doubt what the field is
		// now.
		if edge {
			s.ack.pending |= ackNow
		}
		c.demand = 2
	}
}

// accStart begins the accurate feedback of who connected (Linux:
// tcp_ecn_rcv_synack_accecn).
func (s *Sock) accStart(code uint8, o *parsedOpts) {
	s.setECNMode(ecnAcc)
	c := s.makeECNCounts()
	c.synRcvd = code
	if o.acc != nil && c.optSeen < accOptCounters {
		c.sawOption(accOptState(o.acc))
		c.demand = 2
	}
}

// accChild begins that of a connection that came.
func (s *Sock) accChild(r *request, b *skb.Buff, h header.TCP) {
	s.setECNMode(ecnAcc)
	c := s.makeECNCounts()
	*c = ecnCounts{synSent: r.tos & ipECN, synRcvd: r.ecn.synRcvd, prev: r.ecn.synRcvd, optSeen: r.ecn.optSeen, fail: r.ecn.fail, demand: 1}
	cb := rx(b)
	switch ace := aceOf(h); ace {
	case 0:
		c.fail |= accACEFailRecv
		if r.numRetrans > 1 {
			c.fail |= accACEFailSend // our own SYN-ACK said none either
		}
	case 1, 5, 7: // nobody says that now, but somebody may later
	default:
		// RFC 9768 table 4, for a segment that can only be the third of the
		// handshake.
		if cb.seq == cb.end && !hasSACK(h) && s.accFeedbackOK(c, ace) && aceSynECN[ace] == ipCE && s.deliveredCE == 0 {
			s.deliveredCE++
		}
	}
}

func hasSACK(h header.TCP) bool {
	var o parsedOpts
	parseOptions(h, &o)
	return o.sack != nil
}

// accFeedbackOK reports whether what ACE says of our SYN can have become of it on
// the way (Linux: tcp_accecn_validate_syn_feedback; RFC 9768 section 3.2.2.3).
func (s *Sock) accFeedbackOK(c *ecnCounts, ace uint8) bool {
	if s.tcp.conf.ecnFallback.Load() == 0 {
		return true
	}
	sent, got := c.synSent, aceSynECN[ace]
	if got == sent || sent != ipNotECT && got != ipNotECT && sent != ipCE {
		return true
	}
	c.fail |= accACEFailRecv
	return false
}

// accOptState says what the first option that comes is good for (Linux:
// tcp_accecn_option_init): a count that nothing can have made zero says that
// somebody overwrites them.
func accOptState(p []byte) uint8 {
	zero := func(i int) bool { return p[i]|p[i+1]|p[i+2] == 0 }
	switch {
	case len(p) < accField:
		return accOptEmpty
	case zero(0), len(p) >= 3*accField && zero(2*accField):
		return accOptFailed
	}
	return accOptCounters
}

func (c *ecnCounts) sawOption(state uint8) {
	c.optSeen = state
	if state == accOptFailed {
		c.fail |= accOptFailRecv
	}
}

// accSend sets ACE of a segment, and ECT if that gets through (Linux: the first
// half of tcp_ecn_send). What answers a SYN-ACK has its bits already.
func (s *Sock) accSend(b *skb.Buff, cb *txCB, h header.TCP) {
	c := s.makeECNCounts()
	s.ecn &^= ecnECT
	if c.fail&accACEFailRecv == 0 {
		s.ecn |= ecnECT
	}
	if cb.flags&tcpACE == 0 && !cb.ae {
		setACE(h, uint8(c.receivedCE+aceInit)&aceMask)
		c.cePending = 0
	}
	if si := b.Shinfo(); si.GSOSize != 0 {
		si.GSOType |= skb.GSOTCPAccECN
	}
}

// reflectAck is sendAck of who got a SYN, whose IP-ECN ACE says then (Linux:
// tcp_send_ack_reflect_ect).
func (s *Sock) reflectAck() {
	if s.ecn&ecnAcc == 0 {
		s.sendAck()
		return
	}
	s.sendAckACE(aceReflect[s.makeECNCounts().synRcvd])
}

// accSyn looks at a SYN or SYN-ACK for a connection that is open already (Linux:
// in tcp_validate_incoming).
func (s *Sock) accSyn(cb *rxCB, o *parsedOpts) {
	if s.ecn&ecnAcc == 0 {
		return
	}
	c := s.makeECNCounts()
	c.synRcvd = cb.ds & ipECN
	if o.acc != nil && c.optSeen < accOptCounters {
		c.sawOption(accOptState(o.acc))
		c.demand = max(c.demand, 1)
	}
}

// accSpurious looks at data that came again (Linux: tcp_rcv_spurious_retrans):
// if the last answer to the same had the option, it is the option that does not
// get through.
func (s *Sock) accSpurious(cb *rxCB) {
	if s.ecn&ecnAcc == 0 {
		return
	}
	if c := s.makeECNCounts(); c.dsackSent && s.sackLists != nil && cb.seq == s.sackDup.start {
		c.fail |= accOptFailSend
	}
}

// What an ACK says.

// accProcess takes ACE and the option of an ACK that delivered so many packets and
// bytes, and returns the packets with CE among them (Linux: tcp_accecn_process).
// acked are the bytes that were acknowledged before.
func (s *Sock) accProcess(h header.TCP, o *parsedOpts, packets, bytes uint32, acked uint64, flag *int) uint32 {
	c := s.makeECNCounts()
	n := s.accDelta(c, h, o, packets, bytes, acked, *flag)
	if n > 0 {
		s.deliveredCE += n
		*flag |= flagECE
		if s.pred.on {
			s.fastPathOn() // it expects the new count
		}
	}
	return n
}

// accDelta is __tcp_accecn_process (RFC 9768 section 3.2.2.5 and appendix A.2).
func (s *Sock) accDelta(c *ecnCounts, h header.TCP, o *parsedOpts, packets, bytes uint32, acked uint64, flag int) uint32 {
	// An ACK that says nothing new may be older than the last; and what is not
	// ECN-capable gets no mark.
	if flag&(flagProgress|flagTSProgress) == 0 || c.fail&accACEFailRecv != 0 {
		return 0
	}
	ceb := c.delivered[ipCE]
	counted := s.accOption(c, o, bytes, flag)
	c.noteAcked(packets)
	if flag&flagSlowpath == 0 && packets <= aceMask || flag&flagSynAcked != 0 {
		return 0
	}
	ace := aceOf(h)
	if flag&flagDataAcked != 0 && acked <= uint64(s.mssCache) && ace == 0 {
		// Section 3.2.2.4: no first ACK of data can say that, so somebody
		// clears the bits.
		c.fail |= accACEFailRecv | accOptFailRecv
		return 0
	}
	if c.cePending >= aceMaxDelta {
		s.ack.pending |= ackNow
	}
	delta := (uint32(ace) - aceInit - s.deliveredCE) & aceMask
	if packets <= aceMask {
		return delta
	}
	// It may have gone round: as often as the packets allow, unless the bytes
	// say otherwise.
	most := packets - (packets-delta)&aceMask
	if !counted {
		if c.ackedMean > ackedMany {
			return delta
		}
		return most
	}
	d := c.delivered[ipCE] - ceb
	switch {
	case d == 0:
		return delta
	case packets >= 2*(aceMask+1) && (s.isSack() || s.caState == caOpen || s.caState == caCWR):
		if bytes <= d {
			return most
		}
		est := uint32((uint64(d)*uint64(packets) + uint64(bytes) - 1) / uint64(bytes))
		return min(most, delta+est&^aceMask)
	case d > delta*uint32(s.mssCache):
		return most
	case d < most*uint32(s.mssCache)>>1:
		return delta
	}
	return most
}

// noteAcked keeps the mean of what an ACK delivers.
func (c *ecnCounts) noteAcked(packets uint32) {
	if packets == 0 {
		return
	}
	v := packets << 6
	if c.ackedMean != 0 {
		v = (uint32(c.ackedMean)<<6 - uint32(c.ackedMean) + v) >> 6
	}
	c.ackedMean = uint16(min(v, 0xffff))
}

// accOption takes the counts of the option, or what they must be without one, and
// reports whether they can be relied on (Linux: tcp_accecn_process_option).
func (s *Sock) accOption(c *ecnCounts, o *parsedOpts, bytes uint32, flag int) bool {
	if c.fail&accOptFailRecv != 0 {
		return false
	}
	if o.acc == nil {
		switch {
		case c.optSeen == accOptNotSeen:
			if s.bytesSent >= accUnusable {
				c.sawOption(accOptFailed)
			}
			return false
		case c.growing != 0:
			c.delivered[c.growing] += bytes
			return true
		}
		return false
	}
	if c.optSeen < accOptCounters {
		c.sawOption(accOptState(o.acc))
	}
	grew := c.growing
	ok, first, doubt := grew != 0, false, false
	for i, p := 0, o.acc; i < accFields && len(p) >= accField; i, p = i+1, p[accField:] {
		code := accOrder[o.accOrder][i]
		v := uint32(p[0])<<16 | uint32(p[1])<<8 | uint32(p[2])
		// 24 bits, and it may go back.
		delta := int32((v-accOffset[code]-c.delivered[code])<<8) >> 8
		c.delivered[code] += uint32(delta)
		if delta < 0 {
			ok, doubt = false, true
		}
		if delta != 0 && code != grew {
			if !first {
				c.growing, first = code, true
			} else {
				ok, doubt = false, true
			}
		}
	}
	if doubt {
		c.growing = 0
	}
	return ok
}

// The option that is sent.

// accDue reports whether a segment is to have the option (Linux: in
// tcp_established_options): always, or when there is news, or a few times in a
// round trip.
func (s *Sock) accDue(c *ecnCounts) bool {
	mode := s.tcp.conf.ecnOption.Load()
	if mode == 0 || c.optSeen == accOptNotSeen || c.fail&accOptFailSend != 0 {
		return false
	}
	if mode >= 2 || c.demand != 0 {
		return true
	}
	n := int64(s.tcp.conf.ecnBeacon.Load())
	return n != 0 && (s.mstamp-c.optAt)*n >= int64(s.srtt>>3)
}

// accSent notes what a segment that goes says.
func (s *Sock) accSent(o *outOpts) {
	c := s.makeECNCounts()
	c.dsackSent = false
	if !o.acc {
		return
	}
	c.minFields = 0
	c.optAt = s.mstamp
	c.dsackSent = s.hasDup
	if c.demand > 0 {
		c.demand--
	}
}

// fitAccECN finds how many fields of the option, need or more, have room behind the
// o.size bytes there are (Linux: tcp_options_fit_accecn). The option may use the
// padding of those behind it, and take the place of SACK blocks but for two.
func (o *outOpts) fitAccECN(need int, syn bool) {
	saving := 0
	switch {
	case !syn:
		if o.nblocks > 0 {
			saving = 2
		}
	case o.sackOK && !o.ts:
		saving = 2
	case o.wscale:
		saving = 1
	}
	left := header.TCPMaxOption - o.size
	dropped := 0
	for n := accFields; n >= need; n-- {
		size := accBase + n*accField
		if size&3 > saving {
			size += 4
		}
		size &^= 3
		if size <= left {
			o.acc, o.accFields = true, n
			o.size += size - dropped*sackBlockLen
			return
		}
		if n == need && need > 0 && o.nblocks > 2 {
			o.nblocks--
			dropped++
			left += sackBlockLen
			n = accFields + 1
		}
	}
	o.nblocks += dropped
}

// putAccECN writes the option in order 1, but for the bytes of an incomplete word,
// which it returns: they take the place of padding later.
func (o *outOpts) putAccECN(p []byte) (n int, rest [2]byte, restLen int) {
	var q [accBase + accFields*accField + 1]byte
	k := accBase + o.accFields*accField
	q[0], q[1] = header.TCPOptAccECN1, byte(k)
	for i, code := range accOrder[1][:o.accFields] {
		v := accOffset[code]
		if o.accBytes != nil {
			v += o.accBytes[code]
		}
		binary.BigEndian.PutUint32(q[accBase+i*accField:], v<<8) // the last byte is written over
	}
	if k&3 == 3 {
		q[k] = header.TCPOptNOP
		k++
	}
	n = copy(p, q[:k&^3])
	rest = [2]byte{header.TCPOptNOP, header.TCPOptNOP}
	return n, rest, copy(rest[:], q[n:k])
}
