package dhcp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"barewire/sys/lease"
)

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255}) // read-only

// wanted are the options that a server is asked for. read-only
var wanted = []dhcpv4.OptionCode{
	dhcpv4.OptionSubnetMask, dhcpv4.OptionClasslessStaticRoute, dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer,
	dhcpv4.OptionHostName, dhcpv4.OptionDomainName, dhcpv4.OptionDNSDomainSearchList, dhcpv4.OptionInterfaceMTU,
	dhcpv4.OptionBroadcastAddress, dhcpv4.OptionNTPServers, dhcpv4.OptionRenewTimeValue, dhcpv4.OptionRebindingTimeValue,
}

// maxMessage is the longest message that is taken: what fits an Ethernet frame.
const maxMessage = 1500 - 28

// message makes a message of the client. It is made here, not by the library's
// constructors, which wait for randomness of their own.
func (c *Client) message(xid uint32, t dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	m := &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootRequest, HWType: iana.HWTypeEthernet,
		ClientHWAddr: bytes.Clone(c.cfg.HWAddr[:]), Options: dhcpv4.Options{},
		ClientIPAddr: net.IPv4zero, YourIPAddr: net.IPv4zero, ServerIPAddr: net.IPv4zero, GatewayIPAddr: net.IPv4zero,
	}
	binary.BigEndian.PutUint32(m.TransactionID[:], xid)
	m.UpdateOption(dhcpv4.OptMessageType(t))
	// The hardware address as identifier (RFC 2132 9.14), as dhclient has it.
	m.UpdateOption(dhcpv4.OptClientIdentifier(append([]byte{1}, c.cfg.HWAddr[:]...)))
	return m
}

// asking adds what DISCOVER and REQUEST have in common.
func (c *Client) asking(m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	m.UpdateOption(dhcpv4.OptParameterRequestList(wanted...))
	m.UpdateOption(dhcpv4.OptMaxMessageSize(maxMessage))
	if c.cfg.Hostname != "" {
		m.UpdateOption(dhcpv4.OptHostName(c.cfg.Hostname))
	}
	return m
}

func (c *Client) discover(xid uint32) *dhcpv4.DHCPv4 {
	m := c.asking(c.message(xid, dhcpv4.MessageTypeDiscover))
	if c.last.IsValid() {
		m.UpdateOption(dhcpv4.OptRequestedIPAddress(c.last.AsSlice()))
	}
	return m
}

// request asks for what was offered, and tells the other servers so.
func (c *Client) request(xid uint32, offer *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	m := c.asking(c.message(xid, dhcpv4.MessageTypeRequest))
	m.UpdateOption(dhcpv4.OptRequestedIPAddress(offer.YourIPAddr))
	m.UpdateOption(dhcpv4.OptServerIdentifier(offer.ServerIdentifier()))
	return m
}

// renew asks to extend a lease: with its address as ciaddr, and without a
// server identifier (RFC 2131 4.3.2).
func (c *Client) renew(xid uint32, l *lease.Lease) *dhcpv4.DHCPv4 {
	m := c.asking(c.message(xid, dhcpv4.MessageTypeRequest))
	m.ClientIPAddr = l.Addr.Addr().AsSlice()
	return m
}

func (c *Client) declined(xid uint32, l *lease.Lease) *dhcpv4.DHCPv4 {
	m := c.message(xid, dhcpv4.MessageTypeDecline)
	m.UpdateOption(dhcpv4.OptRequestedIPAddress(l.Addr.Addr().AsSlice()))
	m.UpdateOption(dhcpv4.OptServerIdentifier(l.Server.AsSlice()))
	return m
}

// answer returns the message in b if it is an answer to xid of the wanted type,
// or a NAK to a request.
func (c *Client) answer(b []byte, xid dhcpv4.TransactionID, want dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	m, err := dhcpv4.FromBytes(b)
	if err != nil || m.OpCode != dhcpv4.OpcodeBootReply || m.TransactionID != xid ||
		!bytes.Equal(m.ClientHWAddr, c.cfg.HWAddr[:]) || !host(address(m.ServerIdentifier())) {
		return nil
	}
	switch t := m.MessageType(); {
	case t == want && host(address(m.YourIPAddr)):
		return m
	case t == dhcpv4.MessageTypeNak && want == dhcpv4.MessageTypeAck:
		return m
	}
	return nil
}

