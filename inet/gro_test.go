package inet_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"barewire/inet/neigh"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// groNIC is a device that hands up frames in one poll and keeps what it is given.
type groNIC struct {
	dev    *napi.NetDevice
	napi   *napi.NAPI
	in     [][]byte
	cut    int // more than 0: so much of a frame is linear, the rest a fragment
	summed skb.IPSummed
	out    [][]byte
	gso    []int // length of each super-packet taken
}

func (d *groNIC) Open(*napi.NetDevice) error { d.napi.Enable(); return nil }
func (d *groNIC) Stop(*napi.NetDevice) error { d.napi.Disable(); return nil }

func (d *groNIC) StartXmit(_ *napi.NetDevice, _ *napi.TxQueue, batch []*skb.Buff) int {
	for _, b := range batch {
		if b.IsGSO() {
			d.gso = append(d.gso, b.Len())
		}
		p := make([]byte, b.Len())
		b.CopyBits(0, p)
		d.out = append(d.out, p)
		b.Consume()
	}
	return len(batch)
}

func (d *groNIC) Poll(n *napi.NAPI, budget int) int {
	got := min(budget, len(d.in))
	for _, f := range d.in[:got] {
		c := d.dev.Net().SKB()
		b := c.Alloc(skb.Pad + len(f))
		b.Reserve(skb.Pad)
		lin := len(f)
		if d.cut > 0 {
			lin = min(lin, d.cut)
		}
		b.PutData(f[:lin])
		if lin < len(f) {
			pg := c.Pool().Alloc()
			copy(pg.Bytes(), f[lin:])
			b.AddFrag(pg, 0, len(f)-lin, len(pg.Bytes()))
		}
		if napi.EthTypeTrans(b, d.dev) == 0 {
			b.Free(skb.PktTooSmall)
			continue
		}
		b.IPSummed = d.summed
		n.Receive(b)
	}
	if d.in = d.in[got:]; got < budget {
		n.CompleteDone(got)
	}
	return got
}

// groRouter is a router between two groNICs, at 192.0.2.1/24 and 192.0.3.1/24.
func groRouter(t testing.TB) (h *host, in, out *groNIC) {
	h, a, b := benchHostOn(t, func() benchDevice { return &groNIC{} })
	in, out = a.(*groNIC), b.(*groNIC)
	check(t, in.dev.SetMTU(4000))
	check(t, out.dev.SetMTU(4000))
	for i := range 4 {
		nb, err := h.IP().Neigh.Get(out.dev, groDst(i))
		check(t, err)
		nb.Update(peerMAC, neigh.NUDPermanent, true)
	}
	return h, in, out
}

func (d *groNIC) attach(dev *napi.NetDevice) { d.dev, d.napi = dev, dev.AddNAPI(d, 0) }

// pass has frames arrive on the device in polls of 64.
func (d *groNIC) pass(frames ...[]byte) {
	d.in = frames
	for len(d.in) > 0 {
		d.dev.Net().SoftNet().IRQEnter()
		d.napi.Schedule()
		d.dev.Net().SoftNet().DoSoftirq()
	}
}

func groDst(i int) header.Addr { return hostIP + 0x100 + 8 + header.Addr(i) } // 192.0.3.9 and on

// groSeg is one segment to be forwarded, or the difference to it.
type groSeg struct {
	flow, n         int
	seq, ack        uint32
	flags           uint8
	win, id, urgent uint16
	tos, ttl        uint8
	noDF, pad, bad  bool
	ts              uint32 // timestamp, 0 for no options
	ipopt           bool
	frag            uint16
	udp             bool
	noSum           bool
}

