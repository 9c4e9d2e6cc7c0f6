package ipmr

import (
	"encoding/binary"
	"sync/atomic"
	"syscall"

	"barewire/napi"
	"barewire/skb/header"
)

// Flags of a vif (Linux: VIFF_*).
const (
	vifTunnel   = 0x1
	vifRegister = 0x4
	vifUseIndex = 0x8
	vifStatic   = 0x8000 // not entered by the daemon
)

// vif is a link packets are routed to and from (Linux: struct vif_device). dev
// and what it is about change under cfg and mu; the counters any time.
type vif struct {
	dev           *napi.NetDevice // nil: not in use
	flags         uint32
	local, remote [4]byte

	bytesIn, bytesOut, pktIn, pktOut atomic.Uint64
}

// vifctl is the content of struct vifctl.
type vifctl struct {
	vifi          uint16
	flags         uint8
	local, remote [4]byte
}

const vifctlLen = 16

func parseVifctl(p []byte) vifctl {
	return vifctl{vifi: binary.NativeEndian.Uint16(p), flags: p[2], local: [4]byte(p[8:12]), remote: [4]byte(p[12:16])}
}

// findVIF returns the number of the vif of a device, -1 if it is none; cfg or mu
// is held.
func (t *table) findVIF(dev *napi.NetDevice) int {
	for i := t.maxvif - 1; i >= 0; i-- {
		if t.vifs[i].dev == dev {
			return i
		}
	}
	return -1
}

// addVIF is vif_add; reg is the device of a register vif. cfg is held.
func (r *Router) addVIF(t *table, c *vifctl, daemon bool, reg *napi.NetDevice) error {
	v := &t.vifs[c.vifi]
	if v.dev != nil {
		return syscall.EADDRINUSE
	}
	var dev *napi.NetDevice
	switch c.flags {
	case vifRegister:
		if t.regVif >= 0 {
			return syscall.EADDRINUSE
		}
		if dev = reg; dev == nil {
			return syscall.ENOBUFS
		}
	case vifTunnel:
		return syscall.ENOBUFS
	case vifUseIndex:
		dev = r.net.DevByIndex(int32(binary.NativeEndian.Uint32(c.local[:])))
	case 0:
		if in := r.ip.AddrOwner(header.AddrFrom4(c.local)); in != nil {
			dev = in.Dev
		}
	default:
		return syscall.EINVAL
	}
	if dev == nil {
		return syscall.EADDRNOTAVAIL
	}
	in := r.ip.InDev(dev.Ifindex())
	if in == nil {
		return syscall.EADDRNOTAVAIL
	}
	if err := dev.SetAllMulti(1); err != nil {
		return err
	}
	in.Conf.McForwarding.Add(1)
	r.notify(Event{Kind: Forwarding, Dev: dev})
	r.mu.Lock()
	v.dev, v.flags, v.local, v.remote = dev, uint32(c.flags), c.local, c.remote
	if !daemon {
		v.flags |= vifStatic
	}
	v.bytesIn.Store(0)
	v.bytesOut.Store(0)
	v.pktIn.Store(0)
	v.pktOut.Store(0)
	if c.flags == vifRegister {
		t.regVif = int(c.vifi)
	}
	t.maxvif = max(t.maxvif, int(c.vifi)+1)
	r.mu.Unlock()
	r.ip.FIB.Bump() // cached ways to groups lead past us (Linux: ip_rt_multicast_event)
	return nil
}

// delVIF is vif_delete; gone says that the device is going anyway. cfg is held.
func (r *Router) delVIF(t *table, i int, gone bool) error {
	if i >= t.maxvif || t.vifs[i].dev == nil {
		return syscall.EADDRNOTAVAIL
	}
	v := &t.vifs[i]
	dev := v.dev
	r.mu.Lock()
	v.dev = nil
	if i == t.regVif {
		t.regVif = -1
	}
	for t.maxvif > 0 && t.vifs[t.maxvif-1].dev == nil {
		t.maxvif--
	}
	r.mu.Unlock()
	dev.SetAllMulti(-1) // EINVAL: it was reset with the device
	if in := r.ip.InDev(dev.Ifindex()); in != nil {
		in.Conf.McForwarding.Add(-1)
		r.notify(Event{Kind: Forwarding, Dev: dev})
	}
	r.ip.FIB.Bump()
	if v.flags&vifRegister != 0 && !gone {
		r.doomed = append(r.doomed, dev)
	}
	return nil
}
