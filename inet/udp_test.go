package inet_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"syscall"
	"testing"

	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

func fromPeerUDP(sport, dport uint16, data []byte) []byte {
	return fromPeer(header.ProtoUDP, udpPacket(peerIP, hostIP, sport, dport, data))
}

func TestUDP_echo_bothWays(t *testing.T) {
	for _, hw := range []bool{false, true} {
		h := newHost(t, func(_ *host, _ *inetConfig, d *napi.NetDevice) {
			if hw {
				d.SetFeatures(napi.FeatureHWCsum)
			}
		})
		h.know()
		s := h.udpSocket(0, 7)
		for _, size := range []int{0, 1, 17, 18, 100, 1471, 1472} {
			data := make([]byte, size)
			for i := range data {
				data[i] = byte(i * 7)
			}
			h.inject(fromPeerUDP(1000, 7, data))
			got, a, p, err := recvFrom(s, 2000)
			if err != nil || a != peerIP || p != 1000 || !bytes.Equal(got, data) {
				t.Fatalf("size %d: received %d bytes from %v:%d, %v", size, len(got), a, p, err)
			}
			if n, err := sendTo(s, got, a, p); n != size || err != nil {
				t.Fatalf("size %d: sent %d, %v", size, n, err)
			}
			if hw {
				// The device would fill the sum in: what is there must be the
				// pseudo header's.
				f := h.port.take()
				if len(f) != 1 {
					t.Fatalf("%d frames", len(f))
				}
				ip := header.IPv4(header.Ethernet(f[0]).Payload())
				u := header.UDP(ip[20:])
				if want := ^skb.CsumFold(header.PseudoSum(hostIP, peerIP, 17, size+8)); u.Checksum() != want {
					t.Fatalf("size %d: partial sum %#x, want %#x", size, u.Checksum(), want)
				}
				continue
			}
			r := h.one()
			u := header.UDP(r.data)
			if u.SrcPort() != 7 || u.DstPort() != 1000 || !bytes.Equal(r.data[8:], data) {
				t.Fatalf("size %d: wrong echo %x", size, r.data)
			}
			if !r.ip.DF() {
				t.Error("DF not set by default")
			}
		}
		c := &h.MIB().UDP
		if c.InDatagrams.Load() != 7 || c.OutDatagrams.Load() != 7 {
			t.Errorf("InDatagrams %d OutDatagrams %d", c.InDatagrams.Load(), c.OutDatagrams.Load())
		}
	}
}

func TestUDP_badPackets_countedAndDropped(t *testing.T) {
	flip := func(i int) func(p []byte) []byte {
		return func(p []byte) []byte { p[i] ^= 0x40; return p }
	}
	for _, c := range []struct {
		name   string
		edit   func(p []byte) []byte
		csum   uint64
		reason skb.Reason
	}{
		{"checksum", flip(9), 1, skb.UDPCsum},
		{"length beyond packet", func(p []byte) []byte { p[5] += 1; return p }, 0, skb.PktTooSmall},
		{"length below header", func(p []byte) []byte { p[5] = 7; return p }, 0, skb.PktTooSmall},
		{"no header", func(p []byte) []byte { return p[:7] }, 0, skb.HdrTrunc},
	} {
		h := newHost(t)
		h.know()
		s := h.udpSocket(0, 7)
		h.inject(fromPeer(header.ProtoUDP, c.edit(udpPacket(peerIP, hostIP, 9, 7, []byte("hello")))))
		u := &h.MIB().UDP
		if u.InErrors.Load() != 1 || u.InCsumErrors.Load() != c.csum || u.InDatagrams.Load() != 0 {
			t.Errorf("%s: InErrors %d InCsumErrors %d", c.name, u.InErrors.Load(), u.InCsumErrors.Load())
		}
		if n := h.Drops(c.reason); n != 1 {
			t.Errorf("%s: dropped for %v %d times, want 1", c.name, c.reason, n)
		}
		if _, _, _, err := recvFrom(s, 10); err != syscall.EAGAIN {
			t.Errorf("%s: delivered (%v)", c.name, err)
		}
		h.none()
	}
}

