package inet_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/inet/ipmr"
	"barewire/inet/sock"
	"barewire/napi"
	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

// routing is our router with three vifs.
func routing(t testing.TB) *ownRouter {
	o := newOwnRouter(t)
	check(t, o.setopt(0, mrtInit, le(1)))
	for i := range mrPorts {
		check(t, o.setopt(0, mrtAddVIF, vifctl(uint16(i), 8, 1, le(uint32(o.index(i))), be(0))))
	}
	return o
}

// sentBy counts the datagrams sent by each port.
func (o *ownRouter) sentBy() (n [mrPorts]int) {
	for i, l := range o.sent() {
		n[i] = len(l)
	}
	return n
}

func (o *ownRouter) upcalls() (n int) {
	for o.recv(0) != nil {
		n++
	}
	return n
}

func TestMRoute_unresolved_expiresAfterTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := routing(t)
		stop := make(chan struct{})
		go o.net.SoftNet().Run(stop)
		var events []string
		o.MRoute().Notify = func(ev ipmr.Event) {
			events = append(events, fmt.Sprint(ev.Kind, ev.Route.Origin, ev.Route.Unresolved))
		}
		o.feed(0, mrFrame(mrAddr(0, 9), grp, 9, nil))
		time.Sleep(4 * time.Second)
		o.feed(0, mrFrame(mrAddr(0, 8), grp, 9, nil))
		waiting := func() int { return strings.Count(o.proc("ip_mr_cache"), " -1 ") }
		time.Sleep(5900 * time.Millisecond)
		synctest.Wait()
		if waiting() != 2 {
			t.Errorf("after 9.9 s %d sources wait, want 2", waiting())
		}
		time.Sleep(1200 * time.Millisecond) // timers far away are coarse
		synctest.Wait()
		if waiting() != 1 {
			t.Errorf("after 11 s %d sources wait, want the younger", waiting())
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if waiting() != 0 {
			t.Errorf("%d sources wait for ever", waiting())
		}
		want := "3 0.0.0.0 false 1 10.0.0.9 true 3 0.0.0.0 false 1 10.0.0.8 true 2 10.0.0.9 true 2 10.0.0.8 true"
		if got := strings.NewReplacer("[", "", "]", "").Replace(fmt.Sprint(events)); got != want {
			t.Errorf("events %s\nwant   %s", got, want)
		}
		if n := o.upcalls(); n != 2 {
			t.Errorf("%d upcalls, want 2", n)
		}
		close(stop)
		synctest.Wait()
	})
}

func TestMRoute_inventedSources_stayInTheirBounds(t *testing.T) {
	o := routing(t)
	o.socks[0].SetSockOpt(syscall.SOL_SOCKET, syscall.SO_RCVBUF, le(1<<20))
	upcalls := 0
	for i := range 3000 {
		o.feed(0, mrFrame(0x0a000100+header.Addr(i), grp, 9, nil))
		upcalls += o.upcalls()
	}
	n := strings.Count(o.proc("ip_mr_cache"), " -1 ")
	if n < 512 || n > 1024 || n != upcalls {
		t.Errorf("%d sources wait, %d upcalls", n, upcalls)
	}
	pool := o.net.SKB().Pool()
	if used := pool.InUse() * pool.PageSize(); used > 5<<20 {
		t.Errorf("what waits takes %d bytes", used)
	}
	// Those that wait are not pushed out.
	check(t, o.setopt(0, mrtAddMFC, mfcctl(0x0a000100, grp, 0, map[int]uint8{1: 1})))
	if n := o.sentBy(); n != [mrPorts]int{0, 1, 0} {
		t.Errorf("sent %v, want what waited", n)
	}
}

func TestMRoute_daemonDoesNotRead_nothingWaits(t *testing.T) {
	o := routing(t)
	for i := range 2000 {
		o.feed(0, mrFrame(0x0a000100+header.Addr(i), grp, 9, nil))
	}
	waiting, upcalls := strings.Count(o.proc("ip_mr_cache"), " -1 "), o.upcalls()
	if waiting == 0 || waiting >= 1024 || waiting != upcalls {
		t.Errorf("%d sources wait, %d upcalls: want as many as the receive buffer holds", waiting, upcalls)
	}
}

