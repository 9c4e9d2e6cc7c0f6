package qemu

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// Many cards on both machines: each has the name of its place, the address of its own ip=, its interrupt, and its neighbours.
func TestCards_many(t *testing.T) {
	onEachMachine(t, func(t *testing.T, machine string) {
		const n = 8
		var nics []NIC
		var peers []*Peer
		var params []string
		for i := range n {
			conn, end, err := NewWire(Dgram)
			must(t, err)
			t.Cleanup(func() { conn.Close() })
			nics = append(nics, NIC{Backend: end, NoPcap: true})
			peers = append(peers, NewPeer(conn, MAC{2, 0, 0, 0, 1, byte(i)}, netip.AddrFrom4([4]byte{10, 0, byte(i), 2})))
			// In any order, by name.
			params = append([]string{fmt.Sprintf("ip=10.0.%d.1:::255.255.255.0::eth%d:off", i, i)}, params...)
		}
		m, image := startLab(t, Config{Machine: machine, NICs: nics, Append: strings.Join(params, " ") + " sysctl.net.ipv4.ip_forward=1"})
		for i := range n {
			mac := MAC{0x52, 0x54, 0, 0x12, 0x34, byte(0x56 + i)}
			if want := fmt.Sprintf("eth%d: virtio-net, %v, mtu 1500, link up\n", i, mac); !strings.Contains(m.Console.Output(), want) {
				t.Errorf("the console does not say %q", want)
			}
		}
		macs := make([]MAC, n)
		for i, p := range peers {
			var err error
			if macs[i], err = p.Resolve(netip.AddrFrom4([4]byte{10, 0, byte(i), 1}), 5*time.Second); err != nil {
				t.Fatalf("eth%d: %v", i, err)
			}
			for seq := range 20 {
				if _, err := p.Ping(macs[i], netip.AddrFrom4([4]byte{10, 0, byte(i), 1}), 1, uint16(seq), pattern(seq, 1000), 2*time.Second); err != nil {
					t.Fatalf("eth%d: %v", i, err)
				}
			}
		}
		// From each to the next.
		for i, p := range peers {
			next := peers[(i+1)%n]
			payload := pattern(i, 500)
			must(t, p.SendUDP(macs[i], netip.AddrPortFrom(next.IP, 99), 98, payload))
			f, err := next.Expect(3*time.Second, func(f *Frame) bool { return f.UDP != nil && f.UDP.Dst == 99 })
			if err != nil {
				t.Fatalf("eth%d to eth%d: %v", i, (i+1)%n, err)
			}
			if f.IP.Src != p.IP || f.IP.TTL != 63 || f.Src != macs[(i+1)%n] || string(f.UDP.Payload) != string(payload) {
				t.Errorf("eth%d to eth%d: %+v", i, (i+1)%n, f.IP)
			}
		}
		// Each card's counters are its own: 20 pings, two datagrams and ARP.
		dev := image("cat file=/proc/net/dev")
		for i := range n {
			_, line, _ := strings.Cut(dev, fmt.Sprintf("eth%d:", i))
			var rx, rxBytes, tx int
			var other [7]int
			_, err := fmt.Sscan(line, &rxBytes, &rx, &other[0], &other[1], &other[2], &other[3], &other[4], &other[5], &other[6], &tx)
			if err != nil || rx < 22 || rx > 40 || tx < 22 || tx > 40 || rxBytes < 20*1042 {
				t.Errorf("eth%d received %d, sent %d (%v):\n%s", i, rx, tx, err, dev)
			}
		}
	})
}
