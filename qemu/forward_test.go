package qemu

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"barewire/board/hosted"
)

// twin is a router with two cards on wires: the image, or the Linux kernel behind TAP devices, with the same configuration.
//
//	hosts 10.1.0.2-99 ── 10.1.0.1 eth0 router eth1 10.2.0.1 ── hosts 10.2.0.2-99, MTU 1000
type twin struct {
	name   string
	conns  [2]FrameConn
	mac    MAC
	sysctl func(name, value string) // below net.ipv4
	proc   func(name string) string // a file of /proc/net
}

// sysctls sets a list of NAME=VALUE.
func (w *twin) sysctls(list string) {
	for _, s := range strings.Fields(list) {
		n, v, _ := strings.Cut(s, "=")
		w.sysctl(n, v)
	}
}

// counters are those of snmp and netstat that must be the same: not those of timers, and of IGMP and what else a host says on its own.
func (w *twin) counters() map[string]int {
	m := map[string]int{}
	for _, file := range []string{"snmp", "netstat"} {
		lines := strings.Split(w.proc(file), "\n")
		for i := 0; i+1 < len(lines); i += 2 {
			names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
			for j := 1; j < len(names) && j < len(values); j++ {
				m[names[0]+names[j]], _ = strconv.Atoi(values[j])
			}
		}
	}
	return m
}

// onItsOwn are the counters in which two hosts that were given the same packets may differ: those of timers, and those that count their own reports to multicast routers.
var onItsOwn = regexp.MustCompile(`Reasm(Timeout|Fails)|^Ip:(Out|Forwarding)|^IpExt:Out|^Tcp`)

// twins boots the image and makes Linux the same: routes onward by a gateway on the other side and on the same, and the three kinds of refusal.
func twins(t *testing.T) [2]*twin {
	t.Helper()
	ns := needNamespace(t, "twin")
	linux := &twin{name: "Linux", sysctl: func(n, v string) { must(t, ns.Sysctl("ipv4/"+strings.ReplaceAll(n, ".", "/"), v)) }}
	linux.proc = func(name string) (text string) {
		must(t, ns.Do(func() error {
			b, err := os.ReadFile("/proc/thread-self/net/" + name)
			text = string(b)
			return err
		}))
		return text
	}
	image := &twin{name: "the image"}
	must(t, ns.Sysctl("ipv6/conf/all/disable_ipv6", "1"))
	var nics []NIC
	for i := range 2 {
		dev := fmt.Sprintf("eth%d", i)
		must(t, ns.IP("tuntap", "add", "dev", dev, "mode", "tap"), ns.IP("link", "set", "dev", dev, "address", MAC{0x52, 0x54, 0, 0x12, 0x34, byte(0x56 + i)}.String()),
			ns.IP("addr", "add", fmt.Sprintf("10.%d.0.1/24", i+1), "broadcast", fmt.Sprintf("10.%d.0.255", i+1), "dev", dev), ns.IP("link", "set", "dev", dev, "up"))
		must(t, ns.Do(func() error {
			f, err := hosted.OpenTap(dev, false)
			linux.conns[i] = dgramConn{f}
			return err
		}))
		conn, end, err := NewWire(Dgram)
		must(t, err)
		image.conns[i] = conn
		nics = append(nics, NIC{Backend: end})
		t.Cleanup(func() { conn.Close(); linux.conns[i].Close() })
	}
	_, do := startLab(t, Config{NICs: nics, Append: staticIP("10.1.0.1", "10.2.0.1")})
	image.proc = func(name string) string { return do("cat file=/proc/net/%s", name) }
	image.sysctl = func(n, v string) {
		do("write file=/proc/sys/net/ipv4/%s value=%s", strings.ReplaceAll(n, ".", "/"), v)
	}
	for _, r := range []struct{ kind, dst, via string }{{"", "10.9.0.0/24", "10.2.0.9"}, {"", "10.10.0.0/24", "10.1.0.9"},
		{"unreachable", "10.20.0.0/16", ""}, {"prohibit", "10.21.0.0/16", ""}, {"blackhole", "10.22.0.0/16", ""}} {
		if r.via != "" {
			do("route do=add dst=%s via=%s", r.dst, r.via)
			must(t, ns.IP("route", "add", r.dst, "via", r.via))
			continue
		}
		do("route do=add dst=%s type=%s", r.dst, r.kind)
		must(t, ns.IP("route", "add", r.kind, r.dst))
	}
	do("link dev=eth1 mtu=1000")
	must(t, ns.IP("link", "set", "dev", "eth1", "mtu", "1000"))
	serveEcho(t, ns, 7) // as the image
	serveEcho(t, ns, 17)
	pair := [2]*twin{image, linux}
	for _, w := range pair {
		w.mac = MAC{0x52, 0x54, 0, 0x12, 0x34, 0x56}
		w.sysctls("ip_forward=1 icmp_ratelimit=0 icmp_msgs_per_sec=100000 icmp_msgs_burst=100000 conf.all.rp_filter=0 conf.default.rp_filter=0 " +
			"conf.eth0.rp_filter=0 conf.eth1.rp_filter=0 conf.all.send_redirects=0 conf.eth0.send_redirects=0 conf.eth1.send_redirects=0")
	}
	return pair
}

