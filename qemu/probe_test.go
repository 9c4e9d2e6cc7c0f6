package qemu

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"barewire/board/hosted"
)

// probed is something that is probed by frames: the image, or the Linux kernel behind a TAP device, with the same addresses.
type probed struct {
	name string
	conn FrameConn
	peer *Peer
	mac  MAC
	set  func(sysctl, value string) // below net.ipv4
}

// probedPair boots the image and makes a Linux host like it. Both echo on UDP port 7.
func probedPair(t *testing.T) [2]*probed {
	t.Helper()
	conn, end, err := NewWire(Dgram)
	must(t, err)
	_, image := startLab(t, Config{NICs: []NIC{{Backend: end}}, Append: ipParam})

	ns := needNamespace(t, "probed")
	must(t, ns.IP("tuntap", "add", "dev", "tap0", "mode", "tap"), ns.IP("link", "set", "dev", "tap0", "address", cardMAC.String()),
		ns.Sysctl("ipv6/conf/all/disable_ipv6", "1"), ns.IP("addr", "add", guestIP.String()+"/24", "broadcast", "192.0.2.255", "dev", "tap0"),
		ns.IP("link", "set", "dev", "tap0", "up"), ns.IP("route", "add", "default", "via", hostIP.String()))
	var tap *os.File
	must(t, ns.Do(func() (err error) { tap, err = hosted.OpenTap("tap0", false); return err }))
	serveEcho(t, ns, 7)
	t.Cleanup(func() { conn.Close(); tap.Close() })
	pair := [2]*probed{
		{name: "image", conn: conn, set: func(n, v string) { image("write file=/proc/sys/net/ipv4/%s value=%s", n, v) }},
		{name: "Linux", conn: dgramConn{tap}, set: func(n, v string) { must(t, ns.Sysctl("ipv4/"+n, v)) }},
	}
	for _, p := range pair {
		p.peer = NewPeer(p.conn, peerMAC, hostIP)
		p.mac, err = p.peer.Resolve(guestIP, bootTime)
		must(t, err)
	}
	return pair
}

// send sends the packets and gathers what comes back, ARP aside, until there was nothing for quiet.
func (p *probed) send(t *testing.T, quiet time.Duration, packets ...[]byte) (answers []*Frame) {
	t.Helper()
	for _, b := range packets {
		must(t, p.conn.WriteFrame(Ethernet(p.mac, peerMAC, EtherIPv4, b)))
	}
	for {
		f, err := p.peer.Expect(quiet, func(f *Frame) bool { return f.IP != nil && f.IP.Proto != 2 }) // not its IGMP reports
		if err != nil {
			return answers
		}
		f.Raw = bytes.Clone(f.Raw)
		f, err = ParseFrame(f.Raw)
		must(t, err)
		answers = append(answers, f)
	}
}

// describeAnswer writes down all of an answer that must be the same: not the time of day.
func describeAnswer(f *Frame) string {
	p := f.IP
	id := "id"
	if p.ID == 0 {
		id = "no id"
	}
	body := bytes.Clone(p.Payload)
	if f.ICMP != nil && f.ICMP.Type == 14 && len(body) >= 20 {
		for _, at := range []int{12, 16} {
			d := time.Now().UTC()
			ms := uint32(d.Sub(d.Truncate(24*time.Hour)) / time.Millisecond)
			if off := int32(binary.BigEndian.Uint32(body[at:]) - ms); off > -5000 && off < 5000 {
				copy(body[at:], "time")
			}
		}
		clear(body[2:4])
	}
	return fmt.Sprintf("%v > %v proto %d ttl %d tos %#x df %v mf %v off %d %s options % x: %x", p.Src, p.Dst, p.Proto, p.TTL, p.TOS, p.DF, p.MF, p.FragOff, id, p.Options, body)
}

