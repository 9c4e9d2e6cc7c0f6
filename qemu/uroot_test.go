package qemu

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"barewire/toolchain/vm"
)

// u-root as userland: its commands, not changed by a line, each on an image of
// its own.

const uroot = "github.com/u-root/u-root/cmds/"

// A urootRun is one run of a u-root command on an image.
type urootRun struct {
	command string   // below cmds: "core/ip"
	params  string   // of the kernel
	args    string   // of the command
	nic     Backend  // of eth0; nil for QEMU's user network
	files   []string // name, contents, …: put on the image's file system
	want    []string // patterns of lines on the console
	code    int      // exit code
}

// run boots the command, waits for its end and returns what it printed.
func (c urootRun) run(t *testing.T) string {
	t.Helper()
	m := c.start(t)
	return c.wait(t, m)
}

func (c urootRun) start(t *testing.T) *VM {
	t.Helper()
	nic := c.nic
	if nic == nil {
		nic = User{}
	}
	return Start(t, Config{
		Kernel: image(t, uroot+c.command),
		Append: "quiet " + c.params + " -- " + c.args,
		NICs:   []NIC{{Backend: nic}},
		Initrd: initramfs(t, c.files...),
	})
}

// initramfs writes an initial file system of the files, given as name and
// contents by turns.
func initramfs(t *testing.T, files ...string) string {
	if len(files) == 0 {
		return ""
	}
	var list []vm.File
	for i := 0; i+1 < len(files); i += 2 {
		list = append(list, vm.File{Name: files[i], Data: []byte(files[i+1])})
	}
	name := filepath.Join(t.TempDir(), "initramfs.cpio")
	if err := os.WriteFile(name, vm.Initramfs(list), 0o666); err != nil {
		t.Fatal(err)
	}
	return name
}

func (c urootRun) wait(t *testing.T, m *VM) string {
	t.Helper()
	code, err := m.Wait(time.Minute)
	out := m.Console.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if code != c.code {
		t.Errorf("exit code %d, want %d", code, c.code)
	}
	for _, w := range c.want {
		if !regexp.MustCompile("(?m)" + w).MatchString(out) {
			t.Errorf("no line like %q in:\n%s", w, out)
		}
	}
	return out
}

func TestURoot_commands(t *testing.T) {
	for _, c := range []urootRun{
		{command: "core/cat", params: "ip=dhcp sysctl.net.ipv4.ip_forward=1", args: "/proc/net/dev /proc/net/route /etc/resolv.conf /proc/sys/net/ipv4/ip_forward", want: []string{
			`^Inter-\|   Receive`, `^  eth0: +[1-9]`, `^eth0\t00000000\t0202000A\t0003`, `^nameserver 10\.0\.2\.3$`, `^1$`}},
		{command: "core/ls", params: "ip=off", args: "-l /etc /proc/sys/net/ipv4/ip_forward", want: []string{
			`^-rw-r--r-- root root \d+ .* hosts$`, `^-rw-r--r-- root root 0 .* ip_forward$`}},
		{command: "core/ip", params: "ip=dhcp", args: "addr", want: []string{
			`^1: lo: <UP,LOOPBACK> mtu 65536`, `inet 127\.0\.0\.1/8`, `^2: eth0: <UP,BROADCAST,MULTICAST> mtu 1500 state UP`,
			`link/ether 52:54:00:12:34:56`, `inet 10\.0\.2\.15/24 brd 10\.0\.2\.255 scope global eth0`}},
		{command: "core/dmesg", params: "ip=dhcp hostname=box", want: []string{
			`^<6>\[ +\d+\.\d{6}\] eth0: virtio-net, 52:54:00:12:34:56, mtu 1500, link up`, `^<6>\[ +\d+\.\d{6}\] .*10\.0\.2\.15`}},
		{command: "core/free", params: "ip=off", args: "-m", want: []string{`^Mem: +2\d\d +\d+ +\d+ `}},
		{command: "core/dhclient", params: "ip=off", args: "-ipv6=false eth0", want: []string{
			`Configured eth0 with IPv4 DHCP Lease IP 10\.0\.2\.15/24`}},
	} {
		t.Run(c.command, func(t *testing.T) { c.run(t) })
	}
}

