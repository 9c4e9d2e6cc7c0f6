package main

import (
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// upstream is a DNS server that answers every question for an address with
// 198.51.100.7 and counts them; names that begin with "no" do not exist, "big"
// needs TCP, "fail" is refused.
func upstream(t *testing.T) (addr string, asked *atomic.Int32) {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int32)
	h := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		asked.Add(1)
		a := new(dns.Msg).SetReply(q)
		name := q.Question[0].Name
		rr := func(s string) dns.RR {
			rr, err := dns.NewRR(s)
			if err != nil {
				t.Error(err)
			}
			return rr
		}
		switch _, udp := w.RemoteAddr().(*net.UDPAddr); {
		case strings.HasPrefix(name, "fail"):
			a.Rcode = dns.RcodeServerFailure
		case strings.HasPrefix(name, "no"):
			a.Rcode = dns.RcodeNameError
			a.Ns = []dns.RR{rr("example. 600 IN SOA ns.example. root.example. 1 2 3 4 30")}
		case strings.HasPrefix(name, "big") && udp:
			a.Truncated = true
		default:
			a.Answer = []dns.RR{rr(name + " 300 IN A 198.51.100.7")}
		}
		w.WriteMsg(a)
	})
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: h}, {Listener: l, Handler: h}} {
		go s.ActivateAndServe()
		t.Cleanup(func() { s.Shutdown() })
	}
	return pc.LocalAddr().String(), asked
}

func TestDNS_forwardsAndKeeps(t *testing.T) {
	addr, asked := upstream(t)
	now := time.Unix(1e9, 0)
	f := newForwarder("lan", lan, nil, func() []string { return []string{addr} }, func() time.Time { return now }, t.Logf)
	ask := func(name string, questions int32, rcode int, ttl uint32) {
		t.Helper()
		before := asked.Load()
		q := new(dns.Msg).SetQuestion(name, dns.TypeA)
		a := f.answer(q)
		if a.Id != q.Id || a.Rcode != rcode || !a.Response || !a.RecursionAvailable && rcode != dns.RcodeServerFailure {
			t.Errorf("%s: %v", name, a)
		}
		if ttl != 0 && (len(a.Answer) != 1 || a.Answer[0].Header().Ttl != ttl) {
			t.Errorf("%s: %v", name, a.Answer)
		}
		if n := asked.Load() - before; n != questions {
			t.Errorf("%s: %d questions, want %d", name, n, questions)
		}
	}
	ask("www.example.", 1, dns.RcodeSuccess, 300)
	now = now.Add(100 * time.Second)
	ask("WWW.Example.", 0, dns.RcodeSuccess, 200)
	now = now.Add(200 * time.Second)
	ask("www.example.", 1, dns.RcodeSuccess, 300)
	ask("big.example.", 2, dns.RcodeSuccess, 300)
	ask("nobody.example.", 1, dns.RcodeNameError, 0)
	ask("nobody.example.", 0, dns.RcodeNameError, 0)
	now = now.Add(30 * time.Second) // the SOA record's minimum
	ask("nobody.example.", 1, dns.RcodeNameError, 0)
	ask("fail.example.", 1, dns.RcodeServerFailure, 0)
	ask("fail.example.", 1, dns.RcodeServerFailure, 0)
	for i := range dnsCacheSize + 10 {
		f.cache.put(dnsKey{kind: uint16(i)}, &dns.Msg{Answer: []dns.RR{&dns.A{Hdr: dns.RR_Header{Ttl: 9}}}}, now)
	}
	if n := len(f.cache.entries); n != dnsCacheSize {
		t.Errorf("%d entries", n)
	}
}

func TestDNS_localNames(t *testing.T) {
	l := newLeases(netip.MustParseAddr("192.168.1.100"), netip.MustParseAddr("192.168.1.101"), lan.Addr(), time.Now)
	l.bind("x", "02:00:00:00:00:01", "printer", netip.MustParseAddr("192.168.1.100"), time.Hour)
	f := newForwarder("lan", lan, l, func() []string { return nil }, time.Now, t.Logf)
	for _, c := range []struct {
		name  string
		kind  uint16
		rcode int
		want  string
	}{
		{"Printer.LAN.", dns.TypeA, dns.RcodeSuccess, "192.168.1.100"},
		{"printer.lan.", dns.TypeAAAA, dns.RcodeSuccess, ""},
		{"router.lan.", dns.TypeA, dns.RcodeSuccess, "192.168.1.1"},
		{"scanner.lan.", dns.TypeA, dns.RcodeNameError, ""},
		{"lan.", dns.TypeA, dns.RcodeSuccess, ""},
		{"100.1.168.192.in-addr.arpa.", dns.TypePTR, dns.RcodeSuccess, "printer.lan."},
		{"1.1.168.192.in-addr.arpa.", dns.TypePTR, dns.RcodeSuccess, "router.lan."},
		{"101.1.168.192.in-addr.arpa.", dns.TypePTR, dns.RcodeNameError, ""},
		{"1.2.168.192.in-addr.arpa.", dns.TypePTR, dns.RcodeServerFailure, ""}, // for those above, of which there are none
		{"island.", dns.TypeA, dns.RcodeServerFailure, ""},
	} {
		a := f.answer(new(dns.Msg).SetQuestion(c.name, c.kind))
		got := ""
		if len(a.Answer) > 0 {
			got = strings.Fields(a.Answer[0].String())[4]
		}
		if a.Rcode != c.rcode || got != c.want {
			t.Errorf("%s: %s %q, want %s %q", c.name, dns.RcodeToString[a.Rcode], got, dns.RcodeToString[c.rcode], c.want)
		}
	}
	for _, q := range []*dns.Msg{{}, {MsgHdr: dns.MsgHdr{Opcode: dns.OpcodeUpdate}}, {Question: make([]dns.Question, 2)}} {
		if a := f.answer(q); a.Rcode != dns.RcodeFormatError && a.Rcode != dns.RcodeNotImplemented {
			t.Errorf("%v: %v", q, a)
		}
	}
}
