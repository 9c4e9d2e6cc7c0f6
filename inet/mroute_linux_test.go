package inet_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"barewire/skb/header"
)

// Options of multicast routing.
const (
	mrtInit = 200 + iota
	mrtDone
	mrtAddVIF
	mrtDelVIF
	mrtAddMFC
	mrtDelMFC
	mrtVersion
	mrtAssert
	mrtPIM
	mrtTable
	mrtAddMFCProxy
	mrtDelMFCProxy
	mrtFlush
)

// counted starts the counters of a router from zero.
func counted(s *mrScript) *mrScript {
	time.Sleep(20 * time.Millisecond)
	s.base = map[string]int64{}
	counters(s.proc("snmp"), s.base)
	counters(s.proc("netstat"), s.base)
	return s
}

// mrScript does the same to both routers and notes what comes of it.
type mrScript struct {
	mrEnd
	linux bool
	out   []string
	base  map[string]int64 // counters at the start
}

func (s *mrScript) note(f string, v ...any) { s.out = append(s.out, fmt.Sprintf(f, v...)) }

func (s *mrScript) set(fd int, what string, name int, val []byte) {
	s.note("%s: %v", what, s.setopt(fd, name, val))
}

// look notes everything there is to see.
func (s *mrScript) look() {
	sent := s.sent()
	for i := range sent {
		for _, f := range sent[i] {
			s.note("  eth%d sends %s", i, f)
		}
	}
	for p := s.recv(0); p != nil; p = s.recv(0) {
		if len(p) > 28 && p[9] != 0 || len(p) < 28 {
			s.note("  packet %s", describe(append(make([]byte, 12, 100), append([]byte{8, 0}, p...)...)))
			continue
		}
		// What follows the header of a short upcall but its type is not set by
		// Linux. Identifications are compared elsewhere.
		if p[9] == 0 && len(p) == int(p[0]&15)*4+8 {
			clear(p[len(p)-7:])
			clear(p[4:6])
		}
		s.note("  upcall %x", p)
	}
	s.note("%s", s.proc("ip_mr_vif"))
	s.note("%s", s.proc("ip_mr_cache"))
	// Our own IGMP messages, whose times are random, are counted as sent.
	m := map[string]int64{}
	counters(s.proc("snmp"), m)
	counters(s.proc("netstat"), m)
	for _, k := range []string{"Ip:InReceives", "Ip:ForwDatagrams", "Ip:InDelivers", "Ip:InHdrErrors", "Ip:InAddrErrors", "Ip:InDiscards",
		"Ip:InUnknownProtos", "Ip:FragOKs", "Ip:FragFails", "Ip:FragCreates", "IpExt:InMcastPkts", "IpExt:InNoRoutes"} {
		s.note("  %s %d", k, m[k]-s.base[k])
	}
	s.note("%s %s", s.getctl("conf.all.mc_forwarding"), s.getctl("conf.eth0.mc_forwarding"))
}

func (s *mrScript) packet(i int, f []byte) {
	s.note("frame on eth%d", i)
	s.feed(i, f)
	if s.linux {
		time.Sleep(2 * time.Millisecond)
	}
	s.look()
}

func (s *mrScript) vif(n uint16, i int) {
	s.set(0, fmt.Sprint("vif ", n), mrtAddVIF, vifctl(n, 8, 1, le(uint32(s.index(i))), be(0)))
}

func (s *mrScript) counts() {
	for i := range uint16(4) {
		b := make([]byte, 40)
		b[0] = byte(i)
		s.note("SIOCGETVIFCNT %d: %v %x", i, s.ioctl(0, 0x89e0, b), b)
	}
	for _, k := range [][]byte{concat(be(mrAddr(0, 9)), be(grp)), concat(be(0), be(grp)), concat(be(1), be(grp))} {
		b := append(k, make([]byte, 24)...)
		s.note("SIOCGETSGCNT %x: %v %x", k, s.ioctl(0, 0x89e1, b), b)
	}
}

