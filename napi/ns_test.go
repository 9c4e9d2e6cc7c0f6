package napi_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"barewire/napi"
	"barewire/napi/napitest"
	"barewire/skb"
)

// space is a namespace of its own, with its own packet memory.
func space(t testing.TB) *napi.Net {
	t.Helper()
	n, err := napi.New(napi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, d := range n.Devs() {
			n.UnregisterNetdev(d)
		}
		softirqs(n)
		if b, p := n.SKB().InUse(), n.SKB().Pool().InUse(); b != 0 || p != 0 {
			t.Errorf("%d packets, %d pages not returned", b, p)
		}
	})
	return n
}

func softirqs(l ...*napi.Net) {
	for range 20 {
		for _, n := range l {
			n.SoftNet().DoSoftirq()
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// frame makes a frame for dst with n bytes of payload in memory of net.
func frame(t testing.TB, net *napi.Net, dev *napi.NetDevice, dst [6]byte, n int) *skb.Buff {
	t.Helper()
	b := net.SKB().Alloc(skb.MaxHeader + n)
	if b == nil {
		t.Fatal("no memory")
	}
	b.Reserve(skb.MaxHeader)
	for i := range b.Put(n) {
		b.Data()[i] = byte(i)
	}
	dev.HardHeader(b, 0x88b5, &dst, nil)
	b.Dev, b.Protocol = dev, 0x88b5
	return b
}

func TestVeth_frameCrosses_memoryComesBack(t *testing.T) {
	a, b := space(t), space(t)
	x, y, err := napi.NewVethPair(a, "veth%d", b, "eth0")
	must(t, err)
	if x.Name() != "veth0" || y.Name() != "eth0" || napi.VethPeer(x) != y || x.CarrierOK() {
		t.Fatalf("pair %s %s, carrier %v", x.Name(), y.Name(), x.CarrierOK())
	}
	must(t, x.Open())
	if x.CarrierOK() {
		t.Error("carrier while the peer is down")
	}
	must(t, y.Open())
	if !x.CarrierOK() || !y.CarrierOK() {
		t.Fatal("no carrier with both ends up")
	}
	var got [][]byte
	b.AddPack(0x88b5, nil, func(k *skb.Buff, d *napi.NetDevice) {
		if d != y || k.PktType != skb.PacketHost {
			t.Errorf("arrived on %s as %d", d.Name(), k.PktType)
		}
		p := make([]byte, k.Len())
		k.CopyBits(0, p)
		got = append(got, p)
		if k.Cache() != b.SKB() {
			t.Error("counted by the sender")
		}
		k.Consume()
	})
	for _, n := range []int{50, 1500, 3000} {
		must(t, a.DevQueueXmit(frame(t, a, x, y.HardwareAddr(), n)))
	}
	softirqs(a, b)
	want := make([]byte, 3000)
	for i := range want {
		want[i] = byte(i)
	}
	if len(got) != 3 || !bytes.Equal(got[2], want) {
		t.Fatalf("%d frames arrived", len(got))
	}
	if a.SKB().InUse()+b.SKB().InUse()+a.SKB().Pool().InUse() != 0 {
		t.Error("memory is still in use")
	}
	xs, ys := x.GetStats(), y.GetStats()
	if xs.TxPackets != 3 || ys.RxPackets != 3 || xs.TxBytes != ys.RxBytes || ys.RxBytes != 4550+3*14 {
		t.Errorf("sender %+v, receiver %+v", xs, ys)
	}
	y.Close()
	if x.CarrierOK() {
		t.Error("carrier while the peer is closed")
	}
	napi.UnregisterVeth(x)
	if len(a.Devs()) != 0 || len(b.Devs()) != 0 {
		t.Error("an end stayed")
	}
}

func TestMove_notificationsHereAndThere_worksUnderTheOther(t *testing.T) {
	a, b, c := space(t), space(t), space(t)
	x, y, err := napi.NewVethPair(a, "veth0", a, "veth1")
	must(t, err)
	var log []string
	note := func(name string, n *napi.Net) {
		n.RegisterNotifier(func(ev napi.Event, d *napi.NetDevice) {
			if ev != napi.EventChange { // the carrier's comes when it likes
				log = append(log, fmt.Sprintf("%s %v %s", name, ev, d.Name()))
			}
		})
	}
	must(t, y.Open())
	note("a", a)
	note("b", b)
	log = nil
	must(t, a.MoveDevice(y, b, "eth0"))
	want := []string{"a GOING_DOWN veth1", "a DOWN veth1", "a UNREGISTER veth1", "b REGISTER eth0"}
	if !slices.Equal(log, want) {
		t.Errorf("events %q, want %q", log, want)
	}
	if a.DevByName("veth1") != nil || b.DevByName("eth0") != y || y.Net() != b || y.IsUp() {
		t.Fatal("not moved")
	}
	if y.Ifindex() != 1 || b.DevByIndex(1) != y {
		t.Errorf("ifindex %d, want the one it had", y.Ifindex())
	}
	// The next device there gets the next number that is free.
	d1, _ := napi.NewDummy(b, "dummy%d")
	d2, _ := napi.NewDummy(b, "dummy%d")
	if d1.Ifindex() != 2 || d2.Ifindex() != 3 || d2.Name() != "dummy1" {
		t.Errorf("%s is %d, %s is %d", d1.Name(), d1.Ifindex(), d2.Name(), d2.Ifindex())
	}
	if err := b.MoveDevice(d1, c, "a/b"); !errorIs(err, syscall.EINVAL) {
		t.Errorf("bad name: %v", err)
	}
	if err := b.MoveDevice(y, a, "veth0"); !errorIs(err, syscall.EEXIST) || b.DevByName("eth0") != y {
		t.Errorf("taken name: %v", err)
	}
	if err := a.MoveDevice(y, c, ""); !errorIs(err, syscall.ENODEV) {
		t.Errorf("not ours: %v", err)
	}
	must(t, x.Open())
	must(t, y.Open())
	n := 0
	b.AddPack(0x88b5, nil, func(k *skb.Buff, _ *napi.NetDevice) { n++; k.Consume() })
	must(t, a.DevQueueXmit(frame(t, a, x, y.HardwareAddr(), 46)))
	softirqs(a, b)
	if n != 1 {
		t.Errorf("%d frames arrived in the new namespace", n)
	}
}

func TestMove_backAndForthUnderTraffic_nothingLost(t *testing.T) {
	a, b := space(t), space(t)
	x, y, err := napi.NewVethPair(a, "veth0", a, "veth1")
	must(t, err)
	must(t, x.Open())
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, n := range []*napi.Net{a, b} {
		wg.Go(func() { n.SoftNet().Run(stop) })
	}
	var flood sync.WaitGroup
	done := make(chan struct{})
	flood.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				a.DevQueueXmit(frame(t, a, x, y.HardwareAddr(), 46))
			}
		}
	})
	from, to := a, b
	for range 50 {
		must(t, y.Open())
		must(t, from.MoveDevice(y, to, ""))
		from, to = to, from
	}
	close(done)
	flood.Wait()
	close(stop)
	wg.Wait()
}

