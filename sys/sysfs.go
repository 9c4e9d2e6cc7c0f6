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
		"class":   {Dir: vfs.Tree{"net": {Dir: netClass{devs}}}},
		"devices": {Dir: vfs.Tree{"virtual": {Dir: vfs.Tree{"net": {Dir: devs}}}}},
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

// netDev is the directory of one device.
func netDev(d *napi.NetDevice) vfs.Dir {
	running := func() bool { return d.IsUp() }
	return vfs.Tree{
		"address":          text(func() string { return macText(d, d.HardwareAddr()) }),
		"broadcast":        text(func() string { return macText(d, d.Broadcast) }),
		"addr_assign_type": constant("0\n"),
		"addr_len":         constant(fmt.Sprintf("%d\n", d.AddrLen)),
		"name_assign_type": constant("2\n"), // NET_NAME_PREDICTABLE: by the kernel, and stable
		"mtu":              writable(number(func() int64 { return int64(d.MTU()) }), func(v int64) error { return d.SetMTU(int(min(v, 1<<30))) }),
		"flags":            writable(text(func() string { return fmt.Sprintf("0x%x\n", d.Flags()&0xffff&^napi.IFF_RUNNING) }), func(v int64) error { return d.ChangeFlags(uint32(v), ^uint32(0)) }),
		"ifindex":          number(func() int64 { return int64(d.Ifindex()) }),
		"iflink":           number(func() int64 { return int64(d.Ifindex()) }),
		"type":             number(func() int64 { return int64(d.Type) }),
		"tx_queue_len":     writable(number(func() int64 { return int64(d.QueueLen()) }), func(v int64) error { return d.SetQueueLen(int(min(v, 1<<30))) }),
		"dev_id":           constant("0x0\n"),
		"dev_port":         constant("0\n"),
		"dormant":          constant("0\n"),
		"link_mode":        constant("0\n"),
		"ifalias":          constant(""),
		"operstate":        text(func() string { return operstate(d) + "\n" }),
		// What a link carries can be asked of a device that is up alone.
		"carrier": {Mode: 0o644, Text: func(b []byte) ([]byte, Errno) {
			if !running() {
				return nil, syscall.EINVAL
			}
			if d.CarrierOK() {
				return append(b, "1\n"...), 0
			}
			return append(b, "0\n"...), 0
		}},
		// The speed is not told by the devices there are (Linux: -1, or EINVAL
		// where there are no link settings, as on lo).
		"speed":      linkSetting(d, "-1\n"),
		"duplex":     linkSetting(d, "unknown\n"),
		"uevent":     text(func() string { return "INTERFACE=" + d.Name() + "\nIFINDEX=" + strconv.Itoa(int(d.Ifindex())) + "\n" }),
		"subsystem":  link("../../../../class/net"),
		"statistics": {Dir: netStats(d)},
		"queues":     {Dir: netQueues(d)},
	}
}

// linkSetting is a file of the link's settings: EINVAL while the device is
// down, and always on loopback.
func linkSetting(d *napi.NetDevice, value string) vfs.Node {
	return vfs.Node{Text: func(b []byte) ([]byte, Errno) {
		if !d.IsUp() || d.Type == napi.ARPHRD_LOOPBACK {
			return nil, syscall.EINVAL
		}
		return append(b, value...), 0
	}}
}

// operstate is RFC 2863's operational status (Linux: operstates). Loopback
// does not say.
func operstate(d *napi.NetDevice) string {
	switch {
	case !d.IsUp():
		return "down"
	case d.Type == napi.ARPHRD_LOOPBACK:
		return "unknown"
	case !d.CarrierOK():
		return "down"
	}
	return "up"
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

// netQueues has an empty directory for each queue, which is what programs
// count.
func netQueues(d *napi.NetDevice) vfs.Dir {
	t := vfs.Tree{}
	for i := range max(1, len(d.NAPIs())) {
		t["rx-"+strconv.Itoa(i)] = vfs.Node{Dir: vfs.Tree{}}
	}
	for i := range d.TxQueues {
		t["tx-"+strconv.Itoa(i)] = vfs.Node{Dir: vfs.Tree{}}
	}
	return t
}
