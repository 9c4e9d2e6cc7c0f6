package inet_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"barewire/board/hosted"
	"barewire/inet/ip"
	"barewire/inet/neigh"
	"barewire/inet/sock"
	"barewire/qemu"
	"barewire/skb/header"
)

// A duel gives the same frames to this stack and to the Linux kernel behind a TAP
// device, and compares what they answer and count.

// linuxPeer is a namespace whose host looks like the one of newHost.
type linuxPeer struct {
	testing.TB
	ns  *qemu.Namespace
	tap *os.File
}

// namespace is one of Linux's, empty, or the end of the test where there can be
// none.
func namespace(t testing.TB) *qemu.Namespace {
	if err := qemu.CanNamespace(); err != nil {
		t.Skip(err)
	}
	ns, err := qemu.NewNamespace("inet")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

func newLinux(t testing.TB) *linuxPeer {
	ns := namespace(t)
	l := &linuxPeer{TB: t, ns: ns}
	for _, a := range []string{
		"tuntap add dev tap0 mode tap", "link set lo up", "link set tap0 address 02:00:00:00:00:01",
		"addr add 192.0.2.1/24 broadcast 192.0.2.255 dev tap0",
	} {
		check(t, ns.IP(strings.Fields(a)...))
	}
	for name, v := range map[string]string{
		"ipv6/conf/tap0/disable_ipv6": "1", "ipv4/conf/all/rp_filter": "0", "ipv4/conf/tap0/rp_filter": "0",
		"ipv4/icmp_ratelimit": "0", // or the test would take seconds for each answer
	} {
		if err := ns.Sysctl(name, v); err != nil {
			t.Log(err) // an old kernel without it
		}
	}
	check(t, ns.IP("link", "set", "tap0", "up"))
	check(t, ns.Do(func() (err error) { l.tap, err = hosted.OpenTap("tap0", false); return }))
	t.Cleanup(func() { l.tap.Close() })
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		out, err := ns.Run(10*time.Second, "ip", "link", "show", "tap0")
		if err != nil || time.Now().After(end) {
			t.Fatalf("tap0 does not come up: %v\n%s", err, out)
		}
		if strings.Contains(out, "state UP") {
			break
		}
	}
	check(t, ns.IP("route", "add", "default", "via", "192.0.2.2"))
	// What cannot be resolved would be an error seconds later.
	for _, a := range permanent {
		check(t, ns.IP("neigh", "replace", a.String(), "lladdr", "02:00:00:00:00:02", "dev", "tap0", "nud", "permanent"))
	}
	var conn *net.UDPConn
	check(t, ns.Do(func() (err error) { conn, err = net.ListenUDP("udp4", &net.UDPAddr{Port: 7}); return }))
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 70000)
		for {
			n, a, err := conn.ReadFromUDP(b)
			if err != nil {
				return
			}
			conn.WriteToUDP(b[:n], a)
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	l.answers(100 * time.Millisecond)
	return l
}

// permanent are the neighbours that answers go to.
var permanent = []header.Addr{peerIP, hostIP &^ 0xff} // read-only

// answers returns what the kernel sends until it is silent for d.
func (l *linuxPeer) answers(d time.Duration) []string { return l.expect(0, d) }

// expect returns what the kernel sends, n answers if all goes well, until it is
// silent. It handles a frame while that is written, so that there is nothing to
// wait for but what a program of its own answers.
func (l *linuxPeer) expect(n int, silence time.Duration) (out []string) {
	b := make([]byte, 70000)
	for {
		d := silence
		if len(out) < n {
			d = max(d, 20*time.Millisecond)
		}
		l.tap.SetReadDeadline(time.Now().Add(d))
		size, err := l.tap.Read(b)
		if err != nil {
			return out
		}
		if s := describe(b[:size]); s != "" {
			out = append(out, s)
		}
	}
}

func (l *linuxPeer) counters() map[string]int64 {
	m := map[string]int64{}
	for _, f := range []string{"snmp", "netstat"} {
		check(l, l.ns.Do(func() error {
			b, err := os.ReadFile("/proc/thread-self/net/" + f)
			counters(string(b), m)
			return err
		}))
	}
	return m
}

// counters reads a file of the format of /proc/net/snmp.
func counters(text string, into map[string]int64) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		n, v := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		for j := 1; j < len(n); j++ {
			x, _ := strconv.ParseInt(v[j], 10, 64)
			into[n[0]+n[j]] = x
		}
	}
}

