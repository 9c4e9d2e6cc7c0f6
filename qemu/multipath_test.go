package qemu

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// forked is the image as a router with a client on one side and two ways to the same servers on the other. Each way
// ends in a namespace of its own that has all the servers' addresses and tells on UDP port 7 which way it is.
//
//	client 10.1.0.2, .3 ── 10.1.0.1 eth0 image eth1 10.11.0.1 ── 10.11.0.2 way 1: 10.9.0.0/24
//	                                           eth2 10.12.0.1 ── 10.12.0.2 way 2: 10.9.0.0/24
type forked struct {
	vm     *VM
	client *Namespace
	image  hands
}

func newForked(t *testing.T, machine string) *forked {
	t.Helper()
	f := &forked{client: needNamespace(t, "client")}
	nics := []NIC{tapNIC(t, f.client, "tap0", "10.1.0.2/24")}
	must(t, f.client.IP("addr", "add", "10.1.0.3/24", "dev", "tap0"), f.client.IP("route", "add", "default", "via", "10.1.0.1"))
	for _, way := range []string{"1", "2"} {
		ns := needNamespace(t, "way"+way)
		nics = append(nics, tapNIC(t, ns, "tap0", "10.1"+way+".0.2/24"))
		must(t, ns.IP("addr", "add", "10.9.0.1/24", "dev", "lo"), ns.IP("route", "add", "default", "via", "10.1"+way+".0.1"))
		var conn *net.UDPConn
		must(t, ns.Do(func() (err error) {
			conn, err = net.ListenUDP("udp4", &net.UDPAddr{Port: 7})
			return err
		}))
		t.Cleanup(func() { conn.Close() })
		raw, err := conn.SyscallConn()
		must(t, err, raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1) }), err)
		go func() {
			b, oob := make([]byte, 2048), make([]byte, 128)
			for {
				_, n, _, from, err := conn.ReadMsgUDPAddrPort(b, oob)
				if err != nil {
					return
				}
				conn.WriteMsgUDPAddrPort([]byte(way), oob[:n], from) // from the address that was asked
			}
		}()
	}
	f.vm, f.image = startLab(t, Config{Machine: machine, NICs: nics,
		Append: staticIP("10.1.0.1", "10.11.0.1", "10.12.0.1") + " sysctl.net.ipv4.ip_forward=1 sysctl.net.ipv4.conf.all.ignore_routes_with_linkdown=1" +
			" sysctl.net.ipv4.icmp_ratelimit=0 sysctl.net.ipv4.route.error_cost=0"})
	return f
}

// flow is a UDP socket of the client.
func (f *forked) flow(t *testing.T, dst string) *net.UDPConn {
	t.Helper()
	conn, err := f.client.DialUDP(netip.MustParseAddrPort(dst))
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// way sends a datagram and returns which way it went, "" for none.
func way(conn *net.UDPConn) string {
	b := make([]byte, 10)
	for range 3 {
		conn.Write([]byte("which way?"))
		conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		if n, err := conn.Read(b); err == nil {
			return string(b[:n])
		}
	}
	return ""
}

// ways sends on all flows and returns the ways as one string, a character a flow.
func ways(flows []*net.UDPConn) string {
	var s strings.Builder
	for _, c := range flows {
		w := way(c)
		if w == "" {
			w = "-"
		}
		s.WriteString(w)
	}
	return s.String()
}

// share is the part of the flows that went the second way.
func share(ways string) float64 { return float64(strings.Count(ways, "2")) / float64(len(ways)) }

// A route of two next hops, as the hash policy and the weights say; a flow keeps its way; what cannot
// go the one way any more goes the other, and comes back.
func TestRouter_multipath(t *testing.T) {
	f := newForked(t, Microvm)
	const n = 400
	flows := make([]*net.UDPConn, n)
	for i := range flows {
		flows[i] = f.flow(t, "10.9.0.1:7")
	}
	route := func(weight1, weight2 int) {
		f.image("route do=replace dst=10.9.0.0/24 hops=10.11.0.2@eth1*%d,10.12.0.2@eth2*%d", weight1, weight2)
	}
	policy := func(p int) { f.image("write file=/proc/sys/net/ipv4/fib_multipath_hash_policy value=%d", p) }

	// Layer 3: addresses alone decide.
	route(1, 1)
	if w := ways(flows[:40]); strings.Trim(w, "1") != "" && strings.Trim(w, "2") != "" {
		t.Errorf("layer 3, one pair of addresses goes two ways: %s", w)
	}
	many := make([]*net.UDPConn, 250)
	for i := range many {
		many[i] = f.flow(t, fmt.Sprintf("10.9.0.%d:7", 1+i))
	}
	w := ways(many)
	t.Logf("layer 3, 250 destinations: %.2f the second way", share(w))
	if s := share(w); s < 0.35 || s > 0.65 || strings.Contains(w, "-") {
		t.Errorf("layer 3, share %.2f: %s", s, w)
	}
	if again := ways(many); again != w {
		t.Errorf("layer 3, flows change their way:\n%s\n%s", w, again)
	}

	// Layer 4: the ports too.
	policy(1)
	for _, c := range []struct {
		w1, w2   int
		min, max float64
	}{{1, 1, 0.40, 0.60}, {3, 1, 0.17, 0.33}, {1, 4, 0.72, 0.88}, {1, 200, 0.97, 1}} {
		route(c.w1, c.w2)
		w = ways(flows)
		t.Logf("layer 4, weights %d:%d, %d flows: %.3f the second way", c.w1, c.w2, n, share(w))
		if s := share(w); s < c.min || s > c.max || strings.Contains(w, "-") {
			t.Errorf("layer 4, weights %d:%d: share %.2f, want %.2f to %.2f: %s", c.w1, c.w2, s, c.min, c.max, w)
		}
		if again := ways(flows); again != w {
			t.Errorf("layer 4, weights %d:%d: flows change their way", c.w1, c.w2)
		}
	}

	// A way that is lost.
	route(1, 1)
	before := ways(flows[:100])
	all := func(what, want string) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			w := ways(flows[:100])
			if want == "" && w == before || want != "" && strings.Trim(w, want) == "" {
				return
			}
			if time.Now().After(end) {
				t.Errorf("%s: %s", what, w)
				return
			}
		}
	}
	q, err := f.vm.QMP()
	must(t, err)
	carrier := func(card string, up bool) {
		must(t, q.Run("set_link", map[string]any{"name": card, "up": up}, nil))
	}
	carrier("net1", false)
	all("the first link without carrier", "2")
	carrier("net1", true)
	all("the first link back", "")
	f.image("link dev=eth2 state=down")
	all("the second link down", "1")
	f.image("link dev=eth2 state=up")
	f.image("route do=replace dst=10.9.0.0/24 hops=10.11.0.2@eth1,10.12.0.2@eth2")
	all("the second link up", "")
}