func TestUDP_checksumZero_accepted(t *testing.T) {
	h := newHost(t)
	s := h.udpSocket(0, 7)
	p := udpPacket(peerIP, hostIP, 9, 7, []byte("x"))
	p[6], p[7] = 0, 0
	h.inject(fromPeer(header.ProtoUDP, p))
	if d, _, _, err := recvFrom(s, 10); err != nil || string(d) != "x" {
		t.Errorf("got %q, %v", d, err)
	}
}

func TestUDP_noSocket_portUnreachable(t *testing.T) {
	h := newHost(t)
	h.know()
	f := fromPeerUDP(9, 77, bytes.Repeat([]byte("q"), 900))
	h.inject(f)
	r := h.one()
	m := header.ICMP(r.data)
	if m.Type() != header.ICMPDestUnreach || m.Code() != header.ICMPPortUnreach {
		t.Fatalf("type %d code %d", m.Type(), m.Code())
	}
	if r.ip.TotalLen() != 576 || r.ip.TOS() != 0xc0 {
		t.Errorf("length %d tos %#x, want 576 and 0xc0", r.ip.TotalLen(), r.ip.TOS())
	}
	if !bytes.Equal(m.Payload(), f[14:14+len(m.Payload())]) {
		t.Error("quote differs from the packet")
	}
	if h.MIB().UDP.NoPorts.Load() != 1 || h.MIB().UDP.InErrors.Load() != 0 {
		t.Error("NoPorts not counted, or InErrors was")
	}
}

// unreachable makes an ICMP error from the peer about a packet the host sent.
func unreachable(typ, code uint8, rest uint32, sent []byte) []byte {
	m := make([]byte, 8, 8+len(sent))
	header.PutICMP(m, typ, code, rest)
	m = append(m, sent...)
	header.ICMP(m).SetChecksum(skb.CsumFold(skb.CsumPartial(m, 0)))
	return fromPeer(header.ProtoICMP, m)
}

func TestUDP_connectedRefused_ECONNREFUSED(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.udpSocket(0, 0)
	check(t, s.Connect(sockaddr(peerIP, 99), 0))
	var events uint16
	s.SetNotify(func(ev uint16) { events |= ev })
	if _, err := sendTo(s, []byte("ping"), 0, 0); err != nil {
		t.Fatal(err)
	}
	sent := h.one()
	h.inject(unreachable(header.ICMPDestUnreach, header.ICMPPortUnreach, 0, sent.ip[:28]))
	if events&sock.EventErr == 0 || s.Poll()&sock.EventErr == 0 {
		t.Errorf("events %#x poll %#x: no EPOLLERR", events, s.Poll())
	}
	if _, _, _, err := recvFrom(s, 10); err != syscall.ECONNREFUSED {
		t.Errorf("recvmsg: %v, want ECONNREFUSED", err)
	}
	if _, _, _, err := recvFrom(s, 10); err != syscall.EAGAIN {
		t.Errorf("second recvmsg: %v, want EAGAIN", err)
	}
	// An error about somebody else's packet is not for us.
	forged := append([]byte(nil), sent.ip[:28]...)
	forged[20] ^= 1
	h.inject(unreachable(header.ICMPDestUnreach, header.ICMPPortUnreach, 0, forged))
	if s.Poll()&sock.EventErr != 0 {
		t.Error("error about an unknown flow reached the socket")
	}
}

