// Gvisor is the agent over gVisor's netstack, which stands in the place of
// barewire's on the same board and the same driver: package services with
// gonet's sockets. It is the way of a TamaGo program with gVisor, and as quick a
// driver as gVisor can have.
//
//	gvisor [rules] ADDRESS/BITS...
//
// The first card has the first address. With several it forwards between them,
// and with rules filters and translates addresses as package rules says.
package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"barewire/qemu/bench/gvrules"
	"barewire/qemu/bench/rules"
	"barewire/qemu/bench/services"
	"barewire/sys/start"
)

func main() {
	err := run(os.Args[1:])
	fmt.Fprintln(os.Stderr, "gvisor:", err)
	os.Exit(1)
}

func run(args []string) error {
	sys := start.System()
	sys.Inet.Close()
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
	})
	sack := tcpip.TCPSACKEnabled(true)
	s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack)
	if len(args) > 0 && args[0] == "rules" {
		args = args[1:]
		gvrules.Masquerade(s)
		gvrules.Drop(s, rules.Count)
	}
	id := tcpip.NICID(0)
	for _, dev := range sys.Net.Devs() {
		if len(args) == 0 {
			break
		}
		if dev.Name() == "lo" {
			continue
		}
		addr, err := netip.ParsePrefix(args[0])
		if err != nil {
			return err
		}
		args = args[1:]
		if err := dev.Open(); err != nil {
			return err
		}
		id++
		l := &link{sys: sys.Net, dev: dev}
		if err := s.CreateNIC(id, ethernet.New(l)); err != nil {
			return fmt.Errorf("CreateNIC: %v", err)
		}
		prefix := tcpip.AddressWithPrefix{Address: tcpip.AddrFromSlice(addr.Addr().AsSlice()), PrefixLen: addr.Bits()}
		if err := s.AddProtocolAddress(id, tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: prefix}, stack.AddressProperties{}); err != nil {
			return fmt.Errorf("AddProtocolAddress: %v", err)
		}
		s.AddRoute(tcpip.Route{Destination: prefix.Subnet(), NIC: id})
		l.listen()
	}
	if id == 0 {
		return fmt.Errorf("no address for a card; want ADDRESS/BITS...")
	}
	if id > 1 {
		if err := s.SetForwardingDefaultAndAllNICs(ipv4.ProtocolNumber, true); err != nil {
			return fmt.Errorf("forwarding: %v", err)
		}
	}
	return services.Serve(sockets{s})
}

// sockets is the network of gVisor's stack.
type sockets struct{ s *stack.Stack }

func (n sockets) Listen(port int) (net.Listener, error) {
	return gonet.ListenTCP(n.s, tcpip.FullAddress{Port: uint16(port)}, ipv4.ProtocolNumber)
}

func (n sockets) ListenPacket(port int) (net.PacketConn, error) {
	return gonet.DialUDP(n.s, &tcpip.FullAddress{Port: uint16(port)}, nil, ipv4.ProtocolNumber)
}

func (n sockets) DialUDP(to netip.AddrPort) (net.Conn, error) {
	return gonet.DialUDP(n.s, nil, &tcpip.FullAddress{Addr: tcpip.AddrFromSlice(to.Addr().AsSlice()), Port: to.Port()}, header.IPv4ProtocolNumber)
}
