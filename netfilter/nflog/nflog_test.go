package nflog

import (
	"encoding/hex"
	"strings"
	"testing"

	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/skbtest"
)

type dev string

func (dev) Ifindex() int32 { return 1 }
func (d dev) Name() string { return string(d) }

func line(t *testing.T, c *skb.Cache, in, out, packet string, f Flags, mac string) string {
	t.Helper()
	p, err := hex.DecodeString(strings.ReplaceAll(packet, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	m, err := hex.DecodeString(mac)
	if err != nil {
		t.Fatal(err)
	}
	b := c.Alloc(len(p) + len(m))
	defer b.Consume()
	b.PutData(m)
	b.PutData(p)
	b.ResetMacHeader()
	b.Pull(len(m))
	b.ResetNetworkHeader()
	var s netfilter.State
	if in != "" {
		s.In = dev(in)
	}
	if out != "" {
		s.Out = dev(out)
	}
	return string(Append(nil, b, s, "x: ", f))
}

func TestAppend_packets_asLinux(t *testing.T) {
	c := skbtest.New(t, skb.PageConfig{})
	const eth = "0a0b0c0d0e0f0102030405060800"
	ip := func(proto, rest string) string {
		return "45 b0 0054 0102 4000 40" + proto + "0000 0a000001 0a000002" + rest
	}
	for _, k := range []struct {
		in, out, packet string
		f               Flags
		mac, want       string
	}{
		{"eth0", "", ip("06", "00500051 00000001 00000002 6012 1000 0000 0003 020405b4"), 0, eth,
			"x: IN=eth0 OUT= MAC=0a:0b:0c:0d:0e:0f:01:02:03:04:05:06:08:00 SRC=10.0.0.1 DST=10.0.0.2 LEN=84 TOS=0x10 PREC=0xA0 TTL=64 ID=258 DF PROTO=TCP SPT=80 DPT=81 WINDOW=4096 RES=0x00 ACK SYN URGP=3 "},
		{"", "eth1", ip("06", "00500051 00000001 00000002 6012 1000 0000 0003 020405b4"), TCPSeq | TCPOpt, eth,
			"x: IN= OUT=eth1 SRC=10.0.0.1 DST=10.0.0.2 LEN=84 TOS=0x10 PREC=0xA0 TTL=64 ID=258 DF PROTO=TCP SPT=80 DPT=81 SEQ=1 ACK=2 WINDOW=4096 RES=0x00 ACK SYN URGP=3 OPT (020405B4) "},
		{"e", "f", ip("11", "0035 0036 0009 0000 41"), MACDecode, eth,
			"x: IN=e OUT=f MACSRC=01:02:03:04:05:06 MACDST=0a:0b:0c:0d:0e:0f MACPROTO=0800 SRC=10.0.0.1 DST=10.0.0.2 LEN=84 TOS=0x10 PREC=0xA0 TTL=64 ID=258 DF PROTO=UDP SPT=53 DPT=54 LEN=9 "},
		{"tun0", "", ip("01", "0800 0000 0007 0008"), 0, "",
			"x: IN=tun0 OUT= MAC= SRC=10.0.0.1 DST=10.0.0.2 LEN=84 TOS=0x10 PREC=0xA0 TTL=64 ID=258 DF PROTO=ICMP TYPE=8 CODE=0 ID=7 SEQ=8 "},
		{"tun0", "", ip("01", "0304 0000 0000 0578"+ip("11", "0001 0002 0008 0000")), 0, "",
			"x: IN=tun0 OUT= MAC= SRC=10.0.0.1 DST=10.0.0.2 LEN=84 TOS=0x10 PREC=0xA0 TTL=64 ID=258 DF PROTO=ICMP TYPE=3 CODE=4 [SRC=10.0.0.1 DST=10.0.0.2 LEN=84 TOS=0x10 PREC=0xA0 TTL=64 ID=258 DF PROTO=UDP SPT=1 DPT=2 LEN=8 ] MTU=1400 "},
		{"", "", ip("06", "0050"), 0, "", "x: IN= OUT= SRC=10.0.0.1 DST=10.0.0.2 LEN=84 TOS=0x10 PREC=0xA0 TTL=64 ID=258 DF PROTO=TCP INCOMPLETE [2 bytes] "},
		{"", "", ip("32", "00000001 00000000"), 0, "", "x: IN= OUT= SRC=10.0.0.1 DST=10.0.0.2 LEN=84 TOS=0x10 PREC=0xA0 TTL=64 ID=258 DF PROTO=ESP SPI=0x1 "},
		{"", "", ip("33", "00000001 000000ff 00000000"), 0, "", "x: IN= OUT= SRC=10.0.0.1 DST=10.0.0.2 LEN=84 TOS=0x10 PREC=0xA0 TTL=64 ID=258 DF PROTO=AH SPI=0xff "},
		{"", "", "46 00 0018 0000 2001 01 84 0000 0a000001 0a000002 94040000", IPOpt, "",
			"x: IN= OUT= SRC=10.0.0.1 DST=10.0.0.2 LEN=24 TOS=0x00 PREC=0x00 TTL=1 ID=0 MF FRAG:1 OPT (94040000) PROTO=132 "},
	} {
		if got := line(t, c, k.in, k.out, k.packet, k.f, k.mac); got != k.want {
			t.Errorf("got\n%s, want\n%s", got, k.want)
		}
	}
}

func FuzzAppend(f *testing.F) {
	f.Add([]byte{0x45}, uint8(255))
	f.Fuzz(func(t *testing.T, p []byte, fl uint8) {
		if len(p) > 1500 {
			return
		}
		c := skbtest.New(t, skb.PageConfig{})
		b := c.Alloc(len(p))
		b.PutData(p)
		b.ResetNetworkHeader()
		if got := Append(nil, b, netfilter.State{In: dev("a")}, "", Flags(fl)); len(got) > 2000 {
			t.Errorf("%d bytes: %s", len(got), got)
		}
		b.Consume()
	})
}
