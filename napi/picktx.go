package napi

import (
	"barewire/skb"
)

// GrowTxQueues sees to it that the device has n transmit queues. Before it is
// registered.
func (d *NetDevice) GrowTxQueues(n int) {
	for len(d.TxQueues) < n {
		d.TxQueues = append(d.TxQueues, newTxQueue(d, len(d.TxQueues)))
	}
	d.realTx.Store(int32(len(d.TxQueues)))
}

// SetRealTxQueues says how many of its transmit queues the device uses, the first n
// (Linux: netif_set_real_num_tx_queues). What waits in those that fall out of use
// is dropped, and none of them is with the driver any more when it returns. With
// rtnl held, or by a driver that configures itself.
func (d *NetDevice) SetRealTxQueues(n int) {
	n = min(max(n, 1), len(d.TxQueues))
	old := int(d.realTx.Swap(int32(n)))
	if n < old {
		for _, q := range d.TxQueues[n:old] {
			q.deactivate()
		}
		return
	}
	first := d.TxQueues[0]
	first.mu.Lock()
	up := first.active
	first.mu.Unlock()
	if up {
		for _, q := range d.TxQueues[old:n] {
			q.activate()
		}
	}
}

// RealTxQueues returns how many transmit queues are in use.
func (d *NetDevice) RealTxQueues() int { return int(d.realTx.Load()) }

// pickTx chooses the transmit queue of a packet (Linux: netdev_pick_tx). What is
// passed on leaves by the queue of the processor that received it, so that no two
// processors meet there; what was made here goes by its flow. Either way packets of
// a flow stay in order. Data is the link header.
func (d *NetDevice) pickTx(n *Net, b *skb.Buff) *TxQueue {
	real := int(d.realTx.Load())
	if real == 1 {
		return d.TxQueues[0]
	}
	var i int
	if b.Iif != 0 {
		i = int(b.CPU) % real
	} else {
		i = int(uint64(n.txHash(b)) * uint64(real) >> 32)
	}
	b.QueueMapping = uint16(i)
	return d.TxQueues[i]
}

// txHash is flowHash of a packet whose Data is the link header.
func (n *Net) txHash(b *skb.Buff) uint32 {
	if b.Hash != 0 || b.Protocol != ETH_P_IP {
		return b.Hash
	}
	off := b.NetworkOffset()
	if off < 0 || off > b.Headlen() {
		return 0
	}
	n.hashIP(b, b.Data()[off:])
	return b.Hash
}
