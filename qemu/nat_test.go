package qemu

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The router's image between a network behind it and the world, the Linux kernel at both ends:
//
//	lan 192.168.1.2/24 ── 192.168.1.1 eth1 router eth0 203.0.113.1 ── 203.0.113.2/24 wan
const (
	lanIP, lanRouter = "192.168.1.2", "192.168.1.1"
	wanIP, wanRouter = "203.0.113.2", "203.0.113.1"
)

// natWorld is that world.
type natWorld struct {
	*testing.T
	lan, wan *Namespace
	vm       *VM
}

// startRouter boots the router with rules; none are its own. wanProps are
// properties of its card towards the world.
func startRouter(t *testing.T, rules, wanProps string) *natWorld {
	t.Helper()
	w := &natWorld{T: t, lan: needNamespace(t, "lan"), wan: needNamespace(t, "wan")}
	outside, inside := tapNIC(t, w.wan, "tap0", wanIP+"/24"), tapNIC(t, w.lan, "tap0", lanIP+"/24")
	outside.Props = wanProps
	w.start(Config{NICs: []NIC{outside, inside}}, rules)
	return w
}

// start boots the router on a machine with two cards.
func (w *natWorld) start(cfg Config, rules string) {
	t := w.T
	t.Helper()
	cfg.Kernel, cfg.Append = image(t, "barewire/apps/router"), staticIP(wanRouter+","+wanIP, lanRouter)
	if rules != "" {
		cfg.Initrd = initramfs(t, "etc/iptables/rules.v4", rules)
	}
	must(t, w.lan.IP("route", "add", "default", "via", lanRouter))
	w.vm = Start(t, cfg)
	if _, err := w.vm.Console.WaitFor(`^router: from eth1 .* by `, bootTime); err != nil {
		t.Fatal(err)
	}
}

// do types a command on the router's console and returns what it prints and its status.
func (w *natWorld) do(format string, args ...any) (string, int) {
	w.Helper()
	must(w, w.vm.Console.Type(fmt.Sprintf(format, args...)+"; echo \"::$?::\"\n"))
	got, err := w.vm.Console.WaitFor(`((?s).*?)::(\d+)::\n`, time.Minute)
	if err != nil {
		w.Fatal(err)
	}
	status, _ := strconv.Atoi(got[2])
	return strings.TrimPrefix(got[1], "router# "), status
}

// ok is do for a command that must succeed.
func (w *natWorld) ok(format string, args ...any) string {
	w.Helper()
	out, status := w.do(format, args...)
	if status != 0 {
		w.Fatalf("%s: status %d\n%s", fmt.Sprintf(format, args...), status, out)
	}
	return out
}

// connect connects from a namespace, at once or not at all.
func (ns *Namespace) connect(network, addr string) (c net.Conn, err error) {
	err = ns.Do(func() error {
		if c, err = net.DialTimeout(network, addr, 10*time.Second); err == nil {
			err = c.SetDeadline(time.Now().Add(20 * time.Second))
		}
		return err
	})
	return c, err
}

// serve has f answer each connection to a TCP port of the namespace, which is
// closed when f returns.
func (ns *Namespace) serve(t *testing.T, addr string, f func(c net.Conn)) {
	t.Helper()
	l := ns.listen(t, addr)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				f(c)
			}()
		}
	}()
}

// whoServer tells who connects the address it sees him under, and then sends back what he sends.
func whoServer(t *testing.T, ns *Namespace, addr string) {
	ns.serve(t, addr, func(c net.Conn) {
		fmt.Fprintln(c, c.RemoteAddr())
		io.Copy(c, c)
	})
}