func TestMRoute_wrongVIF_oneAssertInThreeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := routing(t)
		check(t, o.setopt(0, mrtAssert, le(1)))
		check(t, o.setopt(0, mrtAddMFC, mfcctl(mrAddr(0, 9), grp, 0, map[int]uint8{1: 1})))
		for i, want := range []int{1, 0, 0, 0, 1} { // at 0, 1, 2, 3 and 4 s
			o.feed(1, mrFrame(mrAddr(0, 9), grp, 9, nil))
			o.feed(1, mrFrame(mrAddr(0, 9), grp, 9, nil))
			if n := o.upcalls(); n != want {
				t.Errorf("%d s: %d upcalls, want %d", i, n, want)
			}
			time.Sleep(time.Second)
		}
		// A vif the entry does not send by is of no interest.
		time.Sleep(9 * time.Second)
		o.feed(2, mrFrame(mrAddr(0, 9), grp, 9, nil))
		if n := o.upcalls(); n != 0 {
			t.Errorf("%d upcalls about a vif without members", n)
		}
	})
}

func TestMRoute_deviceGone_noVIF(t *testing.T) {
	o := routing(t)
	check(t, o.setopt(0, mrtAddMFC, mfcctl(mrAddr(0, 9), grp, 0, map[int]uint8{1: 1, 2: 1})))
	dev := o.ports[2].dev
	if dev.AllMulti() != 1 {
		t.Error("the device does not take all groups")
	}
	dev.Close()
	o.net.UnregisterNetdev(dev)
	o.feed(0, mrFrame(mrAddr(0, 9), grp, 9, nil))
	if n := o.sentBy(); n != [mrPorts]int{0, 1, 0} {
		t.Errorf("sent %v", n)
	}
	if s := o.proc("ip_mr_vif"); strings.Contains(s, "eth2") {
		t.Error(s)
	}
	check(t, o.setopt(0, mrtDelVIF, vifctl(1, 0, 0, be(0), be(0))))
	if n := o.ports[1].dev.AllMulti(); n != 0 {
		t.Errorf("%d still want all groups", n)
	}
	if v := o.getctl("conf.eth1.mc_forwarding"); v != "0" {
		t.Errorf("mc_forwarding %s", v)
	}
}

func TestMRoute_registerDevice_goneWithoutTheDaemon(t *testing.T) {
	o := routing(t)
	check(t, o.setopt(0, mrtAddVIF, vifctl(9, 4, 1, be(0), be(0))))
	dev := o.net.DevByName("pimreg")
	if dev == nil || dev.MTU() != 1472 || dev.Flags()&napi.IFF_UP == 0 {
		t.Fatalf("register device %v", dev)
	}
	// Somebody takes it away: then it is no vif.
	o.net.UnregisterNetdev(dev)
	if s := o.proc("ip_mr_vif"); strings.Contains(s, "pimreg") {
		t.Error(s)
	}
	check(t, o.setopt(0, mrtAddVIF, vifctl(9, 4, 1, be(0), be(0))))
	o.shut(0)
	if o.net.DevByName("pimreg") != nil {
		t.Error("the device outlives the daemon")
	}
	if v := o.getctl("conf.all.mc_forwarding"); v != "0" {
		t.Errorf("mc_forwarding %s", v)
	}
	o.open()
	o.socks[0] = o.socks[len(o.socks)-1]
	o.socks = o.socks[:1]
}