// probes are named packets to the host, with what nmap sends among them.
func probes() (names []string, packets [][]byte) {
	id := uint16(0x1000)
	add := func(name string, p IPv4) {
		id++
		if p.ID == 0 {
			p.ID = id
		}
		if !p.Src.IsValid() {
			p.Src = hostIP
		}
		if !p.Dst.IsValid() {
			p.Dst = guestIP
		}
		names, packets = append(names, name), append(packets, p.Marshal())
	}
	udp := func(port uint16, payload []byte) []byte {
		return UDP{Src: 40000, Dst: port, Payload: payload}.Marshal(hostIP, guestIP)
	}
	// -sU
	for _, n := range []int{0, 1, 7, 8, 47, 300, 520, 521, 1000, 1472} {
		for _, df := range []bool{false, true} {
			add(fmt.Sprintf("UDP, closed port, %d bytes, DF %v", n, df), IPv4{Proto: 17, DF: df, Payload: udp(9, bytes.Repeat([]byte("C"), n))})
		}
	}
	for _, tos := range []uint8{0x02, 0x10, 0x1c, 0xb8, 0xe0, 0xff} {
		add(fmt.Sprintf("UDP, closed port, TOS %#x", tos), IPv4{Proto: 17, TOS: tos, Payload: udp(9, nil)})
		add(fmt.Sprintf("UDP, open port, TOS %#x", tos), IPv4{Proto: 17, TOS: tos, Payload: udp(7, []byte("x"))})
		add(fmt.Sprintf("echo, TOS %#x", tos), IPv4{Proto: 1, TOS: tos, Payload: ICMP{Type: 8, Rest: 0x00010000 | uint32(tos), Payload: make([]byte, 56)}.Marshal()})
	}
	for _, ttl := range []uint8{1, 2, 37, 255} {
		add(fmt.Sprintf("UDP, closed port, TTL %d", ttl), IPv4{Proto: 17, TTL: ttl, Payload: udp(9, []byte("ttl"))})
	}
	add("UDP, open port", IPv4{Proto: 17, Payload: udp(7, []byte("hello"))})
	add("UDP, port 0", IPv4{Proto: 17, Payload: udp(0, []byte("hello"))})
	for _, o := range []string{"\x01\x01\x01\x01", "\x07\x0b\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\x94\x04\x00\x00"} {
		add(fmt.Sprintf("UDP, closed port, options % x", o), IPv4{Proto: 17, Options: []byte(o), Payload: udp(9, []byte("options"))})
	}
	whole := udp(9, bytes.Repeat([]byte("F"), 1200))
	add("UDP, closed port, first piece", IPv4{Proto: 17, ID: 0x77, MF: true, Payload: whole[:800]})
	add("UDP, closed port, second piece", IPv4{Proto: 17, ID: 0x77, FragOff: 800, Payload: whole[800:]})
	// U1 of -O
	add("U1", IPv4{Proto: 17, ID: 0x1042, Payload: udp(42042, bytes.Repeat([]byte("C"), 300))})
	// -sO: every protocol, empty, with eight bytes, and with many; TCP has its own probes.
	for proto := range 256 {
		if proto == 6 {
			continue
		}
		for _, n := range []int{0, 8, 600} {
			add(fmt.Sprintf("protocol %d, %d bytes", proto, n), IPv4{Proto: uint8(proto), Payload: make([]byte, n)})
		}
	}
	// IE of -O
	add("IE1", IPv4{Proto: 1, DF: true, Payload: ICMP{Type: 8, Code: 9, Rest: 0x12340127, Payload: make([]byte, 120)}.Marshal()})
	add("IE2", IPv4{Proto: 1, TOS: 4, Payload: ICMP{Type: 8, Code: 0, Rest: 0x12350128, Payload: make([]byte, 150)}.Marshal()})
	// -PE, -PP, -PM, and every other type
	for typ := range 64 {
		for _, code := range []uint8{0, 1, 13} {
			add(fmt.Sprintf("ICMP type %d code %d", typ, code), IPv4{Proto: 1, Payload: ICMP{Type: uint8(typ), Code: code, Rest: uint32(typ)<<16 | uint32(code), Payload: make([]byte, 12)}.Marshal()})
		}
	}
	add("timestamp, short", IPv4{Proto: 1, Payload: ICMP{Type: 13, Rest: 0x5555, Payload: make([]byte, 4)}.Marshal()})
	add("timestamp, long", IPv4{Proto: 1, Payload: ICMP{Type: 13, Rest: 0x6666, Payload: make([]byte, 40)}.Marshal()})
	bad := ICMP{Type: 8, Rest: 0x7777, Payload: make([]byte, 40)}.Marshal()
	bad[2] ^= 1
	add("echo, bad sum", IPv4{Proto: 1, Payload: bad})
	for _, dst := range []string{"192.0.2.255", "255.255.255.255", "224.0.0.1", "192.0.2.77", "198.51.100.1"} {
		add("echo to "+dst, IPv4{Proto: 1, Dst: netip.MustParseAddr(dst), Payload: ICMP{Type: 8, Rest: 0x8888, Payload: make([]byte, 8)}.Marshal()})
		add("UDP to "+dst, IPv4{Proto: 17, Dst: netip.MustParseAddr(dst), Payload: UDP{Src: 4, Dst: 9}.Marshal(hostIP, netip.MustParseAddr(dst))})
	}
	return names, packets
}

