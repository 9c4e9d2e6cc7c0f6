// Package napitest holds what tests of many rooms need of devices.
package napitest

import (
	"barewire/napi"
	"barewire/skb"
)

// Sink is a driver that takes every packet and carries none.
type Sink struct{}

// Open implements napi.Ops.
func (Sink) Open(*napi.NetDevice) error { return nil }

// Stop implements napi.Ops.
func (Sink) Stop(*napi.NetDevice) error { return nil }

// StartXmit implements napi.Ops.
func (Sink) StartXmit(_ *napi.NetDevice, _ *napi.TxQueue, batch []*skb.Buff) int {
	for _, b := range batch {
		b.Consume()
	}
	return len(batch)
}
