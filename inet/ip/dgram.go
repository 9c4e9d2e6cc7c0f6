package ip

import (
	"syscall"

	"barewire/inet/header"
	"barewire/inet/sock"
)

// What datagram socks without ports of their own, raw and ping, share.

// SetHdrIncl sets IP_HDRINCL, as IPPROTO_RAW does at creation.
func (s *Sock) SetHdrIncl(on bool) { s.setOpt(OptHdrIncl, on) }

// RecvPacket receives one packet with its sender's address and no port (Linux:
// raw_recvmsg, ping_recvmsg). It returns the bytes copied, or the packet's
// length if flags has MSG_TRUNC.
func (s *Sock) RecvPacket(m *sock.Msg, flags int) (int, error) {
	b, err := s.RecvDatagram(flags)
	if b == nil {
		return 0, err
	}
	defer b.Consume()
	n := b.Len()
	want := min(n, m.Len())
	if sock.CopyToIter(b, 0, want, m.Iov) < want {
		return 0, syscall.EFAULT
	}
	if want < n {
		m.Flags |= syscall.MSG_TRUNC
	}
	sa := Sockaddr{Family: syscall.AF_INET, Addr: header.IPv4(b.NetworkHeader()).Src()}
	m.NameLen = sa.Put(m.Name[:])
	s.RecvControl(m, b)
	if flags&syscall.MSG_TRUNC != 0 {
		return n, nil
	}
	return want, nil
}

// Shutdown is inet_shutdown for a datagram sock: an unconnected one is shut down
// too, but says ENOTCONN.
func (s *Sock) Shutdown(how int) error {
	if how < syscall.SHUT_RD || how > syscall.SHUT_RDWR {
		return syscall.EINVAL
	}
	s.AddShutdown(uint32(how + 1))
	if s.State() == sock.StateClose {
		return syscall.ENOTCONN
	}
	return nil
}

// Ioctl is udp_ioctl and raw_ioctl: SIOCOUTQ and SIOCINQ.
func (s *Sock) Ioctl(cmd uint, arg []byte) error {
	v := 0
	switch cmd {
	case syscall.TIOCOUTQ: // SIOCOUTQ
		v = s.WmemAlloc()
	case syscall.TIOCINQ: // SIOCINQ, FIONREAD
		v = s.FirstLen(0)
	default:
		return syscall.ENOTTY
	}
	if len(arg) < 4 {
		return syscall.EFAULT
	}
	arg[0], arg[1], arg[2], arg[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	return nil
}