// seenAs connects to a whoServer, sends n bytes through it and back, and returns who it says one is.
func seenAs(t testing.TB, ns *Namespace, addr string, n int) (netip.AddrPort, error) {
	t.Helper()
	c, err := ns.connect("tcp4", addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer c.Close()
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	if err != nil {
		return netip.AddrPort{}, err
	}
	data := pattern(1, n)
	go func() { c.Write(data); c.(*net.TCPConn).CloseWrite() }()
	back, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(back, data) {
		return netip.AddrPort{}, fmt.Errorf("%d bytes of %d came back: %v", len(back), n, err)
	}
	return netip.ParseAddrPort(strings.TrimSpace(line))
}

const homeRules = `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -i eth0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 192.168.1.2:80
-A POSTROUTING -o eth0 -j MASQUERADE
COMMIT
*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 21 -j CT --helper ftp
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i eth1 -o eth0 -j ACCEPT
-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT
COMMIT
`

// TCP, UDP, pings, errors and a port forward through masquerading, and what the router's list says of them.
func TestNAT_throughTheRouter(t *testing.T) {
	w := startRouter(t, homeRules, "")
	whoServer(t, w.wan, ":7")
	whoServer(t, w.lan, ":80")
	serveEcho(t, w.wan, 7)

	who, err := seenAs(t, w.lan, wanIP+":7", 1<<20)
	if err != nil || who.Addr().String() != wanRouter {
		t.Errorf("TCP: the server sees %v, %v", who, err)
	}
	if who, err = seenAs(t, w.wan, wanRouter+":8080", 1<<20); err != nil || who.Addr().String() != wanIP {
		t.Errorf("port forward: the server behind sees %v, %v", who, err)
	}
	if _, err := seenAs(t, w.wan, lanIP+":80", 1); err == nil {
		t.Error("a host behind the router was reached without a forward")
	}
	for _, size := range []string{"56", "1472", "20000"} {
		out, err := w.lan.Run(20*time.Second, "ping", "-q", "-c", "3", "-i", "0.05", "-W", "5", "-s", size, wanIP)
		if err != nil || !strings.Contains(out, " 0% packet loss") {
			t.Errorf("ping of %s bytes: %v\n%s", size, err, out)
		}
	}
	c, err := w.lan.connect("udp4", wanIP+":7")
	must(t, err)
	defer c.Close()
	for _, n := range []int{1, 1472, 8000} { // the last in fragments
		b := make([]byte, 9000)
		c.Write(pattern(n, n))
		if got, err := c.Read(b); err != nil || !bytes.Equal(b[:got], pattern(n, n)) {
			t.Errorf("UDP echo of %d bytes: %d bytes, %v", n, got, err)
		}
	}
	// A port nobody has: the error comes back to who asked, although the packet it quotes was another.
	closed, err := w.lan.connect("udp4", wanIP+":9")
	must(t, err)
	defer closed.Close()
	closed.Write([]byte("anyone?"))
	if _, err := closed.Read(make([]byte, 10)); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("a closed UDP port: %v", err)
	}

	list := w.ok("conntrack -L")
	for _, want := range []string{
		`tcp +6 \d+ TIME_WAIT src=192\.168\.1\.2 dst=203\.0\.113\.2 sport=\d+ dport=7 src=203\.0\.113\.2 dst=203\.0\.113\.1 sport=7 dport=\d+ \[ASSURED\]`,
		`tcp +6 \d+ TIME_WAIT src=203\.0\.113\.2 dst=203\.0\.113\.1 sport=\d+ dport=8080 src=192\.168\.1\.2 dst=203\.0\.113\.2 sport=80 dport=\d+ \[ASSURED\]`,
		`udp +17 \d+ src=192\.168\.1\.2 dst=203\.0\.113\.2 sport=\d+ dport=7 src=203\.0\.113\.2 dst=203\.0\.113\.1 sport=7`,
		`udp +17 \d+ src=192\.168\.1\.2 dst=203\.0\.113\.2 sport=\d+ dport=9 \[UNREPLIED\]`,
		`icmp +1 \d+ src=192\.168\.1\.2 dst=203\.0\.113\.2 type=8 code=0 id=\d+ src=203\.0\.113\.2 dst=203\.0\.113\.1 type=0 code=0`,
	} {
		if !regexp.MustCompile(want).MatchString(list) {
			t.Errorf("the list has no %s:\n%s", want, list)
		}
	}
	if out := w.ok("iptables -t nat -L POSTROUTING -n -v"); !regexp.MustCompile(`(?m)^ +[1-9]\d* +\d+ MASQUERADE +\S+ +-- +\* +eth0 `).MatchString(out) {
		t.Errorf("the rule counted nothing:\n%s", out)
	}
	if out := w.ok("iptables-save -t nat"); !strings.Contains(out, "-A PREROUTING -i eth0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 192.168.1.2:80\n") {
		t.Errorf("iptables-save:\n%s", out)
	}
	if out, status := w.do("iptables -A FORWARD -j NOWHERE"); status == 0 || !strings.Contains(out, "NOWHERE") {
		t.Errorf("a rule that cannot be: status %d, %s", status, out)
	}
}

