package main

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

var lan = netip.MustParsePrefix("192.168.1.1/24") // read-only

// dhcpWorld is a server with a clock in the test's hand.
type dhcpWorld struct {
	*testing.T
	*dhcpServer
	now time.Time
}

func newDHCPWorld(t *testing.T, first, last string) *dhcpWorld {
	w := &dhcpWorld{T: t, now: time.Unix(1e9, 0)}
	w.dhcpServer = &dhcpServer{
		self: lan, domain: "lan", log: t.Logf,
		leases: newLeases(netip.MustParseAddr(first), netip.MustParseAddr(last), lan.Addr(), func() time.Time { return w.now }),
	}
	return w
}

// ask sends a message of host n and returns the kind of the answer and the address in it.
func (w *dhcpWorld) ask(n byte, kind dhcpv4.MessageType, mods ...dhcpv4.Modifier) (dhcpv4.MessageType, string) {
	w.Helper()
	m, err := dhcpv4.New(append([]dhcpv4.Modifier{
		dhcpv4.WithHwAddr(net.HardwareAddr{2, 0, 0, 0, 0, n}), dhcpv4.WithMessageType(kind)}, mods...)...)
	if err != nil {
		w.Fatal(err)
	}
	if m, err = dhcpv4.FromBytes(m.ToBytes()); err != nil {
		w.Fatal(err)
	}
	a := w.answer(m)
	if a == nil {
		return dhcpv4.MessageTypeNone, ""
	}
	if a, err = dhcpv4.FromBytes(a.ToBytes()); err != nil {
		w.Fatal(err)
	}
	if a.TransactionID != m.TransactionID || toAddr(a.ServerIdentifier()) != lan.Addr() {
		w.Errorf("answer %v", a.Summary())
	}
	if a.MessageType() != dhcpv4.MessageTypeNak && (toAddr(a.Router()[0]) != lan.Addr() || toAddr(a.DNS()[0]) != lan.Addr() ||
		net.IP(a.SubnetMask()).String() != "255.255.255.0" || a.DomainName() != "lan") {
		w.Errorf("answer %v", a.Summary())
	}
	return a.MessageType(), a.YourIPAddr.String()
}

func (w *dhcpWorld) want(n byte, kind dhcpv4.MessageType, answer dhcpv4.MessageType, addr string, mods ...dhcpv4.Modifier) {
	w.Helper()
	if k, a := w.ask(n, kind, mods...); k != answer || a != addr {
		w.Errorf("host %d, %v: %v %s, want %v %s", n, kind, k, a, answer, addr)
	}
}

func wish(addr string) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(net.ParseIP(addr)))
}

func from(server string) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.ParseIP(server)))
}

func has(addr string) dhcpv4.Modifier { return dhcpv4.WithClientIP(net.ParseIP(addr)) }

func TestDHCP_lifeOfALease(t *testing.T) {
	w := newDHCPWorld(t, "192.168.1.100", "192.168.1.101")
	const discover, offer, request, ack, nak = dhcpv4.MessageTypeDiscover, dhcpv4.MessageTypeOffer, dhcpv4.MessageTypeRequest, dhcpv4.MessageTypeAck, dhcpv4.MessageTypeNak
	w.want(1, discover, offer, "192.168.1.100")
	w.want(1, discover, offer, "192.168.1.100") // the same again
	w.want(1, request, ack, "192.168.1.100", from("192.168.1.1"), wish("192.168.1.100"), dhcpv4.WithOption(dhcpv4.OptHostName("Printer.example")))
	w.want(1, request, ack, "192.168.1.100", has("192.168.1.100")) // renews
	w.want(2, request, nak, "0.0.0.0", wish("192.168.1.100"))      // another's
	w.want(2, request, nak, "0.0.0.0", wish("10.0.0.9"))           // another network's
	w.want(2, discover, offer, "192.168.1.101", wish("192.168.1.100"))
	if l := w.leases.list(); len(l) != 1 || l[0].Name != "" {
		t.Errorf("leases %v: a renewal without a name takes the name away", l)
	}
	w.want(3, discover, dhcpv4.MessageTypeNone, "") // the pool is empty
	w.want(2, request, dhcpv4.MessageTypeNone, "", from("192.168.1.9"), wish("192.168.1.101"))
	w.want(3, discover, offer, "192.168.1.101") // host 2 went to another server

	// Host 1 comes back after its lease ended, and nobody needed the address.
	w.now = w.now.Add(leaseTime + time.Second)
	if l := w.leases.list(); len(l) != 0 {
		t.Errorf("leases %v after their time", l)
	}
	w.want(1, discover, offer, "192.168.1.100")
	w.now = w.now.Add(offerTime)
	w.want(4, discover, offer, "192.168.1.101") // ended longest ago
}

