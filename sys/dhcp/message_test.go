package dhcp

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

var testMAC = [6]byte{2, 0, 0, 0, 0, 1}

func testClient() *Client {
	return New(Config{Device: "eth0", HWAddr: testMAC})
}

// ack makes a server's answer with further options.
func ack(options ...dhcpv4.Option) *dhcpv4.DHCPv4 {
	m := testClient().message(7, dhcpv4.MessageTypeAck)
	m.OpCode = dhcpv4.OpcodeBootReply
	m.YourIPAddr = []byte{192, 0, 2, 9}
	m.UpdateOption(dhcpv4.OptServerIdentifier([]byte{192, 0, 2, 1}))
	for _, o := range options {
		m.UpdateOption(o)
	}
	return m
}

func raw(code uint8, b ...byte) dhcpv4.Option {
	return dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(code), b)
}

func TestLeaseOf_nonsense_isLeftOut(t *testing.T) {
	l, err := leaseOf(ack(raw(26, 0, 40), raw(12, []byte("two words")...), raw(15, []byte("a\nnameserver")...), raw(6, 224, 0, 0, 1, 192, 0, 2, 3), raw(121, 33, 1, 2, 3, 4, 5, 6, 7, 8, 9)))
	if err != nil {
		t.Fatal(err)
	}
	if l.MTU != 0 || l.Hostname != "" || len(l.DNS) != 1 || l.DNS[0] != netip.MustParseAddr("192.0.2.3") || len(l.Routes) != 0 {
		t.Errorf("%+v", l)
	}
	for _, s := range l.Search {
		if s != "a" && s != "nameserver" {
			t.Errorf("search domain %q", s)
		}
	}
	if l.Addr.Bits() != 24 || l.Time != time.Hour {
		t.Errorf("without mask and time: %v for %v", l.Addr, l.Time)
	}
	if _, err := leaseOf(ack(raw(1, 255, 0, 255, 0))); err == nil {
		t.Error("a netmask with a hole was taken")
	}
}

func TestTimes_orderIsKept(t *testing.T) {
	sec := func(code uint8, v uint32) dhcpv4.Option { return raw(code, binary.BigEndian.AppendUint32(nil, v)...) }
	for _, c := range []struct {
		time, t1, t2             uint32
		wantTime, wantT1, wantT2 time.Duration
	}{
		{800, 0, 0, 800, 400, 700},
		{800, 100, 200, 800, 100, 200},
		{800, 900, 1000, 800, 400, 700}, // beyond the lease
		{800, 300, 200, 800, 200, 200},  // T1 after T2
		{1, 0, 0, 10, 5, 8},             // too short to be meant
		{1<<32 - 1, 5, 6, 0, 0, 0},      // for ever
	} {
		l, err := leaseOf(ack(sec(51, c.time), sec(58, c.t1), sec(59, c.t2)))
		if err != nil {
			t.Fatal(err)
		}
		round := func(d time.Duration) time.Duration { return d / time.Second }
		if round(l.Time) != c.wantTime || round(l.Renew) != c.wantT1 || round(l.Rebind) != c.wantT2 {
			t.Errorf("%+v: %v, %v, %v", c, l.Time, l.Renew, l.Rebind)
		}
	}
}

func TestPayload_ownFrameReversed(t *testing.T) {
	b := frame(testMAC, broadcast, []byte("message"))
	if payload(b) != nil {
		t.Error("a client's message was taken for a server's")
	}
	binary.BigEndian.PutUint16(b[34:], serverPort)
	binary.BigEndian.PutUint16(b[36:], clientPort)
	if got := payload(append(b, "padding"...)); string(got) != "message" {
		t.Errorf("payload %q", got)
	}
	b[22]-- // the header's checksum is wrong now
	if payload(b) != nil {
		t.Error("a broken header was taken")
	}
}

// FuzzFrame checks that no frame from the wire harms the client, and that a
// lease it takes makes sense.
func FuzzFrame(f *testing.F) {
	good := frame(testMAC, broadcast, ack(raw(121, 24, 10, 1, 2, 192, 0, 2, 1), raw(119, 3, 'a', 'b', 'c', 0, 192, 0)).ToBytes())
	binary.BigEndian.PutUint16(good[34:], serverPort)
	binary.BigEndian.PutUint16(good[36:], clientPort)
	f.Add(good)
	f.Add(good[:60])
	c := testClient()
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 34 && b[14] == 0x45 { // the checksum is repaired, so that more gets through
			b[24], b[25] = 0, 0
			binary.BigEndian.PutUint16(b[24:], ^uint16(sum(b[14:34], 0)))
		}
		claims(b, testMAC, [4]byte{192, 0, 2, 9})
		p := payload(b)
		if p == nil {
			return
		}
		m := c.answer(p, dhcpv4.TransactionID{0, 0, 0, 7}, dhcpv4.MessageTypeAck)
		if m == nil || m.MessageType() != dhcpv4.MessageTypeAck {
			return
		}
		l, err := leaseOf(m)
		if err != nil {
			return
		}
		if !host(l.Addr.Addr()) || l.Addr.Bits() < 1 || l.Renew > l.Rebind || l.Rebind > l.Time || len(l.Routes) > maxRoutes || l.MTU != 0 && l.MTU < 576 {
			t.Errorf("lease %+v", l)
		}
	})
}
