package sys

import (
	"fmt"
	"strconv"
	"syscall"

	"barewire/napi"
	"barewire/sys/vfs"
)

// /sys/class/net (Linux: net/core/net-sysfs.c). Devices stand below
// /sys/devices/virtual, whatever bus they are on: the bus is not shown.

// sysTree is the root of /sys.
func (k *Kernel) sysTree() vfs.Dir {
	devs := netDevs{k}
	return vfs.Tree{
		"firmware": {Dir: newFirmwareDir(k.cfg.Firmware)},
		"class":    {Dir: vfs.Tree{"net": {Dir: netClass{devs}}}},
		"devices":  {Dir: vfs.Tree{"virtual": {Dir: vfs.Tree{"net": {Dir: devs}}}}},
	}
}

// netDevs is the directory with a directory for each device of the caller's
// namespace. (In Linux a mount of sysfs shows those of who mounted it.)
type netDevs struct{ k *Kernel }

// Names implements vfs.Dir.
func (d netDevs) Names() []string {
	n := d.k.netns().Net
	if n == nil {
		return nil
	}
	var l []string
	for _, dev := range n.Devs() {
		l = append(l, dev.Name())
	}
	return l
}

// Lookup implements vfs.Dir.
func (d netDevs) Lookup(name string) (vfs.Node, bool) {
	n := d.k.netns().Net
	if n == nil {
		return vfs.Node{}, false
	}
	dev := n.DevByName(name)
	if dev == nil {
		return vfs.Node{}, false
	}
	return vfs.Node{Dir: netDev(dev)}, true
}

// netClass is /sys/class/net: a link for each device.
type netClass struct{ netDevs }

// Lookup implements vfs.Dir.
func (d netClass) Lookup(name string) (vfs.Node, bool) {
	if _, ok := d.netDevs.Lookup(name); !ok {
		return vfs.Node{}, false
	}
	return link("../../devices/virtual/net/" + name), true
}

// number is a file with a decimal number.
func number(f func() int64) vfs.Node {
	return text(func() string { return strconv.FormatInt(f(), 10) + "\n" })
}

// writable gives a number's file a way to set it: EINVAL for what is none.
func writable(n vfs.Node, set func(int64) error) vfs.Node {
	n.Write = func(p []byte) Errno {
		v, err := strconv.ParseInt(trimLine(p), 0, 64)
		if err != nil {
			return syscall.EINVAL
		}
		return errnoOf(set(v))
	}
	return n
}

// macText is a link-layer address of d as sysfs prints it.
func macText(d *napi.NetDevice, a [6]byte) string {
	if d.AddrLen == 0 {
		return "\n"
	}
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x\n", a[0], a[1], a[2], a[3], a[4], a[5])
}

// netStats is the directory of counters.
func netStats(d *napi.NetDevice) vfs.Dir {
	t := vfs.Tree{}
	for name, f := range map[string]func(*napi.LinkStats) uint64{
		"collisions":          func(s *napi.LinkStats) uint64 { return s.Collisions },
		"multicast":           func(s *napi.LinkStats) uint64 { return s.Multicast },
		"rx_bytes":            func(s *napi.LinkStats) uint64 { return s.RxBytes },
		"rx_compressed":       func(*napi.LinkStats) uint64 { return 0 },
		"rx_crc_errors":       func(s *napi.LinkStats) uint64 { return s.RxCRCErrors },
		"rx_dropped":          func(s *napi.LinkStats) uint64 { return s.RxDropped },
		"rx_errors":           func(s *napi.LinkStats) uint64 { return s.RxErrors },
		"rx_fifo_errors":      func(s *napi.LinkStats) uint64 { return s.RxFifoErrors },
		"rx_frame_errors":     func(s *napi.LinkStats) uint64 { return s.RxFrameErrors },
		"rx_length_errors":    func(s *napi.LinkStats) uint64 { return s.RxLengthErrors },
		"rx_missed_errors":    func(s *napi.LinkStats) uint64 { return s.RxMissedErrors },
		"rx_nohandler":        func(s *napi.LinkStats) uint64 { return s.RxNoHandler },
		"rx_over_errors":      func(s *napi.LinkStats) uint64 { return s.RxOverErrors },
		"rx_packets":          func(s *napi.LinkStats) uint64 { return s.RxPackets },
		"tx_aborted_errors":   func(s *napi.LinkStats) uint64 { return s.TxAbortedErrors },
		"tx_bytes":            func(s *napi.LinkStats) uint64 { return s.TxBytes },
		"tx_carrier_errors":   func(s *napi.LinkStats) uint64 { return s.TxCarrierErrors },
		"tx_compressed":       func(*napi.LinkStats) uint64 { return 0 },
		"tx_dropped":          func(s *napi.LinkStats) uint64 { return s.TxDropped },
		"tx_errors":           func(s *napi.LinkStats) uint64 { return s.TxErrors },
		"tx_fifo_errors":      func(s *napi.LinkStats) uint64 { return s.TxFifoErrors },
		"tx_heartbeat_errors": func(*napi.LinkStats) uint64 { return 0 },
		"tx_packets":          func(s *napi.LinkStats) uint64 { return s.TxPackets },
		"tx_window_errors":    func(*napi.LinkStats) uint64 { return 0 },
	} {
		t[name] = text(func() string {
			s := d.GetStats()
			return strconv.FormatUint(f(&s), 10) + "\n"
		})
	}
	return t
}
