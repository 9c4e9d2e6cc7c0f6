package iptables

import (
	"math/bits"
	"strconv"
	"strings"

	"barewire/skb/header"
)

// address is what one of the parts of -s or -d means.
type address struct{ addr, mask header.Addr }

// maxAddresses bounds how many addresses one -s or -d may name: each pair of
// source and destination is a rule.
const maxAddresses = 4096

// parseUint reads a number as C's strtoul with base 0, whole and within bounds.
func parseUint(s string, lo, hi uint64) (uint64, bool) {
	base := 10
	switch {
	case len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x':
		s, base = s[2:], 16
	case len(s) > 1 && s[0] == '0':
		s, base = s[1:], 8
	}
	if len(s) > 0 && (s[0] == '+' || s[0] == '-') {
		return 0, false
	}
	v, err := strconv.ParseUint(s, base, 64)
	return v, err == nil && v >= lo && v <= hi
}

// parseDotted reads a dotted quad. A short one is filled with zeroes unless it
// is a mask, which must be whole.
func parseDotted(s string, whole bool) (a header.Addr, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 || whole && len(parts) != 4 {
		return 0, false
	}
	for i, p := range parts {
		v, ok := parseUint(p, 0, 255)
		if !ok {
			return 0, false
		}
		a |= header.Addr(v) << (24 - 8*i)
	}
	return a, true
}

// prefixMask is the netmask of a prefix length.
func prefixMask(n uint64) header.Addr { return header.Addr(^uint64(0) << (32 - n)) }

// parseAddresses reads the argument of -s or -d: addresses or names, each
// perhaps with a mask, separated by commas (Linux: xtables_ipparse_multiple).
func (x *Iptables) parseAddresses(s string) ([]address, *Error) {
	var l []address
	for _, one := range strings.Split(s, ",") {
		one = strings.TrimLeft(one, " \t\n")
		m := ^header.Addr(0)
		if i := strings.LastIndexByte(one, '/'); i >= 0 {
			text := one[i+1:]
			one = one[:i]
			if a, ok := parseDotted(text, true); ok {
				m = a
			} else if n, ok := parseUint(text, 0, 32); ok {
				m = prefixMask(n)
			} else {
				return nil, problemf("invalid mask `%s' specified", text)
			}
		}
		if m == 0 { // the name before a mask of nothing is not looked at
			l = append(l, address{})
		} else if a, ok := parseDotted(one, false); ok {
			l = append(l, address{a & m, m})
		} else {
			names, err := x.resolve(one)
			if err != nil || len(names) == 0 {
				return nil, problemf("host/network `%s' not found", one)
			}
			for _, a := range names {
				l = append(l, address{header.Addr(a) & m, m})
			}
		}
		if len(l) > maxAddresses {
			return nil, problemf("too many addresses")
		}
	}
	return l, nil
}

// appendMask appends "/bits", or the mask in dots if it is no prefix.
func appendMask(b []byte, m header.Addr) []byte {
	b = append(b, '/')
	n := bits.LeadingZeros32(^uint32(m))
	if prefixMask(uint64(n)) == m {
		return strconv.AppendInt(b, int64(n), 10)
	}
	return appendAddr(b, m)
}

func appendAddr(b []byte, a header.Addr) []byte {
	for i := 24; i >= 0; i -= 8 {
		b = strconv.AppendUint(b, uint64(a>>i)&0xff, 10)
		if i > 0 {
			b = append(b, '.')
		}
	}
	return b
}
