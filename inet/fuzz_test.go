package inet_test

import (
	"syscall"
	"testing"

	"barewire/inet/fib"
	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// fuzzHost is a host with sockets of every kind.
type fuzzHost struct {
	*host
	socks []*sock.Socket
}

func newFuzzHost(t testing.TB) *fuzzHost {
	h := &fuzzHost{host: newHost(t)}
	h.port.discard = true
	h.socks = append(h.socks, h.udpSocket(0, 7), h.udpSocket(hostIP, 8))
	c := h.udpSocket(0, 9)
	check(t, c.Connect(sockaddr(peerIP, 9), 0))
	h.socks = append(h.socks, c, h.rawSocket(1), h.rawSocket(17))
	setOpt(t, c, syscall.SOL_IP, syscall.IP_RECVERR, 1)
	setOpt(t, h.socks[0], syscall.SOL_IP, 6, 1) // IP_RECVOPTS
	setOpt(t, h.socks[0], syscall.SOL_IP, 7, 1) // IP_RETOPTS
	return h
}

// feed has a frame arrive and reads what the sockets got.
func (h *fuzzHost) feed(frame []byte, state skb.IPSummed, split uint8) {
	if len(frame) > 3000 {
		frame = frame[:3000]
	}
	b := h.buff(frame)
	if cut := int(split); cut > 0 && cut < len(frame) {
		// The tail in a page fragment, as a driver with merged buffers has it.
		b.Trim(cut)
		p := h.net.SKB().Pool().Alloc()
		n := copy(p.Bytes(), frame[cut:])
		if !b.AddFrag(p, 0, n, len(p.Bytes())) {
			h.Fatal("AddFrag")
		}
	}
	switch state &= 3; state {
	case skb.ChecksumComplete:
		if len(frame) > 14 {
			b.Csum = skb.CsumPartial(frame[14:], 0)
		}
		b.IPSummed = state
	case skb.ChecksumPartial:
		b.SetCsumPartial(34, int(split)%32)
	default:
		b.IPSummed = state
	}
	h.port.mu.Lock()
	h.port.rx.PushBack(b)
	h.port.mu.Unlock()
	h.port.napi.Schedule()
	h.net.SoftNet().DoSoftirq()
	m := &sock.Msg{Iov: [][]byte{make([]byte, 64)}, Control: make([]byte, 64)}
	for _, s := range h.socks {
		for {
			if _, err := s.RecvMsg(m, syscall.MSG_ERRQUEUE); err != nil {
				break
			}
		}
		for {
			if n, err := s.RecvMsg(m, syscall.MSG_DONTWAIT); err != nil || m.NameLen == 0 {
				break // nothing, or shut down
			} else if n > 64 {
				h.Fatalf("%d bytes in a buffer of 64", n)
			}
		}
	}
}

// repair makes the checksums of a frame right, so that the fuzzer reaches what
// is behind them.
func repair(f []byte) []byte {
	f = append([]byte(nil), f...)
	e, ok := header.ParseEthernet(f)
	if !ok || e.Type() != header.EthPIP {
		return f
	}
	h, ok := header.ParseIPv4(e.Payload())
	if !ok {
		return f
	}
	h.UpdateChecksum()
	end := h.TotalLen()
	if end < h.HeaderLen() || end > len(e.Payload()) || h.IsFragment() {
		return f
	}
	p := e.Payload()[h.HeaderLen():end]
	switch h.Protocol() {
	case header.ProtoICMP:
		if m, ok := header.ParseICMP(p); ok {
			m.SetChecksum(0)
			m.SetChecksum(skb.CsumFold(skb.CsumPartial(p, 0)))
		}
	case header.ProtoUDP:
		if u, ok := header.ParseUDP(p); ok {
			n := u.Length()
			if n < 8 || n > len(p) {
				return f
			}
			u.SetChecksum(0)
			u.SetChecksum(skb.CsumFold(skb.CsumPartial(p[:n], header.PseudoSum(h.Src(), h.Dst(), 17, n))))
		}
	}
	return f
}

// fuzzFrames runs a target over whole frames made from an input by wrap.
func fuzzFrames(f *testing.F, seeds [][]byte, wrap func(p []byte) []byte, prepare ...func(h *fuzzHost)) {
	for i, s := range seeds {
		f.Add(s, uint8(i), uint8(i*13))
	}
	f.Fuzz(func(t *testing.T, p []byte, state, split uint8) {
		h := newFuzzHost(t) // its cleanup finds leaks
		for _, fn := range prepare {
			fn(h)
		}
		for range 2 {
			h.feed(repair(wrap(p)), skb.IPSummed(state), split)
			h.feed(wrap(p), skb.IPSummed(state>>2), 0)
		}
		// The stack goes on.
		h.learn()
		h.feed(fromPeerUDP(9, 9, []byte("alive")), 0, 0)
		if h.MIB().UDP.InDatagrams.Load() == 0 {
			t.Error("the stack takes no datagrams any more")
		}
	})
}

// learn is know for a device that keeps nothing.
func (h *fuzzHost) learn() {
	h.feed(arpFrame(header.ARPRequest, hostMAC, peerMAC, peerIP, [6]byte{}, hostIP), 0, 0)
}

func FuzzIPRcv(f *testing.F) {
	data := make([]byte, 200)
	seeds := [][]byte{
		fromPeer(1, icmpEcho(1, 1, data)),
		fromPeerUDP(1, 7, data),
		fromPeerUDP(9, 9, nil),
		fromPeer(6, data),
		withOptions([]byte{7, 7, 4, 0, 0, 0, 0, 0}, icmpEcho(1, 1, data)),
		withOptions([]byte{131, 7, 4, 1, 2, 3, 4, 0}, data),
		fragments(1, 17, udpPacket(peerIP, hostIP, 1, 7, data), 56)[0],
		fragments(1, 17, udpPacket(peerIP, hostIP, 1, 7, data), 56)[3],
		ethFrame(bcast, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: 17, Src: peerIP, Dst: hostIP | 0xff}, udpPacket(peerIP, hostIP|0xff, 1, 7, nil))),
		arpFrame(header.ARPRequest, bcast, peerMAC, peerIP, [6]byte{}, hostIP),
	}
	fuzzFrames(f, seeds, func(p []byte) []byte { return p })
}

