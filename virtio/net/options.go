package net

import (
	"barewire/napi"
	"barewire/virtio"
)

// Options for Probe. The zero value is usable where virtual and device
// addresses are the same.
type Options struct {
	// Name of the interface; "" means "eth%d".
	Name string
	// RingSize limits the descriptors of each ring: a power of two from 4 to
	// 32768, 0 means 256. The receive ring holds one page per descriptor.
	RingSize int
	// Map gives the device address of memory that the driver allocates (Linux:
	// dma_alloc_coherent); nil means the virtual address. The stack's page
	// pool must be mapped in the same way (skb.PageConfig.Map).
	Map func(mem []byte) (dma uint64, err error)
	// Disable are feature bits, as a mask, that are not accepted even though
	// the driver knows them.
	Disable uint64
	// Bells holds the notifications of what is sent back until the processor
	// has time for them; nil means that each is given at once.
	Bells *virtio.Bells
	// Announce is called, in process context, when the device asks for the
	// address to be announced, as after a migration (virtio 1.2, 5.1.6.5.4);
	// nil means that the device's notifier chain is told
	// (napi.EventNotifyPeers).
	Announce func(dev *napi.NetDevice)
	// Log gets one line for each event an administrator should see; nil means
	// the stack's log.
	Log func(line string)
}
