package iptablestest

import (
	"barewire/netfilter"
	"barewire/netfilter/conntrack"
	"barewire/netfilter/helper"
	"barewire/netfilter/nat"
	"barewire/netfilter/reject"
	"barewire/netfilter/synproxy"
	"barewire/netfilter/xtables"
	"barewire/skb"
	"barewire/skb/header"
)

// around fills an Env with what extensions want to be there. None of it does
// anything: it is for rules that meet no packets.
func around(env *xtables.Env, hooks *netfilter.Hooks) {
	env.Conntrack = conntrack.NewTable(conntrack.Config{
		Now: func() int64 { return env.Now() + 1 },
		Rand: func(b []byte) {
			for i := range b {
				b[i] = byte(env.Random() >> 16)
			}
		},
		Max: 64,
	})
	env.UseConntrack = func() func() { return func() {} }
	env.NAT = nat.New(nat.Config{Table: env.Conntrack, Hooks: hooks, Random: env.Random})
	env.SynProxy = synproxy.New(synproxy.Config{Table: env.Conntrack, Hooks: hooks})
	env.Reject = reject.New(reject.Config{})
	env.Log = func(int, []byte) {}
	env.AddrType = func(skb.Device, header.Addr) uint8 { return 1 }
	env.PathMTU = func(*skb.Buff, netfilter.State) (int, int) { return 1500, 1500 }
	env.Tee = func(*skb.Buff, netfilter.State, header.Addr, string) {}
	if _, err := helper.Register(helper.Config{Table: env.Conntrack, NAT: env.NAT, Random: env.Random}); err != nil {
		panic(err)
	}
}
