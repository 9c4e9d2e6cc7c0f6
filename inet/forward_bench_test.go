package inet_test

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"barewire/inet"
	"barewire/inet/neigh"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
	"barewire/skb/header"
)

// benchNIC is a device whose receive ring holds as many frames as it
// is told, and whose transmit ring completes at once. As much of the frame as
// is read or changed is written anew each time; the rest is the device's
// business. Buffers are posted by the ringful, as drivers do.
type benchNIC struct {
	dev    *napi.NetDevice
	napi   *napi.NAPI
	frames [][]byte // that arrive in turn: a power of two
	next   int
	fresh  int // bytes that are written
	left   int
	sent   int
	calls  int // of StartXmit
	ring   [64]*skb.Buff
	empty  int      // of the ring, from the front
	last   [64]byte // the front of the frame sent last
	// trusted: the device verified checksums
	trusted bool
}

func (d *benchNIC) Open(*napi.NetDevice) error {
	d.empty = len(d.ring)
	d.napi.Enable()
	return nil
}

func (d *benchNIC) Stop(dev *napi.NetDevice) error {
	d.napi.Disable()
	dev.Net().SKB().ConsumeBatch(d.ring[d.empty:])
	return nil
}

func (d *benchNIC) StartXmit(dev *napi.NetDevice, _ *napi.TxQueue, batch []*skb.Buff) int {
	d.sent += len(batch)
	d.calls++
	batch[len(batch)-1].CopyBits(0, d.last[:])
	dev.Net().SKB().ConsumeBatch(batch)
	return len(batch)
}

func (d *benchNIC) Poll(n *napi.NAPI, budget int) int {
	got := 0
	for ; got < min(budget, d.left); got++ {
		if d.empty == len(d.ring) {
			if d.dev.Net().SKB().AllocBatch(d.ring[:]) < len(d.ring) {
				panic("no memory for a ring")
			}
			d.empty = 0
		}
		b := d.ring[d.empty]
		d.empty++
		b.Reserve(skb.Pad)
		frame := d.frames[d.next&(len(d.frames)-1)]
		d.next++
		copy(b.Put(len(frame)), frame[:d.fresh])
		napi.EthTypeTrans(b, d.dev)
		if d.trusted {
			b.IPSummed = skb.ChecksumUnnecessary
		}
		n.Receive(b)
	}
	if d.left -= got; got < budget {
		n.CompleteDone(got)
	}
	return got
}

// benchRouter is a router between two benchNICs; frames of size bytes of IP
// arrive on the first, for so many destinations in turn, and leave by the second.
func benchRouter(t testing.TB, size, flows int) (n *napi.Net, in, out *benchNIC) {
	h, in, out := benchRouterHost(t, size, flows)
	return h.net, in, out
}

func benchRouterHost(t testing.TB, size, flows int) (h *host, in, out *benchNIC) {
	h, in, out = benchHost(t)
	for i := range flows {
		dst := hostIP + 0x100 + 8 + header.Addr(i) // 192.0.3.9 and on
		nb, err := h.IP().Neigh.Get(out.dev, dst)
		check(t, err)
		nb.Update(peerMAC, neigh.NUDPermanent, true)
		in.frames = append(in.frames, ethFrame(hostMAC, peerMAC, header.EthPIP,
			ipPacket(header.Fields{Protocol: 17, Src: peerIP, Dst: dst}, udpPacket(peerIP, dst, 1, 2, make([]byte, size-28)))))
	}
	in.fresh = 42
	return h, in, out
}

// benchHost is a host, and router, with two benchNICs: 192.0.2.1/24 and
// 192.0.3.1/24.
func benchHost(t testing.TB) (h *host, in, out *benchNIC) {
	h, a, b := benchHostOn(t, func() benchDevice { return &benchNIC{} })
	return h, a.(*benchNIC), b.(*benchNIC)
}

// benchDevice is what benchHostOn joins to a host.
type benchDevice interface {
	napi.Ops
	attach(dev *napi.NetDevice)
}

func (d *benchNIC) attach(dev *napi.NetDevice) { d.dev, d.napi = dev, dev.AddNAPI(d, 0) }

// benchHostOn is benchHost with devices of any kind.
func benchHostOn(t testing.TB, device func() benchDevice) (h *host, in, out benchDevice) {
	n, err := napi.New(napi.Config{})
	check(t, err)
	s, err := inet.New(inet.Config{Net: n})
	check(t, err)
	check(t, n.Sysctl().Set("net.ipv4.ip_forward", "1"))
	nics := [2]benchDevice{device(), device()}
	var devs [2]*napi.NetDevice
	for i, d := range nics {
		dev := napi.AllocNetdev("eth%d", d, 1)
		devs[i] = dev
		napi.EtherSetup(dev)
		mac := hostMAC
		mac[4] = byte(i)
		check(t, dev.SetHardwareAddr(mac))
		d.attach(dev)
		check(t, n.RegisterNetdev(dev))
		check(t, dev.Open())
		check(t, s.AddAddr(dev, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2 + byte(i), 1}), 24)))
	}
	t.Cleanup(func() {
		for _, d := range devs {
			d.Close()
		}
		s.Close()
		if p := n.SKB().Pool().InUse(); p != 0 {
			t.Errorf("%d pages not returned", p)
		}
	})
	return &host{TB: t, Net: s, net: n}, nics[0], nics[1]
}