func TestUDP_unconnected_errorsOnlyWithRecvErr(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.udpSocket(0, 555)
	refuse := func() error {
		if _, err := sendTo(s, []byte("ping"), peerIP, 99); err != nil {
			t.Fatal(err)
		}
		h.inject(unreachable(header.ICMPDestUnreach, header.ICMPPortUnreach, 0, h.one().ip[:28]))
		_, _, _, err := recvFrom(s, 10)
		return err
	}
	if err := refuse(); err != syscall.EAGAIN {
		t.Errorf("without IP_RECVERR: %v, want EAGAIN", err)
	}
	check(t, s.SetSockOpt(syscall.SOL_IP, syscall.IP_RECVERR, []byte{1, 0, 0, 0}))
	if err := refuse(); err != syscall.ECONNREFUSED {
		t.Errorf("with IP_RECVERR: %v, want ECONNREFUSED", err)
	}
}

func TestUDP_lookup_prefersTheClosest(t *testing.T) {
	h := newHost(t)
	any := h.udpSocket(0, 0)
	check(t, any.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_REUSEADDR, []byte{1, 0, 0, 0}))
	check(t, any.Bind(sockaddr(0, 7)))
	reuse := func(a header.Addr) *sock.Socket {
		s := h.udpSocket(0, 0)
		check(t, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_REUSEADDR, []byte{1, 0, 0, 0}))
		check(t, s.Bind(sockaddr(a, 7)))
		return s
	}
	bound := reuse(hostIP)
	conn := reuse(hostIP)
	check(t, conn.Connect(sockaddr(peerIP, 1000), 0))
	h.inject(fromPeerUDP(1000, 7, []byte("c")), fromPeerUDP(1001, 7, []byte("b")))
	if d, _, _, err := recvFrom(conn, 9); string(d) != "c" {
		t.Errorf("connected socket got %q, %v", d, err)
	}
	if d, _, _, err := recvFrom(bound, 9); string(d) != "b" {
		t.Errorf("bound socket got %q, %v", d, err)
	}
	if _, _, _, err := recvFrom(any, 9); err != syscall.EAGAIN {
		t.Errorf("wildcard socket got something: %v", err)
	}
	// Without the others the wildcard gets it, and a socket bound to another
	// device never does.
	bound.Release()
	conn.Release()
	lo := reuse(0)
	check(t, lo.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, []byte("lo\x00")))
	h.inject(fromPeerUDP(1000, 7, []byte("w")))
	if d, _, _, _ := recvFrom(any, 9); string(d) != "w" {
		t.Errorf("wildcard socket got %q", d)
	}
}

func TestUDP_manySocketsOnAPort_eachFound(t *testing.T) {
	h := newHost(t)
	var all []*sock.Socket
	for i := range 40 {
		s := h.udpSocket(0, 0)
		check(t, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_REUSEADDR, []byte{1, 0, 0, 0}))
		check(t, s.Bind(sockaddr(hostIP, 7)))
		check(t, s.Connect(sockaddr(peerIP, uint16(2000+i)), 0))
		all = append(all, s)
	}
	for i, s := range all {
		h.inject(fromPeerUDP(uint16(2000+i), 7, []byte{byte(i)}))
		if d, _, _, err := recvFrom(s, 9); len(d) != 1 || d[0] != byte(i) {
			t.Fatalf("socket %d got %v, %v", i, d, err)
		}
	}
}

func TestUDP_reusePort_sharesFlows(t *testing.T) {
	h := newHost(t)
	var group []*sock.Socket
	for range 4 {
		s := h.udpSocket(0, 0)
		check(t, s.SetSockOpt(syscall.SOL_SOCKET, 15, []byte{1, 0, 0, 0}))
		check(t, s.Bind(sockaddr(0, 7)))
		group = append(group, s)
	}
	for i := range 200 {
		h.inject(fromPeerUDP(uint16(1000+i), 7, []byte("x")), fromPeerUDP(uint16(1000+i), 7, []byte("x")))
	}
	for i, s := range group {
		n := 0
		for {
			_, _, p, err := recvFrom(s, 9)
			if err != nil {
				break
			}
			// Both packets of a flow are here, one after the other.
			_, _, p2, _ := recvFrom(s, 9)
			if p != p2 {
				t.Fatalf("flows %d and %d of socket %d were split", p, p2, i)
			}
			n++
		}
		if n < 10 {
			t.Errorf("socket %d got %d of 200 flows", i, n)
		}
	}
}