// hops is a path of Linux namespaces: the image's cable ends at the first, each
// is the router of the one before, and the last has the address far.
//
//	image 10.8.0.2/24 ── 10.8.0.1 [0] 10.8.1.1 ── 10.8.1.2 [1] 10.8.2.1 ── 10.8.2.2 [2] …
func hops(t *testing.T, n int) (first *Namespace, cable Backend, far string) {
	t.Helper()
	var path []*Namespace
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		ns := needNamespace(t, fmt.Sprintf("hop%d", i))
		path = append(path, ns)
		must(ns.Sysctl("ipv4/ip_forward", "1"))
		ns.Sysctl("ipv6/conf/default/disable_ipv6", "1") // fewer strangers on the cable; where there is no IPv6 there are none
		if i == 0 {
			var err error
			cable, err = ns.Tap("tap0", netip.MustParsePrefix("10.8.0.1/24"))
			must(err)
			continue
		}
		before := path[i-1]
		must(before.IP("link", "add", "south", "type", "veth", "peer", "name", "north", "netns", ns.Name))
		must(before.IP("addr", "add", fmt.Sprintf("10.8.%d.1/24", i), "dev", "south"))
		must(ns.IP("addr", "add", fmt.Sprintf("10.8.%d.2/24", i), "dev", "north"))
		must(before.IP("link", "set", "south", "up"))
		must(ns.IP("link", "set", "north", "up"))
		must(ns.IP("route", "add", "default", "via", fmt.Sprintf("10.8.%d.1", i)))
		for j := range i {
			via := fmt.Sprintf("10.8.%d.2", j+1)
			if j+1 < i {
				must(path[j].IP("route", "add", fmt.Sprintf("10.8.%d.0/24", i), "via", via))
			}
		}
	}
	return path[0], cable, fmt.Sprintf("10.8.%d.2", n-1)
}

const hopsParam = "ip=10.8.0.2::10.8.0.1:255.255.255.0::eth0:off"

func TestURoot_ping(t *testing.T) {
	_, cable, far := hops(t, 3)
	urootRun{command: "core/ping", params: hopsParam, args: "-c 3 -i 20 -s 1400 " + far, nic: cable, want: []string{
		`^1408 bytes from 10\.8\.2\.2: icmp_seq=1 time=[0-9.]+[mµ]s`, `icmp_seq=2 time=`, `icmp_seq=3 time=`}}.run(t)
}

func TestURoot_pingOfNobody_fails(t *testing.T) {
	_, cable, _ := hops(t, 1)
	urootRun{command: "core/ping", params: hopsParam, args: "-c 1 -w 300 10.8.0.99", nic: cable, code: 1, want: []string{
		`ping failed: conn\.Read failed: .*i/o timeout`}}.run(t)
}

// u-root's traceroute opens the socket for an answer after it has sent the
// question, and notes the question after that: next door the answer may be first
// and is lost. So the answers are made slow: by 100 ms, or where the kernel has
// no netem by a cable that carries one in some 160 ms.
func TestURoot_traceroute(t *testing.T) {
	first, cable, far := hops(t, 3)
	slow := []string{"-n", first.Name, "qdisc", "add", "dev", "tap0", "root"}
	if command("tc", append(slow, "netem", "delay", "100ms")...) != nil {
		if err := command("tc", append(slow, "tbf", "rate", "5kbit", "burst", "110", "limit", "10000")...); err != nil {
			t.Skip(err)
		}
	}
	urootRun{command: "exp/traceroute", params: hopsParam, args: "--module=udp " + far, nic: cable, want: []string{
		`^traceroute to 10\.8\.2\.2 \(10\.8\.2\.2\), 20 hops max`, `^TTL: 1 +10\.8\.0\.1 +\([0-9. ]+ms\)`,
		`^TTL: 2 +10\.8\.1\.2 +\([0-9. ]+ms\)`, `^TTL: 3 +10\.8\.2\.2 +\([0-9. ]+ms\)`}}.run(t)
}

