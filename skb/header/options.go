package header

// IPv4 option types (RFC 791 section 3.1; Linux: IPOPT_*).
const (
	OptEnd         = 0
	OptNop         = 1
	OptRecordRoute = 7
	OptTimestamp   = 68
	OptSecurity    = 130
	OptLSRR        = 131
	OptCIPSO       = 134
	OptSSRR        = 137
	OptRouterAlert = 148
)

// Flags of a timestamp option, the low four bits of its fourth byte (RFC 791).
const (
	OptTSOnly    = 0
	OptTSAndAddr = 1
	OptTSPrespec = 3
)

// MaxOptions is the most bytes of options a header has.
const MaxOptions = IPv4MaxLen - IPv4MinLen

// Options is what a pass over the options of a header found (Linux: struct
// ip_options). Offsets are from the start of the IP header, 0 for absent.
type Options struct {
	SourceRoute int // LSRR or SSRR
	RecordRoute int
	Timestamp   int
	RouterAlert int
	Strict      bool // the source route is SSRR
}

// ParseOptions walks the options of h (Linux: __ip_options_compile with an
// skb). When they are malformed it returns false and the offset, from the
// start of the header, of the byte in error: the pointer of an ICMP parameter
// problem message. The options found so far are valid even then.
func (h IPv4) ParseOptions() (o Options, at int, ok bool) {
	p := h[:h.HeaderLen()]
	i := IPv4MinLen
	for i < len(p) {
		switch p[i] {
		case OptEnd:
			return o, 0, true
		case OptNop:
			i++
			continue
		}
		if i+1 >= len(p) {
			return o, i, false
		}
		n := int(p[i+1])
		if n < 2 || i+n > len(p) {
			return o, i, false
		}
		bad := 0
		switch p[i] {
		case OptSSRR, OptLSRR:
			// Pointer at least 4, only once (RFC 1812 section 5.2.4.1).
			switch {
			case n < 3:
				bad = i + 1
			case p[i+2] < 4:
				bad = i + 2
			case o.SourceRoute != 0:
				bad = i
			default:
				o.SourceRoute, o.Strict = i, p[i] == OptSSRR
			}
		case OptRecordRoute:
			switch {
			case o.RecordRoute != 0:
				bad = i
			case n < 3:
				bad = i + 1
			case p[i+2] < 4, int(p[i+2]) <= n && int(p[i+2])+3 > n:
				bad = i + 2
			default:
				o.RecordRoute = i
			}
		case OptTimestamp:
			if o.Timestamp != 0 {
				bad = i
			} else if bad = badTimestamp(p[i:i+n], i); bad == 0 {
				o.Timestamp = i
			}
		case OptRouterAlert:
			if n < 4 {
				bad = i + 1
			} else if p[i+2] == 0 && p[i+3] == 0 {
				o.RouterAlert = i
			}
		case OptCIPSO:
			// As in a Linux without labels configured no domain is known.
			if bad = i + 2; n < 8 {
				bad = i + 1
			}
		}
		if bad != 0 {
			return o, bad, false
		}
		i += n
	}
	return o, 0, true
}

// badTimestamp returns the offset of what is wrong with a timestamp option p
// at offset i, 0 if nothing is.
func badTimestamp(p []byte, i int) int {
	n := len(p)
	if n < 4 {
		return i + 1
	}
	ptr := int(p[2])
	switch {
	case ptr < 5:
		return i + 2
	case ptr > n:
		// No room left: routers count themselves in the overflow, four bits.
		if p[3]&15 != OptTSPrespec && p[3]>>4 == 15 {
			return i + 3
		}
		return 0
	case ptr+3 > n:
		return i + 2
	}
	if f := p[3] & 15; (f == OptTSAndAddr || f == OptTSPrespec) && ptr+7 > n {
		return i + 2
	}
	return 0
}

// OptionSet is options to be put into the header of a packet made here (Linux:
// struct ip_options with its data): those a program set with IP_OPTIONS, or the
// echo of those a packet came with. The zero value is no options.
type OptionSet struct {
	Data [MaxOptions]byte
	Len  int // bytes of Data, a multiple of four
	Options

	// FirstHop is where a packet with a source route goes first; its
	// destination stands last in the option.
	FirstHop Addr
	// Fields the sender fills in itself, behind which the pointers stand
	// already.
	RRNeedAddr, TSNeedAddr, TSNeedTime bool
}

