package ip

import (
	"encoding/binary"
	"math/bits"
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/sock"
	"barewire/skb/header"
)

// Options of level SOL_IP that package syscall lacks or has only for some
// platforms (Linux: include/uapi/linux/in.h).
const (
	ipRouterAlert    = 5
	ipRecvOpts       = 6
	ipRetOpts        = 7
	ipPktOptions     = 9
	ipRecvTTL        = 12
	ipRecvTOS        = 13
	ipMTU            = 14
	ipFreeBind       = 15
	ipTransparent    = 19
	ipOrigDstAddr    = 20
	ipMinTTL         = 21
	ipNoDefrag       = 22
	ipChecksum       = 23
	ipBindNoPort     = 24
	ipRecvFragSize   = 25
	ipRecvErrRFC4884 = 26
	ipAddMembership  = 35
	ipMsfilter       = 41
	mcastJoinGroup   = 42
	mcastMsfilter    = 48
	ipMulticastAll   = 49
	ipUnicastIf      = 50
	ipLocalPortRange = 51
	ipProtocol       = 52

	ipMulticastIfOpt = syscall.IP_MULTICAST_IF

	maxIPOptions = 40
)

// Queueing priorities that go with a type of service (Linux: TC_PRIO_*).
const (
	tos2prioBulk      = 2
	tos2prioInterBulk = 4
	tos2prioInteract  = 6
)

// boolOpt returns the bit of an option that is on or off, 0 for others.
func boolOpt(name int) uint32 {
	switch name {
	case syscall.IP_PKTINFO:
		return OptPktInfo
	case ipRecvTTL:
		return OptRecvTTL
	case ipRecvTOS:
		return OptRecvTOS
	case syscall.IP_RECVERR:
		return OptRecvErr
	case ipFreeBind:
		return OptFreeBind
	case ipTransparent:
		return OptTransparent
	case ipOrigDstAddr:
		return OptOrigDstAddr
	case ipRecvOpts:
		return OptRecvOpts
	case ipRetOpts:
		return OptRetOpts
	case ipChecksum:
		return OptChecksum
	case ipRecvFragSize:
		return OptRecvFragSize
	case ipRecvErrRFC4884:
		return OptRecvErrRFC4884
	case ipBindNoPort:
		return OptBindNoPort
	case ipNoDefrag:
		return OptNoDefrag
	case syscall.IP_HDRINCL:
		return OptHdrIncl
	case syscall.IP_MULTICAST_LOOP:
		return OptMulticastLoop
	case ipMulticastAll:
		return OptMulticastAll
	}
	return 0
}

// isMembership reports whether an option is the Multicast room's.
func isMembership(name int) bool {
	return name >= ipAddMembership && name <= ipMsfilter || name >= mcastJoinGroup && name <= mcastMsfilter
}

// SetSockOpt is ip_setsockopt. Options of other levels, and those not known,
// give ENOPROTOOPT.
func (s *Sock) SetSockOpt(level, name int, val []byte) error {
	if level != syscall.SOL_IP {
		return syscall.ENOPROTOOPT
	}
	if isMembership(name) {
		if mc := s.IP.MC; mc != nil {
			if ok, err := mc.SetSockOpt(s, name, val); ok {
				return err
			}
		}
		return syscall.ENOPROTOOPT
	}
	if isMRouteOpt(name) && s.IP.MR != nil {
		return s.IP.MR.SetSockOpt(s, name, val)
	}
	switch name {
	case ipMulticastIfOpt:
		return s.setMulticastIf(val)
	case syscall.IP_OPTIONS:
		return s.setOptions(val)
	}
	// As in Linux an option may be given as an int or as one byte.
	v := 0
	switch {
	case len(val) >= 4:
		v = int(int32(binary.LittleEndian.Uint32(val)))
	case len(val) >= 1:
		v = int(val[0])
	}
	if bit := boolOpt(name); bit != 0 {
		return s.setBool(name, bit, v, len(val))
	}
	if name == ipRouterAlert {
		return s.RouterAlert(v != 0, nil)
	}
	switch name {
	case syscall.IP_TOS:
		if s.Type == syscall.SOCK_STREAM {
			// The bits of ECN are the protocol's own.
			v = v&^3 | int(s.tos.Load())&3
		}
		s.tos.Store(uint32(v & 0xff))
		s.SetPriority(tosPriority(uint8(v)))
		s.route.Store(nil)
	case syscall.IP_TTL:
		if len(val) < 1 || v != -1 && (v < 1 || v > 255) {
			return syscall.EINVAL
		}
		s.ttl.Store(int32(v))
	case ipMinTTL:
		if len(val) < 1 || v < 0 || v > 255 {
			return syscall.EINVAL
		}
		s.minT.Store(uint32(v))
	case syscall.IP_MTU_DISCOVER:
		if v < PMTUDiscDont || v > PMTUDiscOmit {
			return syscall.EINVAL
		}
		s.disc.Store(uint32(v))
	case syscall.IP_MULTICAST_TTL:
		if len(val) < 1 || v < -1 || v > 255 || s.Type == syscall.SOCK_STREAM {
			return syscall.EINVAL
		}
		if v == -1 {
			v = 1
		}
		s.mcTTL.Store(uint32(v))
	case ipUnicastIf:
		return s.setUnicastIf(val)
	case ipLocalPortRange:
		lo, hi := uint16(v), uint16(uint32(v)>>16)
		if len(val) != 4 || lo != 0 && hi != 0 && lo > hi {
			return syscall.EINVAL
		}
		s.ports.Store(uint32(v))
	default:
		return syscall.ENOPROTOOPT
	}
	return nil
}