// ip -b runs the lines of a file, each as if it were a command of its own: what
// it changes is there when it shows it next.
func TestURoot_ip(t *testing.T) {
	batch := `
addr show
route show
neigh add 10.0.2.77 lladdr 02:00:00:00:00:77 dev eth0
neigh show
neigh del 10.0.2.77 dev eth0
addr add 10.9.0.1/24 dev eth0
route add 10.77.0.0/16 via 10.0.2.2 dev eth0 mtu 1300
route show
route get 10.77.1.1
route get 127.0.0.1
route del 10.77.0.0/16
addr del 10.9.0.1/24 dev eth0
route show
neigh show
link add d0 type dummy
link set d0 mtu 1400 up
link show d0
link set d0 name d1
addr add 10.10.0.1/24 dev d1
route add 10.78.0.0/16 dev d1
link show d1
link set d1 down
route show
link del d1
link set eth0 mtu 1280 promisc on
link show eth0
link set nodev up
route add 10.79.0.0/16 via 192.0.2.1 dev eth0
`
	const defaultRoute = `0\.0\.0\.0/0 dev eth0 proto boot scope global src <nil> metric 0\n`
	const connected = `10\.0\.2\.0/24 dev eth0 proto kernel scope link src 10\.0\.2\.15 metric 0\n`
	const eth0 = `    link/ether 52:54:00:12:34:56\n`
	out := urootRun{command: "core/ip", params: "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off",
		args: "--force -b /batch", files: []string{"batch", batch}}.run(t)
	lines := regexp.MustCompile(`(?m)^\S+ \S+ (Error)|^eth0: entered promiscuous mode\n`).ReplaceAllString(out, "$1") // less the times, and the kernel's word
	want := `1: lo: <UP,LOOPBACK> mtu 65536 state UNKNOWN group default\n    link/loopback \n` +
		`    inet 127\.0\.0\.1/8 brd <nil> scope host lo\n       valid_lft forever preferred_lft forever\n` +
		`2: eth0: <UP,BROADCAST,MULTICAST> mtu 1500 state UP group default\n` + eth0 +
		`    inet 10\.0\.2\.15/24 brd 10\.0\.2\.255 scope global eth0\n       valid_lft forever preferred_lft forever\n` +
		defaultRoute + connected +
		`10\.0\.2\.77 dev eth0 lladdr 02:00:00:00:00:77 PERMANENT\n` +
		defaultRoute + connected + `10\.9\.0\.0/24 dev eth0 proto kernel scope link src 10\.9\.0\.1 metric 0\n` +
		`10\.77\.0\.0/16 dev eth0 proto boot scope global src <nil> metric 0\n` +
		`10\.77\.1\.1/32 dev eth0 proto unspec scope global src 10\.0\.2\.15 metric 0\n` +
		`127\.0\.0\.1/32 dev lo proto unspec scope global src 127\.0\.0\.1 metric 0\n` +
		defaultRoute + connected +
		`3: d0: <UP,BROADCAST,MULTICAST> mtu 1400 state UNKNOWN group default\n    link/ether [0-9a-f:]+\n` +
		`3: d1: <UP,BROADCAST,MULTICAST> mtu 1400 state UNKNOWN group default\n    link/ether [0-9a-f:]+\n` +
		defaultRoute + connected +
		`2: eth0: <UP,BROADCAST,MULTICAST> mtu 1280 state UP group default\n` + eth0 +
		`Error \(force mode on, continuing\): Failed to run command 'link set nodev up': Link not found\n` +
		`Error \(force mode on, continuing\): Failed to run command 'route add 10\.79\.0\.0/16 via 192\.0\.2\.1 dev eth0': .*network is unreachable\n`
	if !regexp.MustCompile(`^` + want + `$`).MatchString(lines) {
		t.Errorf("ip printed\n%s\nwhich is not like\n%s", lines, want)
	}
}

