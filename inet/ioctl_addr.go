package inet

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/napi"
	"barewire/skb/header"
)

// labelOf is the label of an address: its own, or the device's name.
func labelOf(dev *napi.NetDevice, ifa *ip.Ifaddr) string {
	if ifa.Label != "" {
		return ifa.Label
	}
	return dev.Name()
}

// labelled returns the address of a device with a label, and if a is not 0
// preferably the one that is a; nil if there is none.
func (n *Net) labelled(dev *napi.NetDevice, label string, a header.Addr) (found *ip.Ifaddr) {
	d := n.ip.InDev(dev.Ifindex())
	if d == nil {
		return nil
	}
	for i := range d.Addrs() {
		ifa := &d.Addrs()[i]
		if labelOf(dev, ifa) != label {
			continue
		}
		if a != 0 && ifa.Local == a {
			return ifa
		}
		if found == nil {
			found = ifa
		}
	}
	return found
}

// addrIoctl is devinet_ioctl: a device's addresses by their labels. An address
// that is changed is removed and added again.
func (n *Net) addrIoctl(cmd uint, dev *napi.NetDevice, label string, u []byte) error {
	a := header.Addr(binary.BigEndian.Uint32(u[4:]))
	isInet := binary.NativeEndian.Uint16(u) == syscall.AF_INET
	want := header.Addr(0)
	switch cmd {
	case siocSifAddr, siocSifBrdAddr, siocSifDstAddr, siocSifNetmask:
		if !isInet {
			return syscall.EINVAL
		}
	default:
		if isInet {
			want = a // the program may say which of the addresses it means
		}
	}
	cur := n.labelled(dev, label, want)
	if cur == nil && cmd != siocSifAddr {
		return syscall.EADDRNOTAVAIL
	}
	put := func(v header.Addr) error {
		clear(u[:sockaddrInLen])
		binary.NativeEndian.PutUint16(u, syscall.AF_INET)
		binary.BigEndian.PutUint32(u[4:], uint32(v))
		return nil
	}
	switch cmd {
	case siocGifAddr:
		return put(cur.Local)
	case siocGifDstAddr:
		return put(cur.Address)
	case siocGifBrdAddr:
		return put(cur.Broadcast)
	case siocGifNetmask:
		return put(header.Mask(cur.Bits))
	case siocSifAddr:
		return n.setAddr(dev, cur, label, a)
	}
	c := configOf(cur)
	switch cmd {
	case siocSifBrdAddr:
		c.Broadcast = a
	case siocSifDstAddr:
		if a == cur.Address {
			return nil
		}
		if classBits(a) < 0 {
			return syscall.EINVAL
		}
		c.Peer = a
	case siocSifNetmask:
		bits, ok := maskBits(a)
		if !ok {
			return syscall.EINVAL
		}
		c.Bits = bits
		// A broadcast address of the subnet's follows it; any other stays.
		if dev.Flags()&napi.IFF_BROADCAST != 0 && bits < 31 && cur.Broadcast == cur.Local|^header.Mask(cur.Bits) {
			c.Broadcast = cur.Local | ^a
		}
	}
	if c == configOf(cur) {
		return nil
	}
	if err := n.delIfaddr(dev, cur); err != nil {
		return err
	}
	return errnoOf(n.ip.NewAddr(dev, c, fib.FlagCreate|fib.FlagExcl))
}

func configOf(ifa *ip.Ifaddr) ip.AddrConfig {
	return ip.AddrConfig{Local: ifa.Local, Peer: ifa.Address, Bits: ifa.Bits, Broadcast: ifa.Broadcast, Scope: ifa.Scope,
		Label: ifa.Label, Flags: ifa.Flags, Metric: ifa.Metric, Protocol: ifa.Protocol}
}

func (n *Net) delIfaddr(dev *napi.NetDevice, ifa *ip.Ifaddr) error {
	return errnoOf(n.ip.DelAddrConfig(dev, ip.AddrConfig{Local: ifa.Local, Peer: ifa.Address, Bits: ifa.Bits}))
}

// setAddr is SIOCSIFADDR: the address takes the place of the one with the
// label, with the prefix length of its class; 0 only takes that away.
func (n *Net) setAddr(dev *napi.NetDevice, cur *ip.Ifaddr, label string, a header.Addr) error {
	bits := classBits(a)
	if bits < 0 {
		return syscall.EINVAL
	}
	c := ip.AddrConfig{Local: a, Bits: bits}
	if cur != nil {
		if cur.Local == a {
			return nil
		}
		if err := n.delIfaddr(dev, cur); err != nil {
			return err
		}
		label = labelOf(dev, cur)
	}
	if a == 0 {
		return nil
	}
	if label != dev.Name() {
		c.Label = label
	}
	if dev.Flags()&napi.IFF_BROADCAST != 0 && bits < 31 {
		c.Broadcast = a | ^header.Mask(bits)
	}
	if a.IsLoopback() {
		c.Scope = fib.ScopeHost
	}
	return errnoOf(n.ip.NewAddr(dev, c, fib.FlagCreate|fib.FlagExcl))
}

// aliasFlags is SIOCSIFFLAGS of a label: an alias that goes down loses its
// address.
func (n *Net) aliasFlags(dev *napi.NetDevice, label string, flags uint16) error {
	cur := n.labelled(dev, label, 0)
	if cur == nil {
		return syscall.EADDRNOTAVAIL
	}
	if flags&napi.IFF_UP != 0 {
		return nil
	}
	return n.delIfaddr(dev, cur)
}

// classBits is the prefix length that goes with the class of an address (RFC 791
// section 3.2; Linux: inet_abc_len), -1 for a group.
func classBits(a header.Addr) int {
	switch {
	case a.IsZeronet() || a.IsLBcast():
		return 0
	case a>>31 == 0:
		return 8
	case a>>30 == 2:
		return 16
	case a>>29 == 6:
		return 24
	case a>>28 == 15:
		return 32
	}
	return -1
}

// maskBits returns the prefix length of a netmask; false if it is none.
func maskBits(m header.Addr) (int, bool) {
	for bits := range 33 {
		if header.Mask(bits) == m {
			return bits, true
		}
	}
	return 0, false
}

// ifConf fills buf with a struct ifreq for every address, its label and the
// address, and returns the bytes used. Without a buf it returns the bytes that
// would be.
func (n *Net) ifConf(buf []byte) int {
	used := 0
	for _, dev := range n.dev.Devs() {
		d := n.ip.InDev(dev.Ifindex())
		if d == nil {
			continue
		}
		for i := range d.Addrs() {
			ifa := &d.Addrs()[i]
			if len(buf) > 0 {
				if used+ifreqLen > len(buf) {
					return used
				}
				e := buf[used : used+ifreqLen]
				clear(e)
				putName(e, labelOf(dev, ifa))
				binary.NativeEndian.PutUint16(e[ifrUnion:], syscall.AF_INET)
				binary.BigEndian.PutUint32(e[ifrUnion+4:], uint32(ifa.Local))
			}
			used += ifreqLen
		}
	}
	return used
}