// What policy rules decide: source, destination, TOS, mark, incoming device; and the ways to refuse, as the client sees them.
func TestRouter_policyRouting(t *testing.T) {
	f := newForked(t, Q35)
	from := linuxLab(t, f.client)
	for _, c := range []string{
		"route do=add dst=10.9.0.0/24 via=10.11.0.2", "route do=add dst=default via=10.12.0.2 table=102",
		"route do=add dst=10.9.0.61/32 type=unreachable table=103", "route do=add dst=10.9.0.62/32 type=prohibit table=103",
		"route do=add dst=10.9.0.63/32 type=blackhole table=103", "route do=add dst=10.9.0.64/32 type=throw table=103",
		"route do=add dst=10.9.0.64/32 via=10.12.0.2 table=104",
		"rule do=add priority=100 from=10.1.0.3 table=102",
		"rule do=add priority=101 to=10.9.0.50 table=102",
		"rule do=add priority=102 tos=16 table=102",
		"rule do=add priority=103 mark=7 table=102",
		"rule do=add priority=104 table=103",
		"rule do=add priority=105 table=104",
		"rule do=add priority=106 to=10.9.0.71 type=unreachable",
		"rule do=add priority=107 to=10.9.0.72 type=prohibit",
		"rule do=add priority=108 to=10.9.0.73 type=blackhole",
		"rule do=add priority=109 iif=eth0 to=10.9.0.80 table=102",
		"rule do=add priority=110 iif=lo to=10.9.0.81 table=102",
		"rule do=add priority=111 oif=eth2 table=102",
	} {
		f.image("%s", c)
	}
	one, two := "1 bytes \"1\"\n", "1 bytes \"2\"\n"
	refused := func(code int) string { return fmt.Sprintf("type 3 code %d info 0 from 10.1.0.1 ", code) }
	for _, c := range []struct {
		hands      hands
		args, want string
	}{
		{from, "dst=10.9.0.1", one}, {from, "dst=10.9.0.1 src=10.1.0.3", two}, {from, "dst=10.9.0.50", two}, {from, "dst=10.9.0.51", one},
		{from, "dst=10.9.0.1 tos=16", two}, {from, "dst=10.9.0.1 tos=8", one}, {from, "dst=10.9.0.1 mark=7", one}, // the client's mark stays there
		{from, "dst=10.9.0.61", refused(1)}, {from, "dst=10.9.0.62", refused(13)}, {from, "dst=10.9.0.63 wait=300", "silent\n"}, {from, "dst=10.9.0.64", two},
		{from, "dst=10.9.0.71", refused(0)}, {from, "dst=10.9.0.72", refused(13)}, {from, "dst=10.9.0.73 wait=300", "silent\n"},
		{from, "dst=10.9.0.80", two}, {from, "dst=10.9.0.81", one},
		{f.image, "dst=10.9.0.1", one}, {f.image, "dst=10.9.0.1 mark=7", two}, {f.image, "dst=10.9.0.1 mark=8", one}, {f.image, "dst=10.9.0.1 tos=16", two},
		{f.image, "dst=10.9.0.80", one}, {f.image, "dst=10.9.0.81", two}, {f.image, "dst=10.9.0.1 dev=eth2", two},
		{f.image, "dst=10.9.0.61", "connect EHOSTUNREACH"}, {f.image, "dst=10.9.0.62", "connect EACCES"}, {f.image, "dst=10.9.0.63", "connect EINVAL"},
		{f.image, "dst=10.9.0.71", "connect ENETUNREACH"}, {f.image, "dst=10.9.0.72", "connect EACCES"}, {f.image, "dst=10.9.0.73", "connect EINVAL"},
	} {
		if got := c.hands("udp port=7 %s", c.args); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.args, got, c.want)
		}
	}
	f.image("rule do=del priority=100 from=10.1.0.3 table=102")
	if got := from("udp port=7 dst=10.9.0.1 src=10.1.0.3"); got != one {
		t.Errorf("the rule is deleted: %q", got)
	}
}
