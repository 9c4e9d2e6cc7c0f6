package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"barewire/board/hosted"
	"barewire/netfilter/iptables/iptablestest"
	"barewire/qemu"
	"barewire/skb/header"
	"barewire/sys/embed"
)

// The routers of the duel have two devices, a network behind each.
var (
	duelNets  = []netip.Prefix{netip.MustParsePrefix("10.0.0.254/24"), netip.MustParsePrefix("10.0.1.254/24")} // read-only
	duelNames = []string{"tun0", "tun1"}                                                                       // read-only
)

// sent is a packet that left a router.
type sent struct {
	dev    int
	packet []byte
}

// router is one of the two.
type router interface {
	iptablestest.Runner
	// send has a packet arrive at a device and returns what leaves.
	send(dev int, p []byte) []sent
	set(name, value string)
}

// linuxRouter is the machine's kernel in a namespace.
type linuxRouter struct {
	*iptablestest.Legacy
	t    *testing.T
	ns   *qemu.Namespace
	tuns []*os.File
}

func newLinuxRouter(t *testing.T) *linuxRouter {
	ns, err := qemu.NewNamespace("xt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	l := &linuxRouter{Legacy: iptablestest.LegacyIn(ns.Name), t: t, ns: ns}
	for _, s := range []string{"ipv6/conf/all/disable_ipv6", "ipv6/conf/default/disable_ipv6"} {
		ns.Sysctl(s, "1") // or it speaks without being asked
	}
	for i, name := range duelNames {
		var f *os.File
		err := ns.Do(func() error {
			fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
			if err != nil {
				return err
			}
			f = os.NewFile(uintptr(fd), name)
			req, err := unix.NewIfreq(name)
			if err != nil {
				return err
			}
			req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
			return unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		l.tuns = append(l.tuns, f)
		for _, a := range []string{"addr add " + duelNets[i].String() + " dev " + name, "link set " + name + " txqueuelen 1000 up"} {
			if err := ns.IP(strings.Fields(a)...); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := ns.IP("route", "add", "default", "dev", "tun1"); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *linuxRouter) set(name, value string) {
	if err := l.ns.Sysctl(strings.ReplaceAll(name, ".", "/"), value); err != nil {
		l.t.Log(err) // another version
	}
}

func (l *linuxRouter) send(dev int, p []byte) (out []sent) {
	l.t.Helper()
	if _, err := unix.Write(int(l.tuns[dev].Fd()), p); err != nil && !errors.Is(err, unix.EINVAL) {
		l.t.Fatal(err)
	}
	var b [65536]byte
	for i, f := range l.tuns {
		fd := int(f.Fd())
		unix.SetNonblock(fd, true) // Fd made it blocking
		for {
			n, err := unix.Read(fd, b[:])
			if err != nil {
				break
			}
			out = append(out, sent{i, slices.Clone(b[:n])})
		}
	}
	return out
}

// ownRouter is an instance.
type ownRouter struct {
	instance
	t     testing.TB
	clock *hosted.VirtualClock
	tuns  []*embed.Tun
	out   []sent
}

func newOwnRouter(t testing.TB, seed uint64) *ownRouter {
	clock := hosted.NewVirtualClock()
	r := rand.New(rand.NewPCG(seed, 1))
	in, err := embed.New(embed.Config{Clock: clock, Random: func(b []byte) {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	o := &ownRouter{instance: instance{in, "."}, t: t, clock: clock}
	for i, name := range duelNames {
		tun, err := in.NewTun(name, func(p []byte) { o.out = append(o.out, sent{i, slices.Clone(p)}) })
		if err != nil {
			t.Fatal(err)
		}
		if err := tun.Up(duelNets[i]); err != nil {
			t.Fatal(err)
		}
		o.tuns = append(o.tuns, tun)
	}
	if err := in.Inet().AddRoute(netip.MustParsePrefix("0.0.0.0/0"), netip.Addr{}, o.tuns[1].Dev()); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *ownRouter) set(name, value string) {
	if err := o.in.SetSysctl(name, value); err != nil {
		o.t.Log(err)
	}
}

func (o *ownRouter) send(dev int, p []byte) []sent {
	o.out = nil
	o.clock.Run(func() {
		o.tuns[dev].Receive(p) // what is no packet is refused, as write does
		o.clock.Sleep(10 * time.Microsecond)
	})
	return o.out
}

// text is a packet as it is compared: what the router itself chooses is left out.
func (s sent) text() string {
	p := slices.Clone(s.packet)
	h, ok := header.ParseIPv4(p)
	if !ok {
		return fmt.Sprintf("%d %x", s.dev, p)
	}
	own := h.Protocol() == header.ProtoICMP && len(p) > 20 && (p[20] == 3 || p[20] == 11)
	for _, n := range duelNets {
		own = own || h.Src() == header.AddrFrom4(n.Addr().As4())
	}
	if own {
		h.SetID(0)
		h.UpdateChecksum()
	}
	return fmt.Sprintf("%s len %d %v > %v proto %d ttl %d tos %#x frag %#x\n%s", duelNames[s.dev], len(p), h.Src(), h.Dst(), h.Protocol(), h.TTL(), h.TOS(), h.FragField(), dump(p))
}

// dump shows the beginning, and a sum of all.
func dump(p []byte) string {
	if len(p) <= 96 {
		return hex.Dump(p)
	}
	return hex.Dump(p[:96]) + fmt.Sprintf("... %08x\n", crc32.ChecksumIEEE(p))
}

func texts(l []sent) string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(s.text())
	}
	return b.String()
}

// TestLinux_rulesOnPackets_sameVerdicts: each script of testdata/duel is run on
// both routers, then the same packets pass both; what leaves, and what counters
// and sets hold at the end, is the same.
func TestLinux_rulesOnPackets_sameVerdicts(t *testing.T) {
	if err := qemu.CanNamespace(); err != nil {
		t.Skip(err)
	}
	for _, p := range []string{"iptables-legacy", "ipset"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip(err)
		}
	}
	files, err := filepath.Glob("testdata/duel/*.sh")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	packets := 250
	if testing.Short() {
		packets = 60
	}
	first := uint64(1)
	if s := os.Getenv("DUEL_SEED"); s != "" { // for a longer search
		fmt.Sscan(s, &first, &packets)
	}
	for i, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) { duel(t, f, first+uint64(i), packets) })
	}
}

var noPort = regexp.MustCompile(`(?m)^(add seen [0-9.]+,\w+)(?::[^,]*)?,`)

var noCounters = regexp.MustCompile(`(?m)^#.*\n|^:(INPUT|OUTPUT|PREROUTING|POSTROUTING|FORWARD) .*\n`)

func duel(t *testing.T, file string, seed uint64, packets int) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cmds, err := iptablestest.ParseScript(string(text))
	if err != nil {
		t.Fatal(err)
	}
	linux, own := newLinuxRouter(t), newOwnRouter(t, seed)
	both := []router{linux, own}
	for _, r := range both {
		for _, s := range [][2]string{{"net.ipv4.ip_forward", "1"}, {"net.ipv4.icmp_ratelimit", "0"}, {"net.ipv4.icmp_msgs_per_sec", "1000000"},
			{"net.ipv4.icmp_msgs_burst", "1000000"}, {"net.ipv4.conf.all.rp_filter", "0"}, {"net.ipv4.conf.default.rp_filter", "0"},
			{"net.ipv4.conf.tun0.rp_filter", "0"}, {"net.ipv4.conf.tun1.rp_filter", "0"}, {"net.ipv4.conf.all.send_redirects", "0"},
			{"net.ipv4.conf.tun0.send_redirects", "0"}, {"net.ipv4.conf.tun1.send_redirects", "0"}} {
			if r == own {
				r.set(s[0], s[1])
			} else {
				r.set(strings.TrimPrefix(s[0], "net."), s[1])
			}
		}
		for _, c := range cmds {
			res, err := r.Run(c)
			if err != nil {
				t.Fatal(err)
			}
			if res.Status != 0 {
				if r == linux && (strings.Contains(res.Stderr, "Couldn't load") || strings.Contains(res.Stderr, "No chain/target/match") || strings.Contains(res.Stderr, "not supported")) {
					t.Skipf("this Linux has no %s: %s", c.String(), res.Stderr)
				}
				t.Fatalf("line %d: %s: %s", c.Line, c.String(), res.Stderr)
			}
		}
	}
	g := &generator{r: rand.New(rand.NewPCG(seed, 2)), rare: strings.Contains(file, "protocols")}
	for n := range packets {
		dev, p := g.next()
		want, got := linux.send(dev, p), own.send(dev, p)
		if a, b := texts(want), texts(got); a != b {
			t.Fatalf("packet %d of seed %d, into %s:\n%s\nLinux sends\n%s\nwe send\n%s\nrules\n%s", n, seed, duelNames[dev],
				sent{dev, p}.text(), a, b, state(t, own))
		}
	}
	a, b := state(t, linux), state(t, own)
	if a != b {
		// Where its buffer ends ipset now and then leaves the port of an element
		// out.
		a, b = noPort.ReplaceAllString(a, "$1,"), noPort.ReplaceAllString(b, "$1,")
	}
	if x, y := without(a, b), without(b, a); x != y || len(a) != len(b) {
		t.Errorf("seed %d: Linux has\n%s\nwe have\n%s", seed, x, y)
	}
}

// state is what rules and sets have counted.
func state(t *testing.T, r router) string {
	t.Helper()
	var b strings.Builder
	for _, c := range [][]string{{"iptables-save", "-c", "-t", "raw"}, {"iptables-save", "-c", "-t", "mangle"},
		{"iptables-save", "-c", "-t", "nat"}, {"iptables-save", "-c", "-t", "filter"}, {"ipset", "save", "-s"}} {
		res, err := r.Run(iptablestest.Command{Argv: c})
		if err != nil {
			t.Fatal(err)
		}
		out := noCounters.ReplaceAllString(res.Stdout, "")
		if c[0] == "ipset" {
			l := strings.Split(out, "\n")
			slices.Sort(l)
			out = strings.Join(l, "\n")
		}
		b.WriteString(out)
	}
	s := regexp.MustCompile(`initval 0x\w+`).ReplaceAllString(b.String(), "initval")
	return regexp.MustCompile(` timeout [1-9]\d*`).ReplaceAllString(s, " timeout N")
}

// without returns the lines of a that b has not.
func without(a, b string) string {
	has := map[string]bool{}
	for l := range strings.SplitSeq(b, "\n") {
		has[l] = true
	}
	var out []string
	for l := range strings.SplitSeq(a, "\n") {
		if !has[l] {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n")
}
