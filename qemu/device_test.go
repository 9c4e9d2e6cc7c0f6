package qemu

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Tests of the network card under other conditions than the usual ones.

// The driver takes what a device offers and does without the rest.
func TestDevice_OfferedFeatures(t *testing.T) {
	for _, c := range []struct{ machine, props string }{
		{Microvm, "mrg_rxbuf=off"},
		{Microvm, "csum=off,guest_csum=off,gso=off,host_tso4=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off"},
		{Microvm, "indirect_desc=off"},
		{Microvm, "event_idx=off"},
		{Microvm, "ctrl_vq=off"},
		{Microvm, "status=off"},
		{Microvm, "packed=on"},
		{Microvm, "host_mtu=1400"},
		{Q35, "rx_queue_size=1024,tx_queue_size=1024"},
		{Q35, "mrg_rxbuf=off,indirect_desc=off,event_idx=off"},
		{Q35, "vectors=2"}, // one vector for all queues
	} {
		t.Run(c.machine+" "+c.props, func(t *testing.T) {
			conn, end, err := NewWire(Dgram)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			vm := Start(t, Config{Machine: c.machine, Kernel: image(t, echoApp), Append: ipParam, NICs: []NIC{{Backend: end, Props: c.props}}})
			// ARP is answered before the program has its socket.
			if _, err := vm.Console.WaitFor("listening", bootTime); err != nil {
				t.Fatal(err)
			}
			p := NewPeer(conn, peerMAC, hostIP)
			mac, err := p.Resolve(guestIP, bootTime)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 600 { // more than a ring holds
				echoOverWire(t, p, mac, 5000, pattern(i, i*2%1373))
			}
			if p.Damaged != 0 {
				t.Errorf("%d damaged frames: %v", p.Damaged, p.LastDamage)
			}
		})
	}
}

// A device the driver cannot use is refused with a reason, and the program runs.
func TestDevice_Refused(t *testing.T) {
	for props, reason := range map[string]string{
		"disable-legacy=off,disable-modern=on": `(?i)virtio.*(legacy|version|modern|transitional)`,
		"vectors=0":                            `no interrupt: 0 MSI-X entries`,
	} {
		t.Run(props, func(t *testing.T) {
			conn, end, err := NewWire(Dgram)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			m := Start(t, Config{Machine: Q35, Kernel: image(t, echoApp), Append: ipParam, NICs: []NIC{{Backend: end, Props: props}}})
			if _, err := m.Console.WaitFor(reason, bootTime); err != nil {
				t.Error(err)
			}
			if _, err := m.Console.WaitFor(`(?i)echo.*7`, bootTime); err != nil {
				t.Error(err)
			}
		})
	}
}

// No card at all: the program runs, and says so itself when it needs one.
func TestDevice_None(t *testing.T) {
	m := Start(t, Config{Kernel: image(t, echoApp), Append: ipParam})
	if _, err := m.Console.WaitFor(`(?i)echo.*7`, bootTime); err != nil {
		t.Error(err)
	}
}

// The cable pulled and put back, and the whole machine stopped for a while.
func TestDevice_LinkAndPause(t *testing.T) {
	m, p, mac := startEcho(t, Config{}, Dgram)
	q, err := m.QMP()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := q.SetLink(m.Netdev(0), false); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Ping(mac, guestIP, 1, 1, nil, 200*time.Millisecond); err == nil {
			t.Error("answered without a cable")
		}
		if err := q.SetLink(m.Netdev(0), true); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Resolve(guestIP, 5*time.Second); err != nil {
			t.Fatal(err)
		}
		echoOverWire(t, p, mac, 5001, []byte("the cable is back"))
	}
	if err := q.Stop(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1500 * time.Millisecond)
	if err := q.Cont(); err != nil {
		t.Fatal(err)
	}
	echoOverWire(t, p, mac, 5002, []byte("and on it goes"))
}

