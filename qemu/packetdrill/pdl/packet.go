package pdl

import (
	"encoding/hex"
	"math"
	"slices"
	"strings"
)

func (p *parser) packet() (*Packet, error) {
	k := &Packet{Inbound: p.is("<")}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.isWord("ipv4", "ipv6", "gre", "GREv0", "mpls") {
		return nil, &Unsupported{p.tok.line, "a packet within " + p.tok.text}
	}
	if err := p.ipInfo(&k.IP); err != nil {
		return nil, err
	}
	if !k.Inbound && k.IP.TOS != 0 && k.IP.Check == TOSNone {
		return nil, p.errorf("no check of TOS")
	}
	if k.Inbound && k.IP.Check == TOSECT01 {
		return nil, p.errorf("[ect01] is for packets that go out")
	}
	var err error
	switch {
	case p.isWord("udp"):
		k.UDP, err = p.udp(k)
	case p.isWord("icmp"):
		k.ICMP, err = p.icmp()
	default:
		k.TCP, err = p.tcp(k)
	}
	return k, err
}

// ipInfo is [ect0], [tos 0x10], [ttl 5], in square or round brackets.
func (p *parser) ipInfo(i *IPInfo) error {
	end := "]"
	if p.is("(") {
		end = ")"
	} else if !p.is("[") {
		return nil
	}
	for !p.is(end) {
		if err := p.advance(); err != nil {
			return err
		}
		w, err := p.word()
		if err != nil {
			return err
		}
		if ecn := slices.Index([]string{"noecn", "ect1", "ect0", "ce"}, w); ecn >= 0 {
			i.Check, i.TOS = TOSECN, uint8(ecn)
			continue
		}
		var v int64
		switch w {
		case "ect01":
			i.Check = TOSECT01
		case "tos":
			i.Check = TOSAll
			v, err = p.integer("a TOS", 0, 255)
			i.TOS = uint8(v)
		case "ttl":
			v, err = p.integer("a TTL", 0, 255)
			i.TTL = uint8(v)
		default:
			return &Unsupported{p.tok.line, w}
		}
		if err != nil {
			return err
		}
		if !p.is(end) && !p.is(",") {
			return p.unexpected(end)
		}
	}
	return p.advance()
}

// ports is 1234 > 80, when it is there.
func (p *parser) ports(k *Packet) error {
	if p.tok.kind != tInt {
		return nil
	}
	if next, err := p.peek(); err != nil || next.kind != tChar || next.text != ">" {
		return err
	}
	src, err := p.integer("a port", 0, math.MaxUint16)
	if err != nil {
		return err
	}
	if err = p.expect(">"); err != nil {
		return err
	}
	dst, err := p.integer("a port", 0, math.MaxUint16)
	k.SrcPort, k.DstPort = uint16(src), uint16(dst)
	return err
}

// flags is S., P., ., F, SEW, with a digit behind the dot that is the three bits
// of accurate ECN, or - for none.
func (p *parser) flags(t *TCP) error {
	text := ""
	if p.is("-") {
		return p.advance()
	}
	if p.tok.kind == tWord || p.tok.kind == tInt {
		text = p.tok.text
		if err := p.advance(); err != nil {
			return err
		}
	}
	if p.is(".") || p.tok.kind == tFloat && p.tok.text[0] == '.' {
		text += p.tok.text
		if err := p.advance(); err != nil {
			return err
		}
	}
	if text == "" {
		return p.unexpected("the flags of a segment")
	}
	for _, c := range text {
		if i := strings.IndexRune("FSRP.UEWA", c); i >= 0 {
			t.Flags |= 1 << i
			continue
		}
		if c < '0' || c > '7' {
			return p.errorf("unknown flag %c in %s", c, text)
		}
		t.ACE = true
		for i, f := range []uint16{ECE, CWR, AE} {
			if (c-'0')>>i&1 != 0 {
				t.Flags |= f
			}
		}
	}
	return nil
}

// seq is 1:1001(1000).
func (p *parser) seq() (start uint32, n int, err error) {
	a, err := p.integer("a sequence number", 0, math.MaxUint32)
	if err == nil {
		err = p.expect(":")
	}
	var b, c int64
	if err == nil {
		b, err = p.integer("a sequence number", 0, math.MaxUint32)
	}
	if err == nil {
		c, err = p.size()
	}
	if err == nil && uint32(b) != uint32(a+c) {
		err = p.errorf("%d:%d are not %d bytes", a, b, c)
	}
	return uint32(a), int(c), err
}

// size is (1000).
func (p *parser) size() (int64, error) {
	if err := p.expect("("); err != nil {
		return 0, err
	}
	n, err := p.integer("a size", 0, math.MaxUint16)
	if err != nil {
		return 0, err
	}
	return n, p.expect(")")
}

// named takes "name N" if name is next.
func (p *parser) named(name string, hi int64, absent int64) (int64, error) {
	if !p.isWord(name) {
		return absent, nil
	}
	if err := p.advance(); err != nil {
		return 0, err
	}
	return p.integer(name, 0, hi)
}

func (p *parser) tcp(k *Packet) (*TCP, error) {
	t := &TCP{}
	if err := p.ports(k); err != nil {
		return nil, err
	}
	err := p.flags(t)
	if err != nil {
		return nil, err
	}
	if t.Seq, t.Len, err = p.seq(); err != nil {
		return nil, err
	}
	ack, err := p.named("ack", math.MaxUint32, 0)
	if err != nil {
		return nil, err
	}
	win, err := p.named("win", math.MaxUint16, -1)
	if err != nil {
		return nil, err
	}
	urg, err := p.named("urg", math.MaxUint16, 0)
	if err != nil {
		return nil, err
	}
	t.Ack, t.Win, t.Urg = uint32(ack), int(win), uint16(urg)
	if p.is("<") {
		if err = p.options(t); err != nil {
			return nil, err
		}
		if t.AnyOptions && k.Inbound {
			return nil, p.errorf("<...> is for packets that go out")
		}
	}
	if p.is("{") {
		return nil, &Unsupported{p.tok.line, "mutation of a packet"}
	}
	return t, nil
}

