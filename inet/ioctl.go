package inet

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"

	"barewire/inet/header"
	"barewire/napi"
)

// Requests on interfaces (Linux: include/uapi/linux/sockios.h) and what they
// are about.
const (
	siocAddRt       = 0x890b
	siocDelRt       = 0x890c
	siocGifName     = 0x8910
	siocGifConf     = 0x8912
	siocGifFlags    = 0x8913
	siocSifFlags    = 0x8914
	siocGifAddr     = 0x8915
	siocSifAddr     = 0x8916
	siocGifDstAddr  = 0x8917
	siocGifBrdAddr  = 0x8919
	siocSifBrdAddr  = 0x891a
	siocGifNetmask  = 0x891b
	siocSifNetmask  = 0x891c
	siocGifMetric   = 0x891d
	siocSifMetric   = 0x891e
	siocGifMTU      = 0x8921
	siocSifMTU      = 0x8922
	siocSifName     = 0x8923
	siocSifHWAddr   = 0x8924
	siocGifHWAddr   = 0x8927
	siocGifIndex    = 0x8933
	siocGifTxQLen   = 0x8942
	siocSifTxQLen   = 0x8943
	siocEthtool     = 0x8946
	siocDArp        = 0x8953
	siocGArp        = 0x8954
	siocSArp        = 0x8955
	siocGifMap      = 0x8970
	ifreqLen        = 40
	ifNameLen       = 16
	ifrUnion        = 16 // where the union of struct ifreq starts
	sockaddrInLen   = 16
	rtentryLen      = 120
	arpreqLen       = 68
	ethtoolGDrvInfo = 0x03
	ethtoolGLink    = 0x0a
)

// errnoOf is the number in an error of the device layer.
func errnoOf(err error) error {
	var e syscall.Errno
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	}
	return syscall.EINVAL
}

// DevIoctl performs an interface request (Linux: dev_ioctl, devinet_ioctl,
// ip_rt_ioctl, arp_ioctl) on the structure in arg, 40 bytes of struct ifreq for
// most. What the structure points to has been put behind it by the system call:
// for SIOCGIFCONF arg is ifc_len, 4 bytes, and the buffer it points to, if it
// does; for SIOCETHTOOL the command's structure follows the ifreq; for routes
// the device's name follows the rtentry. ENOTTY for what is no interface
// request, EFAULT for a short arg, ENODEV, EADDRNOTAVAIL, EINVAL.
func (n *Net) DevIoctl(cmd uint, arg []byte) error {
	switch cmd {
	case siocGifConf:
		if len(arg) < 4 {
			return syscall.EFAULT
		}
		binary.NativeEndian.PutUint32(arg, uint32(n.ifConf(arg[4:])))
		return nil
	case siocAddRt, siocDelRt:
		return n.rtIoctl(cmd == siocAddRt, arg)
	case siocDArp, siocGArp, siocSArp:
		return n.arpIoctl(cmd, arg)
	case siocGifName:
		if len(arg) < ifreqLen {
			return syscall.EFAULT
		}
		dev := n.dev.DevByIndex(int32(binary.NativeEndian.Uint32(arg[ifrUnion:])))
		if dev == nil {
			return syscall.ENODEV
		}
		putName(arg, dev.Name())
		return nil
	case siocGifFlags, siocSifFlags, siocGifAddr, siocSifAddr, siocGifDstAddr, siocGifBrdAddr, siocSifBrdAddr,
		siocGifNetmask, siocSifNetmask, siocGifMetric, siocSifMetric, siocGifMTU, siocSifMTU, siocSifName,
		siocSifHWAddr, siocGifHWAddr, siocGifIndex, siocGifTxQLen, siocSifTxQLen, siocEthtool, siocGifMap:
	default:
		return syscall.ENOTTY
	}
	if len(arg) < ifreqLen {
		return syscall.EFAULT
	}
	name, label := ifName(arg)
	dev := n.dev.DevByName(name)
	if dev == nil {
		return syscall.ENODEV
	}
	u := arg[ifrUnion:ifreqLen]
	switch cmd {
	case siocGifAddr, siocSifAddr, siocGifDstAddr, siocGifBrdAddr, siocSifBrdAddr, siocGifNetmask, siocSifNetmask:
		return n.addrIoctl(cmd, dev, label, u)
	case siocEthtool:
		return ethtool(dev, arg[ifreqLen:])
	}
	return n.linkIoctl(cmd, dev, u)
}

