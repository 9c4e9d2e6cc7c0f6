package inet_test

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"syscall"
	"testing"

	"barewire/inet"
	"barewire/inet/fib"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
	"barewire/skb/skbtest"
)

func TestMain(m *testing.M) { skbtest.Main(m) }

// Addresses of the tests' link: the host under test and a peer made of raw
// frames.
var (
	hostMAC = [6]byte{2, 0, 0, 0, 0, 1}
	peerMAC = [6]byte{2, 0, 0, 0, 0, 2}
	bcast   = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

	hostIP = header.AddrFrom4([4]byte{192, 0, 2, 1})
	peerIP = header.AddrFrom4([4]byte{192, 0, 2, 2})
)

// port is a device whose other end is the test: frames sent are kept or given
// to a function, frames injected arrive over NAPI.
type port struct {
	dev  *napi.NetDevice
	napi *napi.NAPI

	mu   sync.Mutex
	rx   skb.List
	sent [][]byte
	hold skb.List // with holdTx: sent packets kept alive

	discard bool
	holdTx  bool
	onSend  func(frame []byte)
}

func (p *port) Open(*napi.NetDevice) error {
	p.napi.Enable()
	return nil
}

func (p *port) Stop(*napi.NetDevice) error {
	p.napi.Disable()
	p.rx.Purge(skb.QueuePurge)
	return nil
}

func (p *port) StartXmit(_ *napi.NetDevice, _ *napi.TxQueue, batch []*skb.Buff) int {
	for _, b := range batch {
		if p.discard {
			b.Consume()
			continue
		}
		f := make([]byte, b.Len())
		b.CopyBits(0, f)
		if p.holdTx {
			p.hold.PushBack(b)
		} else {
			b.Consume()
		}
		if p.onSend != nil {
			p.onSend(f)
			continue
		}
		p.mu.Lock()
		p.sent = append(p.sent, f)
		p.mu.Unlock()
	}
	return len(batch)
}

func (p *port) Poll(n *napi.NAPI, budget int) int {
	done := 0
	for done < budget {
		p.mu.Lock()
		b := p.rx.PopFront()
		p.mu.Unlock()
		if b == nil {
			break
		}
		done++
		if napi.EthTypeTrans(b, p.dev) == 0 {
			b.Free(skb.HdrTrunc)
			continue
		}
		n.Receive(b)
	}
	if done < budget {
		n.CompleteDone(done)
	}
	return done
}

// take returns the frames sent since the last call.
func (p *port) take() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sent
	p.sent = nil
	return s
}

// host is a stack with one Ethernet device.
type host struct {
	testing.TB
	*inet.Net
	net  *napi.Net
	port *port

	settle func() // waits for another goroutine that does softirqs; nil: there is none
}

type (
	inetConfig = inet.Config
	devType    = napi.NetDevice
	fibRoute   = fib.Route
)

type hostOpt func(h *host, c *inetConfig, d *napi.NetDevice)

// newHost makes the host under test: 192.0.2.1/24 on eth0, a default route to
// the peer, and a check that all memory is given back.
func newHost(t testing.TB, opts ...hostOpt) *host { return newSmallHost(t, 0, opts...) }

