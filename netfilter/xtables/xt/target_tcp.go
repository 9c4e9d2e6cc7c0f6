package xt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"barewire/netfilter"
	"barewire/netfilter/nat"
	"barewire/netfilter/xtables"
	"barewire/skb"
	"barewire/skb/header"
)

// The targets that change the options of TCP.

var (
	tcpmssTarget = &xtables.Def{ // read-only
		Name: "TCPMSS", Protos: []uint8{header.ProtoTCP},
		Options: []xtables.Option{
			{Name: "set-mss", ID: 0, Args: 1},
			{Name: "clamp-mss-to-pmtu", ID: 1},
		},
		NewTarget: func() xtables.Target { return new(tcpmssTG) },
	}
	tcpoptstripTarget = &xtables.Def{ // read-only
		Name: "TCPOPTSTRIP", Tables: mangleOnly, Protos: []uint8{header.ProtoTCP},
		Options:   []xtables.Option{{Name: "strip-options", Args: 1}},
		NewTarget: func() xtables.Target { return new(tcpoptstripTG) },
	}
)

// setTCPWord changes the 16-bit word at offset at of a TCP header whose bytes may
// be written, and keeps the checksum right if there is one already.
func setTCPWord(p *xtables.Packet, h header.TCP, at int, word uint16) {
	old := binary.BigEndian.Uint16(h[at:])
	binary.BigEndian.PutUint16(h[at:], word)
	if p.B.IPSummed != skb.ChecksumPartial {
		h.SetChecksum(header.CsumReplace2(h.Checksum(), old, word))
	}
}

// setTCPByte is setTCPWord for one byte.
func setTCPByte(p *xtables.Packet, h header.TCP, at int, v uint8) {
	w := binary.BigEndian.Uint16(h[at&^1:])
	if at&1 == 0 {
		w = w&0xff | uint16(v)<<8
	} else {
		w = w&0xff00 | uint16(v)
	}
	setTCPWord(p, h, at&^1, w)
}

// writableTCP returns the TCP header with its options, to be written to; nil if
// it is cut short or malformed.
func writableTCP(p *xtables.Packet) header.TCP {
	if !nat.EnsureWritable(p.B, p.Off+header.TCPMinLen) {
		return nil
	}
	n := header.TCP(p.B.Data()[p.Off:]).HeaderLen()
	if n < header.TCPMinLen || !nat.EnsureWritable(p.B, p.Off+n) {
		return nil
	}
	return header.TCP(p.B.Data()[p.Off : p.Off+n])
}

// optionLen returns the length of the option at i, at least 1.
func optionLen(h header.TCP, i int) int {
	if h[i] <= header.TCPOptNOP || i+1 >= len(h) || h[i+1] == 0 {
		return 1
	}
	return int(h[i+1])
}

// tcpmssTG is xt_TCPMSS.
type tcpmssTG struct {
	xtables.Plain
	mss   uint16
	clamp bool
}

const mssLen = 4 // of the option

// Set implements xtables.Extension.
func (t *tcpmssTG) Set(_ *xtables.ParseContext, id int, args []string, _ bool) error {
	if id == 1 {
		t.clamp = true
		return nil
	}
	n, err := number("TCPMSS", "set-mss", args[0], 0, 65535-header.IPv4MinLen)
	if err != nil {
		return err
	}
	t.mss, t.clamp = uint16(n), false // the last one counts
	return nil
}

// Done implements xtables.Extension.
func (t *tcpmssTG) Done(c *xtables.ParseContext) error {
	if !c.Seen(0) && !c.Seen(1) {
		return errors.New("TCPMSS target: At least one parameter is required")
	}
	return nil
}

// Save implements xtables.Extension.
func (t *tcpmssTG) Save(b []byte) []byte {
	if t.clamp {
		return append(b, " --clamp-mss-to-pmtu"...)
	}
	return strconv.AppendUint(append(b, " --set-mss "...), uint64(t.mss), 10)
}

// Print implements xtables.Extension.
func (t *tcpmssTG) Print(b []byte, _ bool) []byte {
	if t.clamp {
		return append(b, " TCPMSS clamp to PMTU"...)
	}
	return strconv.AppendUint(append(b, " TCPMSS set "...), uint64(t.mss), 10)
}

// Check implements xtables.Extension (Linux: tcpmss_tg4_check).
func (t *tcpmssTG) Check(c *xtables.CheckContext) error {
	if t.clamp {
		if c.Hooks&^(1<<netfilter.Forward|1<<netfilter.LocalOut|1<<netfilter.PostRouting) != 0 {
			return errors.New("path-MTU clamping only supported in FORWARD, OUTPUT and POSTROUTING hooks")
		}
		if c.Env.PathMTU == nil {
			return errors.New("there are no routes here")
		}
	}
	for _, m := range c.Rule.Matches {
		if t, ok := m.Match.(*tcpMatch); ok && t.cmp&header.TCPSyn != 0 && !t.invFlags {
			return nil
		}
	}
	return errors.New("Only works on TCP SYN packets")
}

