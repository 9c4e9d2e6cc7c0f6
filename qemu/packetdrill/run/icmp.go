package run

import "barewire/qemu/packetdrill/pdl"

// quote is the packet of the kernel's that an ICMP message is about.
func (s *socket) quote(m *pdl.ICMP) []byte {
	b := make([]byte, 8)
	be.PutUint16(b, s.local.Port())
	be.PutUint16(b[2:], s.remote.Port())
	proto, n := uint8(protoUDP), 8+m.EchoedLen
	switch m.Echoed {
	case "tcp":
		proto, n = protoTCP, 20+m.EchoedLen
		be.PutUint32(b[4:], m.EchoedSeq+offset(s.localISN, s.scriptLocalISN, false))
	case "udp":
		be.PutUint16(b[4:], uint16(n))
	case "raw":
		proto, n = 255, m.EchoedLen
	}
	q := make([]byte, 20, 28)
	src, dst := s.local.Addr().As4(), s.remote.Addr().As4()
	q[0], q[8], q[9] = 0x45, 64, proto
	be.PutUint16(q[2:], uint16(20+n))
	copy(q[12:], src[:])
	copy(q[16:], dst[:])
	be.PutUint16(q[10:], fold(sum(q, 0)))
	return append(q, b...)
}

func (r *runner) inboundICMP(s *socket, m *pdl.ICMP) ([]byte, error) {
	typ, code, err := icmpNumbers(m)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 8)
	b[0], b[1] = typ, code
	be.PutUint16(b[4:], m.ID)
	if m.MTU >= 0 {
		be.PutUint16(b[6:], uint16(m.MTU))
	}
	if m.Echoed != "" || typ == 3 || typ == 11 || typ == 12 || typ == 4 || typ == 5 {
		q := *m
		if q.Echoed == "" {
			q.Echoed = "tcp"
			if s.proto == protoUDP {
				q.Echoed = "udp"
			}
		}
		b = append(b, s.quote(&q)...)
	}
	return b, nil
}

// icmpTypes are the names of types, and of the codes of each.
var icmpTypes = map[string]struct { // read-only
	typ   uint8
	codes []string
}{
	"echo_reply": {0, nil},
	"unreachable": {3, []string{"net_unreachable", "host_unreachable", "protocol_unreachable", "port_unreachable", "frag_needed", "source_route_failed",
		"net_unknown", "host_unknown", "source_host_isolated", "net_prohibited", "host_prohibited", "net_unreachable_for_tos", "host_unreachable_for_tos",
		"packet_filtered", "precedence_violation", "precedence_cutoff"}},
	"source_quench":     {4, nil},
	"redirect":          {5, []string{"net_redirect", "host_redirect", "net_tos_redirect", "host_tos_redirect"}},
	"echo_request":      {8, nil},
	"time_exceeded":     {11, []string{"exceeded_ttl", "exceeded_fragtime"}},
	"parameter_problem": {12, nil},
	"timestamp_request": {13, nil},
	"timestamp_reply":   {14, nil},
	"info_request":      {15, nil},
	"info_reply":        {16, nil},
	"address_request":   {17, nil},
	"address_reply":     {18, nil},
}

func icmpNumbers(m *pdl.ICMP) (typ, code uint8, err error) {
	t, ok := icmpTypes[m.Type]
	if !ok {
		return 0, 0, &pdl.Unsupported{What: "ICMP type " + m.Type}
	}
	if m.Code == "" {
		return t.typ, 0, nil
	}
	for i, c := range t.codes {
		if c == m.Code {
			return t.typ, uint8(i), nil
		}
	}
	return 0, 0, &pdl.Unsupported{What: "ICMP code " + m.Code}
}
