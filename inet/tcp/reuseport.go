package tcp

import (
	"slices"
	"sync/atomic"
	"syscall"

	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// reuseGroup is the listeners that share an address and port with SO_REUSEPORT
// (Linux: struct sock_reuseport).
type reuseGroup struct {
	selector atomic.Pointer[sock.Filter]
	// socks by the number a selector gives: that of their listen; the last takes
	// the place of one that leaves. Changed with hashinfo.lmu held.
	socks atomic.Pointer[[]*Sock]
}

func (g *reuseGroup) load() []*Sock {
	if p := g.socks.Load(); p != nil {
		return *p
	}
	return nil
}

// joinReuse gives a sock that begins to listen its group; lmu is held.
func (h *hashinfo) joinReuse(s *Sock) {
	if !s.Flag(sock.FlagReusePort) {
		return
	}
	id := s.Ident()
	var g *reuseGroup
	for _, o := range h.listen[id.Num] {
		if o.extra.group != nil && o.Ident().RcvSaddr == id.RcvSaddr && o.BoundDev() == s.BoundDev() {
			g = o.extra.group
			break
		}
	}
	if g == nil && s.rare != nil {
		g = s.rare.group // made with the selector
	}
	if g == nil {
		g = &reuseGroup{}
	}
	l := append(slices.Clone(g.load()), s)
	g.socks.Store(&l)
	s.extra.group = g
}

// leaveReuse is reuseport_detach_sock; lmu is held.
func (s *Sock) leaveReuse() {
	if s.extra == nil || s.extra.group == nil {
		return
	}
	l := slices.Clone(s.extra.group.load())
	if i := slices.Index(l, s); i >= 0 {
		l[i] = l[len(l)-1]
		l = l[:len(l)-1]
		s.extra.group.socks.Store(&l)
	}
}

// choose says who of a group gets a SYN (Linux: reuseport_select_sock): the one
// the selector names, or the flow's. b has its data at the TCP header hdr.
func (g *reuseGroup) choose(b *skb.Buff, hdr header.TCP, flow uint32) *Sock {
	l := g.load()
	if len(l) == 0 {
		return nil
	}
	if f := g.selector.Load(); f != nil && b != nil && b.Pull(len(hdr)) != nil {
		i := (*f).Run(b) // it sees the payload
		b.Push(len(hdr))
		if int64(i) < int64(len(l)) {
			return l[i]
		}
	}
	return l[uint64(flow)*uint64(len(l))>>32]
}

// SetSelector implements sock.Stream (Linux: reuseport_attach_prog,
// reuseport_detach_prog). EINVAL without SO_REUSEPORT, or when that came after
// listen; ENOENT when there is none to take off.
func (s *Sock) SetSelector(f sock.Filter) error {
	s.lock()
	defer s.unlock()
	var g *reuseGroup
	if s.State() == Listen {
		g = s.extra.group
	} else if s.Flag(sock.FlagReusePort) {
		r := s.mutableRare()
		if r.group == nil {
			r.group = &reuseGroup{}
		}
		g = r.group
	}
	switch {
	case g == nil && f == nil && s.Flag(sock.FlagReusePort):
		return syscall.ENOENT
	case g == nil:
		return syscall.EINVAL
	case f == nil && g.selector.Swap(nil) == nil:
		return syscall.ENOENT
	case f != nil:
		g.selector.Store(&f)
	}
	return nil
}
