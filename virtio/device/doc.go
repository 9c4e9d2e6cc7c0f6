// Package device is a virtio network device in Go: the other side of the ring,
// for tests. It implements the registers of both transports, so that the real
// transport code drives it, and sees memory through a fake IOMMU, so that an
// address the driver did not map, or a buffer it did not post, is noticed.
//
//	mem := device.NewMemory()
//	dev := device.New(mem, device.Config{Features: device.AllFeatures})
//	t, err := virtio.NewMMIO(device.NewMMIO(dev).Config())
//
// Used as it is, the device is honest: it follows virtio 1.2 and reports each
// rule the driver breaks (see [Net.Violations]). [Net.Hostile] gives access to
// what a device can do to its driver if it does not care.
//
// Work happens inside the register write that asks for it, on the caller's
// goroutine, and interrupts call the handler from there, one at a time.
// Nothing allocates in the steady state, so that a test can count the driver's
// allocations.
package device
