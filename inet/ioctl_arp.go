package inet

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/neigh"
	"barewire/napi"
	"barewire/skb/header"
)

// Flags of a struct arpreq (Linux: ATF_*), and where its fields are.
const (
	atfCom, atfPerm, atfPubl, atfNetmask, atfDontPubl = 0x02, 0x04, 0x08, 0x20, 0x40

	arpHA, arpFlags, arpMask, arpDev = 16, 32, 36, 52
)

// arpIoctl is arp_ioctl.
func (n *Net) arpIoctl(cmd uint, arg []byte) error {
	if len(arg) < arpreqLen {
		return syscall.EFAULT
	}
	if binary.NativeEndian.Uint16(arg) != syscall.AF_INET {
		return syscall.EPFNOSUPPORT
	}
	a := header.Addr(binary.BigEndian.Uint32(arg[4:]))
	flags := binary.NativeEndian.Uint32(arg[arpFlags:])
	if flags&atfPubl == 0 && flags&(atfNetmask|atfDontPubl) != 0 {
		return syscall.EINVAL
	}
	var dev *napi.NetDevice
	if name, _ := ifName(arg[arpDev:arpreqLen]); name != "" {
		if dev = n.dev.DevByName(name); dev == nil {
			return syscall.ENODEV
		}
	}
	if cmd == siocGArp {
		if dev == nil {
			return syscall.ENODEV
		}
		return n.arpGet(dev, a, arg)
	}
	if dev != nil {
		if hatype := binary.NativeEndian.Uint16(arg[arpHA:]); flags&atfCom != 0 && hatype != 0 && hatype != dev.Type {
			return syscall.EINVAL
		}
	}
	if flags&atfPubl != 0 {
		mask := header.AddrBroadcast
		if flags&atfNetmask != 0 {
			mask = header.Addr(binary.BigEndian.Uint32(arg[arpMask+4:]))
		}
		return n.arpPublish(cmd == siocSArp, dev, a, mask)
	}
	if dev == nil {
		rt, errno := n.ip.RouteOutput(&fib.Flow{Dst: a, OnLink: true})
		if errno != 0 {
			return errno
		}
		dev = rt.Dev
	}
	t := n.ip.Neigh
	if cmd == siocDArp {
		if t.Delete(dev, a) != nil {
			return syscall.ENXIO
		}
		return nil
	}
	state := uint32(neigh.NUDStale) // whoever uses it asks again
	if flags&atfPerm != 0 {
		state = neigh.NUDPermanent
	}
	return errnoOf(t.Add(dev, a, arg[arpHA+2:arpHA+8], state, 0))
}

// arpPublish makes this host answer for an address, or on a device for all
// there are, or no longer (Linux: arp_req_set_public, arp_req_delete_public).
func (n *Net) arpPublish(on bool, dev *napi.NetDevice, a, mask header.Addr) error {
	switch {
	case mask == header.AddrBroadcast && on:
		return errnoOf(n.ip.Neigh.AddProxy(dev, a, 0, 0))
	case mask == header.AddrBroadcast:
		return errnoOf(n.ip.Neigh.DelProxy(dev, a))
	case mask != 0:
		return syscall.EINVAL
	}
	conf := &n.ip.ConfAll
	if dev != nil {
		d := n.ip.InDev(dev.Ifindex())
		if d == nil {
			return syscall.ENXIO
		}
		conf = d.Conf
	}
	v := int32(0)
	if on {
		v = 1
	}
	conf.ProxyARP.Store(v)
	return nil
}

// arpGet is arp_req_get.
func (n *Net) arpGet(dev *napi.NetDevice, a header.Addr, arg []byte) error {
	for _, e := range n.ip.Neigh.Entries() {
		if e.Dev != dev || e.Addr != a || e.State&(neigh.NUDNoARP|neigh.NUDFailed|neigh.NUDIncomplete) != 0 || e.State == 0 {
			continue
		}
		clear(arg[arpHA:arpFlags])
		binary.NativeEndian.PutUint16(arg[arpHA:], dev.Type)
		copy(arg[arpHA+2:], e.HW[:])
		f := uint32(atfCom)
		if e.State&neigh.NUDPermanent != 0 {
			f |= atfPerm
		}
		binary.NativeEndian.PutUint32(arg[arpFlags:], f)
		putName(arg[arpDev:arpreqLen], dev.Name())
		return nil
	}
	return syscall.ENXIO
}
