package inet

import (
	"encoding/binary"
	"syscall"

	"barewire/inet/sock"
	"barewire/napi"
)

// Commands of SIOCETHTOOL (Linux: include/uapi/linux/ethtool.h).
const (
	ethtoolGSet          = 0x01
	ethtoolGDrvInfo      = 0x03
	ethtoolGLink         = 0x0a
	ethtoolGCoalesce     = 0x0e
	ethtoolSCoalesce     = 0x0f
	ethtoolGRingParam    = 0x10
	ethtoolGRxCsum       = 0x14
	ethtoolGTxCsum       = 0x16
	ethtoolSTxCsum       = 0x17
	ethtoolGSG           = 0x18
	ethtoolSSG           = 0x19
	ethtoolGStrings      = 0x1b
	ethtoolGStats        = 0x1d
	ethtoolGTSO          = 0x1e
	ethtoolSTSO          = 0x1f
	ethtoolGPermAddr     = 0x20
	ethtoolGGSO          = 0x23
	ethtoolGGRO          = 0x2b
	ethtoolSGRO          = 0x2c
	ethtoolGSsetInfo     = 0x37
	ethtoolGFeatures     = 0x3a
	ethtoolSFeatures     = 0x3b
	ethtoolGChannels     = 0x3c
	ethtoolSChannels     = 0x3d
	ethtoolGLinkSettings = 0x4c
)

// Sizes of their structures in bytes, and places in them.
const (
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
	nStatsAt           = 180
	driverMax, permLen = 31, 6
)

// need refuses a structure that is shorter than size bytes, which the system call
// then fetches in whole.
func need(b []byte, size int) error {
	if len(b) < size {
		return sock.NeedMore(size)
	}
	return nil
}

// ethtool answers the requests that tools make of a device: what drives it,
// whether the link is there, what it counts and what it can do. b is the
// command's structure, at least its first 4 bytes; NeedMore asks for more.
// EOPNOTSUPP for what the device or the stack does not have.
func ethtool(dev *napi.NetDevice, b []byte) error {
	if err := need(b, 4); err != nil {
		return err
	}
	switch cmd := binary.NativeEndian.Uint32(b); cmd {
	case ethtoolGSet, ethtoolGLinkSettings:
		return ethtoolLink(dev, cmd, b)
	case ethtoolGDrvInfo:
		return ethtoolDrvInfo(dev, b)
	case ethtoolGPermAddr:
		return ethtoolPermAddr(dev, b)
	case ethtoolGStrings:
		return ethtoolStrings(dev, b)
	case ethtoolGStats:
		return ethtoolStats(dev, b)
	case ethtoolGSsetInfo:
		return ethtoolSsetInfo(dev, b)
	case ethtoolGCoalesce, ethtoolSCoalesce:
		return ethtoolCoalesce(dev, cmd == ethtoolSCoalesce, b)
	case ethtoolGRingParam:
		return ethtoolRings(dev, b)
	case ethtoolGChannels, ethtoolSChannels:
		return ethtoolChannels(dev, cmd == ethtoolSChannels, b)
	case ethtoolGFeatures:
		return ethtoolGetFeatures(dev, b)
	case ethtoolSFeatures:
		return ethtoolSetFeatures(dev, b)
	case ethtoolGLink:
		return ethtoolAnswer(b, dev.IsUp() && dev.CarrierOK())
	case ethtoolGGRO:
		return ethtoolAnswer(b, dev.GRO())
	case ethtoolGGSO:
		return ethtoolAnswer(b, true) // the stack itself cuts what the device does not
	case ethtoolGRxCsum:
		return ethtoolAnswer(b, dev.Features()&napi.FeatureRxCsum != 0)
	case ethtoolGTxCsum:
		return ethtoolAnswer(b, dev.Features()&napi.FeatureHWCsum != 0)
	case ethtoolGSG:
		return ethtoolAnswer(b, dev.Features()&napi.FeatureSG != 0)
	case ethtoolGTSO:
		return ethtoolAnswer(b, dev.Features()&napi.FeatureTSO != 0)
	case ethtoolSGRO:
		if err := need(b, 8); err != nil {
			return err
		}
		dev.SetGRO(binary.NativeEndian.Uint32(b[4:]) != 0)
		return nil
	case ethtoolSTxCsum:
		return ethtoolSwitch(dev, b, napi.FeatureHWCsum)
	case ethtoolSSG:
		return ethtoolSwitch(dev, b, napi.FeatureSG)
	case ethtoolSTSO:
		return ethtoolSwitch(dev, b, napi.FeatureTSO|napi.FeatureTSOECN)
	}
	return syscall.EOPNOTSUPP
}

