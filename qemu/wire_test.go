package qemu

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"
)

// Tests over a raw wire: no privilege needed, every frame seen.

const bootTime = 20 * time.Second // the most any boot may take, for waiting only

func TestRawPeer_ARPPingUDP(t *testing.T) {
	onEachMachine(t, func(t *testing.T, machine string) {
		for kind, name := range map[WireKind]string{Dgram: "dgram", Stream: "stream"} {
			t.Run(name, func(t *testing.T) {
				_, p, mac := startEcho(t, Config{Machine: machine}, kind)
				if mac != cardMAC {
					t.Errorf("the guest says it is %v, its card is %v", mac, cardMAC)
				}
				for i, n := range []int{0, 1, 17, 56, 1400, 1472} {
					payload := pattern(i, n)
					back, err := p.Ping(mac, guestIP, 77, uint16(i), payload, 2*time.Second)
					if err != nil || !bytes.Equal(back, payload) {
						t.Errorf("ping of %d bytes: %d bytes, %v", n, len(back), err)
					}
				}
				for i, n := range []int{0, 1, 2, 100, 1471, 1472} {
					echoOverWire(t, p, mac, uint16(5000+i), pattern(i, n))
				}
			})
		}
	})
}

// echoOverWire sends one datagram to the echo port and checks what comes back.
func echoOverWire(t *testing.T, p *Peer, mac MAC, port uint16, payload []byte) {
	t.Helper()
	if err := p.SendUDP(mac, netip.AddrPortFrom(guestIP, 7), port, payload); err != nil {
		t.Fatal(err)
	}
	f, err := p.Expect(5*time.Second, func(f *Frame) bool {
		return f.UDP != nil && f.UDP.Src == 7 && f.UDP.Dst == port && f.IP.Src == guestIP && f.IP.Dst == hostIP
	})
	if err != nil {
		t.Errorf("no echo of %d bytes: %v", len(payload), err)
		return
	}
	if !bytes.Equal(f.UDP.Payload, payload) {
		t.Errorf("echo of %d bytes differs: %x, want %x", len(payload), f.UDP.Payload, payload)
	}
	if f.UDP.NoChecksum {
		t.Error("the echo has no UDP checksum")
	}
}

// What is not for the guest, or damaged, gets no answer; what no program waits
// for is answered as RFC 1122 section 4.1.3.1 says. After each, the guest still
// echoes.
func TestRawPeer_StrangeFrames(t *testing.T) {
	_, p, mac := startEcho(t, Config{}, Dgram)
	udp := UDP{Src: 4000, Dst: 7, Payload: []byte("anyone?")}
	good := IPv4{Proto: ProtoUDP, Src: hostIP, Dst: guestIP, Payload: udp.Marshal(hostIP, guestIP)}
	echo := IPv4{Proto: ProtoICMP, Src: hostIP, Dst: guestIP, Payload: ICMP{Type: ICMPEcho, Rest: 1}.Marshal()}
	spoil := func(frame []byte, at int) []byte { frame[at] ^= 0x55; return frame }
	elsewhere := good
	elsewhere.Dst = netip.MustParseAddr("192.0.2.77")
	elsewhere.Payload = udp.Marshal(hostIP, elsewhere.Dst)
	long := spoil(Ethernet(mac, p.MAC, EtherIPv4, good.Marshal()), 14)

	silent := map[string][]byte{
		"bad IP checksum":       spoil(Ethernet(mac, p.MAC, EtherIPv4, good.Marshal()), 24),
		"bad UDP checksum":      spoil(Ethernet(mac, p.MAC, EtherIPv4, good.Marshal()), 14+20+6),
		"bad ICMP checksum":     spoil(Ethernet(mac, p.MAC, EtherIPv4, echo.Marshal()), 14+20+2),
		"IP version 0":          long,
		"another host's IP":     Ethernet(mac, p.MAC, EtherIPv4, elsewhere.Marshal()),
		"another host's MAC":    Ethernet(MAC{2, 9, 9, 9, 9, 9}, p.MAC, EtherIPv4, good.Marshal()),
		"unknown ethertype":     Ethernet(mac, p.MAC, 0x1234, []byte("hello")),
		"header without packet": Ethernet(mac, p.MAC, EtherIPv4, nil),
		"short ARP":             Ethernet(Broadcast, p.MAC, EtherARP, []byte{0, 1, 8, 0})[:18],
		"14 bytes":              Ethernet(mac, p.MAC, EtherIPv4, nil)[:14],
	}
	for name, frame := range silent {
		if err := p.Conn.WriteFrame(frame); err != nil {
			t.Fatal(err)
		}
		f, err := p.Expect(100*time.Millisecond, func(f *Frame) bool { return f.IP != nil })
		if err == nil {
			t.Errorf("%s was answered: %x", name, f.Raw)
		} else if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		echoOverWire(t, p, mac, 4001, []byte(name))
	}

	// No checksum is a valid UDP checksum (RFC 768).
	none := UDP{Src: 4002, Dst: 7, NoChecksum: true, Payload: []byte("no sum")}
	p.SendIP(mac, IPv4{Proto: ProtoUDP, Dst: guestIP, Payload: none.Marshal(hostIP, guestIP)})
	if _, err := p.Expect(2*time.Second, func(f *Frame) bool { return f.UDP != nil && string(f.UDP.Payload) == "no sum" }); err != nil {
		t.Errorf("datagram without a checksum: %v", err)
	}

	// A port nobody has bound.
	if err := p.SendUDP(mac, netip.AddrPortFrom(guestIP, 9), 4003, []byte("nobody")); err != nil {
		t.Fatal(err)
	}
	f, err := p.Expect(2*time.Second, func(f *Frame) bool { return f.ICMP != nil })
	if err != nil {
		t.Fatalf("no answer for a closed port: %v", err)
	}
	if f.ICMP.Type != ICMPUnreachable || f.ICMP.Code != 3 {
		t.Errorf("closed port: ICMP type %d code %d", f.ICMP.Type, f.ICMP.Code)
	}
	if len(f.ICMP.Payload) < 28 || !bytes.Equal(f.ICMP.Payload[12:20], good.Marshal()[12:20]) {
		t.Errorf("the error does not quote the packet: %x", f.ICMP.Payload)
	}
}

// Exit status, console and command line of the echo program.
func TestEcho_Banner(t *testing.T) {
	onEachMachine(t, func(t *testing.T, machine string) {
		m, _ := startWired(t, Config{Machine: machine, Kernel: image(t, echoApp)}, Dgram)
		if _, err := m.Console.WaitFor(`(?i)echo.*7`, bootTime); err != nil {
			t.Fatal(err)
		}
	})
}

// QEMU's user-mode network in between: the guest has 10.0.2.15 and its port is
// reached through a forwarded one of the host.
func TestUserNet_UDPEcho(t *testing.T) {
	onEachMachine(t, func(t *testing.T, machine string) {
		m := Start(t, Config{Machine: machine, Kernel: image(t, echoApp),
			Append: "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off",
			NICs:   []NIC{{Backend: User{Forwards: []Forward{{"udp", 0, 7}}}}}})
		port, err := m.HostPort("udp", 7)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := dialUDP(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := firstEcho(conn, bootTime, 5*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		lost, err := echoMany(conn, 2000, 16)
		if err != nil || lost != 0 {
			t.Fatalf("%d of 2000 lost, %v", lost, err)
		}
	})
}
