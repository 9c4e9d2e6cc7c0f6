package udp

import (
	"encoding/binary"
	"syscall"
)

// Levels and options of UDP (Linux: include/uapi/linux/udp.h, udplite.h).
const (
	solUDP     = 17
	solUDPLite = 136

	udpCork       = 1
	udpNoCheck6Tx = 101
	udpNoCheck6Rx = 102
	udpSegment    = 103
	udpGRO        = 104
	liteSendCov   = 10 // UDPLITE_SEND_CSCOV
	liteRecvCov   = 11 // UDPLITE_RECV_CSCOV
)

// SetSockOpt is udp_setsockopt. The encapsulations of IPsec are not there:
// ENOPROTOOPT.
func (s *Sock) SetSockOpt(level, name int, val []byte) error {
	if level != solUDP && level != solUDPLite {
		return s.Sock.SetSockOpt(level, name, val)
	}
	if len(val) < 4 {
		return syscall.EINVAL
	}
	v := int(int32(binary.LittleEndian.Uint32(val)))
	switch {
	case name == udpCork:
		s.corkOn.Store(v != 0)
		if v == 0 {
			s.Lock()
			s.pushPending() // as in Linux its error is nobody's
			s.Unlock()
		}
	case name == udpNoCheck6Tx || name == udpNoCheck6Rx:
		s.noCheck6[name-udpNoCheck6Tx].Store(v != 0) // about IPv6 only
	case name == udpSegment:
		if v < 0 || v > 0xffff {
			return syscall.EINVAL
		}
		s.gsoSize.Store(int32(v))
	case name == udpGRO:
		s.setGRO(v != 0)
	case name == liteSendCov && s.udp.lite:
		setCoverage(&s.cov.send, v)
	case name == liteRecvCov && s.udp.lite:
		setCoverage(&s.cov.recv, v)
	default:
		return syscall.ENOPROTOOPT
	}
	return nil
}

// GetSockOpt is udp_getsockopt.
func (s *Sock) GetSockOpt(level, name int, buf []byte) (int, error) {
	if level != solUDP && level != solUDPLite {
		return s.Sock.GetSockOpt(level, name, buf)
	}
	v := 0
	switch name {
	case udpCork:
		if s.corkOn.Load() {
			v = 1
		}
	case udpNoCheck6Tx, udpNoCheck6Rx:
		if s.noCheck6[name-udpNoCheck6Tx].Load() {
			v = 1
		}
	case udpSegment:
		v = int(s.gsoSize.Load())
	case udpGRO:
		if s.gro.Load() {
			v = 1
		}
	case liteSendCov:
		v = int(max(s.cov.send.Load(), 0))
	case liteRecvCov:
		v = int(max(s.cov.recv.Load(), 0))
	default:
		return 0, syscall.ENOPROTOOPT
	}
	var p [4]byte
	binary.LittleEndian.PutUint32(p[:], uint32(v))
	return copy(buf, p[:]), nil
}