func errorIs(err error, want syscall.Errno) bool {
	for err != nil {
		if err == want {
			return true
		}
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return false
		}
		err = u.Unwrap()
	}
	return false
}

func TestRename_bothTablesAndNotifier(t *testing.T) {
	n := space(t)
	d, err := napi.NewDummy(n, "dummy0")
	must(t, err)
	_, err = napi.NewDummy(n, "dummy1")
	must(t, err)
	told := ""
	n.RegisterNotifier(func(ev napi.Event, d *napi.NetDevice) {
		if ev == napi.EventChangeName {
			told = d.Name()
		}
	})
	for _, c := range []struct {
		name string
		err  syscall.Errno
	}{{"dummy1", syscall.EEXIST}, {"", syscall.EINVAL}, {"a b", syscall.EINVAL}, {"0123456789abcdef", syscall.EINVAL}} {
		if err := n.ChangeName(d, c.name); !errorIs(err, c.err) {
			t.Errorf("name %q: %v, want %v", c.name, err, c.err)
		}
	}
	must(t, n.ChangeName(d, "lan%d"))
	if told != "lan0" || n.DevByName("lan0") != d || n.DevByName("dummy0") != nil {
		t.Errorf("told %q, device is %s", told, d.Name())
	}
}

// filtered is a driver that filters.
type filtered struct {
	napitest.Sink
	modes []string
}

func (f *filtered) SetRxMode(promisc, allmulti bool) error {
	f.modes = append(f.modes, fmt.Sprint(promisc, allmulti))
	return nil
}