// compareCounters compares what the two have counted since before.
func compareCounters(t *testing.T, pair [2]*twin, before [2]map[string]int) {
	t.Helper()
	after := [2]map[string]int{pair[0].counters(), pair[1].counters()}
	for name := range after[0] {
		if _, ok := after[1][name]; !ok || onItsOwn.MatchString(name) {
			continue
		}
		if got, want := after[0][name]-before[0][name], after[1][name]-before[1][name]; got != want {
			t.Errorf("%s: the image counts %d, Linux %d", name, got, want)
		}
	}
}

// hear reads what the router sends out of one card, until nothing has come for quiet and there was all that is expected of
// both cards, for which it waits a second. It answers ARP for all hosts, and
// describes the rest, but for what a timer makes of the fragments that came long ago.
func (w *twin) hear(card int, quiet time.Duration, missing *atomic.Int64) (out []string) {
	b, end := make([]byte, 1<<16), time.Now().Add(time.Second)
	for {
		w.conns[card].SetReadDeadline(time.Now().Add(quiet))
		n, err := w.conns[card].ReadFrame(b)
		if err != nil {
			if !os.IsTimeout(err) {
				return append(out, err.Error())
			}
			if missing.Load() <= 0 || time.Now().After(end) {
				return out
			}
		}
		f, err := ParseFrame(b[:n])
		switch {
		case f != nil && f.ARP != nil && f.ARP.Op != ARPRequest:
			out = append(out, fmt.Sprintf("eth%d to %v from %v: ARP %+v", card, f.Dst, f.Src, *f.ARP))
			missing.Add(-1)
		case f != nil && f.ARP != nil:
			if last := f.ARP.TargetIP.As4()[3]; last != 1 {
				w.conns[card].WriteFrame(arpFrom(card, f.ARP.TargetIP, f.ARP.SenderHW, f.ARP.SenderIP))
			}
		case f != nil && f.IP != nil && f.IP.Proto != 2 && !(f.ICMP != nil && f.ICMP.Type == 11 && f.ICMP.Code == 1):
			s := ""
			if err != nil { // it came in so, too
				s = fmt.Sprint(" ", err)
			}
			out = append(out, fmt.Sprintf("eth%d to %v: %s%s", card, f.Dst, describeAnswer(hideTimes(f)), s))
			missing.Add(-1)
		}
	}
}

// hideTimes clears what is the time of day in a frame: of the timestamp options, the packet's own and a quoted one's.
func hideTimes(f *Frame) *Frame {
	hide := func(options []byte) (found bool) {
		for i := 0; i+4 < len(options) && options[i] != 0; {
			switch n := int(options[i+1]); {
			case options[i] == 1:
				i++
			case n < 4 || i+n > len(options):
				return found
			case options[i] == 68:
				clear(options[i+4 : i+n])
				return true
			default:
				i += n
			}
		}
		return found
	}
	hide(f.IP.Options)
	if f.ICMP != nil && len(f.ICMP.Payload) >= 20 {
		if hl := int(f.ICMP.Payload[0]&15) * 4; hl > 20 && hl <= len(f.ICMP.Payload) && hide(f.ICMP.Payload[20:hl]) {
			clear(f.IP.Payload[2:4])
		}
	}
	return f
}

// arpFrom is the ARP reply of a host.
func arpFrom(card int, host netip.Addr, to MAC, asker netip.Addr) []byte {
	hw := MAC{2, 0, 0, 0, byte(card), host.As4()[3]}
	return Ethernet(to, hw, EtherARP, ARP{Op: ARPReply, SenderHW: hw, SenderIP: host, TargetHW: to, TargetIP: asker}.Marshal())
}

