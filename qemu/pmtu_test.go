package qemu

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// pathMTU is this network: the image and a Linux namespace in its place, a Linux router with
// them on one side, and far behind a link of any MTU.
//
//	image 10.1.0.2 ── 10.1.0.1 ┐
//	                           router 10.2.0.1 ── 10.2.0.2 far
//	peer  10.3.0.2 ── 10.3.0.1 ┘
type pathMTU struct {
	image, peer, far      hands
	router, peerNS, farNS *Namespace
	fars                  int
}

func newPathMTU(t *testing.T) *pathMTU {
	router, peer, far := needNamespace(t, "router"), needNamespace(t, "peer"), needNamespace(t, "far")
	nic := tapNIC(t, router, "tap0", "10.1.0.1/24")
	cable(t, "p", router, "10.3.0.1/24", peer, "10.3.0.2/24")
	cable(t, "f", router, "10.2.0.1/24", far, "10.2.0.2/24")
	must(t, router.Sysctl("ipv4/ip_forward", "1"), router.Sysctl("ipv4/icmp_ratelimit", "0"), far.Sysctl("ipv4/icmp_ratelimit", "0"),
		peer.IP("route", "add", "default", "via", "10.3.0.1"), far.IP("route", "add", "default", "via", "10.2.0.1"))
	n := &pathMTU{router: router, peerNS: peer, farNS: far, peer: linuxLab(t, peer), far: linuxLab(t, far)}
	_, n.image = startLab(t, Config{NICs: []NIC{nic}, Append: staticIP("10.1.0.2,10.1.0.1") + pingGroup})
	return n
}

// newFar gives the far host one more address, which nobody has sent to, and returns it.
func (n *pathMTU) newFar(t *testing.T) string {
	t.Helper()
	n.fars++
	addr := fmt.Sprintf("10.2.0.%d", 2+n.fars)
	must(t, n.farNS.IP("addr", "add", addr+"/24", "dev", "f"))
	return addr
}

// same gives a command to the image and to the Linux host in its place.
func (n *pathMTU) same(t *testing.T, format string, args ...any) {
	t.Helper()
	start, line := time.Now(), fmt.Sprintf(format, args...)
	got, want := n.image("%s", line), n.peer("%s", line)
	if strings.ReplaceAll(got, "10.1.0.", "10.3.0.") != want { // the router's other address
		t.Errorf("%s\nthe image:\n%sLinux:\n%s", line, got, want)
		return
	}
	t.Logf("%s: %v\n%s", line, time.Since(start).Round(time.Millisecond), got)
}

// Pings and datagrams of every size that the image sends, in each mode of path MTU discovery, come out as those of a Linux
// host do: over links of MTU 1500, when its own link has 576, and when one behind a router has. And
// so do those that Linux sends to it.
func TestPathMTU_everySizeAndModeAsLinux(t *testing.T) {
	n := newPathMTU(t)
	all := func(t *testing.T, mtu, narrow int) {
		every := fmt.Sprintf("mtu%d/499", narrow)
		some := fmt.Sprintf("0-64/8,%d-%d,%d-%d,2000,65507", narrow-29, narrow-20, mtu-29, mtu-20)
		for i, kind := range []string{"dgram", "raw"} {
			for mode := range 6 { // IP_PMTUDISC_DONT … OMIT
				dst, sizes := n.newFar(t), some
				if mode == i { // the others differ in what they do at the edges
					sizes = every
				}
				n.same(t, "ping dst=%s kind=%s pmtu=%d sizes=%s", dst, kind, mode, sizes)
				n.same(t, "pmtu dst=%s", dst)
			}
		}
		for mode := range 6 {
			dst := n.newFar(t)
			for _, size := range []int{narrow - 28, narrow - 27, mtu - 28, mtu - 27, 60000} {
				for range 2 { // to the narrow link, and knowing of it
					n.same(t, "udp dst=%s port=9 pmtu=%d size=%d", dst, mode, size)
				}
			}
			n.same(t, "pmtu dst=%s", dst)
		}
		for mode, sizes := range []string{every, some, every, some} {
			var got [2]string
			for i, dst := range []string{"10.1.0.2", "10.3.0.2"} {
				got[i] = n.far("ping dst=%s pmtu=%d sizes=%s", dst, mode, sizes)
			}
			if got[0] != got[1] {
				t.Errorf("to the image, mode %d:\n%sto Linux:\n%s", mode, got[0], got[1])
			}
		}
	}
	t.Run("links of 1500", func(t *testing.T) { all(t, 1500, 1500) })
	t.Run("a link of 576 behind the router", func(t *testing.T) {
		must(t, n.router.IP("link", "set", "f", "mtu", "576"), n.farNS.IP("link", "set", "f", "mtu", "576"))
		all(t, 1500, 576)
	})
	t.Run("own links of 576", func(t *testing.T) {
		must(t, n.router.IP("link", "set", "tap0", "mtu", "576"), n.router.IP("link", "set", "p", "mtu", "576"), n.peerNS.IP("link", "set", "p", "mtu", "576"))
		n.image("link dev=eth0 mtu=576")
		all(t, 576, 576)
	})
}
