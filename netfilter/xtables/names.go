package xtables

import "strconv"

// protoNames are the protocols of /etc/protocols that iptables knows by name.
// read-only
var protoNames = []struct {
	name string
	n    uint8
}{
	{"tcp", 6}, {"udp", 17}, {"icmp", 1}, {"udplite", 136}, {"esp", 50}, {"ah", 51}, {"sctp", 132}, {"dccp", 33},
	{"ip", 0}, {"igmp", 2}, {"ggp", 3}, {"ipencap", 4}, {"st", 5}, {"egp", 8}, {"igp", 9}, {"pup", 12}, {"hmp", 20},
	{"xns-idp", 22}, {"rdp", 27}, {"iso-tp4", 29}, {"xtp", 36}, {"ddp", 37}, {"idpr-cmtp", 38}, {"ipv6", 41},
	{"ipv6-route", 43}, {"ipv6-frag", 44}, {"idrp", 45}, {"rsvp", 46}, {"gre", 47}, {"skip", 57}, {"ipv6-icmp", 58},
	{"ipv6-nonxt", 59}, {"ipv6-opts", 60}, {"rspf", 73}, {"vmtp", 81}, {"eigrp", 88}, {"ospf", 89}, {"ax.25", 93},
	{"ipip", 94}, {"etherip", 97}, {"encap", 98}, {"pim", 103}, {"ipcomp", 108}, {"vrrp", 112}, {"l2tp", 115},
	{"isis", 124}, {"fc", 133}, {"mobility-header", 135}, {"mpls-in-ip", 137}, {"manet", 138}, {"hip", 139}, {"shim6", 140},
	{"wesp", 141}, {"rohc", 142}, {"ethernet", 143}, {"hopopt", 0},
}

// ProtoName returns the name of a protocol, its number if it has none.
func ProtoName(n uint8) string {
	for _, p := range protoNames {
		if p.n == n {
			return p.name
		}
	}
	return strconv.Itoa(int(n))
}

// ProtoNumber returns the protocol of that name or number.
func ProtoNumber(s string) (uint8, bool) {
	if n, err := strconv.ParseUint(s, 0, 8); err == nil {
		return uint8(n), true
	}
	for _, p := range protoNames {
		if p.name == s {
			return p.n, true
		}
	}
	switch s { // other names of the same
	case "icmpv6":
		return 58, true
	case "ipv6-mh", "mh":
		return 135, true
	case "all":
		return 0, true
	}
	return 0, false
}
