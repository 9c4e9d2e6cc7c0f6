package inet_test

import (
	"encoding/binary"
	"testing"

	"barewire/skb"
	"barewire/skb/header"
)

// FuzzIGMP feeds messages with their checksum repaired to a host that is a
// member of groups in every mode, and looks at what it may send: at most one
// report per group and query, all well-formed.
func FuzzIGMP(f *testing.F) {
	f.Add(query(0, 10, true)[34:], uint8(1), false)
	f.Add(query(0, 0, false)[34:], uint8(1), false)
	f.Add(query(grp, 10, false)[34:], uint8(0), false)
	f.Add(query(grp, 255, true, src1, src2)[34:], uint8(0), false)
	f.Add([]byte{0x16, 0, 0, 0, 239, 1, 2, 3}, uint8(0), false)
	f.Add([]byte{0x22, 0, 0, 0, 0, 0, 0, 1}, uint8(2), true)
	f.Add([]byte{0x11}, uint8(3), true)
	h := mcHost{newHost(f)}
	s := h.sock()
	check(f, h.set(s, 35, be(grp), be(hostIP)))
	check(f, h.set(s, 38, be(grp), be(hostIP), be(src1)))
	check(f, h.set(s, 39, be(grp+1), be(hostIP), be(src2)))
	f.Fuzz(func(t *testing.T, m []byte, to uint8, spoil bool) {
		if len(m) > 1400 {
			return
		}
		m = append([]byte(nil), m...)
		if len(m) >= 4 && !spoil {
			m[2], m[3] = 0, 0
			binary.BigEndian.PutUint16(m[2:], skb.CsumFold(skb.CsumPartial(m, 0)))
		}
		dst := []header.Addr{grp, header.AddrAllHosts, grp + 1, hostIP}[to%4]
		frame := groupFrame(dst, header.ProtoIGMP, m)
		if dst == hostIP {
			copy(frame, hostMAC[:])
		}
		h.inject(frame)
		h.TB = t
		defer func() { h.TB = f }()
		if out := h.igmps(); len(out) > 8 {
			t.Errorf("%d messages at once", len(out))
		}
		show, _ := h.net.Proc().Lookup("igmp")
		show(nil)
	})
}

// FuzzIGMPSockOpt gives membership options of any content to a socket.
func FuzzIGMPSockOpt(f *testing.F) {
	pad := make([]byte, 4)
	f.Add(35, concat(be(grp), be(0)))
	f.Add(39, concat(be(grp), be(hostIP), be(src1)))
	f.Add(41, concat(be(grp), be(hostIP), le(1), le(2), be(src1), be(src2)))
	f.Add(41, concat(be(grp), be(hostIP), le(1), le(0xffffffff)))
	f.Add(46, concat(le(2), pad, storage(grp), storage(src1)))
	f.Add(48, concat(le(2), pad, storage(grp), le(0), le(1), storage(src2)))
	h := mcHost{newHost(f)}
	h.port.discard = true
	s := h.sock()
	f.Fuzz(func(t *testing.T, name int, val []byte) {
		mc := h.IP().MC
		name = 35 + (name%14+14)%14
		mc.SetSockOpt(s, name, val)
		mc.GetSockOpt(s, name, append([]byte(nil), val...))
		if len(val) > 8 {
			mc.Allow(s, header.Addr(binary.BigEndian.Uint32(val)), src1, 2)
		}
		h.run()
	})
}

// FuzzARPPolicy feeds ARP packets whose lengths and types are those of Ethernet and
// IPv4 more often than not, with every setting that makes more of them count.
func FuzzARPPolicy(f *testing.F) {
	f.Add(arpFrame(1, bcast, peerMAC, peerIP, [6]byte{}, hostIP)[14:], uint8(0), true)
	f.Add(arpFrame(2, hostMAC, peerMAC, peerIP, hostMAC, hostIP)[14:], uint8(1), true)
	f.Add(arpFrame(1, bcast, peerMAC, 0, [6]byte{}, hostIP)[14:], uint8(0), true)
	f.Add(arpFrame(1, bcast, peerMAC, peerIP, [6]byte{}, peerIP)[14:], uint8(0), false)
	f.Add(arpFrame(1, bcast, peerMAC, peerIP, [6]byte{}, 0x0a020007)[14:], uint8(0), true)
	h := newHost(f)
	for _, name := range []string{"arp_accept", "proxy_arp", "proxy_arp_pvlan", "arp_filter", "forwarding"} {
		h.setctl("net.ipv4.conf.eth0."+name, "1")
	}
	f.Fuzz(func(t *testing.T, p []byte, to uint8, repair bool) {
		if len(p) > 1500 {
			return
		}
		p = append([]byte(nil), p...)
		if repair && len(p) >= header.ARPLen {
			copy(p, []byte{0, 1, 8, 0, 6, 4, 0})
			p[7] = 1 + p[7]&1
		}
		dst := [][6]byte{bcast, hostMAC, peerMAC}[to%3]
		h.inject(ethFrame(dst, peerMAC, header.EthPARP, p))
		for _, fr := range h.port.take() {
			if e := header.Ethernet(fr); e.Src() != hostMAC || e.Type() == header.EthPARP && len(fr) != 14+header.ARPLen {
				t.Errorf("sent %x", fr)
			}
		}
		if n := len(h.Neighbours()); n > 1024 {
			t.Errorf("%d neighbours", n)
		}
	})
}