func (x groSeg) frame() []byte {
	dst := groDst(x.flow & 1)
	payload := make([]byte, x.n)
	for i := range payload {
		payload[i] = byte(x.seq + uint32(i)*7)
	}
	var seg []byte
	if x.udp {
		seg = udpPacket(peerIP, dst, 7, 9+uint16(x.flow), payload)
		if x.noSum {
			seg[6], seg[7] = 0, 0
		}
	} else {
		hl := header.TCPMinLen
		if x.ts != 0 {
			hl += 12
		}
		seg = make([]byte, hl, hl+x.n)
		h := header.PutTCP(seg, &header.TCPFields{SrcPort: 7, DstPort: 9 + uint16(x.flow), Seq: x.seq, Ack: x.ack, HeaderLen: hl,
			Flags: header.TCPAck | x.flags, Window: 1000 + x.win})
		if x.ts != 0 {
			copy(seg[20:], []byte{1, 1, 8, 10})
			binary.BigEndian.PutUint32(seg[24:], x.ts)
		}
		binary.BigEndian.PutUint16(seg[18:], x.urgent)
		seg = append(seg, payload...)
		header.TCP(seg).SetChecksum(skb.CsumFold(skb.CsumPartial(seg, header.PseudoSum(peerIP, dst, header.ProtoTCP, len(seg)))))
		_ = h
	}
	if x.bad {
		seg[len(seg)-1] ^= 0x55
	}
	f := header.Fields{TOS: x.tos, ID: x.id, TTL: 60 + x.ttl, Protocol: header.ProtoTCP, Src: peerIP, Dst: dst, Frag: x.frag}
	if x.udp {
		f.Protocol = header.ProtoUDP
	}
	if !x.noDF {
		f.Frag |= header.IPDF
	}
	p := ipPacket(f, seg)
	if x.ipopt {
		p = append(p[:20:20], append([]byte{1, 1, 1, 0}, p[20:]...)...)
		p[0] = 0x46
		header.IPv4(p).SetTotalLen(len(p))
		header.IPv4(p).UpdateChecksum()
	}
	if x.pad {
		p = append(p, 0, 0)
	}
	return ethFrame(hostMAC, peerMAC, header.EthPIP, p)
}

// byFlow sorts frames by what they are about and undoes what cutting may do
// otherwise: of the two zeros of one's complement it makes one.
func byFlow(frames [][]byte) map[string][]string {
	m := make(map[string][]string)
	for _, f := range frames {
		f = bytes.Clone(f)
		p := f[14:]
		at := int(p[0]&15) * 4
		sum := at + 16
		if p[9] == header.ProtoUDP {
			sum = at + 6
		}
		for _, o := range []int{10, sum} {
			if len(p) >= o+2 && p[o] == 0xff && p[o+1] == 0xff && !(p[9] == header.ProtoUDP && o == sum) {
				p[o], p[o+1] = 0, 0
			}
		}
		key := fmt.Sprint(p[9], p[12:20])
		if len(p) >= at+4 && header.IPv4(p).FragOffset() == 0 {
			key = fmt.Sprint(key, p[at:at+4])
		} else {
			key += "piece"
		}
		m[key] = append(m[key], string(f))
	}
	return m
}

// compareGRO passes the same frames through a router with GRO and one without,
// and wants the same frames of each flow in the same order.
func compareGRO(t testing.TB, frames [][]byte, set func(in, out *groNIC)) (merged uint64) {
	var got [2]map[string][]string
	for i := range got {
		_, in, out := groRouter(t)
		set(in, out)
		in.dev.SetGRO(i == 0)
		in.pass(frames...)
		got[i] = byFlow(out.out)
		if i == 0 {
			merged = in.napi.GRO.Merged.Load()
		} else if in.napi.GRO.Merged.Load() != 0 {
			t.Error("merged without GRO")
		}
	}
	for k, want := range got[1] {
		have := got[0][k]
		for i := range min(len(have), len(want)) {
			if have[i] != want[i] {
				t.Fatalf("flow %s, frame %d of %d:\n%x, want\n%x", k, i, len(want), have[i], want[i])
			}
		}
		if len(have) != len(want) {
			t.Fatalf("flow %s: %d frames, want %d", k, len(have), len(want))
		}
		delete(got[0], k)
	}
	if len(got[0]) != 0 {
		t.Fatalf("frames of %d flows that did not come", len(got[0]))
	}
	return merged
}