// Every probe that nmap's UDP, protocol and system scans send, and more of their kind, is answered by the image as by Linux,
// field by field.
func TestProbes_answeredAsLinux(t *testing.T) {
	pair := probedPair(t)
	for _, p := range pair {
		p.set("icmp_ratelimit", "0")
		p.set("icmp_msgs_per_sec", "100000")
		p.set("icmp_msgs_burst", "100000")
	}
	names, packets := probes()
	const batch = 24
	answered, different := 0, 0
	// ask sends probes to both. Where the answers differ one of them may have been late: it is waited for longer, and asked anew.
	ask := func(packets ...[]byte) (got [2][]string) {
		for quiet := 60 * time.Millisecond; quiet < 2*time.Second; quiet *= 4 {
			for k, p := range pair {
				got[k] = nil
				for _, f := range p.send(t, quiet, packets...) {
					got[k] = append(got[k], describeAnswer(f))
				}
				slices.Sort(got[k]) // the echo program's answers come when it runs
			}
			if slices.Equal(got[0], got[1]) {
				break
			}
		}
		return got
	}
	for i := 0; i < len(names); i += batch {
		to := min(i+batch, len(names))
		got := ask(packets[i:to]...)
		answered += len(got[1])
		if slices.Equal(got[0], got[1]) {
			continue
		}
		for j := i; j < to; j++ { // which of them
			if one := ask(packets[j]); !slices.Equal(one[0], one[1]) {
				different++
				t.Errorf("%s: the image answers\n%s\nLinux answers\n%s", names[j], strings.Join(one[0], "\n"), strings.Join(one[1], "\n"))
			}
		}
		if different == 0 {
			t.Errorf("%q to %q: only together, the image answers\n%s\nLinux answers\n%s", names[i], names[to-1], strings.Join(got[0], "\n"), strings.Join(got[1], "\n"))
		}
	}
	t.Logf("%d probes, %d answered", len(names), answered)
	if answered < 500 {
		t.Errorf("only %d of %d probes were answered by Linux", answered, len(names))
	}
}