// try sends frames into a card of the router and returns what comes out of both, which should be so many.
func (w *twin) try(t *testing.T, card, expected int, frames ...[]byte) []string {
	t.Helper()
	var missing atomic.Int64
	missing.Store(int64(expected))
	other := make(chan []string)
	go func() { other <- w.hear(1-card, 40*time.Millisecond, &missing) }()
	for _, f := range frames {
		must(t, w.conns[card].WriteFrame(f))
	}
	out := append(w.hear(card, 40*time.Millisecond, &missing), <-other...)
	slices.Sort(out)
	return out
}

// pick returns one of the choices.
func pick[T any](r *rand.Rand, choices ...T) T { return choices[r.IntN(len(choices))] }

// randomPacket is a packet with a few things odd, into eth0 or eth1.
func randomPacket(r *rand.Rand, card int, mac MAC) []byte {
	near, far := fmt.Sprintf("10.%d.0.", card+1), fmt.Sprintf("10.%d.0.", 2-card)
	p := IPv4{ID: uint16(1 + r.IntN(60000)), TTL: pick[uint8](r, 64, 64, 64, 1, 2, 255, 3), TOS: pick(r, 0, 0, 0, uint8(r.Uint32())), DF: r.IntN(3) == 0,
		Src: netip.MustParseAddr(near + pick(r, "2", "3", "50", "99")), Dst: netip.MustParseAddr(far + pick(r, "2", "3", "50"))}
	if r.IntN(6) == 0 {
		p.Src = netip.MustParseAddr(pick(r, near+"1", far+"1", far+"5", near+"0", far+"0", "8.8.8.8", "10.9.0.4", "10.22.0.1", "127.0.0.1", "0.0.0.0", "0.0.0.9",
			"224.0.0.5", "240.0.0.1", "255.255.255.255", "169.254.1.1"))
	}
	if r.IntN(2) == 0 {
		p.Dst = netip.MustParseAddr(pick(r, near+"1", near+"1", far+"1", "10.9.0.7", "10.10.0.7", "10.20.0.1", "10.21.0.1", "10.22.0.1", "172.16.0.1", near+"255", far+"255", near+"0", far+"0",
			"127.0.0.1", "0.0.0.0", "224.0.0.1", "224.0.0.77", "239.1.2.3", "240.0.0.1", "255.255.255.255", near+"7", "169.254.2.2"))
	}
	if d := p.Dst.As4(); d[0] != 10 || d[1] >= 20 {
		// Each sender is told five times of what cannot be reached, then once a second (Linux: ip_error).
		p.Src = netip.MustParseAddr(fmt.Sprint(near, 2+r.IntN(98)))
	}
	body := make([]byte, pick(r, 0, 1, 8, 30, 100, 500, 952, 953, 972, 973, 1400, 1472-40))
	for i := range body {
		body[i] = byte(r.Uint32())
	}
	switch p.Proto = pick[uint8](r, 17, 17, 17, 1, 1, 1, 253, 4); p.Proto {
	case 17:
		p.Payload = UDP{Src: uint16(1 + r.IntN(60000)), Dst: pick[uint16](r, 7, 9, 33434, 0), Payload: body, NoChecksum: r.IntN(8) == 0}.Marshal(p.Src, p.Dst)
	case 1:
		switch r.IntN(3) {
		case 0: // an error about something
			q := IPv4{Proto: pick[uint8](r, 1, 17), Src: p.Dst, Dst: p.Src, Payload: body[:min(len(body), 8)]}
			p.Payload = ICMP{Type: pick[uint8](r, 3, 4, 5, 11, 12), Code: uint8(r.IntN(5)), Rest: pick[uint32](r, 0, 576, 1<<24), Payload: q.Marshal()}.Marshal()
		case 1:
			p.Payload = ICMP{Type: pick[uint8](r, 8, 8, 13, 15, 17, 0, 10, 30), Code: pick[uint8](r, 0, 0, 1), Rest: r.Uint32(), Payload: body}.Marshal()
		default:
			p.Payload = ICMP{Type: 8, Rest: r.Uint32(), Payload: body}.Marshal()
		}
	default:
		p.Payload = body
	}
	switch r.IntN(12) {
	case 0:
		p.MF, p.DF = true, false
		p.Payload = p.Payload[:len(p.Payload)&^7]
	case 1:
		p.FragOff = 8 * (1 + r.IntN(2000))
	}
	if r.IntN(6) == 0 {
		hop := netip.MustParseAddr(pick(r, far+"3", near+"1", near+"3")).As4()
		p.Options = pick(r, []byte{7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0}, []byte{7, 7, 8, 1, 1, 1, 1, 0}, []byte{7, 6, 4, 0, 0, 0}, []byte{68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0},
			[]byte{68, 8, 5, 0x31, 9, 9, 9, 9}, []byte{68, 8, 9, 0xf0, 9, 9, 9, 9}, []byte{148, 4, 0, 0}, []byte{1, 1, 1, 0}, []byte{131, 7, 4, hop[0], hop[1], hop[2], hop[3], 0},
			[]byte{137, 7, 4, hop[0], hop[1], hop[2], hop[3], 0}, []byte{131, 7, 8, hop[0], hop[1], hop[2], hop[3], 0}, []byte{99, 4, 1, 2}, []byte{99, 1, 0, 0}, []byte{7, 3, 4, 0}, []byte{136, 4, 0, 1})
	}
	b := p.Marshal()
	switch r.IntN(40) {
	case 0:
		b[10] ^= 1 // the header's sum
	case 1:
		b[0] = pick[byte](r, 0x44, 0x46, 0x65, 0x4f)
	case 2:
		b[3]++ // the total length
	case 3:
		b = append(b, 1, 2, 3, 4, 5) // more than the total length
	}
	to := mac
	to[5] += byte(card)
	if r.IntN(15) == 0 {
		to = pick(r, Broadcast, MAC{1, 0, 0x5e, 0, 0, 1}, MAC{2, 9, 9, 9, 9, 9})
	}
	return Ethernet(to, MAC{2, 0, 0, 0, byte(card), 2}, EtherIPv4, b)
}

