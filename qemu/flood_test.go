package qemu

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// flooded is the image with a card that is flooded and one whose users shall not notice:
//
//	attacker, a user 10.0.0.2/16 ── 10.0.0.1 eth0 image eth1 10.1.0.1 ── a user 10.1.0.2/16
type flooded struct {
	attack, user *Peer
	attackMAC    MAC // of the image's cards
	userMAC      MAC
	image        hands
}

var (
	floodedIP = netip.MustParseAddr("10.0.0.1") // read-only
	otherIP   = netip.MustParseAddr("10.1.0.1") // read-only
)

func newFlooded(t *testing.T) *flooded {
	t.Helper()
	f := &flooded{}
	var nics []NIC
	for i, p := range []**Peer{&f.attack, &f.user} {
		conn, end, err := NewWire(Dgram)
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		*p = NewPeer(conn, MAC{2, 0, 0, 0, byte(i), 1}, netip.AddrFrom4([4]byte{10, byte(i), 0, 2}))
		nics = append(nics, NIC{Backend: end, NoPcap: true})
	}
	_, f.image = startLab(t, Config{NICs: nics, Memory: 32,
		Append: "ip=10.0.0.1:::255.255.0.0::eth0:off ip=10.1.0.1:::255.255.0.0::eth1:off sysctl.net.ipv4.ip_forward=1 sysctl.net.ipv4.ipfrag_time=1"})
	var err error
	f.attackMAC, err = f.attack.Resolve(floodedIP, bootTime)
	must(t, err)
	f.userMAC, err = f.user.Resolve(otherIP, bootTime)
	must(t, err)
	return f
}

// served is what a user of the image's echo got.
type served struct {
	sent, answered int
	worst          time.Duration
}

func (s served) String() string {
	return fmt.Sprintf("%d of %d, slowest %v", s.answered, s.sent, s.worst.Round(time.Millisecond))
}

// use echoes on the quiet card, one datagram after the other, until stop is closed.
func (f *flooded) use(stop <-chan struct{}) (s served) {
	for seq := uint64(rand.Uint32()) << 16; ; seq++ {
		select {
		case <-stop:
			return s
		case <-time.After(5 * time.Millisecond):
		}
		start := time.Now()
		s.sent++
		f.user.SendUDP(f.userMAC, netip.AddrPortFrom(otherIP, 17), 4000, binary.BigEndian.AppendUint64(nil, seq))
		_, err := f.user.Expect(2*time.Second, func(g *Frame) bool {
			return g.UDP != nil && len(g.UDP.Payload) == 8 && binary.BigEndian.Uint64(g.UDP.Payload) == seq
		})
		if err == nil {
			s.answered++
		}
		s.worst = max(s.worst, time.Since(start))
	}
}

// flood sends frames as fast as the image takes them, and in between a datagram to be echoed each ten
// milliseconds, and returns how many of each and how many echoes came back. The frames of other kinds that come are only read.
func (f *flooded) flood(d time.Duration, frame func(i int) []byte) (n int, s served) {
	var echoes atomic.Int64
	done := make(chan struct{})
	p := f.attack
	go func() {
		defer close(done)
		p.Expect(d+200*time.Millisecond, func(g *Frame) bool {
			if g.UDP != nil && g.UDP.Dst == 4000 && g.IP.Dst == p.IP {
				echoes.Add(1)
			}
			return false
		})
	}()
	start := time.Now()
	for next := start; ; n++ {
		now := time.Now()
		if now.Sub(start) > d {
			break
		}
		if now.After(next) {
			p.SendUDP(f.attackMAC, netip.AddrPortFrom(floodedIP, 17), 4000, []byte("are you there"))
			next = next.Add(10 * time.Millisecond)
			s.sent++
		}
		if p.Conn.WriteFrame(frame(n)) != nil {
			break
		}
	}
	<-done
	s.answered = int(echoes.Load())
	return n, s
}

// state is what the image says of its memory.
type state struct {
	heap, system, fragments, neighbours, goroutines int
}