func TestDHCP_releaseAndDecline(t *testing.T) {
	w := newDHCPWorld(t, "192.168.1.100", "192.168.1.101")
	w.want(1, dhcpv4.MessageTypeRequest, dhcpv4.MessageTypeAck, "192.168.1.100", wish("192.168.1.100"))
	w.want(1, dhcpv4.MessageTypeRelease, dhcpv4.MessageTypeNone, "", has("192.168.1.100"))
	w.want(2, dhcpv4.MessageTypeDiscover, dhcpv4.MessageTypeOffer, "192.168.1.101")
	w.want(2, dhcpv4.MessageTypeDecline, dhcpv4.MessageTypeNone, "", wish("192.168.1.101"))
	w.want(2, dhcpv4.MessageTypeDiscover, dhcpv4.MessageTypeOffer, "192.168.1.100")
	w.want(3, dhcpv4.MessageTypeDiscover, dhcpv4.MessageTypeNone, "")
	w.now = w.now.Add(declineTime)
	w.want(3, dhcpv4.MessageTypeDiscover, dhcpv4.MessageTypeOffer, "192.168.1.100") // host 2 let its offer end first
	w.want(5, dhcpv4.MessageTypeInform, dhcpv4.MessageTypeAck, "0.0.0.0", has("192.168.1.50"))
}

// More clients than addresses: the table stays as large as the pool.
func TestDHCP_flood(t *testing.T) {
	w := newDHCPWorld(t, "192.168.1.1", "192.168.1.20") // with the router's own address in it
	for i := range 2000 {
		w.now = w.now.Add(100 * time.Millisecond)
		id := dhcpv4.WithGeneric(dhcpv4.OptionClientIdentifier, fmt.Append(nil, i))
		if k, a := w.ask(1, dhcpv4.MessageTypeDiscover, id); k == dhcpv4.MessageTypeOffer && a == "192.168.1.1" {
			t.Fatal("the router's own address was offered")
		}
	}
	if n, m := len(w.leases.byAddr), len(w.leases.byClient); n != 19 || m != 19 {
		t.Errorf("%d addresses, %d clients", n, m)
	}
}

func TestPool_upperHalf(t *testing.T) {
	for self, want := range map[string]string{
		"192.168.1.1/24": "192.168.1.128-192.168.1.254",
		"10.0.0.1/8":     "10.128.0.0-10.255.255.254",
		"10.0.0.1/29":    "10.0.0.4-10.0.0.6",
		"10.0.0.1/30":    "too small",
	} {
		first, last, err := pool(netip.MustParsePrefix(self))
		if err != nil {
			if want != "too small" {
				t.Errorf("%s: %v", self, err)
			}
		} else if got := fmt.Sprintf("%v-%v", first, last); got != want {
			t.Errorf("%s: %s, want %s", self, got, want)
		}
	}
}

func FuzzDHCP(f *testing.F) {
	m, _ := dhcpv4.NewDiscovery(net.HardwareAddr{2, 0, 0, 0, 0, 1})
	f.Add(m.ToBytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := dhcpv4.FromBytes(b)
		if err != nil {
			return
		}
		w := newDHCPWorld(t, "192.168.1.100", "192.168.1.101")
		w.log = func(string, ...any) {}
		if a := w.answer(m); a != nil {
			a.ToBytes()
			replyTo(m, a)
		}
	})
}
