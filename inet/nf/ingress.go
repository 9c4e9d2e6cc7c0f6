package nf

import (
	"barewire/napi"
	"barewire/netfilter"
	"barewire/skb"
)

// newIngress joins the hook point INGRESS to the device layer, while somebody
// uses it.
func (f *NF) newIngress() {
	hooks, dev := &f.IP.Hooks, f.IP.Dev
	run := func(b *skb.Buff, in *napi.NetDevice) bool {
		return hooks.Run(netfilter.Ingress, b, in, nil, nil)
	}
	hooks.OnIngress(func(used bool) {
		if used {
			dev.SetIngress(run)
		} else {
			dev.SetIngress(nil)
		}
	})
	f.onClose(func() { dev.SetIngress(nil) })
}
