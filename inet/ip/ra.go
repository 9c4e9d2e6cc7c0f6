package ip

import (
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/skb"
	"barewire/skb/header"
)

// raChain is the raw socks that asked for packets with the router alert option
// (RFC 2113; Linux: ip_ra_chain).
type raChain struct {
	mu   sync.Mutex // writers
	list atomic.Pointer[[]raEntry]
}

type raEntry struct {
	s       *Sock
	destroy func()
}

// RouterAlert has the sock take forwarded packets of its protocol that carry
// the router alert option, or no longer (Linux: ip_ra_control, IP_ROUTER_ALERT).
// destroy, which may be nil, is called when it no longer does, without locks.
// Errors: EINVAL unless it is a raw sock that receives, EADDRINUSE when it is
// in the chain already, ENOBUFS when it was not and is to leave it. Process
// context.
func (s *Sock) RouterAlert(on bool, destroy func()) error {
	if s.Type != syscall.SOCK_RAW || s.Ident().Num == header.ProtoRaw {
		return syscall.EINVAL
	}
	c := &s.IP.alerts
	c.mu.Lock()
	var l []raEntry
	if p := c.list.Load(); p != nil {
		l = *p
	}
	i := slices.IndexFunc(l, func(e raEntry) bool { return e.s == s })
	switch {
	case i >= 0 && on:
		c.mu.Unlock()
		return syscall.EADDRINUSE
	case i < 0 && !on:
		c.mu.Unlock()
		return syscall.ENOBUFS
	case on:
		l = append(slices.Clone(l), raEntry{s, destroy})
		c.list.Store(&l)
		c.mu.Unlock()
		return nil
	}
	gone := l[i]
	l = slices.Delete(slices.Clone(l), i, i+1)
	c.list.Store(&l)
	c.mu.Unlock()
	if gone.destroy != nil {
		gone.destroy()
	}
	return nil
}

// alerting reports whether the sock is in the chain.
func (s *Sock) alerting() bool {
	p := s.IP.alerts.list.Load()
	return p != nil && slices.ContainsFunc(*p, func(e raEntry) bool { return e.s == s })
}

// AlertRouters gives a packet with the router alert option to the socks that
// asked for it; false when nobody did, and then b is still the caller's (Linux:
// ip_call_ra_chain). Data is the IP header. Softirq context.
func (n *Net) AlertRouters(b *skb.Buff) bool {
	p := n.alerts.list.Load()
	if p == nil || len(*p) == 0 {
		return false
	}
	proto, dev := header.IPv4(b.Data()).Protocol(), b.DevIndex()
	var last *Sock
	for _, e := range *p {
		bound := e.s.BoundDev()
		if e.s.Ident().Num != uint16(proto) || bound != 0 && bound != dev {
			continue
		}
		// Who asks for the message wants it whole.
		if header.IPv4(b.Data()).IsFragment() {
			if b = n.defrag(b); b == nil {
				return true
			}
		}
		if last != nil {
			last.RcvRaw(b.Clone())
		}
		last = e.s
	}
	if last == nil {
		return false
	}
	last.RcvRaw(b)
	return true
}

// RcvRaw queues a packet from its IP header on (Linux: raw_rcv). Consumes b.
func (s *Sock) RcvRaw(b *skb.Buff) {
	b.Push(-b.NetworkOffset())
	s.Rcv(b, 1)
}

func hasAlert(b *skb.Buff) bool { return b.CB[2]&0xff000000 != 0 }