// linkIoctl is dev_ifsioc: properties of the device.
func (n *Net) linkIoctl(cmd uint, dev *napi.NetDevice, u []byte) error {
	v := int32(binary.NativeEndian.Uint32(u))
	put := func(v uint32) { binary.NativeEndian.PutUint32(u, v) }
	switch cmd {
	case siocGifFlags:
		binary.NativeEndian.PutUint16(u, uint16(dev.Flags()))
	case siocSifFlags:
		return errnoOf(dev.ChangeFlags(uint32(binary.NativeEndian.Uint16(u)), 0xffff))
	case siocGifMetric:
		put(0)
	case siocSifMetric:
		return syscall.EOPNOTSUPP
	case siocGifMTU:
		put(uint32(dev.MTU()))
	case siocSifMTU:
		return errnoOf(dev.SetMTU(int(v)))
	case siocSifName:
		new, _ := ifName(append(append([]byte{}, u[:ifNameLen]...), 0))
		return errnoOf(n.dev.ChangeName(dev, new))
	case siocGifHWAddr:
		hw := dev.HardwareAddr()
		clear(u[:sockaddrInLen])
		binary.NativeEndian.PutUint16(u, dev.Type)
		copy(u[2:], hw[:])
	case siocSifHWAddr:
		if binary.NativeEndian.Uint16(u) != dev.Type {
			return syscall.EINVAL
		}
		return errnoOf(dev.SetHardwareAddr([6]byte(u[2:8])))
	case siocGifIndex:
		put(uint32(dev.Ifindex()))
	case siocGifTxQLen:
		put(uint32(dev.QueueLen()))
	case siocSifTxQLen:
		if v < 0 {
			return syscall.EINVAL
		}
		return errnoOf(dev.SetQueueLen(int(v)))
	case siocGifMap:
		clear(u[:24])
	}
	return nil
}

// addrIoctl is devinet_ioctl.
func (n *Net) addrIoctl(cmd uint, dev *napi.NetDevice, label string, u []byte) error {
	a := header.Addr(binary.BigEndian.Uint32(u[4:]))
	if cmd == siocSifAddr || cmd == siocSifBrdAddr || cmd == siocSifNetmask {
		if binary.NativeEndian.Uint16(u) != syscall.AF_INET {
			return syscall.EINVAL
		}
	}
	var cur *Addr
	for _, x := range n.Addrs() {
		if x.Dev == dev {
			cur = &x
			break
		}
	}
	if cur == nil && cmd != siocSifAddr {
		return syscall.EADDRNOTAVAIL
	}
	put := func(v netip.Addr) {
		clear(u[:sockaddrInLen])
		binary.NativeEndian.PutUint16(u, syscall.AF_INET)
		if v.IsValid() {
			b := v.As4()
			copy(u[4:], b[:])
		}
	}
	switch cmd {
	case siocGifAddr, siocGifDstAddr:
		put(cur.Prefix.Addr())
	case siocGifBrdAddr:
		put(cur.Broadcast)
	case siocGifNetmask:
		put(header.Mask(cur.Prefix.Bits()).Netip())
	case siocSifAddr:
		return n.setAddr(dev, cur, a)
	case siocSifNetmask:
		bits, ok := maskBits(a)
		if !ok {
			return syscall.EINVAL
		}
		if bits == cur.Prefix.Bits() {
			return nil
		}
		if err := n.DelAddr(dev, cur.Prefix); err != nil {
			return errnoOf(err)
		}
		return errnoOf(n.AddAddr(dev, netip.PrefixFrom(cur.Prefix.Addr(), bits)))
	case siocSifBrdAddr:
		// An address's broadcast address is the one of its subnet here.
		if cur.Broadcast.IsValid() && a.Netip() == cur.Broadcast {
			return nil
		}
		return syscall.EINVAL
	}
	return nil
}

