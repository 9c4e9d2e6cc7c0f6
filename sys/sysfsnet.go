package sys

import (
	"fmt"
	"strconv"
	"syscall"
	"time"

	"barewire/napi"
	"barewire/sys/vfs"
)

// netDev is the directory of one device (Linux: net_class_attrs).
func netDev(d *napi.NetDevice) vfs.Dir {
	zero := constant("0\n")
	count := func(f func() uint32) vfs.Node { return number(func() int64 { return int64(f()) }) }
	t := vfs.Tree{
		"address":          text(func() string { return macText(d, d.HardwareAddr()) }),
		"broadcast":        text(func() string { return macText(d, d.Broadcast) }),
		"addr_assign_type": count(func() uint32 { return uint32(d.AddrAssign()) }),
		"addr_len":         constant(strconv.Itoa(d.AddrLen) + "\n"),
		"name_assign_type": count(func() uint32 { return uint32(d.NameAssign()) }),
		"mtu":              writable(number(func() int64 { return int64(d.MTU()) }), func(v int64) error { return d.SetMTU(int(min(v, 1<<30))) }),
		"flags":            writable(text(func() string { return fmt.Sprintf("0x%x\n", d.Flags()&0xffff&^napi.IFF_RUNNING) }), func(v int64) error { return d.ChangeFlags(uint32(v), ^uint32(0)) }),
		"ifindex":          number(func() int64 { return int64(d.Ifindex()) }),
		"iflink":           number(func() int64 { return int64(d.Iflink()) }),
		"type":             number(func() int64 { return int64(d.Type) }),
		"tx_queue_len":     writable(number(func() int64 { return int64(d.QueueLen()) }), func(v int64) error { return d.SetQueueLen(int(min(v, 1<<30))) }),
		"netdev_group":     writable(count(d.Group), func(v int64) error { return d.SetGroup(uint32(v)) }),
		"ifalias":          ifalias(d),
		"dev_id":           constant("0x0\n"),
		"uevent":           text(func() string { return "INTERFACE=" + d.Name() + "\nIFINDEX=" + strconv.Itoa(int(d.Ifindex())) + "\n" }),
		"operstate":        text(func() string { return d.OperState().String() + "\n" }),
		"carrier":          carrier(d),
		"carrier_changes":  count(func() uint32 { up, down := d.CarrierChanges(); return up + down }),
		"speed":            linkSetting(d, "10000\n", "-1\n"),
		"duplex":           linkSetting(d, "full\n", "unknown\n"),
		"subsystem":        link("../../../../class/net"),
		"statistics":       {Dir: netStats(d)},
		"queues":           {Dir: netQueues(d)},
		"power":            {Dir: power()},

		"gro_flush_timeout":    writable(number(func() int64 { return int64(d.GROFlushTimeout()) }), func(v int64) error { return d.SetGROFlushTimeout(time.Duration(v)) }),
		"napi_defer_hard_irqs": writable(count(d.DeferHardIRQs), d.SetDeferHardIRQs),

		"carrier_up_count":   count(func() uint32 { up, _ := d.CarrierChanges(); return up }),
		"carrier_down_count": count(func() uint32 { _, down := d.CarrierChanges(); return down }),
	}
	for _, name := range []string{"dev_port", "dormant", "link_mode", "testing"} {
		t[name] = zero
	}
	for _, name := range []string{"proto_down", "threaded"} {
		t[name] = fixed("0")
	}
	return t
}

// fixed is a setting that has one value: writing it is fine, another is
// EOPNOTSUPP.
func fixed(value string) vfs.Node {
	n := constant(value + "\n")
	n.Write = func(p []byte) Errno {
		if trimLine(p) != value {
			return syscall.EOPNOTSUPP
		}
		return 0
	}
	return n
}

