// Package lease is what a DHCP server gives a host, in a form that the client
// above the system calls (package dhcp) and the kernel below them (package
// boot) share.
package lease

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Lease is what a DHCP server gave a host (RFC 2131, RFC 2132).
type Lease struct {
	Addr      netip.Prefix // address with its prefix length
	Broadcast netip.Addr   // the zero Addr: not told
	Server    netip.Addr   // server identifier
	Routes    []Route      // in the server's order, the default route among them
	DNS       []netip.Addr
	Search    []string // domains to look names up in, the host's own first
	Hostname  string
	NTP       []netip.Addr
	MTU       int // bytes; 0: not told
	// Time is how long the lease is good for, Renew (T1) and Rebind (T2) when
	// to ask its server and then any server to extend it, all since Start.
	// Time 0 means for ever.
	Time, Renew, Rebind time.Duration
}

// Route is one route of a lease. The zero Gateway means that Dst is on the link
// (RFC 3442).
type Route struct {
	Dst     netip.Prefix
	Gateway netip.Addr
}

// Gateway returns the gateway of the default route, the zero Addr if there is
// none.
func (l *Lease) Gateway() netip.Addr {
	for _, r := range l.Routes {
		if r.Dst.Bits() == 0 {
			return r.Gateway
		}
	}
	return netip.Addr{}
}

// String tells the lease in one line:
//
//	10.0.2.15/24 from 10.0.2.2 by DHCP, gateway 10.0.2.2, lease 86400 s
func (l *Lease) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v from %v by DHCP", l.Addr, l.Server)
	if g := l.Gateway(); g.IsValid() {
		fmt.Fprintf(&b, ", gateway %v", g)
	}
	if l.Time == 0 {
		b.WriteString(", lease without end")
	} else {
		fmt.Fprintf(&b, ", lease %d s", l.Time/time.Second)
	}
	return b.String()
}

// maxResolver is how many name servers resolvers look at (resolv.conf(5)).
const maxResolver = 3

// ResolvConf returns the text of /etc/resolv.conf.
func ResolvConf(dns []netip.Addr, search []string) []byte {
	var b []byte
	if len(search) > 0 {
		b = append(append(append(b, "search "...), strings.Join(search, " ")...), '\n')
	}
	for i, a := range dns {
		if i == maxResolver {
			break
		}
		b = append(a.AppendTo(append(b, "nameserver "...)), '\n')
	}
	return b
}
