//go:build tamago

package microvm

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"unsafe"

	"barewire/board/acpi"
)

// PCI configuration space (PCI Local Bus Specification 3.0, chapter 6), through ECAM where ACPI tells of it and
// through ports 0xcf8 and 0xcfc elsewhere.

const (
	pciAddress = 0xcf8
	pciData    = 0xcfc

	pciCommand  = 0x04
	pciStatus   = 0x06
	pciHeader   = 0x0e
	pciBAR0     = 0x10
	pciBridge   = 0x19 // secondary bus of a bridge
	pciCapsPtr  = 0x34
	pciCapList  = 1 << 4
	pciCapMSIX  = 0x11
	pciVirtio   = 0x1af4
	pciMSIXOn   = 1 << 15
	pciMSIXMask = 1 << 14
)

// A PCIDevice is a PCI function of a virtio device.
type PCIDevice struct {
	Bus, Dev, Func uint8
	Vendor, Device uint16

	// ReadConfig and WriteConfig access configuration space; width is 1, 2 or 4 bytes, off a multiple of it below 256.
	ReadConfig  func(off, width int) uint32
	WriteConfig func(off, width int, v uint32)
	// MapBAR maps memory BAR i uncached: its address and size. A BAR that firmware left without an address gets one.
	MapBAR func(i int) (regs unsafe.Pointer, size int, err error)
	// Vectors is the number of MSI-X table entries; 0 = no MSI-X.
	Vectors int
	// RequestVector connects MSI-X table entry i to handler on a CPU, unmasks it and turns MSI-X on.
	RequestVector func(i, cpu int, handler func()) error
}

// pciFunc is one function's address.
type pciFunc struct {
	bus, dev, fn uint8
	ecam         uintptr // its 4 KiB of configuration space, 0 = by ports
}

var pciLock sync.Mutex // the address port is one for all, and BAR addresses are given out one after another

// Errors of MapBAR and RequestVector.
var (
	ErrBAR  = errors.New("microvm: no such memory BAR, or no room for it")
	ErrMSIX = errors.New("microvm: no such MSI-X entry")
)

func (f pciFunc) read(off, width int) uint32 {
	off &= 0xff
	var v uint32
	if f.ecam != 0 {
		v = mmioRead32(f.ecam + uintptr(off&^3))
	} else {
		pciLock.Lock()
		out32(pciAddress, f.address(off))
		v = in32(pciData)
		pciLock.Unlock()
	}
	v >>= 8 * (off & 3)
	if width < 4 {
		v &= 1<<(8*width) - 1
	}
	return v
}

func (f pciFunc) write(off, width int, v uint32) {
	off &= 0xff
	if f.ecam != 0 {
		p := f.ecam + uintptr(off)
		switch width {
		case 1:
			*phys[uint8](p) = uint8(v)
		case 2:
			*phys[uint16](p) = uint16(v)
		default:
			mmioWrite32(p, v)
		}
		return
	}
	pciLock.Lock()
	out32(pciAddress, f.address(off))
	switch port := uint16(pciData + off&3); width {
	case 1:
		out8(port, uint8(v))
	case 2:
		out16(port, uint16(v))
	default:
		out32(port, v)
	}
	pciLock.Unlock()
}

func (f pciFunc) address(off int) uint32 {
	return 1<<31 | uint32(f.bus)<<16 | uint32(f.dev)<<11 | uint32(f.fn)<<8 | uint32(off)&0xfc
}

// pciPresent reports whether configuration space answers.
func pciPresent() bool {
	if len(platform.ECAMs()) > 0 {
		return true
	}
	out32(pciAddress, 1<<31)
	return in32(pciAddress) == 1<<31
}

// probePCI walks the buses from 0 through bridges and returns the functions of virtio devices.
func probePCI() (ds []Device) {
	if !pciPresent() {
		return nil
	}
	seen := [256]bool{0: true}
	for queue := []uint8{0}; len(queue) > 0; {
		bus := queue[0]
		queue = queue[1:]
		for dev := range uint8(32) {
			for fn := range uint8(8) {
				f := pciFunc{bus: bus, dev: dev, fn: fn, ecam: ecamAddress(platform.ECAMs(), bus, dev, fn)}
				id := f.read(0, 4)
				if id&0xffff == 0xffff || id == 0 {
					if fn == 0 {
						break
					}
					continue
				}
				header := f.read(pciHeader, 1)
				if header&0x7f == 1 { // a PCI-PCI bridge
					if sec := uint8(f.read(pciBridge, 1)); sec != 0 && !seen[sec] {
						seen[sec] = true
						queue = append(queue, sec)
					}
				}
				if id&0xffff == pciVirtio && header&0x7f == 0 {
					ds = append(ds, f.device(uint16(id), uint16(id>>16)))
				}
				if fn == 0 && header&0x80 == 0 { // one function only
					break
				}
			}
		}
	}
	return ds
}

// ecamAddress maps a function's part of ECAM space. 0 if ACPI tells of none for this bus.
func ecamAddress(es []acpi.ECAM, bus, dev, fn uint8) uintptr {
	for _, e := range es {
		if e.Segment == 0 && bus >= e.StartBus && bus <= e.EndBus {
			p := uintptr(e.Base) + uintptr(bus)<<20 + uintptr(dev)<<15 + uintptr(fn)<<12
			if MapMMIO(p, page) != nil {
				return p
			}
		}
	}
	return 0
}

