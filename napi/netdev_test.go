package napi_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/napi"
	"barewire/skb"
)

func TestRegister_namesAndIndexes(t *testing.T) {
	n := newNet(t, napi.Config{})
	mk := func(name string) *napi.NetDevice { return napi.AllocNetdev(name, &card{t: t, net: n}, 2) }
	a, b, lo := mk("eth%d"), mk("eth%d"), mk("lo")
	for _, d := range []*napi.NetDevice{a, b, lo} {
		if err := n.RegisterNetdev(d); err != nil {
			t.Fatal(err)
		}
	}
	if a.Name() != "eth0" || b.Name() != "eth1" || lo.Name() != "lo" || a.Ifindex() != 1 || lo.Ifindex() != 3 || a.Net() != n {
		t.Errorf("%s %d, %s %d, %s %d", a.Name(), a.Ifindex(), b.Name(), b.Ifindex(), lo.Name(), lo.Ifindex())
	}
	if n.DevByName("eth1") != b || n.DevByIndex(3) != lo || n.DevByName("eth2") != nil || n.DevByIndex(9) != nil || !slices.Equal(n.Devs(), []*napi.NetDevice{a, b, lo}) {
		t.Error("lookup")
	}
	if err := n.RegisterNetdev(a); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("twice: %v", err)
	}
	if err := n.RegisterNetdev(mk("lo")); !errors.Is(err, syscall.EEXIST) {
		t.Errorf("taken name: %v", err)
	}
	for _, bad := range []string{"", ".", "..", "a/b", "a:b", "a b", "sixteen-letters-", "%d%d", "x%dy", "e\n"} {
		if err := n.RegisterNetdev(mk(bad)); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("name %q: %v", bad, err)
		}
	}
	old := n.Devs()
	n.UnregisterNetdev(a)
	n.UnregisterNetdev(a)
	if len(old) != 3 || len(n.Devs()) != 2 || n.DevByName("eth0") != nil || n.DevByIndex(1) != nil {
		t.Error("after unregistering")
	}
	c := mk("eth%d")
	if err := n.RegisterNetdev(c); err != nil || c.Name() != "eth0" || c.Ifindex() != 4 {
		t.Errorf("the free name: %s %d %v", c.Name(), c.Ifindex(), err)
	}
	if err := a.Open(); !errors.Is(err, syscall.ENODEV) {
		t.Errorf("open of a forgotten device: %v", err)
	}
	if err := mk("x").Open(); !errors.Is(err, syscall.ENODEV) {
		t.Errorf("open of an unknown device: %v", err)
	}
	mk("x").Close()
}

// log collects events.
type log struct {
	mu sync.Mutex
	l  []string
}

func (x *log) fn(ev napi.Event, d *napi.NetDevice) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.l = append(x.l, fmt.Sprintf("%s %s %v", d.Name(), ev, d.IsUp()))
}

func (x *log) take() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.l
	x.l = nil
	return l
}

func TestNotifiers_order(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNet(t, napi.Config{})
		var x, late log
		remove := n.RegisterNotifier(x.fn)
		c := up(t, n)
		if err := c.dev.Open(); err != nil { // again: nothing
			t.Fatal(err)
		}
		if err := c.dev.SetMTU(1400); err != nil {
			t.Fatal(err)
		}
		if err := c.dev.SetHardwareAddr([6]byte{2, 1}); err != nil {
			t.Fatal(err)
		}
		c.dev.CarrierOff()
		c.dev.CarrierOff()
		synctest.Wait()
		n.RegisterNotifier(late.fn)
		c.dev.Close()
		c.dev.Close()
		n.UnregisterNetdev(c.dev)
		c.dev.CarrierOn() // of nobody's concern any more
		synctest.Wait()
		want := []string{"eth0 REGISTER false", "eth0 UP true", "eth0 CHANGEMTU true", "eth0 CHANGEADDR true", "eth0 CHANGE true",
			"eth0 GOING_DOWN true", "eth0 DOWN false", "eth0 UNREGISTER false"}
		if got := x.take(); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		want = append([]string{"eth0 REGISTER true", "eth0 UP true"}, want[5:]...)
		if got := late.take(); !slices.Equal(got, want) {
			t.Errorf("late: %q, want %q", got, want)
		}
		remove()
		up(t, n)
		if got := x.take(); len(got) != 0 {
			t.Errorf("removed, yet %q", got)
		}
	})
}

