package qemu

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// A lease's life when its server goes silent: the image asks that one at T1, anybody at T2, takes another server's
// extension, and gives the address up when nobody extends it any more.
func TestDHCP_leaseRebindsAndEnds(t *testing.T) {
	m, p := startWired(t, Config{Kernel: image(t, echoApp), Append: "ip=dhcp"}, Dgram)
	second := netip.MustParseAddr("192.0.2.3")
	var started time.Time
	// message waits for a message of the client and says whether it went to everybody.
	message := func(what string, typ dhcpv4.MessageType, timeout time.Duration) (*dhcpv4.DHCPv4, *Frame) {
		t.Helper()
		var msg *dhcpv4.DHCPv4
		f, err := p.Expect(timeout, func(f *Frame) bool {
			if f.UDP == nil || f.UDP.Dst != 67 {
				return false
			}
			d, err := dhcpv4.FromBytes(f.UDP.Payload)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			msg = d
			return d.MessageType() == typ
		})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		t.Logf("%s: %v to %v", what, typ, f.IP.Dst)
		return msg, f
	}
	answer := func(q *dhcpv4.DHCPv4, typ dhcpv4.MessageType, server, addr netip.Addr) {
		t.Helper()
		a, err := dhcpv4.NewReplyFromRequest(q, dhcpv4.WithMessageType(typ), dhcpv4.WithServerIP(server.AsSlice()), dhcpv4.WithYourIP(addr.AsSlice()),
			dhcpv4.WithLeaseTime(10), dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithRouter(server.AsSlice()),
			dhcpv4.WithOption(dhcpv4.OptServerIdentifier(server.AsSlice())),
			dhcpv4.WithGeneric(dhcpv4.OptionRenewTimeValue, []byte{0, 0, 0, 3}), dhcpv4.WithGeneric(dhcpv4.OptionRebindingTimeValue, []byte{0, 0, 0, 5}))
		must(t, err)
		u := UDP{Src: 67, Dst: 68, Payload: a.ToBytes()}
		must(t, p.SendIP(MAC(q.ClientHWAddr), IPv4{Proto: ProtoUDP, Src: server, Dst: addr, Payload: u.Marshal(server, addr)}))
	}
	lease := func(server, addr netip.Addr) {
		t.Helper()
		q, _ := message("looks for a server", dhcpv4.MessageTypeDiscover, bootTime)
		answer(q, dhcpv4.MessageTypeOffer, server, addr)
		q, _ = message("takes the offer", dhcpv4.MessageTypeRequest, 5*time.Second)
		started = time.Now()
		answer(q, dhcpv4.MessageTypeAck, server, addr)
	}
	within := func(what string, min, max time.Duration) {
		t.Helper()
		if d := time.Since(started); d < min || d > max {
			t.Errorf("%s after %v, want %v to %v", what, d, min, max)
		}
	}
	lease(hostIP, guestIP)
	q, f := message("renews", dhcpv4.MessageTypeRequest, 10*time.Second)
	within("renewed", 2*time.Second, 4500*time.Millisecond)
	if f.IP.Dst != hostIP || f.IP.Src != guestIP || !q.ClientIPAddr.Equal(guestIP.AsSlice()) || q.ServerIdentifier() != nil {
		t.Errorf("renews with %v", q)
	}
	q, f = message("asks anybody", dhcpv4.MessageTypeRequest, 10*time.Second)
	within("rebound", 4*time.Second, 7*time.Second)
	if f.Dst != Broadcast || f.IP.Src != guestIP || !q.ClientIPAddr.Equal(guestIP.AsSlice()) {
		t.Errorf("rebinds with %v to %v", q, f.IP.Dst)
	}
	mac := MAC(q.ClientHWAddr)
	started = time.Now()
	answer(q, dhcpv4.MessageTypeAck, second, guestIP)
	if _, err := p.Ping(mac, guestIP, 1, 1, []byte("still there"), 2*time.Second); err != nil {
		t.Error(err)
	}
	p.IP = second // to be found by ARP
	_, f = message("renews with the other", dhcpv4.MessageTypeRequest, 10*time.Second)
	p.IP = hostIP
	if f.IP.Dst != second {
		t.Errorf("the renewal went to %v, not to who extended the lease", f.IP.Dst)
	}
	if _, err := m.Console.WaitFor(`^eth0: the lease of 192\.0\.2\.2 has ended`, 12*time.Second); err != nil {
		t.Fatal(err)
	}
	within("ended", 9*time.Second, 12*time.Second)
	time.Sleep(100 * time.Millisecond) // the line is first
	if _, err := p.Resolve(guestIP, 300*time.Millisecond); err == nil {
		t.Error("the address is answered for after the lease's end")
	}
	other := netip.MustParseAddr("192.0.2.60")
	lease(hostIP, other)
	if _, err := m.Console.WaitFor(`^eth0: 192\.0\.2\.60/24 from 192\.0\.2\.1 by DHCP`, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Ping(mac, other, 1, 2, []byte("here again"), 2*time.Second); err != nil {
		t.Error(err)
	}
}
