package iptables

import (
	"strconv"
	"strings"

	"barewire/netfilter/xtables"
)

// protocolName returns the name of a protocol as -L prints it.
func protocolName(n uint8) string {
	if n == 0 {
		return "all"
	}
	return xtables.ProtoName(n)
}

// chainProtocol is the name of a protocol in what -v prints of a rule, where few
// have one (Linux: xtables_chain_protos).
func chainProtocol(n uint8) string {
	switch n {
	case 0, 1, 6, 17, 50, 51, 58, 132, 136:
		return protocolName(n)
	case 135:
		return "ipv6-mh"
	}
	return strconv.Itoa(int(n))
}

// checkInterface checks the argument of -i or -o. warn is what is printed about
// a name that no device can have.
func checkInterface(s string) (warn string, err *Error) {
	if s == "" {
		return "", problemf("Empty interface is likely to be undesired")
	}
	if len(s) > 15 {
		return "", problemf("interface name `%s' must be shorter than IFNAMSIZ (15)", s)
	}
	if strings.ContainsAny(s, "/ ") {
		warn = "Warning: weird character in interface `" + s + "' ('/' and ' ' are not allowed by the kernel).\n"
	}
	return warn, nil
}
