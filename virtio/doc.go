// Package virtio drives virtio 1.2 devices: the two transports, and the split
// virtqueue. Device drivers stand in packages below it.
//
// # Ways in
//
// A platform that found a device makes a [Transport] from plain function
// values, [NewMMIO] or [NewPCI], and hands it to a driver's Probe. This package
// never looks for devices and imports no platform. Only the modern interface
// is spoken; a legacy device is refused with a sentence that says which QEMU
// option helps.
//
// Interrupts are requested by the transport through the functions in its
// configuration: one line for MMIO and INTx, one MSI-X vector for the
// configuration and one per queue, or per two queues, where there are enough, on the
// processor that the driver names. Handlers run on that one's interrupt goroutine and do no work but schedule some.
//
// # Trust
//
// The device is a peer, not a part of the machine: everything it writes is
// checked before use. The free list and the description of every outstanding
// buffer stand in memory the device never sees; of what it writes only a used
// index, an id and a length are taken, each read once, each checked. A device
// that breaks the rules is broken for good until it is reset (see [Queue]),
// and buffers go back to their owner only when the device confirmed the reset:
// until then it may still write into them.
//
// # Memory
//
// Rings are plain Go memory, mapped for the device by a function that the
// platform gives. Ring structures are little-endian, as are the machines this
// runs on.
package virtio
