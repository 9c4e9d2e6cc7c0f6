package device

import (
	"encoding/binary"
	"fmt"

	"barewire/virtio"
	vnet "barewire/virtio/net"
)

// What both transports show of the device: status, features, configuration,
// vectors.

// violation notes a rule that the driver broke.
func (d *Net) violation(format string, args ...any) {
	d.hostile.note(fmt.Sprintf(format, args...))
}

// Violations returns the rules the driver broke so far. A test of an honest
// device ends with none.
func (d *Net) Violations() []string { return d.hostile.notes() }

// Features returns what the driver accepted.
func (d *Net) Features() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.drvFeats
}

// Live reports whether the driver set DRIVER_OK.
func (d *Net) Live() bool { return d.Status()&virtio.StatusDriverOK != 0 }

// Status returns the device status field.
func (d *Net) Status() uint8 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status
}

// setStatus is a driver's write of the status field.
func (d *Net) setStatus(s uint8) {
	if s == 0 {
		d.reset()
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.status&^s&^virtio.StatusDeviceNeedsReset != 0 && s&virtio.StatusFailed == 0 {
		d.violation("status %#x cleared bits of %#x (2.1.1)", s, d.status)
	}
	if s&virtio.StatusFeaturesOK != 0 && d.status&virtio.StatusFeaturesOK == 0 {
		if d.drvFeats&^d.offered() != 0 || d.drvFeats&virtio.FeatVersion1 == 0 || d.hostile.RefuseFeatures {
			s &^= virtio.StatusFeaturesOK
		}
	}
	d.status = s | d.status&virtio.StatusDeviceNeedsReset
}

func (d *Net) reset() {
	d.Resets.Add(1)
	if d.hostile.IgnoreReset {
		return
	}
	if d.hostile.BeforeReset != nil {
		d.hostile.BeforeReset()
	}
	for i := range d.rings {
		d.rings[i].reset()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status, d.drvFeats = 0, 0
	d.pairs.Store(1)
	for i := range d.vectors {
		d.vectors[i] = 0xffff
	}
}

func (d *Net) offered() uint64 { return d.cfg.Features }

// readStatus is a driver's read of the status field.
func (d *Net) readStatus() uint8 {
	s := d.Status()
	if d.hostile.IgnoreReset && s == 0 {
		return virtio.StatusAcknowledge
	}
	return s
}

// setFeatures is a driver's write of one half of the accepted features.
func (d *Net) setFeatures(sel, v uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.status&virtio.StatusFeaturesOK != 0 {
		d.violation("features changed after FEATURES_OK")
	}
	switch sel {
	case 0:
		d.drvFeats = d.drvFeats&^0xffffffff | uint64(v)
	case 1:
		d.drvFeats = d.drvFeats&0xffffffff | uint64(v)<<32
	}
}

// vector returns the MSI-X entry of a queue, or -1 of the configuration.
func (d *Net) vector(queue int) uint16 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.vectors[queue+1]
}

// setVector maps an event to an MSI-X entry, NO_VECTOR where there is none
// (4.1.5.1.2.1).
func (d *Net) setVector(queue int, v uint16, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if int(v) >= n {
		v = 0xffff
	}
	d.vectors[queue+1] = v
}

// queues is how many there are.
func (d *Net) queues() int {
	n := 2 * d.cfg.Pairs
	if d.cfg.Features&vnet.FeatCtrlVQ != 0 {
		n++
	}
	return n
}

// queueMax answers the driver's question for the size of a queue.
func (d *Net) queueMax(i int) int {
	if i >= d.queues() {
		return 0
	}
	return max(0, d.cfg.QueueMax)
}

// enable is the driver handing over a queue.
func (d *Net) enable(i int, a virtio.QueueAddrs) bool {
	d.mu.Lock()
	feats, st := d.drvFeats, d.status
	d.mu.Unlock()
	if i >= d.queues() || st&virtio.StatusFeaturesOK == 0 || st&virtio.StatusDriverOK != 0 {
		d.violation("queue %d enabled with status %#x", i, st)
		return false
	}
	return d.rings[i].enable(a, feats)
}

// SetLink changes the link state and raises a configuration interrupt.
func (d *Net) SetLink(up, announce bool) {
	d.setLink(up, announce)
	d.irq(-1)
}

func (d *Net) setLink(up, announce bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var s uint16
	if up {
		s |= 1
	}
	if announce {
		s |= 2
	}
	binary.LittleEndian.PutUint16(d.space[6:], s)
	d.gen++
}

// configByte is a driver's read of the configuration.
func (d *Net) configByte(off int) byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if off < len(d.space) {
		return d.space[off]
	}
	return 0
}

func (d *Net) generation() uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hostile.UnstableConfig {
		d.gen++
	}
	return d.gen
}
