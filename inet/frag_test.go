package inet_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/skb"
	"barewire/skb/header"
)

// fragments cuts a payload from the peer into pieces of size bytes.
func fragments(id uint16, proto uint8, payload []byte, size int) [][]byte {
	var out [][]byte
	for off := 0; off < len(payload); off += size {
		end := min(off+size, len(payload))
		ff := uint16(off / 8)
		if end < len(payload) {
			ff |= header.IPMF
		}
		out = append(out, fromPeer(proto, payload[off:end], func(h header.IPv4) {
			h.SetID(id)
			h.SetFragField(ff)
		}))
	}
	return out
}

// join puts fragments that were sent back together, and fails on anything odd.
func join(t testing.TB, frames [][]byte, mtu int) []byte {
	t.Helper()
	var data []byte
	var id uint16
	for i, f := range frames {
		p := parseIP(t, f)
		if p.ip.TotalLen() > mtu {
			t.Fatalf("fragment %d has %d bytes, MTU is %d", i, p.ip.TotalLen(), mtu)
		}
		if i == 0 {
			id = p.ip.ID()
		}
		last := i == len(frames)-1
		if p.ip.ID() != id || p.ip.FragOffset() != len(data) || p.ip.DF() || last == (p.ip.FragField()&header.IPMF != 0) {
			t.Fatalf("fragment %d: id %d offset %d flags %#x", i, p.ip.ID(), p.ip.FragOffset(), p.ip.FragField())
		}
		data = append(data, p.data...)
	}
	return data
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func TestPing_large_reassembledAndFragmented(t *testing.T) {
	for _, mtu := range []int{1500, 576} {
		h := newHost(t)
		h.know()
		check(t, h.port.dev.SetMTU(mtu))
		for _, size := range []int{mtu - 28, mtu - 27, 2000, 4000, 9000, 40000, 65507} {
			msg := icmpEcho(7, uint16(size), randomBytes(size))
			h.inject(fragments(uint16(size), 1, msg, (mtu-20)&^7)...)
			got := join(t, h.port.take(), mtu)
			if skb.CsumFold(skb.CsumPartial(got, 0)) != 0 || got[0] != 0 || !bytes.Equal(got[8:], msg[8:]) {
				t.Fatalf("MTU %d size %d: wrong reply of %d bytes", mtu, size, len(got))
			}
		}
		m := &h.MIB().IP
		if m.ReasmOKs.Load() < 6 || m.FragOKs.Load() != 6 || m.ReasmFails.Load() != 0 || m.FragFails.Load() != 0 {
			t.Errorf("ReasmOKs %d FragOKs %d ReasmFails %d", m.ReasmOKs.Load(), m.FragOKs.Load(), m.ReasmFails.Load())
		}
	}
}

func TestUDP_beyondMTU_bothWays(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.udpSocket(0, 7)
	for _, size := range []int{1473, 4096, 5000, 65507} {
		data := randomBytes(size)
		h.inject(fragments(uint16(size), 17, udpPacket(peerIP, hostIP, 1, 7, data), 1480)...)
		got, _, _, err := recvFrom(s, 70000)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("size %d: received %d bytes, %v", size, len(got), err)
		}
		if n, err := sendTo(s, data, peerIP, 1); n != size || err != nil {
			t.Fatalf("size %d: sent %d, %v", size, n, err)
		}
		p := join(t, h.port.take(), 1500)
		if !bytes.Equal(p[8:], data) || skb.CsumFold(skb.CsumPartial(p, header.PseudoSum(hostIP, peerIP, 17, len(p)))) != 0 {
			t.Fatalf("size %d: wrong datagram sent", size)
		}
	}
	if _, err := sendTo(s, make([]byte, 65508), peerIP, 1); err != syscall.EMSGSIZE {
		t.Errorf("one byte too many: %v", err)
	}
	check(t, s.SetSockOpt(syscall.SOL_IP, syscall.IP_MTU_DISCOVER, []byte{2, 0, 0, 0}))
	if _, err := sendTo(s, make([]byte, 1473), peerIP, 1); err != syscall.EMSGSIZE {
		t.Errorf("beyond the MTU with IP_PMTUDISC_DO: %v", err)
	}
	if _, err := sendTo(s, make([]byte, 1472), peerIP, 1); err != nil {
		t.Errorf("at the MTU with IP_PMTUDISC_DO: %v", err)
	}
}