func (p *parser) options(t *TCP) error {
	for first := true; !p.is(">"); first = false {
		if !first && !p.is(",") {
			return p.unexpected(`"," or ">"`)
		}
		if err := p.advance(); err != nil {
			return err
		}
		if p.tok.kind == tEllipsis && first {
			t.AnyOptions = true
			if err := p.advance(); err != nil {
				return err
			}
			continue
		}
		o, err := p.option()
		if err != nil {
			return err
		}
		t.Options = append(t.Options, o)
	}
	return p.advance()
}

func (p *parser) option() (o TCPOption, err error) {
	name, err := p.word()
	if err != nil {
		return o, err
	}
	var v int64
	switch name {
	case "eol":
		o.Kind = OptEOL
	case "nop":
		o.Kind = OptNOP
	case "mss":
		o.Kind = OptMSS
		v, err = p.integer(name, 0, math.MaxUint16)
	case "wscale":
		o.Kind = OptWScale
		v, err = p.integer(name, 0, math.MaxUint8)
	case "sackOK":
		o.Kind = OptSackOK
	case "sack":
		o.Kind = OptSack
		o.Blocks, err = p.blocks()
	case "TS":
		o.Kind = OptTimestamp
		var ecr int64
		if v, err = p.named("val", math.MaxUint32, -1); err == nil {
			ecr, err = p.named("ecr", math.MaxUint32, -1)
		}
		if err == nil && (v < 0 || ecr < 0) {
			err = p.unexpected("val and ecr")
		}
		o.Echo = uint32(ecr)
	case "FO":
		o.Kind = OptFastOpen
		o.Data, err = p.blob()
	case "FOEXP":
		o.Kind = OptExp
		o.Data, err = p.blob()
		o.Data = append([]byte{0xf9, 0x89}, o.Data...) // RFC 6994 section 3
	case "ECN":
		return p.accECN()
	case "md5":
		o.Kind = OptMD5
		o.Data, err = p.blob()
	default:
		err = &Unsupported{p.tok.line, "TCP option " + name}
	}
	o.Value = uint32(v)
	return o, err
}

// accECN is "ECN e0b 1 ceb 0 e1b 1", or in the other order, with as many of the
// three counters as there are (RFC 9768 section 3.2.3).
func (p *parser) accECN() (o TCPOption, err error) {
	orders := map[int][]string{OptAccECN0: {"e0b", "ceb", "e1b"}, OptAccECN1: {"e1b", "ceb", "e0b"}}
	o.Kind = OptAccECN0
	if p.isWord("e1b") {
		o.Kind = OptAccECN1
	}
	for _, name := range orders[o.Kind] {
		if !p.isWord(name) {
			break
		}
		v, err := p.named(name, 1<<24-1, 0)
		if err != nil {
			return o, err
		}
		o.Data = append(o.Data, byte(v>>16), byte(v>>8), byte(v))
	}
	return o, nil
}

// blocks is 1:1001 2001:3001.
func (p *parser) blocks() (bs [][2]uint32, err error) {
	for p.tok.kind == tInt {
		var b [2]uint32
		for i := range b {
			if i == 1 {
				if err = p.expect(":"); err != nil {
					return nil, err
				}
			}
			v, err := p.integer("an edge", 0, math.MaxUint32)
			if err != nil {
				return nil, err
			}
			b[i] = uint32(v)
		}
		bs = append(bs, b)
	}
	if len(bs) == 0 {
		err = p.unexpected("a block")
	}
	return bs, err
}

// blob is bytes as hexadecimal digits; none is an empty one.
func (p *parser) blob() ([]byte, error) {
	if p.tok.kind != tWord && p.tok.kind != tInt {
		return nil, nil
	}
	b, err := hex.DecodeString(p.tok.text)
	if err != nil {
		return nil, p.errorf("%s are not bytes in hexadecimal digits", p.tok.text)
	}
	return b, p.advance()
}

func (p *parser) udp(k *Packet) (*UDP, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.ports(k); err != nil {
		return nil, err
	}
	n, err := p.size()
	return &UDP{int(n)}, err
}

func (p *parser) icmp() (*ICMP, error) {
	err := p.advance()
	if err != nil {
		return nil, err
	}
	m := &ICMP{}
	if m.Type, err = p.word(); err != nil {
		return nil, err
	}
	if p.tok.kind == tWord && !p.isWord("mtu", "id") {
		if m.Code, err = p.word(); err != nil {
			return nil, err
		}
	}
	mtu, err := p.named("mtu", math.MaxUint16, -1)
	if err != nil {
		return nil, err
	}
	id, err := p.named("id", math.MaxUint16, 0)
	if err != nil {
		return nil, err
	}
	m.MTU, m.ID = int(mtu), uint16(id)
	if quoted, err := p.accept("["); !quoted {
		return m, err
	}
	m.Echoed = "tcp"
	if p.isWord("udp", "raw") {
		m.Echoed = p.tok.text
		if err = p.advance(); err != nil {
			return nil, err
		}
		var n int64
		n, err = p.size()
		m.EchoedLen = int(n)
	} else {
		m.EchoedSeq, m.EchoedLen, err = p.seq()
	}
	if err != nil {
		return nil, err
	}
	return m, p.expect("]")
}