// FuzzForward is a router with everything on: two ways to everywhere chosen by
// what is inside of tunnels, one of them narrow, source routes, directed
// broadcasts, redirects.
func FuzzForward(f *testing.F) {
	away := func(proto uint8, payload []byte) []byte {
		return ipPacket(header.Fields{Protocol: proto, Src: peerIP, Dst: ip4(8, 8, 8, 8)}, payload)
	}
	inner := away(17, udpPacket(peerIP, hostIP, 1, 2, make([]byte, 700)))
	seeds := [][]byte{
		inner, away(4, inner), away(47, append([]byte{0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, inner...)),
		away(1, append([]byte{3, 1, 0, 0, 0, 0, 0, 0}, inner...)), away(4, inner[:24]), away(47, []byte{0x30, 0, 8, 0}),
		withOptions([]byte{131, 7, 4, 8, 8, 8, 8, 0}, inner)[14:], withOptions([]byte{148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0}, inner)[14:],
		ipPacket(header.Fields{Protocol: 17, Src: peerIP, Dst: hostIP | 0xff, Frag: header.IPMF}, inner),
	}
	fuzzFrames(f, seeds, func(p []byte) []byte { return ethFrame(hostMAC, peerMAC, header.EthPIP, p) }, func(h *fuzzHost) {
		for _, s := range []string{"ip_forward", "conf.all.accept_source_route", "conf.all.bc_forwarding", "conf.eth0.bc_forwarding",
			"conf.all.rp_filter", "fib_multipath_use_neigh"} {
			check(h, h.net.Sysctl().Set("net.ipv4."+s, "1"))
		}
		check(h, h.net.Sysctl().Set("net.ipv4.fib_multipath_hash_policy", "3"))
		check(h, h.net.Sysctl().Set("net.ipv4.fib_multipath_hash_fields", "4095"))
		check(h, h.route(ip4(8, 0, 0, 0), 8, 0, func(c *fib.Config) {
			c.Metrics[fib.RTAXMTU] = 300
			c.Multipath = []fib.NexthopConfig{{Gateway: peerIP}, {Gateway: peerIP + 1, Weight: 2}}
		}))
	})
}

func FuzzARP(f *testing.F) {
	seeds := [][]byte{
		arpFrame(header.ARPRequest, bcast, peerMAC, peerIP, [6]byte{}, hostIP)[14:],
		arpFrame(header.ARPReply, hostMAC, peerMAC, peerIP, hostMAC, hostIP)[14:],
		arpFrame(header.ARPRequest, bcast, peerMAC, 0, [6]byte{}, hostIP)[14:],
		arpFrame(header.ARPRequest, bcast, peerMAC, peerIP, [6]byte{}, peerIP)[14:],
	}
	fuzzFrames(f, seeds, func(p []byte) []byte { return ethFrame(bcast, peerMAC, header.EthPARP, p) })
}

func FuzzICMP(f *testing.F) {
	quote := ipPacket(header.Fields{Protocol: 17, Src: hostIP, Dst: peerIP}, udpPacket(hostIP, peerIP, 9, 9, []byte("quoted")))
	seeds := [][]byte{icmpEcho(1, 2, []byte("echo"))}
	for _, t := range []uint8{3, 4, 5, 11, 12} {
		seeds = append(seeds, unreachable(t, 3, 0x04000000, quote)[34:])
	}
	seeds = append(seeds, unreachable(3, 4, 1400, quote)[34:], unreachable(3, 1, 0, quote[:20])[34:])
	fuzzFrames(f, seeds, func(p []byte) []byte { return fromPeer(1, p) })
}

func FuzzUDP(f *testing.F) {
	seeds := [][]byte{
		udpPacket(peerIP, hostIP, 1, 7, []byte("datagram")),
		udpPacket(peerIP, hostIP, 9, 9, nil),
		udpPacket(peerIP, hostIP, 0, 0, nil),
		udpPacket(peerIP, hostIP, 1, 99, make([]byte, 600)),
		{0, 1, 0, 7, 0, 8},
	}
	fuzzFrames(f, seeds, func(p []byte) []byte { return fromPeer(17, p) })
}

// FuzzFragments cuts a valid datagram as the input says, in the order it says,
// and compares what comes out with what went in.
func FuzzFragments(f *testing.F) {
	f.Add([]byte{0, 10, 10, 10, 20, 12}, uint16(200))
	f.Add([]byte{20, 30, 0, 20}, uint16(300))
	f.Add([]byte{0, 10, 5, 10, 15, 30}, uint16(250))
	f.Fuzz(func(t *testing.T, cuts []byte, size uint16) {
		h := newFuzzHost(t)
		s := h.socks[0]
		data := make([]byte, int(size)%2000)
		for i := range data {
			data[i] = byte(i)
		}
		p := udpPacket(peerIP, hostIP, 1, 7, data)
		for i := 0; i+1 < len(cuts) && i < 100; i += 2 {
			off := int(cuts[i]) * 8
			end := off + int(cuts[i+1])*8
			if off >= len(p) || end <= off {
				continue
			}
			ff := uint16(off / 8)
			if end < len(p) {
				ff |= header.IPMF
			}
			end = min(end, len(p))
			b := h.buff(fromPeer(17, p[off:end], func(h header.IPv4) { h.SetFragField(ff) }))
			h.port.rx.PushBack(b)
			h.port.napi.Schedule()
			h.net.SoftNet().DoSoftirq()
			m := newMsg(3000, 0)
			if n, err := s.RecvMsg(m, syscall.MSG_DONTWAIT); err == nil && string(m.Iov[0][:n]) != string(data) {
				t.Fatalf("received %d bytes that differ from the %d sent", n, len(data))
			}
		}
	})
}

// FuzzSocketCalls makes calls as the input says on a few sockets, with
// addresses, options and control data out of it.
func FuzzSocketCalls(f *testing.F) {
	f.Add([]byte{0, 16, 2, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 16, 2, 0, 0, 9, 192, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{3, 6, 0, 10, 1, 0, 0, 0, 4, 20, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 5, 5, 6, 7})
	f.Fuzz(func(t *testing.T, p []byte) {
		h := newFuzzHost(t)
		socks := append([]*sock.Socket(nil), h.socks...)
		take := func(n int) []byte {
			n = min(n, len(p))
			d := p[:n:n]
			p = p[n:]
			return d
		}
		num := func() int {
			if d := take(1); len(d) == 1 {
				return int(d[0])
			}
			return 0
		}
		for calls := 0; len(p) > 1 && calls < 60; calls++ {
			op, n := num(), num()
			s := socks[n>>5%len(socks)]
			n &= 31
			switch op % 12 {
			case 0:
				s.Bind(take(n))
			case 1:
				s.Connect(take(n), 0)
			case 2:
				m := &sock.Msg{Iov: [][]byte{take(n), take(num()), make([]byte, num()*300)}}
				m.NameLen = copy(m.Name[:], take(num()&31))
				m.Control = take(num() & 63)
				s.SendMsg(m, syscall.MSG_DONTWAIT|num()<<8)
			case 3:
				s.SetSockOpt(num()&3&^2, num(), take(n))
			case 4:
				b := make([]byte, n)
				if got, err := s.GetSockOpt(num()&1, num(), b); err == nil && got > n {
					t.Errorf("getsockopt wrote %d of %d bytes", got, n)
				}
			case 5:
				s.Getname(n&1 == 0, make([]byte, num()&31))
			case 6:
				s.RecvMsg(newMsg(n, num()&63), syscall.MSG_DONTWAIT|num())
			case 7:
				s.Shutdown(n - 1)
			case 8:
				s.Ioctl(uint(0x5400+num()), make([]byte, n))
			case 9:
				s.Poll()
			case 10:
				h.feed(fromPeerUDP(9, uint16(7+n&3), take(n)), 0, 0)
			case 11:
				if len(socks) < 20 {
					if x, err := h.SockCreate(syscall.AF_INET, 1+n&1, 0); err == nil {
						t.Cleanup(func() { x.Release() })
						socks = append(socks, x)
					}
				}
			}
			h.net.SoftNet().DoSoftirq()
		}
	})
}
