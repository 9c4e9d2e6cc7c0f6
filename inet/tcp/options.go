package tcp

import (
	"encoding/binary"

	"barewire/skb/header"
)

// parsedOpts is what one segment's options say.
type parsedOpts struct {
	mss      uint16 // 0 if there was none
	wscale   uint8
	wscaleOK bool
	sackOK   bool
	hasTS    bool
	tsval    uint32
	tsecr    uint32
	sack     []byte // blocks of a SACK option, 8 bytes each; aliases the header
	fo       []byte // Fast Open cookie; nil if there was no option
	foExp    bool
	md5      bool
	accOrder uint8  // of the fields in acc: 0 or 1
	acc      []byte // AccECN's counts; nil if there was no option; aliases the header
}

// parseOptions reads the options of a header (Linux: tcp_parse_options). A
// malformed option ends the list; unknown ones are skipped (RFC 9293 section
// 3.1). Options that only a SYN may carry are looked at in one.
func parseOptions(h header.TCP, o *parsedOpts) {
	*o = parsedOpts{}
	syn := h.Flags()&header.TCPSyn != 0
	p := h.Options()
	for len(p) > 0 {
		kind := p[0]
		if kind == header.TCPOptEOL {
			return
		}
		if kind == header.TCPOptNOP {
			p = p[1:]
			continue
		}
		if len(p) < 2 {
			return
		}
		n := int(p[1])
		if n < 2 || n > len(p) {
			return
		}
		v := p[2:n]
		p = p[n:]
		switch kind {
		case header.TCPOptMSS:
			if n == 4 && syn {
				o.mss = binary.BigEndian.Uint16(v)
			}
		case header.TCPOptWScale:
			if n == 3 && syn {
				o.wscaleOK, o.wscale = true, min(v[0], maxWScale)
			}
		case header.TCPOptTimestamp:
			if n == 10 {
				o.hasTS = true
				o.tsval, o.tsecr = binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
			}
		case header.TCPOptSACKOK:
			if n == 2 && syn {
				o.sackOK = true
			}
		case header.TCPOptSACK:
			if len(v) >= 8 && len(v)%8 == 0 {
				o.sack = v
			}
		case header.TCPOptMD5:
			o.md5 = true
		case header.TCPOptAccECN0, header.TCPOptAccECN1:
			o.acc, o.accOrder = v, kind>>1&1
		case header.TCPOptFastOpen:
			if syn {
				o.setFastOpen(v, false)
			}
		case header.TCPOptExp:
			if syn && len(v) >= 2 && binary.BigEndian.Uint16(v) == 0xf989 {
				o.setFastOpen(v[2:], true)
			}
		}
	}
}

// setFastOpen notes a cookie of a length it may have (RFC 7413 section 4.1.1).
func (o *parsedOpts) setFastOpen(cookie []byte, exp bool) {
	if len(cookie) == 0 || len(cookie) >= 4 && len(cookie) <= 16 && len(cookie)%2 == 0 {
		o.fo, o.foExp = append(make([]byte, 0, 16), cookie...), exp
	}
}

// outOpts are the options of a segment to send (Linux: struct tcp_out_options).
type outOpts struct {
	mss      uint16 // 0 for none
	ws       uint8
	wscale   bool
	ts       bool
	sackOK   bool
	tsval    uint32
	tsecr    uint32
	blocks   [sackBlocks]sackBlock
	nblocks  int
	foCookie []byte // nil for none
	foExp    bool
	md5      *md5Key
	md5Last  bool // behind the timestamps, as in what no sock sends
	md5At    int  // where the sum goes
	size     int

	acc       bool // AccECN, with so many fields
	accFields int
	accBytes  *[4]uint32 // the counts; nil for those of a SYN-ACK
}

