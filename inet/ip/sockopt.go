package ip

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/header"
	"barewire/inet/sock"
	"barewire/skb"
)

// Options of level SOL_IP that package syscall lacks or has only for some
// platforms (Linux: include/uapi/linux/in.h).
const (
	ipRecvTTL      = 12
	ipRecvTOS      = 13
	ipMTU          = 14
	ipFreeBind     = 15
	ipTransparent  = 19
	ipOrigDstAddr  = 20
	ipMulticastAll = 49
)

// SetSockOpt is ip_setsockopt. Options of other levels, and those not known,
// give ENOPROTOOPT.
func (s *Sock) SetSockOpt(level, name int, val []byte) error {
	if level != syscall.SOL_IP {
		return syscall.ENOPROTOOPT
	}
	if name == syscall.IP_MULTICAST_IF {
		return s.setMulticastIf(val)
	}
	// As in Linux an option may be given as an int or as one byte.
	v := 0
	switch {
	case len(val) >= 4:
		v = int(int32(binary.LittleEndian.Uint32(val)))
	case len(val) >= 1:
		v = int(val[0])
	}
	on := v != 0
	switch name {
	case syscall.IP_TOS:
		s.tos.Store(uint32(v & 0xff))
	case syscall.IP_TTL:
		if len(val) < 1 || v != -1 && (v < 1 || v > 255) {
			return syscall.EINVAL
		}
		s.ttl.Store(int32(v))
	case syscall.IP_MTU_DISCOVER:
		if v < PMTUDiscDont || v > PMTUDiscOmit {
			return syscall.EINVAL
		}
		s.disc.Store(uint32(v))
	case syscall.IP_PKTINFO:
		s.setOpt(OptPktInfo, on)
	case ipRecvTTL:
		s.setOpt(OptRecvTTL, on)
	case ipRecvTOS:
		s.setOpt(OptRecvTOS, on)
	case syscall.IP_RECVERR:
		s.setOpt(OptRecvErr, on)
	case ipFreeBind:
		s.setOpt(OptFreeBind, on)
	case ipTransparent:
		s.setOpt(OptTransparent, on)
	case ipOrigDstAddr:
		s.setOpt(OptOrigDstAddr, on)
	case syscall.IP_MULTICAST_TTL:
		if len(val) < 1 || v < -1 || v > 255 {
			return syscall.EINVAL
		}
		if v == -1 {
			v = 1
		}
		s.mcTTL.Store(uint32(v))
	case syscall.IP_MULTICAST_LOOP:
		if len(val) < 1 {
			return syscall.EINVAL
		}
		s.setOpt(OptMulticastLoop, on)
	case ipMulticastAll:
		if v != 0 && v != 1 {
			return syscall.EINVAL
		}
		s.setOpt(OptMulticastAll, on)
	default:
		return syscall.ENOPROTOOPT
	}
	return nil
}