// Odd packets by the thousand through the image as a router, and to it, come out as they come out of Linux, in the same
// number of pieces, with the same errors, whatever the settings. The generator leaves out one thing in which we differ on
// purpose: an error about a packet from a broadcast address, which Linux sends to everybody.
func TestForward_randomPacketsAsLinux(t *testing.T) {
	pair := twins(t)
	for _, settings := range []string{"", "conf.all.rp_filter=1 conf.all.log_martians=0", "conf.all.rp_filter=2", "conf.all.accept_source_route=1 conf.eth0.accept_source_route=1 conf.eth1.accept_source_route=1 conf.all.rp_filter=0",
		"icmp_echo_ignore_broadcasts=0 icmp_errors_use_inbound_ifaddr=1", "conf.eth0.bc_forwarding=1 conf.all.bc_forwarding=1", "ip_forward=0"} {
		t.Run(settings, func(t *testing.T) {
			for _, w := range pair {
				w.sysctls(settings)
			}
			r := rand.New(rand.NewPCG(uint64(len(settings)), 4))
			sent, heard, wrong := 0, 0, 0
			before := [2]map[string]int{pair[0].counters(), pair[1].counters()}
			for range 16 {
				card := r.IntN(2)
				var frames [][]byte
				for range 25 {
					frames = append(frames, randomPacket(r, card, pair[0].mac))
				}
				want := pair[1].try(t, card, 0, frames...)
				got := pair[0].try(t, card, len(want), frames...)
				sent, heard = sent+len(frames), heard+len(want)
				if slices.Equal(got, want) {
					continue
				}
				for _, f := range frames { // which of them
					want := pair[1].try(t, card, 0, f)
					got := pair[0].try(t, card, len(want), f)
					if !slices.Equal(got, want) && wrong < 10 {
						wrong++
						t.Errorf("into eth%d: % x\nthe image:\n%s\nLinux:\n%s", card, f[:min(len(f), 80)], strings.Join(got, "\n"), strings.Join(want, "\n"))
					}
				}
			}
			compareCounters(t, pair, before)
			t.Logf("%d packets in, %d out", sent, heard)
		})
	}
}

