package inet_test

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"

	"barewire/inet/neigh"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb/header"
)

// groBench has one poll of frames of so many flows arrive again and again.
func groBench(t testing.TB, size, flows int) (n *napi.Net, in, out *benchNIC) {
	n, in, out = benchRouter(t, 64, 1)
	in.frames, in.fresh = nil, 54
	for i := range 64 {
		f := groSeg{n: size, seq: uint32(i/flows) * uint32(size), id: uint16(i / flows)}.frame()
		h := f[14+20:]
		h[1] = byte(i % flows) // another port: the sum is the device's
		in.frames = append(in.frames, f)
	}
	return n, in, out
}

func TestAllocs_GROforward_none(t *testing.T) {
	for _, flows := range []int{1, 8} {
		n, in, out := groBench(t, 1448, flows)
		in.trusted = true
		noAllocs(t, "forward", func() { pass(n, in, 64) })
		if out.sent < 64*500 || in.napi.GRO.Merged.Load() < 50*500 {
			t.Errorf("%d packets forwarded, %d merged", out.sent, in.napi.GRO.Merged.Load())
		}
	}
}

// BenchmarkGROforward is TCP of MTU size through a router: merged and cut again,
// or not merged.
func BenchmarkGROforward(b *testing.B) {
	for _, x := range []struct {
		name string
		on   bool
		feat napi.Features
	}{
		{"off", false, napi.FeatureSG | napi.FeatureHWCsum},
		{"cut", true, napi.FeatureSG | napi.FeatureHWCsum},
		{"tso", true, napi.FeatureSG | napi.FeatureHWCsum | napi.FeatureTSO | napi.FeatureFragList},
	} {
		for _, flows := range []int{1, 8} {
			b.Run(fmt.Sprintf("%s/flows%d", x.name, flows), func(b *testing.B) {
				n, in, out := groBench(b, 1448, flows)
				in.trusted = true
				in.dev.SetGRO(x.on)
				out.dev.SetFeatures(x.feat)
				benchSlices(b, 200, func() {
					for range slice / 64 {
						pass(n, in, 64)
					}
				})
			})
		}
	}
}

// groReceiver is a connection whose peer sends segs segments of MTU size in a poll,
// whose sums the device verified; next has them arrive, and reads them.
func groReceiver(t testing.TB, on bool, size, segs int) (in *benchNIC, next func()) {
	h, in, _ := benchHost(t)
	in.dev.SetGRO(on)
	in.trusted = true
	nb, err := h.IP().Neigh.Get(in.dev, peerIP)
	check(t, err)
	nb.Update(peerMAC, neigh.NUDPermanent, true)
	l := h.tcpSocket(0, 80)
	check(t, l.Listen(1))
	seq, ack := uint32(1000), uint32(0)
	frame := func(flags uint8, opts ...byte) []byte {
		return tcpFrame(peerIP, header.TCPFields{SrcPort: 7, DstPort: 80, Seq: seq, Ack: ack, Flags: flags, Window: 65535}, opts...)
	}
	one := func(f []byte) {
		in.frames, in.next, in.fresh = [][]byte{f}, 0, len(f)
		pass(h.net, in, 1)
	}
	one(frame(header.TCPSyn, header.TCPOptMSS, 4, 5, 180, header.TCPOptNOP, header.TCPOptWScale, 3, 7))
	ack = binary.BigEndian.Uint32(in.last[14+20+4:]) + 1
	seq++
	one(frame(header.TCPAck))
	s, err := l.Accept(syscall.O_NONBLOCK)
	check(t, err)
	t.Cleanup(func() { s.Release() })
	buf := make([]byte, size*segs)
	m := &sock.Msg{Iov: [][]byte{buf}}
	frames := make([][]byte, segs)
	for i := range frames {
		frames[i] = append(frame(header.TCPAck), make([]byte, size)...)
		header.IPv4(frames[i][14:]).SetTotalLen(40 + size)
	}
	return in, func() {
		for i, f := range frames {
			binary.BigEndian.PutUint32(f[14+20+4:], seq)
			seq += uint32(size)
			binary.BigEndian.PutUint16(f[14+4:], uint16(i))
			header.IPv4(f[14:]).UpdateChecksum()
		}
		in.frames, in.next, in.fresh = frames, 0, 54
		pass(h.net, in, segs)
		m.Iov[0] = buf
		if n, err := s.RecvMsg(m, syscall.MSG_DONTWAIT); err != nil || n != len(buf) {
			t.Fatalf("%d of %d bytes: %v", n, len(buf), err)
		}
	}
}

func TestAllocs_GROreceive_none(t *testing.T) {
	in, next := groReceiver(t, true, 1448, 16)
	for range 20 {
		next() // the window opens
	}
	noAllocs(t, "receive", next)
	if in.napi.GRO.Merged.Load() == 0 {
		t.Error("nothing merged")
	}
}

// BenchmarkGROreceive is the receiving end of a transfer alone, from the poll to
// the program's buffer.
func BenchmarkGROreceive(b *testing.B) {
	const size, segs = 1448, 16
	for _, on := range []bool{false, true} {
		b.Run(fmt.Sprintf("gro=%v", on), func(b *testing.B) {
			_, next := groReceiver(b, on, size, segs)
			for range 20 {
				next()
			}
			b.SetBytes(size * segs)
			b.ReportAllocs()
			for b.Loop() {
				next()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(size*segs), "ns/byte")
		})
	}
}