// A narrower link upstream, of which neither end knows: the clamp keeps TCP's segments small enough both ways, and a
// ping that must not be cut is told how large it may be.
func TestNAT_clampedMSS(t *testing.T) {
	w := startRouter(t, homeRules, "host_mtu=1400")
	whoServer(t, w.wan, ":7")
	whoServer(t, w.lan, ":80")
	inside, outside := sniff(t, w.lan, "tap0"), sniff(t, w.wan, "tap0")
	if _, err := seenAs(t, w.lan, wanIP+":7", 300_000); err != nil {
		t.Error(err)
	}
	if _, err := seenAs(t, w.wan, wanRouter+":8080", 300_000); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		s    *sniffer
		from string
	}{"that left": {outside, wanRouter}, "that came in": {inside, wanIP}} {
		mss := map[int]bool{}
		for _, f := range c.s.take(t) {
			if f.IP == nil || f.IP.Proto != 6 || f.IP.Src.String() != c.from {
				continue
			}
			if tcp := f.IP.Payload; tcp[13]&2 != 0 && tcp[20] == 2 && tcp[21] == 4 {
				mss[be16(tcp, 22)] = true
			}
		}
		if len(mss) != 1 || !mss[1360] {
			t.Errorf("the SYNs %s say MSS %v, want 1360", name, mss)
		}
	}
	out, err := w.lan.Run(10*time.Second, "ping", "-c", "2", "-W", "2", "-M", "do", "-s", "1400", wanIP)
	if err == nil || !strings.Contains(out, "mtu = 1400") && !strings.Contains(out, "mtu=1400") {
		t.Errorf("ping of 1428 bytes: %v\n%s", err, out)
	}
}

// Each kind of REJECT, as the client's kernel takes it.
func TestNAT_rejectTypes(t *testing.T) {
	w := startRouter(t, "", "")
	for kind, want := range map[string]string{
		"icmp-net-unreachable":   "network is unreachable",
		"icmp-host-unreachable":  "no route to host",
		"icmp-port-unreachable":  "connection refused",
		"icmp-proto-unreachable": "protocol not available",
		"icmp-net-prohibited":    "network is unreachable",
		"icmp-host-prohibited":   "no route to host",
		"icmp-admin-prohibited":  "no route to host",
		"tcp-reset":              "connection refused",
	} {
		w.ok("iptables -F FORWARD; iptables -A FORWARD -p tcp -j REJECT --reject-with %s", kind)
		start := time.Now()
		_, err := w.lan.connect("tcp4", wanIP+":7")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v after %v, want %s", kind, err, time.Since(start), want)
		}
	}
}