// newSmallHost is newHost with a page pool of a given size.
func newSmallHost(t testing.TB, pages int, opts ...hostOpt) *host {
	t.Helper()
	pool, err := skb.NewPagePool(skb.PageConfig{MaxPages: pages})
	if err != nil {
		t.Fatal(err)
	}
	n, err := napi.New(napi.Config{Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	h := &host{TB: t, net: n, port: &port{}}
	dev := napi.AllocNetdev("eth%d", h.port, 1)
	napi.EtherSetup(dev)
	if err := dev.SetHardwareAddr(hostMAC); err != nil {
		t.Fatal(err)
	}
	h.port.dev = dev
	h.port.napi = dev.AddNAPI(h.port, 0)
	c := inet.Config{Net: n}
	for _, o := range opts {
		o(h, &c, dev)
	}
	if h.Net, err = inet.New(c); err != nil {
		t.Fatal(err)
	}
	check(t, n.RegisterNetdev(dev))
	check(t, dev.Open())
	check(t, h.AddAddr(dev, netip.PrefixFrom(hostIP.Netip(), 24)))
	check(t, h.AddDefaultRoute(peerIP.Netip(), nil))
	t.Cleanup(func() {
		dev.Close()
		h.Close()
		h.run()
		n.UnregisterNetdev(dev)
		h.port.hold.Purge(skb.QueuePurge)
		if b := n.SKB().InUse(); b != 0 {
			t.Errorf("%d packets not returned", b)
		}
		if p := pool.InUse(); p != 0 {
			t.Errorf("%d pages not returned", p)
		}
	})
	return h
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run works off everything pending in softirq context.
func (h *host) run() {
	for range 100 {
		h.net.SoftNet().DoSoftirq()
	}
	if h.settle != nil {
		h.settle()
	}
}

// buff makes a packet as a driver would: headroom in front of a frame.
func (h *host) buff(frame []byte) *skb.Buff {
	b := h.net.SKB().Alloc(skb.Pad + len(frame))
	if b == nil {
		h.Fatal("page pool is empty")
	}
	b.Reserve(skb.Pad)
	b.PutData(frame)
	return b
}

// inject has frames arrive and processes them.
func (h *host) inject(frames ...[]byte) {
	h.port.mu.Lock()
	for _, f := range frames {
		h.port.rx.PushBack(h.buff(f))
	}
	h.port.mu.Unlock()
	h.port.napi.Schedule()
	h.run()
}

// know enters the peer in the neighbour table, so that tests need not.
func (h *host) know() {
	h.inject(arpFrame(header.ARPRequest, hostMAC, peerMAC, peerIP, [6]byte{}, hostIP))
	if f := h.port.take(); len(f) != 1 {
		h.Fatalf("ARP request got %d answers, want 1", len(f))
	}
}

func ethFrame(dst, src [6]byte, typ uint16, payload []byte) []byte {
	f := make([]byte, header.EthHLen, header.EthHLen+len(payload))
	e := header.Ethernet(f)
	e.SetDst(dst)
	e.SetSrc(src)
	e.SetType(typ)
	return append(f, payload...)
}

func arpFrame(op uint16, dst, sha [6]byte, spa header.Addr, tha [6]byte, tpa header.Addr) []byte {
	p := make([]byte, 46) // padded to the least frame, as on the wire
	header.PutARP(p, op, sha, spa, tha, tpa)
	return ethFrame(dst, sha, header.EthPARP, p)
}

// ipPacket makes a datagram; edit may spoil it before the header checksum.
func ipPacket(f header.Fields, payload []byte, edit ...func(h header.IPv4)) []byte {
	p := make([]byte, header.IPv4MinLen, header.IPv4MinLen+len(payload))
	if f.TTL == 0 {
		f.TTL = 64
	}
	f.TotalLen = header.IPv4MinLen + len(payload)
	h := header.PutIPv4(p, &f)
	for _, e := range edit {
		e(h)
	}
	h.UpdateChecksum()
	return append(p, payload...)
}

func icmpEcho(id, seq uint16, data []byte) []byte {
	m := make([]byte, header.ICMPLen+len(data))
	h := header.PutICMP(m, header.ICMPEcho, 0, uint32(id)<<16|uint32(seq))
	copy(m[header.ICMPLen:], data)
	h.SetChecksum(skb.CsumFold(skb.CsumPartial(m, 0)))
	return m
}

func udpPacket(src, dst header.Addr, sport, dport uint16, data []byte) []byte {
	m := make([]byte, header.UDPLen+len(data))
	h := header.PutUDP(m, sport, dport, len(m))
	copy(m[header.UDPLen:], data)
	c := skb.CsumFold(skb.CsumPartial(m, header.PseudoSum(src, dst, header.ProtoUDP, len(m))))
	if c == 0 {
		c = 0xffff
	}
	h.SetChecksum(c)
	return m
}

// fromPeer wraps an IP payload in headers from the peer to the host.
func fromPeer(proto uint8, payload []byte, edit ...func(h header.IPv4)) []byte {
	return ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: proto, Src: peerIP, Dst: hostIP, ID: 7}, payload, edit...))
}