func TestReassembly_anyOrderWithDuplicates_whole(t *testing.T) {
	h := newHost(t)
	s := h.udpSocket(0, 7)
	for seed := uint64(1); seed <= 200; seed++ {
		r := rand.New(rand.NewPCG(seed, 0))
		data := randomBytes(1 + r.IntN(9000))
		fs := fragments(uint16(seed), 17, udpPacket(peerIP, hostIP, 1, 7, data), 8*(1+r.IntN(180)))
		// Duplicates before the last piece arrives; later ones would begin
		// the datagram anew.
		fs = append(fs, fs[r.IntN(len(fs))])
		r.Shuffle(len(fs), func(i, j int) { fs[i], fs[j] = fs[j], fs[i] })
		if bytes.Equal(fs[len(fs)-1], fs[0]) || len(fs) == 2 {
			fs = fs[1:]
		}
		h.inject(fs...)
		got, _, _, err := recvFrom(s, 10000)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("seed %d: %d fragments: received %d of %d bytes, %v", seed, len(fs), len(got), len(data), err)
		}
	}
}

func TestReassembly_badFragments_datagramDropped(t *testing.T) {
	data := udpPacket(peerIP, hostIP, 1, 7, make([]byte, 92))
	frag := func(off, end int, more bool) []byte {
		ff := uint16(off / 8)
		if more {
			ff |= header.IPMF
		}
		return fromPeer(17, data[off:end], func(h header.IPv4) { h.SetFragField(ff) })
	}
	for _, c := range []struct {
		name     string
		frames   [][]byte
		overlaps uint64
		fails    uint64
	}{
		{"overlap", [][]byte{frag(0, 40, true), frag(32, 64, true)}, 1, 1},
		{"overlap from behind", [][]byte{frag(32, 64, true), frag(0, 40, true)}, 1, 1},
		{"covering", [][]byte{frag(32, 40, true), frag(0, 64, true)}, 1, 1},
		{"two ends", [][]byte{frag(32, 64, false), frag(64, 100, false)}, 0, 1},
		{"beyond the end", [][]byte{frag(32, 64, false), frag(64, 96, true)}, 0, 1},
		{"end before what came", [][]byte{frag(64, 96, true), frag(32, 64, false)}, 0, 1},
		{"no bytes", [][]byte{frag(8, 12, true)}, 0, 1},
	} {
		h := newHost(t)
		s := h.udpSocket(0, 7)
		h.inject(c.frames...)
		m := &h.MIB().IP
		if m.ReasmOverlaps.Load() != c.overlaps || m.ReasmFails.Load() != c.fails || m.ReasmReqds.Load() != uint64(len(c.frames)) {
			t.Errorf("%s: ReasmOverlaps %d ReasmFails %d, want %d %d", c.name, m.ReasmOverlaps.Load(), m.ReasmFails.Load(), c.overlaps, c.fails)
		}
		if n := h.net.SKB().InUse(); n != 0 {
			t.Errorf("%s: %d packets kept", c.name, n)
		}
		if _, _, _, err := recvFrom(s, 9); err != syscall.EAGAIN {
			t.Errorf("%s: delivered", c.name)
		}
	}
}

func TestReassembly_tooLong_dropped(t *testing.T) {
	// A ping of death: the pieces fit each by itself, the whole does not.
	h := newHost(t)
	h.know()
	msg := make([]byte, 65528)
	h.inject(fragments(1, 1, msg, 1480)...)
	h.none()
	if m := &h.MIB().IP; m.ReasmOKs.Load() != 0 || m.ReasmFails.Load() == 0 {
		t.Errorf("ReasmOKs %d ReasmFails %d", m.ReasmOKs.Load(), m.ReasmFails.Load())
	}
}

func TestReassembly_timeout_senderTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		h.know()
		fs := fragments(1, 17, udpPacket(peerIP, hostIP, 1, 7, make([]byte, 4000)), 1480)
		h.inject(fs[0], fs[1])
		gs := fragments(2, 17, udpPacket(peerIP, hostIP, 1, 7, make([]byte, 4000)), 1480)
		h.inject(gs[1]) // without the first piece nobody is told
		time.Sleep(29 * time.Second)
		h.run()
		h.none()
		time.Sleep(6 * time.Second)
		h.run()
		f := h.port.take()
		var errs []parsed
		for _, f := range f {
			if header.Ethernet(f).Type() == header.EthPIP {
				errs = append(errs, parseIP(t, f))
			}
		}
		if len(errs) != 1 {
			t.Fatalf("%d answers, want 1", len(errs))
		}
		m := header.ICMP(errs[0].data)
		if m.Type() != header.ICMPTimeExceeded || m.Code() != header.ICMPExcFragTime || !bytes.Equal(m.Payload()[:28], fs[0][14:42]) {
			t.Errorf("type %d code %d quote %x", m.Type(), m.Code(), m.Payload())
		}
		if c := &h.MIB().IP; c.ReasmTimeout.Load() != 2 || c.ReasmFails.Load() != 2 {
			t.Errorf("ReasmTimeout %d ReasmFails %d", c.ReasmTimeout.Load(), c.ReasmFails.Load())
		}
		if n := h.net.SKB().InUse(); n != 0 {
			t.Errorf("%d packets kept", n)
		}
	})
}

