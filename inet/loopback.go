package inet

import (
	"barewire/napi"
	"barewire/skb"
)

// loopbackOps is the driver of the loopback device (Linux:
// drivers/net/loopback.c): what is sent comes in again, over the backlog and so
// in softirq context.
type loopbackOps struct{ net *napi.Net }

func (loopbackOps) Open(*napi.NetDevice) error { return nil }
func (loopbackOps) Stop(*napi.NetDevice) error { return nil }

// StartXmit implements napi.Ops. The packet keeps its routing decision, which
// says that it is for this host; sums left to the device are taken as right,
// since no wire was in between.
func (o loopbackOps) StartXmit(dev *napi.NetDevice, q *napi.TxQueue, batch []*skb.Buff) int {
	for _, b := range batch {
		b.Orphan()
		n := uint64(b.Len())
		b.PktType = skb.PacketHost
		b.Iif = 0
		if napi.EthTypeTrans(b, dev) == 0 {
			b.Free(skb.HdrTrunc)
			continue
		}
		if o.net.NetifRx(b) {
			dev.Stats.RxPackets.Add(1)
			dev.Stats.RxBytes.Add(n)
		}
	}
	return len(batch)
}

// addLoopback makes and opens lo.
func (n *Net) addLoopback() error {
	dev := napi.AllocNetdev("lo", loopbackOps{n.dev}, 1)
	napi.EtherSetup(dev)
	dev.Type = napi.ARPHRD_LOOPBACK
	dev.Broadcast = [6]byte{}
	dev.MinMTU, dev.MaxMTU = 0, 0 // any (gen_lo_setup)
	dev.SetFlags(napi.IFF_LOOPBACK, napi.IFF_BROADCAST|napi.IFF_MULTICAST)
	dev.SetFeatures(napi.FeatureSG | napi.FeatureFragList | napi.FeatureHWCsum)
	if err := dev.SetMTU(65536); err != nil {
		return err
	}
	if err := n.dev.RegisterNetdev(dev); err != nil {
		return err
	}
	n.lo = dev
	return dev.Open()
}