// parsed is a frame taken apart and checked.
type parsed struct {
	eth  header.Ethernet
	ip   header.IPv4
	data []byte
}

// parseIP takes an IPv4 frame apart and fails the test if any checksum is
// wrong.
func parseIP(t testing.TB, f []byte) parsed {
	t.Helper()
	e, ok := header.ParseEthernet(f)
	if !ok || e.Type() != header.EthPIP {
		t.Fatalf("not an IPv4 frame: %x", f)
	}
	h, ok := header.ParseIPv4(e.Payload())
	if !ok || !h.ChecksumOK() || h.TotalLen() != len(e.Payload()) {
		t.Fatalf("bad IPv4 header: %x", f)
	}
	p := parsed{e, h, e.Payload()[h.HeaderLen():]}
	if h.IsFragment() {
		return p
	}
	switch h.Protocol() {
	case header.ProtoICMP:
		if skb.CsumFold(skb.CsumPartial(p.data, 0)) != 0 {
			t.Fatalf("bad ICMP checksum: %x", f)
		}
	case header.ProtoUDP:
		u, ok := header.ParseUDP(p.data)
		if !ok || u.Length() != len(p.data) {
			t.Fatalf("bad UDP header: %x", f)
		}
		if u.Checksum() == 0 || skb.CsumFold(skb.CsumPartial(p.data, header.PseudoSum(h.Src(), h.Dst(), header.ProtoUDP, len(p.data)))) != 0 {
			t.Fatalf("bad UDP checksum: %x", f)
		}
	}
	return p
}

// one returns the only frame sent.
func (h *host) one() parsed {
	h.Helper()
	f := h.port.take()
	if len(f) != 1 {
		h.Fatalf("%d frames sent, want 1: %x", len(f), f)
	}
	return parseIP(h, f[0])
}

// none fails if anything was sent.
func (h *host) none() {
	h.Helper()
	if f := h.port.take(); len(f) != 0 {
		h.Fatalf("%d frames sent, want none: %x", len(f), f)
	}
}

func sockaddr(a header.Addr, port uint16) []byte {
	sa := make([]byte, 16)
	sa[0] = syscall.AF_INET
	binary.BigEndian.PutUint16(sa[2:], port)
	binary.BigEndian.PutUint32(sa[4:], uint32(a))
	return sa
}

// udpSocket makes a UDP socket, bound if port is not 0.
func (h *host) udpSocket(a header.Addr, port uint16) *sock.Socket {
	h.Helper()
	s, err := h.SockCreate(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	check(h, err)
	h.Cleanup(func() { s.Release() })
	if port != 0 || a != 0 {
		check(h, s.Bind(sockaddr(a, port)))
	}
	return s
}

func sendTo(s *sock.Socket, data []byte, a header.Addr, port uint16) (int, error) {
	m := &sock.Msg{Iov: [][]byte{data}}
	if port != 0 {
		m.NameLen = copy(m.Name[:], sockaddr(a, port))
	}
	return s.SendMsg(m, syscall.MSG_DONTWAIT)
}

func recvFrom(s *sock.Socket, size int) (data []byte, a header.Addr, port uint16, err error) {
	m := &sock.Msg{Iov: [][]byte{make([]byte, size)}}
	n, err := s.RecvMsg(m, syscall.MSG_DONTWAIT)
	if err != nil {
		return nil, 0, 0, err
	}
	return m.Iov[0][:n], header.Addr(binary.BigEndian.Uint32(m.Name[4:])), binary.BigEndian.Uint16(m.Name[2:]), nil
}

func newMsg(size, control int) *sock.Msg {
	return &sock.Msg{Iov: [][]byte{make([]byte, size)}, Control: make([]byte, control)}
}