func TestOpen_fails(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := newCard(t, n)
	var x log
	n.RegisterNotifier(x.fn)
	x.take()
	c.openErr = syscall.EIO
	if err := c.dev.Open(); err != syscall.EIO || c.dev.IsUp() || len(x.take()) != 0 {
		t.Errorf("open: %v, up %v", err, c.dev.IsUp())
	}
	if err := c.send(0); err != syscall.ENETDOWN {
		t.Errorf("xmit: %v", err)
	}
	c.openErr = nil
	if err := c.dev.Open(); err != nil || c.dev.Flags() != napi.IFF_UP|napi.IFF_BROADCAST|napi.IFF_MULTICAST|napi.IFF_RUNNING|napi.IFF_LOWER_UP {
		t.Errorf("open: %v, flags %#x", err, c.dev.Flags())
	}
}

func TestFlags(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := newCard(t, n)
	d := c.dev
	d.SetFlags(napi.IFF_NOARP|napi.IFF_UP|napi.IFF_RUNNING, 0)
	if d.Flags() != napi.IFF_NOARP|napi.IFF_BROADCAST|napi.IFF_MULTICAST|napi.IFF_LOWER_UP {
		t.Errorf("%#x", d.Flags())
	}
	d.SetFlags(0, napi.IFF_NOARP)
	d.CarrierOff()
	if d.Flags() != napi.IFF_BROADCAST|napi.IFF_MULTICAST || d.CarrierOK() {
		t.Errorf("%#x", d.Flags())
	}
}

// picky is a card that has an opinion on its configuration.
type picky struct{ card }

func (p *picky) ChangeMTU(_ *napi.NetDevice, mtu int) error {
	if mtu > 9000 {
		return syscall.EOPNOTSUPP
	}
	return nil
}

func (p *picky) SetAddr(_ *napi.NetDevice, a [6]byte) error {
	if a[0] == 6 {
		return syscall.EBUSY
	}
	return nil
}

func TestConfigure_limits(t *testing.T) {
	n := newNet(t, napi.Config{})
	d := napi.AllocNetdev("p0", &picky{}, 1)
	napi.EtherSetup(d)
	if d.MTU() != 1500 || d.HardHeaderLen != 14 || d.Type != napi.ARPHRD_ETHER {
		t.Error("not Ethernet")
	}
	if err := d.SetMTU(9001); err != nil { // not registered: nobody is asked
		t.Error(err)
	}
	if err := n.RegisterNetdev(d); err != nil {
		t.Fatal(err)
	}
	for mtu, want := range map[int]error{67: syscall.EINVAL, 65536: syscall.EINVAL, -1: syscall.EINVAL, 9001: syscall.EOPNOTSUPP, 9000: nil, 68: nil} {
		before := d.MTU()
		if err := d.SetMTU(mtu); !errors.Is(err, want) || want == nil && d.MTU() != mtu || want != nil && d.MTU() != before {
			t.Errorf("MTU %d: %v, is %d", mtu, err, d.MTU())
		}
	}
	for a, want := range map[[6]byte]error{{1}: syscall.EADDRNOTAVAIL, {}: syscall.EADDRNOTAVAIL, {6}: syscall.EBUSY, {2, 3, 4, 5, 6, 7}: nil} {
		if err := d.SetHardwareAddr(a); !errors.Is(err, want) {
			t.Errorf("address % x: %v", a, err)
		}
	}
	if d.HardwareAddr() != [6]byte{2, 3, 4, 5, 6, 7} {
		t.Errorf("address % x", d.HardwareAddr())
	}
}

func TestUnregister_underTraffic(t *testing.T) {
	n := newNet(t, napi.Config{})
	run(t, n)
	var mu sync.Mutex
	gone := map[*napi.NetDevice]bool{}
	defer n.AddPack(testType, nil, func(b *skb.Buff, dev *napi.NetDevice) {
		mu.Lock()
		if gone[dev] {
			t.Error("a packet of a device that is gone")
		}
		mu.Unlock()
		b.Consume()
	})()
	for range 15 {
		c := up(t, n)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for {
					select {
					case <-stop:
						return
					default:
					}
					switch b := c.frame(testType, 0); i {
					case 0:
						c.arrive(b)
					case 1:
						napi.EthTypeTrans(b, c.dev)
						n.NetifRx(b)
					default:
						b.Dev = c.dev
						n.DevQueueXmit(b)
					}
					for n.SKB().InUse() > 4000 {
						time.Sleep(10 * time.Microsecond)
					}
				}
			}()
		}
		time.Sleep(time.Millisecond)
		n.UnregisterNetdev(c.dev)
		mu.Lock()
		gone[c.dev] = true
		mu.Unlock()
		time.Sleep(200 * time.Microsecond)
		close(stop)
		wg.Wait()
	}
}