// setAddr replaces the device's first address by a with the prefix length of
// its class, as SIOCSIFADDR does; 0 only takes it away.
func (n *Net) setAddr(dev *napi.NetDevice, cur *Addr, a header.Addr) error {
	bits := 32
	switch { // RFC 791 section 3.2
	case a == 0:
		bits = 0
	case a>>31 == 0:
		bits = 8
	case a>>30 == 2:
		bits = 16
	case a>>29 == 6:
		bits = 24
	default:
		return syscall.EINVAL
	}
	if cur != nil {
		if a != 0 && cur.Prefix.Addr() == a.Netip() {
			return nil
		}
		if err := n.DelAddr(dev, cur.Prefix); err != nil {
			return errnoOf(err)
		}
	}
	if a == 0 {
		return nil
	}
	return errnoOf(n.AddAddr(dev, netip.PrefixFrom(a.Netip(), bits)))
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

// arpIoctl is arp_ioctl.
func (n *Net) arpIoctl(cmd uint, arg []byte) error {
	if len(arg) < arpreqLen {
		return syscall.EFAULT
	}
	const atfCom, atfPerm, atfPubl, atfNetmask = 2, 4, 8, 0x20
	if binary.NativeEndian.Uint16(arg) != syscall.AF_INET {
		return syscall.EPFNOSUPPORT
	}
	a := header.Addr(binary.BigEndian.Uint32(arg[4:]))
	flags := binary.NativeEndian.Uint32(arg[32:])
	if flags&atfPubl == 0 && flags&atfNetmask != 0 {
		return syscall.EINVAL
	}
	name, _ := ifName(arg[52:68])
	var dev *napi.NetDevice
	if name != "" {
		if dev = n.dev.DevByName(name); dev == nil {
			return syscall.ENODEV
		}
	} else {
		for _, d := range n.Addrs() { // the link it is on
			if d.Prefix.Contains(a.Netip()) {
				dev = d.Dev
				break
			}
		}
		if dev == nil {
			return syscall.ENODEV
		}
	}
	t := n.ip.Neigh
	if flags&atfPubl != 0 {
		switch cmd {
		case siocSArp:
			return errnoOf(t.AddProxy(dev, a, 0, 0))
		case siocDArp:
			return errnoOf(t.DelProxy(dev, a))
		}
	}
	switch cmd {
	case siocSArp:
		if binary.NativeEndian.Uint16(arg[16:]) != dev.Type {
			return syscall.EINVAL
		}
		state := uint32(0x04) // STALE: whoever uses it asks again
		if flags&atfPerm != 0 {
			state = 0x80
		}
		return errnoOf(t.Add(dev, a, arg[18:24], state, 0))
	case siocDArp:
		if t.Delete(dev, a) != nil {
			return syscall.ENXIO
		}
		return nil
	}
	for _, e := range t.Entries() {
		if e.Dev != dev || e.Addr != a || e.State&(0x40|0x20|0x01) != 0 || e.State == 0 {
			continue
		}
		clear(arg[16:32])
		binary.NativeEndian.PutUint16(arg[16:], dev.Type)
		copy(arg[18:], e.HW[:])
		f := uint32(atfCom)
		if e.State&0x80 != 0 {
			f |= atfPerm
		}
		binary.NativeEndian.PutUint32(arg[32:], f)
		clear(arg[52:68])
		copy(arg[52:67], dev.Name())
		return nil
	}
	return syscall.ENXIO
}

// ethtool answers the requests that tools make of every device: what drives it
// and whether the link is there. EOPNOTSUPP for the rest.
func ethtool(dev *napi.NetDevice, b []byte) error {
	if len(b) < 4 {
		return syscall.EFAULT
	}
	switch binary.NativeEndian.Uint32(b) {
	case ethtoolGLink:
		if len(b) < 8 {
			return syscall.EFAULT
		}
		up := uint32(0)
		if dev.IsUp() && dev.CarrierOK() {
			up = 1
		}
		binary.NativeEndian.PutUint32(b[4:], up)
		return nil
	case ethtoolGDrvInfo:
		if len(b) < 196 { // struct ethtool_drvinfo
			return syscall.EFAULT
		}
		clear(b[4:196])
		driver := "virtio_net"
		if dev.Type == napi.ARPHRD_LOOPBACK {
			driver = "lo"
		}
		copy(b[4:35], driver)
		copy(b[36:67], "1.0.0")
		return nil
	}
	return syscall.EOPNOTSUPP
}

// ifConf fills buf with a struct ifreq for every address, its device's name and
// the address, and returns the bytes used. Without a buf it returns the bytes
// that would be.
func (n *Net) ifConf(buf []byte) int {
	used := 0
	for _, a := range n.Addrs() {
		if len(buf) > 0 {
			if used+ifreqLen > len(buf) {
				break
			}
			e := buf[used : used+ifreqLen]
			clear(e)
			putName(e, a.Dev.Name())
			binary.NativeEndian.PutUint16(e[ifrUnion:], syscall.AF_INET)
			ip := a.Prefix.Addr().As4()
			copy(e[ifrUnion+4:], ip[:])
		}
		used += ifreqLen
	}
	return used
}

func putName(b []byte, name string) {
	clear(b[:ifNameLen])
	copy(b[:ifNameLen-1], name)
}

// ifName reads the name in a struct ifreq: the device, without what follows a
// colon, and the whole label.
func ifName(b []byte) (dev, label string) {
	b = b[:ifNameLen-1]
	for i, c := range b {
		if c == 0 {
			b = b[:i]
			break
		}
	}
	label = string(b)
	for i := range label {
		if label[i] == ':' {
			return label[:i], label
		}
	}
	return label, label
}