func TestGRO_forwardedFlow_sameFramesAgain(t *testing.T) {
	run := func(n int, f func(i int, x *groSeg)) (l []groSeg) {
		x := groSeg{n: 1000, id: 65530}
		for i := range n {
			y := x
			f(i, &y)
			l = append(l, y)
			x.seq += uint32(y.n)
			x.id++
		}
		return l
	}
	none := func(int, *groSeg) {}
	at := func(k int, f func(x *groSeg)) func(int, *groSeg) {
		return func(i int, x *groSeg) {
			if i == k {
				f(x)
			}
		}
	}
	tests := []struct {
		name   string
		segs   []groSeg
		merged uint64 // frames that became part of another
	}{
		{"plain", run(10, none), 9},
		{"whole poll", run(64, none), 60},
		{"two polls", run(65, none), 60},
		{"more slots than a packet has", run(60, func(_ int, x *groSeg) { x.n = 1 }), 56},
		{"beyond 64 KiB", run(64, func(_ int, x *groSeg) { x.n = 3900 }), 60},
		{"push", run(10, at(4, func(x *groSeg) { x.flags = header.TCPPsh })), 8},
		{"fin", run(10, at(9, func(x *groSeg) { x.flags = header.TCPFin | header.TCPPsh })), 9},
		{"reset", run(10, at(4, func(x *groSeg) { x.flags = header.TCPRst })), 7},
		{"syn", run(10, at(0, func(x *groSeg) { x.flags = header.TCPSyn })), 8},
		{"urgent", run(10, at(4, func(x *groSeg) { x.flags, x.urgent = header.TCPUrg, 7 })), 7},
		{"urgent pointer without flag", run(10, at(4, func(x *groSeg) { x.urgent = 7 })), 7},
		{"short at the end", run(10, at(9, func(x *groSeg) { x.n = 10 })), 9},
		{"short within", run(10, at(4, func(x *groSeg) { x.n = 10 })), 8},
		{"longer", run(10, at(4, func(x *groSeg) { x.n = 1001 })), 7},
		{"first is short", run(10, at(0, func(x *groSeg) { x.n = 10 })), 8},
		{"bare ACK within", run(10, at(4, func(x *groSeg) { x.n = 0 })), 7},
		{"other ack", run(10, func(i int, x *groSeg) { x.ack = uint32(i / 5) }), 8},
		{"other window", run(10, func(i int, x *groSeg) { x.win = uint16(i / 5) }), 8},
		{"timestamps", run(10, func(i int, x *groSeg) { x.ts = 5 }), 9},
		{"other timestamp", run(10, func(i int, x *groSeg) { x.ts = 5 + uint32(i/5) }), 8},
		{"options appear", run(10, func(i int, x *groSeg) { x.ts = uint32(i / 5) }), 8},
		{"ECE", run(10, func(i int, x *groSeg) { x.flags = uint8(i/5) * header.TCPEce }), 8},
		{"CWR at first", run(10, at(0, func(x *groSeg) { x.flags = header.TCPCwr })), 8},
		{"CWR within", run(10, at(4, func(x *groSeg) { x.flags = header.TCPCwr })), 7},
		{"CWR throughout", run(10, func(i int, x *groSeg) { x.flags = header.TCPCwr }), 9}, // of accurate ECN
		{"ACE counts on", run(10, func(i int, x *groSeg) { x.flags = header.TCPCwr | uint8(i/5)*header.TCPEce }), 8},
		{"CE", run(10, func(i int, x *groSeg) { x.tos = uint8(i/5) * 3 }), 8},
		{"TTL", run(10, func(i int, x *groSeg) { x.ttl = uint8(i / 5) }), 8},
		{"one identification", run(10, func(i int, x *groSeg) { x.id = 0 }), 9},
		{"one identification, no DF", run(10, func(i int, x *groSeg) { x.id, x.noDF = 0, true }), 0},
		{"identification stops", run(10, func(i int, x *groSeg) { x.id = uint16(min(i, 4)) }), 8},
		{"identification starts", run(10, func(i int, x *groSeg) { x.id = uint16(max(i, 4)) }), 8},
		{"no DF", run(10, func(i int, x *groSeg) { x.noDF = true }), 9},
		{"DF goes", run(10, func(i int, x *groSeg) { x.noDF = i >= 5 }), 8},
		{"padded", run(10, at(4, func(x *groSeg) { x.pad = true })), 7},
		{"wrong sum", run(10, at(4, func(x *groSeg) { x.bad = true })), 7},
		{"wrong sum at first", run(10, at(0, func(x *groSeg) { x.bad = true })), 8},
		{"IP options", run(10, at(4, func(x *groSeg) { x.ipopt = true })), 7},
		{"fragment", run(10, at(4, func(x *groSeg) { x.frag, x.noDF = header.IPMF, true })), 7},
		{"reserved bit", run(10, at(4, func(x *groSeg) { x.frag = header.IPCE })), 7},
		{"hole", run(10, func(i int, x *groSeg) { x.seq += uint32(i/5) * 10 }), 8},
		{"datagrams", run(10, func(i int, x *groSeg) { x.udp = true }), 0},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var frames [][]byte
			for _, x := range tc.segs {
				frames = append(frames, x.frame())
			}
			for _, v := range []struct {
				name string
				set  func(in, out *groNIC)
			}{
				{"linear", func(in, out *groNIC) {}},
				{"scatter", func(in, out *groNIC) { out.dev.SetFeatures(napi.FeatureSG | napi.FeatureFragList) }},
				{"fragments", func(in, out *groNIC) { in.cut = 14 + 60; out.dev.SetFeatures(napi.FeatureSG) }},
				{"headers only", func(in, out *groNIC) { in.cut = 14 + 40; out.dev.SetFeatures(napi.FeatureSG) }},
				{"headers cut", func(in, out *groNIC) { in.cut = 14 + 22 }},
			} {
				// Two fragments a frame use the slots up sooner.
				if m := compareGRO(t, frames, v.set); m != tc.merged && v.name != "fragments" {
					t.Errorf("%s: %d frames merged, want %d", v.name, m, tc.merged)
				}
			}
		})
	}
}