// put writes the options in Linux's order and padding (tcp_options_write) and
// returns how many bytes they take.
func (o *outOpts) put(p []byte) int {
	at := 0
	word := func(a, b, c, d byte) {
		p[at], p[at+1], p[at+2], p[at+3] = a, b, c, d
		at += 4
	}
	long := func(v uint32) {
		binary.BigEndian.PutUint32(p[at:], v)
		at += 4
	}
	sum := func() {
		word(header.TCPOptNOP, header.TCPOptNOP, header.TCPOptMD5, 18)
		o.md5At = at
		at += 16
	}
	if o.md5 != nil && !o.md5Last {
		sum()
	}
	if o.mss != 0 {
		word(header.TCPOptMSS, 4, byte(o.mss>>8), byte(o.mss))
	}
	if o.ts {
		if o.sackOK {
			word(header.TCPOptSACKOK, 2, header.TCPOptTimestamp, 10)
		} else {
			word(header.TCPOptNOP, header.TCPOptNOP, header.TCPOptTimestamp, 10)
		}
		long(o.tsval)
		long(o.tsecr)
	}
	pad, padLen := [2]byte{header.TCPOptNOP, header.TCPOptNOP}, 0
	if o.acc {
		var n int
		n, pad, padLen = o.putAccECN(p[at:])
		at += n
	}
	padded := func(c, d byte) {
		word(pad[0], pad[1], c, d)
		pad, padLen = [2]byte{header.TCPOptNOP, header.TCPOptNOP}, 0
	}
	if o.sackOK && !o.ts {
		padded(header.TCPOptSACKOK, 2)
	}
	if o.wscale {
		first := byte(header.TCPOptNOP)
		if padLen == 1 {
			first, pad[0], padLen = pad[0], header.TCPOptNOP, 0
		}
		word(first, header.TCPOptWScale, 3, o.ws)
	}
	if o.nblocks > 0 {
		padded(header.TCPOptSACK, byte(2+8*o.nblocks))
		for _, b := range o.blocks[:o.nblocks] {
			long(b.start)
			long(b.end)
		}
	}
	if padLen > 0 {
		padded(header.TCPOptNOP, header.TCPOptNOP)
	}
	if o.foCookie != nil {
		at += o.putFastOpen(p[at:])
	}
	if o.md5Last {
		sum()
	}
	return at
}

// putFastOpen writes the Fast Open option, padded to four bytes.
func (o *outOpts) putFastOpen(p []byte) int {
	n := 2
	if o.foExp {
		p[0], p[1], p[2], p[3] = header.TCPOptExp, byte(4+len(o.foCookie)), 0xf9, 0x89
		n = 4
	} else {
		p[0], p[1] = header.TCPOptFastOpen, byte(2+len(o.foCookie))
	}
	n += copy(p[n:], o.foCookie)
	for n%4 != 0 {
		p[n] = header.TCPOptNOP
		n++
	}
	return n
}

// synOptions are the options of our SYN (Linux: tcp_syn_options).
func (s *Sock) synOptions(o *outOpts, tsval uint32) {
	c := &s.tcp.conf
	*o = outOpts{mss: uint16(s.advertiseMSS()), size: mssOptLen}
	left := header.TCPMaxOption - mssOptLen
	if o.md5 = s.md5Peer(); o.md5 != nil {
		left -= md5OptLen // and no room for timestamps
	} else if c.timestamps.Load() != 0 {
		o.ts, o.tsval, o.tsecr = true, tsval, s.opt.tsRecent
		left -= tsOptLen
	}
	if c.windowScaling.Load() != 0 {
		o.wscale, o.ws = true, s.opt.rcvWScale
		left -= wscaleOptLen
	}
	if c.sack.Load() != 0 {
		o.sackOK = true
		if !o.ts {
			left -= sackOKOptLen
		}
	}
	s.fastopenSynOption(o, &left)
	o.size = header.TCPMaxOption - left
}

// establishedOptions are the options of every later segment (Linux:
// tcp_established_options).
func (s *Sock) establishedOptions(o *outOpts, tsval uint32) {
	*o = outOpts{}
	if o.md5 = s.md5Peer(); o.md5 != nil {
		o.size = md5OptLen
	}
	if s.opt.tsOK {
		o.ts, o.tsval, o.tsecr = true, tsval, s.opt.tsRecent
		o.size += tsOptLen
	}
	s.sackOptions(o)
	if s.ecn&ecnAcc != 0 {
		if c := s.makeECNCounts(); s.accDue(c) {
			o.accBytes = &c.received
			o.fitAccECN(int(c.minFields), false)
		}
	}
}

// sackOptions adds the SACK blocks that have room.
func (s *Sock) sackOptions(o *outOpts) {
	n := int(s.numSacks)
	if s.hasDup {
		n++
	}
	if n == 0 || header.TCPMaxOption-o.size < sackBaseLen+sackBlockLen {
		return
	}
	n = min(n, (header.TCPMaxOption-o.size-sackBaseLen)/sackBlockLen)
	if s.hasDup {
		o.blocks[0] = s.sackDup
		o.nblocks = 1
	}
	for i := 0; o.nblocks < n; i++ {
		o.blocks[o.nblocks] = s.sacks[i]
		o.nblocks++
	}
	o.size += sackBaseLen + o.nblocks*sackBlockLen
}