// Target implements xtables.Target (Linux: tcpmss_tg4).
func (t *tcpmssTG) Target(p *xtables.Packet) xtables.Verdict {
	if p.FragOff != 0 {
		return xtables.Continue
	}
	// All of it, as on Linux: what was put together from fragments is cut anew.
	if !nat.EnsureWritable(p.B, p.B.Len()) {
		return xtables.Drop
	}
	h := writableTCP(p)
	if h == nil {
		return xtables.Drop
	}
	mss := t.mss
	if t.clamp {
		out, back := p.Env.PathMTU(p.B, p.State)
		if back != 0 {
			out = min(out, back)
		}
		const headers = header.IPv4MinLen + header.TCPMinLen
		if out <= headers {
			return xtables.Drop
		}
		mss = uint16(min(out-headers, 0xffff))
	}
	for i := header.TCPMinLen; i+mssLen <= len(h); i += optionLen(h, i) {
		if h[i] != header.TCPOptMSS || h[i+1] != mssLen {
			continue
		}
		if old := binary.BigEndian.Uint16(h[i+2:]); old > mss { // never more than was offered
			setTCPByte(p, h, i+2, uint8(mss>>8))
			setTCPByte(p, h, i+3, uint8(mss))
		}
		return xtables.Continue
	}
	// A SYN with data is left alone: with an option more it could be too large.
	if p.B.Len()-p.Off > len(h) || len(h)+mssLen > header.TCPMaxLen {
		return xtables.Continue
	}
	// A host that says nothing takes 536 (RFC 9293 section 3.7.1).
	return t.add(p, len(h), min(mss, 536))
}

// add puts the option in front of the others of a segment without data, whose
// header has n bytes.
func (t *tcpmssTG) add(p *xtables.Packet, n int, mss uint16) xtables.Verdict {
	b := p.B
	if b.DataLen() != 0 || !b.CowTail(mssLen) {
		return xtables.Drop
	}
	b.Put(mssLen)
	h := header.TCP(b.Data()[p.Off : p.Off+n+mssLen])
	copy(h[header.TCPMinLen+mssLen:], h[header.TCPMinLen:n])
	copy(h[header.TCPMinLen:], []byte{header.TCPOptMSS, mssLen, byte(mss >> 8), byte(mss)})
	if b.IPSummed != skb.ChecksumPartial {
		c := header.CsumReplace4(h.Checksum(), 0, binary.BigEndian.Uint32(h[header.TCPMinLen:]))
		h.SetChecksum(c)
	}
	// The pseudo header has the length, whoever sums up the rest.
	length := uint16(n)
	sum := header.CsumReplace2(h.Checksum(), length, length+mssLen)
	if b.IPSummed == skb.ChecksumPartial {
		sum = ^header.CsumReplace2(^h.Checksum(), length, length+mssLen)
	}
	h.SetChecksum(sum)
	setTCPByte(p, h, 12, uint8(len(h)/4)<<4|h[12]&15)
	if !setWord(p, 2, uint16(p.IP.TotalLen()+mssLen)) {
		return xtables.Drop
	}
	return xtables.Continue
}

// tcpoptstripTG is xt_TCPOPTSTRIP: options become no-operations.
type tcpoptstripTG struct {
	xtables.Plain
	strip [4]uint64 // a set of kinds
}

// tcpOptionNames are the options with names. read-only
var tcpOptionNames = []struct {
	name string
	kind uint8
}{{"wscale", 3}, {"mss", 2}, {"sack-permitted", 4}, {"sack", 5}, {"timestamp", 8}, {"md5", 19}}

// Set implements xtables.Extension.
func (t *tcpoptstripTG) Set(_ *xtables.ParseContext, _ int, args []string, _ bool) error {
next:
	for s := range strings.SplitSeq(args[0], ",") {
		for _, o := range tcpOptionNames {
			if o.name == s {
				t.strip[0] |= 1 << o.kind
				continue next
			}
		}
		n, ok := parseUint(s, 0, 255)
		if !ok {
			return fmt.Errorf("Bad TCP option value \"%s\"", s)
		}
		if n < 2 {
			return errors.New("Option value may not be 0 or 1")
		}
		t.strip[n/64] |= 1 << (n % 64)
	}
	return nil
}

func (t *tcpoptstripTG) has(kind uint8) bool { return t.strip[kind/64]>>(kind%64)&1 != 0 }

func (t *tcpoptstripTG) list(b []byte, numeric bool) []byte {
	first := true
	for k := range 256 {
		if !t.has(uint8(k)) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		name := strconv.Itoa(k)
		for _, o := range tcpOptionNames {
			if !numeric && int(o.kind) == k {
				name = o.name
			}
		}
		b = append(b, name...)
	}
	return b
}

// Save implements xtables.Extension.
func (t *tcpoptstripTG) Save(b []byte) []byte {
	if t.strip == [4]uint64{} {
		return b
	}
	return t.list(append(b, " --strip-options "...), true)
}

// Print implements xtables.Extension.
func (t *tcpoptstripTG) Print(b []byte, numeric bool) []byte {
	if t.strip == [4]uint64{} {
		return b
	}
	return t.list(append(b, " TCPOPTSTRIP options "...), numeric)
}

// Target implements xtables.Target (Linux: tcpoptstrip_mangle_packet).
func (t *tcpoptstripTG) Target(p *xtables.Packet) xtables.Verdict {
	if p.FragOff != 0 {
		return xtables.Continue
	}
	h := writableTCP(p)
	if h == nil {
		return xtables.Drop
	}
	for i := header.TCPMinLen; i < len(h)-1; {
		n := optionLen(h, i)
		if i+n > len(h) {
			break
		}
		if t.has(h[i]) {
			for k := i; k < i+n; k++ {
				setTCPByte(p, h, k, header.TCPOptNOP)
			}
		}
		i += n
	}
	return xtables.Continue
}
