package nf

import (
	"sync/atomic"

	"barewire/inet/fib"
	"barewire/inet/ip"
	"barewire/napi"
	"barewire/netfilter"
	"barewire/netfilter/xtables"
	"barewire/netfilter/xtables/xt"
	"barewire/skb"
	"barewire/skb/header"
)

// logFunc takes a line of the kernel log.
type logFunc = func(level int, line string)

// newTables makes the tables of iptables, all empty.
func (f *NF) newTables() {
	dev := f.IP.Dev
	random := func() uint32 { return uint32(f.IP.Random()) }
	var stopNAT func() // under the lock of Tables
	env := &xtables.Env{
		Now:    dev.Clock().Now,
		Wall:   func() int64 { return napi.WallNow(dev.Clock()) },
		Random: random,
		Log: func(level int, line []byte) {
			if l := f.log.Load(); l != nil {
				(*l)(level, string(line))
				return
			}
			dev.Logf("%s", line)
		},
		NFLog:        f.toNFLog,
		AddrType:     f.addrType,
		RouteMe:      func(b *skb.Buff, _ netfilter.State) bool { return f.IP.RouteMeHarder(b) == nil },
		PathMTU:      f.pathMTU,
		Tee:          f.tee,
		Conntrack:    f.Conntrack,
		UseConntrack: f.UseConntrack,
		NAT:          f.NAT,
		Reject:       f.Reject,
		Flow:         f.Flow,
		NATRules: func(fn netfilter.Func) {
			if fn != nil {
				stopNAT = f.UseNAT(fn)
			} else if stopNAT != nil {
				stopNAT()
				stopNAT = nil
			}
		},
	}
	limits := xt.HashlimitOf(env)
	limits.OnChange(func(name string, exists bool) {
		at := "ipt_hashlimit/" + name
		if !exists {
			dev.Proc().Remove(at)
			return
		}
		dev.Proc().Register(at, func(b []byte) []byte { return limits.Show(b, name, env.Now()) })
	})
	f.Tables = xtables.New(&f.IP.Hooks, env)
	ends := make([]napi.PollEnd, dev.CPUs())
	for cpu := range ends {
		ends[cpu].Init(func() { f.Tables.EndPoll(cpu) })
	}
	env.AtPollEnd = func(cpu int) { dev.SoftNetOf(cpu).AtPollEnd(&ends[cpu]) }
	env.Settle = dev.Synchronize
	if len(ends) > 1 { // or nobody waits for the counters
		f.Tables.CountAtPollEnd(len(ends))
	}
	// A rule that goes lets go of what it holds.
	f.onClose(func() {
		for _, name := range xtables.TableNames() {
			f.Tables.Replace(xtables.NewConfig(name)) // an empty table is never refused
		}
	})
}

// SetLog has the lines of LOG and TRACE written to a kernel log with levels,
// instead of the instance's log.
func (f *NF) SetLog(fn func(level int, line string)) { f.log.Store(&fn) }

type logPointer = atomic.Pointer[logFunc]

// addrType is inet_addr_type, for a device inet_dev_addr_type: what belongs to
// another device is as any other address.
func (f *NF) addrType(dev skb.Device, a header.Addr) uint8 {
	t := f.IP.AddrType(a)
	if dev == nil || t != fib.Local && t != fib.Broadcast || a.IsZeronet() || a.IsLBcast() {
		return uint8(t)
	}
	fl := fib.Flow{Dst: a}
	var res fib.Result
	if f.IP.FIB.Table(fib.TableLocal).Lookup(f.IP.FIB, &fl, &res) == 0 && res.NH != nil && res.NH.OIF == dev.Ifindex() {
		return uint8(t)
	}
	return uint8(fib.Unicast)
}

// pathMTU is what the packet's route takes, and the route back to its sender
// (Linux: tcpmss_mangle_packet, tcpmss_reverse_mtu).
func (f *NF) pathMTU(b *skb.Buff, _ netfilter.State) (out, back int) {
	if rt := ip.RtableOf(b); rt != nil {
		out = rt.MTU()
	}
	h, ok := header.ParseIPv4(b.Data())
	if !ok {
		return out, 0
	}
	if rt, err := f.IP.RouteOutput(&fib.Flow{Dst: h.Src()}); err == 0 {
		back = rt.MTU()
	}
	return out, back
}