// ethtoolAnswer fills a struct ethtool_value.
func ethtoolAnswer(b []byte, on bool) error {
	if err := need(b, 8); err != nil {
		return err
	}
	v := uint32(0)
	if on {
		v = 1
	}
	binary.NativeEndian.PutUint32(b[4:], v)
	return nil
}

// ethtoolSwitch reads one, for features.
func ethtoolSwitch(dev *napi.NetDevice, b []byte, f napi.Features) error {
	if err := need(b, 8); err != nil {
		return err
	}
	if dev.HWFeatures()&f == 0 {
		return syscall.EOPNOTSUPP
	}
	if binary.NativeEndian.Uint32(b[4:]) != 0 {
		dev.SwitchFeatures(f, 0)
	} else {
		dev.SwitchFeatures(0, f)
	}
	return nil
}

func isLoopback(dev *napi.NetDevice) bool { return dev.Type == napi.ARPHRD_LOOPBACK }

// ethtoolLink tells of the link, in the old structure or in the new one.
func ethtoolLink(dev *napi.NetDevice, cmd uint32, b []byte) error {
	if isLoopback(dev) {
		return syscall.EOPNOTSUPP
	}
	speed, duplex, port := uint32(1<<32-1), byte(unknown), byte(portOther)
	if napi.VethPeer(dev) != nil { // as in Linux, whatever it really does
		speed, duplex, port = 10000, duplexFull, 0
	}
	if cmd == ethtoolGSet {
		if err := need(b, ethtoolCmdLen); err != nil {
			return err
		}
		clear(b[4:ethtoolCmdLen])
		binary.NativeEndian.PutUint16(b[12:], uint16(speed))
		binary.NativeEndian.PutUint16(b[28:], uint16(speed>>16)) // speed_hi
		b[14], b[15] = duplex, port
		return nil
	}
	if err := need(b, linkSettingsLen); err != nil {
		return err
	}
	size := linkSettingsLen
	known := b[linkSettingsWords] == linkModeWords
	if known {
		size += linkSettingsMasks * linkModeWords * 4
	}
	if err := need(b, size); err != nil {
		return err
	}
	clear(b[4:size])
	if !known { // the program is to ask again, with that many
		b[linkSettingsWords] = byte(1<<8 - linkModeWords)
		return nil
	}
	b[linkSettingsWords] = linkModeWords
	binary.NativeEndian.PutUint32(b[4:], speed)
	b[8], b[9] = duplex, port
	return nil
}

// ethtoolDrvInfo names the driver.
func ethtoolDrvInfo(dev *napi.NetDevice, b []byte) error {
	if isLoopback(dev) {
		return syscall.EOPNOTSUPP
	}
	if err := need(b, drvInfoLen); err != nil {
		return err
	}
	clear(b[4:drvInfoLen])
	driver := "virtio_net"
	if napi.VethPeer(dev) != nil {
		driver = "veth"
	}
	copy(b[driverAt:driverAt+driverMax], driver)
	copy(b[verAt:verAt+driverMax], "1.0.0")
	binary.NativeEndian.PutUint32(b[nStatsAt:], uint32(max(ethtoolCount(dev, setStats), 0)))
	return nil
}

// ethtoolPermAddr tells the address that a card came with.
func ethtoolPermAddr(dev *napi.NetDevice, b []byte) error {
	if err := need(b, 8+permLen); err != nil {
		return err
	}
	if binary.NativeEndian.Uint32(b[4:]) < permLen {
		return syscall.EINVAL
	}
	binary.NativeEndian.PutUint32(b[4:], permLen)
	clear(b[8 : 8+permLen])
	if !isLoopback(dev) && napi.VethPeer(dev) == nil { // those have none
		hw := dev.HardwareAddr()
		copy(b[8:], hw[:])
	}
	return nil
}
