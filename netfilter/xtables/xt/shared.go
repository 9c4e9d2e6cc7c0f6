package xt

import (
	"strings"

	"barewire/netfilter/xtables"
)

// optionAt returns where in the options of TCP or DCCP the first of a kind
// stands, -1 for nowhere. 0 and 1 are options of one byte; of others the length
// follows.
func optionAt(o []byte, kind uint8) int {
	for i := 0; i < len(o); {
		if o[i] == kind {
			return i
		}
		if o[i] < 2 || i+1 >= len(o) || o[i+1] == 0 {
			i++
		} else {
			i += int(o[i+1])
		}
	}
	return -1
}

// parseRange16 takes "n", "lo:hi", "lo:" and ":hi" (XTTYPE_UINT16RC).
func parseRange16(who, opt, s string) (r portRange, err error) {
	lo, hi, is := strings.Cut(s, ":")
	r = allPorts
	if lo != "" || !is {
		n, err := bound(who, opt, lo, 0xffff)
		if err != nil {
			return r, err
		}
		if r.lo = uint16(n); !is {
			r.hi = r.lo
		}
	}
	if hi != "" {
		n, err := bound(who, opt, hi, 0xffff)
		if err != nil {
			return r, err
		}
		r.hi = uint16(n)
	}
	return r, nil
}

// firstTransport returns the first n bytes of the transport header. nil: it is a
// fragment that is not the first, or, then with Hotdrop set, cut short.
func firstTransport(p *xtables.Packet, n int) []byte {
	if p.FragOff != 0 {
		return nil
	}
	h := p.Transport(n)
	p.Hotdrop = h == nil
	return h
}