func TestMRoute_forwardHook_seesEachCopy(t *testing.T) {
	o := routing(t)
	check(t, o.setopt(0, mrtAddMFC, mfcctl(mrAddr(0, 9), grp, 0, map[int]uint8{1: 1, 2: 1})))
	var seen []string
	remove := o.Hooks().Register(netfilter.Forward, 0, func(b *skb.Buff, s *netfilter.State) netfilter.Verdict {
		seen = append(seen, fmt.Sprint(s.In.(*napi.NetDevice).Name(), s.Out.(*napi.NetDevice).Name(), header.IPv4(b.Data()).TTL()))
		if s.Out == skb.Device(o.ports[1].dev) {
			return netfilter.Drop
		}
		return netfilter.Accept
	})
	defer remove()
	o.feed(0, mrFrame(mrAddr(0, 9), grp, 9, nil))
	if got := fmt.Sprint(seen); got != "[eth0eth28 eth0eth18]" {
		t.Error(got)
	}
	if n := o.sentBy(); n != [mrPorts]int{0, 0, 1} {
		t.Errorf("sent %v", n)
	}
}

func TestMRoute_largeMTUBefore_cutOrSilent(t *testing.T) {
	o := routing(t)
	check(t, o.ports[1].dev.SetMTU(576))
	check(t, o.setopt(0, mrtAddMFC, mfcctl(mrAddr(0, 9), grp, 0, map[int]uint8{1: 1})))
	o.feed(0, mrFrame(mrAddr(0, 9), grp, 9, make([]byte, 1000)))
	if n := o.sentBy(); n != [mrPorts]int{0, 2, 0} {
		t.Errorf("sent %v, want two pieces", n)
	}
	fails := o.MIB().IP.FragFails.Load()
	o.feed(0, mrFrame(mrAddr(0, 9), grp, 9, make([]byte, 1000), func(h header.IPv4) { h.SetFragField(header.IPDF) }))
	if n := o.sentBy(); n != [mrPorts]int{} || o.MIB().IP.FragFails.Load() != fails+1 {
		t.Errorf("sent %v, want silence and a count", n)
	}
}

func TestMRoute_ownDatagramWithoutChecksum_getsOneOnTheWay(t *testing.T) {
	o := routing(t)
	o.ports[0].dev.SetFeatures(napi.FeatureHWCsum) // the sender leaves the sum to it
	check(t, o.setopt(0, mrtAddMFC, mfcctl(mrAddr(0, 1), grp, 0, map[int]uint8{1: 1})))
	o.join(0, grp)
	s := o.udpSocket(0, 9)
	o.ports[0].take()
	o.ports[1].take()
	check(t, o.send(0, grp, []byte("news")))
	n := 0
	for _, f := range o.ports[1].take() {
		if header.Ethernet(f).Type() == header.EthPIP && f[23] == header.ProtoUDP {
			if p := parseIP(t, f); string(p.data[8:]) != "news" { // looks at the checksum
				t.Errorf("%x", f)
			}
			n++
		}
	}
	if d, _, _, err := recvFrom(s, 9); n != 1 || string(d) != "news" {
		t.Errorf("%d forwarded; the member here got %q, %v", n, d, err)
	}
}

func TestMRoute_forwarding_allocatesNothing(t *testing.T) {
	o := routing(t)
	check(t, o.setopt(0, mrtAddMFC, mfcctl(mrAddr(0, 9), grp, 0, map[int]uint8{1: 1, 2: 1})))
	for _, p := range o.ports {
		p.discard = true
	}
	f := mrFrame(mrAddr(0, 9), grp, 9, []byte("payload"))
	o.feed(0, f)
	if n := testing.AllocsPerRun(200, func() { o.feed(0, f) }); n > 0 {
		t.Errorf("%v allocations for a packet to two links", n)
	}
}