func TestUDP_bind_conflictsAsLinux(t *testing.T) {
	h := newHost(t)
	h.udpSocket(0, 7)
	s := h.udpSocket(0, 0)
	if err := s.Bind(sockaddr(0, 7)); err != syscall.EADDRINUSE {
		t.Errorf("same port: %v", err)
	}
	if err := s.Bind(sockaddr(hostIP, 7)); err != syscall.EADDRINUSE {
		t.Errorf("same port under the wildcard: %v", err)
	}
	if err := s.Bind(sockaddr(peerIP, 8)); err != syscall.EADDRNOTAVAIL {
		t.Errorf("foreign address: %v", err)
	}
	check(t, s.Bind(sockaddr(hostIP, 8)))
	if err := s.Bind(sockaddr(hostIP, 9)); err != syscall.EINVAL {
		t.Errorf("second bind: %v", err)
	}
	lo := h.udpSocket(0, 0)
	check(t, lo.Bind(sockaddr(header.AddrLoopback, 8)))
	if err := lo.Bind([]byte{2, 0, 0}); err != syscall.EINVAL {
		t.Errorf("short address: %v", err)
	}
	sa := sockaddr(0, 10)
	sa[0] = syscall.AF_INET6
	if err := h.udpSocket(0, 0).Bind(sa); err != syscall.EAFNOSUPPORT {
		t.Errorf("other family: %v", err)
	}
}

func TestUDP_ephemeralPorts_allDistinctThenExhausted(t *testing.T) {
	h := newHost(t)
	check(t, h.IP().SetLocalPortRange(40000, 40019))
	seen := map[uint16]bool{}
	var order []uint16
	for range 20 {
		s := h.udpSocket(0, 0)
		check(t, s.Bind(sockaddr(0, 0)))
		sa := make([]byte, 16)
		n, err := s.Getname(false, sa)
		p := binary.BigEndian.Uint16(sa[2:])
		if n != 16 || err != nil || p < 40000 || p > 40019 || seen[p] {
			t.Fatalf("port %d, %v", p, err)
		}
		seen[p] = true
		order = append(order, p)
	}
	if err := h.udpSocket(0, 0).Bind(sockaddr(0, 0)); err != syscall.EADDRINUSE {
		t.Errorf("21st port of 20: %v", err)
	}
	if _, err := sendTo(h.udpSocket(0, 0), nil, peerIP, 1); err != syscall.EAGAIN {
		t.Errorf("sending without a port left: %v", err)
	}
	rising := 0
	for i := 1; i < len(order); i++ {
		if order[i] == order[i-1]+1 {
			rising++
		}
	}
	if rising == len(order)-1 {
		t.Error("ports are given out in order")
	}
}

func TestUDP_connect_setsAndDissolves(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.udpSocket(0, 0)
	sa := make([]byte, 16)
	if _, err := s.Getname(true, sa); err != syscall.ENOTCONN {
		t.Errorf("peer name before connect: %v", err)
	}
	if _, err := sendTo(s, []byte("x"), 0, 0); err != syscall.EDESTADDRREQ {
		t.Errorf("send before connect: %v", err)
	}
	check(t, s.Connect(sockaddr(peerIP, 9), 0))
	if n, err := s.Getname(true, sa); n != 16 || err != nil || !bytes.Equal(sa, sockaddr(peerIP, 9)) {
		t.Errorf("peer name %x, %v", sa, err)
	}
	s.Getname(false, sa)
	if header.Addr(binary.BigEndian.Uint32(sa[4:])) != hostIP {
		t.Errorf("local address %x", sa)
	}
	if _, err := sendTo(s, []byte("x"), 0, 0); err != nil {
		t.Errorf("send: %v", err)
	}
	h.one()
	check(t, s.Connect([]byte{syscall.AF_UNSPEC, 0}, 0))
	if _, err := sendTo(s, []byte("x"), 0, 0); err != syscall.EDESTADDRREQ {
		t.Errorf("send after disconnect: %v", err)
	}
	if s.Getname(false, sa); binary.BigEndian.Uint32(sa[4:]) != 0 {
		t.Errorf("address kept after disconnect: %x", sa)
	}
	if err := s.Connect(sockaddr(header.AddrBroadcast, 9), 0); err != syscall.EACCES {
		t.Errorf("broadcast without permission: %v", err)
	}
}

