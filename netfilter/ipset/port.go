package ipset

import (
	"fmt"
	"strconv"
	"strings"
)

// icmpNames are the names ipset has for types of ICMP; the first of a number is
// printed. read-only
var icmpNames = []struct {
	name       string
	icmp, code uint8
}{
	{"echo-reply", 0, 0}, {"pong", 0, 0}, {"network-unreachable", 3, 0}, {"host-unreachable", 3, 1},
	{"protocol-unreachable", 3, 2}, {"port-unreachable", 3, 3}, {"fragmentation-needed", 3, 4},
	{"source-route-failed", 3, 5}, {"network-unknown", 3, 6}, {"host-unknown", 3, 7},
	{"network-prohibited", 3, 9}, {"host-prohibited", 3, 10}, {"TOS-network-unreachable", 3, 11},
	{"TOS-host-unreachable", 3, 12}, {"communication-prohibited", 3, 13}, {"host-precedence-violation", 3, 14},
	{"precedence-cutoff", 3, 15}, {"source-quench", 4, 0}, {"network-redirect", 5, 0}, {"host-redirect", 5, 1},
	{"TOS-network-redirect", 5, 2}, {"TOS-host-redirect", 5, 3}, {"echo-request", 8, 0}, {"ping", 8, 0},
	{"router-advertisement", 9, 0}, {"router-solicitation", 10, 0}, {"ttl-zero-during-transit", 11, 0},
	{"ttl-zero-during-reassembly", 11, 1}, {"ip-header-bad", 12, 0}, {"required-option-missing", 12, 1},
	{"timestamp-request", 13, 0}, {"timestamp-reply", 14, 0}, {"address-mask-request", 17, 0},
	{"address-mask-reply", 18, 0},
}

// parsePort reads "[proto:]port[-port]".
func (s *Sets) parsePort(w string, protos bool) (proto uint8, r [2]uint16, err error) {
	proto = 6
	name, rest, is := strings.Cut(w, ":")
	if is {
		n, known := uint64(0), false
		if s.ports.Proto != nil {
			p, ok := s.ports.Proto(strings.ToLower(name))
			n, known = uint64(p), ok
		}
		if !known {
			if n, err = strconv.ParseUint(name, 10, 8); err != nil {
				return 0, r, syntaxf("cannot parse '%s' as a protocol", name)
			}
		}
		proto, w = uint8(n), rest
	}
	switch proto {
	case 6, 17, 132, 136:
	case 1:
		for _, n := range icmpNames {
			if strings.EqualFold(n.name, w) {
				p := uint16(n.icmp)<<8 | uint16(n.code)
				return proto, [2]uint16{p, p}, nil
			}
		}
		typ, code, ok := strings.Cut(w, "/")
		t, e1 := strconv.ParseUint(typ, 10, 8)
		c, e2 := strconv.ParseUint(code, 10, 8)
		if !ok || e1 != nil || e2 != nil {
			return 0, r, syntaxf("Cannot parse %s as an ICMP type/code.", w)
		}
		p := uint16(t)<<8 | uint16(c)
		return proto, [2]uint16{p, p}, nil
	default:
		if w != "0" {
			return 0, r, syntaxf("Protocol %s can be used with pseudo port value 0 only.", name)
		}
		return proto, r, nil
	}
	if p, ok := s.port(w, proto); ok { // a name may hold a dash
		return protoOf(proto, protos), [2]uint16{p, p}, nil
	}
	from, to, is := strings.Cut(w, "-")
	if !is {
		to = from
	}
	for i, t := range []string{from, to} {
		p, ok := s.port(t, proto)
		if !ok {
			what := "is invalid as number"
			if n, err := strconv.ParseUint(t, 10, 64); err == nil && n > 65535 {
				what = "is out of range 0-65535"
			}
			return 0, r, syntaxf("'%s' %s\nSyntax error: '%s' is invalid as number\ncannot parse '%s' as a %s port",
				t, what, s.protoName(proto), t, s.protoName(proto))
		}
		r[i] = p
	}
	if r[1] < r[0] {
		r[0], r[1] = r[1], r[0]
	}
	return protoOf(proto, protos), r, nil
}

func protoOf(p uint8, protos bool) uint8 {
	if protos {
		return p
	}
	return 0
}

func (s *Sets) port(w string, proto uint8) (uint16, bool) {
	if n, err := strconv.ParseUint(w, 10, 16); err == nil {
		return uint16(n), true
	}
	if s.ports.Port == nil {
		return 0, false
	}
	return s.ports.Port(w, proto)
}

func (s *Sets) protoName(p uint8) string {
	if s.ports.Name != nil {
		return s.ports.Name(p)
	}
	return strconv.Itoa(int(p))
}

func appendPort(b []byte, k *Key) []byte {
	if k.Proto == 1 {
		t, c := uint8(k.Port>>8), uint8(k.Port)
		for _, n := range icmpNames {
			if n.icmp == t && n.code == c {
				return append(b, n.name...)
			}
		}
		return fmt.Appendf(b, "%d/%d", t, c)
	}
	return strconv.AppendUint(b, uint64(k.Port), 10)
}
