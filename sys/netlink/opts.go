package netlink

import (
	"encoding/binary"
	"syscall"
)

// Options package syscall lacks.
const (
	solNetlink        = 270
	nlListMemberships = 9
	nlCapAck          = 10
	nlExtAck          = 11
	nlStrictChk       = 12
	nlListenAll       = 8
	nlBroadcastError  = 4
)

var optBits = map[int]uint32{ // read-only
	syscall.NETLINK_PKTINFO:    optPktInfo,
	nlBroadcastError:           optBroadcastError,
	syscall.NETLINK_NO_ENOBUFS: optNoENOBUFS,
	nlCapAck:                   optCapAck,
	nlExtAck:                   optExtAck,
	nlStrictChk:                optStrict,
	nlListenAll:                optListenAll,
}

// SetSockOpt is netlink_setsockopt.
func (s *Sock) SetSockOpt(level, name int, val []byte) error {
	if level != solNetlink {
		return syscall.ENOPROTOOPT
	}
	v := uint32(0)
	if len(val) >= 4 {
		v = binary.NativeEndian.Uint32(val)
	}
	switch name {
	case syscall.NETLINK_ADD_MEMBERSHIP, syscall.NETLINK_DROP_MEMBERSHIP:
		if v == 0 || v > uint32(s.p.Groups) {
			return syscall.EINVAL
		}
		if name == syscall.NETLINK_ADD_MEMBERSHIP {
			s.groups.Or(1 << (v - 1))
		} else {
			s.groups.And(^uint64(1 << (v - 1)))
		}
		s.changed()
		return nil
	}
	if name == nlListenAll && v != 0 {
		return syscall.EPERM // as without CAP_NET_BROADCAST: namespaces hear their own
	}
	bit, ok := optBits[name]
	if !ok {
		return syscall.ENOPROTOOPT
	}
	if v == 0 {
		s.opts.And(^bit)
		return nil
	}
	s.opts.Or(bit)
	if bit == optNoENOBUFS {
		s.mu.Lock()
		s.congested = false
		s.mu.Unlock()
	}
	return nil
}

// GetSockOpt is netlink_getsockopt.
func (s *Sock) GetSockOpt(level, name int, buf []byte) (int, error) {
	if level != solNetlink {
		return 0, syscall.ENOPROTOOPT
	}
	if name == nlListMemberships {
		var p [8]byte
		binary.NativeEndian.PutUint64(p[:], s.groups.Load())
		n := (s.p.Groups + 31) / 32 * 4
		copy(buf[:len(buf)&^3], p[:n])
		return n, nil
	}
	bit, ok := optBits[name]
	if !ok {
		return 0, syscall.ENOPROTOOPT
	}
	if len(buf) < 4 {
		return 0, syscall.EINVAL
	}
	v := uint32(0)
	if s.opt(bit) {
		v = 1
	}
	putU32(buf, v)
	return 4, nil
}
