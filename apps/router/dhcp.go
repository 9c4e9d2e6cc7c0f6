package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
)

// leaseTime is how long an address is given for.
const leaseTime = 12 * time.Hour

// dhcpServer gives the hosts of one network addresses (RFC 2131).
type dhcpServer struct {
	self   netip.Prefix // the router's address there, and the network's size
	domain string
	leases *leases
	log    func(format string, args ...any)
}

// listen serves an interface until the returned server is closed.
func (d *dhcpServer) listen(dev string) (*server4.Server, error) {
	conn, err := server4.NewIPv4UDPConn(dev, &net.UDPAddr{Port: dhcpv4.ServerPort})
	if err != nil {
		return nil, fmt.Errorf("DHCP server on %s: %w", dev, err)
	}
	s, err := server4.NewServer(dev, nil, func(conn net.PacketConn, from net.Addr, m *dhcpv4.DHCPv4) {
		answer := d.answer(m)
		if answer == nil {
			return
		}
		if _, err := conn.WriteTo(answer.ToBytes(), replyTo(m, answer)); err != nil {
			d.log("DHCP: answer to %v: %v", m.ClientHWAddr, err)
		}
	}, server4.WithConn(conn))
	if err != nil {
		conn.Close()
		return nil, err
	}
	go func() {
		if err := s.Serve(); err != nil && !errors.Is(err, net.ErrClosed) {
			d.log("DHCP: %v", err)
		}
	}()
	return s, nil
}

// replyTo is where an answer goes (RFC 2131 section 4.1). A client without an
// address is reached by broadcast: it has none to resolve.
func replyTo(m, answer *dhcpv4.DHCPv4) net.Addr {
	switch {
	case !m.GatewayIPAddr.IsUnspecified() && m.GatewayIPAddr != nil:
		return &net.UDPAddr{IP: m.GatewayIPAddr, Port: dhcpv4.ServerPort}
	case m.ClientIPAddr != nil && !m.ClientIPAddr.IsUnspecified() && answer.MessageType() != dhcpv4.MessageTypeNak:
		return &net.UDPAddr{IP: m.ClientIPAddr, Port: dhcpv4.ClientPort}
	}
	return &net.UDPAddr{IP: net.IPv4bcast, Port: dhcpv4.ClientPort}
}

// answer is the answer to a message; nil is none.
func (d *dhcpServer) answer(m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	if m.OpCode != dhcpv4.OpcodeBootRequest || len(m.ClientHWAddr) == 0 {
		return nil
	}
	server := m.ServerIdentifier()
	if server != nil && !server.IsUnspecified() && toAddr(server) != d.self.Addr() {
		// It took another server's offer; what was kept for it is free.
		if m.MessageType() == dhcpv4.MessageTypeRequest {
			d.leases.release(client(m), toAddr(m.RequestedIPAddress()))
		}
		return nil
	}
	mac := m.ClientHWAddr.String()
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		addr, ok := d.leases.offer(client(m), mac, toAddr(m.RequestedIPAddress()))
		if !ok {
			d.log("DHCP: no address is left for %s", mac)
			return nil
		}
		return d.reply(m, dhcpv4.MessageTypeOffer, addr, true)
	case dhcpv4.MessageTypeRequest:
		return d.request(m)
	case dhcpv4.MessageTypeInform:
		return d.reply(m, dhcpv4.MessageTypeAck, netip.Addr{}, false)
	case dhcpv4.MessageTypeRelease:
		d.leases.release(client(m), toAddr(m.ClientIPAddr))
	case dhcpv4.MessageTypeDecline:
		addr := toAddr(m.RequestedIPAddress())
		d.log("DHCP: %s says that somebody else has %v", mac, addr)
		d.leases.decline(client(m), addr)
	}
	return nil
}

