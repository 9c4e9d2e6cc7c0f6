package inet

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/fib"
	"barewire/skb/header"
)

// rtIoctl is ip_rt_ioctl. The name of the device, if rt_dev points to one,
// follows the struct rtentry.
func (n *Net) rtIoctl(add bool, arg []byte) error {
	if len(arg) < rtentryLen {
		return syscall.EFAULT
	}
	const rtfGateway, rtfHost, rtfMTU, rtfReject = 2, 4, 0x40, 0x200
	dst, gw, mask := arg[8:24], arg[24:40], arg[40:56]
	flags := binary.NativeEndian.Uint16(arg[56:])
	metric := int16(binary.NativeEndian.Uint16(arg[80:]))
	if f := binary.NativeEndian.Uint16(dst); f != syscall.AF_INET {
		return syscall.EAFNOSUPPORT
	}
	d, bits := header.Addr(binary.BigEndian.Uint32(dst[4:])), 32
	if flags&rtfHost == 0 {
		m := header.Addr(binary.BigEndian.Uint32(mask[4:]))
		f := binary.NativeEndian.Uint16(mask)
		if f != syscall.AF_INET && (f != 0 || m != 0) {
			return syscall.EAFNOSUPPORT
		}
		b, ok := maskBits(m)
		if !ok || d&^m != 0 {
			return syscall.EINVAL
		}
		bits = b
	}
	c := fib.Config{Dst: d, Bits: bits, Table: fib.TableMain, Type: fib.Unicast, Scope: fib.ScopeLink, Protocol: fib.ProtBoot}
	if !add {
		c.Scope, c.Protocol, c.Type = fib.ScopeNowhere, 0, 0
	}
	if flags&rtfReject != 0 {
		c.Scope, c.Type = fib.ScopeHost, fib.Unreachable
	}
	if name := arg[rtentryLen:]; len(name) > 0 {
		var room [ifNameLen]byte
		copy(room[:ifNameLen-1], name)
		s, label := ifName(room[:])
		dev := n.dev.DevByName(s)
		if dev == nil {
			return syscall.ENODEV
		}
		c.OIF = dev.Ifindex()
		if label != s { // an alias means its address
			ifa := n.labelled(dev, label, 0)
			if ifa == nil {
				return syscall.ENODEV
			}
			c.PrefSrc = ifa.Local
		}
	}
	if flags&rtfGateway != 0 {
		if binary.NativeEndian.Uint16(gw) != syscall.AF_INET || binary.BigEndian.Uint32(gw[4:]) == 0 {
			return syscall.EINVAL
		}
		c.Gateway = header.Addr(binary.BigEndian.Uint32(gw[4:]))
		if add {
			c.Scope = fib.ScopeUniverse
		}
	}
	if metric > 0 { // the program's counts from 1
		c.Priority = uint32(metric) - 1
	}
	if mtu := binary.NativeEndian.Uint64(arg[96:]); flags&rtfMTU != 0 && mtu <= 1<<16 {
		c.Metrics[fib.RTAXMTU] = uint32(mtu)
	}
	if add {
		return errnoOf(n.ip.NewRoute(&c, fib.FlagCreate|fib.FlagExcl))
	}
	return errnoOf(n.ip.DelRoute(&c))
}
