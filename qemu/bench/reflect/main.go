// Reflect sends every IPv4 packet that arrives back to where it came from, with
// nothing but the Ethernet addresses exchanged: what QEMU, the ring and the
// driver can carry at all.
package main

import (
	"fmt"

	"barewire/napi"
	"barewire/skb"
	"barewire/sys/start"
)

func main() {
	sys := start.System()
	sys.Inet.Close()
	for _, dev := range sys.Net.Devs() {
		if err := dev.Open(); err != nil {
			fmt.Println("reflect:", err)
			return
		}
	}
	sys.Net.AddPack(napi.ETH_P_IP, nil, func(b *skb.Buff, dev *napi.NetDevice) {
		h := b.Push(14)
		for i := range 6 {
			h[i], h[6+i] = h[6+i], h[i]
		}
		sys.Net.DevQueueXmit(b)
	})
	fmt.Println("reflect: ready")
	select {}
}
