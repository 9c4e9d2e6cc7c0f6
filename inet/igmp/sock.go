package igmp

import (
	"slices"
	"sync/atomic"
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/skb/header"
)

// sockState is what a socket has joined.
type sockState struct {
	// list is immutable, newest first; a change replaces it. Allow reads it.
	list atomic.Pointer[[]member]
}

// member is one membership of a socket (Linux: struct ip_mc_socklist).
type member struct {
	group   header.Addr
	ifindex int32
	ifaddr  header.Addr // as the program named the device
	mode    int
	hasList bool // a source list was set, if only an empty one
	sources []header.Addr
}

// request is a group and a device as the options name them (Linux: struct
// ip_mreqn).
type request struct {
	group, ifaddr header.Addr
	ifindex       int32
}

func (m *IGMP) members(s *ip.Sock) []member {
	if st, ok := m.socks.Load(s); ok {
		return *st.(*sockState).list.Load()
	}
	return nil
}

func (m *IGMP) setMembers(s *ip.Sock, l []member) {
	if len(l) == 0 {
		m.socks.Delete(s)
		return
	}
	if st, ok := m.socks.Load(s); ok {
		st.(*sockState).list.Store(&l)
		return
	}
	st := &sockState{}
	st.list.Store(&l)
	m.socks.Store(s, st)
}

// Allow implements ip.Multicast.
func (m *IGMP) Allow(s *ip.Sock, group, src header.Addr, ifindex int32) bool {
	if !group.IsMulticast() {
		return true
	}
	if st, ok := m.socks.Load(s); ok {
		l := *st.(*sockState).list.Load()
		for i := range l {
			if e := &l[i]; e.group == group && e.ifindex == ifindex {
				return slices.Contains(e.sources, src) == (e.mode == include)
			}
		}
	}
	return s.Opt(ip.OptMulticastAll)
}

// Drop implements ip.Multicast.
func (m *IGMP) Drop(s *ip.Sock) {
	if _, ok := m.socks.Load(s); !ok {
		return
	}
	m.cfg.Lock()
	defer m.cfg.Unlock()
	for _, e := range m.members(s) {
		m.forget(&e)
	}
	m.setMembers(s, nil)
}

// forget takes a membership out of the device's combination (Linux:
// ip_mc_leave_src, ip_mc_dec_group). cfg is held.
func (m *IGMP) forget(e *member) {
	if d := m.device(e.ifindex); d != nil {
		m.delSources(d, e.group, e.mode, e.sources, false)
		m.leave(d, e.group)
	}
}

// findDev finds the device of a request and notes its index (Linux:
// ip_mc_find_dev): the index, the address, or the route to the group.
func (m *IGMP) findDev(r *request) *device {
	if r.ifindex != 0 {
		return m.device(r.ifindex)
	}
	if r.ifaddr != 0 {
		in := m.ip.AddrOwner(r.ifaddr)
		if in == nil {
			return nil
		}
		r.ifindex = in.Dev.Ifindex()
		return m.device(r.ifindex)
	}
	rt, err := m.ip.RouteOutput(&fib.Flow{Dst: r.group})
	if err != 0 {
		return nil
	}
	r.ifindex = rt.Dev.Ifindex()
	return m.device(r.ifindex)
}

// joinGroup is __ip_mc_join_group. cfg is held.
func (m *IGMP) joinGroup(s *ip.Sock, r *request, mode int) error {
	if !r.group.IsMulticast() {
		return syscall.EINVAL
	}
	d := m.findDev(r)
	if d == nil {
		return syscall.ENODEV
	}
	l := m.members(s)
	if indexOf(l, r) >= 0 {
		return syscall.EADDRINUSE
	}
	if len(l) >= int(m.maxMemberships.Load()) {
		return syscall.ENOBUFS
	}
	m.setMembers(s, append([]member{{group: r.group, ifindex: r.ifindex, ifaddr: r.ifaddr, mode: mode}}, l...))
	m.join(d, r.group, mode)
	return nil
}

func indexOf(l []member, r *request) int {
	return slices.IndexFunc(l, func(e member) bool { return e.group == r.group && e.ifindex == r.ifindex })
}

// leaveGroup is ip_mc_leave_group. cfg is held.
func (m *IGMP) leaveGroup(s *ip.Sock, r *request) error {
	d := m.findDev(r)
	if r.ifindex == 0 && r.ifaddr == 0 && d == nil {
		return syscall.ENODEV
	}
	l := m.members(s)
	i := slices.IndexFunc(l, func(e member) bool {
		switch {
		case e.group != r.group:
			return false
		case r.ifindex != 0:
			return e.ifindex == r.ifindex
		}
		return r.ifaddr == 0 || e.ifaddr == r.ifaddr
	})
	if i < 0 {
		return syscall.EADDRNOTAVAIL
	}
	e := l[i]
	m.setMembers(s, slices.Delete(slices.Clone(l), i, i+1))
	m.forget(&e)
	return nil
}

// changeSource adds or takes away one source of a filter (Linux:
// ip_mc_source). cfg is held.
func (m *IGMP) changeSource(s *ip.Sock, r *request, src header.Addr, mode int, add bool) error {
	if !r.group.IsMulticast() {
		return syscall.EINVAL
	}
	d := m.findDev(r)
	if d == nil {
		return syscall.ENODEV
	}
	l := slices.Clone(m.members(s))
	i := indexOf(l, r)
	if i < 0 {
		return syscall.EINVAL // must have joined before
	}
	e := &l[i]
	if e.mode != mode {
		if e.hasList {
			return syscall.EINVAL
		}
		m.addSources(d, r.group, mode, nil, false)
		m.delSources(d, r.group, e.mode, nil, false)
		e.mode = mode
		m.setMembers(s, l) // stays, even if the rest fails
		l = slices.Clone(l)
		e = &l[i]
	}
	at := slices.Index(e.sources, src)
	if !add {
		if at < 0 {
			return syscall.EADDRNOTAVAIL
		}
		if len(e.sources) == 1 && mode == include {
			return m.leaveGroup(s, r) // INCLUDE of nothing is no membership
		}
		m.delSources(d, r.group, mode, []header.Addr{src}, true)
		e.sources = slices.Delete(slices.Clone(e.sources), at, at+1)
		m.setMembers(s, l)
		return nil
	}
	if e.hasList && len(e.sources) >= int(m.maxMSF.Load()) {
		return syscall.ENOBUFS
	}
	if at >= 0 {
		return syscall.EADDRNOTAVAIL
	}
	e.sources = append(slices.Clone(e.sources), src)
	e.hasList = true
	m.setMembers(s, l)
	m.addSources(d, r.group, mode, []header.Addr{src}, true)
	return nil
}

// setFilter replaces a whole filter (Linux: ip_mc_msfilter). cfg is held.
func (m *IGMP) setFilter(s *ip.Sock, r *request, mode int, srcs []header.Addr) error {
	if !r.group.IsMulticast() || mode != include && mode != exclude {
		return syscall.EINVAL
	}
	d := m.findDev(r)
	if d == nil {
		return syscall.ENODEV
	}
	if mode == include && len(srcs) == 0 {
		return m.leaveGroup(s, r)
	}
	l := slices.Clone(m.members(s))
	i := indexOf(l, r)
	if i < 0 {
		return syscall.EINVAL
	}
	e := &l[i]
	old := *e
	m.addSources(d, r.group, mode, srcs, false)
	e.mode, e.sources, e.hasList = mode, slices.Clone(srcs), len(srcs) > 0
	m.setMembers(s, l)
	m.delSources(d, r.group, old.mode, old.sources, false)
	return nil
}
