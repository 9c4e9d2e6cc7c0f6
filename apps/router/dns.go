package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Limits of the forwarder.
const (
	dnsQueries    = 256 // questions to upstream servers at a time; more are SERVFAIL
	dnsCacheSize  = 4096
	dnsCacheTime  = 24 * time.Hour   // the longest an answer is kept
	dnsEmptyTime  = 15 * time.Minute // the longest that there is no answer is
	dnsTryTime    = 2 * time.Second
	dnsLocalTTL   = 60 // seconds
	dnsUDPPayload = 1232
)

// forwarder answers the DNS questions of a network's hosts: names and addresses
// of the hosts themselves from the leases, everything else from the servers
// above, with a cache between.
type forwarder struct {
	domain  string // of the local hosts, with a dot at its end; empty: none
	self    netip.Prefix
	leases  *leases // nil: no hosts are known
	servers func() []string
	now     func() time.Time
	log     func(format string, args ...any)

	busy  chan struct{}
	cache dnsCache
}

// newForwarder makes one. servers returns those above, as "address:port".
func newForwarder(domain string, self netip.Prefix, l *leases, servers func() []string, now func() time.Time, log func(string, ...any)) *forwarder {
	if domain != "" {
		domain = dns.Fqdn(strings.ToLower(domain))
	}
	return &forwarder{
		domain: domain, self: self, leases: l, servers: servers, now: now, log: log,
		busy: make(chan struct{}, dnsQueries), cache: dnsCache{entries: make(map[dnsKey]*dnsEntry)},
	}
}

// listen serves an address, by UDP and TCP, until ctx ends.
func (f *forwarder) listen(ctx context.Context, at string) error {
	pc, err := net.ListenPacket("udp4", at)
	if err != nil {
		return fmt.Errorf("DNS: %w", err)
	}
	l, err := net.Listen("tcp4", at)
	if err != nil {
		pc.Close()
		return fmt.Errorf("DNS: %w", err)
	}
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: f}, {Listener: l, Handler: f}} {
		go func() {
			if err := s.ActivateAndServe(); err != nil && !errors.Is(err, net.ErrClosed) {
				f.log("DNS: %v", err)
			}
		}()
		context.AfterFunc(ctx, func() { s.Shutdown() })
	}
	return nil
}

// ServeDNS implements dns.Handler.
func (f *forwarder) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	_, stream := w.RemoteAddr().(*net.TCPAddr)
	a := f.answer(q)
	if !stream {
		size := dns.MinMsgSize
		if o := q.IsEdns0(); o != nil {
			size = min(max(int(o.UDPSize()), dns.MinMsgSize), dnsUDPPayload)
		}
		a.Truncate(size)
	}
	w.WriteMsg(a)
}

// answer finds the answer to a message.
func (f *forwarder) answer(q *dns.Msg) *dns.Msg {
	if q.Opcode != dns.OpcodeQuery {
		return new(dns.Msg).SetRcode(q, dns.RcodeNotImplemented)
	}
	if len(q.Question) != 1 {
		return new(dns.Msg).SetRcode(q, dns.RcodeFormatError)
	}
	if a := f.local(q); a != nil {
		return a
	}
	key := keyOf(q)
	if a := f.cache.get(key, f.now()); a != nil {
		return f.shape(q, a)
	}
	select {
	case f.busy <- struct{}{}:
		defer func() { <-f.busy }()
	default:
		return new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
	}
	a, err := f.ask(q)
	if err != nil {
		return new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
	}
	f.cache.put(key, a, f.now())
	return f.shape(q, a)
}

// shape makes what a server said the answer to a question of ours.
func (f *forwarder) shape(q, a *dns.Msg) *dns.Msg {
	a = a.Copy()
	a.Id, a.Question, a.RecursionAvailable = q.Id, q.Question, true
	a.Extra = withoutOpt(a.Extra)
	if o := q.IsEdns0(); o != nil {
		a.SetEdns0(dnsUDPPayload, o.Do())
	}
	return a
}

// ask asks the servers above, one after the other, by TCP what does not fit
// into a datagram.
func (f *forwarder) ask(q *dns.Msg) (*dns.Msg, error) {
	m := q.Copy()
	m.Extra = withoutOpt(m.Extra)
	o := q.IsEdns0()
	m.SetEdns0(dnsUDPPayload, o != nil && o.Do())
	m.RecursionDesired = true
	err := errors.New("no server is known")
	for range 2 {
		for _, server := range f.servers() {
			for _, proto := range []string{"udp", "tcp"} {
				m.Id = dns.Id()
				var a *dns.Msg
				c := dns.Client{Net: proto, Timeout: dnsTryTime, UDPSize: dnsUDPPayload}
				if a, _, err = c.Exchange(m, server); err != nil {
					break
				}
				if len(a.Question) != 1 || !strings.EqualFold(a.Question[0].Name, m.Question[0].Name) || a.Question[0].Qtype != m.Question[0].Qtype {
					err = errors.New("the answer is to something else")
					break
				}
				if !a.Truncated {
					return a, nil
				}
			}
		}
	}
	return nil, err
}

func withoutOpt(rrs []dns.RR) []dns.RR {
	var l []dns.RR
	for _, rr := range rrs {
		if rr.Header().Rrtype != dns.TypeOPT {
			l = append(l, rr)
		}
	}
	return l
}