func (f *flooded) state(t *testing.T) (s state) {
	t.Helper()
	num := func(pattern, text string, base int) int {
		m := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no %q in %q", pattern, text)
		}
		n, err := strconv.ParseInt(m[1], base, 64)
		must(t, err)
		return int(n)
	}
	mem := f.image("memory")
	s.heap, s.system, s.goroutines = num(`heap (\d+)`, mem, 10), num(`system (\d+)`, mem, 10), num(`goroutines (\d+)`, mem, 10)
	s.fragments = num(`FRAG: inuse \d+ memory (\d+)`, f.image("cat file=/proc/net/sockstat"), 10)
	s.neighbours = num(`(?m)^([0-9a-f]{8}) `, f.image("cat file=/proc/net/stat/arp_cache"), 16)
	return s
}

// sysctl reads a number.
func (f *flooded) sysctl(t *testing.T, name string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(f.image("cat file=/proc/sys/net/ipv4/%s", name)))
	must(t, err)
	return n
}

// Floods of every kind stay inside their bounds, and the image goes on serving: on the other card during the flood, and
// on the flooded one too, though not without loss, and as before afterwards.
func TestFlood_boundsHoldAndServiceGoesOn(t *testing.T) {
	f := newFlooded(t)
	// As in Linux the fragment that goes over the line is still taken.
	fragmentBound, neighbourBound := f.sysctl(t, "ipfrag_high_thresh")+8<<10, f.sysctl(t, "neigh/default/gc_thresh3")
	r := rand.New(rand.NewPCG(1, 2))
	any16 := func(net byte) netip.Addr { // of the subnet, but not one of ours
		return netip.AddrFrom4([4]byte{10, net, byte(1 + r.IntN(250)), byte(r.IntN(256))})
	}
	ip := func(p IPv4) []byte {
		if !p.Src.IsValid() {
			p.Src = f.attack.IP
		}
		if !p.Dst.IsValid() {
			p.Dst = floodedIP
		}
		return Ethernet(f.attackMAC, f.attack.MAC, EtherIPv4, p.Marshal())
	}
	big, small := make([]byte, 1480), make([]byte, 8)
	echo := ICMP{Type: 8, Rest: 1, Payload: make([]byte, 1400)}.Marshal()
	for _, c := range []struct {
		name  string
		frame func(i int) []byte
	}{
		{"first fragments", func(i int) []byte { return ip(IPv4{Proto: 17, ID: uint16(i), Src: any16(0), MF: true, Payload: big}) }},
		{"tiny fragments of one datagram", func(i int) []byte {
			return ip(IPv4{Proto: 17, ID: uint16(i / 4000), MF: true, FragOff: i % 4000 * 16, Payload: small})
		}},
		{"overlapping fragments", func(i int) []byte {
			return ip(IPv4{Proto: 17, ID: uint16(i / 2), MF: true, FragOff: i % 2 * 8, Payload: big[:1000]})
		}},
		{"ARP requests", func(int) []byte {
			a := ARP{Op: ARPRequest, SenderHW: f.attack.MAC, SenderIP: any16(0), TargetIP: floodedIP}
			return Ethernet(Broadcast, f.attack.MAC, EtherARP, a.Marshal())
		}},
		{"ARP replies", func(int) []byte {
			a := ARP{Op: ARPReply, SenderHW: f.attack.MAC, SenderIP: any16(0), TargetHW: f.attackMAC, TargetIP: floodedIP}
			return Ethernet(f.attackMAC, f.attack.MAC, EtherARP, a.Marshal())
		}},
		{"unknown neighbours", func(int) []byte { return ip(IPv4{Proto: 17, Dst: any16(1), Payload: big[:1000]}) }},
		{"pings", func(int) []byte { return ip(IPv4{Proto: 1, Payload: echo}) }},
		{"pings of unknown neighbours", func(int) []byte { return ip(IPv4{Proto: 1, Src: any16(0), Payload: echo}) }},
		{"closed ports", func(i int) []byte {
			src := any16(0)
			return ip(IPv4{Proto: 17, Src: src, Payload: UDP{Src: 1, Dst: uint16(1000 + i%5000), Payload: big[:100]}.Marshal(src, floodedIP)})
		}},
		{"an open port", func(int) []byte {
			return ip(IPv4{Proto: 17, Payload: UDP{Src: 1, Dst: 7, Payload: big[:1400]}.Marshal(f.attack.IP, floodedIP)})
		}},
		{"options", func(i int) []byte {
			o := []byte{7, 39, 4, 39: 0}
			if i%2 == 0 {
				o = []byte{68, 36, 5, 1, 39: 0}
			}
			return ip(IPv4{Proto: 1, Options: o, Payload: echo[:8]})
		}},
		{"time exceeded", func(int) []byte { return ip(IPv4{Proto: 17, TTL: 1, Src: any16(0), Dst: any16(1), Payload: small}) }},
		{"false errors", func(i int) []byte {
			quote := IPv4{Proto: 17, Src: floodedIP, Dst: any16(1), Payload: make([]byte, 8)}.Marshal()
			return ip(IPv4{Proto: 1, Payload: ICMP{Type: 3, Code: 4, Rest: uint32(600 + i%800), Payload: quote}.Marshal()})
		}},
		{"noise", func(i int) []byte {
			b := make([]byte, 60+r.IntN(1400))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			copy(b, f.attackMAC[:])
			b[12], b[13], b[14] = 8, 0, 0x45
			return b
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := f.state(t)
			stop, used := make(chan struct{}), make(chan served)
			go func() { used <- f.use(stop) }()
			mid := make(chan state)
			go func() {
				time.Sleep(400 * time.Millisecond)
				mid <- f.state(t) // the console answers under load too
			}()
			const d = 700 * time.Millisecond
			n, same := f.flood(d, c.frame)
			during := <-mid
			close(stop)
			other := <-used
			after := f.state(t)
			t.Logf("%7.0f frames/s; echoes on the card: %v; on the other: %v", float64(n)/d.Seconds(), same, other)
			t.Logf("heap KiB %d, %d, %d; from the system KiB %d, %d; fragments KiB %d, %d of %d; neighbours %d, %d of %d",
				before.heap>>10, during.heap>>10, after.heap>>10, before.system>>10, after.system>>10,
				during.fragments>>10, after.fragments>>10, fragmentBound>>10, during.neighbours, after.neighbours, neighbourBound)
			for when, s := range map[string]state{"during": during, "after": after} {
				if s.fragments > fragmentBound || s.neighbours > neighbourBound || s.goroutines > before.goroutines+4 {
					t.Errorf("%s: %+v", when, s)
				}
				if s.heap > before.heap+24<<20 {
					t.Errorf("%s: the heap grew from %d to %d KiB", when, before.heap>>10, s.heap>>10)
				}
			}
			if n < 1000 {
				t.Errorf("only %d frames were taken", n)
			}
			if other.answered*10 < other.sent*9 || other.answered < 10 {
				t.Errorf("the user of the other card got %v", other)
			}
			if same.answered*2 < same.sent {
				t.Errorf("the user of the card got %v", same)
			}
			// As before.
			for i := range 20 {
				if _, err := f.attack.Ping(f.attackMAC, floodedIP, 77, uint16(i), pattern(i, 100), 2*time.Second); err != nil {
					t.Fatalf("afterwards: %v", err)
				}
			}
		})
	}
	// Who was not there before is served too, as soon as the dead neighbours have been given up (after three probes, a second
	// apart), and so is what comes in fragments.
	late := NewPeer(f.attack.Conn, MAC{2, 0, 0, 0, 0, 9}, netip.MustParseAddr("10.0.0.9"))
	start := time.Now()
	for i := 0; ; i++ {
		if _, err := late.Ping(f.attackMAC, floodedIP, 78, uint16(i), []byte("late"), 200*time.Millisecond); err == nil {
			break
		}
		if time.Since(start) > 10*time.Second {
			t.Fatal("a new neighbour is not served")
		}
	}
	t.Logf("a new neighbour is served after %v", time.Since(start).Round(time.Millisecond))
	whole := ICMP{Type: 8, Rest: 0x4d0001, Payload: pattern(1, 2000)}.Marshal()
	for off := 0; off < len(whole); off += 1480 {
		p := IPv4{Proto: 1, ID: 4711, Dst: floodedIP, FragOff: off, MF: off+1480 < len(whole), Payload: whole[off:min(off+1480, len(whole))]}
		must(t, late.SendIP(f.attackMAC, p))
	}
	if _, err := late.Expect(2*time.Second, func(g *Frame) bool {
		return g.IP != nil && g.IP.Proto == 1 && g.IP.FragOff == 1480 && g.IP.Dst == late.IP
	}); err != nil {
		t.Error("fragments are not put together: ", err)
	}
	if f.attack.Damaged+f.user.Damaged != 0 {
		t.Errorf("damaged frames from the image: %v %v", f.attack.LastDamage, f.user.LastDamage)
	}
}
