package igmp

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/ip"
	"barewire/skb/header"
)

// Options of level SOL_IP that package syscall lacks for some platforms
// (Linux: include/uapi/linux/in.h).
const (
	ipAddMembership     = 35
	ipDropMembership    = 36
	ipUnblockSource     = 37
	ipBlockSource       = 38
	ipAddSource         = 39
	ipDropSource        = 40
	ipMSFilter          = 41
	mcastJoinGroup      = 42
	mcastBlockSource    = 43
	mcastUnblockSource  = 44
	mcastLeaveGroup     = 45
	mcastJoinSource     = 46
	mcastLeaveSource    = 47
	mcastMSFilter       = 48
	mreqLen             = 8   // struct ip_mreq
	mreqnLen            = 12  // struct ip_mreqn, struct ip_mreq_source
	msfilterLen         = 16  // struct ip_msfilter without sources
	storageLen          = 128 // struct sockaddr_storage
	groupReqLen         = 8 + storageLen
	groupSourceReqLen   = groupReqLen + storageLen
	groupFilterLen      = groupReqLen + 8 // struct group_filter without sources
	groupFilterModeOff  = groupReqLen
	groupFilterCountOff = groupReqLen + 4
)

func addrAt(p []byte) header.Addr { return header.Addr(binary.BigEndian.Uint32(p)) }

// storage reads a sockaddr_storage; ok is false unless it is of AF_INET.
func storage(p []byte) (a header.Addr, ok bool) {
	return addrAt(p[4:]), binary.LittleEndian.Uint16(p) == syscall.AF_INET
}

// modeOf translates the mode of the interface: MCAST_EXCLUDE 0, MCAST_INCLUDE 1.
func modeOf(v uint32) int {
	if v > 1 {
		return -1
	}
	return int(v)
}

// SetSockOpt implements ip.Multicast (Linux: the membership options of
// do_ip_setsockopt). Errors are Linux's: EINVAL, ENODEV, EADDRINUSE,
// EADDRNOTAVAIL, ENOBUFS, and EPROTO on a stream socket.
func (m *IGMP) SetSockOpt(s *ip.Sock, name int, val []byte) (bool, error) {
	if name < ipAddMembership || name > mcastMSFilter {
		return false, nil
	}
	if s.Type == syscall.SOCK_STREAM && (name == ipAddMembership || name == ipDropMembership) {
		return true, syscall.EPROTO
	}
	m.cfg.Lock()
	defer m.cfg.Unlock()
	switch name {
	case ipAddMembership, ipDropMembership:
		return true, m.optMembership(s, name == ipAddMembership, val)
	case ipUnblockSource, ipBlockSource, ipAddSource, ipDropSource:
		if len(val) != mreqnLen {
			return true, syscall.EINVAL
		}
		r := request{group: addrAt(val), ifaddr: addrAt(val[4:])}
		return true, m.optSource(s, &r, addrAt(val[8:]), name == ipAddSource || name == ipDropSource,
			name == ipAddSource || name == ipBlockSource)
	case ipMSFilter:
		return true, m.optFilter(s, val)
	case mcastJoinGroup, mcastLeaveGroup:
		if len(val) < groupReqLen {
			return true, syscall.EINVAL
		}
		g, ok := storage(val[8:])
		if !ok {
			return true, syscall.EINVAL
		}
		r := request{group: g, ifindex: int32(binary.LittleEndian.Uint32(val))}
		if name == mcastJoinGroup {
			return true, m.joinGroup(s, &r, exclude)
		}
		return true, m.leaveGroup(s, &r)
	case mcastJoinSource, mcastLeaveSource, mcastBlockSource, mcastUnblockSource:
		if len(val) != groupSourceReqLen {
			return true, syscall.EINVAL
		}
		g, ok := storage(val[8:])
		src, ok2 := storage(val[groupReqLen:])
		if !ok || !ok2 {
			return true, syscall.EADDRNOTAVAIL
		}
		r := request{group: g, ifindex: int32(binary.LittleEndian.Uint32(val))}
		return true, m.optSource(s, &r, src, name == mcastJoinSource || name == mcastLeaveSource,
			name == mcastJoinSource || name == mcastBlockSource)
	default:
		return true, m.optGroupFilter(s, val)
	}
}

// optMembership takes a struct ip_mreq or ip_mreqn.
func (m *IGMP) optMembership(s *ip.Sock, join bool, val []byte) error {
	if len(val) < mreqLen {
		return syscall.EINVAL
	}
	r := request{group: addrAt(val), ifaddr: addrAt(val[4:])}
	if len(val) >= mreqnLen {
		r.ifindex = int32(binary.LittleEndian.Uint32(val[8:]))
	}
	if join {
		return m.joinGroup(s, &r, exclude)
	}
	return m.leaveGroup(s, &r)
}

// optSource changes one source; one that is to be included joins the group if
// need be.
func (m *IGMP) optSource(s *ip.Sock, r *request, src header.Addr, inc, add bool) error {
	mode := exclude
	if inc {
		mode = include
		if add {
			if err := m.joinGroup(s, r, include); err != nil && err != syscall.EADDRINUSE {
				return err
			}
		}
	}
	return m.changeSource(s, r, src, mode, add)
}

