package inet_test

import (
	"strings"
	"testing"

	"barewire/inet/mib"
	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

// TestIP_badPackets_countedAsLinux has one packet for each check of the receive
// path, and the counters that may move.
func TestIP_badPackets_countedAsLinux(t *testing.T) {
	ping := icmpEcho(1, 1, []byte("data"))
	good := header.Fields{Protocol: 1, Src: peerIP, Dst: hostIP}
	with := func(edit func(h header.IPv4)) []byte { return fromPeer(1, ping, edit) }
	f := func(e func(f *header.Fields)) []byte {
		g := good
		e(&g)
		return ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(g, ping))
	}
	noSum := func(edit func(p []byte)) []byte {
		p := fromPeer(1, ping)
		edit(p[14:])
		return p
	}
	type count func(m *mib.MIB) *mib.Counter
	hdr := func(m *mib.MIB) *mib.Counter { return &m.IP.InHdrErrors }
	csum := func(m *mib.MIB) *mib.Counter { return &m.IP.InCsumErrors }
	for _, c := range []struct {
		name   string
		frame  []byte
		reason skb.Reason
		counts []count
	}{
		{"19 bytes", ethFrame(hostMAC, peerMAC, header.EthPIP, fromPeer(1, nil)[14:33]), skb.HdrTrunc, []count{hdr}},
		{"version 5", with(func(h header.IPv4) { h[0] = 0x55 }), skb.IPInHdr, []count{hdr}},
		{"header of 4 words", noSum(func(p []byte) { p[0] = 0x44 }), skb.IPInHdr, []count{hdr}},
		{"header longer than packet", noSum(func(p []byte) { p[0] = 0x4f }), skb.HdrTrunc, []count{hdr}},
		{"checksum", noSum(func(p []byte) { p[10] ^= 1 }), skb.IPCsum, []count{hdr, csum}},
		{"total length beyond frame", with(func(h header.IPv4) { h.SetTotalLen(1000) }), skb.PktTooSmall,
			[]count{func(m *mib.MIB) *mib.Counter { return &m.IP.InTruncatedPkts }}},
		{"total length below header", with(func(h header.IPv4) { h.SetTotalLen(19) }), skb.IPInHdr, []count{hdr}},
		{"for another host", f(func(f *header.Fields) { f.Dst = peerIP + 5 }), skb.IPInAddrErrors,
			[]count{func(m *mib.MIB) *mib.Counter { return &m.IP.InAddrErrors }}},
		{"for another network", f(func(f *header.Fields) { f.Dst = 0x08080808 }), skb.IPInAddrErrors,
			[]count{func(m *mib.MIB) *mib.Counter { return &m.IP.InAddrErrors }}},
		{"from our own address", f(func(f *header.Fields) { f.Src = hostIP }), skb.IPLocalSource, nil},
		{"from multicast", f(func(f *header.Fields) { f.Src = header.AddrAllHosts }), skb.IPInvalidSource, nil},
		{"from broadcast", f(func(f *header.Fields) { f.Src = header.AddrBroadcast }), skb.IPInvalidSource, nil},
		{"from loopback", f(func(f *header.Fields) { f.Src = header.AddrLoopback }), skb.IPLocalnet, nil},
		{"to loopback", f(func(f *header.Fields) { f.Dst = header.AddrLoopback }), skb.IPLocalnet, nil},
		{"from 0.0.0.0", f(func(f *header.Fields) { f.Src = 0 }), skb.IPInvalidSource, nil},
		{"to a group we are not in", f(func(f *header.Fields) { f.Dst = 0xe0000099 }), skb.IPInAddrErrors, nil},
		{"frame for another station", ethFrame([6]byte{2, 0, 0, 0, 0, 9}, peerMAC, header.EthPIP, ipPacket(good, ping)), skb.OtherHost, nil},
	} {
		h := newHost(t)
		h.know()
		h.inject(c.frame)
		h.none()
		if n := h.Drops(c.reason); n != 1 {
			t.Errorf("%s: dropped %d times for %v, want 1", c.name, n, c.reason)
		}
		m := h.MIB()
		want := map[*mib.Counter]bool{}
		for _, f := range c.counts {
			want[f(m)] = true
			if f(m).Load() != 1 {
				t.Errorf("%s: a counter that should stand at 1 is at %d", c.name, f(m).Load())
			}
		}
		for name, x := range map[string]*mib.Counter{
			"InHdrErrors": &m.IP.InHdrErrors, "InAddrErrors": &m.IP.InAddrErrors, "InCsumErrors": &m.IP.InCsumErrors,
			"InTruncatedPkts": &m.IP.InTruncatedPkts, "InDiscards": &m.IP.InDiscards, "InDelivers": &m.IP.InDelivers,
			"InUnknownProtos": &m.IP.InUnknownProtos, "InNoRoutes": &m.IP.InNoRoutes,
		} {
			if !want[x] && x.Load() != 0 {
				t.Errorf("%s: %s counted too", c.name, name)
			}
		}
	}
}