// pass has count frames arrive and handles them.
func pass(n *napi.Net, in *benchNIC, count int) {
	for in.left = count; in.left > 0; {
		n.SoftNet().IRQEnter()
		in.napi.Schedule()
		n.SoftNet().DoSoftirq()
	}
}

func TestAllocs_forward_none(t *testing.T) {
	n, in, out := benchRouter(t, 1500, 4)
	noAllocs(t, "forward", func() { pass(n, in, 64) })
	if out.sent < 64*500 {
		t.Errorf("%d packets forwarded", out.sent)
	}
}

// TestForward_poll_oneBatch: what one poll forwards reaches the driver in one
// call, and nothing is left behind.
func TestForward_poll_oneBatch(t *testing.T) {
	n, in, out := benchRouter(t, 64, 1)
	for _, count := range []int{1, 2, 63, 64} {
		calls, sent := out.calls, out.sent
		pass(n, in, count)
		if out.calls-calls != 1 || out.sent-sent != count {
			t.Errorf("%d packets: %d sent in %d calls, want one", count, out.sent-sent, out.calls-calls)
		}
	}
}

// slice is for how many packets the time is taken.
const slice = 1 << 12

// benchSlices runs a slice of packets again and again and reports, beside the
// mean, what the fastest slice took: on a machine that others use too, what the
// code costs without them.
func benchSlices(b *testing.B, bar float64, run func()) {
	run()
	b.ReportAllocs()
	least := time.Duration(1 << 62)
	n := 0
	for ; b.Loop(); n++ {
		if n%slice == 0 {
			start := time.Now()
			run()
			least = min(least, time.Since(start))
		}
	}
	b.ReportMetric(float64(least.Nanoseconds())/slice, "least-ns")
	b.ReportMetric(bar, "bar-ns")
}

func benchForward(b *testing.B, size, batch, flows int) {
	n, in, out := benchRouter(b, size, flows)
	benchSlices(b, 200, func() {
		sent := out.sent
		for range slice / batch {
			pass(n, in, batch)
		}
		if out.sent-sent != slice {
			b.Fatalf("%d of %d packets forwarded", out.sent-sent, slice)
		}
	})
}

// Polls of 64 packets that all go elsewhere, or of one flow, and of one packet.
func BenchmarkForward64(b *testing.B)         { benchForward(b, 64, 64, 64) }
func BenchmarkForward1500(b *testing.B)       { benchForward(b, 1500, 64, 64) }
func BenchmarkForwardFlow64(b *testing.B)     { benchForward(b, 64, 64, 1) }
func BenchmarkForwardFlow1500(b *testing.B)   { benchForward(b, 1500, 64, 1) }
func BenchmarkForwardSingle64(b *testing.B)   { benchForward(b, 64, 1, 1) }
func BenchmarkForwardSingle1500(b *testing.B) { benchForward(b, 1500, 1, 1) }

// benchReceive has datagrams of 64 bytes arrive, batch of them in a poll, and
// reads them.
func benchReceive(b *testing.B, batch, flows int) {
	h, in, _ := benchHost(b)
	s := h.udpSocket(0, 7)
	for i := range flows {
		src := peerIP + header.Addr(i)
		in.frames = append(in.frames, ethFrame(hostMAC, peerMAC, header.EthPIP,
			ipPacket(header.Fields{Protocol: 17, Src: src, Dst: hostIP}, udpPacket(src, hostIP, 1, 7, make([]byte, 64)))))
	}
	in.fresh = len(in.frames[0])
	m := &sock.Msg{Iov: [][]byte{make([]byte, 2048)}}
	benchSlices(b, 250, func() {
		for range slice / batch {
			pass(h.net, in, batch)
			for range batch {
				if n, _ := s.RecvMsg(m, syscall.MSG_DONTWAIT); n != 64 {
					b.Fatal(n)
				}
			}
		}
	})
}

func BenchmarkUDPReceive(b *testing.B)       { benchReceive(b, 64, 64) }
func BenchmarkUDPReceiveFlow(b *testing.B)   { benchReceive(b, 64, 1) }
func BenchmarkUDPReceiveSingle(b *testing.B) { benchReceive(b, 1, 1) }
