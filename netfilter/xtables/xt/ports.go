package xt

import (
	"fmt"
	"strconv"
	"strings"

	"barewire/netfilter/xtables"
	"barewire/skb/header"
)

// portRange is an inclusive range of ports.
type portRange struct{ lo, hi uint16 }

var allPorts = portRange{0, 0xffff} // read-only

func (r portRange) has(p uint16) bool { return p >= r.lo && p <= r.hi }

// parsePort takes a number or the name of a service (xtables_parse_port).
func parsePort(s string, proto uint8) (uint16, error) {
	if n, ok := parseUint(s, 0, 0xffff); ok {
		return uint16(n), nil
	}
	for _, q := range []uint8{proto, header.ProtoTCP, header.ProtoUDP} {
		if n, ok := serviceNumber(s, q); ok && (q == proto || proto == 0) {
			return n, nil
		}
	}
	return 0, fmt.Errorf("invalid port/service `%s' specified", s)
}

// parsePorts takes "port", "lo:hi", "lo:" or ":hi" (XTTYPE_PORTRC).
func parsePorts(s string, proto uint8) (r portRange, err error) {
	lo, hi, is := strings.Cut(s, ":")
	r = allPorts
	if lo != "" || !is {
		if r.lo, err = parsePort(lo, proto); err != nil {
			return r, err
		}
		r.hi = r.lo
	}
	if is {
		r.hi = 0xffff
		if hi != "" {
			if r.hi, err = parsePort(hi, proto); err != nil {
				return r, err
			}
		}
	}
	if r.lo > r.hi {
		return r, fmt.Errorf("invalid portrange (min > max)")
	}
	return r, nil
}

// save appends " --name lo[:hi]" unless the range is all ports.
func (r portRange) save(b []byte, name string, invert bool) []byte {
	if r == allPorts { // inverted, too, though that never matches
		return b
	}
	b = append(not(b, invert), " --"...)
	b = append(append(b, name...), ' ')
	return r.text(b)
}

func (r portRange) text(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(r.lo), 10)
	if r.hi != r.lo {
		b = strconv.AppendUint(append(b, ':'), uint64(r.hi), 10)
	}
	return b
}

// print appends " spt:80", " spts:!1:2" and the like unless the range is all.
func (r portRange) print(b []byte, name string, invert, numeric bool, proto uint8) []byte {
	if r == allPorts && !invert {
		return b
	}
	b = append(append(b, ' '), name...)
	if r.lo != r.hi {
		b = append(b, 's')
	}
	b = append(b, ':')
	if invert {
		b = append(b, '!')
	}
	b = appendPort(b, r.lo, numeric, proto)
	if r.lo != r.hi {
		b = appendPort(append(b, ':'), r.hi, numeric, proto)
	}
	return b
}

// appendPort appends a port, by name unless numeric.
func appendPort(b []byte, p uint16, numeric bool, proto uint8) []byte {
	if !numeric {
		if s := serviceName(p, proto); s != "" {
			return append(b, s...)
		}
	}
	return strconv.AppendUint(b, uint64(p), 10)
}

func (r portRange) constraint() xtables.Constraint {
	if r.lo == r.hi {
		return xtables.Constraint{Mask: ^uint32(0), Lo: uint32(r.lo)}
	}
	return xtables.Constraint{Lo: uint32(r.lo), Hi: uint32(r.hi)}
}