func TestIP_padding_cutOff(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.udpSocket(0, 7)
	f := fromPeerUDP(1, 7, []byte("short"))
	h.inject(append(f, make([]byte, 60-len(f))...))
	if d, _, _, err := recvFrom(s, 100); string(d) != "short" {
		t.Errorf("got %q, %v", d, err)
	}
}

func TestIP_unknownProtocol_protocolUnreachable(t *testing.T) {
	h := newHost(t)
	h.know()
	h.inject(fromPeer(253, []byte("experimental")))
	r := h.one()
	if m := header.ICMP(r.data); m.Type() != header.ICMPDestUnreach || m.Code() != header.ICMPProtUnreach {
		t.Errorf("type %d code %d", m.Type(), m.Code())
	}
	if h.MIB().IP.InUnknownProtos.Load() != 1 || h.MIB().IP.InDelivers.Load() != 0 {
		t.Error("InUnknownProtos not counted, or InDelivers was")
	}
}

// withOptions rebuilds a packet with options in its header.
func withOptions(opts []byte, payload []byte) []byte {
	return ethFrame(hostMAC, peerMAC, header.EthPIP, optionPacket(opts, 1, payload))
}

// optionPacket is a packet from the peer to the host with options, padded.
func optionPacket(opts []byte, proto uint8, payload []byte) []byte {
	for len(opts)%4 != 0 {
		opts = append(opts, 0)
	}
	p := make([]byte, 20, 60)
	header.PutIPv4(p, &header.Fields{Protocol: proto, Src: peerIP, Dst: hostIP, TTL: 64, TotalLen: 20 + len(opts) + len(payload)})
	p[0] = 0x40 | byte(5+len(opts)/4)
	p = append(p, opts...)
	header.IPv4(p).UpdateChecksum()
	return append(p, payload...)
}

func TestIP_options_checked(t *testing.T) {
	ping := icmpEcho(1, 1, []byte("data"))
	for _, c := range []struct {
		name  string
		opts  []byte
		reply uint8 // ICMP type sent back
		at    uint32
	}{
		{"nops", []byte{1, 1, 1, 0}, header.ICMPEchoReply, 0},
		{"record route", []byte{7, 7, 4, 0, 0, 0, 0, 0}, header.ICMPEchoReply, 0},
		{"router alert", []byte{148, 4, 0, 0}, header.ICMPEchoReply, 0},
		{"length 0", []byte{7, 0, 0, 0}, header.ICMPParameterProb, 20},
		{"length beyond header", []byte{1, 7, 9, 4}, header.ICMPParameterProb, 21},
		{"pointer below 4", []byte{7, 3, 3, 0}, header.ICMPParameterProb, 22},
		{"two timestamps", []byte{68, 4, 5, 0, 68, 4, 5, 0}, header.ICMPParameterProb, 24},
	} {
		h := newHost(t)
		h.know()
		h.inject(withOptions(c.opts, ping))
		r := h.one()
		m := header.ICMP(r.data)
		if m.Type() != c.reply || c.reply == header.ICMPParameterProb && m.Rest()>>24 != c.at {
			t.Errorf("%s: answer type %d pointer %d", c.name, m.Type(), m.Rest()>>24)
		}
		// Record route and timestamp are echoed, padding and alerts are not.
		want := map[string]int{"record route": 28, "two timestamps": 24}[c.name]
		if want == 0 {
			want = 20
		}
		if r.ip.HeaderLen() != want {
			t.Errorf("%s: a header of %d bytes in the answer, want %d", c.name, r.ip.HeaderLen(), want)
		}
	}
	h := newHost(t)
	h.know()
	h.inject(withOptions([]byte{131, 7, 4, 192, 0, 2, 9, 0}, ping))
	h.none() // source routes are refused in silence
}

