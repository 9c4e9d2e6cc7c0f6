package xtables_test

import (
	"testing"

	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

// mangled passes a packet through rules of mangle and returns what came out, nil
// for nothing. With partial the checksum is left to the device.
func mangled(t *testing.T, c *skb.Cache, k pkt, partial bool, rules ...string) []byte {
	t.Helper()
	w := newWorld(false)
	if err := w.Replace(config(t, "mangle", rules...)); err != nil {
		t.Fatal(err)
	}
	b := k.build(c)
	pseudo := header.PseudoSum(k.src, k.dst, k.proto, b.Len()-20)
	h := header.TCP(b.Data()[20:])
	if partial {
		h.SetChecksum(^skb.CsumFold(pseudo))
		if !b.SetCsumPartial(20, 16) {
			t.Fatal("SetCsumPartial")
		}
	} else {
		h.SetChecksum(0)
		h.SetChecksum(skb.CsumFold(b.Checksum(20, b.Len()-20, pseudo)))
	}
	in, out := k.state()
	if !w.hooks.Run(k.point, b, in, out, nil) {
		return nil
	}
	defer b.Consume()
	if !b.ChecksumHelp() {
		t.Fatal("ChecksumHelp")
	}
	p := append([]byte(nil), b.Data()...)
	ip := header.IPv4(p)
	if !ip.ChecksumOK() {
		t.Errorf("%s: IP checksum is wrong: %x", rules, p)
	}
	if ip.TotalLen() != len(p) {
		t.Errorf("%s: length %d of %d", rules, ip.TotalLen(), len(p))
	}
	if s := skb.CsumFold(skb.CsumPartial(p[20:], header.PseudoSum(ip.Src(), ip.Dst(), ip.Protocol(), len(p)-20))); s != 0 {
		t.Errorf("%s, partial %v: TCP checksum is wrong by %#x: %x", rules, partial, s, p)
	}
	return p
}

func TestTargets_tcpOptions_checksumsRight(t *testing.T) {
	c := newCache(t)
	syn := pkt{src: 0x0a000001, dst: 0x0a000002, proto: 6, sport: 1000, dport: 80, flags: header.TCPSyn, in: "eth0", out: "eth1", point: netfilter.Forward, ttl: 64}
	const mss = "-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss "
	for _, k := range []struct{ opts, rule, want string }{
		{"\x02\x04\x05\xb4", mss + "1000", "\x02\x04\x03\xe8"},
		{"\x02\x04\x01\xf4", mss + "1000", "\x02\x04\x01\xf4"}, // never more than was offered
		{"\x01\x02\x04\x05\xb4\x00\x00\x00", mss + "1000", "\x01\x02\x04\x03\xe8\x00\x00\x00"},
		{"", mss + "1000", "\x02\x04\x02\x18"}, // none means 536
		{"", mss + "500", "\x02\x04\x01\xf4"},
		{"\x04\x02\x01\x01", mss + "500", "\x02\x04\x01\xf4\x04\x02\x01\x01"},
		{"\x02\x04\x05\xb4\x08\x0a12345678\x01\x01", "-A FORWARD -p tcp -j TCPOPTSTRIP --strip-options timestamp", "\x02\x04\x05\xb4\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"},
		{"\x02\x04\x05\xb4", "-A FORWARD -p tcp -j ECN --ecn-tcp-remove", "\x02\x04\x05\xb4"},
	} {
		for _, partial := range []bool{false, true} {
			p := syn
			p.opts = k.opts
			p.flags |= header.TCPEce | header.TCPCwr
			got := mangled(t, c, p, partial, k.rule)
			if got == nil {
				t.Fatalf("%s: dropped", k.rule)
			}
			th := header.TCP(got[20:])
			if opts := string(got[40 : 20+th.HeaderLen()]); opts != k.want {
				t.Errorf("%s of %q: options %q, want %q", k.rule, k.opts, opts, k.want)
			}
			if ecn := th.Flags() & (header.TCPEce | header.TCPCwr); (ecn == 0) != (k.rule[len(k.rule)-6:] == "remove") {
				t.Errorf("%s: flags %#x", k.rule, th.Flags())
			}
		}
	}
	short := syn
	short.short = 24
	short.opts = "\x02\x04\x05\xb4\x01\x01\x01\x01"
	w := newWorld(false)
	if err := w.Replace(config(t, "mangle", "-A FORWARD -p tcp -j TCPOPTSTRIP --strip-options 2")); err != nil {
		t.Fatal(err)
	}
	if w.send(c, &short) {
		t.Error("options that are cut off: went through")
	}
}

func TestTargets_header_checksumsRight(t *testing.T) {
	c := newCache(t)
	k := pkt{src: 0x0a000001, dst: 0x0a000002, proto: 6, ttl: 64, tos: 0x13, in: "eth0", out: "eth1", point: netfilter.Forward}
	for _, x := range []struct {
		rule     string
		ttl, tos uint8
	}{
		{"TTL --ttl-set 5", 5, 0x13}, {"TTL --ttl-dec 70", 0, 0x13}, {"TTL --ttl-inc 200", 255, 0x13},
		{"TOS --set-tos 0x20/0xe0", 64, 0x33}, {"TOS --xor-tos 0xff", 64, 0xec}, {"TOS --and-tos 0xfc", 64, 0x10},
		{"DSCP --set-dscp-class EF", 64, 0xbb},
	} {
		p := header.IPv4(mangled(t, c, k, false, "-A FORWARD -j "+x.rule))
		if p.TTL() != x.ttl || p.TOS() != x.tos {
			t.Errorf("%s: TTL %d, TOS %#x", x.rule, p.TTL(), p.TOS())
		}
	}
}