// optFilter takes a struct ip_msfilter.
func (m *IGMP) optFilter(s *ip.Sock, val []byte) error {
	if len(val) < msfilterLen {
		return syscall.EINVAL
	}
	n := binary.LittleEndian.Uint32(val[12:])
	if len(val) > int(m.ip.Limits.OptmemMax.Load()) || n >= 0x3ffffffc || int64(n) > int64(m.maxMSF.Load()) {
		return syscall.ENOBUFS
	}
	if len(val) < msfilterLen+4*int(n) {
		return syscall.EINVAL
	}
	srcs := make([]header.Addr, n)
	for i := range srcs {
		srcs[i] = addrAt(val[msfilterLen+4*i:])
	}
	r := request{group: addrAt(val), ifaddr: addrAt(val[4:])}
	return m.setFilter(s, &r, modeOf(binary.LittleEndian.Uint32(val[8:])), srcs)
}

// optGroupFilter takes a struct group_filter.
func (m *IGMP) optGroupFilter(s *ip.Sock, val []byte) error {
	if len(val) < groupFilterLen {
		return syscall.EINVAL
	}
	n := binary.LittleEndian.Uint32(val[groupFilterCountOff:])
	if len(val) > int(m.ip.Limits.OptmemMax.Load()) || n >= 0x1ffffff || int64(n) > int64(m.maxMSF.Load()) {
		return syscall.ENOBUFS
	}
	if len(val) < groupFilterLen+storageLen*int(n) {
		return syscall.EINVAL
	}
	g, ok := storage(val[8:])
	srcs := make([]header.Addr, n)
	for i := range srcs {
		var is bool
		srcs[i], is = storage(val[groupFilterLen+storageLen*i:])
		ok = ok && is
	}
	if !ok {
		return syscall.EADDRNOTAVAIL
	}
	r := request{group: g, ifindex: int32(binary.LittleEndian.Uint32(val))}
	return m.setFilter(s, &r, modeOf(binary.LittleEndian.Uint32(val[groupFilterModeOff:])), srcs)
}

// GetSockOpt implements ip.Multicast: IP_MSFILTER and MCAST_MSFILTER, whose
// buffer names the group on entry (Linux: ip_mc_msfget, ip_mc_gsfget). The
// count returned is that of all sources, of which as many are written as the
// buffer asked for.
func (m *IGMP) GetSockOpt(s *ip.Sock, name int, buf []byte) (int, bool, error) {
	switch name {
	case ipMSFilter:
		n, err := m.getFilter(s, buf)
		return n, true, err
	case mcastMSFilter:
		n, err := m.getGroupFilter(s, buf)
		return n, true, err
	}
	return 0, false, nil
}

func (m *IGMP) getFilter(s *ip.Sock, buf []byte) (int, error) {
	if len(buf) < msfilterLen {
		return 0, syscall.EINVAL
	}
	room := int(min(binary.LittleEndian.Uint32(buf[12:]), uint32((len(buf)-msfilterLen)/4)))
	r := request{group: addrAt(buf), ifaddr: addrAt(buf[4:])}
	if !r.group.IsMulticast() {
		return 0, syscall.EINVAL
	}
	m.cfg.Lock()
	defer m.cfg.Unlock()
	if m.findDev(&r) == nil {
		return 0, syscall.ENODEV
	}
	l := m.members(s)
	i := indexOf(l, &r)
	if i < 0 {
		return 0, syscall.EADDRNOTAVAIL
	}
	e := &l[i]
	binary.LittleEndian.PutUint32(buf[8:], uint32(e.mode))
	binary.LittleEndian.PutUint32(buf[12:], uint32(len(e.sources)))
	n := min(room, len(e.sources))
	for j := range n {
		binary.BigEndian.PutUint32(buf[msfilterLen+4*j:], uint32(e.sources[j]))
	}
	return msfilterLen + 4*n, nil
}

func (m *IGMP) getGroupFilter(s *ip.Sock, buf []byte) (int, error) {
	if len(buf) < groupFilterLen {
		return 0, syscall.EINVAL
	}
	room := int(min(binary.LittleEndian.Uint32(buf[groupFilterCountOff:]), uint32((len(buf)-groupFilterLen)/storageLen)))
	g, ok := storage(buf[8:])
	if !ok || !g.IsMulticast() {
		return 0, syscall.EINVAL
	}
	l := m.members(s)
	i := indexOf(l, &request{group: g, ifindex: int32(binary.LittleEndian.Uint32(buf))})
	if i < 0 {
		return 0, syscall.EADDRNOTAVAIL
	}
	e := &l[i]
	binary.LittleEndian.PutUint32(buf[groupFilterModeOff:], uint32(e.mode))
	binary.LittleEndian.PutUint32(buf[groupFilterCountOff:], uint32(len(e.sources)))
	n := min(room, len(e.sources))
	for j := range n {
		p := buf[groupFilterLen+storageLen*j:][:storageLen]
		clear(p)
		ip.Sockaddr{Family: syscall.AF_INET, Addr: e.sources[j]}.Put(p)
	}
	return groupFilterLen + storageLen*n, nil
}