// randomARP is an ARP packet, into eth0 or eth1, with everything that may be odd.
func randomARP(r *rand.Rand, card int, mac MAC) []byte {
	near, far := fmt.Sprintf("10.%d.0.", card+1), fmt.Sprintf("10.%d.0.", 2-card)
	any := func() netip.Addr {
		return netip.MustParseAddr(pick(r, near+"1", near+"1", near+"1", far+"1", near+"2", near+"3", near+"4", near+"44", far+"2", far+"3", near+"0", near+"255", far+"255",
			"0.0.0.0", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "8.8.8.8", "10.9.0.5", "10.10.0.5", "10.20.0.1", "10.22.0.1"))
	}
	mac[5] += byte(card)
	src := MAC{2, 0, 0, 0, byte(card), byte(2 + r.IntN(3))}
	a := ARP{Op: pick[uint16](r, 1, 1, 1, 1, 1, 2, 2, 0, 3), SenderHW: src, SenderIP: any(), TargetIP: any(), TargetHW: pick(r, MAC{}, mac, Broadcast, src)}
	if r.IntN(2) != 0 {
		a.TargetIP = netip.MustParseAddr(pick(r, near+"1", near+"1", far+"1", far+"2"))
	}
	if r.IntN(3) != 0 {
		a.SenderIP = netip.MustParseAddr(near + pick(r, "2", "3", "4", "44"))
	}
	switch r.IntN(12) {
	case 0:
		a.SenderHW = mac // the router's own
	case 1:
		a.SenderHW[5]++ // another than the frame's
	case 2:
		a.TargetIP = a.SenderIP // gratuitous
	}
	b := a.Marshal()
	switch r.IntN(20) {
	case 0:
		b[1] = 6 // IEEE 802
	case 1:
		b[r.IntN(6)]++
	case 2:
		b = b[:8+r.IntN(20)]
	}
	return Ethernet(pick(r, mac, Broadcast, Broadcast, MAC{2, 9, 9, 9, 9, 9}), src, EtherARP, b)
}

// neighbours are the lines of /proc/net/arp that have an address, sorted.
func (w *twin) neighbours() string {
	var l []string
	for line := range strings.Lines(w.proc("arp")) {
		if f := strings.Fields(line); len(f) == 6 && f[2] == "0x2" {
			l = append(l, strings.Join(f, " "))
		}
	}
	slices.Sort(l)
	return strings.Join(l, "\n")
}

// Random ARP packets are answered, believed and ignored as by Linux, whatever the settings.
func TestForward_randomARPAsLinux(t *testing.T) {
	pair := twins(t)
	for _, w := range pair {
		w.sysctls("neigh.eth0.locktime=100000 neigh.eth1.locktime=100000") // or who is quicker decides whether a second is over
	}
	for _, settings := range []string{"", "conf.all.arp_ignore=1", "conf.all.arp_ignore=2", "conf.all.arp_ignore=8", "conf.all.arp_ignore=0 conf.all.arp_filter=1", "conf.all.arp_filter=0 conf.all.proxy_arp=1 neigh.eth0.proxy_delay=0 neigh.eth1.proxy_delay=0",
		"conf.eth0.proxy_arp_pvlan=1", "conf.all.proxy_arp=0 conf.eth0.proxy_arp_pvlan=0 conf.all.arp_accept=1", "conf.all.arp_accept=2", "conf.all.arp_accept=0 conf.all.drop_gratuitous_arp=1", "conf.all.drop_gratuitous_arp=0 conf.all.rp_filter=1", "ip_forward=0"} {
		t.Run(settings, func(t *testing.T) {
			for _, w := range pair {
				w.sysctls(settings)
			}
			r := rand.New(rand.NewPCG(uint64(len(settings)), 8))
			wrong, heard := 0, 0
			for range 8 {
				card := r.IntN(2)
				var frames [][]byte
				for range 40 {
					frames = append(frames, randomARP(r, card, pair[0].mac))
				}
				want := pair[1].try(t, card, 0, frames...)
				got := pair[0].try(t, card, len(want), frames...)
				heard += len(want)
				a, b := pair[0].neighbours(), pair[1].neighbours()
				if slices.Equal(got, want) && a == b {
					continue
				}
				if a != b {
					wrong++
					t.Errorf("neighbours of the image:\n%s\nof Linux:\n%s", a, b)
					return // they differ from here on
				}
				for _, f := range frames {
					want := pair[1].try(t, card, 0, f)
					got := pair[0].try(t, card, len(want), f)
					if a, b := pair[0].neighbours(), pair[1].neighbours(); (!slices.Equal(got, want) || a != b) && wrong < 6 {
						wrong++
						t.Errorf("into eth%d: % x\nthe image:\n%s\nLinux:\n%s\nneighbours of the image:\n%s\nof Linux:\n%s", card, f, strings.Join(got, "\n"), strings.Join(want, "\n"), a, b)
					}
				}
			}
			t.Logf("%d answers", heard)
		})
	}
}
