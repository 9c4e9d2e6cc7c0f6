// Package ping is the ICMP datagram sockets of one stack: echo requests without
// the right to raw sockets (Linux: net/ipv4/ping.c). The identifier of the echo
// stands where UDP has the local port; a program sends and receives messages
// from the ICMP header on and nobody but the stack writes identifier and
// checksum.
//
// Who may make one is net.ipv4.ping_group_range, as in Linux nobody by default;
// everybody here is group 0.
package ping

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

	"barewire/inet/ip"
	"barewire/inet/sock"
	"barewire/napi/sysctl"
	"barewire/skb"
	"barewire/skb/header"
)

// Ping is the ping sockets of a namespace. It implements ip.PingHandler.
type Ping struct {
	ip     *ip.Net
	memory *sock.Memory
	groups atomic.Uint64 // ping_group_range: low in the high half

	mu    sync.Mutex // writers
	socks atomic.Pointer[map[uint16][]*Sock]
	rover uint16
}

// New makes the ping sockets of a namespace with their setting and
// /proc/net/icmp, and becomes its PingHandler. memory bounds what all receive
// queues hold together, in bytes.
func New(n *ip.Net, memory *sock.Memory) *Ping {
	p := &Ping{ip: n, memory: memory}
	p.socks.Store(&map[uint16][]*Sock{})
	p.groups.Store(1 << 32)
	n.Ping = p
	n.Dev.Proc().Register("icmp", p.show)
	n.Dev.Sysctl().RegisterFunc(func() []sysctl.Entry {
		return []sysctl.Entry{
			sysctl.Entry{
				Name: "net.ipv4.ping_group_range",
				Get: func() string {
					g := p.groups.Load()
					return fmt.Sprintf("%d\t%d", g>>32, uint32(g))
				},
				Set: func(s string) error {
					l, err := sysctl.Ints(s, 2)
					if err != nil || l[0] < 0 || l[1] < 0 || l[0] >= 1<<32-1 || l[1] >= 1<<32-1 {
						return syscall.EINVAL
					}
					if l[1] < l[0] {
						l[0], l[1] = 1, 0 // nobody
					}
					p.groups.Store(uint64(l[0])<<32 | uint64(l[1]))
					return nil
				},
			},
		}
	})
	return p
}

// allowed reports whether group 0 is in the range.
func (p *Ping) allowed() bool { return p.groups.Load()>>32 == 0 }

// change replaces the table by what f makes of a copy; mu is held.
func (p *Ping) change(f func(m map[uint16][]*Sock)) {
	old := *p.socks.Load()
	m := make(map[uint16][]*Sock, len(old)+1)
	for k, v := range old {
		m[k] = v
	}
	f(m)
	p.socks.Store(&m)
}

// getPort gives a sock the identity id, with a free identifier if it has none
// (Linux: ping_get_port). False when it is taken, or all are.
func (p *Ping) getPort(s *Sock, id *ip.Ident) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.Flag(sock.FlagDead) {
		return false
	}
	m := *p.socks.Load()
	if id.Num == 0 {
		for i := 0; ; i++ {
			if i == 1<<16 {
				return false
			}
			if p.rover++; p.rover != 0 && len(m[p.rover]) == 0 {
				id.Num = p.rover
				break
			}
		}
	}
	for _, o := range m[id.Num] {
		if o != s && !(o.Flag(sock.FlagReuse) && s.Flag(sock.FlagReuse)) {
			return false
		}
	}
	p.change(func(m map[uint16][]*Sock) { m[id.Num] = append([]*Sock{s}, m[id.Num]...) })
	s.SetIdent(id)
	return true
}

// unhash takes a sock out of the table and leaves it with identity id.
func (p *Ping) unhash(s *Sock, id *ip.Ident) {
	p.mu.Lock()
	defer p.mu.Unlock()
	num := s.Ident().Num
	p.change(func(m map[uint16][]*Sock) {
		var keep []*Sock
		for _, o := range m[num] {
			if o != s {
				keep = append(keep, o)
			}
		}
		if m[num] = keep; keep == nil {
			delete(m, num)
		}
	})
	s.SetIdent(id)
}

// lookup is ping_lookup: the sock of an identifier that takes packets to dst by
// the device.
func (p *Ping) lookup(num uint16, dst header.Addr, dev int32) *Sock {
	for _, s := range (*p.socks.Load())[num] {
		id := s.Ident()
		if id.RcvSaddr != 0 && id.RcvSaddr != dst {
			continue
		}
		if d := s.BoundDev(); d != 0 && d != dev {
			continue
		}
		return s
	}
	return nil
}

// Rcv implements ip.PingHandler (Linux: ping_rcv).
func (p *Ping) Rcv(b *skb.Buff) {
	h, ok := header.ParseICMP(b.Data())
	if !ok {
		b.Free(skb.HdrTrunc)
		return
	}
	s := p.lookup(h.EchoID(), header.IPv4(b.NetworkHeader()).Dst(), b.DevIndex())
	if s == nil {
		b.Free(skb.NoSocket)
		return
	}
	s.Rcv(b, 1)
}

// Err implements ip.PingHandler (Linux: ping_err).
func (p *Ping) Err(b *skb.Buff, typ, code uint8, info uint32) {
	q := header.IPv4(b.Data())
	h, ok := header.ParseICMP(b.Data()[q.HeaderLen():])
	if !ok || !supported(h.Type(), h.Code()) {
		return
	}
	s := p.lookup(h.EchoID(), q.Src(), b.DevIndex())
	if s == nil {
		return
	}
	s.PathError(b, typ, code, info)
	errno, hard := ip.ErrnoOf(typ, code)
	if typ == header.ICMPSourceQuench {
		errno = syscall.EREMOTEIO // ping wants to see it, as it does a redirect
	}
	if typ == header.ICMPDestUnreach && code == header.ICMPFragNeeded {
		if s.PMTUDisc() == ip.PMTUDiscDont {
			return
		}
		hard = true
	}
	if !s.Opt(ip.OptRecvErr) {
		if !hard || s.State() != sock.StateEstablished {
			return
		}
	} else {
		s.ICMPError(b, errno, typ, code, info, 0, q.HeaderLen())
	}
	s.SetError(errno)
}

// show is /proc/net/icmp (Linux: ping_v4_seq_show).
func (p *Ping) show(b []byte) []byte {
	b = ip.AppendSeq(b, ip.ProcHeader)
	m := *p.socks.Load()
	for num := range 1 << 16 {
		for _, s := range m[uint16(num)] {
			b = ip.AppendSeq(b, fmt.Sprintf("%5d", num&63)+s.ProcLine(num, int(s.Ident().Dport)))
		}
	}
	return b
}