// BenchmarkMRoute_forward passes a packet of 64 bytes to a group on to another
// link.
func BenchmarkMRoute_forward(b *testing.B) {
	h, in, out := benchHost(b)
	s := h.rawSocket(header.ProtoIGMP)
	set := func(name int, v []byte) { check(b, s.SetSockOpt(syscall.SOL_IP, name, v)) }
	set(mrtInit, le(1))
	for i, d := range []*benchNIC{in, out} {
		set(mrtAddVIF, vifctl(uint16(i), 8, 1, le(uint32(d.dev.Ifindex())), be(0)))
	}
	set(mrtAddMFC, mfcctl(peerIP, grp, 0, map[int]uint8{1: 1}))
	in.frames = [][]byte{mrFrame(peerIP, grp, 9, make([]byte, 22))}
	in.fresh = 64
	pass(h.net, in, 64)
	out.sent = 0
	b.ReportAllocs()
	b.ResetTimer()
	pass(h.net, in, b.N)
	if out.sent != b.N {
		b.Errorf("%d of %d packets passed on", out.sent, b.N)
	}
}

// FuzzMRouteOptions sets options with any value and sends packets in between:
// nothing may break, and what was set up must be gone with the daemon.
func FuzzMRouteOptions(f *testing.F) {
	f.Add([]byte{mrtInit - 200, mrtAddVIF - 200, mrtAddMFC - 200, 99, mrtDelVIF - 200}, vifctl(1, 8, 1, le(2), be(0)), mfcctl(mrAddr(0, 9), grp, 1, map[int]uint8{0: 1}))
	f.Add([]byte{0, 8, 2, 5, 98, 12, 1}, vifctl(3, 4, 1, le(2), be(0)), mfcctl(0, 0, 0, nil))
	f.Add([]byte{9, 0, 10, 11, 6, 7}, vifctl(31, 0, 1, be(mrAddr(1, 1)), be(0)), mfcctl(0, grp, 31, nil))
	o := newOwnRouter(f)
	for _, p := range o.ports {
		p.discard = true
	}
	f.Fuzz(func(t *testing.T, ops, vif, mfc []byte) {
		so, err := o.SockCreate(syscall.AF_INET, syscall.SOCK_RAW, header.ProtoIGMP)
		if err != nil {
			t.Fatal(err)
		}
		o.socks = append(o.socks, so)
		s := len(o.socks) - 1
		for _, op := range ops[:min(len(ops), 64)] {
			v := vif
			switch name := 200 + int(op%16); {
			case op >= 96:
				o.feed(int(op)%mrPorts, mrFrame(mrAddr(0, 9), grp, op%8, nil))
				continue
			case name >= mrtAddMFC && name <= mrtDelMFC, name >= mrtAddMFCProxy && name <= mrtDelMFCProxy:
				v = mfc
			case name != mrtAddVIF && name != mrtDelVIF:
				v = vif[:min(4, len(vif))]
			}
			o.setopt(s, 200+int(op%16), v)
			o.getopt(s, 200+int(op%16), 4)
			o.ioctl(s, 0x89e0+uint(op&1), append(append([]byte(nil), mfc...), make([]byte, 40)...))
			o.proc("ip_mr_cache")
			o.proc("ip_mr_vif")
		}
		o.setopt(s, mrtFlush, le(15))
		o.shut(s)
		o.socks = o.socks[:s]
		for _, name := range []string{"all", "eth0", "eth1", "eth2"} {
			if v, err := o.net.Sysctl().Get("net.ipv4.conf." + name + ".mc_forwarding"); v != "0" {
				t.Errorf("mc_forwarding of %s is %s, %v", name, v, err)
			}
		}
	})
}