// u-root's tcpdump captures through a memory-mapped ring of version 3.
func TestURoot_tcpdump(t *testing.T) {
	const request, reply = `^[0-9:.]{15} IPv4 eth0 10\.8\.0\.1\. > 10\.8\.0\.2\.: ICMP EchoRequest, id \d+, seq 3, length 64$`,
		`^[0-9:.]{15} IPv4 eth0 10\.8\.0\.2\. > 10\.8\.0\.1\.: ICMP EchoReply, id \d+, seq 3, length 64$`
	const datagram = `10\.8\.0\.1\.\d+ > 10\.8\.0\.2\.4321.*: UDP, length 5$`
	for _, c := range []struct {
		name, args string
		want       []string
		not        string // nothing like it
	}{
		{"all", "-c 20", []string{`^listening on eth0, link-type 1, snapshot length 262144 bytes$`, request, reply}, `skipping`},
		{"filter by protocol", "-c 6 udp", []string{datagram}, `ICMP Echo`},
		{"filter by port", "-c 6 udp port 4321", []string{datagram}, `ICMP Echo`},
		{"filter by host and direction", "-v -c 6 src host 10.8.0.2", []string{
			`^[0-9:.]{15} IPv4 eth0 \(tos 0x0, ttl 64, id \d+, offset 0, flags \[.*\], proto ICMPv4 \(1\), length 84\)$`,
			`10\.8\.0\.2\. > 10\.8\.0\.1\.: ICMP EchoReply, id \d+, seq 3, length 64$`}, `EchoRequest|4321`},
		{"hex of a short packet", "-s 128 -xx -c 20", []string{reply, `0800 4500 $`, `0054 `}, `skipping`},
	} {
		t.Run(c.name, func(t *testing.T) {
			first, cable, _ := hops(t, 1)
			r := urootRun{command: "exp/tcpdump", params: hopsParam, args: "-i eth0 -n " + c.args, nic: cable, want: c.want}
			m := r.start(t)
			if _, err := m.Console.WaitFor("^listening on eth0", bootTime); err != nil {
				t.Fatal(err)
			}
			if out, err := first.Run(20*time.Second, "ping", "-c", "8", "-i", "0.05", "10.8.0.2"); err != nil {
				t.Error(err, out)
			}
			conn, err := first.DialUDP(netip.MustParseAddrPort("10.8.0.2:4321"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for range 8 {
				conn.Write([]byte("hello"))
			}
			if out := r.wait(t, m); regexp.MustCompile(c.not).MatchString(out) {
				t.Errorf("%s is in:\n%s", c.not, out)
			}
		})
	}
}

// serveTime answers NTP clients in a namespace (RFC 5905): it is now then.
func serveTime(t *testing.T, ns *Namespace, then time.Time) {
	t.Helper()
	var conn net.PacketConn
	if err := ns.Do(func() (err error) {
		conn, err = net.ListenPacket("udp4", ":123")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	began := time.Now()
	go func() {
		stamp := func(b []byte, at time.Time) {
			binary.BigEndian.PutUint32(b, uint32(at.Unix()+2208988800)) // of era 0, from 1900
			binary.BigEndian.PutUint32(b[4:], uint32(uint64(at.Nanosecond())<<32/1e9))
		}
		for {
			q := make([]byte, 512)
			n, from, err := conn.ReadFrom(q)
			if err != nil {
				return
			}
			if n < 48 || q[0]&7 != 3 { // a client's
				continue
			}
			now := then.Add(time.Since(began))
			a := make([]byte, 48)
			a[0], a[1], a[2], a[3] = 4<<3|4, 1, 6, 0xec // version 4, server; stratum 1
			stamp(a[16:], now.Add(-time.Second))
			copy(a[24:32], q[40:48])
			stamp(a[32:], now)
			stamp(a[40:], now)
			conn.WriteTo(a, from)
		}
	}()
}

// u-root's ntpdate asks a server of ours for the time (RFC 5905), which is another
// year's, and sets the clock of the image: its own message is of that year.
func TestURoot_ntpdate(t *testing.T) {
	server, cable, _ := hops(t, 1)
	serveTime(t, server, time.Date(2035, 7, 8, 9, 10, 11, 0, time.UTC))
	urootRun{command: "core/ntpdate", params: hopsParam, args: "-verbose", nic: cable,
		files: []string{"etc/ntp.conf", "driftfile /x\nserver 10.8.0.1 iburst\n"}, want: []string{
			`Found 1 servers`, `^2035/07/08 09:1\d:\d\d adjust time server 10\.8\.0\.1 offset \+\d{9,}\.\d+ sec$`}}.run(t)
}

// The lists of sockets are read in TestProc_socketLists_readByNetstat of inet,
// where there are sockets.
func TestURoot_netstat(t *testing.T) {
	const sockets = `^Proto  Recv-Q Send-Q Local Address +Foreign Address +State`
	for _, c := range []urootRun{
		{args: "-r -n", want: []string{`^Destination +Gateway +Genmask +Flags +MSS Window  irrt Iface$`,
			`^0\.0\.0\.0 +10\.0\.2\.2 +0\.0\.0\.0 +UG +0 +0 +0 eth0$`, `^10\.0\.2\.0 +0\.0\.0\.0 +255\.255\.255\.0 +U +0 +0 +0 eth0$`}},
		{args: "-i", want: []string{`^Iface +MTU +Rx-OK`, `^lo +65536( +0){8} +LUR$`, `^eth0 +1500 +[1-9]\d* +0 +0 +0 +[1-9]\d* +0 +0 +0 +BUMR$`}},
		{args: "-s", want: []string{`^	Forwarding is 2$`, `^	[1-9]\d* total packets received$`, `^	0 packets to unknown port received$`, `^	MaxConn: -1$`, `^	InBcastPkts: [1-9]`}},
		{args: "-a -n", want: []string{sockets, `^Active sockets in the UNIX domain$`}},
	} {
		t.Run(c.args, func(t *testing.T) {
			c.command, c.params = "core/netstat", "ip=dhcp"
			c.run(t)
		})
	}
}

func TestURoot_netcat(t *testing.T) {
	b := make([]byte, 100)
	t.Run("connects", func(t *testing.T) {
		first, cable, _ := hops(t, 1)
		var conn *net.UDPConn
		if err := first.Do(func() (err error) {
			conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(10, 8, 0, 1), Port: 4444})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		r := urootRun{command: "core/netcat", params: hopsParam, args: "-v -u 10.8.0.1 4444", nic: cable, want: []string{`^hello, image$`}}
		m := r.start(t)
		if _, err := m.Console.WaitFor(`connected to 10\.8\.0\.1:4444 \[udp4\]`, bootTime); err != nil {
			t.Fatal(err)
		}
		m.Console.Type("hello, host\n")
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, from, err := conn.ReadFromUDPAddrPort(b)
		if err != nil || string(b[:n]) != "hello, host\n" || from.Addr() != netip.MustParseAddr("10.8.0.2") {
			t.Fatalf("%q from %v, %v", b[:n], from, err)
		}
		conn.WriteToUDPAddrPort([]byte("hello, image\n"), from)
		if _, err := m.Console.WaitFor("^hello, image", 10*time.Second); err != nil {
			t.Fatal(err)
		}
		m.Console.Type("\x04") // end of input
		r.wait(t, m)
	})
	t.Run("listens", func(t *testing.T) {
		first, cable, _ := hops(t, 1)
		m := urootRun{command: "core/netcat", params: hopsParam, args: "-v -l -u 4444", nic: cable}.start(t)
		conn, err := first.DialUDP(netip.MustParseAddrPort("10.8.0.2:4444"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var from []string
		for deadline := time.Now().Add(bootTime); from == nil; { // netcat does not say when it is ready
			conn.Write([]byte("hello, image\n"))
			if from, err = m.Console.WaitFor(`from (10\.8\.0\.1:\d+)`, 200*time.Millisecond); err != nil && time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
		if from[1] != conn.LocalAddr().String() {
			t.Errorf("netcat hears from %s, not %v", from[1], conn.LocalAddr())
		}
		if _, err := m.Console.WaitFor("^hello, image", 10*time.Second); err != nil {
			t.Fatal(err)
		}
		m.Console.Type("hello, host\n")
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := conn.Read(b); err != nil || string(b[:n]) != "hello, host\n" {
			t.Errorf("%q, %v", b[:n], err)
		}
	})
}
