//go:build tamago

package microvm

import (
	"strconv"
	"sync"
	"unsafe"

	"barewire/board/cmdline"
)

// A Device is something that was found by probing: a virtio-mmio slot or a PCI function. It is plain values and
// functions, so that a driver's transport can be made from it without an import of this package.
type Device struct {
	// Name for messages: "virtio-mmio@feb00e00", "pci 00:02.0".
	Name string
	// Exactly one of the two is set.
	MMIO *MMIODevice
	PCI  *PCIDevice
}

// An MMIODevice is a virtio-mmio slot with something in it.
type MMIODevice struct {
	Regs unsafe.Pointer // registers, mapped uncached
	Size int            // bytes
	// RequestIRQ connects the slot's line; see the package comment.
	RequestIRQ func(handler func() bool) error
}

// slotSize is the size of a virtio-mmio slot's registers (virtio 1.2, 4.2.2: 0x100 and the configuration).
const slotSize = 512

var probe struct {
	once    sync.Once
	devices []Device
}

// Devices returns what was found, virtio-mmio slots first, in address order. Probing happens once, at the first call.
func Devices() []Device {
	probe.once.Do(func() {
		probe.devices = append(probeMMIO(), probePCI()...)
	})
	return probe.devices
}

// probeMMIO takes the slots the command line names (Linux's virtio_mmio.device=size@base:irq, which Firecracker and QEMU without
// ACPI append) and, when there are none, looks at the window of QEMU's microvm.
func probeMMIO() (ds []Device) {
	params, _ := cmdline.Split(CommandLine())
	named := false
	for {
		word, rest, ok := cmdline.Next(params)
		if !ok {
			break
		}
		params = rest
		if size, base, irq, ok := cmdline.VirtioMMIO(word); ok {
			named = true
			ds = addSlot(ds, uintptr(base), uintptr(size), IRQ{GSI: irq})
		}
	}
	if named || !microvmWindow() {
		return ds
	}
	// Where QEMU places the slots' lines (hw/i386/microvm.c): on the second I/O APIC if there is one, else from
	// 16 with ACPI, from 5 without.
	gsi, n := uint32(5), 8
	switch {
	case len(ioapics) > 1:
		gsi, n = ioapics[1].gsi, 24
	case len(platform.IOAPICs()) > 0:
		gsi = 16
	}
	for i := range n {
		lines := []IRQ{{GSI: gsi + uint32(i)}}
		if i == 0 && len(ioapics) > 1 {
			// QEMU's I/O APIC moves its pin 0 to pin 2, which is right for the PC's timer on the first one and happens on the second
			// too (hw/intc/ioapic.c, ioapic_set_irq): the first slot interrupts where the third one does.
			lines = append(lines, IRQ{GSI: gsi + 2})
		}
		ds = addSlot(ds, slotWindow+uintptr(i)*slotSize, slotSize, lines...)
	}
	return ds
}

// slotWindow is where QEMU's microvm has its virtio-mmio slots.
const slotWindow = 0xfeb00000

// microvmWindow reports whether the window holds slots: every slot shows the magic number, also an empty one. On other
// machines this is a hole or PCI space; a machine with PCI is not looked at.
func microvmWindow() bool {
	if pciPresent() || MapMMIO(slotWindow, slotSize) == nil {
		return false
	}
	return mmioRead32(slotWindow) == slotMagic
}

const slotMagic = 0x74726976 // "virt"

// addSlot adds a slot unless it is empty. Its interrupt may come on any of the lines.
func addSlot(ds []Device, base, size uintptr, lines ...IRQ) []Device {
	if size < 0x100 || size > 1<<20 || base%4 != 0 || base+size < base {
		return ds
	}
	for _, r := range MemoryMap() { // not RAM, whatever the command line says
		if uint64(base) < r.Hi && uint64(base+size) > r.Lo {
			return ds
		}
	}
	regs := MapMMIO(base, size)
	if regs == nil || mmioRead32(base) != slotMagic || mmioRead32(base+8) == 0 { // device id 0: an empty slot
		return ds
	}
	return append(ds, Device{
		Name: "virtio-mmio@" + strconv.FormatUint(uint64(base), 16),
		MMIO: &MMIODevice{
			Regs: regs,
			Size: int(size),
			RequestIRQ: func(handler func() bool) error {
				for _, l := range lines {
					if err := RequestIRQ(l, handler); err != nil {
						return err
					}
				}
				return nil
			},
		},
	})
}
