package ip

import (
	"syscall"

	"barewire/skb/header"
)

// soOriginalDst is SO_ORIGINAL_DST of include/uapi/linux/netfilter_ipv4.h: where
// the peer of a redirected connection wanted to go, for a transparent proxy.
const soOriginalDst = 80

// OriginalDst finds the destination a connection had before it was translated,
// given that of the sock which has it now. Set by the packet filter.
type OriginalDst func(proto uint8, id *Ident) (a header.Addr, port uint16, ok bool)

// originalDst answers SO_ORIGINAL_DST (Linux: getorigdst).
func (s *Sock) originalDst(buf []byte) (int, error) {
	if s.Protocol != header.ProtoTCP || s.IP.OriginalDst == nil {
		return 0, syscall.ENOPROTOOPT
	}
	if len(buf) < SockaddrLen {
		return 0, syscall.EINVAL
	}
	a, port, ok := s.IP.OriginalDst(header.ProtoTCP, s.Ident())
	if !ok {
		return 0, syscall.ENOENT
	}
	sa := Sockaddr{Family: syscall.AF_INET, Port: port, Addr: a}
	return sa.Put(buf), nil
}
