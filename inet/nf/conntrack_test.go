package nf_test

import (
	"strings"
	"testing"

	"barewire/inet"
	"barewire/napi"
	"barewire/netfilter"
	"barewire/skb"
	"barewire/skb/header"
)

// TestConntrack_unused_noHooks: tracking costs nothing before somebody needs it,
// and nothing after the last does.
func TestConntrack_unused_noHooks(t *testing.T) {
	n, err := napi.New(napi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	in, err := inet.New(inet.Config{Net: n})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	empty := func() bool {
		for p := netfilter.PreRouting; p <= netfilter.PostRouting; p++ {
			if !in.Hooks().Empty(p) {
				return false
			}
		}
		return true
	}
	if !empty() {
		t.Error("hooks without a user")
	}
	first, second := in.NF().UseConntrack(), in.NF().UseConntrack()
	first()
	first() // counts once
	if empty() {
		t.Error("the second user is forgotten")
	}
	second()
	if !empty() {
		t.Error("hooks without a user any more")
	}
}

func TestLogInvalid_asked_oneLine(t *testing.T) {
	var log []string
	n, err := napi.New(napi.Config{Log: func(s string) { log = append(log, s) }})
	if err != nil {
		t.Fatal(err)
	}
	in, err := inet.New(inet.Config{Net: n})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer in.NF().UseConntrack()()
	send := func() {
		b := n.SKB().Alloc(200)
		p := b.Put(20 + 20)
		header.PutIPv4(p, &header.Fields{TotalLen: 40, TTL: 3, Protocol: 6, Src: 0x0a000001, Dst: 0x0a000002}).UpdateChecksum()
		header.PutTCP(p[20:], &header.TCPFields{SrcPort: 5, DstPort: 6, HeaderLen: 20, Flags: 0xff})
		b.IPSummed = skb.ChecksumUnnecessary
		in.NF().Conntrack.In(b, &netfilter.State{Point: netfilter.PreRouting})
		b.Consume()
	}
	log = nil
	send()
	if len(log) != 0 {
		t.Errorf("not asked for, %q", log)
	}
	if err := n.Sysctl().Set("net.netfilter.nf_conntrack_log_invalid", "6"); err != nil {
		t.Fatal(err)
	}
	send()
	const want = "nf_ct_proto_6: invalid tcp flag combination IN= OUT= SRC=10.0.0.1 DST=10.0.0.2 LEN=40 "
	if len(log) != 1 || !strings.HasPrefix(log[0], want) {
		t.Errorf("logged %q, want %q ...", log, want)
	}
}
