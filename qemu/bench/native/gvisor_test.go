package native

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"barewire/qemu/bench/gvrules"
	"barewire/qemu/bench/rules"
)

// gVisor's netstack at the same tasks as barewire's own benchmarks, whose names
// these have (see Pairs). Its links are in memory and carry IP packets without a
// link header, which spares it Ethernet and ARP.

// sink is a link whose packets the benchmark makes, and that counts those sent.
type sink struct {
	mtu  uint32
	sent int
	d    stack.NetworkDispatcher
}

func (s *sink) MTU() uint32                      { return s.mtu }
func (s *sink) SetMTU(mtu uint32)                { s.mtu = mtu }
func (s *sink) MaxHeaderLength() uint16          { return 0 }
func (s *sink) LinkAddress() tcpip.LinkAddress   { return "" }
func (s *sink) SetLinkAddress(tcpip.LinkAddress) {}
func (s *sink) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityRXChecksumOffload
}
func (s *sink) Attach(d stack.NetworkDispatcher)        { s.d = d }
func (s *sink) IsAttached() bool                        { return s.d != nil }
func (s *sink) Wait()                                   {}
func (s *sink) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }
func (s *sink) AddHeader(*stack.PacketBuffer)           {}
func (s *sink) ParseHeader(*stack.PacketBuffer) bool    { return true }
func (s *sink) Close()                                  {}
func (s *sink) SetOnCloseAction(func())                 {}
func (s *sink) WritePackets(l stack.PacketBufferList) (int, tcpip.Error) {
	s.sent += l.Len()
	return l.Len(), nil
}

// arrive delivers a packet that is in the driver's memory: the stack gets a copy,
// as a driver without pages to give away makes.
func (s *sink) arrive(p []byte) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(p)})
	s.d.DeliverNetworkPacket(header.IPv4ProtocolNumber, pkt)
	pkt.DecRef()
}

func check(t testing.TB, err any) {
	t.Helper()
	switch e := err.(type) {
	case nil:
	case tcpip.Error:
		if e != nil {
			t.Fatal(e)
		}
	default:
		t.Fatal(err)
	}
}

func newStack(t testing.TB) *stack.Stack {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
	})
	t.Cleanup(s.Destroy)
	return s
}

func addr(s string) tcpip.Address { return tcpip.AddrFromSlice(netip.MustParseAddr(s).AsSlice()) }

// addNIC gives a stack a link with an address of a /24 network.
func addNIC(t testing.TB, s *stack.Stack, id tcpip.NICID, link stack.LinkEndpoint, a string) {
	check(t, s.CreateNIC(id, link))
	prefix := tcpip.AddressWithPrefix{Address: addr(a), PrefixLen: 24}
	check(t, s.AddProtocolAddress(id, tcpip.ProtocolAddress{Protocol: header.IPv4ProtocolNumber, AddressWithPrefix: prefix}, stack.AddressProperties{}))
	s.AddRoute(tcpip.Route{Destination: prefix.Subnet(), NIC: id})
}

// router is a stack between two links that forwards.
func router(t testing.TB) (in, out *sink, s *stack.Stack) {
	s = newStack(t)
	in, out = &sink{mtu: 1500}, &sink{mtu: 1500}
	addNIC(t, s, 1, in, "192.0.2.1")
	addNIC(t, s, 2, out, "192.0.3.1")
	s.AddRoute(tcpip.Route{Destination: header.IPv4EmptySubnet, NIC: 2})
	_, err := s.SetForwardingDefaultAndAllNICs(header.IPv4ProtocolNumber, true), error(nil)
	check(t, err)
	return in, out, s
}

// udpPacket is an IPv4 packet of size bytes from flow i.
func udpPacket(size, i int, dst string) []byte {
	p := make([]byte, size)
	header.IPv4(p).Encode(&header.IPv4Fields{TotalLength: uint16(size), TTL: 64, Protocol: uint8(header.UDPProtocolNumber), SrcAddr: addr("192.0.2.7"), DstAddr: addr(dst)})
	header.IPv4(p).SetChecksum(^header.IPv4(p).CalculateChecksum())
	header.UDP(p[20:]).Encode(&header.UDPFields{SrcPort: uint16(1000 + i), DstPort: 9, Length: uint16(size - 20)})
	return p
}

// forward measures packets of 64 flows that are forwarded.
func forward(b *testing.B, in, out *sink, size int) {
	var flows [64][]byte
	for i := range flows {
		flows[i] = udpPacket(size, i, fmt.Sprintf("198.51.100.%d", i+1))
		in.arrive(flows[i])
	}
	out.sent = 0
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		in.arrive(flows[n&63])
		n++
	}
	if out.sent != n {
		b.Fatalf("%d packets of %d were forwarded", out.sent, n)
	}
}

// The sizes are barewire's frames without their Ethernet header of 14 bytes.

func BenchmarkForward64(b *testing.B) {
	in, out, _ := router(b)
	forward(b, in, out, 64-14)
}

func BenchmarkForward1500(b *testing.B) {
	in, out, _ := router(b)
	forward(b, in, out, 1500-14)
}

func BenchmarkForwardNAT64(b *testing.B) {
	in, out, s := router(b)
	gvrules.Masquerade(s)
	forward(b, in, out, 64-14)
}

func BenchmarkForwardRules100(b *testing.B) {
	in, out, s := router(b)
	gvrules.Drop(s, rules.Count)
	forward(b, in, out, 64-14)
}