// TestMRoute_threeHosts_membersOnlyHear is a router between three hosts in
// virtual time, with a daemon that answers upcalls.
func TestMRoute_threeHosts_membersOnlyHear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &city{TB: t, stop: make(chan struct{})}
		router := c.space()
		var socks []*sock.Socket
		var in []*napi.NetDevice
		for i := range 3 {
			h, a := c.house(router, i)
			in = append(in, a)
			s := c.socket(h, 9)
			check(t, s.SetSockOpt(syscall.SOL_IP, syscall.IP_MULTICAST_TTL, []byte{8}))
			socks = append(socks, s)
		}
		for _, i := range []int{1, 2} {
			check(t, socks[i].SetSockOpt(syscall.SOL_IP, syscall.IP_ADD_MEMBERSHIP, concat(be(grp), be(0))))
		}
		d, err := router.SockCreate(syscall.AF_INET, syscall.SOCK_RAW, header.ProtoIGMP)
		check(t, err)
		socks = append(socks, d)
		check(t, d.SetSockOpt(syscall.SOL_IP, mrtInit, le(1)))
		for i, dev := range in {
			check(t, d.SetSockOpt(syscall.SOL_IP, mrtAddVIF, vifctl(uint16(i), 8, 1, le(uint32(dev.Ifindex())), be(0))))
		}
		var daemon = make(chan int)
		go func() {
			upcalls := 0
			for {
				m := newMsg(200, 0)
				n, err := d.RecvMsg(m, 0)
				select {
				case <-c.stop:
					daemon <- upcalls
					return
				default:
				}
				if p := m.Iov[0]; err == nil && n >= 20 && p[9] == 0 && p[8] == 1 {
					upcalls++
					src := header.AddrFrom4([4]byte(p[12:16]))
					d.SetSockOpt(syscall.SOL_IP, mrtAddMFC, mfcctl(src, grp, uint16(p[10]), map[int]uint8{1: 1, 2: 1}))
				}
			}
		}()
		for i := range 20 {
			if _, err := sendTo(socks[0], fmt.Append(nil, "news ", i), grp, 9); err != nil {
				t.Fatal(err)
			}
		}
		for _, i := range []int{1, 2} {
			// Four packets wait for the daemon; it may miss later ones, and
			// those that come when it has just answered may overtake.
			seen := map[string]bool{}
			for k := range 4 {
				m := newMsg(100, 0)
				n, err := socks[i].RecvMsg(m, 0)
				d := string(m.Iov[0][:max(n, 0)])
				if err != nil || !strings.HasPrefix(d, "news ") || seen[d] || string(m.Name[4:8]) != "\x0a\x01\x00\x02" {
					t.Errorf("host %d: packet %d: %q %v", i, k, d, err)
				}
				seen[d] = true
			}
		}
		if _, _, _, err := recvFrom(socks[0], 9); err != syscall.EAGAIN {
			t.Errorf("the sender, no member, hears %v", err)
		}
		close(c.stop)
		for _, s := range socks {
			s.Shutdown(syscall.SHUT_RD)
		}
		if n := <-daemon; n != 1 {
			t.Errorf("%d upcalls for one source", n)
		}
		for _, s := range socks {
			s.Release()
		}
		c.run.Wait()
		c.down()
	})
}

// FuzzMRouteFrames has a router with every kind of vif and entry take packets
// whose header checksum is right, and now and then a register message: nothing
// may break, and upcalls are at least an IP header long.
func FuzzMRouteFrames(f *testing.F) {
	udp := mrFrame(mrAddr(0, 9), grp, 9, []byte("data"))[14:]
	f.Add(udp, uint8(0))
	f.Add(mrFrame(mrAddr(0, 9), grp+1, 9, nil)[14:], uint8(1))
	f.Add(optionPacket([]byte{148, 4, 0, 0}, 2, append([]byte{0x16, 0, 0, 0}, be(grp)...)), uint8(2))
	f.Add(optionPacket([]byte{7, 7, 4, 0, 0, 0, 0, 0}, 17, udp[20:]), uint8(0))
	f.Add(ipPacket(header.Fields{Protocol: 103, Src: mrAddr(0, 9), Dst: mrAddr(0, 1)}, concat([]byte{0x21, 0, 0xde, 0xff, 0, 0, 0, 0}, udp)), uint8(0))
	o := routing(f)
	for _, p := range o.ports {
		p.discard = true
	}
	check(f, o.setopt(0, mrtPIM, le(4)))
	check(f, o.setopt(0, mrtAddVIF, vifctl(9, 4, 1, be(0), be(0))))
	check(f, o.setopt(0, mrtAddMFC, mfcctl(mrAddr(0, 9), grp, 0, map[int]uint8{0: 1, 1: 1, 2: 1, 9: 1})))
	check(f, o.setopt(0, mrtAddMFC, mfcctl(0, grp+2, 1, map[int]uint8{0: 1, 2: 1})))
	check(f, o.setopt(0, mrtAddMFC, mfcctl(0, 0, 2, map[int]uint8{0: 1, 1: 1, 2: 1})))
	o.join(0, grp)
	f.Fuzz(func(t *testing.T, p []byte, in uint8) {
		if len(p) < 20 || len(p) > 1400 {
			return
		}
		p = append([]byte(nil), p...)
		p[0] = 4<<4 | p[0]&15
		if h, ok := header.ParseIPv4(p); ok {
			h.UpdateChecksum()
		}
		i := int(in) % mrPorts
		mac := mrMAC(i)
		if p[16]>>4 == 14 {
			mac = [6]byte{1, 0, 0x5e, p[17] & 0x7f, p[18], p[19]}
		}
		o.feed(i, ethFrame(mac, peerMAC, header.EthPIP, p))
		for u := o.recv(0); u != nil; u = o.recv(0) {
			if len(u) < 20 {
				t.Errorf("upcall %x", u)
			}
		}
	})
}

