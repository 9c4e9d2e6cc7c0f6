package qemu

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"
)

// The example of RFC 1071 section 3: the sum of these bytes is ddf2.
func TestChecksum_RFC1071(t *testing.T) {
	b := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}
	if got := ^Checksum(b); got != 0xddf2 {
		t.Fatalf("sum %04x", got)
	}
	if Checksum(b) != Checksum(b[:3], b[3:4], b[4:]) {
		t.Fatal("the sum depends on how the data is cut")
	}
}

// A ping request written out byte for byte.
func TestParseFrame_KnownPing(t *testing.T) {
	raw, err := hex.DecodeString("525400123456" + "5e227209f36e" + "0800" +
		"4500001c000040004001b6dd" + "c0000201" + "c0000202" + "0800e5ca12340001" + "000000000000000000000000000000000000")
	if err != nil {
		t.Fatal(err)
	}
	ip := IPv4{DF: true, Proto: ProtoICMP, Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr("192.0.2.2"),
		Payload: ICMP{Type: ICMPEcho, Rest: 0x12340001}.Marshal()}
	built := Ethernet(MAC{0x52, 0x54, 0, 0x12, 0x34, 0x56}, MAC{0x5e, 0x22, 0x72, 0x09, 0xf3, 0x6e}, EtherIPv4, ip.Marshal())
	if !bytes.Equal(built, raw) {
		t.Fatalf("built %x\n want %x", built[:42], raw[:42])
	}
	f, err := ParseFrame(built)
	if err != nil {
		t.Fatal(err)
	}
	if f.ICMP == nil || f.ICMP.Type != ICMPEcho || f.ICMP.Rest != 0x12340001 || f.IP.TTL != 64 || !f.IP.DF {
		t.Fatalf("parsed %+v %+v", f.IP, f.ICMP)
	}
}

func TestParseFrame_DamageIsSeen(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	u := UDP{Src: 1, Dst: 2, Payload: []byte("some payload of an odd size")}
	good := Ethernet(Broadcast, MAC{2}, EtherIPv4, IPv4{Proto: ProtoUDP, Src: a, Dst: b, Payload: u.Marshal(a, b)}.Marshal())
	if f, err := ParseFrame(good); err != nil || string(f.UDP.Payload) != string(u.Payload) {
		t.Fatalf("the good frame: %v", err)
	}
	for i := 14; i < 14+20+8+len(u.Payload); i++ {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		if f, err := ParseFrame(bad); err == nil && f.UDP != nil && !f.UDP.NoChecksum {
			t.Errorf("a flipped bit in byte %d went unseen", i)
		}
	}
}

func FuzzParseFrame(f *testing.F) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	f.Add(Ethernet(Broadcast, MAC{2}, EtherARP, ARP{Op: 1, SenderIP: a, TargetIP: b}.Marshal()))
	f.Add(Ethernet(Broadcast, MAC{2}, EtherIPv4, IPv4{Proto: ProtoUDP, Src: a, Dst: b, Payload: UDP{1, 2, false, []byte("x")}.Marshal(a, b)}.Marshal()))
	f.Add(Ethernet(Broadcast, MAC{2}, EtherIPv4, IPv4{Proto: ProtoICMP, Src: a, Dst: b, Options: []byte{7, 7, 4, 0, 0, 0, 0}, Payload: ICMP{Type: 8}.Marshal()}.Marshal()))
	f.Fuzz(func(t *testing.T, raw []byte) {
		fr, err := ParseFrame(raw)
		if err == nil && fr.UDP != nil && !fr.UDP.NoChecksum {
			// What is accepted is what the builder makes of it again.
			if again := fr.UDP.Marshal(fr.IP.Src, fr.IP.Dst); !bytes.Equal(again[:6], fr.IP.Payload[:6]) {
				t.Fatalf("%x is built again as %x", fr.IP.Payload, again)
			}
		}
	})
}