func BenchmarkForwardNATRules100(b *testing.B) {
	in, out, s := router(b)
	gvrules.Masquerade(s)
	gvrules.Drop(s, rules.Count)
	forward(b, in, out, 64-14)
}

func BenchmarkUDPReceive(b *testing.B) {
	s := newStack(b)
	in := &sink{mtu: 1500}
	addNIC(b, s, 1, in, "192.0.2.1")
	var wq waiter.Queue
	ep, err := s.NewEndpoint(udp.ProtocolNumber, ipv4.ProtocolNumber, &wq)
	check(b, err)
	defer ep.Close()
	check(b, ep.Bind(tcpip.FullAddress{Port: 9}))
	p := udpPacket(64-14, 0, "192.0.2.1")
	var w countWriter
	b.ReportAllocs()
	for b.Loop() {
		in.arrive(p)
		_, err := ep.Read(&w, tcpip.ReadOptions{})
		check(b, err)
	}
}

// countWriter copies what it gets, as a read into a program's buffer does.
type countWriter struct{ b [2048]byte }

func (w *countWriter) Write(p []byte) (int, error) { return copy(w.b[:], p), nil }

// pair is two stacks on one cable.
func pair(t testing.TB, mtu, gso uint32) (a, b *stack.Stack) {
	x, y := pipe.New("\x02\x00\x00\x00\x00\x01", "\x02\x00\x00\x00\x00\x02", mtu)
	a, b = newStack(t), newStack(t)
	var la, lb stack.LinkEndpoint = x, y
	if gso > 0 {
		la, lb = &gsoLink{x, gso}, &gsoLink{y, gso}
	}
	addNIC(t, a, 1, la, "10.0.0.1")
	addNIC(t, b, 1, lb, "10.0.0.2")
	for _, s := range []*stack.Stack{a, b} {
		sack := tcpip.TCPSACKEnabled(true)
		check(t, s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack))
		for _, o := range []tcpip.SettableTransportProtocolOption{
			&tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: 1 << 20, Max: 6 << 20}, &tcpip.TCPSendBufferSizeRangeOption{Min: 4096, Default: 1 << 20, Max: 6 << 20}} {
			check(t, s.SetTransportProtocolOption(tcp.ProtocolNumber, o))
		}
	}
	return a, b
}

// gsoLink is a link that takes large segments and needs no checksums, as
// barewire's veth.
type gsoLink struct {
	*pipe.Endpoint
	max uint32
}

func (g *gsoLink) GSOMaxSize() uint32               { return g.max }
func (g *gsoLink) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }
func (g *gsoLink) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityRXChecksumOffload | stack.CapabilityTXChecksumOffload
}

func bulk(b *testing.B, x, y *stack.Stack) {
	l, err := gonet.ListenTCP(y, tcpip.FullAddress{Port: 80}, ipv4.ProtocolNumber)
	check(b, err)
	defer l.Close()
	c, err := gonet.DialTCP(x, tcpip.FullAddress{Addr: addr("10.0.0.2"), Port: 80}, ipv4.ProtocolNumber)
	check(b, err)
	defer c.Close()
	s, err := l.Accept()
	check(b, err)
	defer s.Close()
	const n = 1 << 20
	buf, done := make([]byte, 64<<10), make(chan error, 1)
	pump := func(total int) {
		go func() { _, err := io.CopyN(io.Discard, s, int64(total)); done <- err }()
		for left := total; left > 0; left -= len(buf) {
			_, err := c.Write(buf)
			check(b, err)
		}
		check(b, <-done)
	}
	pump(8 * n)
	b.SetBytes(n)
	b.ReportAllocs()
	b.ResetTimer()
	pump(b.N * n)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/byte")
}

func BenchmarkTCP_bulkBars(b *testing.B) {
	b.Run("mtu1500", func(b *testing.B) { x, y := pair(b, 1500, 0); bulk(b, x, y) })
	b.Run("gso", func(b *testing.B) { x, y := pair(b, 1500, 65535); bulk(b, x, y) })
}

func BenchmarkTCP_connectClose(b *testing.B) {
	x, y := pair(b, 1500, 0)
	l, err := gonet.ListenTCP(y, tcpip.FullAddress{Port: 80}, ipv4.ProtocolNumber)
	check(b, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 1))
			c.Close()
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		c, err := gonet.DialContextTCP(context.Background(), x, tcpip.FullAddress{Addr: addr("10.0.0.2"), Port: 80}, ipv4.ProtocolNumber)
		check(b, err)
		c.Close()
	}
	l.Close()
	wg.Wait()
}

func BenchmarkTCP_idle(b *testing.B) {
	const conns = 5000
	for b.Loop() {
		x, y := pair(b, 1500, 0)
		l, err := gonet.ListenTCP(y, tcpip.FullAddress{Port: 80}, ipv4.ProtocolNumber)
		check(b, err)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var held [2 * conns]any
		for i := range conns {
			c, err := gonet.DialTCP(x, tcpip.FullAddress{Addr: addr("10.0.0.2"), Port: 80}, ipv4.ProtocolNumber)
			check(b, err)
			s, err := l.Accept()
			check(b, err)
			held[2*i], held[2*i+1] = c, s
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc+after.StackInuse-before.HeapAlloc-before.StackInuse)/(2*conns), "B/conn")
		runtime.KeepAlive(&held)
	}
}