func TestRouterAlert_forwardedPacketsOfTheProtocol_wholeToWhoAsked(t *testing.T) {
	o := newOwnRouter(t)
	o.setctl("ip_forward", "1")
	for i, p := range o.ports {
		n, err := o.IP().Neigh.Get(p.dev, mrAddr(i, 9))
		check(t, err)
		n.Update(peerMAC, 0x80, true)
	}
	rsvp, all := o.rawSocket(46), o.rawSocket(46)
	check(t, rsvp.SetSockOpt(syscall.SOL_IP, 5, le(1)))
	packet := func(proto uint8, frag uint16, payload []byte) []byte {
		p := optionPacket([]byte{148, 4, 0, 0}, proto, payload)
		h := header.IPv4(p)
		setSrc(h, mrAddr(0, 9))
		h.SetDst(mrAddr(1, 9))
		h.SetID(77)
		h.SetFragField(frag)
		h.UpdateChecksum()
		return ethFrame(mrMAC(0), peerMAC, header.EthPIP, p)
	}
	forwarded := func() int {
		o.run()
		n := 0
		for _, f := range o.ports[1].take() {
			if header.Ethernet(f).Type() == header.EthPIP {
				n++
			}
		}
		return n
	}
	o.feed(0, packet(46, 0, []byte("resv")))
	if d, _, _, err := recvFrom(rsvp, 99); err != nil || string(d[24:]) != "resv" {
		t.Errorf("%x %v", d, err)
	}
	if _, _, _, err := recvFrom(all, 99); err != syscall.EAGAIN || forwarded() != 0 {
		t.Error("it went to others too")
	}
	// In pieces: the socket gets it whole.
	o.feed(0, packet(46, header.IPMF, []byte("12345678")))
	o.feed(0, packet(46, 1, []byte("90")))
	if d, _, _, err := recvFrom(rsvp, 99); err != nil || string(d[24:]) != "1234567890" {
		t.Errorf("%x %v", d, err)
	}
	if forwarded() != 0 {
		t.Error("a piece was forwarded")
	}
	// Not of its protocol, not of its device, or no longer.
	o.feed(0, packet(200, 0, []byte("x")))
	if forwarded() != 1 {
		t.Error("another protocol's packet was not forwarded")
	}
	check(t, rsvp.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, []byte("eth2")))
	o.feed(0, packet(46, 0, []byte("x")))
	if forwarded() != 1 {
		t.Error("another device's packet was not forwarded")
	}
	check(t, rsvp.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, []byte("")))
	check(t, rsvp.SetSockOpt(syscall.SOL_IP, 5, le(0)))
	o.feed(0, packet(46, 0, []byte("x")))
	if forwarded() != 1 {
		t.Error("after the option was taken back it was not forwarded")
	}
}
