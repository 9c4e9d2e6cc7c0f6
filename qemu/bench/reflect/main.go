// Reflect sends every IPv4 packet that arrives on with nothing but the Ethernet
// addresses exchanged, in the driver's own poll: what QEMU, the ring and the
// driver can carry at all. With two cards a packet leaves by the other one, as
// from a router; with one it goes back to where it came from.
package main

import (
	"fmt"
	"os"

	"barewire/napi"
	"barewire/skb"
	"barewire/sys/start"
)

func main() {
	sys := start.System()
	sys.Inet.Close()
	var cards []*napi.NetDevice
	for _, dev := range sys.Net.Devs() {
		if err := dev.Open(); err != nil {
			fmt.Println("reflect:", err)
			os.Exit(1)
		}
		if dev.Name() != "lo" {
			cards = append(cards, dev)
		}
	}
	for i, in := range cards {
		out := cards[(i+1)%len(cards)]
		sys.Net.AddPack(napi.ETH_P_IP, in, func(b *skb.Buff, _ *napi.NetDevice) {
			h := b.Push(14)
			for i := range 6 {
				h[i], h[6+i] = h[6+i], h[i]
			}
			b.Dev = out
			sys.Net.DevQueueXmit(b)
		})
	}
	fmt.Println("reflect: ready")
	select {}
}