func TestRxMode_countedAndForwarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := napi.New(napi.Config{})
		must(t, err)
		ops := &filtered{}
		d := napi.AllocNetdev("eth0", ops, 1)
		napi.EtherSetup(d)
		must(t, n.RegisterNetdev(d))
		changes := 0
		n.RegisterNotifier(func(ev napi.Event, _ *napi.NetDevice) {
			if ev == napi.EventChange {
				changes++
			}
		})
		group := [6]byte{1, 0, 0x5e, 0, 0, 1}
		must(t, d.AddMulticast(group)) // closed: told at Open
		must(t, d.Open())
		must(t, d.AddMulticast(group))
		must(t, d.SetPromisc(1))
		must(t, d.SetPromisc(1))
		must(t, d.SetPromisc(-1))
		must(t, d.DelMulticast(group))
		must(t, d.SetPromisc(-1))
		must(t, d.DelMulticast(group))
		want := []string{"false true", "true true", "false true", "false false"}
		if !slices.Equal(ops.modes, want) {
			t.Errorf("driver was told %q, want %q", ops.modes, want)
		}
		if err := d.SetPromisc(-1); err != syscall.EINVAL {
			t.Errorf("below zero: %v", err)
		}
		if err := d.DelMulticast(group); err != syscall.ENOENT {
			t.Errorf("not there: %v", err)
		}
		if err := d.AddMulticast([6]byte{2}); err != syscall.EINVAL {
			t.Errorf("unicast: %v", err)
		}
		// What a program asked for shows in the flags, what sockets count does not.
		must(t, d.SetPromisc(1))
		if d.Flags()&napi.IFF_PROMISC != 0 || d.Promiscuity() != 1 {
			t.Errorf("flags %#x, promiscuity %d", d.Flags(), d.Promiscuity())
		}
		for range 2 { // the second changes nothing
			must(t, d.ChangeFlags(napi.IFF_PROMISC|napi.IFF_NOARP, napi.IFF_PROMISC|napi.IFF_NOARP))
		}
		if d.Flags()&(napi.IFF_PROMISC|napi.IFF_NOARP) != napi.IFF_PROMISC|napi.IFF_NOARP || d.Promiscuity() != 2 {
			t.Errorf("flags %#x, promiscuity %d", d.Flags(), d.Promiscuity())
		}
		must(t, d.ChangeFlags(0, napi.IFF_PROMISC|napi.IFF_UP))
		if d.Flags()&(napi.IFF_PROMISC|napi.IFF_UP) != 0 || d.Promiscuity() != 1 {
			t.Errorf("flags %#x, promiscuity %d", d.Flags(), d.Promiscuity())
		}
		synctest.Wait()
		// promisc on, off, on again; NOARP.
		if changes != 4 {
			t.Errorf("%d change events, want 4", changes)
		}
		n.UnregisterNetdev(d)
	})
}

func TestProcAndSettings_linuxFormat(t *testing.T) {
	n := space(t)
	d, err := napi.NewDummy(n, "dummy0")
	must(t, err)
	must(t, d.Open())
	must(t, d.AddMulticast([6]byte{1, 0, 0x5e, 0, 0, 1}))
	must(t, n.DevQueueXmit(frame(t, n, d, [6]byte{2}, 100)))
	show := func(name string) string {
		f, ok := n.Proc().Lookup(name)
		if !ok {
			t.Fatalf("no /proc/net/%s", name)
		}
		return string(f(nil))
	}
	lines := strings.Split(show("dev"), "\n")
	if want := "dummy0:       0       0    0    0    0     0          0         0      114       1    0    0    0     0       0          0"; len(lines) != 4 || lines[2] != want {
		t.Errorf("dev:\n%q\nwant\n%q", lines, want)
	}
	if got, want := show("dev_mcast"), "1    dummy0          1     0     01005e000001\n"; got != want {
		t.Errorf("dev_mcast %q, want %q", got, want)
	}
	if got := strings.Fields(show("softnet_stat")); len(got) != 15 || len(got[0]) != 8 {
		t.Errorf("softnet_stat %q", got)
	}
	remove := n.AddPack(0x806, d, func(b *skb.Buff, _ *napi.NetDevice) { b.Consume() })
	defer remove()
	if got := show("ptype"); !strings.HasPrefix(got, "Type Device      Function\n0806 dummy0   ") {
		t.Errorf("ptype %q", got)
	}
	for name, def := range map[string]string{"netdev_max_backlog": "1000", "netdev_budget": "300", "netdev_budget_usecs": "2000", "dev_weight": "64"} {
		if v, err := n.Sysctl().Get("net.core." + name); v != def || err != nil {
			t.Errorf("%s = %q, %v", name, v, err)
		}
	}
	must(t, n.Sysctl().Set("net.core.netdev_max_backlog", "1"))
	for range 3 {
		b := frame(t, n, d, [6]byte{2}, 46)
		b.Protocol = 0x88b5
		n.NetifRx(b)
	}
	if s := n.SoftNet().Stats(); s.Dropped != 2 {
		t.Errorf("backlog of one dropped %d of 3", s.Dropped)
	}
}

func TestTap_transmit_namesTheSender(t *testing.T) {
	n := space(t)
	d, err := napi.NewDummy(n, "dummy0")
	must(t, err)
	must(t, d.Open())
	sender := new(int)
	var seen any
	defer n.AddPack(napi.ETH_P_ALL, nil, func(b *skb.Buff, _ *napi.NetDevice) {
		seen = b.Sk
		if b.PktType != skb.PacketOutgoing || b.NetworkOffset() != 14 {
			t.Errorf("type %d, network header at %d", b.PktType, b.NetworkOffset())
		}
		b.Consume()
	})()
	b := frame(t, n, d, [6]byte{2}, 46)
	b.Sk = sender
	must(t, n.DevQueueXmit(b))
	if seen != any(sender) {
		t.Errorf("the tap saw sender %v", seen)
	}
}