// setMulticastIf takes a struct in_addr, ip_mreq or ip_mreqn.
func (s *Sock) setMulticastIf(val []byte) error {
	var addr header.Addr
	index := int32(0)
	switch {
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
	s.mcDev.Store(index)
	return nil
}

// GetSockOpt is ip_getsockopt.
func (s *Sock) GetSockOpt(level, name int, buf []byte) (int, error) {
	if level != syscall.SOL_IP {
		return 0, syscall.EOPNOTSUPP
	}
	v := 0
	opt := func(o uint32) {
		if s.Opt(o) {
			v = 1
		}
	}
	switch name {
	case syscall.IP_TOS:
		v = int(s.tos.Load())
	case syscall.IP_TTL:
		v = int(s.TTL(false))
	case syscall.IP_MTU_DISCOVER:
		v = int(s.disc.Load())
	case syscall.IP_PKTINFO:
		opt(OptPktInfo)
	case ipRecvTTL:
		opt(OptRecvTTL)
	case ipRecvTOS:
		opt(OptRecvTOS)
	case syscall.IP_RECVERR:
		opt(OptRecvErr)
	case ipFreeBind:
		opt(OptFreeBind)
	case ipTransparent:
		opt(OptTransparent)
	case ipOrigDstAddr:
		opt(OptOrigDstAddr)
	case syscall.IP_MULTICAST_TTL:
		v = int(s.mcTTL.Load())
	case syscall.IP_MULTICAST_LOOP:
		opt(OptMulticastLoop)
	case ipMulticastAll:
		opt(OptMulticastAll)
	case ipMTU:
		rt, _ := s.CachedRoute(s.Ident())
		if rt == nil {
			return 0, syscall.ENOTCONN
		}
		v = rt.MTU()
	default:
		return 0, syscall.ENOPROTOOPT
	}
	// One byte suffices for a small value, if that is all the room there is.
	if len(buf) > 0 && len(buf) < 4 && v >= 0 && v <= 255 {
		buf[0] = byte(v)
		return 1, nil
	}
	var p [4]byte
	binary.LittleEndian.PutUint32(p[:], uint32(v))
	return copy(buf, p[:]), nil
}

// Cookie is what a send may say beside the destination (Linux: struct
// ipcm_cookie). Zero values leave the choice to the sock.
type Cookie struct {
	Src    header.Addr
	OIF    int32
	TTL    uint8
	TOS    int16 // -1 for the sock's
	OnLink bool  // not through a gateway
}

// ParseControl reads the ancillary data of a send (Linux: ip_cmsg_send):
// IP_PKTINFO, IP_TTL and IP_TOS. EINVAL for anything malformed or unknown of
// level SOL_IP; items of other levels are ignored, as in Linux.
func (c *Cookie) ParseControl(control []byte) error {
	for {
		m, rest, ok, err := sock.NextCmsg(control)
		if !ok {
			return err
		}
		control = rest
		if m.Level != syscall.SOL_IP {
			continue
		}
		switch m.Type {
		case syscall.IP_PKTINFO: // ifindex, spec_dst, addr
			if len(m.Data) != 12 {
				return syscall.EINVAL
			}
			if i := int32(binary.LittleEndian.Uint32(m.Data)); i != 0 {
				c.OIF = i
			}
			c.Src = header.Addr(binary.BigEndian.Uint32(m.Data[4:]))
		case syscall.IP_TTL:
			if len(m.Data) != 4 {
				return syscall.EINVAL
			}
			v := int32(binary.LittleEndian.Uint32(m.Data))
			if v < 1 || v > 255 {
				return syscall.EINVAL
			}
			c.TTL = uint8(v)
		case syscall.IP_TOS:
			var v int32
			switch len(m.Data) {
			case 4:
				v = int32(binary.LittleEndian.Uint32(m.Data))
			case 1:
				v = int32(m.Data[0])
			default:
				return syscall.EINVAL
			}
			if v < 0 || v > 255 {
				return syscall.EINVAL
			}
			c.TOS = int16(v)
		default:
			return syscall.EINVAL
		}
	}
}

// RecvControl puts the ancillary data the program asked for into m (Linux:
// ip_cmsg_recv). b is a received packet with its IP header.
func (s *Sock) RecvControl(m *sock.Msg, b *skb.Buff) {
	s.Sock.RecvControl(m, b)
	o := s.opts.Load()
	if o&(OptPktInfo|OptRecvTTL|OptRecvTOS|OptOrigDstAddr) == 0 {
		return
	}
	h := header.IPv4(b.NetworkHeader())
	if o&OptPktInfo != 0 {
		var p [12]byte
		binary.LittleEndian.PutUint32(p[:], uint32(b.Iif))
		// The address to answer from: that of the packet, unless it was for a
		// group.
		spec := h.Dst()
		if rt := RtableOf(b); rt != nil && rt.Type != fib.Local {
			spec = s.IP.SelectAddr(rt.Dev, h.Src(), 0)
		}
		binary.BigEndian.PutUint32(p[4:], uint32(spec))
		binary.BigEndian.PutUint32(p[8:], uint32(h.Dst()))
		m.PutCmsg(syscall.SOL_IP, syscall.IP_PKTINFO, p[:])
	}
	if o&OptRecvTTL != 0 {
		var p [4]byte
		binary.LittleEndian.PutUint32(p[:], uint32(h.TTL()))
		m.PutCmsg(syscall.SOL_IP, syscall.IP_TTL, p[:])
	}
	if o&OptRecvTOS != 0 {
		m.PutCmsg(syscall.SOL_IP, syscall.IP_TOS, []byte{h.TOS()})
	}
	if th := b.TransportHeader(); o&OptOrigDstAddr != 0 && len(th) >= 4 {
		// Ports stand first in every protocol that has them.
		var p [SockaddrLen]byte
		Sockaddr{Family: syscall.AF_INET, Port: binary.BigEndian.Uint16(th[2:]), Addr: h.Dst()}.Put(p[:])
		m.PutCmsg(syscall.SOL_IP, ipOrigDstAddr, p[:])
	}
}