func TestHooks_allPoints_seePacketsAndDecide(t *testing.T) {
	h := newHost(t)
	h.know()
	var seen []string
	verdict := map[netfilter.Point]netfilter.Verdict{}
	for p := netfilter.Point(0); p < netfilter.NumPoints; p++ {
		verdict[p] = netfilter.Accept
		h.Hooks().Register(p, netfilter.PriFilter, func(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
			dev := ""
			if s.In != nil {
				dev += "<" + s.In.Name()
			}
			if s.Out != nil {
				dev += ">" + s.Out.Name()
			}
			seen = append(seen, p.String()+dev)
			if v, ok := header.ParseIPv4(b.NetworkHeader()); !ok || v.Protocol() != 1 {
				t.Errorf("%v: no IP header at hand", p)
			}
			return verdict[p]
		})
	}
	ping := fromPeer(1, icmpEcho(1, 1, []byte("x")))
	h.inject(ping)
	h.one()
	if got, want := strings.Join(seen, " "), "PREROUTING<eth0 INPUT<eth0 OUTPUT>eth0 POSTROUTING>eth0"; got != want {
		t.Errorf("hooks ran as\n%s, want\n%s", got, want)
	}
	for i, p := range []netfilter.Point{netfilter.PreRouting, netfilter.LocalIn, netfilter.LocalOut, netfilter.PostRouting} {
		verdict[p] = netfilter.Drop
		h.inject(ping)
		h.none()
		if n := h.Drops(skb.NetfilterDrop); n != uint64(i+1) {
			t.Errorf("%v: %d packets dropped, want %d", p, n, i+1)
		}
		verdict[p] = netfilter.Accept
	}
}

func TestSNMP_afterTraffic_linuxFormat(t *testing.T) {
	h := newHost(t)
	h.know()
	h.inject(fromPeer(1, icmpEcho(1, 1, nil)), fromPeerUDP(1, 9, nil))
	h.port.take()
	lines := strings.Split(strings.TrimSpace(string(h.SNMP())), "\n")
	if len(lines) != 12 {
		t.Fatalf("%d lines:\n%s", len(lines), h.SNMP())
	}
	values := map[string]string{}
	for i := 0; i < len(lines); i += 2 {
		names, vals := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		if len(names) != len(vals) || names[0] != vals[0] {
			t.Fatalf("lines do not match:\n%s\n%s", lines[i], lines[i+1])
		}
		for j := 1; j < len(names); j++ {
			values[names[0]+names[j]] = vals[j]
		}
	}
	for k, want := range map[string]string{
		"Ip:Forwarding": "2", "Ip:DefaultTTL": "64", "Ip:InReceives": "2", "Ip:InDelivers": "2", "Ip:OutRequests": "2",
		"Icmp:InMsgs": "1", "Icmp:InEchos": "1", "Icmp:OutEchoReps": "1", "Icmp:OutDestUnreachs": "1",
		"IcmpMsg:InType8": "1", "IcmpMsg:OutType3": "1", "Udp:NoPorts": "1",
		"Tcp:RtoMax": "120000", "UdpLite:NoPorts": "0",
	} {
		if values[k] != want {
			t.Errorf("%s is %q, want %s", k, values[k], want)
		}
	}
	if n := string(h.Netstat()); !strings.HasPrefix(n, "TcpExt: SyncookiesSent ") || !strings.Contains(n, "\nIpExt: InNoRoutes ") {
		t.Errorf("netstat: %s", h.Netstat())
	}
}