func TestReassembly_flood_bounded(t *testing.T) {
	h := newHost(t)
	h.know()
	s := h.udpSocket(0, 7)
	for i := range 5000 {
		h.inject(fragments(uint16(i), 17, udpPacket(peerIP, hostIP, 1, 7, make([]byte, 100)), 56)[0])
	}
	if n := h.net.SKB().Pool().InUse(); n > 1000 {
		t.Errorf("%d pages in use", n)
	}
	if h.MIB().IP.ReasmFails.Load() < 4000 {
		t.Errorf("ReasmFails %d", h.MIB().IP.ReasmFails.Load())
	}
	// Everything that is not a fragment goes on.
	h.inject(fromPeerUDP(1, 7, []byte("hello")))
	if d, _, _, _ := recvFrom(s, 9); string(d) != "hello" {
		t.Errorf("got %q", d)
	}
}

func TestReassembly_congestionMark_kept(t *testing.T) {
	h := newHost(t)
	s := h.udpSocket(0, 7)
	check(t, s.SetSockOpt(syscall.SOL_IP, 13, []byte{1, 0, 0, 0}))
	send := func(id uint16, marks ...byte) {
		fs := fragments(id, 17, udpPacket(peerIP, hostIP, 1, 7, make([]byte, 100)), 56)
		for i, f := range fs {
			f[15] |= marks[i]
			header.IPv4(f[14:]).UpdateChecksum()
		}
		h.inject(fs...)
	}
	send(1, 2, 3) // ECT(0) and CE: CE
	m := newMsg(200, 64)
	if _, err := s.RecvMsg(m, syscall.MSG_DONTWAIT); err != nil || m.ControlLen == 0 || m.Control[16]&3 != 3 {
		t.Errorf("mark lost: %v %x", err, m.Control[:m.ControlLen])
	}
	send(2, 0, 3) // not-ECT and CE: forged
	if _, err := s.RecvMsg(m, syscall.MSG_DONTWAIT); err != syscall.EAGAIN {
		t.Errorf("impossible mixture accepted: %v", err)
	}
}

func TestReassembly_identificationGoneRound_begunAnew(t *testing.T) {
	h := newHost(t)
	s := h.udpSocket(0, 7)
	check(t, h.net.Sysctl().Set("net.ipv4.ipfrag_max_dist", "10"))
	old := fragments(1, 17, udpPacket(peerIP, hostIP, 1, 7, bytes.Repeat([]byte("old "), 40)), 56)
	data := bytes.Repeat([]byte("new "), 40)
	fresh := fragments(1, 17, udpPacket(peerIP, hostIP, 1, 7, data), 56)
	h.inject(old[0])
	for i := range 11 {
		h.inject(fragments(uint16(100+i), 17, udpPacket(peerIP, hostIP, 1, 7, data), 56)[0])
	}
	h.inject(fresh...)
	if got, _, _, err := recvFrom(s, 300); err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %q, %v", got, err)
	}
	if n := h.MIB().IP.ReasmFails.Load(); n != 1 || h.Drops(skb.FragTooFar) != 1 {
		t.Errorf("ReasmFails %d", n)
	}
}

func TestReassembly_sysctls_boundMemory(t *testing.T) {
	h := newHost(t)
	set := h.net.Sysctl()
	if err := set.Set("net.ipv4.ipfrag_high_thresh", "1"); err != syscall.EINVAL {
		t.Errorf("high below low: %v", err)
	}
	check(t, set.Set("net.ipv4.ipfrag_low_thresh", "0"))
	check(t, set.Set("net.ipv4.ipfrag_high_thresh", "100000"))
	for i := range 5000 {
		h.inject(fragments(uint16(i), 17, udpPacket(peerIP, hostIP, 1, 7, make([]byte, 100)), 56)[0])
	}
	show, _ := h.net.Proc().Lookup("sockstat")
	var inuse, memory int
	for _, l := range strings.Split(string(show(nil)), "\n") {
		fmt.Sscanf(l, "FRAG: inuse %d memory %d", &inuse, &memory)
	}
	if memory < 90000 || memory > 106000 || inuse < 5 {
		t.Errorf("%d datagrams wait at a cost of %d bytes, the limit is 100000", inuse, memory)
	}
}