var mrScripts = []struct { // read-only
	name string
	run  func(s *mrScript)
}{
	{"options", func(s *mrScript) {
		one := le(1)
		for name := mrtInit; name <= mrtFlush; name++ {
			g, err := s.getopt(0, name, 4)
			s.note("get %d before: %x %v", name, g, err)
		}
		for name := mrtDone; name <= mrtFlush; name++ {
			for _, v := range [][]byte{nil, {1}, one, make([]byte, 16), make([]byte, 60), make([]byte, 61)} {
				if name == mrtTable && len(v) == 4 {
					continue
				}
				s.set(0, fmt.Sprintf("set %d of %d before", name, len(v)), name, v)
			}
		}
		s.look()
		s.set(0, "flush all", mrtFlush, le(15))
		s.set(0, "init short", mrtInit, []byte{1})
		s.set(0, "init", mrtInit, one)
		s.set(0, "init twice", mrtInit, one)
		second := s.open()
		s.set(second, "init by another", mrtInit, one)
		s.set(second, "done by another", mrtDone, nil)
		s.set(second, "alert", 5, one)
		s.set(second, "alert twice", 5, one)
		s.set(second, "init with alert", mrtInit, one)
		s.set(second, "alert off", 5, le(0))
		s.set(second, "alert off twice", 5, le(0))
		s.set(second, "vif by another", mrtAddVIF, vifctl(9, 0, 1, be(mrAddr(0, 1)), be(0)))
		s.look()
		for _, c := range []struct {
			what string
			v    []byte
		}{
			{"vif 32", vifctl(32, 0, 1, be(mrAddr(0, 1)), be(0))},
			{"vif by a stranger's address", vifctl(0, 0, 1, be(mrAddr(0, 2)), be(0))},
			{"vif by index 0", vifctl(0, 8, 1, le(0), be(0))},
			{"vif by index 999", vifctl(0, 8, 1, le(999), be(0))},
			{"vif of flags 2", vifctl(0, 2, 1, be(mrAddr(0, 1)), be(0))},
			{"vif of flags 9", vifctl(0, 9, 1, be(mrAddr(0, 1)), be(0))},
			{"tunnel", vifctl(0, 1, 1, be(mrAddr(0, 1)), be(mrAddr(0, 9)))},
			{"vif 2", vifctl(2, 0, 1, be(mrAddr(0, 1)), be(0x01020304))},
			{"vif 2 again", vifctl(2, 0, 1, be(mrAddr(1, 1)), be(0))},
			{"vif 0", vifctl(0, 0, 7, be(mrAddr(1, 1)), be(0))},
			{"vif 31", vifctl(31, 0, 7, be(mrAddr(0, 1)), be(0))},
		} {
			s.set(0, c.what, mrtAddVIF, c.v)
		}
		s.look()
		s.counts()
		for _, c := range []struct {
			what string
			v    []byte
		}{
			{"parent 32", mfcctl(mrAddr(0, 9), grp, 32, nil)},
			{"parent not there", mfcctl(mrAddr(0, 9), grp, 5, map[int]uint8{0: 1, 1: 1, 2: 255, 31: 254})},
			{"to no group", mfcctl(mrAddr(0, 9), 0x0a000001, 0, nil)},
			{"to a group of the link", mfcctl(mrAddr(0, 9), 0xe0000005, 0, map[int]uint8{0: 1})},
			{"anything", mfcctl(0, 0, 2, map[int]uint8{0: 1, 2: 3})},
			{"again, changed", mfcctl(mrAddr(0, 9), grp, 2, map[int]uint8{0: 3})},
		} {
			s.set(0, c.what, mrtAddMFC, c.v)
		}
		s.set(second, "mfc by another", mrtAddMFC, mfcctl(1, grp, 0, map[int]uint8{2: 3}))
		s.set(0, "proxy", mrtAddMFCProxy, mfcctl(0, grp, 0, map[int]uint8{2: 3}))
		s.set(0, "proxy, another parent", mrtAddMFCProxy, mfcctl(0, grp, 2, map[int]uint8{0: 3}))
		s.set(0, "proxy, the same", mrtAddMFCProxy, mfcctl(0, grp, 2, map[int]uint8{0: 4}))
		s.look()
		s.counts()
		s.set(0, "proxy del, no such parent", mrtDelMFCProxy, mfcctl(0, grp, 3, nil))
		s.set(0, "proxy del", mrtDelMFCProxy, mfcctl(0, grp, 0, nil))
		s.set(0, "del", mrtDelMFC, mfcctl(0, grp, 9, nil))
		s.set(0, "del what is gone", mrtDelMFC, mfcctl(0, grp, 0, nil))
		s.set(0, "del with a parent of 32", mrtDelMFC, mfcctl(0, grp, 32, nil))
		s.set(0, "del vif 31", mrtDelVIF, vifctl(31, 0, 0, be(0), be(0)))
		s.set(0, "del vif 31 again", mrtDelVIF, vifctl(31, 0, 0, be(0), be(0)))
		s.set(0, "del vif 1", mrtDelVIF, vifctl(1, 0, 0, be(0), be(0)))
		s.set(0, "del vif 33", mrtDelVIF, vifctl(33, 0, 0, be(0), be(0)))
		s.look()
		for _, v := range []uint32{0, 1, 4, 0, 2} {
			s.set(0, fmt.Sprint("pim ", v), mrtPIM, le(v))
			s.set(0, fmt.Sprint("assert ", v&1), mrtAssert, le(v&1))
			for _, n := range []int{mrtVersion, mrtAssert, mrtPIM} {
				for _, size := range []int{0, 1, 4, 8} {
					g, err := s.getopt(0, n, size)
					s.note("get %d of %d: %x %v", n, size, g, err)
				}
			}
		}
		s.set(0, "table of the daemon", mrtTable, le(5))
		s.set(second, "table", mrtTable, le(5))
		s.set(second, "table too large", mrtTable, le(1000000000))
		s.set(second, "init of it", mrtInit, one)
		s.set(second, "vif of it", mrtAddVIF, vifctl(3, 0, 1, be(mrAddr(0, 1)), be(0)))
		s.look()
		s.set(second, "table again", mrtTable, le(6))
		s.set(0, "flush", mrtFlush, le(1))
		s.look()
		s.set(0, "flush static", mrtFlush, le(2))
		s.look()
		s.set(0, "done", mrtDone, nil)
		s.look()
		s.set(0, "flush vifs", mrtFlush, le(8))
		s.look()
		s.shut(second)
		s.look()
	}},
	{"forwarding", func(s *mrScript) {
		src := mrAddr(0, 9)
		s.packet(0, mrFrame(src, grp, 9, []byte("nobody routes")))
		s.set(0, "init", mrtInit, le(1))
		s.packet(0, mrFrame(src, grp, 9, []byte("no vif")))
		for i := range mrPorts {
			s.vif(uint16(i), i)
		}
		s.packet(0, mrFrame(src, 0xe0000042, 9, []byte("of the link")))
		for i := range 6 {
			s.packet(0, mrFrame(src, grp, 9, []byte{byte(i)}))
		}
		s.set(0, "mfc", mrtAddMFC, mfcctl(src, grp, 0, map[int]uint8{1: 1, 2: 5}))
		s.look()
		for ttl := range uint8(8) {
			s.packet(0, mrFrame(src, grp, ttl+1, []byte("time to live")))
		}
		s.packet(1, mrFrame(src, grp, 9, []byte("by the wrong vif")))
		s.set(0, "assert", mrtAssert, le(1))
		s.packet(1, mrFrame(src, grp, 9, []byte("by the wrong vif, asserting")))
		s.packet(1, mrFrame(src, grp, 9, []byte("again")))
		s.packet(0, mrFrame(mrAddr(0, 7), grp+1, 9, []byte("pending"), func(h header.IPv4) { h.SetFragField(header.IPDF) }))
		s.set(0, "flush", mrtFlush, le(1))
		s.look()
		// Lengths and fragments.
		s.set(0, "mfc", mrtAddMFC, mfcctl(src, grp, 0, map[int]uint8{0: 1, 1: 1, 2: 1}))
		big := make([]byte, 1400)
		s.packet(0, mrFrame(src, grp, 9, big))
		s.packet(0, mrFrame(src, grp, 9, big[:1000], func(h header.IPv4) { h.SetFragField(header.IPMF) }))
		s.packet(0, mrFrame(src, grp, 9, big, func(h header.IPv4) { h[1] = 0xff }))
		s.packet(0, mrFrame(src, grp, 0, nil))
		s.packet(0, mrFrame(src, grp, 1, nil))
		s.packet(0, mrFrame(src, grp, 9, nil, func(h header.IPv4) { setSrc(h, 0) }))
		s.packet(0, mrFrame(src, grp, 9, nil, func(h header.IPv4) { setSrc(h, 0x7f000001) }))
		s.packet(0, mrFrame(src, grp, 9, nil, func(h header.IPv4) { setSrc(h, grp) }))
		s.packet(0, mrFrame(src, grp, 9, nil, func(h header.IPv4) { setSrc(h, mrAddr(2, 1)) }))
		s.counts()
		// Members on the router.
		s.join(0, grp)
		s.join(1, grp)
		s.sent()
		s.packet(0, mrFrame(src, grp, 9, []byte("a member here")))
		s.packet(0, mrFrame(mrAddr(0, 8), grp, 9, []byte("a member here, unknown source")))
		s.set(0, "done", mrtDone, nil)
		s.packet(0, mrFrame(src, grp, 9, []byte("over")))
	}},
	{"sending", func(s *mrScript) {
		s.set(0, "init", mrtInit, le(1))
		s.vif(0, 0)
		s.vif(1, 1)
		send := func(i int, group header.Addr, data string) {
			s.note("send by eth%d: %v", i, s.send(i, group, []byte(data)))
			s.look()
		}
		send(0, grp, "unknown")
		send(0, 0xe0000042, "to a group of the link")
		s.set(0, "mfc", mrtAddMFC, mfcctl(mrAddr(0, 1), grp, 0, map[int]uint8{1: 1}))
		s.look()
		send(0, grp, "known")
		send(2, grp, "by a link that is no vif")
		s.set(0, "mfc", mrtAddMFC, mfcctl(mrAddr(1, 1), grp, 0, map[int]uint8{1: 1}))
		send(1, grp, "by the wrong vif")
		s.join(0, grp)
		s.join(1, grp)
		s.sent()
		send(0, grp, "with a member here")
		s.packet(0, mrFrame(mrAddr(0, 9), grp, 9, []byte("of the link")))
		s.set(0, "mfc", mrtAddMFC, mfcctl(0, grp, 0, map[int]uint8{0: 1, 1: 1}))
		s.packet(0, mrFrame(mrAddr(0, 9), grp, 9, []byte("comes back to members")))
		send(1, grp, "by all sources")
	}},
	{"proxy", func(s *mrScript) {
		s.set(0, "init", mrtInit, le(1))
		for i := range mrPorts {
			s.vif(uint16(i), i)
		}
		s.set(0, "up", mrtAddMFC, mfcctl(0, 0, 0, map[int]uint8{0: 1, 1: 1, 2: 1}))
		for i := range mrPorts {
			s.packet(i, mrFrame(mrAddr(i, 9), grp, 9, []byte("to the upstream")))
		}
		s.set(0, "down", mrtAddMFCProxy, mfcctl(0, grp, 0, map[int]uint8{1: 1}))
		for i := range mrPorts {
			s.packet(i, mrFrame(mrAddr(i, 9), grp, 9, []byte("through the tree")))
		}
		s.set(0, "two ups", mrtAddMFCProxy, mfcctl(0, 0, 2, map[int]uint8{1: 1, 2: 1}))
		for i := range mrPorts {
			s.packet(i, mrFrame(mrAddr(i, 9), grp, 9, []byte("two")))
			s.packet(i, mrFrame(mrAddr(i, 9), grp+9, 9, []byte("two, another group")))
		}
		s.set(0, "del", mrtDelVIF, vifctl(0, 0, 0, be(0), be(0)))
		for i := range mrPorts {
			s.packet(i, mrFrame(mrAddr(i, 9), grp, 9, []byte("the parent is gone")))
			s.packet(i, mrFrame(mrAddr(i, 9), grp+9, 9, []byte("the parent is gone")))
		}
	}},
	{"register", func(s *mrScript) {
		src := mrAddr(0, 9)
		s.set(0, "init", mrtInit, le(1))
		s.set(0, "pim", mrtPIM, le(4))
		s.vif(0, 0)
		s.vif(1, 1)
		s.set(0, "register", mrtAddVIF, vifctl(2, 4, 1, be(0), be(0)))
		s.set(0, "register twice", mrtAddVIF, vifctl(3, 4, 1, be(0), be(0)))
		s.set(0, "mfc", mrtAddMFC, mfcctl(src, grp, 0, map[int]uint8{1: 1, 2: 1}))
		s.packet(0, mrFrame(src, grp, 9, []byte("to the rendezvous point")))
		s.packet(1, mrFrame(src, grp, 9, []byte("by the wrong vif, whole")))
		s.set(0, "mfc from it", mrtAddMFC, mfcctl(mrAddr(7, 7), grp, 2, map[int]uint8{1: 1}))
		pim := func(typ, flags byte, inner []byte) []byte {
			p := append([]byte{typ, 0, 0, 0, flags, 0, 0, 0}, inner...)
			sum := ^(uint16(typ)<<8 + uint16(flags)<<8)
			p[2], p[3] = byte(sum>>8), byte(sum)
			a := mrMAC(0)
			return ethFrame(a, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: 103, Src: src, Dst: mrAddr(0, 1)}, p))
		}
		inner := mrFrame(mrAddr(7, 7), grp, 9, []byte("from afar"))[14:]
		s.packet(0, pim(0x21, 0, inner))
		s.packet(0, pim(0x21, 0x40, inner))
		s.packet(0, pim(0x20, 0, inner))
		s.packet(0, pim(0x21, 0, inner[:len(inner)-1]))
		s.packet(0, pim(0x21, 0, inner[:19]))
		s.packet(0, pim(0x21, 0, mrFrame(mrAddr(7, 7), mrAddr(0, 1), 9, nil)[14:]))
		bad := pim(0x21, 0, inner)
		bad[36]++
		s.packet(0, bad)
		s.set(0, "del register", mrtDelVIF, vifctl(2, 0, 0, be(0), be(0)))
		s.packet(0, pim(0x21, 0, inner))
		s.set(0, "register", mrtAddVIF, vifctl(5, 4, 1, be(0), be(0)))
		s.look()
	}},
	{"control messages", func(s *mrScript) {
		s.set(0, "pktinfo", 8, le(1))
		s.set(0, "recvttl", 12, le(1))
		s.set(0, "recvtos", 13, le(1))
		s.set(0, "init", mrtInit, le(1))
		s.vif(0, 0)
		s.vif(1, 1)
		s.set(0, "pim", mrtPIM, le(4))
		s.set(0, "mfc", mrtAddMFC, mfcctl(mrAddr(0, 9), grp, 0, map[int]uint8{1: 1}))
		for i, f := range [][]byte{
			mrFrame(mrAddr(0, 8), grp, 9, nil), mrFrame(mrAddr(7, 7), grp, 9, nil), mrFrame(mrAddr(0, 9), grp, 9, nil),
		} {
			s.feed(i/2, f)
			if s.linux {
				time.Sleep(2 * time.Millisecond)
			}
			for d, c := s.recvControl(0); d != nil; d, c = s.recvControl(0) {
				for k := range mrPorts { // the index by which it came, which differs
					for p := c; len(p) >= 28; p = p[8:] {
						if p[0] == 28 && p[12] == 8 && p[16] == byte(s.index(k)) {
							p[16] = byte(100 + k)
						}
					}
				}
				s.note("kind %d of %d bytes: %x", d[8], len(d), c)
			}
		}
	}},
	{"IGMP", func(s *mrScript) {
		s.set(0, "init", mrtInit, le(1))
		s.vif(0, 0)
		s.vif(1, 1)
		report := func(typ byte, alert bool) []byte {
			p := append([]byte{typ, 0, 0, 0}, be(grp)...)
			sum := ^(uint16(typ)<<8 + 0xef01 + 0x0203)
			if uint32(typ)<<8+0xef01+0x0203 > 0xffff {
				sum--
			}
			p[2], p[3] = byte(sum>>8), byte(sum)
			if !alert {
				return ethFrame([6]byte{1, 0, 0x5e, 1, 2, 3}, peerMAC, header.EthPIP,
					ipPacket(header.Fields{Protocol: 2, Src: mrAddr(0, 9), Dst: grp, TTL: 1}, p))
			}
			f := ethFrame([6]byte{1, 0, 0x5e, 1, 2, 3}, peerMAC, header.EthPIP, optionPacket([]byte{148, 4, 0, 0}, 2, p))
			h := header.IPv4(f[14:])
			setSrc(h, mrAddr(0, 9))
			h.SetDst(grp)
			h.SetTTL(1)
			h.UpdateChecksum()
			return f
		}
		s.packet(0, report(0x16, false))
		s.packet(0, report(0x16, true))
		s.packet(0, report(0x12, false))
		s.packet(2, report(0x16, true))
		s.join(0, grp)
		s.sent()
		s.packet(0, report(0x16, false))
		s.packet(0, report(0x16, true))
	}},
	{"random", func(s *mrScript) {
		r := rand.New(rand.NewPCG(7, 7))
		s.set(0, "init", mrtInit, le(1))
		for i := range mrPorts {
			s.vif(uint16(i), i)
		}
		groups := []header.Addr{0, grp, grp + 1, 0xe0000009}
		for range 120 {
			i := r.IntN(mrPorts)
			origin, group := mrAddr(r.IntN(2), 7+r.IntN(2)), groups[r.IntN(len(groups))]
			if r.IntN(3) == 0 {
				origin = 0
			}
			ttls := map[int]uint8{}
			for v := range mrPorts + 1 {
				ttls[v] = []uint8{0, 1, 2, 5, 255}[r.IntN(5)]
			}
			c := mfcctl(origin, group, uint16(r.IntN(mrPorts)), ttls)
			switch k := r.IntN(20); k {
			case 0:
				s.set(0, "del vif", mrtDelVIF, vifctl(uint16(i), 0, 0, be(0), be(0)))
			case 1, 2:
				s.vif(uint16(i), i)
			case 3, 4, 5:
				s.set(0, "add mfc", mrtAddMFC, c)
			case 6, 7:
				s.set(0, "del mfc", mrtDelMFC, c)
			case 8, 9:
				s.set(0, "add proxy", mrtAddMFCProxy, c)
			case 10:
				s.set(0, "del proxy", mrtDelMFCProxy, c)
			case 11:
				s.set(0, "flush", mrtFlush, le(uint32(r.IntN(4))))
			case 12:
				s.set(0, "assert", mrtAssert, le(uint32(r.IntN(2))))
			default:
				if group == 0 {
					group = grp + 2
				}
				s.packet(i, mrFrame(mrAddr(r.IntN(2), 7+r.IntN(2)), group, uint8(1+r.IntN(7)), []byte("random")))
			}
		}
		s.counts()
	}},
}

