package inet_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"barewire/inet/fib"
	"barewire/inet/neigh"
	"barewire/skb"
	"barewire/skb/header"
)

// pathWord is what "ip route get" says of an exception.
var pathWord = regexp.MustCompile(`via (\S+)|mtu ((?:lock )?\d+)`) // read-only

// TestLinux_pathErrors_sameExceptions: what routers say of the way to single
// destinations is believed, or not, as Linux does.
func TestLinux_pathErrors_sameExceptions(t *testing.T) {
	l := newLinux(t)
	h := newHost(t)
	h.udpSocket(0, 7) // as the echo server there
	others := []header.Addr{peerIP, peerIP + 1}
	for _, a := range others {
		check(t, l.ns.IP("neigh", "replace", a.String(), "lladdr", "02:00:00:00:00:02", "dev", "tap0", "nud", "permanent"))
		n, err := h.IP().Neigh.Get(h.port.dev, a)
		check(t, err)
		n.Update(peerMAC, neigh.NUDPermanent, true)
	}
	set := func(name, v string) {
		t.Helper()
		check(t, l.ns.Sysctl("ipv4/"+strings.ReplaceAll(name, ".", "/"), v))
		check(t, h.net.Sysctl().Set("net.ipv4."+strings.ReplaceAll(name, "tap0", "eth0"), v))
	}
	dst := ip4(8, 8, 0, 0)
	// try has frames about a destination of its own arrive and compares the way
	// to it.
	try := func(name string, frames ...func(dst header.Addr) []byte) {
		t.Helper()
		dst++
		for _, f := range frames {
			f := f(dst)
			if _, err := l.tap.Write(f); err != nil {
				t.Fatal(err)
			}
			h.inject(f)
		}
		l.answers(5 * time.Millisecond)
		h.port.take()
		out, err := l.ns.Run(5*time.Second, "ip", "-4", "route", "get", dst.String())
		if err != nil {
			t.Fatal(err, out)
		}
		want := ""
		for _, m := range pathWord.FindAllStringSubmatch(out, -1) {
			want += " " + m[1] + m[2]
		}
		rt, errno := h.IP().RouteOutput(&fib.Flow{Dst: dst})
		if errno != 0 {
			t.Fatal(errno)
		}
		got := fmt.Sprint(" ", rt.Gateway)
		if mtu, locked, _, _ := rt.Exception(); locked {
			got += fmt.Sprint(" lock ", mtu)
		} else if mtu != 0 {
			got += fmt.Sprint(" ", mtu)
		}
		if got != want {
			t.Errorf("%s: by%s, in Linux%s", name, got, want)
		}
	}
	icmp := func(src header.Addr, typ, code uint8, info uint32, quote []byte) []byte {
		m := make([]byte, 8, 8+len(quote))
		header.PutICMP(m, typ, code, info)
		m = append(m, quote...)
		header.ICMP(m).SetChecksum(skb.CsumFold(skb.CsumPartial(m, 0)))
		return ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(header.Fields{Protocol: 1, Src: src, Dst: hostIP}, m))
	}
	type maker = func(dst header.Addr) []byte
	quote := func(proto uint8, payload func(dst header.Addr) []byte, edit ...func(h header.IPv4)) maker {
		return func(dst header.Addr) []byte {
			return ipPacket(header.Fields{Protocol: proto, Src: hostIP, Dst: dst, Frag: header.IPDF}, payload(dst), edit...)
		}
	}
	udp := func(port uint16) maker {
		return quote(17, func(dst header.Addr) []byte { return udpPacket(hostIP, dst, port, 9, []byte("what was sent")) })
	}
	tooBig := func(mtu uint32, q maker) maker {
		return func(dst header.Addr) []byte { return icmp(peerIP, 3, 4, mtu, q(dst)) }
	}
	for _, mtu := range []uint32{1000, 0, 1, 67, 68, 551, 552, 553, 1499, 1500, 9000, 65535, 0xabcd0000 | 900} {
		try(fmt.Sprint("MTU ", mtu), tooBig(mtu, udp(7)))
	}
	try("smaller, then larger", tooBig(1000, udp(7)), tooBig(1400, udp(7)))
	try("smaller and smaller", tooBig(1000, udp(7)), tooBig(900, udp(7)))
	try("the least, then more", tooBig(0, udp(7)), tooBig(1000, udp(7)))
	try("small, then the least", tooBig(800, udp(7)), tooBig(0, udp(7)), tooBig(600, udp(7)))
	try("nobody sent it", tooBig(1000, udp(8)))
	try("not from here", tooBig(1000, quote(17, func(dst header.Addr) []byte { return udpPacket(hostIP, dst, 7, 9, nil) },
		func(h header.IPv4) { h[15]++ })))
	try("quote cut", func(dst header.Addr) []byte { return icmp(peerIP, 3, 4, 1000, udp(7)(dst)[:27]) })
	try("quote of eight bytes", func(dst header.Addr) []byte { return icmp(peerIP, 3, 4, 1000, udp(7)(dst)[:28]) })
	try("quote with a bad sum", func(dst header.Addr) []byte { q := udp(7)(dst); q[10] ^= 1; return icmp(peerIP, 3, 4, 1000, q) })
	try("quote of a later fragment", tooBig(1000, quote(17, func(dst header.Addr) []byte { return udpPacket(hostIP, dst, 7, 9, nil) },
		func(h header.IPv4) { h.SetFragField(5) })))
	try("quote of an echo reply", tooBig(1000, quote(1, func(header.Addr) []byte { m := icmpEcho(1, 1, nil); m[0] = 0; return m })))
	try("quote of an echo request nobody sent", tooBig(1000, quote(1, func(header.Addr) []byte { return icmpEcho(1, 1, nil) })))
	try("quote of a protocol that is not there", tooBig(1000, quote(253, func(header.Addr) []byte { return make([]byte, 8) })))
	try("with a bad checksum", func(dst header.Addr) []byte { f := tooBig(1000, udp(7))(dst); f[14+20+2] ^= 1; return f })
	for _, mode := range []string{"1", "2", "3", "0"} {
		set("ip_no_pmtu_disc", mode)
		try("ip_no_pmtu_disc "+mode, tooBig(1000, udp(7)))
	}
	redirect := func(from header.Addr, code uint8, gw header.Addr) maker {
		return func(dst header.Addr) []byte { return icmp(from, 5, code, uint32(gw), udp(7)(dst)) }
	}
	redirects := func(when string) {
		t.Helper()
		try("redirect by the gateway, "+when, redirect(peerIP, 1, peerIP+1))
		try("redirect by another, "+when, redirect(peerIP+1, 1, peerIP+1))
		try("redirect to itself, "+when, redirect(peerIP, 1, peerIP))
		try("redirect to us, "+when, redirect(peerIP, 1, hostIP))
		try("redirect to another net, "+when, redirect(peerIP, 1, ip4(10, 9, 9, 9)))
		try("redirect to the subnet, "+when, redirect(peerIP, 1, hostIP|0xff))
	}
	redirects("shared media")
	for code := range uint8(10) {
		try(fmt.Sprint("redirect of code ", code), redirect(peerIP, code, peerIP+1))
	}
	for _, gw := range []header.Addr{0, 1, 0xe0000001, 0xffffffff, header.AddrLoopback, 0xf0000001, peerIP + 50} {
		try(fmt.Sprint("redirect to ", gw), redirect(peerIP, 1, gw))
	}
	try("redirect nobody's packet", func(dst header.Addr) []byte { return icmp(peerIP, 5, 1, uint32(peerIP+1), udp(8)(dst)) })
	try("redirect and MTU", redirect(peerIP, 1, peerIP+1), tooBig(1000, udp(7)))
	try("MTU and redirect", tooBig(1000, udp(7)), redirect(peerIP, 1, peerIP+1))
	set("conf.all.shared_media", "0")
	set("conf.tap0.shared_media", "0")
	redirects("secure")
	check(t, l.ns.IP("route", "add", "9.0.0.0/8", "via", (peerIP+1).String()))
	check(t, h.route(ip4(9, 0, 0, 0), 8, peerIP+1))
	redirects("secure, to a router")
	set("conf.all.secure_redirects", "0")
	set("conf.tap0.secure_redirects", "0")
	redirects("not secure")
	set("conf.all.accept_redirects", "0")
	redirects("accepted by the device only")
	set("conf.tap0.accept_redirects", "0")
	redirects("not accepted")
	set("conf.all.accept_redirects", "1")
	redirects("accepted by all only")
	set("conf.tap0.accept_redirects", "1")
	set("conf.tap0.forwarding", "1")
	redirects("a router")
	set("conf.all.accept_redirects", "0")
	redirects("a router that does not accept")
}