// rawSender returns a function that sends IPv4 packets as they are from a namespace.
func rawSender(t *testing.T, ns *Namespace) func(IPv4) {
	t.Helper()
	fd := -1
	must(t, ns.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	}))
	t.Cleanup(func() { unix.Close(fd) })
	return func(p IPv4) {
		for {
			err := unix.Sendto(fd, p.Marshal(), 0, &unix.SockaddrInet4{Addr: p.Dst.As4()})
			if err != unix.ENOBUFS && err != unix.EINTR {
				must(t, err)
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// connections is how many the router tracks.
func (w *natWorld) connections() int {
	w.Helper()
	out := w.ok("conntrack -C")
	got := regexp.MustCompile(`(?m)^\d+$`).FindString(out) // the kernel's messages come between
	n, err := strconv.Atoi(got)
	if err != nil {
		w.Fatalf("conntrack -C: %s", out)
	}
	return n
}

// A hundred thousand flows, all translated, and another on top.
func TestNAT_manyFlows(t *testing.T) {
	w := startRouter(t, homeRules, "")
	whoServer(t, w.wan, ":7")
	const flows = 100_000
	w.ok("echo %d > /proc/sys/net/netfilter/nf_conntrack_max", 2*flows)
	w.ok("echo 600 > /proc/sys/net/netfilter/nf_conntrack_udp_timeout")
	send, src, dst := rawSender(t, w.lan), netip.MustParseAddr(lanIP), netip.MustParseAddr(wanIP)
	n, start := 0, time.Now()
	for sent := 0; n < flows && time.Since(start) < time.Minute; n = w.connections() {
		for range 20_000 { // what a full queue drops on the way is not sent again: others are
			if sent%100 == 0 {
				time.Sleep(4 * time.Millisecond)
			}
			udp := UDP{Src: uint16(2000 + sent%60_000), Dst: uint16(20_000 + sent/60_000), Payload: []byte("x")}
			send(IPv4{Proto: ProtoUDP, Src: src, Dst: dst, Payload: udp.Marshal(src, dst)})
			sent++
		}
	}
	t.Logf("%d connections after %v", n, time.Since(start).Round(10*time.Millisecond))
	if n < flows {
		t.Errorf("%d connections, want %d", n, flows)
	}
	if _, err := seenAs(t, w.lan, wanIP+":7", 100_000); err != nil {
		t.Errorf("one more connection: %v", err)
	}
	w.ok("conntrack -F")
	if n := w.connections(); n > 100 {
		t.Errorf("%d connections after all were forgotten", n)
	}
}

// A flood of SYNs fills the table. Who is established goes on.
func TestNAT_synFlood(t *testing.T) {
	w := startRouter(t, homeRules, "")
	whoServer(t, w.lan, ":80")
	whoServer(t, w.wan, ":7")
	w.ok("echo 4096 > /proc/sys/net/netfilter/nf_conntrack_max")
	c, err := w.lan.connect("tcp4", wanIP+":7")
	must(t, err)
	defer c.Close()
	r := bufio.NewReader(c)
	_, err = r.ReadString('\n')
	must(t, err)
	echo := func(i int) error {
		fmt.Fprintf(c, "still there %d\n", i)
		got, err := r.ReadString('\n')
		if want := fmt.Sprintf("still there %d\n", i); err != nil || got != want {
			return fmt.Errorf("%q, %v", got, err)
		}
		return nil
	}
	must(t, echo(0))

	send, dst := rawSender(t, w.wan), netip.MustParseAddr(wanRouter)
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		sent := 0
		for ; ; sent++ {
			select {
			case <-stop:
				done <- sent
				return
			default:
			}
			if sent%50 == 0 {
				time.Sleep(10 * time.Millisecond) // the router's one processor is emulated
			}
			src := netip.AddrFrom4([4]byte{198, 18, byte(sent >> 8), byte(sent)})
			tcp := make([]byte, 20)
			copy(tcp, []byte{byte(sent >> 20), byte(sent >> 12), 8080 >> 8, 8080 & 255, 1, 2, 3, 4})
			tcp[12], tcp[13], tcp[14] = 5<<4, 2, 16
			send(IPv4{Proto: 6, Src: src, Dst: dst, Payload: withTCPChecksum(src, dst, tcp)})
		}
	}()
	start := time.Now()
	for i := 1; time.Since(start) < 4*time.Second; i++ {
		if err := echo(i); err != nil {
			t.Fatalf("after %v: %v", time.Since(start), err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	// Until its handshake is done a new one may be dropped early, as on Linux, and has to try again.
	for tries := 1; ; tries++ {
		if _, err := seenAs(t, w.lan, wanIP+":7", 1000); err == nil {
			t.Logf("a new connection in the flood: the %d. try", tries)
			break
		} else if tries == 10 {
			t.Errorf("no new connection in the flood: %v", err)
			break
		}
	}
	n := w.connections()
	close(stop)
	t.Logf("%d SYNs in %v, %d connections", <-done, time.Since(start).Round(time.Millisecond), n)
	if n > 4096 {
		t.Errorf("%d connections, more than 4096", n)
	}
	must(t, echo(-1))
}

// withTCPChecksum fills the checksum in, over the pseudo header (RFC 9293 section 3.1).
func withTCPChecksum(src, dst netip.Addr, tcp []byte) []byte {
	s, d := src.As4(), dst.As4()
	sum := Checksum(s[:], d[:], []byte{0, 6, byte(len(tcp) >> 8), byte(len(tcp))}, tcp)
	tcp[16], tcp[17] = byte(sum>>8), byte(sum)
	return tcp
}