// local answers for the hosts of the network, the router among them, and for
// nobody else: nil. Private names and addresses are not asked for above.
func (f *forwarder) local(q *dns.Msg) *dns.Msg {
	question := q.Question[0]
	name := strings.ToLower(question.Name)
	if addr, ok := reverse(name); ok {
		if !f.self.Contains(addr) {
			return nil
		}
		return f.pointer(q, addr)
	}
	host, ok := strings.CutSuffix(name, "."+f.domain)
	if f.domain == "" || !ok {
		if name != f.domain || f.domain == "" {
			return nil
		}
		host = ""
	}
	a := new(dns.Msg).SetReply(q)
	a.Authoritative, a.RecursionAvailable = true, true
	addr := netip.Addr{}
	if host == "router" {
		addr = f.self.Addr()
	} else if f.leases != nil {
		if e, ok := f.leases.named(host); ok {
			addr = e.Addr
		}
	}
	switch {
	case !addr.IsValid() && host != "":
		a.Rcode = dns.RcodeNameError
	case addr.IsValid() && (question.Qtype == dns.TypeA || question.Qtype == dns.TypeANY):
		a.Answer = []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: dnsLocalTTL},
			A:   addr.AsSlice(),
		}}
	}
	return a
}

// pointer answers for an address of the network.
func (f *forwarder) pointer(q *dns.Msg, addr netip.Addr) *dns.Msg {
	a := new(dns.Msg).SetReply(q)
	a.Authoritative, a.RecursionAvailable = true, true
	host := ""
	if addr == f.self.Addr() {
		host = "router"
	} else if f.leases != nil {
		if e, ok := f.leases.of(addr); ok {
			host = e.Name
		}
	}
	if host == "" || f.domain == "" {
		a.Rcode = dns.RcodeNameError
		return a
	}
	if t := q.Question[0].Qtype; t == dns.TypePTR || t == dns.TypeANY {
		a.Answer = []dns.RR{&dns.PTR{
			Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: dnsLocalTTL},
			Ptr: host + "." + f.domain,
		}}
	}
	return a
}

// reverse returns the address whose name below in-addr.arpa this is.
func reverse(name string) (netip.Addr, bool) {
	rest, ok := strings.CutSuffix(name, ".in-addr.arpa.")
	if !ok {
		return netip.Addr{}, false
	}
	l := strings.Split(rest, ".")
	if len(l) != 4 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(l[3] + "." + l[2] + "." + l[1] + "." + l[0])
	return a, err == nil
}

// dnsKey is what an answer depends on.
type dnsKey struct {
	name        string
	kind, class uint16
	do, cd      bool
}

func keyOf(q *dns.Msg) dnsKey {
	o := q.IsEdns0()
	return dnsKey{strings.ToLower(q.Question[0].Name), q.Question[0].Qtype, q.Question[0].Qclass, o != nil && o.Do(), q.CheckingDisabled}
}

type dnsEntry struct {
	msg         *dns.Msg
	since, ends time.Time
}

// dnsCache keeps answers as long as they say (RFC 2308 for those that say that
// there is nothing). When it is full, the map's random order chooses who goes.
type dnsCache struct {
	mu      sync.Mutex
	entries map[dnsKey]*dnsEntry
}

// get returns an answer with what is left of its times.
func (c *dnsCache) get(k dnsKey, now time.Time) *dns.Msg {
	c.mu.Lock()
	e := c.entries[k]
	if e != nil && !now.Before(e.ends) {
		delete(c.entries, k)
		e = nil
	}
	c.mu.Unlock()
	if e == nil {
		return nil
	}
	a, age := e.msg.Copy(), uint32(now.Sub(e.since)/time.Second)
	for _, rrs := range [][]dns.RR{a.Answer, a.Ns, a.Extra} {
		for _, rr := range rrs {
			if h := rr.Header(); h.Rrtype != dns.TypeOPT {
				h.Ttl -= min(age, h.Ttl)
			}
		}
	}
	return a
}

func (c *dnsCache) put(k dnsKey, a *dns.Msg, now time.Time) {
	d := keepTime(a)
	if d <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for old := range c.entries {
		if len(c.entries) < dnsCacheSize {
			break
		}
		delete(c.entries, old)
	}
	c.entries[k] = &dnsEntry{a, now, now.Add(d)}
}

// keepTime is how long an answer may be kept: the least TTL of its records, and
// that of the zone's SOA record when there are none.
func keepTime(a *dns.Msg) time.Duration {
	if a.Rcode != dns.RcodeSuccess && a.Rcode != dns.RcodeNameError {
		return 0
	}
	d := dnsCacheTime
	if len(a.Answer) == 0 || a.Rcode == dns.RcodeNameError {
		d = 0
		for _, rr := range a.Ns {
			if soa, ok := rr.(*dns.SOA); ok {
				d = min(time.Duration(min(soa.Minttl, soa.Hdr.Ttl))*time.Second, dnsEmptyTime)
			}
		}
	}
	for _, rrs := range [][]dns.RR{a.Answer, a.Ns} {
		for _, rr := range rrs {
			d = min(d, time.Duration(rr.Header().Ttl)*time.Second)
		}
	}
	return d
}
