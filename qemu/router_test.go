package qemu

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// routed is two Linux namespaces with the image as the router between them:
//
//	left 10.1.0.2/24 ── 10.1.0.1 eth0 image eth1 10.2.0.1 ── right 10.2.0.2/24
func routed(t *testing.T, machine string) (left, right *Namespace, image hands) {
	t.Helper()
	left, right = needNamespace(t, "left"), needNamespace(t, "right")
	nics := []NIC{tapNIC(t, left, "tap0", "10.1.0.2/24"), tapNIC(t, right, "tap0", "10.2.0.2/24")}
	must(t, left.IP("route", "add", "default", "via", "10.1.0.1"), right.IP("route", "add", "default", "via", "10.2.0.1"))
	_, image = startLab(t, Config{Machine: machine, NICs: nics, Append: staticIP("10.1.0.1", "10.2.0.1") + " sysctl.net.ipv4.ip_forward=1"})
	return left, right, image
}

// routedBeside is routed, with a Linux router of the same kind beside the image:
//
//	left 10.3.0.2/24 ── 10.3.0.1 a middle b 10.4.0.1 ── right 10.4.0.2/24
func routedBeside(t *testing.T) (left, right, middle *Namespace, image hands) {
	t.Helper()
	left, right, image = routed(t, Microvm)
	middle = needNamespace(t, "middle")
	cable(t, "a", left, "10.3.0.2/24", middle, "10.3.0.1/24")
	cable(t, "b", middle, "10.4.0.1/24", right, "10.4.0.2/24")
	must(t, left.IP("route", "add", "10.4.0.0/24", "via", "10.3.0.1"), right.IP("route", "add", "10.3.0.0/24", "via", "10.4.0.1"), middle.Sysctl("ipv4/ip_forward", "1"))
	return left, right, middle, image
}

func TestRouter_tracerouteThroughTheImage(t *testing.T) {
	onEachMachine(t, traceroute)
}

func traceroute(t *testing.T, machine string) {
	left, right, _ := routed(t, machine)
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
	left, _, _ := routed(t, Microvm)
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

// A link of 576 bytes behind the image as a router: with DF the sender is told, and sends less from then on; without,
// the image cuts the packets, and Linux puts them together. All of it as behind a Linux router, piece by piece.
func TestRouter_narrowLinkBehindTheImage(t *testing.T) {
	left, right, middle, image := routedBeside(t)
	must(t, middle.IP("link", "set", "dev", "b", "mtu", "576"), right.Sysctl("ipv4/icmp_ratelimit", "0"),
		right.IP("link", "set", "dev", "b", "mtu", "576"), right.IP("link", "set", "tap0", "mtu", "576"))
	image("link dev=eth1 mtu=576")
	from := linuxLab(t, left)
	pieces := [2]*sniffer{sniff(t, right, "tap0"), sniff(t, right, "b")}
	next := 2
	both := func(command string) (got [2]string) {
		t.Helper()
		for i, net := range []string{"10.2.0", "10.4.0"} {
			if next > 2 {
				must(t, right.IP("addr", "add", fmt.Sprintf("%s.%d/24", net, next), "dev", []string{"tap0", "b"}[i]))
			}
			dst := fmt.Sprintf("%s.%d", net, next)
			got[i] = from("%s dst=%s", command, dst) + "pmtu " + from("pmtu dst=%s", dst)
			for _, f := range pieces[i].take(t) {
				if f.IP != nil && f.IP.Dst.String() == dst {
					got[i] += fmt.Sprintf("piece %d+%d mf %v df %v ttl %d tos %#x id %v\n", f.IP.FragOff, len(f.IP.Payload), f.IP.MF, f.IP.DF, f.IP.TTL, f.IP.TOS, f.IP.ID != 0)
				}
			}
		}
		next++
		got[0] = strings.NewReplacer("10.2.0.", "10.4.0.", "10.1.0.", "10.3.0.").Replace(got[0])
		return got
	}
	same := func(format string, args ...any) {
		t.Helper()
		command := fmt.Sprintf(format, args...)
		got := both(command)
		if got[0] != got[1] { // an id of 65536 is 0 by chance, and the sender's
			got = both(command)
		}
		if got[0] != got[1] {
			t.Errorf("%s\nthrough the image:\n%s\nthrough Linux:\n%s", command, got[0], got[1])
		}
	}
	for mode := range 6 {
		same("ping sizes=0-8,540-560,1472-1473,4000,20000 pmtu=%d", mode)
		for _, size := range []int{548, 549, 1000, 1472, 1473, 5000} {
			same("udp port=9 tos=8 pmtu=%d size=%d", mode, size)
		}
	}
	if got := from("ping dst=10.2.0.2 pmtu=0 sizes=mtu576/499"); got != "0-65507 ok\n" {
		t.Errorf("every size:\n%s", got)
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