func TestUDP_broadcast_deliveredToAllAndSentWithPermission(t *testing.T) {
	h := newHost(t)
	h.know()
	var all []*sock.Socket
	for range 3 {
		s := h.udpSocket(0, 0)
		check(t, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_REUSEADDR, []byte{1, 0, 0, 0}))
		check(t, s.Bind(sockaddr(0, 67)))
		all = append(all, s)
	}
	subnet := hostIP | 0xff
	for _, dst := range []header.Addr{subnet, header.AddrBroadcast} {
		h.inject(ethFrame(bcast, peerMAC, header.EthPIP,
			ipPacket(header.Fields{Protocol: 17, Src: peerIP, Dst: dst}, udpPacket(peerIP, dst, 68, 67, []byte("all")))))
		for i, s := range all {
			if d, _, _, err := recvFrom(s, 10); string(d) != "all" {
				t.Errorf("to %v: socket %d got %q, %v", dst, i, d, err)
			}
		}
	}
	// Nobody listening: silence, no port unreachable.
	h.inject(ethFrame(bcast, peerMAC, header.EthPIP,
		ipPacket(header.Fields{Protocol: 17, Src: peerIP, Dst: subnet}, udpPacket(peerIP, subnet, 68, 69, nil))))
	h.none()
	if h.MIB().UDP.IgnoredMulti.Load() != 1 {
		t.Error("IgnoredMulti not counted")
	}
	s := all[0]
	if _, err := sendTo(s, []byte("x"), subnet, 67); err != syscall.EACCES {
		t.Errorf("without SO_BROADCAST: %v", err)
	}
	check(t, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_BROADCAST, []byte{1, 0, 0, 0}))
	for _, dst := range []header.Addr{subnet, header.AddrBroadcast} {
		if _, err := sendTo(s, []byte("x"), dst, 67); err != nil {
			t.Fatalf("with SO_BROADCAST to %v: %v", dst, err)
		}
		h.run()
		if r := h.one(); r.eth.Dst() != bcast || r.ip.Dst() != dst {
			t.Errorf("sent to %v: %x", dst, []byte(r.eth))
		}
		for i, s := range all {
			if d, a, _, err := recvFrom(s, 10); string(d) != "x" || a != hostIP {
				t.Errorf("own broadcast: socket %d got %q from %v, %v", i, d, a, err)
			}
		}
	}
}

func TestUDP_receiveBuffer_boundsAndCounts(t *testing.T) {
	h := newHost(t)
	s := h.udpSocket(0, 7)
	check(t, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_RCVBUF, []byte{0, 0x10, 0, 0})) // 4096, doubled
	buf := make([]byte, 4)
	if n, err := s.GetSockOpt(syscall.SOL_SOCKET, syscall.SO_RCVBUF, buf); n != 4 || err != nil || binary.LittleEndian.Uint32(buf) != 8192 {
		t.Fatalf("SO_RCVBUF %v %d %v", buf, n, err)
	}
	for range 100 {
		h.inject(fromPeerUDP(1, 7, []byte("data")))
	}
	c := &h.MIB().UDP
	in, full := c.InDatagrams.Load(), c.RcvbufErrors.Load()
	if in+full != 100 || in < 8 || in > 16 || c.InErrors.Load() != full {
		t.Errorf("InDatagrams %d RcvbufErrors %d InErrors %d", in, full, c.InErrors.Load())
	}
	for range in {
		if _, _, _, err := recvFrom(s, 10); err != nil {
			t.Fatal(err)
		}
	}
	h.inject(fromPeerUDP(1, 7, []byte("again")))
	if d, _, _, err := recvFrom(s, 10); string(d) != "again" {
		t.Errorf("after reading: %q, %v", d, err)
	}
}

