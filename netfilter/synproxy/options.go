package synproxy

import (
	"encoding/binary"

	"barewire/skb/header"
)

// Offer is what a rule says of the server (the options of the target SYNPROXY).
type Offer struct {
	MSS                            uint16 // 0 for nothing
	WScale                         uint8
	WScaleOK, SACK, Timestamp, ECN bool
}

// options are those of TCP that matter to the proxy (Linux: struct
// synproxy_options).
type options struct {
	mss                                  uint16
	wscale                               uint8
	tsval, tsecr                         uint32
	hasMSS, wscaleOK, sackOK, hasTS, ecn bool
}

// read takes the options of a header (Linux: synproxy_parse_options).
func (o *options) read(h header.TCP) {
	*o = options{}
	h.EachOption(func(kind uint8, p []byte) {
		switch {
		case kind == header.TCPOptMSS && len(p) == 2:
			o.mss, o.hasMSS = binary.BigEndian.Uint16(p), true
		case kind == header.TCPOptWScale && len(p) == 1:
			o.wscale, o.wscaleOK = min(p[0], 14), true
		case kind == header.TCPOptTimestamp && len(p) == 8:
			o.tsval, o.tsecr, o.hasTS = binary.BigEndian.Uint32(p), binary.BigEndian.Uint32(p[4:]), true
		case kind == header.TCPOptSACKOK && len(p) == 0:
			o.sackOK = true
		}
	})
}

// size is the length of what put writes.
func (o *options) size() (n int) {
	if o.hasMSS {
		n += 4
	}
	if o.hasTS {
		n += 12
	} else if o.sackOK {
		n += 4
	}
	if o.wscaleOK {
		n += 4
	}
	return n
}

// put writes the options (Linux: synproxy_build_options).
func (o *options) put(p []byte) {
	const nop = header.TCPOptNOP
	if o.hasMSS {
		p = p[copy(p, []byte{header.TCPOptMSS, 4, byte(o.mss >> 8), byte(o.mss)}):]
	}
	first := [2]byte{nop, nop}
	if o.sackOK {
		first = [2]byte{header.TCPOptSACKOK, 2}
	}
	if o.hasTS {
		copy(p, []byte{first[0], first[1], header.TCPOptTimestamp, 10})
		binary.BigEndian.PutUint32(p[4:], o.tsval)
		binary.BigEndian.PutUint32(p[8:], o.tsecr)
		p = p[12:]
	} else if o.sackOK {
		p = p[copy(p, []byte{nop, nop, first[0], first[1]}):]
	}
	if o.wscaleOK {
		copy(p, []byte{nop, header.TCPOptWScale, 3, o.wscale})
	}
}

// The last six bits of the timestamp of a SYN-ACK carry what else the client can
// (Linux: synproxy_init_timestamp_cookie).
const (
	cookieWScale = 0xf // all ones: no scaling
	cookieSACK   = 1 << 4
	cookieECN    = 1 << 5
	cookieBits   = cookieWScale | cookieSACK | cookieECN
)

// cookie is the time in milliseconds with the client's options in it.
func (o *options) cookie(now int64) uint32 {
	v := uint32(now/1e6) &^ cookieBits
	if o.wscaleOK {
		v |= uint32(o.wscale)
	} else {
		v |= cookieWScale
	}
	if o.sackOK {
		v |= cookieSACK
	}
	if o.ecn {
		v |= cookieECN
	}
	return v
}

// fromCookie takes the options out of the timestamp that came back (Linux:
// synproxy_check_timestamp_cookie).
func (o *options) fromCookie() {
	o.wscale = uint8(o.tsecr & cookieWScale)
	o.wscaleOK = o.wscale < cookieWScale
	o.sackOK = o.tsecr&cookieSACK != 0
	o.ecn = o.tsecr&cookieECN != 0
}
