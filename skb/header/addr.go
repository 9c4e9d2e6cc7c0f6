package header

import (
	"encoding/binary"
	"net/netip"
)

// Addr is an IPv4 address as a number in host byte order: what headers, routes
// and hashes compute with. Configuration speaks netip.Addr.
type Addr uint32

// Well-known addresses.
const (
	AddrAny       Addr = 0
	AddrBroadcast Addr = 0xffffffff
	AddrLoopback  Addr = 0x7f000001
	AddrAllHosts  Addr = 0xe0000001 // 224.0.0.1
)

// AddrFrom4 returns the address whose wire form is b.
func AddrFrom4(b [4]byte) Addr { return Addr(binary.BigEndian.Uint32(b[:])) }

// AddrFrom converts an IPv4 address, also in its IPv6-mapped form; ok is false
// for any other.
func AddrFrom(a netip.Addr) (addr Addr, ok bool) {
	a = a.Unmap()
	if !a.Is4() {
		return 0, false
	}
	return AddrFrom4(a.As4()), true
}

// As4 returns the wire form.
func (a Addr) As4() (b [4]byte) {
	binary.BigEndian.PutUint32(b[:], uint32(a))
	return b
}

// Netip returns a as a netip.Addr.
func (a Addr) Netip() netip.Addr { return netip.AddrFrom4(a.As4()) }

// String returns the dotted form.
func (a Addr) String() string { return a.Netip().String() }

// IsMulticast reports whether a is in 224.0.0.0/4.
func (a Addr) IsMulticast() bool { return a>>28 == 0xe }

// IsLocalMulticast reports whether a is in 224.0.0.0/24.
func (a Addr) IsLocalMulticast() bool { return a>>8 == 0xe00000 }

// IsLBcast reports whether a is the limited broadcast address
// 255.255.255.255.
func (a Addr) IsLBcast() bool { return a == AddrBroadcast }

// IsLoopback reports whether a is in 127.0.0.0/8.
func (a Addr) IsLoopback() bool { return a>>24 == 127 }

// IsZeronet reports whether a is 0.0.0.0, "this host". As in Linux the rest of
// 0.0.0.0/8 is ordinary.
func (a Addr) IsZeronet() bool { return a == 0 }

// Mask returns the netmask of a prefix of bits bits, 0 to 32.
func Mask(bits int) Addr {
	if bits <= 0 {
		return 0
	}
	return Addr(^uint32(0) << (32 - uint(bits)))
}