// TestGRO_manyFlows_oldestGivesWay: a bucket that is full gives up a packet, and
// nothing is lost.
func TestGRO_manyFlows_oldestGivesWay(t *testing.T) {
	var frames [][]byte
	for i := range 3 {
		for flow := range 300 {
			frames = append(frames, groSeg{flow: flow, n: 100, seq: uint32(i) * 100, id: uint16(i)}.frame())
		}
	}
	compareGRO(t, frames, func(in, out *groNIC) {})
}

// TestGRO_TSODevice_takesIt: a device that cuts gets the super-packet whole.
func TestGRO_TSODevice_takesIt(t *testing.T) {
	_, in, out := groRouter(t)
	out.dev.SetFeatures(napi.FeatureSG | napi.FeatureHWCsum | napi.FeatureTSO)
	var frames [][]byte
	for i := range 10 {
		frames = append(frames, groSeg{n: 1000, seq: uint32(i) * 1000, id: uint16(i)}.frame())
	}
	in.pass(frames...)
	if len(out.gso) != 1 || out.gso[0] != 14+40+10000 {
		t.Errorf("super-packets of %v bytes", out.gso)
	}
	// Which the identification, if it does not count, forbids.
	for i := range frames {
		frames[i] = groSeg{n: 1000, seq: uint32(i) * 1000}.frame()
	}
	out.gso, out.out = nil, nil
	in.pass(frames...)
	if len(out.gso) != 0 || len(out.out) != 10 {
		t.Errorf("%d super-packets, %d frames", len(out.gso), len(out.out))
	}
}

