package qemu

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"barewire/qemu/lab"
)

// Tests that give the same commands of package lab to the image and to Linux namespaces.

// hands does a command and returns its lines; a command that fails fails the test.
type hands func(format string, args ...any) string

// startLab boots the lab program and returns what gives it commands by its console.
func startLab(t *testing.T, cfg Config) (*VM, hands) {
	t.Helper()
	cfg.Kernel = image(t, guests+"lab")
	m := Start(t, cfg)
	if _, err := m.Console.WaitFor("^lab: ready$", bootTime); err != nil {
		t.Fatal(err)
	}
	return m, func(format string, args ...any) string {
		t.Helper()
		line := fmt.Sprintf(format, args...)
		if err := m.Console.Type(line + "\n"); err != nil {
			t.Fatal(err)
		}
		got, err := m.Console.WaitFor(`^((?:[^l\n][^\n]*\n|l[^a][^\n]*\n|\n)*?)lab: (.*)\n`, 2*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if got[2] != "ok" {
			t.Fatalf("%s: %s", line, got[2])
		}
		var out strings.Builder
		for l := range strings.Lines(got[1]) {
			if text, ok := strings.CutPrefix(l, "| "); ok {
				out.WriteString(text)
			}
		}
		return out.String()
	}
}

// linuxLab returns what gives commands to the Linux kernel of a namespace.
func linuxLab(t *testing.T, ns *Namespace) hands {
	var l lab.Lab
	if err := ns.Sysctl("ipv4/ping_group_range", "0 2147483647"); err != nil {
		t.Fatal(err)
	}
	return func(format string, args ...any) string {
		t.Helper()
		line := fmt.Sprintf(format, args...)
		var out bytes.Buffer
		if err := ns.Do(func() error { return l.Run(line, &out) }); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return out.String()
	}
}

// must fails the test at the first error.
func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// cable joins two namespaces with a veth pair, its ends called name in both, with the addresses a and b.
func cable(t testing.TB, name string, left *Namespace, a string, right *Namespace, b string) {
	t.Helper()
	must(t, left.IP("link", "add", "name", name, "type", "veth", "peer", "name", name, "netns", right.Name),
		left.IP("addr", "add", a, "dev", name), right.IP("addr", "add", b, "dev", name),
		left.IP("link", "set", "dev", name, "up"), right.IP("link", "set", "dev", name, "up"))
}

// tapNIC is a card plugged into a TAP device of ns with that address.
func tapNIC(t testing.TB, ns *Namespace, name, addr string) NIC {
	t.Helper()
	tap, err := ns.Tap(name, netip.MustParsePrefix(addr))
	must(t, err)
	return NIC{Backend: tap}
}

// staticIP are the kernel parameters for addresses of eth0, eth1, …; what follows a comma is the gateway.
func staticIP(addrs ...string) string {
	var s []string
	for i, a := range addrs {
		a, gw, _ := strings.Cut(a, ",")
		s = append(s, fmt.Sprintf("ip=%s::%s:255.255.255.0::eth%d:off", a, gw, i))
	}
	return strings.Join(s, " ")
}

// pingGroup lets every program have ping sockets.
const pingGroup = ` sysctl.net.ipv4.ping_group_range="0 2147483647"`

// serveEcho answers what comes to a UDP port of the namespace with the same bytes, as the lab program does.
func serveEcho(t testing.TB, ns *Namespace, port int) {
	t.Helper()
	var conn *net.UDPConn
	must(t, ns.Do(func() (err error) {
		conn, err = net.ListenUDP("udp4", &net.UDPAddr{Port: port})
		return err
	}))
	t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			conn.WriteToUDPAddrPort(b[:n], from)
		}
	}()
}
