// Package nflog writes a packet as one line of text, as the kernel log of Linux
// has it (net/netfilter/nf_log_syslog.c). The target LOG, TRACE and the logging
// of invalid packets use it.
package nflog

import (
	"encoding/binary"
	"strconv"

	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

// Flags say what is written beyond the usual, with Linux's NF_LOG_* values.
type Flags uint8

// Flags.
const (
	TCPSeq    Flags = 1 << iota // sequence and acknowledgment number
	TCPOpt                      // options of TCP
	IPOpt                       // options of IP
	UID                         // owner of the socket
	_                           // to nfnetlink_log: not for text
	MACDecode                   // addresses of the Ethernet header by name

	Default = TCPSeq | TCPOpt | IPOpt | UID // what TRACE uses (NF_LOG_DEFAULT_MASK)
)

// maxMAC bounds how much of a link header is written.
const maxMAC = 32

// Append appends the line about a packet at a hook, whose Data is the IP header
// (Linux: nf_log_ip_packet). It ends with a space, as Linux's does.
func Append(line []byte, b *skb.Buff, s netfilter.State, prefix string, f Flags) []byte {
	w := writer{line, b, f}
	w.str(prefix)
	w.str("IN=")
	if s.In != nil {
		w.str(s.In.Name())
	}
	w.str(" OUT=")
	if s.Out != nil {
		w.str(s.Out.Name())
	}
	w.str(" ")
	if s.In != nil {
		w.mac()
	}
	w.ip(0)
	return w.line
}

type writer struct {
	line []byte
	b    *skb.Buff
	f    Flags
}

func (w *writer) str(s string) { w.line = append(w.line, s...) }

// num writes "NAME=n ".
func (w *writer) num(name string, n uint32) {
	w.str(name)
	w.line = append(strconv.AppendUint(w.line, uint64(n), 10), ' ')
}

const (
	upper = "0123456789ABCDEF"
	lower = "0123456789abcdef"
)

func (w *writer) hex(digits string, c byte) { w.line = append(w.line, digits[c>>4], digits[c&15]) }

func (w *writer) addr(name string, a header.Addr) {
	w.str(name)
	for i := 24; i >= 0; i -= 8 {
		w.line = strconv.AppendUint(w.line, uint64(a>>i&255), 10)
		if i > 0 {
			w.line = append(w.line, '.')
		}
	}
	w.line = append(w.line, ' ')
}

func (w *writer) bytes(p []byte) {
	for i, c := range p {
		if i > 0 {
			w.line = append(w.line, ':')
		}
		w.hex(lower, c)
	}
}

// options writes "OPT (0204...) ".
func (w *writer) options(p []byte) {
	w.str("OPT (")
	for _, c := range p {
		w.hex(upper, c)
	}
	w.str(") ")
}

// at returns n bytes of the packet from off, nil if there are not so many.
func (w *writer) at(off, n int, buf *[64]byte) []byte {
	if d := w.b.Data(); off+n <= len(d) {
		return d[off : off+n]
	}
	if n > len(buf) || w.b.CopyBits(off, buf[:n]) != n {
		return nil
	}
	return buf[:n]
}

func (w *writer) incomplete(off int) {
	w.str("INCOMPLETE [")
	w.line = strconv.AppendInt(w.line, int64(max(w.b.Len()-off, 0)), 10)
	w.str(" bytes] ")
}

// mac writes the link header (Linux: dump_mac_header).
func (w *writer) mac() {
	var h []byte
	if b := w.b; b.MacHeaderWasSet() && b.MacLen() > 0 {
		if h = b.MacHeader(); len(h) >= b.MacLen() {
			h = h[:min(b.MacLen(), maxMAC)]
		}
	}
	if w.f&MACDecode != 0 && len(h) == header.EthHLen {
		w.str("MACSRC=")
		w.bytes(h[6:12])
		w.str(" MACDST=")
		w.bytes(h[:6])
		w.str(" MACPROTO=")
		w.hex(lower, h[12])
		w.hex(lower, h[13])
		w.str(" ")
		return
	}
	w.str("MAC=")
	w.bytes(h)
	w.str(" ")
}

// ip writes the IP header at off and what it carries; off is 0, or the place of
// the quote in an ICMP error (Linux: dump_ipv4_packet).
func (w *writer) ip(off int) {
	var buf [64]byte
	p := w.at(off, header.IPv4MinLen, &buf)
	if p == nil {
		w.str("TRUNCATED")
		return
	}
	h := header.IPv4(p)
	w.addr("SRC=", h.Src())
	w.addr("DST=", h.Dst())
	w.num("LEN=", uint32(h.TotalLen()))
	w.str("TOS=0x")
	w.hex(upper, h.TOS()&0x1e)
	w.str(" PREC=0x")
	w.hex(upper, h.TOS()&0xe0)
	w.str(" ")
	w.num("TTL=", uint32(h.TTL()))
	w.num("ID=", uint32(h.ID()))
	frag := h.FragField()
	for _, n := range [...]struct {
		bit  uint16
		name string
	}{{header.IPCE, "CE "}, {header.IPDF, "DF "}, {header.IPMF, "MF "}} {
		if frag&n.bit != 0 {
			w.str(n.name)
		}
	}
	later := frag&header.IPOffset != 0
	if later {
		w.num("FRAG:", uint32(frag&header.IPOffset))
	}
	hlen, proto := h.HeaderLen(), h.Protocol()
	if w.f&IPOpt != 0 && hlen > header.IPv4MinLen {
		var opts [64]byte
		o := w.at(off+header.IPv4MinLen, hlen-header.IPv4MinLen, &opts)
		if o == nil {
			w.str("TRUNCATED")
			return
		}
		w.options(o)
	}
	if !w.transport(off, off+hlen, proto, later) || off > 0 {
		return
	}
	if w.f&UID != 0 && w.b.Sk != nil {
		w.str("UID=0 GID=0 ") // there is one user
	}
	if w.b.Mark != 0 {
		w.str("MARK=0x")
		w.line = append(strconv.AppendUint(w.line, uint64(w.b.Mark), 16), ' ')
	}
}

// transport writes the header at off of the packet that begins at outer. False
// ends the line.
func (w *writer) transport(outer, off int, proto uint8, later bool) bool {
	var buf [64]byte
	switch proto {
	case header.ProtoTCP:
		w.str("PROTO=TCP ")
		return later || w.tcp(off)
	case header.ProtoUDP, header.ProtoUDPLite:
		if w.str("PROTO=UDP "); proto == header.ProtoUDPLite {
			w.line = append(w.line[:len(w.line)-1], "LITE "...)
		}
		if later {
			return true
		}
		p := w.at(off, header.UDPLen, &buf)
		if p == nil {
			w.incomplete(off)
			return false
		}
		u := header.UDP(p)
		w.num("SPT=", uint32(u.SrcPort()))
		w.num("DPT=", uint32(u.DstPort()))
		w.num("LEN=", uint32(u.Length()))
	case header.ProtoICMP:
		w.str("PROTO=ICMP ")
		if !later {
			w.icmp(outer, off)
		}
	case 50, 51:
		n, at := 8, 0
		if w.str("PROTO=ESP "); proto == 51 {
			w.line = append(w.line[:len(w.line)-4], "AH "...)
			n, at = 12, 4
		}
		if later {
			break
		}
		p := w.at(off, n, &buf)
		if p == nil {
			w.incomplete(off)
			break
		}
		w.str("SPI=0x")
		w.line = append(strconv.AppendUint(w.line, uint64(binary.BigEndian.Uint32(p[at:])), 16), ' ')
	default:
		w.num("PROTO=", uint32(proto))
	}
	return true
}

func (w *writer) tcp(off int) bool {
	var buf [64]byte
	p := w.at(off, header.TCPMinLen, &buf)
	if p == nil {
		w.incomplete(off)
		return false
	}
	t := header.TCP(p)
	w.num("SPT=", uint32(t.SrcPort()))
	w.num("DPT=", uint32(t.DstPort()))
	if w.f&TCPSeq != 0 {
		w.num("SEQ=", t.Seq())
		w.num("ACK=", t.AckSeq())
	}
	w.num("WINDOW=", uint32(t.Window()))
	w.str("RES=0x")
	w.hex(lower, t[12]&15<<2)
	w.str(" ")
	for i := 7; i >= 0; i-- {
		if t.Flags()&(1<<i) != 0 {
			w.str(tcpFlags[i])
		}
	}
	w.num("URGP=", uint32(t.Urgent()))
	if n := t.HeaderLen() - header.TCPMinLen; w.f&TCPOpt != 0 && n > 0 {
		o := w.at(off+header.TCPMinLen, n, &buf)
		if o == nil {
			w.str("OPT (TRUNCATED)")
			return false
		}
		w.options(o)
	}
	return true
}

var tcpFlags = [8]string{"FIN ", "SYN ", "RST ", "PSH ", "ACK ", "URG ", "ECE ", "CWR "} // read-only

// icmpLen is the least length of a message of a type. read-only
var icmpLen = [header.ICMPMaxType + 1]int{
	header.ICMPEchoReply: 4, header.ICMPDestUnreach: 28, header.ICMPSourceQuench: 28, header.ICMPRedirect: 28,
	header.ICMPEcho: 4, header.ICMPTimeExceeded: 28, header.ICMPParameterProb: 28,
	header.ICMPTimestamp: 20, header.ICMPTimestampReply: 20, header.ICMPAddressMask: 12, header.ICMPAddressReply: 12,
}

func (w *writer) icmp(outer, off int) {
	var buf [64]byte
	p := w.at(off, header.ICMPLen, &buf)
	if p == nil {
		w.incomplete(off)
		return
	}
	h := header.ICMP(p)
	typ, code := h.Type(), h.Code()
	w.num("TYPE=", uint32(typ))
	w.num("CODE=", uint32(code))
	if typ <= header.ICMPMaxType && w.b.Len()-off < icmpLen[typ] {
		w.incomplete(off)
		return
	}
	mtu := h.MTU()
	switch typ {
	case header.ICMPEcho, header.ICMPEchoReply:
		w.num("ID=", uint32(h.EchoID()))
		w.num("SEQ=", uint32(h.EchoSeq()))
		return
	case header.ICMPParameterProb:
		w.num("PARAMETER=", h.Rest()>>24)
		return
	case header.ICMPRedirect:
		w.addr("GATEWAY=", header.Addr(h.Rest()))
	case header.ICMPDestUnreach, header.ICMPSourceQuench, header.ICMPTimeExceeded:
	default:
		return
	}
	if outer == 0 {
		w.str("[")
		w.ip(off + header.ICMPLen)
		w.str("] ")
	}
	if typ == header.ICMPDestUnreach && code == header.ICMPFragNeeded {
		w.num("MTU=", uint32(mtu))
	}
}
