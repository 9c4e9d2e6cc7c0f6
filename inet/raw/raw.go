// Package raw is the raw IPv4 sockets of one stack (RFC 1122 section 3.4;
// Linux: net/ipv4/raw.c).
//
// [Raw] gives every sock that matches protocol, addresses and device a clone of
// a packet for this host, before the protocol sees it: what is delivered begins
// with the IP header and its transport checksum is nobody's business. What is
// sent gets an IP header, or with IP_HDRINCL brings its own.
package raw

import (
	"fmt"
	"sync"
	"sync/atomic"

	"barewire/inet/ip"
	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// Raw is the raw sockets of a namespace. It implements ip.RawHandler.
type Raw struct {
	ip     *ip.Net
	memory *sock.Memory

	mu   sync.Mutex // writers
	hash [256]atomic.Pointer[[]*Sock]
	n    atomic.Int64
}

// New makes the raw sockets of a namespace with /proc/net/raw and becomes its
// RawHandler. memory bounds what all receive queues hold together, in bytes.
func New(n *ip.Net, memory *sock.Memory) *Raw {
	r := &Raw{ip: n, memory: memory}
	n.Raw = r
	n.Dev.Proc().Register("raw", r.show)
	n.AddSockstat(ip.SockstatRaw, func(b []byte) []byte { return fmt.Appendf(b, "RAW: inuse %d\n", r.n.Load()) })
	return r
}

func (r *Raw) load(num uint16) []*Sock {
	if l := r.hash[uint8(num)].Load(); l != nil {
		return *l
	}
	return nil
}

// change replaces the list of a protocol; f gets a copy of it.
func (r *Raw) change(num uint16, f func(l []*Sock) []*Sock) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := f(append([]*Sock(nil), r.load(num)...))
	if len(l) == 0 {
		r.hash[uint8(num)].Store(nil)
		return
	}
	r.hash[uint8(num)].Store(&l)
}

// match is raw_v4_match: raddr is the other side's address, laddr ours.
func (s *Sock) match(num uint16, raddr, laddr header.Addr, dev int32) bool {
	id := s.Ident()
	bound := s.BoundDev()
	return id.Num == num && (id.Daddr == 0 || id.Daddr == raddr) && (id.RcvSaddr == 0 || id.RcvSaddr == laddr) &&
		(bound == 0 || bound == dev)
}

// Deliver implements ip.RawHandler.
func (r *Raw) Deliver(b *skb.Buff, proto uint8) bool {
	l := r.load(uint16(proto))
	if len(l) == 0 {
		return false
	}
	h := header.IPv4(b.NetworkHeader())
	src, dst := h.Src(), h.Dst()
	dev := b.DevIndex()
	found := false
	for _, s := range l {
		if !s.match(uint16(proto), src, dst, dev) {
			continue
		}
		found = true
		if proto == header.ProtoICMP && s.filtered(b) || dst.IsMulticast() && !s.McAllow(dst, src, dev) {
			continue
		}
		s.rcv(b.Clone())
	}
	return found
}

// filtered reports whether ICMP_FILTER keeps a message away (Linux:
// icmp_filter). Types it cannot name pass.
func (s *Sock) filtered(b *skb.Buff) bool {
	var h [header.ICMPLen]byte
	if b.CopyBits(0, h[:]) != len(h) {
		return true
	}
	return h[0] < 32 && s.filter.Load()>>h[0]&1 != 0
}

// rcv queues a packet from its IP header on (Linux: raw_rcv). Consumes b.
func (s *Sock) rcv(b *skb.Buff) {
	b.Push(-b.NetworkOffset())
	s.Sock.Rcv(b, 1)
}

// Err implements ip.RawHandler (Linux: raw_icmp_error).
func (r *Raw) Err(b *skb.Buff, typ, code uint8, info uint32) {
	q := header.IPv4(b.Data())
	dev := b.DevIndex()
	for _, s := range r.load(uint16(q.Protocol())) {
		if s.match(uint16(q.Protocol()), q.Dst(), q.Src(), dev) {
			s.PathError(b, typ, code, info)
			s.icmpErr(b, q, typ, code, info)
		}
	}
}

// icmpErr is raw_err.
func (s *Sock) icmpErr(b *skb.Buff, q header.IPv4, typ, code uint8, info uint32) {
	asked := s.Opt(ip.OptRecvErr)
	if typ == header.ICMPRedirect || typ == header.ICMPSourceQuench || !asked && s.State() != sock.StateEstablished {
		return
	}
	errno, hard := ip.ErrnoOf(typ, code)
	if typ == header.ICMPDestUnreach && code == header.ICMPFragNeeded {
		hard = s.PMTUDisc() != ip.PMTUDiscDont
	}
	if asked {
		payload := q.HeaderLen()
		if s.Opt(ip.OptHdrIncl) {
			payload = 0
		}
		s.ICMPError(b, errno, typ, code, info, 0, payload)
	}
	if asked || hard {
		s.SetError(errno)
	}
}

// show is /proc/net/raw (Linux: raw_seq_show).
func (r *Raw) show(b []byte) []byte {
	b = append(append(b, ip.ProcHeader...), '\n')
	for i := range r.hash {
		for _, s := range r.load(uint16(i)) {
			b = fmt.Appendf(b, "%4d%s\n", i, s.ProcLine(int(s.Ident().Num), 0))
		}
	}
	return b
}