// power is what every device has that power management leaves alone.
func power() vfs.Tree {
	return vfs.Tree{
		"autosuspend_delay_ms":   {Mode: 0o644, Text: func([]byte) ([]byte, Errno) { return nil, syscall.EIO }},
		"control":                fixed("auto"),
		"runtime_active_time":    constant("0\n"),
		"runtime_status":         constant("unsupported\n"),
		"runtime_suspended_time": constant("0\n"),
	}
}

// ifalias is the text an administrator gave the device; without one the file
// is empty.
func ifalias(d *napi.NetDevice) vfs.Node {
	n := text(func() string {
		if s := d.Alias(); s != "" {
			return s + "\n"
		}
		return ""
	})
	n.Write = func(p []byte) Errno {
		if len(p) > 0 && p[len(p)-1] == '\n' {
			p = p[:len(p)-1]
		}
		return errnoOf(d.SetAlias(string(p)))
	}
	return n
}

// carrier can be asked of a device that is up alone, and set where the driver
// lets it.
func carrier(d *napi.NetDevice) vfs.Node {
	return vfs.Node{
		Text: func(b []byte) ([]byte, Errno) {
			if !d.IsUp() {
				return nil, syscall.EINVAL
			}
			if d.CarrierOK() {
				return append(b, "1\n"...), 0
			}
			return append(b, "0\n"...), 0
		},
		Write: func(p []byte) Errno {
			v, err := strconv.ParseUint(trimLine(p), 0, 32)
			if err != nil || !d.IsUp() {
				return syscall.EINVAL
			}
			return errnoOf(d.ChangeCarrier(v != 0))
		},
	}
}

// linkSetting is a file of the link's settings: that of a veth, or of a card
// that does not tell. EINVAL while the device is down, and where there are no
// settings, as on loopback.
func linkSetting(d *napi.NetDevice, veth, card string) vfs.Node {
	return vfs.Node{Text: func(b []byte) ([]byte, Errno) {
		switch kind := d.Kind(); {
		case !d.IsUp() || d.Type == napi.ARPHRD_LOOPBACK || kind == "dummy":
			return nil, syscall.EINVAL
		case kind == "veth":
			return append(b, veth...), 0
		}
		return append(b, card...), 0
	}}
}

// netQueues has a directory for each queue, which is what programs count. The
// receive side's files steer packets among the processors.
func netQueues(d *napi.NetDevice) vfs.Dir {
	none := vfs.Node{Text: func([]byte) ([]byte, Errno) { return nil, syscall.ENOENT }}
	zero := constant("0\n")
	multi := none // of devices with several queues alone
	if len(d.TxQueues) > 1 {
		multi = zero
	}
	t := vfs.Tree{}
	for i, q := range d.RxQueues() {
		t["rx-"+strconv.Itoa(i)] = vfs.Node{Dir: vfs.Tree{
			"rps_cpus":     rpsCPUs(d, q),
			"rps_flow_cnt": writable(number(func() int64 { return int64(q.FlowCount()) }), func(v int64) error { return q.SetFlowCount(int(min(v, 1<<30))) }),
		}}
	}
	for i := range d.TxQueues {
		t["tx-"+strconv.Itoa(i)] = vfs.Node{Dir: vfs.Tree{
			"traffic_class": multi, "tx_maxrate": fixed("0"), "tx_timeout": zero, "xps_cpus": multi, "xps_rxqs": zero,
		}}
	}
	return t
}

// rpsCPUs is the set of processors that a queue's packets are spread over.
func rpsCPUs(d *napi.NetDevice, q *napi.RxQueue) vfs.Node {
	n := text(func() string {
		m, cpus := q.RPS(), 1
		if net := d.Net(); net != nil {
			cpus = net.CPUs()
		}
		return m.Text(cpus) + "\n"
	})
	n.Write = func(p []byte) Errno {
		m, err := napi.ParseCPUMask(trimLine(p))
		if err == nil {
			q.SetRPS(m)
		}
		return errnoOf(err)
	}
	return n
}