func TestEthTypeTrans(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := newCard(t, n)
	for _, tc := range []struct {
		name  string
		frame []byte
		want  uint16
		pkt   skb.PktType
	}{
		{"to us", append(cardAddr[:], 1, 2, 3, 4, 5, 6, 8, 0), 0x0800, skb.PacketHost},
		{"broadcast", []byte{255, 255, 255, 255, 255, 255, 1, 2, 3, 4, 5, 6, 8, 6}, 0x0806, skb.PacketBroadcast},
		{"multicast", []byte{1, 0, 0x5e, 0, 0, 1, 1, 2, 3, 4, 5, 6, 8, 0}, 0x0800, skb.PacketMulticast},
		{"other host", []byte{2, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 0x86, 0xdd}, 0x86dd, skb.PacketOtherHost},
		{"least type", append(cardAddr[:], 1, 2, 3, 4, 5, 6, 6, 0), 0x0600, skb.PacketHost},
		{"802.3 length", append(cardAddr[:], 1, 2, 3, 4, 5, 6, 5, 255, 0xaa, 0xaa), napi.ETH_P_802_2, skb.PacketHost},
		{"802.3 length, nothing behind", append(cardAddr[:], 1, 2, 3, 4, 5, 6, 0, 0), napi.ETH_P_802_2, skb.PacketHost},
		{"raw IPX", append(cardAddr[:], 1, 2, 3, 4, 5, 6, 0, 9, 255, 255), napi.ETH_P_802_3, skb.PacketHost},
		{"too short", cardAddr[:], 0, skb.PacketHost},
		{"empty", nil, 0, skb.PacketHost},
		{"one byte missing", make([]byte, 13), 0, skb.PacketHost},
	} {
		b := n.SKB().Alloc(64)
		b.PutData(tc.frame)
		got := napi.EthTypeTrans(b, c.dev)
		if got != tc.want {
			t.Errorf("%s: type %#x, want %#x", tc.name, got, tc.want)
		}
		if got == 0 {
			if b.Len() != len(tc.frame) || b.MacHeaderWasSet() {
				t.Errorf("%s: changed", tc.name)
			}
		} else if b.PktType != tc.pkt || b.Protocol != got || b.Len() != len(tc.frame)-14 || b.MacOffset() != -14 || b.Dev != skb.Device(c.dev) {
			t.Errorf("%s: pkt type %d, %d bytes", tc.name, b.PktType, b.Len())
		}
		b.Consume()
	}
}

func TestHardHeader(t *testing.T) {
	n := newNet(t, napi.Config{})
	c := newCard(t, n)
	b := n.SKB().Alloc(64)
	defer b.Consume()
	b.Reserve(28)
	c.dev.HardHeader(b, 0x0806, &[6]byte{1, 2, 3, 4, 5, 6}, nil)
	if want := append([]byte{1, 2, 3, 4, 5, 6}, append(cardAddr[:], 8, 6)...); !slices.Equal(b.Data(), want) {
		t.Errorf("% x", b.Data())
	}
	c.dev.HardHeader(b, 0x0800, nil, &[6]byte{9, 9, 9, 9, 9, 9})
	if want := []byte{0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 8, 0}; !slices.Equal(b.Data()[:14], want) || b.MacOffset() != 0 {
		t.Errorf("% x", b.Data())
	}
}

func FuzzEthTypeTrans(f *testing.F) {
	f.Add([]byte{}, uint8(0))
	f.Add(make([]byte, 14), uint8(3))
	f.Add(append(cardAddr[:], 1, 2, 3, 4, 5, 6, 0, 9, 255, 255), uint8(20))
	n, err := napi.New(napi.Config{})
	if err != nil {
		f.Fatal(err)
	}
	dev := napi.AllocNetdev("eth%d", &card{}, 1)
	napi.EtherSetup(dev)
	f.Fuzz(func(t *testing.T, p []byte, split uint8) {
		p = p[:min(len(p), 2000)]
		cut := min(int(split), len(p))
		b := n.SKB().Alloc(2000)
		b.PutData(p[:cut])
		if cut < len(p) {
			pg := n.SKB().Pool().Alloc()
			b.AddFrag(pg, 0, copy(pg.Bytes(), p[cut:]), 4096)
		}
		typ := napi.EthTypeTrans(b, dev)
		if (typ == 0) != (len(p) < 14) {
			t.Fatalf("type %#x of %d bytes", typ, len(p))
		}
		if typ != 0 && (b.Len() != len(p)-14 || typ != b.Protocol || typ >= 0x600 && typ != uint16(p[12])<<8|uint16(p[13])) {
			t.Fatalf("type %#x, %d of %d bytes", typ, b.Len(), len(p))
		}
		b.Consume()
		if n.SKB().InUse() != 0 || n.SKB().Pool().InUse() != 0 {
			t.Fatal("leak")
		}
	})
}