// setBool sets an option that is on or off, with the rules some have.
func (s *Sock) setBool(name int, bit uint32, v, n int) error {
	switch name {
	case syscall.IP_HDRINCL, ipNoDefrag:
		if s.Type != syscall.SOCK_RAW {
			return syscall.ENOPROTOOPT
		}
	case ipFreeBind, ipTransparent, syscall.IP_MULTICAST_LOOP:
		if n < 1 {
			return syscall.EINVAL
		}
	case ipMulticastAll:
		if n < 1 || v != 0 && v != 1 {
			return syscall.EINVAL
		}
	case ipRecvErrRFC4884:
		if v != 0 && v != 1 {
			return syscall.EINVAL
		}
	case ipRecvFragSize:
		if s.Type != syscall.SOCK_RAW && s.Type != syscall.SOCK_DGRAM {
			return syscall.EINVAL
		}
	}
	s.setOpt(bit, v != 0)
	switch {
	case name == syscall.IP_MULTICAST_LOOP:
		s.SetFlag(sock.FlagNoMulticastLoop, v == 0)
	case name == syscall.IP_RECVERR && v == 0:
		s.PurgeErrors()
	}
	return nil
}

// tosPriority is rt_tos2priority: the queueing priority that goes with a type of
// service.
func tosPriority(tos uint8) uint32 {
	switch tos & 0x1e >> 3 {
	case 1:
		return tos2prioBulk
	case 2:
		return tos2prioInteract
	case 3:
		return tos2prioInterBulk
	}
	return 0
}

// setOptions is IP_OPTIONS: options for every packet sent; none with an empty
// value.
func (s *Sock) setOptions(val []byte) error {
	if len(val) > maxIPOptions {
		return syscall.EINVAL
	}
	set, err := s.compileOptions(val)
	if err != nil {
		return err
	}
	s.snd.Store(set)
	return nil
}

func (s *Sock) compileOptions(val []byte) (*header.OptionSet, error) {
	set := &header.OptionSet{}
	if !set.Compile(val, true, func(a header.Addr) bool { return s.IP.AddrType(a) == fib.Unicast }) {
		return nil, syscall.EINVAL
	}
	if set.Len == 0 {
		return nil, nil
	}
	return set, nil
}

// setUnicastIf is IP_UNICAST_IF; the index is in network order.
func (s *Sock) setUnicastIf(val []byte) error {
	if len(val) != 4 {
		return syscall.EINVAL
	}
	index := int32(binary.BigEndian.Uint32(val))
	if index != 0 {
		if s.IP.Dev.DevByIndex(index) == nil {
			return syscall.EADDRNOTAVAIL
		}
		if s.BoundDev() != 0 { // even to the same
			return syscall.EINVAL
		}
	}
	s.ucDev.Store(index)
	return nil
}