// TestLinuxMRoute_sameCallsAndFrames_sameResults does the same to this stack
// and to the Linux kernel: options and their errors, frames between three
// links, upcalls, /proc/net/ip_mr_vif and ip_mr_cache, the counters.
func TestLinuxMRoute_sameCallsAndFrames_sameResults(t *testing.T) {
	t.Parallel() // most of it is waiting
	for _, c := range mrScripts {
		t.Run(c.name, func(t *testing.T) {
			l := counted(&mrScript{mrEnd: newLinuxRouter(t), linux: true})
			c.run(l)
			o := counted(&mrScript{mrEnd: newOwnRouter(t)})
			c.run(o)
			n := 0
			for i := range min(len(l.out), len(o.out)) {
				if l.out[i] != o.out[i] {
					t.Errorf("step %d, after %q\nLinux %s\n   we %s", i, lastStep(l.out[:i]), l.out[i], o.out[i])
					if n++; n == 5 {
						return
					}
				}
			}
			if len(l.out) != len(o.out) {
				t.Errorf("Linux notes %d lines, we %d", len(l.out), len(o.out))
			}
		})
	}
}

func lastStep(out []string) string {
	for i := len(out) - 1; i >= 0; i-- {
		if !strings.HasPrefix(out[i], "  ") && !strings.Contains(out[i], "\n") && !strings.HasPrefix(out[i], "1 ") && !strings.HasPrefix(out[i], "0 ") {
			return out[i]
		}
	}
	return ""
}
