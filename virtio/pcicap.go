package virtio

import "fmt"

// Vendor capability of a virtio function (virtio 1.2, 4.1.4).
const (
	pciCapVendor = 0x09

	capLenField  = 2
	capTypeField = 3
	capBARField  = 4
	capOffField  = 8
	capSizeField = 12
	capMultField = 16 // of the notify capability only

	capCommon = 1
	capNotify = 2
	capISR    = 3
	capDevice = 4
)

// pciCap is a parsed vendor capability.
type pciCap struct {
	typ, bar  int
	off, size uint32
	mult      uint32
}

// vendorCaps walks the capability list and calls yield for each vendor
// capability. The list is in the device's hands: pointers are masked, and the
// walk ends after as many steps as capabilities fit the space.
func (p *PCI) vendorCaps(yield func(c pciCap) bool) {
	rd := p.cfg.ReadConfig
	if rd(pciStatus, 2)&pciStatusCapList == 0 {
		return
	}
	at := int(rd(pciCapPointer, 1)) &^ 3
	for range (256 - 64) / 4 {
		if at < 0x40 {
			return
		}
		next := int(rd(at+1, 1)) &^ 3
		if rd(at, 1) == pciCapVendor {
			n := int(rd(at+capLenField, 1))
			c := pciCap{typ: int(rd(at+capTypeField, 1))}
			if n >= capMultField && at+n <= 256 {
				c.bar = int(rd(at+capBARField, 1))
				c.off = rd(at+capOffField, 4)
				c.size = rd(at+capSizeField, 4)
				if c.typ == capNotify && n >= capMultField+4 {
					c.mult = rd(at+capMultField, 4)
				}
				if !yield(c) {
					return
				}
			}
		}
		at = next
	}
}

// findCaps maps the structures of the device. Of several capabilities of one
// type the first usable one counts (4.1.4.1).
func (p *PCI) findCaps() error {
	var last error
	p.vendorCaps(func(c pciCap) bool {
		var slot *Regs
		need, align := 0, uint32(4)
		switch c.typ {
		case capCommon:
			slot, need = &p.common, pciCommonLen
		case capNotify:
			slot, need, align = &p.notify, 2, 2
		case capISR:
			slot, need, align = &p.isr, 1, 1
		case capDevice:
			slot, need = &p.dev, 1
		default:
			return true // PCI access, shared memory, vendor data: not needed
		}
		if *slot != nil {
			return true
		}
		r, err := p.mapCap(c, need, align)
		if err != nil {
			last = err
			return true
		}
		*slot = r
		if c.typ == capNotify {
			p.mult = int(c.mult)
		}
		return true
	})
	if p.common != nil && p.notify != nil && p.isr != nil {
		if p.dev == nil {
			p.dev = Window(p.common, 0, 0) // no configuration: reads as all ones
		}
		return nil
	}
	if last != nil {
		return last
	}
	if p.common == nil && p.notify == nil && p.isr == nil {
		return fmt.Errorf("%s: %w: no virtio capabilities in its configuration space; %s", p.cfg.Name, ErrLegacy, legacyHelp)
	}
	return fmt.Errorf("%s: %w: common, notify or ISR capability is missing", p.cfg.Name, ErrBadDevice)
}

// mapCap returns the registers a capability points at.
func (p *PCI) mapCap(c pciCap, need int, align uint32) (Regs, error) {
	if c.bar > 5 {
		return nil, fmt.Errorf("%s: %w: capability %d in BAR %d", p.cfg.Name, ErrBadDevice, c.typ, c.bar)
	}
	if c.size < uint32(need) || c.off%align != 0 || c.mult&1 != 0 || c.mult > 1<<16 {
		return nil, fmt.Errorf("%s: %w: capability %d of %#x bytes at %#x, multiplier %#x", p.cfg.Name, ErrBadDevice, c.typ, c.size, c.off, c.mult)
	}
	bar, err := p.cfg.MapBAR(c.bar)
	if err != nil {
		return nil, fmt.Errorf("%s: BAR %d: %w", p.cfg.Name, c.bar, err)
	}
	if uint64(c.off)+uint64(c.size) > uint64(bar.Len()) {
		return nil, fmt.Errorf("%s: %w: capability %d at %#x with %#x bytes, BAR %d has %#x", p.cfg.Name, ErrBadDevice, c.typ, c.off, c.size, c.bar, bar.Len())
	}
	return Window(bar, int(c.off), int(c.size)), nil
}
