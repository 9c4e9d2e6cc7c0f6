package virtio

import (
	"fmt"
	"unsafe"
)

// Mapper gives the address by which a device reaches mem (Linux:
// dma_map_single). The mapping stays for ever.
type Mapper = func(mem []byte) (dma uint64, err error)

// pageSize is the alignment of shared memory; every part of a ring is aligned
// at least as virtio 1.2, 2.7 asks for, and nothing else shares its pages.
const pageSize = 4096

// DMA is memory that driver and device share.
type DMA struct {
	Mem  []byte
	Addr uint64 // device address of Mem[0]
}

// NewDMA allocates size bytes of zeroed, page-aligned memory and maps it. A
// nil m means that device and virtual addresses are the same. The memory is
// the Go heap's, which does not move; it lives as long as Mem is referenced.
func NewDMA(size int, m Mapper) (DMA, error) {
	// Whole pages: what else the collector would put there must not be in
	// reach of a device that may reach this.
	size = (size + pageSize - 1) &^ (pageSize - 1)
	raw := make([]byte, size+pageSize)
	off := int(-uintptr(unsafe.Pointer(unsafe.SliceData(raw))) & (pageSize - 1))
	d := DMA{Mem: raw[off : off+size : off+size]}
	if m == nil {
		d.Addr = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(d.Mem))))
		return d, nil
	}
	var err error
	if d.Addr, err = m(d.Mem); err != nil {
		return DMA{}, fmt.Errorf("virtio: map %d bytes for the device: %w", size, err)
	}
	if d.Addr&(pageSize-1) != 0 {
		return DMA{}, fmt.Errorf("virtio: device address %#x of page-aligned memory is not page-aligned", d.Addr)
	}
	return d, nil
}