// describe writes a frame down without what may differ: the identification,
// and requests to resolve an address, whose time depends on the past.
func describe(f []byte) string {
	f = append([]byte(nil), f...)
	switch header.Ethernet(f).Type() {
	case header.EthPARP:
		if a, ok := header.ParseARP(f[14:]); ok && a.Op() == header.ARPReply {
			return fmt.Sprintf("ARP %x", f[:42])
		}
	case header.EthPIP:
		h, ok := header.ParseIPv4(f[14:])
		if !ok || !h.ChecksumOK() {
			return fmt.Sprintf("bad IPv4 %x", f)
		}
		if m := f[14+h.HeaderLen():]; h.Protocol() == 1 && len(m) >= 20 && m[0] == header.ICMPTimestampReply {
			clear(m[2:4])
			clearTimes(m[12:20])
		}
		if o, _, ok := h.ParseOptions(); ok && o.Timestamp != 0 {
			clearTimes(h[o.Timestamp+4 : o.Timestamp+int(h[o.Timestamp+1])])
		}
		// Where there is an identification it may be 0 by chance; with DF
		// there is none.
		id := "id"
		if h.ID() == 0 && h.DF() {
			id = "no id"
		}
		h.SetID(0)
		h[10], h[11] = 0, 0
		return fmt.Sprintf("%v > %v ttl %d tos %#x frag %#x %s: %x", h.Src(), h.Dst(), h.TTL(), h.TOS(), h.FragField(), id, f[:14+h.TotalLen()])
	}
	return ""
}

// addrsOf is an echo request between two addresses in a frame to the host.
func addrsOf(src, dst header.Addr) []byte {
	return ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: 1, Src: src, Dst: dst}, icmpEcho(1, 1, nil)))
}

// clearTimes blanks the words that are the time of day, give or take seconds.
func clearTimes(p []byte) {
	for now := int64(ip.Timestamp()); len(p) >= 4; p = p[4:] {
		if d := int64(binary.BigEndian.Uint32(p)) - now; d > -5000 && d < 5000 {
			copy(p, "time")
		}
	}
}

// duel is the two of them.
type duel struct {
	*testing.T
	l    *linuxPeer
	h    *host
	echo *sock.Socket
	noID int
	sent [][]byte // by us, for the last frames fed
}

func newDuel(t *testing.T) *duel {
	d := &duel{T: t, l: newLinux(t), h: newHost(t)}
	check(t, d.h.net.Sysctl().Set("net.ipv4.icmp_ratelimit", "0"))
	d.echo = d.h.udpSocket(0, 7)
	for _, a := range permanent {
		n, err := d.h.IP().Neigh.Get(d.h.port.dev, a)
		check(t, err)
		n.Update(peerMAC, neigh.NUDPermanent, true)
	}
	return d
}

// set writes a setting of net.ipv4 on both sides; tap0 is the device's name.
func (d *duel) set(name, v string) {
	d.Helper()
	check(d, d.l.ns.Sysctl("ipv4/"+strings.ReplaceAll(name, ".", "/"), v))
	check(d, d.h.net.Sysctl().Set("net.ipv4."+strings.ReplaceAll(name, "tap0", "eth0"), v))
}

// own returns this stack's counters.
func (d *duel) own() map[string]int64 {
	m := map[string]int64{}
	counters(string(d.h.SNMP()), m)
	counters(string(d.h.Netstat()), m)
	return m
}

// feed has frames arrive at both and compares answers and counters.
func (d *duel) feed(name string, frames ...[]byte) {
	d.Helper()
	linux0, own0 := d.l.counters(), d.own()
	for _, f := range frames {
		if _, err := d.l.tap.Write(f); err != nil {
			d.Fatal(err)
		}
	}
	d.h.inject(frames...)
	for {
		data, a, p, err := recvFrom(d.echo, 70000)
		if err != nil {
			break
		}
		sendTo(d.echo, data, a, p)
	}
	d.h.run()
	var answers []string
	d.sent = d.h.port.take()
	for _, f := range d.sent {
		if a := describe(f); a != "" {
			answers = append(answers, a)
		}
		if p := header.IPv4(f[14:]); header.Ethernet(f).Type() == header.EthPIP && p.Src() == hostIP && p.ID() == 0 && !p.DF() {
			if d.noID++; d.noID > 3 {
				d.Errorf("%s: %d packets that may be cut have no identification", name, d.noID)
			}
		}
	}
	want := strings.Join(d.l.expect(len(answers), time.Millisecond), "\n")
	got := strings.Join(answers, "\n")
	var diff []string
	if got != want {
		diff = append(diff, fmt.Sprintf("Linux answers\n%.2000s\nwe answer\n%.2000s", want, got))
	}
	linux1, own1 := d.l.counters(), d.own()
	for k := range own1 {
		if _, ok := linux1[k]; !ok || strings.Contains(k, "Octets") || k == "Ip:Forwarding" {
			continue
		}
		if a, b := linux1[k]-linux0[k], own1[k]-own0[k]; a != b {
			diff = append(diff, fmt.Sprintf("%s: Linux counts %d, we count %d", k, a, b))
		}
	}
	why, known := knownDifferences[name]
	switch {
	case known && len(diff) == 0:
		d.Errorf("%s: no difference any more; known was: %s", name, why)
	case !known && len(diff) != 0:
		d.Errorf("%s: %x\n%s", name, frames[0], strings.Join(diff, "\n"))
	}
}
