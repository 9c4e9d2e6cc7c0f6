package hosted_test

import (
	"bytes"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"barewire/board/hosted"
	"barewire/napi"
	"barewire/qemu"
	"barewire/skb"
)

var tapAddr = [6]byte{2, 0, 0, 0, 0, 9}

// tapStack makes a namespace with a TAP device, and a stack whose device is at
// its other end. All of the stack's memory must be back at the end.
func tapStack(t *testing.T, cfg hosted.TapConfig) (*qemu.Namespace, *napi.Net, *hosted.Tap) {
	t.Helper()
	ns, f := qemu.StartTap(t, "hosted", qemu.MAC(tapAddr))
	stack, err := napi.New(napi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Addr = tapAddr
	tap, err := hosted.AttachTap(stack, "eth%d", f, cfg)
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { stack.SoftNet().Run(stop); close(done) }()
	t.Cleanup(func() {
		if err := tap.Close(); err != nil {
			t.Error(err)
		}
		close(stop)
		<-done
		if b, p := stack.SKB().InUse(), stack.SKB().Pool().InUse(); b != 0 || p != 0 {
			t.Errorf("%d skbs and %d pages were not given back", b, p)
		}
	})
	return ns, stack, tap
}

// reflect sends every UDP packet back to where it came from. Neither swap
// changes the checksum, so what the kernel left to be computed can be left to
// it again.
func reflect(stack *napi.Net, partial *atomic.Int64) {
	stack.AddPack(napi.ETH_P_IP, nil, func(b *skb.Buff, dev *napi.NetDevice) {
		p := b.Data()
		if len(p) < 28 || p[9] != 17 {
			b.Consume()
			return
		}
		if b.IPSummed == skb.ChecksumPartial {
			partial.Add(1)
		}
		swap := func(i, j, n int) {
			for k := range n {
				p[i+k], p[j+k] = p[j+k], p[i+k]
			}
		}
		swap(12, 16, 4)
		swap(20, 22, 2)
		var to [6]byte
		copy(to[:], b.MacHeader()[6:12])
		dev.HardHeader(b, napi.ETH_P_IP, &to, nil)
		stack.DevQueueXmit(b)
	})
}

// The host's kernel sends datagrams and gets them back, with the checksums left
// to the device in both directions.
func TestTap_LinuxGetsItsDatagramsBack(t *testing.T) {
	ns, stack, tap := tapStack(t, hosted.TapConfig{})
	var partial atomic.Int64
	reflect(stack, &partial)
	if err := tap.Device().Open(); err != nil {
		t.Fatal(err)
	}
	conn, err := ns.DialUDP(netip.MustParseAddrPort("192.0.2.2:7"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 2000)
	const rounds = 2000
	for i := range rounds {
		want := bytes.Repeat([]byte{byte(i)}, 1+i%1472)
		if _, err := conn.Write(want); err != nil {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := conn.Read(buf)
		if err != nil || !bytes.Equal(buf[:n], want) {
			t.Fatalf("datagram %d of %d bytes: %d bytes came back, %v", i, len(want), n, err)
		}
	}
	if got := partial.Load(); got < rounds {
		t.Errorf("the kernel left the checksum to us in %d of %d datagrams", got, rounds)
	}
	// Counted at the end of a poll or batch. IPv6 multicast of the kernel's has
	// no handler and counts as dropped.
	st := tap.Device().GetStats()
	for end := time.Now().Add(5 * time.Second); (st.RxPackets < rounds || st.TxPackets < rounds) && time.Now().Before(end); st = tap.Device().GetStats() {
		time.Sleep(time.Millisecond)
	}
	if st.RxPackets < rounds || st.TxPackets < rounds || st.RxErrors+st.TxErrors != 0 || stack.SKB().Drops(skb.PTypeAbsent) != st.RxDropped {
		t.Errorf("statistics: %+v", st)
	}
}

// Down and up again, and traffic while it is down.
func TestTap_Reopened(t *testing.T) {
	ns, stack, tap := tapStack(t, hosted.TapConfig{TSO: true})
	reflect(stack, new(atomic.Int64))
	conn, err := ns.DialUDP(netip.MustParseAddrPort("192.0.2.2:7"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 100)
	for i := range 5 {
		if err := tap.Device().Open(); err != nil {
			t.Fatal(err)
		}
		echoed := false
		for range 20 {
			conn.Write([]byte{byte(i)})
			conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			if n, err := conn.Read(buf); err == nil && n == 1 && buf[0] == byte(i) {
				echoed = true
				break
			}
		}
		if !echoed {
			t.Fatalf("no echo after opening for the time number %d", i+1)
		}
		tap.Device().Close()
		conn.Write([]byte("nobody listens"))
		if err := stack.DevQueueXmit(frame(stack, tap.Device())); err == nil {
			t.Error("a closed device transmitted")
		}
	}
}

func frame(stack *napi.Net, dev *napi.NetDevice) *skb.Buff {
	b := stack.SKB().Alloc(200)
	b.Reserve(100)
	b.Put(60)
	b.Dev = dev
	return b
}

// A hostile or broken host end is noticed, not believed.
func TestTap_HostEndVanishes(t *testing.T) {
	ns, _, tap := tapStack(t, hosted.TapConfig{})
	if err := tap.Device().Open(); err != nil {
		t.Fatal(err)
	}
	if err := ns.IP("link", "del", "tap0"); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if !tap.Device().CarrierOK() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the carrier is still on")
}

func TestOpenTap_LongName(t *testing.T) {
	if f, err := hosted.OpenTap("a-name-of-sixteen", true); err == nil {
		f.Close()
		t.Error("opened")
	}
}
