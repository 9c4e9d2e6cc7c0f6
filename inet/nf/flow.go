package nf

import (
	"sync"
	"syscall"
	"time"

	"barewire/inet/ip"
	"barewire/napi"
	"barewire/napi/sysctl"
	"barewire/netfilter/flow"
	"barewire/skb"
	"barewire/skb/header"
)

// newFlow makes the flow table, which takes nothing before a rule or
// net.netfilter.nf_flowtable asks for it.
func (f *NF) newFlow() {
	dev := f.IP.Dev
	f.Flow = flow.New(flow.Config{
		Conntrack: f.Conntrack,
		Hooks:     &f.IP.Hooks,
		Now:       dev.Clock().Now,
		Rand:      dev.Rand,
		Fits: func(b *skb.Buff, d skb.Dst) bool {
			rt, ok := d.(*ip.Rtable)
			return ok && f.IP.FlowFits(b, rt)
		},
		Route: func(to header.Addr, by skb.Device, mark uint32) skb.Dst {
			if rt := f.IP.FlowRoute(to, by.Ifindex(), mark); rt != nil {
				return rt
			}
			return nil
		},
		Send: func(b *skb.Buff, d skb.Dst) { f.IP.FlowSend(b, d.(*ip.Rtable)) },
	})
	f.onClose(f.Flow.Close)
	f.onClose(dev.RegisterNotifier(func(ev napi.Event, _ *napi.NetDevice) {
		if ev == napi.EventDown || ev == napi.EventUnregister {
			f.Flow.Changed()
		}
	}))
	f.onClose(f.IP.RegisterRTNotifier(func(ev ip.RTEvent) {
		if ev.Kind != ip.NeighUpdate { // a neighbour is looked up for each packet
			f.Flow.Changed()
		}
	}))
	const p = "net.netfilter.nf_flowtable"
	var mu sync.Mutex
	var stop func() // while it is on
	on := sysctl.Const(p, func() string {
		mu.Lock()
		defer mu.Unlock()
		if stop != nil {
			return "1"
		}
		return "0"
	})
	on.Set = func(v string) error {
		n, err := sysctl.Ints(v, 1)
		if err != nil || n[0] < 0 || n[0] > 1 {
			return syscall.EINVAL
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case n[0] == 1 && stop == nil:
			stop = f.UseConntrack()
			f.Flow.SetAuto(true)
		case n[0] == 0 && stop != nil:
			f.Flow.SetAuto(false)
			stop()
			stop = nil
		}
		return nil
	}
	dev.Sysctl().RegisterFunc(func() []sysctl.Entry {
		return []sysctl.Entry{
			on,
			sysctl.Duration(p+"_tcp_timeout", &f.Flow.TCPTimeout, time.Second),
			sysctl.Duration(p+"_udp_timeout", &f.Flow.UDPTimeout, time.Second),
		}
	})
}