// Garbage of every kind: the guest drops it and goes on. The seed is printed.
func TestDevice_HostileFrames(t *testing.T) {
	_, p, mac := startEcho(t, Config{}, Dgram)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	udp := UDP{Src: 4000, Dst: 7, Payload: pattern(1, 300)}.Marshal(hostIP, guestIP)
	icmp := ICMP{Type: ICMPEcho, Rest: 1, Payload: pattern(2, 64)}.Marshal()
	seeds := [][]byte{
		Ethernet(mac, p.MAC, EtherIPv4, IPv4{Proto: ProtoUDP, Src: hostIP, Dst: guestIP, Payload: udp}.Marshal()),
		Ethernet(mac, p.MAC, EtherIPv4, IPv4{Proto: ProtoICMP, Src: hostIP, Dst: guestIP, Payload: icmp}.Marshal()),
		Ethernet(mac, p.MAC, EtherIPv4, IPv4{Proto: ProtoUDP, Src: hostIP, Dst: guestIP, ID: 9, MF: true, Payload: udp[:160]}.Marshal()),
		Ethernet(mac, p.MAC, EtherIPv4, IPv4{Proto: ProtoUDP, Src: hostIP, Dst: guestIP, Options: []byte{7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0}, Payload: udp}.Marshal()),
		Ethernet(Broadcast, p.MAC, EtherARP, ARP{Op: ARPRequest, SenderHW: p.MAC, SenderIP: hostIP, TargetIP: guestIP}.Marshal()),
	}
	count := 20000
	if testing.Short() {
		count = 2000
	}
	for i := range count {
		f := slices.Clone(seeds[r.IntN(len(seeds))])
		switch r.IntN(4) {
		case 0: // noise from some place on
			for j := r.IntN(len(f)); j < len(f); j++ {
				f[j] = byte(r.Uint32())
			}
		case 1: // cut
			f = f[:15+r.IntN(len(f)-15)]
		default: // a few fields changed
			for range 1 + r.IntN(4) {
				f[14+r.IntN(len(f)-14)] = byte(r.Uint32())
			}
		}
		// Never a new address for the peer: the tests after this one rely on it.
		if len(f) >= 28 && f[12] == 8 && f[13] == 6 {
			copy(f[22:], p.MAC[:])
		}
		// With a good header checksum damage gets further in.
		if hl := int(f[14] & 15); r.IntN(2) == 0 && f[12] == 8 && f[13] == 0 && hl >= 5 && len(f) >= 14+4*hl {
			h := f[14 : 14+4*hl]
			h[10], h[11] = 0, 0
			binary.BigEndian.PutUint16(h[10:], Checksum(h))
		}
		if err := p.Conn.WriteFrame(f); err != nil {
			t.Fatal(err)
		}
		if i%500 == 499 { // what it answers is judged, and it still works
			p.Expect(time.Millisecond, func(*Frame) bool { return false })
			echoOverWire(t, p, mac, uint16(10000+i/500), fmt.Appendf(nil, "after %d", i))
			if t.Failed() {
				return
			}
		}
	}
}

// Packets are answered while goroutines spin: preemption by the timer.
func TestGuest_BusyStillEchoes(t *testing.T) {
	m, p := startWired(t, Config{Kernel: image(t, guests+"busy")}, Dgram)
	if _, err := m.Console.WaitFor("^busy$", bootTime); err != nil {
		t.Fatal(err)
	}
	mac, err := p.Resolve(guestIP, bootTime)
	if err != nil {
		t.Fatal(err)
	}
	var took []time.Duration
	for i := range 50 {
		start := time.Now()
		echoOverWire(t, p, mac, 5000, pattern(i, 100))
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	t.Logf("echo while busy: median %v, most %v", took[25].Round(time.Microsecond), took[49].Round(time.Microsecond))
	if took[25] > 100*time.Millisecond {
		t.Errorf("an echo takes %v while goroutines spin", took[25])
	}
}