// TestGRO_smallerMTU_fragmentsOrComplains: the pieces count, not the whole.
func TestGRO_smallerMTU_fragmentsOrComplains(t *testing.T) {
	for _, noDF := range []bool{false, true} {
		var frames [][]byte
		for i := range 10 {
			frames = append(frames, groSeg{n: 1000, seq: uint32(i) * 1000, id: uint16(i), noDF: noDF}.frame())
		}
		var count [2]int
		for i := range count {
			h, in, out := groRouter(t)
			in.dev.SetGRO(i == 0)
			check(t, out.dev.SetMTU(600))
			in.pass(frames...)
			for _, f := range out.out {
				if len(f) > 614 {
					t.Errorf("frame of %d bytes", len(f))
				}
			}
			count[i] = len(out.out)
			if fails := h.MIB().IP.FragFails.Load(); noDF == (fails != 0) {
				t.Errorf("no DF %v: %d refused", noDF, fails)
			}
		}
		if count[0] != count[1] {
			t.Errorf("no DF %v: %d frames, without GRO %d", noDF, count[0], count[1])
		}
	}
}

// FuzzGRO_forward makes segments of its input, most of which follow the one
// before.
func FuzzGRO_forward(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add(bytes.Repeat([]byte{0, 1, 1, 0}, 30))
	f.Add([]byte("a long line of text is as good as any other seed for this, since every byte does something"))
	f.Fuzz(func(t *testing.T, p []byte) {
		var flows [3]groSeg
		for i := range flows {
			flows[i] = groSeg{flow: i, n: 500, id: uint16(i) * 1000}
		}
		var frames [][]byte
		for len(p) >= 2 && len(frames) < 200 {
			x := &flows[p[0]%3]
			y, arg := *x, p[1]
			switch p[0] / 3 % 24 {
			case 0:
				y.n = int(arg) * 5
			case 1:
				y.flags = arg &^ header.TCPAck
			case 2:
				x.ts = uint32(arg)
				y.ts = x.ts
			case 3:
				x.tos ^= arg
				y.tos = x.tos
			case 4:
				y.ttl = arg & 3
			case 5:
				x.id += uint16(int8(arg))
				y.id = x.id
			case 6:
				x.noDF = !x.noDF
				y.noDF = x.noDF
			case 7:
				y.pad = true
			case 8:
				y.bad = true
			case 9:
				y.ipopt = true
			case 10:
				y.frag = uint16(arg) << 8
				y.noDF = true
			case 11:
				x.seq += uint32(int8(arg))
				y.seq = x.seq
			case 12:
				x.ack += uint32(arg)
				y.ack = x.ack
			case 13:
				x.win ^= uint16(arg)
				y.win = x.win
			case 14:
				y.urgent = uint16(arg)
			case 15:
				x.n = 1 + int(arg)*5
				y.n = x.n
			case 16:
				x.id-- // it does not count
			case 17:
				y.udp = true
			}
			frames = append(frames, y.frame())
			x.seq += uint32(y.n)
			x.id++
			p = p[2:]
		}
		if len(frames) > 0 {
			frames[len(p)%len(frames)] = append([]byte(nil), frames[len(p)%len(frames)][:14+20+len(p)%8]...)
		}
		compareGRO(t, frames, func(in, out *groNIC) { out.dev.SetFeatures(napi.FeatureSG) })
	})
}

// TestGRO_ethtool_turnsItOff: ETHTOOL_GGRO and ETHTOOL_SGRO.
func TestGRO_ethtool_turnsItOff(t *testing.T) {
	h, in, _ := groRouter(t)
	arg := make([]byte, 48)
	copy(arg, "eth0")
	do := func(cmd, v uint32) uint32 {
		binary.NativeEndian.PutUint32(arg[40:], cmd)
		binary.NativeEndian.PutUint32(arg[44:], v)
		check(t, h.DevIoctl(0x8946, arg))
		return binary.NativeEndian.Uint32(arg[44:])
	}
	if do(0x2b, 7) != 1 {
		t.Error("off at first")
	}
	if do(0x2c, 0); do(0x2b, 7) != 0 || in.dev.GRO() {
		t.Error("still on")
	}
	if do(0x2c, 1); do(0x2b, 7) != 1 {
		t.Error("still off")
	}
}
