package qemu

import (
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// routed is two Linux namespaces with the image as the router between them:
//
//	left 10.1.0.2/24 ── 10.1.0.1 eth0 image eth1 10.2.0.1 ── right 10.2.0.2/24
func routed(t *testing.T, machine string) (left, right *Namespace) {
	t.Helper()
	left, right = needNamespace(t, "left"), needNamespace(t, "right")
	var nics []NIC
	for i, ns := range []*Namespace{left, right} {
		tap, err := ns.Tap("tap0", netip.MustParsePrefix(fmt.Sprintf("10.%d.0.2/24", i+1)))
		if err != nil {
			t.Fatal(err)
		}
		nics = append(nics, NIC{Backend: tap})
		if err := ns.IP("route", "add", "default", "via", fmt.Sprintf("10.%d.0.1", i+1)); err != nil {
			t.Fatal(err)
		}
	}
	m := Start(t, Config{Machine: machine, Kernel: image(t, echoApp), NICs: nics,
		Append: "ip=10.1.0.1:::255.255.255.0::eth0:off ip=10.2.0.1:::255.255.255.0::eth1:off sysctl.net.ipv4.ip_forward=1"})
	if _, err := m.Console.WaitFor("^echo: listening", bootTime); err != nil {
		t.Fatal(err)
	}
	return left, right
}

func TestRouter_tracerouteThroughTheImage(t *testing.T) {
	onEachMachine(t, traceroute)
}

func traceroute(t *testing.T, machine string) {
	left, right := routed(t, machine)
	for _, c := range []struct {
		from *Namespace
		hops [2]string
	}{{left, [2]string{"10.1.0.1", "10.2.0.2"}}, {right, [2]string{"10.2.0.1", "10.1.0.2"}}} {
		out, err := c.from.Run(20*time.Second, "ping", "-q", "-c", "20", "-i", "0.01", c.hops[1])
		if err != nil || !strings.Contains(out, " 0% packet loss") {
			t.Errorf("ping through the router: %v\n%s", err, out)
		}
		if _, err := exec.LookPath("traceroute"); err != nil {
			t.Log("no traceroute (Debian: apt-get install traceroute)")
			continue
		}
		out, err = c.from.Run(20*time.Second, "traceroute", "-n", "-q", "1", "-w", "2", c.hops[1])
		want := fmt.Sprintf(`(?s) 1  %s  .* 2  %s  `, regexp.QuoteMeta(c.hops[0]), regexp.QuoteMeta(c.hops[1]))
		if err != nil || !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("traceroute: %v, want hops %v\n%s", err, c.hops, out)
		}
	}
}

// Pings of every class of size through the image, with and without DF.
func TestRouter_pingSizes(t *testing.T) {
	left, _ := routed(t, Microvm)
	sizes := []int{0, 1, 7, 8, 56, 1471, 1472, 1473, 2952, 8000, 32768, 65507}
	for _, size := range sizes {
		for _, df := range []string{"dont", "do"} {
			if df == "do" && size > 1472 {
				continue
			}
			out, err := left.Run(20*time.Second, "ping", "-q", "-c", "3", "-i", "0.05", "-W", "2", "-s", fmt.Sprint(size), "-M", df, "10.2.0.2")
			if err != nil || !strings.Contains(out, "3 received, 0% packet loss") {
				t.Errorf("%d bytes, DF %s: %v\n%s", size, df, err, out)
			}
		}
	}
}

// The same to the image itself, at both MTUs.
func TestPing_sizesToTheImage(t *testing.T) {
	for _, mtu := range []int{1500, 576} {
		t.Run(fmt.Sprint(mtu), func(t *testing.T) {
			ns := needNamespace(t, "ping")
			startTapped(t, ns, Microvm)
			if err := ns.IP("link", "set", "tap0", "mtu", fmt.Sprint(mtu)); err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{0, 1, 8, mtu - 29, mtu - 28, mtu - 27, 2*mtu - 20, 8000, 32768, 65507} {
				for _, df := range []string{"dont", "do"} {
					if df == "do" && size > mtu-28 {
						continue
					}
					out, err := ns.Run(20*time.Second, "ping", "-q", "-c", "3", "-i", "0.05", "-W", "2", "-s", fmt.Sprint(size), "-M", df, guestIP.String())
					if err != nil || !strings.Contains(out, "3 received, 0% packet loss") {
						t.Errorf("%d bytes, DF %s: %v\n%s", size, df, err, out)
					}
				}
			}
		})
	}
}
