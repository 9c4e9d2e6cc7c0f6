package napi

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"

	"barewire/napi/sysctl"
	"barewire/skb"
)

// registerSettings enters net.core.* of the device layer.
func (n *Net) registerSettings() {
	c := &n.conf
	const most = 1<<31 - 1
	n.sysctl.RegisterFunc(func() []sysctl.Entry {
		return []sysctl.Entry{
			sysctl.Int("net.core.netdev_max_backlog", &c.maxBacklog, 0, most),
			sysctl.Int("net.core.netdev_budget", &c.budget, 1, most),
			sysctl.Int("net.core.netdev_budget_usecs", &c.budgetUsecs, 1, most),
			sysctl.Int("net.core.dev_weight", &c.weight, 1, most),
		}
	})
}

// registerFiles enters the files of /proc/net that show the device layer.
func (n *Net) registerFiles() {
	n.proc.Register("dev", n.showDev)
	n.proc.Register("dev_mcast", n.showMcast)
	n.proc.Register("softnet_stat", n.showSoftnet)
	n.proc.Register("ptype", n.showPtype)
	n.proc.Register("drop_reasons", n.showDrops)
	// The units of the packet schedulers' clock: ticks of 64 ns, and a timer
	// that is exact to one (Linux: psched_show).
	n.proc.Register("psched", func(b []byte) []byte {
		return fmt.Appendf(b, "%08x %08x %08x %08x\n", 1000, 64, 1000000, 1000000000)
	})
}

// showDrops lists why packets were dropped, and how many; Linux has no such
// file, its figures come from the drop monitor alone.
func (n *Net) showDrops(b []byte) []byte {
	for r := skb.Reason(0); r < skb.NumReasons; r++ {
		if v := n.cache.Drops(r); v != 0 {
			b = fmt.Appendf(b, "%-24s %d\n", r, v)
		}
	}
	return b
}

// showDev is /proc/net/dev (Linux: dev_seq_show).
func (n *Net) showDev(b []byte) []byte {
	b = append(b, "Inter-|   Receive                                                |  Transmit\n"+
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"...)
	for _, d := range n.Devs() {
		s := d.GetStats()
		b = fmt.Appendf(b, "%6s: %7d %7d %4d %4d %4d %5d %10d %9d %8d %7d %4d %4d %4d %5d %7d %10d\n", d.Name(),
			s.RxBytes, s.RxPackets, s.RxErrors, s.RxDropped+s.RxMissedErrors, s.RxFifoErrors,
			s.RxLengthErrors+s.RxOverErrors+s.RxCRCErrors+s.RxFrameErrors, 0, s.Multicast,
			s.TxBytes, s.TxPackets, s.TxErrors, s.TxDropped, s.TxFifoErrors, s.Collisions,
			s.TxCarrierErrors+s.TxAbortedErrors, 0)
	}
	return b
}

// showMcast is /proc/net/dev_mcast (Linux: dev_mc_seq_show).
func (n *Net) showMcast(b []byte) []byte {
	for _, d := range n.Devs() {
		for _, m := range d.Multicast() {
			b = fmt.Appendf(b, "%-4d %-15s %-5d %-5d %x\n", d.Ifindex(), d.Name(), m.Users, 0, m.Addr)
		}
	}
	return b
}

// showSoftnet is /proc/net/softnet_stat (Linux: softnet_seq_show), one line for
// each processor.
func (n *Net) showSoftnet(b []byte) []byte {
	for i, soft := range n.softs {
		s := soft.Stats()
		b = fmt.Appendf(b, "%08x %08x %08x %08x %08x %08x %08x %08x %08x %08x %08x %08x %08x %08x %08x\n",
			uint32(s.Processed), uint32(s.Dropped), uint32(s.TimeSqueeze), 0, 0, 0, 0, 0, 0, uint32(s.ReceivedRPS), 0,
			s.BacklogLen, i, s.BacklogLen, 0)
	}
	return b
}

// showPtype is /proc/net/ptype (Linux: ptype_seq_show). A handler is named by
// its symbol in this program.
func (n *Net) showPtype(b []byte) []byte {
	b = append(b, "Type Device      Function\n"...)
	t := n.ptypes.Load()
	show := func(p *ptype) {
		typ, dev := "ALL ", ""
		if p.typ != ETH_P_ALL {
			typ = fmt.Sprintf("%04x", p.typ)
		}
		if p.dev != nil {
			dev = p.dev.Name()
		}
		name := runtime.FuncForPC(reflect.ValueOf(p.fn).Pointer()).Name()
		b = fmt.Appendf(b, "%s %-8s %s\n", typ, dev, strings.TrimSuffix(name, "-fm"))
	}
	for _, p := range t.all {
		show(p)
	}
	for _, l := range t.base {
		for _, p := range l {
			show(p)
		}
	}
	return b
}
