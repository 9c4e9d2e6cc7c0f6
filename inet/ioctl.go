package inet

import (
	"encoding/binary"
	"errors"
	"syscall"

	"barewire/napi"
)

// Requests on interfaces (Linux: include/uapi/linux/sockios.h) and what they
// are about.
const (
	siocAddRt      = 0x890b
	siocDelRt      = 0x890c
	siocGifName    = 0x8910
	siocGifConf    = 0x8912
	siocGifFlags   = 0x8913
	siocSifFlags   = 0x8914
	siocGifAddr    = 0x8915
	siocSifAddr    = 0x8916
	siocGifDstAddr = 0x8917
	siocGifBrdAddr = 0x8919
	siocSifBrdAddr = 0x891a
	siocGifNetmask = 0x891b
	siocSifNetmask = 0x891c
	siocGifMetric  = 0x891d
	siocSifMetric  = 0x891e
	siocGifMTU     = 0x8921
	siocSifMTU     = 0x8922
	siocSifName    = 0x8923
	siocSifHWAddr  = 0x8924
	siocGifHWAddr  = 0x8927
	siocSifDstAddr = 0x8918
	siocAddMulti   = 0x8931
	siocDelMulti   = 0x8932
	siocSifPFlags  = 0x8934
	siocGifPFlags  = 0x8935
	siocSifHWBcast = 0x8937
	siocGifBr      = 0x8940
	siocSifBr      = 0x8941
	siocGMIIPhy    = 0x8947
	siocGMIIReg    = 0x8948
	siocSifMap     = 0x8971
	siocSHWTstamp  = 0x89b0
	siocGHWTstamp  = 0x89b1
	siocDevPrivate = 0x89f0
	siocGifIndex   = 0x8933
	siocGifTxQLen  = 0x8942
	siocSifTxQLen  = 0x8943
	siocEthtool    = 0x8946
	siocDArp       = 0x8953
	siocGArp       = 0x8954
	siocSArp       = 0x8955
	siocGifMap     = 0x8970
	ifreqLen       = 40
	ifNameLen      = 16
	ifrUnion       = 16 // where the union of struct ifreq starts
	sockaddrInLen  = 16
	rtentryLen     = 120
	arpreqLen      = 68
)

// etherBroadcast is the station address of everybody.
var etherBroadcast = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} // read-only

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
	case siocSifPFlags, siocGifPFlags:
		return syscall.EINVAL // devinet_ioctl takes them and knows nothing of them
	case siocGifBr, siocSifBr:
		return syscall.EOPNOTSUPP // no bridges
	case siocGifFlags, siocSifFlags, siocGifAddr, siocSifAddr, siocGifDstAddr, siocSifDstAddr, siocGifBrdAddr, siocSifBrdAddr,
		siocGifNetmask, siocSifNetmask, siocGifMetric, siocSifMetric, siocGifMTU, siocSifMTU, siocSifName,
		siocSifHWAddr, siocGifHWAddr, siocSifHWBcast, siocGifIndex, siocGifTxQLen, siocSifTxQLen, siocEthtool, siocGifMap, siocSifMap,
		siocAddMulti, siocDelMulti, siocGMIIPhy, siocGMIIReg, siocSHWTstamp, siocGHWTstamp:
	default:
		if cmd < siocDevPrivate || cmd > siocDevPrivate+15 {
			return syscall.ENOTTY
		}
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
	case siocGifAddr, siocSifAddr, siocGifDstAddr, siocSifDstAddr, siocGifBrdAddr, siocSifBrdAddr, siocGifNetmask, siocSifNetmask:
		return n.addrIoctl(cmd, dev, label, u)
	case siocSifFlags:
		if label != name {
			return n.aliasFlags(dev, label, binary.NativeEndian.Uint16(u))
		}
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
		u[ifNameLen-1] = 0
		_, new := ifName(append(append([]byte{}, u[:ifNameLen]...), 0))
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
	case siocSifHWBcast:
		if binary.NativeEndian.Uint16(u) != dev.Type {
			return syscall.EINVAL
		}
		if [6]byte(u[2:8]) != etherBroadcast {
			return syscall.EOPNOTSUPP // every device has that one
		}
	case siocAddMulti, siocDelMulti:
		if binary.NativeEndian.Uint16(u) != syscall.AF_UNSPEC {
			return syscall.EINVAL
		}
		if cmd == siocAddMulti {
			return errnoOf(dev.AddMulticast([6]byte(u[2:8])))
		}
		return errnoOf(dev.DelMulticast([6]byte(u[2:8])))
	default: // of cards with PHYs, clocks and requests of their own
		return syscall.EOPNOTSUPP
	}
	return nil
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