// request answers a DHCPREQUEST: of who selects, reboots, renews or rebinds
// (RFC 2131 section 4.3.2).
func (d *dhcpServer) request(m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	want := toAddr(m.RequestedIPAddress())
	if !want.IsValid() || want.IsUnspecified() {
		want = toAddr(m.ClientIPAddr)
	}
	mac, name := m.ClientHWAddr.String(), hostName(m.HostName())
	if !d.leases.bind(client(m), mac, name, want, leaseTime) {
		d.log("DHCP: %s may not have %v", mac, want)
		return d.reply(m, dhcpv4.MessageTypeNak, netip.Addr{}, false)
	}
	d.log("DHCP: %v is %s %s", want, mac, name)
	return d.reply(m, dhcpv4.MessageTypeAck, want, true)
}

// reply makes an answer with what a host of this network must know.
func (d *dhcpServer) reply(m *dhcpv4.DHCPv4, kind dhcpv4.MessageType, addr netip.Addr, lease bool) *dhcpv4.DHCPv4 {
	self := d.self.Addr().AsSlice()
	mods := []dhcpv4.Modifier{
		dhcpv4.WithMessageType(kind),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(self)),
	}
	if id := m.Options.Get(dhcpv4.OptionClientIdentifier); id != nil { // RFC 6842
		mods = append(mods, dhcpv4.WithGeneric(dhcpv4.OptionClientIdentifier, id))
	}
	if kind != dhcpv4.MessageTypeNak {
		mods = append(mods,
			dhcpv4.WithServerIP(self),
			dhcpv4.WithNetmask(net.CIDRMask(d.self.Bits(), 32)),
			dhcpv4.WithOption(dhcpv4.OptRouter(self)),
			dhcpv4.WithOption(dhcpv4.OptDNS(self)),
			dhcpv4.WithOption(dhcpv4.OptBroadcastAddress(broadcast(d.self).AsSlice())))
		if d.domain != "" {
			mods = append(mods, dhcpv4.WithOption(dhcpv4.OptDomainName(d.domain)))
		}
	}
	if lease {
		mods = append(mods, dhcpv4.WithYourIP(addr.AsSlice()),
			dhcpv4.WithOption(dhcpv4.OptIPAddressLeaseTime(leaseTime)),
			dhcpv4.WithGeneric(dhcpv4.OptionRenewTimeValue, dhcpv4.Duration(leaseTime/2).ToBytes()),
			dhcpv4.WithGeneric(dhcpv4.OptionRebindingTimeValue, dhcpv4.Duration(leaseTime*7/8).ToBytes()))
	}
	answer, err := dhcpv4.NewReplyFromRequest(m, mods...)
	if err != nil {
		d.log("DHCP: answer to %v: %v", m.ClientHWAddr, err)
		return nil
	}
	if kind == dhcpv4.MessageTypeAck && !lease {
		answer.ClientIPAddr = m.ClientIPAddr
	}
	return answer
}

// client is who asks: its identifier, else its hardware address.
func client(m *dhcpv4.DHCPv4) string {
	if id := m.Options.Get(dhcpv4.OptionClientIdentifier); len(id) > 0 {
		return string(id)
	}
	return string(m.ClientHWAddr)
}

// hostName returns the first label of a host's name if it can be one (RFC 1123
// section 2.1), else nothing: it will be in the DNS and on the console.
func hostName(s string) string {
	s, _, _ = strings.Cut(strings.ToLower(s), ".")
	if len(s) > 63 || strings.Trim(s, "-") != s {
		return ""
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return ""
		}
	}
	return s
}

func toAddr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip.To4())
	return a
}

// broadcast is the last address of a network.
func broadcast(p netip.Prefix) netip.Addr {
	a := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		a[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(a)
}

// pool is the range of addresses that a network's hosts get when nobody says
// which: the upper half, without the last.
func pool(self netip.Prefix) (first, last netip.Addr, err error) {
	if !self.Addr().Is4() || self.Bits() > 29 {
		return first, last, fmt.Errorf("%v is too small a network for a DHCP server", self)
	}
	end := broadcast(self)
	half := end.As4()
	for i := self.Bits() + 1; i < 32; i++ {
		half[i/8] &^= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(half), end.Prev(), nil
}