// leaseOf reads an ACK. What makes no sense in it is left out; without a usable
// address there is no lease.
func leaseOf(m *dhcpv4.DHCPv4) (*lease.Lease, error) {
	a := address(m.YourIPAddr)
	if !host(a) {
		return nil, fmt.Errorf("the server gives the address %v, which is not a host's", a)
	}
	prefix := 32
	if mask := m.Options.Get(dhcpv4.OptionSubnetMask); len(mask) == 4 {
		v := binary.BigEndian.Uint32(mask)
		prefix = bits.LeadingZeros32(^v)
		if prefix == 0 || v<<prefix != 0 {
			return nil, fmt.Errorf("the server gives the netmask %v, which is not a run of ones and then zeros", net.IP(mask))
		}
	} else {
		prefix, _ = net.IP(a.AsSlice()).DefaultMask().Size() // of the class; RFC 1122 3.3.6
	}
	l := &lease.Lease{Addr: netip.PrefixFrom(a, prefix), Server: address(m.ServerIdentifier())}
	if b := m.Options.Get(dhcpv4.OptionBroadcastAddress); len(b) == 4 {
		l.Broadcast = address(b)
	}
	l.DNS = addresses(m.Options.Get(dhcpv4.OptionDomainNameServer))
	l.NTP = addresses(m.Options.Get(dhcpv4.OptionNTPServers))
	l.Hostname = name(m.Options.Get(dhcpv4.OptionHostName))
	l.Search = search(m)
	// RFC 3442: with classless routes, the router option does not count.
	if r, ok := classless(m.Options.Get(dhcpv4.OptionClasslessStaticRoute)); ok {
		l.Routes = r
	} else if r := addresses(m.Options.Get(dhcpv4.OptionRouter)); len(r) > 0 && r[0] != a {
		l.Routes = []lease.Route{{Dst: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Gateway: r[0]}}
	}
	if b := m.Options.Get(dhcpv4.OptionInterfaceMTU); len(b) == 2 {
		// Less than IPv4's least reassembly size is a mistake or worse.
		if mtu := int(binary.BigEndian.Uint16(b)); mtu >= 576 {
			l.MTU = mtu
		}
	}
	times(m, l)
	return l, nil
}

// times sets how long a lease is good for. Without a time it is a short one,
// asked for again soon; all ones is for ever (RFC 2131 3.3).
func times(m *dhcpv4.DHCPv4, l *lease.Lease) {
	seconds := func(code dhcpv4.OptionCode) (time.Duration, bool) {
		b := m.Options.Get(code)
		if len(b) != 4 {
			return 0, false
		}
		v := binary.BigEndian.Uint32(b)
		return time.Duration(v) * time.Second, v != 1<<32-1
	}
	t, ok := seconds(dhcpv4.OptionIPAddressLeaseTime)
	switch {
	case !ok && t != 0:
		return
	case !ok:
		t = time.Hour
	}
	l.Time = max(t, minLease)
	l.Renew, l.Rebind = l.Time/2, l.Time/8*7
	t1, ok1 := seconds(dhcpv4.OptionRenewTimeValue)
	t2, ok2 := seconds(dhcpv4.OptionRebindingTimeValue)
	if ok2 && t2 > 0 && t2 < l.Time {
		l.Rebind = t2
		l.Renew = min(l.Renew, t2)
	}
	if ok1 && t1 > 0 && t1 <= l.Rebind {
		l.Renew = t1
	}
}

// minLease keeps a hostile server from having the client ask all the time.
const minLease = 10 * time.Second

// maxRoutes bounds what one lease may put into the routing table.
const maxRoutes = 64

// classless reads option 121 (RFC 3442). ok is false when it is not there or
// broken.
func classless(b []byte) (routes []lease.Route, ok bool) {
	for len(b) > 0 {
		n := int(b[0])
		size := (n + 7) / 8
		if n > 32 || len(b) < 1+size+4 || len(routes) == maxRoutes {
			return nil, false
		}
		var dst [4]byte
		copy(dst[:], b[1:1+size])
		r := lease.Route{Dst: netip.PrefixFrom(netip.AddrFrom4(dst), n).Masked()}
		if g := address(b[1+size : 1+size+4]); host(g) {
			r.Gateway = g
		} else if !g.IsUnspecified() { // 0.0.0.0 is the link
			return nil, false
		}
		routes = append(routes, r)
		b = b[1+size+4:]
	}
	return routes, len(routes) > 0
}

// address returns an IPv4 address, the zero Addr if b is none.
func address(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	if a = a.Unmap(); !a.Is4() {
		return netip.Addr{}
	}
	return a
}

// host reports whether a can be a host's address.
func host(a netip.Addr) bool {
	return a.Is4() && a.As4()[0] != 0 && a.As4()[0] < 224 && !a.IsLoopback()
}

// addresses reads a list of hosts.
func addresses(b []byte) (l []netip.Addr) {
	for ; len(b) >= 4 && len(l) < 8; b = b[4:] {
		if a := address(b[:4]); host(a) {
			l = append(l, a)
		}
	}
	return l
}

// name returns b if it is a name of the DNS: these go into files, where a line
// end or a blank would say something else.
func name(b []byte) string {
	s := strings.TrimRight(string(b), "\x00.")
	if len(s) > 253 {
		return ""
	}
	for _, part := range strings.Split(s, ".") {
		if part == "" || len(part) > 63 || part[0] == '-' {
			return ""
		}
		for _, r := range []byte(part) {
			if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_') {
				return ""
			}
		}
	}
	return s
}

// search returns the domains to look names up in.
func search(m *dhcpv4.DHCPv4) (l []string) {
	add := func(s string) {
		if s = name([]byte(s)); s == "" || len(l) == 6 {
			return
		}
		for _, o := range l {
			if o == s {
				return
			}
		}
		l = append(l, s)
	}
	for _, d := range strings.Fields(string(m.Options.Get(dhcpv4.OptionDomainName))) {
		add(d)
	}
	if labels := m.DomainSearch(); labels != nil {
		for _, d := range labels.Labels {
			add(d)
		}
	}
	return l
}

// printable returns the text of a server without what would change the console.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), 100)]
}