// Compile takes options as a program gives them (Linux: ip_options_get), pads
// them, and prepares what the sender fills in. privileged says that the program
// may send any option (CAP_NET_RAW). unicast reports whether an address is of
// some other host, for timestamps of named hosts. False means EINVAL.
func (s *OptionSet) Compile(raw []byte, privileged bool, unicast func(Addr) bool) bool {
	*s = OptionSet{}
	if len(raw) > MaxOptions {
		return false
	}
	s.Len = (copy(s.Data[:], raw) + 3) &^ 3
	var p [IPv4MaxLen]byte
	p[0] = 4<<4 | byte((IPv4MinLen+s.Len)/4)
	copy(p[IPv4MinLen:], s.Data[:])
	h := IPv4(p[:])
	o, _, ok := h.ParseOptions()
	if !ok || !privileged && h.wantsPrivilege() {
		return false
	}
	s.Options = o
	if i := o.SourceRoute; i != 0 {
		n := int(p[i+1])
		if p[i+2] != 4 || n < 7 || (n-3)&3 != 0 {
			return false
		}
		s.FirstHop = AddrFrom4([4]byte(p[i+3:]))
		copy(p[i+3:i+n], p[i+7:i+n])
	}
	if i := o.RecordRoute; i != 0 && p[i+2] <= p[i+1] {
		p[i+2] += 4
		s.RRNeedAddr = true
	}
	if i := o.Timestamp; i != 0 && p[i+2] <= p[i+1] {
		switch ptr := int(p[i+2]); p[i+3] & 15 {
		case OptTSOnly:
			p[i+2] += 4
			s.TSNeedTime = true
		case OptTSAndAddr:
			p[i+2] += 8
			s.TSNeedAddr, s.TSNeedTime = true, true
		case OptTSPrespec:
			if !unicast(AddrFrom4([4]byte(p[i+ptr-1:]))) {
				p[i+2] += 8
				s.TSNeedTime = true
			}
		default:
			if !privileged {
				return false
			}
		}
	}
	copy(s.Data[:], p[IPv4MinLen:])
	return true
}

// AsGiven returns the options as the program gave them, for it to read back
// (Linux: ip_options_undo).
func (s *OptionSet) AsGiven() [MaxOptions]byte {
	d := s.Data
	at := func(i int) []byte { return d[i-IPv4MinLen:] } // from the start of the header
	if s.SourceRoute != 0 {
		p := at(s.SourceRoute)
		n := int(p[1])
		copy(p[7:n], p[3:n])
		hop := s.FirstHop.As4()
		copy(p[3:], hop[:])
	}
	if s.RRNeedAddr {
		at(s.RecordRoute)[2] -= 4
	}
	if s.TSNeedTime {
		p := at(s.Timestamp)
		p[2] -= 4
		if s.TSNeedAddr || p[3]&15 == OptTSPrespec {
			p[2] -= 4
		}
	}
	return d
}

// wantsPrivilege reports whether there is an option a program may not send
// without CAP_NET_RAW. The options are well-formed.
func (h IPv4) wantsPrivilege() bool {
	for p := h.Options(); len(p) > 0; {
		switch p[0] {
		case OptEnd:
			return false
		case OptNop:
			p = p[1:]
			continue
		case OptSSRR, OptLSRR, OptRecordRoute, OptTimestamp, OptRouterAlert:
		default:
			return true
		}
		p = p[p[1]:]
	}
	return false
}

// BlankOptions turns, in the options of a fragment that is not the first,
// those into padding that are not to be copied (Linux: ip_options_fragment;
// RFC 791 section 3.1).
func BlankOptions(p []byte) {
	for i := 0; i < len(p); {
		switch p[i] {
		case OptEnd:
			return
		case OptNop:
			i++
			continue
		}
		if i+1 >= len(p) || p[i+1] < 2 || i+int(p[i+1]) > len(p) {
			return
		}
		l := int(p[i+1])
		if p[i]&0x80 == 0 { // the copied flag
			for j := range l {
				p[i+j] = OptNop
			}
		}
		i += l
	}
}