func TestUDP_memoryOfAllSockets_bounded(t *testing.T) {
	h := newHost(t, func(_ *host, c *inetConfig, _ *napi.NetDevice) { c.UDPMemory = 20 * 4672 })
	for i := range 10 {
		h.udpSocket(0, uint16(100+i))
	}
	for i := range 100 {
		h.inject(fromPeerUDP(1, uint16(100+i%10), []byte("data")))
	}
	c := &h.MIB().UDP
	if c.InDatagrams.Load() > 20 || c.MemErrors.Load() != 100-c.InDatagrams.Load() {
		t.Errorf("InDatagrams %d MemErrors %d", c.InDatagrams.Load(), c.MemErrors.Load())
	}
}

func TestUDP_sendBuffer_fillsAndTells(t *testing.T) {
	h := newHost(t, func(h *host, _ *inetConfig, _ *napi.NetDevice) { h.port.holdTx = true })
	h.know()
	s := h.udpSocket(0, 0)
	check(t, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_SNDBUF, []byte{0, 0x40, 0, 0})) // 16384, doubled
	var events uint16
	s.SetNotify(func(ev uint16) { events |= ev })
	n := 0
	for ; n < 100; n++ {
		if _, err := sendTo(s, []byte("x"), peerIP, 9); err == syscall.EAGAIN {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if n < 4 || n > 10 || h.MIB().UDP.SndbufErrors.Load() != 1 {
		t.Fatalf("%d datagrams fitted, SndbufErrors %d", n, h.MIB().UDP.SndbufErrors.Load())
	}
	if s.Poll()&sock.EventOut != 0 || events&sock.EventOut != 0 {
		t.Error("writable while the buffer is full")
	}
	h.port.hold.Purge(skb.QueuePurge) // the device is done with them
	if events&sock.EventOut == 0 || s.Poll()&sock.EventOut == 0 {
		t.Error("not told that there is room again")
	}
	if _, err := sendTo(s, []byte("x"), peerIP, 9); err != nil {
		t.Error(err)
	}
}

func TestUDP_peekAndTrunc_asLinux(t *testing.T) {
	h := newHost(t)
	s := h.udpSocket(0, 7)
	h.inject(fromPeerUDP(1, 7, []byte("0123456789")))
	m := &sock.Msg{Iov: [][]byte{make([]byte, 2), make([]byte, 2)}}
	for _, flags := range []int{syscall.MSG_PEEK, syscall.MSG_PEEK | syscall.MSG_TRUNC, 0} {
		n, err := s.RecvMsg(m, flags|syscall.MSG_DONTWAIT)
		want := 4
		if flags&syscall.MSG_TRUNC != 0 {
			want = 10
		}
		if n != want || err != nil || m.Flags != syscall.MSG_TRUNC || string(m.Iov[0])+string(m.Iov[1]) != "0123" {
			t.Errorf("flags %#x: %d, %v, msg flags %#x, %q", flags, n, err, m.Flags, m.Iov)
		}
	}
	if _, err := s.RecvMsg(m, syscall.MSG_DONTWAIT); err != syscall.EAGAIN {
		t.Errorf("after reading: %v", err)
	}
}

func TestUDP_controlMessages_bothWays(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.udpSocket(0, 7)
	for _, o := range []int{syscall.IP_PKTINFO, 12, 13} {
		check(t, s.SetSockOpt(syscall.SOL_IP, o, []byte{1, 0, 0, 0}))
	}
	h.inject(fromPeer(17, udpPacket(peerIP, hostIP, 1, 7, []byte("x")), func(ip header.IPv4) { ip[1] = 0x20; ip.SetTTL(33) }))
	m := &sock.Msg{Iov: [][]byte{make([]byte, 9)}, Control: make([]byte, 128)}
	if _, err := s.RecvMsg(m, syscall.MSG_DONTWAIT); err != nil {
		t.Fatal(err)
	}
	got := map[int][]byte{}
	for c, rest, ok, err := sock.NextCmsg(m.Control[:m.ControlLen]); ok; c, rest, ok, err = sock.NextCmsg(rest) {
		check(t, err)
		got[c.Type] = c.Data
	}
	info := got[syscall.IP_PKTINFO]
	if len(info) != 12 || int32(binary.LittleEndian.Uint32(info)) != h.port.dev.Ifindex() || header.Addr(binary.BigEndian.Uint32(info[8:])) != hostIP {
		t.Errorf("IP_PKTINFO %x", info)
	}
	if v := got[syscall.IP_TTL]; len(v) != 4 || v[0] != 33 {
		t.Errorf("IP_TTL %x", v)
	}
	if v := got[syscall.IP_TOS]; len(v) != 1 || v[0] != 0x20 {
		t.Errorf("IP_TOS %x", v)
	}
	// And out: TTL and TOS for one datagram.
	out := &sock.Msg{Iov: [][]byte{[]byte("y")}}
	out.NameLen = copy(out.Name[:], sockaddr(peerIP, 1))
	out.Control = make([]byte, 256)
	w := &sock.Msg{Control: out.Control}
	w.PutCmsg(syscall.SOL_IP, syscall.IP_TTL, []byte{5, 0, 0, 0})
	w.PutCmsg(syscall.SOL_IP, syscall.IP_TOS, []byte{0x10, 0, 0, 0})
	out.Control = out.Control[:w.ControlLen]
	if _, err := s.SendMsg(out, syscall.MSG_DONTWAIT); err != nil {
		t.Fatal(err)
	}
	if r := h.one(); r.ip.TTL() != 5 || r.ip.TOS() != 0x10 {
		t.Errorf("ttl %d tos %#x", r.ip.TTL(), r.ip.TOS())
	}
	out.Control[0] = 3 // an impossible length
	if _, err := s.SendMsg(out, syscall.MSG_DONTWAIT); err != syscall.EINVAL {
		t.Errorf("bad control data: %v", err)
	}
}

func TestUDP_loopback_withinTheHost(t *testing.T) {
	h := newHost(t)
	a := h.udpSocket(0, 7)
	b := h.udpSocket(0, 0)
	for _, dst := range []header.Addr{header.AddrLoopback, hostIP, header.AddrFrom4([4]byte{127, 9, 9, 9})} {
		for _, size := range []int{0, 5, 3000, 9000, 65507} {
			data := make([]byte, size)
			for i := range data {
				data[i] = byte(rand.Uint32())
			}
			if n, err := sendTo(b, data, dst, 7); n != size || err != nil {
				t.Fatalf("%v size %d: sent %d, %v", dst, size, n, err)
			}
			h.run()
			got, from, _, err := recvFrom(a, 70000)
			want := dst
			if dst.IsLoopback() {
				want = header.AddrLoopback // the source the route of all of 127.0.0.0/8 has
			}
			if err != nil || from != want || !bytes.Equal(got, data) {
				t.Fatalf("%v size %d: got %d bytes from %v, %v", dst, size, len(got), from, err)
			}
		}
	}
	h.none() // nothing of it on the wire
	// Nobody there: refused, through the loopback as on Linux.
	check(t, b.Connect(sockaddr(header.AddrLoopback, 9999), 0))
	if _, err := sendTo(b, []byte("x"), 0, 0); err != nil {
		t.Fatal(err)
	}
	h.run()
	if _, _, _, err := recvFrom(b, 9); err != syscall.ECONNREFUSED {
		t.Errorf("want ECONNREFUSED, got %v", err)
	}
}