// How often probes are answered, with the limits as they are without being set: by sender and altogether, and the
// identifications of what is answered.
func TestProbes_limitsAsLinux(t *testing.T) {
	pair := probedPair(t)
	udpFrom := func(src string, n int) (packets [][]byte) {
		ip := netip.MustParseAddr(src)
		for i := range n {
			packets = append(packets, IPv4{Proto: 17, ID: uint16(i + 1), Src: ip, Dst: guestIP, Payload: UDP{Src: 40000, Dst: 9}.Marshal(ip, guestIP)}.Marshal())
		}
		return packets
	}
	var report [2]string
	for k, p := range pair {
		say := func(format string, args ...any) { report[k] += fmt.Sprintf(format, args...) + "\n" }
		count := func(what string, packets [][]byte, kinds ...byte) {
			n := 0
			for _, f := range p.send(t, 150*time.Millisecond, packets...) {
				if f.ICMP != nil && slices.Contains(kinds, f.ICMP.Type) {
					n++
				}
			}
			if n >= len(packets)*98/100 { // a lost frame is no limit
				say("%s: all", what)
				return
			}
			say("%s: %d of %d", what, n, len(packets))
		}
		count("one sender's closed ports at once", udpFrom("192.0.2.1", 40), 3)
		time.Sleep(1100 * time.Millisecond)
		count("after a second", udpFrom("192.0.2.1", 40), 3)
		var protos, echoes, times [][]byte
		for i := range 40 {
			protos = append(protos, IPv4{Proto: 200, ID: uint16(i + 1), Src: hostIP, Dst: guestIP, Payload: make([]byte, 8)}.Marshal())
			times = append(times, IPv4{Proto: 1, Src: hostIP, Dst: guestIP, Payload: ICMP{Type: 13, Rest: uint32(i), Payload: make([]byte, 12)}.Marshal()}.Marshal())
		}
		for i := range 300 {
			echoes = append(echoes, IPv4{Proto: 1, Src: hostIP, Dst: guestIP, Payload: ICMP{Type: 8, Rest: uint32(i), Payload: make([]byte, 8)}.Marshal()}.Marshal())
		}
		count("its protocols count too", protos, 3)
		count("timestamps have no limit", times, 14)
		count("nor have echoes", echoes, 0)
		// Identifications of unfragmented echo replies and errors.
		steps, last := 0, -1
		for i := range 8 {
			must(t, p.peer.SendIP(p.mac, IPv4{Proto: 1, Dst: guestIP, Payload: ICMP{Type: 8, Rest: uint32(0x9999<<16 + i)}.Marshal()}))
			f, err := p.peer.Expect(5*time.Second, func(f *Frame) bool { return f.ICMP != nil && f.ICMP.Rest == uint32(0x9999<<16+i) })
			must(t, err)
			if id := int(f.IP.ID); last >= 0 && uint16(id-last) >= 1 && uint16(id-last) < 2000 {
				steps++
			}
			last = int(f.IP.ID)
		}
		say("identifications that follow each other: %d of 7", steps)
	}
	if report[0] != report[1] {
		t.Errorf("the image:\n%sLinux:\n%s", report[0], report[1])
	}
	t.Log(report[1])
	// Many senders at once: together about as many errors as Linux, whose limit has some chance in it.
	var total [2]int
	for k, p := range pair {
		var all [][]byte
		for i := range 150 {
			src := netip.AddrFrom4([4]byte{192, 0, 2, byte(50 + i)})
			all = append(all, udpFrom(src.String(), 1)...)
			arp := ARP{Op: ARPReply, SenderHW: peerMAC, SenderIP: src, TargetHW: p.mac, TargetIP: guestIP}
			must(t, p.conn.WriteFrame(Ethernet(p.mac, peerMAC, EtherARP, arp.Marshal())))
			req := ARP{Op: ARPRequest, SenderHW: peerMAC, SenderIP: src, TargetIP: guestIP} // so that the sender is known
			must(t, p.conn.WriteFrame(Ethernet(p.mac, peerMAC, EtherARP, req.Marshal())))
		}
		p.send(t, 300*time.Millisecond)
		for _, f := range p.send(t, 300*time.Millisecond, all...) {
			if f.ICMP != nil && f.ICMP.Type == 3 {
				total[k]++
			}
		}
	}
	t.Logf("150 senders at once: %d errors from the image, %d from Linux", total[0], total[1])
	if d := total[0] - total[1]; d < -40 || d > 40 || total[0] < 20 {
		t.Errorf("150 senders at once: %d errors from the image, %d from Linux", total[0], total[1])
	}
}