func (f pciFunc) device(vendor, device uint16) Device {
	d := &PCIDevice{
		Bus: f.bus, Dev: f.dev, Func: f.fn, Vendor: vendor, Device: device,
		ReadConfig: f.read, WriteConfig: f.write, MapBAR: f.mapBAR,
	}
	if msix := f.capability(pciCapMSIX); msix != 0 {
		d.Vectors = int(f.read(msix+2, 2)&0x7ff) + 1
		d.RequestVector = func(i, cpu int, handler func()) error { return f.requestVector(msix, i, cpu, handler) }
	}
	return Device{Name: "pci " + hex2(f.bus) + ":" + hex2(f.dev) + "." + strconv.FormatUint(uint64(f.fn), 16), PCI: d}
}

// hex2 writes a byte with two digits. Package fmt is nothing a start should wait for.
func hex2(v uint8) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[v>>4], digits[v&15]})
}

// capability returns the offset of the capability with the given id, 0 if there is none. A list that loops ends.
func (f pciFunc) capability(id uint32) int {
	if f.read(pciStatus, 2)&pciCapList == 0 {
		return 0
	}
	off := int(f.read(pciCapsPtr, 1)) &^ 3
	for n := 0; off >= 0x40 && n < 48; n++ {
		if f.read(off, 1) == id {
			return off
		}
		off = int(f.read(off+1, 1)) &^ 3
	}
	return 0
}

// bar reads memory BAR i: address, size, width. size is 0 if it is not a memory BAR.
func (f pciFunc) bar(i int) (addr, size uint64, wide bool) {
	if i < 0 || i > 5 {
		return 0, 0, false
	}
	for j := 0; j < i; j++ { // a 64-bit BAR takes the next register too
		if f.read(pciBAR0+4*j, 4)&7 == 4 {
			if j++; j == i {
				return 0, 0, false
			}
		}
	}
	off := pciBAR0 + 4*i
	lo := f.read(off, 4)
	if lo&1 != 0 { // I/O space
		return 0, 0, false
	}
	wide = lo>>1&3 == 2 && i < 5
	cmd := f.read(pciCommand, 2)
	f.write(pciCommand, 2, cmd&^3) // no decoding while the BAR holds the size
	f.write(off, 4, 1<<32-1)
	mask := uint64(f.read(off, 4)&^15) | 0xffffffff<<32
	f.write(off, 4, lo)
	addr = uint64(lo &^ 15)
	if wide {
		hi := f.read(off+4, 4)
		f.write(off+4, 4, 1<<32-1)
		mask = mask&(1<<32-1) | uint64(f.read(off+4, 4))<<32
		f.write(off+4, 4, hi)
		addr |= uint64(hi) << 32
	}
	f.write(pciCommand, 2, cmd)
	if mask&(1<<32-1) == 0 && !wide || mask == 0 {
		return 0, 0, false
	}
	return addr, -mask, wide
}

// barNext is where BARs are placed that firmware has not: below the I/O APIC, above what firmwares use for PCI.
var barNext uint64 = 0xf0000000

const barEnd = 0xfe000000

func (f pciFunc) mapBAR(i int) (unsafe.Pointer, int, error) {
	addr, size, wide := f.bar(i)
	if size < 16 || size > 1<<26 || size&(size-1) != 0 {
		return nil, 0, fmt.Errorf("%w (BAR %d)", ErrBAR, i)
	}
	if addr == 0 {
		pciLock.Lock()
		addr = (barNext + max(size, page) - 1) &^ (max(size, page) - 1)
		if addr+size > barEnd {
			pciLock.Unlock()
			return nil, 0, fmt.Errorf("%w (BAR %d)", ErrBAR, i)
		}
		barNext = addr + size
		pciLock.Unlock()
		f.write(pciBAR0+4*i, 4, uint32(addr))
		if wide {
			f.write(pciBAR0+4*i+4, 4, 0)
		}
	}
	f.write(pciCommand, 2, f.read(pciCommand, 2)|2) // decode memory
	p := MapMMIO(uintptr(addr), uintptr(size))
	if p == nil {
		return nil, 0, fmt.Errorf("%w (BAR %d at %#x)", ErrBAR, i, addr)
	}
	return p, int(size), nil
}

// requestVector programs one MSI-X table entry (PCI 3.0, 6.8.2): message address, message data, vector control.
func (f pciFunc) requestVector(msix, i, cpu int, handler func()) error {
	ctrl := f.read(msix+2, 2)
	if i < 0 || i > int(ctrl&0x7ff) {
		return fmt.Errorf("%w (%d)", ErrMSIX, i)
	}
	where := f.read(msix+4, 4)
	regs, size, err := f.mapBAR(int(where & 7))
	if err != nil {
		return err
	}
	off := int(where&^7) + 16*i
	if off < 0 || off+16 > size {
		return fmt.Errorf("%w (%d: table outside of its BAR)", ErrMSIX, i)
	}
	v, err := RequestMSI(cpu, handler)
	if err != nil {
		return err
	}
	addr, data := MSIMessage(cpu, v)
	p := uintptr(regs) + uintptr(off)
	f.write(msix+2, 2, ctrl|pciMSIXOn|pciMSIXMask)
	mmioWrite32(p+12, 1)
	mmioWrite32(p, uint32(addr))
	mmioWrite32(p+4, uint32(addr>>32))
	mmioWrite32(p+8, data)
	mmioWrite32(p+12, 0)
	f.write(msix+2, 2, ctrl&^pciMSIXMask|pciMSIXOn)
	return nil
}
