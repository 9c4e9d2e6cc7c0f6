package inet

import (
	"encoding/binary"
	"syscall"

	"barewire/napi"
)

// Commands of SIOCETHTOOL (Linux: include/uapi/linux/ethtool.h) and the sizes of
// their structures in bytes.
const (
	ethtoolGSet          = 0x01
	ethtoolGDrvInfo      = 0x03
	ethtoolGLink         = 0x0a
	ethtoolGPermAddr     = 0x20
	ethtoolGGRO          = 0x2b
	ethtoolSGRO          = 0x2c
	ethtoolGLinkSettings = 0x4c

	ethtoolCmdLen      = 44  // struct ethtool_cmd
	drvInfoLen         = 196 // struct ethtool_drvinfo
	linkSettingsLen    = 48  // struct ethtool_link_settings, without the masks
	linkModeWords      = 4   // 32-bit words of each of its three masks
	duplexFull         = 1
	portOther          = 0xff
	unknown            = 0xff
	linkSettingsWords  = 15 // link_mode_masks_nwords
	linkSettingsMasks  = 3
	driverAt, verAt    = 4, 36
	driverMax, permLen = 31, 6
)

// ethtoolSize returns how much memory of the program a command may touch, given
// the first bytes of it.
func ethtoolSize(head []byte) int {
	if len(head) < 4 {
		return 4
	}
	switch binary.NativeEndian.Uint32(head) {
	case ethtoolGSet:
		return ethtoolCmdLen
	case ethtoolGDrvInfo:
		return drvInfoLen
	case ethtoolGPermAddr:
		return 8 + permLen
	case ethtoolGLinkSettings:
		if len(head) > linkSettingsWords && head[linkSettingsWords] == linkModeWords {
			return linkSettingsLen + linkSettingsMasks*linkModeWords*4
		}
		return linkSettingsLen
	}
	return 8
}

// ethtool answers the requests that tools make of every device: what drives it,
// whether the link is there and how fast it is, its first address, whether
// received packets are merged. EOPNOTSUPP for the rest.
func ethtool(dev *napi.NetDevice, b []byte) error {
	if len(b) < ethtoolSize(b) {
		return syscall.EFAULT
	}
	lo := dev.Type == napi.ARPHRD_LOOPBACK
	veth := napi.VethPeer(dev) != nil
	speed, duplex, port := uint32(1<<32-1), byte(unknown), byte(portOther)
	if veth { // as in Linux, whatever it really does
		speed, duplex, port = 10000, duplexFull, 0
	}
	switch binary.NativeEndian.Uint32(b) {
	case ethtoolGLink:
		up := uint32(0)
		if dev.IsUp() && dev.CarrierOK() {
			up = 1
		}
		binary.NativeEndian.PutUint32(b[4:], up)
		return nil
	case ethtoolGGRO:
		on := uint32(0)
		if dev.GRO() {
			on = 1
		}
		binary.NativeEndian.PutUint32(b[4:], on)
		return nil
	case ethtoolSGRO:
		dev.SetGRO(binary.NativeEndian.Uint32(b[4:]) != 0)
		return nil
	case ethtoolGDrvInfo:
		if lo {
			return syscall.EOPNOTSUPP
		}
		clear(b[4:drvInfoLen])
		driver := "virtio_net"
		if veth {
			driver = "veth"
		}
		copy(b[driverAt:driverAt+driverMax], driver)
		copy(b[verAt:verAt+driverMax], "1.0.0")
		return nil
	case ethtoolGPermAddr:
		if binary.NativeEndian.Uint32(b[4:]) < permLen {
			return syscall.EINVAL
		}
		binary.NativeEndian.PutUint32(b[4:], permLen)
		clear(b[8:])
		if !lo && !veth { // those have none
			hw := dev.HardwareAddr()
			copy(b[8:], hw[:])
		}
		return nil
	case ethtoolGSet:
		if lo {
			return syscall.EOPNOTSUPP
		}
		clear(b[4:ethtoolCmdLen])
		binary.NativeEndian.PutUint16(b[12:], uint16(speed))
		binary.NativeEndian.PutUint16(b[28:], uint16(speed>>16)) // speed_hi
		b[14], b[15] = duplex, port
		return nil
	case ethtoolGLinkSettings:
		if lo {
			return syscall.EOPNOTSUPP
		}
		words := b[linkSettingsWords]
		clear(b[4:ethtoolSize(b)])
		if words != linkModeWords { // the program is to ask again, with that many
			b[linkSettingsWords] = byte(1<<8 - linkModeWords)
			return nil
		}
		b[linkSettingsWords] = linkModeWords
		binary.NativeEndian.PutUint32(b[4:], speed)
		b[8], b[9] = duplex, port
		return nil
	}
	return syscall.EOPNOTSUPP
}
