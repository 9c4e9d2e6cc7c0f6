package reject

import (
	"barewire/netfilter"
	"barewire/netfilter/conntrack"
	"barewire/skb"
	"barewire/skb/header"
)

// With is an answer, with the numbers of ipt_reject_with.
type With uint8

// Answers.
const (
	NetUnreachable With = iota
	HostUnreachable
	ProtUnreachable
	PortUnreachable
	EchoReply // was never implemented; answers nothing
	NetProhibited
	HostProhibited
	TCPReset
	AdminProhibited
)

// codes are those of the ICMP message destination unreachable. read-only
var codes = [...]uint8{
	NetUnreachable:  header.ICMPNetUnreach,
	HostUnreachable: header.ICMPHostUnreach,
	ProtUnreachable: header.ICMPProtUnreach,
	PortUnreachable: header.ICMPPortUnreach,
	NetProhibited:   header.ICMPNetProhib,
	HostProhibited:  header.ICMPHostProhib,
	AdminProhibited: header.ICMPPktFiltered,
}

// Config is what the answers need from above.
type Config struct {
	// SendICMP makes an ICMP error about b (Linux: icmp_send).
	SendICMP func(b *skb.Buff, typ, code uint8, info uint32)
	// RouteBack gives a packet without a route the one to its sender.
	RouteBack func(b *skb.Buff) bool
	// ToMany reports whether the packet's route says that it is for a group or
	// for everybody.
	ToMany func(b *skb.Buff) bool
	// SendReset sends r, whose Data is the TCP header with the sum of the pseudo
	// header and the checksum left to the device, to dst in the name of src,
	// with DF, TOS 0 and identification 0; it consumes r.
	SendReset func(r *skb.Buff, src, dst header.Addr)
	// Mark returns the mark of an answer (Linux: IP4_REPLY_MARK).
	Mark func(b *skb.Buff) uint32
}

// Engine makes the answers of one stack.
type Engine struct{ Config }

// New makes an engine.
func New(c Config) *Engine { return &Engine{c} }

// Reject answers b, a packet at a hook, whose Data is the IP header (Linux:
// reject_tg). b stays the caller's.
func (e *Engine) Reject(b *skb.Buff, s netfilter.State, with With) {
	switch {
	case with == TCPReset:
		e.reset(b)
	case with != EchoReply && int(with) < len(codes):
		e.unreach(b, codes[with])
	}
}

// unreach is nf_send_unreach.
func (e *Engine) unreach(b *skb.Buff, code uint8) {
	h, ok := header.ParseIPv4(b.Data())
	if !ok || h.FragOffset() != 0 || b.Dst == nil && !e.RouteBack(b) {
		return
	}
	if verifiable(b, h) && !SumOK(b, h) {
		return
	}
	e.SendICMP(b, header.ICMPDestUnreach, code, 0)
}

// verifiable reports whether the protocol has a checksum over all of its data
// that this packet uses (Linux: nf_reject_verify_csum).
func verifiable(b *skb.Buff, h header.IPv4) bool {
	switch h.Protocol() {
	case header.ProtoUDP:
		var p [header.UDPLen]byte
		return b.CopyBits(h.HeaderLen(), p[:]) != len(p) || header.UDP(p[:]).Checksum() != 0
	case conntrack.ProtoGRE, protoAH, protoESP, conntrack.ProtoSCTP, header.ProtoUDPLite, conntrack.ProtoDCCP:
		return false
	}
	return true
}

const (
	protoESP = 50
	protoAH  = 51
)

// SumOK verifies the transport checksum of a whole packet (Linux:
// nf_ip_checksum). Protocols other than TCP and UDP have no pseudo header.
func SumOK(b *skb.Buff, h header.IPv4) bool {
	if b.IPSummed == skb.ChecksumUnnecessary || b.IPSummed == skb.ChecksumPartial {
		return true
	}
	off := h.HeaderLen()
	n := b.Len() - off
	var sum uint32
	if p := h.Protocol(); p == header.ProtoTCP || p == header.ProtoUDP {
		sum = header.PseudoSum(h.Src(), h.Dst(), p, n)
	}
	// With the IP header, whose sum is -0: so data of zeros only is right.
	return skb.CsumFold(b.Checksum(0, off+n, sum)) == 0
}

// headroom is what is left in front of a reset for the headers below.
const headroom = skb.MaxHeader

// reset is nf_send_reset: the answer that a host without the connection would
// give (RFC 9293 section 3.10.7.1).
func (e *Engine) reset(b *skb.Buff) {
	h, ok := header.ParseIPv4(b.Data())
	if !ok || h.FragOffset() != 0 || h.Protocol() != header.ProtoTCP {
		return
	}
	var buf [header.TCPMinLen]byte
	if b.CopyBits(h.HeaderLen(), buf[:]) != len(buf) {
		return
	}
	t := header.TCP(buf[:])
	if t.Flags()&header.TCPRst != 0 || !SumOK(b, h) {
		return
	}
	if b.Dst == nil && !e.RouteBack(b) || e.ToMany(b) {
		return
	}
	r := b.Cache().Alloc(headroom + header.TCPMinLen)
	if r == nil {
		return
	}
	r.Reserve(headroom)
	f := header.TCPFields{SrcPort: t.DstPort(), DstPort: t.SrcPort(), HeaderLen: header.TCPMinLen, Flags: header.TCPRst}
	if t.Flags()&header.TCPAck != 0 {
		f.Seq = t.AckSeq()
	} else {
		// Everything the segment takes up of the sequence space.
		f.Ack = t.Seq() + uint32(b.Len()-h.HeaderLen()-t.HeaderLen())
		if t.Flags()&header.TCPSyn != 0 {
			f.Ack++
		}
		if t.Flags()&header.TCPFin != 0 {
			f.Ack++
		}
		f.Flags |= header.TCPAck
	}
	p := header.PutTCP(r.Put(header.TCPMinLen), &f)
	src, dst := h.Dst(), h.Src()
	p.SetChecksum(^skb.CsumFold(header.PseudoSum(src, dst, header.ProtoTCP, header.TCPMinLen)))
	r.SetCsumPartial(0, 16)
	r.Mark = e.Mark(b)
	conntrack.Attach(r, b)
	conntrack.SetClosing(b)
	e.SendReset(r, src, dst)
}
