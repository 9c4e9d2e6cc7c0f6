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

// Options is what a pass over the options of a header found (Linux: struct
// ip_options). Offsets are from the start of the IP header, 0 for absent.
type Options struct {
	SourceRoute int // LSRR or SSRR
	RecordRoute int
	Timestamp   int
	RouterAlert int
}

// ParseOptions walks the options of h (Linux: __ip_options_compile with an
// skb). When they are malformed it returns false and the offset, from the
// start of the header, of the byte in error: the pointer of an ICMP parameter
// problem message.
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
		var bad int
		switch p[i] {
		case OptSSRR, OptLSRR:
			// Pointer at least 4, room for whole addresses, only once.
			switch {
			case n < 3:
				bad = i + 1
			case p[i+2] < 4:
				bad = i + 2
			case o.SourceRoute != 0:
				bad = i
			}
			o.SourceRoute = i
		case OptRecordRoute:
			switch {
			case o.RecordRoute != 0:
				bad = i
			case n < 3:
				bad = i + 1
			case p[i+2] < 4:
				bad = i + 2
			case int(p[i+2]) <= n && int(p[i+2])+3 > n:
				bad = i + 2
			}
			o.RecordRoute = i
		case OptTimestamp:
			switch {
			case o.Timestamp != 0:
				bad = i
			case n < 4:
				bad = i + 1
			case p[i+2] < 5:
				bad = i + 2
			case int(p[i+2]) <= n && int(p[i+2])+3 > n:
				bad = i + 2
			}
			o.Timestamp = i
		case OptRouterAlert:
			if n < 4 {
				bad = i + 1
			} else if p[i+2] == 0 && p[i+3] == 0 {
				o.RouterAlert = i
			}
		}
		if bad != 0 {
			return o, bad, false
		}
		i += n
	}
	return o, 0, true
}
