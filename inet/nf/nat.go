package nf

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/napi"
	"barewire/napi/sysctl"
	"barewire/netfilter"
	"barewire/netfilter/conntrack"
	"barewire/netfilter/helper"
	"barewire/netfilter/nat"
	"barewire/skb"
	"barewire/skb/header"
)

// newNAT makes the translation and the protocol helpers. Neither does anything
// before a rule uses it.
func (f *NF) newNAT() error {
	random := func() uint32 { return uint32(f.IP.Random()) }
	f.NAT = nat.New(nat.Config{
		Table:    f.Conntrack,
		Hooks:    &f.IP.Hooks,
		Random:   random,
		RouteMe:  f.IP.RouteMeHarder,
		MasqAddr: f.masqAddr,
		DevAddr:  f.devAddr,
	})
	f.onClose(f.NAT.Close)
	f.IP.OriginalDst = f.originalDst
	// What is masqueraded ends with the address it has.
	f.onClose(f.IP.Dev.RegisterNotifier(func(ev napi.Event, dev *napi.NetDevice) {
		if ev == napi.EventDown {
			f.NAT.DeviceDown(dev.Ifindex())
		}
	}))
	f.onClose(f.IP.RegisterRTNotifier(func(ev ip.RTEvent) {
		if ev.Kind == ip.AddrDel {
			f.NAT.AddressGone(ev.Dev.Ifindex(), ev.Addr.Local)
		}
	}))
	set, err := helper.Register(helper.Config{Table: f.Conntrack, NAT: f.NAT, Random: random, Logf: f.IP.Dev.Logf})
	if err != nil {
		return fmt.Errorf("nf: %w", err)
	}
	// In Linux these are parameters of the modules.
	const p = "net.netfilter.nf_conntrack_"
	f.IP.Dev.Sysctl().RegisterFunc(func() []sysctl.Entry {
		return []sysctl.Entry{
			sysctl.Int(p+"ftp_loose", &set.Loose, 0, 1), helperPorts(set, p, "ftp"), helperPorts(set, p, "tftp"),
		}
	})
	return nil
}

// helperPorts is the setting of the ports a helper has names for, with commas.
// They can only become more.
func helperPorts(set *helper.Set, prefix, name string) sysctl.Entry {
	e := sysctl.Const(prefix+name+"_ports", func() string {
		var l []string
		for _, p := range set.Ports(name) {
			l = append(l, strconv.Itoa(int(p)))
		}
		return strings.Join(l, ",")
	})
	e.Set = func(v string) error {
		for s := range strings.SplitSeq(v, ",") {
			n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 16)
			if err != nil || n == 0 {
				return syscall.EINVAL
			}
			if err := set.AddPort(name, uint16(n)); err != nil {
				return err
			}
		}
		return nil
	}
	return e
}

// UseNAT has new connections decided over by rules, the walk of the nat table,
// until done is called; connections are tracked meanwhile. One user at a time:
// there is one nat table.
func (f *NF) UseNAT(rules netfilter.Func) (done func()) {
	stop := f.UseConntrack()
	f.NAT.SetRules(rules)
	return sync.OnceFunc(func() {
		f.NAT.SetRules(nil)
		stop()
	})
}

// originalDst is where the packets of a sock's connection went before they were
// translated (Linux: getorigdst).
func (f *NF) originalDst(proto uint8, id *ip.Ident) (header.Addr, uint16, bool) {
	c, _ := f.Conntrack.Lookup(conntrack.Tuple{Src: id.RcvSaddr, SrcPort: id.Num, Dst: id.Daddr, DstPort: id.Dport, Proto: proto})
	if c == nil {
		return 0, 0, false
	}
	t := c.Tuple(conntrack.Original)
	return t.Dst, t.DstPort, true
}

// masqAddr chooses the source of packets that leave by out on the way b takes
// (Linux: rt_nexthop, inet_select_addr).
func (f *NF) masqAddr(b *skb.Buff, out skb.Device) header.Addr {
	dev, ok := out.(*napi.NetDevice)
	rt := ip.RtableOf(b)
	if !ok || rt == nil {
		return 0
	}
	return f.IP.SelectAddr(dev, rt.Nexthop(header.IPv4(b.Data()).Dst()), fib.ScopeUniverse)
}

// devAddr is a device's first address, 0 if it has none.
func (f *NF) devAddr(dev skb.Device) header.Addr {
	d := f.IP.InDev(dev.Ifindex())
	if d == nil {
		return 0
	}
	for _, a := range d.Addrs() {
		if !a.Secondary {
			return a.Local
		}
	}
	return 0
}
