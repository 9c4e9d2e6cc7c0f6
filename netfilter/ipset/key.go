package ipset

import (
	"bytes"
	"cmp"
	"math/bits"
)

// Key is what a set holds: the parts its type does not have are zero. Numbers
// are in host byte order.
type Key struct {
	IP, IP2     uint32 // IP2 is also the mark of hash:ip,mark
	Port        uint16 // of ICMP type<<8 | code
	Proto       uint8
	CIDR, CIDR2 uint8 // prefix lengths of IP and IP2 where those are networks
	Physdev     bool  // Iface is a port of a bridge
	MAC         [6]byte
	Iface       [16]byte // NUL-padded
}

// part is one component of an element, in the order it is written.
type part uint8

const (
	partNone part = iota
	partIP
	partNet
	partPort // with a protocol
	partOnlyPort
	partIP2
	partNet2
	partIface
	partMark
	partMAC
	partName
)

// kind is how a type keeps its elements.
type kind uint8

const (
	hash kind = iota
	bitmap
	list
)

// typeInfo is a set type.
type typeInfo struct {
	name     string
	revision int // the newest one of Linux with what is done here
	kind     kind
	parts    []part
	// feature is what must be the same for two sets to be swapped (Linux:
	// ip_set_type.features).
	feature string
}

func (t *typeInfo) has(p part) bool {
	for _, q := range t.parts {
		if q == p {
			return true
		}
	}
	return false
}

// nets reports whether the type has networks, and so nomatch.
func (t *typeInfo) nets() bool { return t.has(partNet) || t.has(partNet2) }

// types returns the table of types.
func types() []typeInfo {
	return []typeInfo{
		{"hash:ip", 6, hash, []part{partIP}, "ip"},
		{"hash:net", 7, hash, []part{partNet}, "ip,nomatch"},
		{"hash:ip,port", 7, hash, []part{partIP, partPort}, "ip,port"},
		{"hash:net,port", 8, hash, []part{partNet, partPort}, "ip,port,nomatch"},
		{"hash:ip,port,ip", 6, hash, []part{partIP, partPort, partIP2}, "ip,port,ip2"},
		{"hash:ip,port,net", 8, hash, []part{partIP, partPort, partNet2}, "ip,port,ip2,nomatch"},
		{"hash:net,port,net", 3, hash, []part{partNet, partPort, partNet2}, "ip,port,ip2,nomatch"},
		{"hash:net,net", 4, hash, []part{partNet, partNet2}, "ip,ip2,nomatch"},
		{"hash:net,iface", 8, hash, []part{partNet, partIface}, "ip,iface,nomatch"},
		{"hash:ip,mark", 3, hash, []part{partIP, partMark}, "ip,mark"},
		{"hash:ip,mac", 1, hash, []part{partIP, partMAC}, "ip,mac"},
		{"hash:mac", 1, hash, []part{partMAC}, "mac"},
		{"bitmap:ip", 3, bitmap, []part{partIP}, "ip"},
		{"bitmap:port", 3, bitmap, []part{partOnlyPort}, "port"},
		{"list:set", 3, list, []part{partName}, "name"},
	}
}

// mask returns the netmask of a prefix length.
func mask(cidr uint8) uint32 { return uint32(^uint64(0) << (32 - min(cidr, 32))) }

// hash mixes the parts of a key under the table's random seed, two multiplications
// of 64 bits for the types without names.
func (k *Key) hash(seed uint64) uint64 {
	a := uint64(k.IP)<<32 | uint64(k.IP2)
	b := uint64(k.Port)<<32 | uint64(k.Proto)<<16 | uint64(k.CIDR)<<8 | uint64(k.CIDR2)
	h := mum(a^seed, b^0x9e3779b97f4a7c15)
	if k.MAC != ([6]byte{}) {
		m := uint64(k.MAC[0])<<40 | uint64(k.MAC[1])<<32 | uint64(k.MAC[2])<<24 | uint64(k.MAC[3])<<16 | uint64(k.MAC[4])<<8 | uint64(k.MAC[5])
		h = mum(h^m, seed|1)
	}
	if k.Iface[0] != 0 {
		for i := 0; i < 16; i += 8 {
			v := uint64(0)
			for j := range 8 {
				v = v<<8 | uint64(k.Iface[i+j])
			}
			h = mum(h^v, seed|1)
		}
	}
	return mum(h^seed, 0xd6e8feb86659fd93)
}

func mum(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// compare orders keys for a sorted listing.
func (k *Key) compare(o *Key) int {
	return cmp.Or(cmp.Compare(k.IP, o.IP), cmp.Compare(k.CIDR, o.CIDR), cmp.Compare(k.Proto, o.Proto),
		cmp.Compare(k.Port, o.Port), cmp.Compare(k.IP2, o.IP2), cmp.Compare(k.CIDR2, o.CIDR2),
		bytes.Compare(k.Iface[:], o.Iface[:]), bytes.Compare(k.MAC[:], o.MAC[:]))
}