// setMulticastIf takes a struct in_addr, ip_mreq or ip_mreqn.
func (s *Sock) setMulticastIf(val []byte) error {
	var addr header.Addr
	index := int32(0)
	switch {
	case s.Type == syscall.SOCK_STREAM:
		return syscall.EINVAL
	case len(val) >= 12:
		addr = header.Addr(binary.BigEndian.Uint32(val[4:]))
		index = int32(binary.LittleEndian.Uint32(val[8:]))
	case len(val) >= 8:
		addr = header.Addr(binary.BigEndian.Uint32(val[4:]))
	case len(val) >= 4:
		addr = header.Addr(binary.BigEndian.Uint32(val))
	default:
		return syscall.EINVAL
	}
	if index == 0 && addr != 0 {
		d := s.IP.AddrOwner(addr)
		if d == nil {
			return syscall.EADDRNOTAVAIL
		}
		index = d.Dev.Ifindex()
	}
	if index != 0 && s.IP.Dev.DevByIndex(index) == nil {
		return syscall.EADDRNOTAVAIL
	}
	if b := s.BoundDev(); index != 0 && b != 0 && b != index {
		return syscall.EINVAL
	}
	s.mcSrc.Store(uint32(addr))
	s.mcDev.Store(index)
	return nil
}

// GetSockOpt is ip_getsockopt.
func (s *Sock) GetSockOpt(level, name int, buf []byte) (int, error) {
	if level != syscall.SOL_IP {
		return 0, syscall.EOPNOTSUPP
	}
	if isMembership(name) {
		if mc := s.IP.MC; mc != nil {
			if n, ok, err := mc.GetSockOpt(s, name, buf); ok {
				return n, err
			}
		}
		return 0, syscall.ENOPROTOOPT
	}
	if isMRouteOpt(name) && s.IP.MR != nil {
		return s.IP.MR.GetSockOpt(s, name, buf)
	}
	var p [4]byte
	v := 0
	if bit := boolOpt(name); bit != 0 {
		if s.Opt(bit) {
			v = 1
		}
		return putInt(buf, v), nil
	}
	switch name {
	case syscall.IP_OPTIONS:
		if o := s.snd.Load(); o != nil {
			d := o.AsGiven()
			return copy(buf, d[:o.Len]), nil
		}
		return 0, nil
	case syscall.IP_TOS:
		v = int(s.tos.Load())
	case ipPktOptions:
		if s.Type != syscall.SOCK_STREAM {
			return 0, syscall.ENOPROTOOPT
		}
		return 0, nil // of a listener's packet: none is kept
	case syscall.IP_TTL:
		v = int(s.TTL(false))
	case ipMinTTL:
		v = int(s.minT.Load())
	case syscall.IP_MTU_DISCOVER:
		v = int(s.disc.Load())
	case syscall.IP_MULTICAST_TTL:
		v = int(s.mcTTL.Load())
	case ipMulticastIfOpt:
		binary.BigEndian.PutUint32(p[:], s.mcSrc.Load())
		return copy(buf, p[:]), nil
	case ipUnicastIf:
		v = int(int32(bits.ReverseBytes32(uint32(s.ucDev.Load()))))
	case ipLocalPortRange:
		v = int(int32(s.ports.Load()))
	case ipRouterAlert:
		if s.alerting() {
			v = 1
		}
	case soOriginalDst:
		return s.originalDst(buf)
	case ipProtocol:
		v = int(s.Ident().Num) // what a raw socket was made for, as Linux has it
	case ipMTU:
		id := s.Ident()
		if !id.Connected() {
			return 0, syscall.ENOTCONN
		}
		// The kept route may be from before what was learnt since.
		w := Way{C: s.InitCookie(0), X: Xmit{Dst: id.Daddr, Proto: uint8(s.Protocol)}}
		if s.Route(&w, id, id.Num, id.Dport, true) != nil {
			return 0, syscall.ENOTCONN
		}
		v = w.Rt.MTU()
	default:
		return 0, syscall.ENOPROTOOPT
	}
	return putInt(buf, v), nil
}

// putInt returns a value as getsockopt does: one byte suffices for a small one,
// if that is all the room there is.
func putInt(buf []byte, v int) int {
	if len(buf) > 0 && len(buf) < 4 && v >= 0 && v <= 255 {
		buf[0] = byte(v)
		return 1
	}
	var p [4]byte
	binary.LittleEndian.PutUint32(p[:], uint32(v))
	return copy(buf, p[:])
}
