package virtio

import "unsafe"

// Regs is a block of device registers. Offsets are bytes from its start.
// An access is done exactly once, in the given width, in program order with
// every memory access around it, and never merged with another. Accesses are
// naturally aligned (virtio 1.2, 4.1.3.1 and 4.2.2.2); 64-bit fields are
// accessed as two 32-bit halves, as both clauses demand.
//
// An access beyond Len reads as all ones and writes nothing, as on a bus
// where nobody answers.
type Regs interface {
	// Len returns the size of the block in bytes.
	Len() int
	Read8(off int) uint8
	Read16(off int) uint16
	Read32(off int) uint32
	Write8(off int, v uint8)
	Write16(off int, v uint16)
	Write32(off int, v uint32)
}

// MemRegs are registers in memory: an uncached mapping of a device.
//
// Go has no volatile. sync/atomic comes close, but has no 8- and 16-bit form,
// and its stores are exchanges on amd64: they would read the register as well,
// and an exchange on device memory is something hypervisors emulate badly.
// Instead every access is the whole body of a function that is never inlined:
// the compiler cannot see it from outside, so it can neither drop, merge nor
// move it, nor move other memory accesses across the call. amd64 does the rest:
// uncached accesses are not reordered with each other, and a store to
// uncached memory happens after all stores before it (Intel SDM, volume 3,
// 12.3.1 and table 12-7).
type MemRegs struct {
	base unsafe.Pointer
	size int
}

// NewMemRegs returns the size bytes of registers at base. The mapping must be
// uncached and stay for as long as the result is in use.
func NewMemRegs(base unsafe.Pointer, size int) *MemRegs {
	return &MemRegs{base: base, size: size}
}

// at returns the address of a register of the given width, nil if it is
// outside the block or not aligned.
func (m *MemRegs) at(off, width int) unsafe.Pointer {
	if off < 0 || off > m.size-width || off&(width-1) != 0 {
		return nil
	}
	return unsafe.Add(m.base, off)
}

// Len implements [Regs].
func (m *MemRegs) Len() int { return m.size }

// Read8 implements [Regs].
func (m *MemRegs) Read8(off int) uint8 {
	if p := m.at(off, 1); p != nil {
		return load8((*uint8)(p))
	}
	return ^uint8(0)
}

// Read16 implements [Regs].
func (m *MemRegs) Read16(off int) uint16 {
	if p := m.at(off, 2); p != nil {
		return load16((*uint16)(p))
	}
	return ^uint16(0)
}

// Read32 implements [Regs].
func (m *MemRegs) Read32(off int) uint32 {
	if p := m.at(off, 4); p != nil {
		return load32((*uint32)(p))
	}
	return ^uint32(0)
}

// Write8 implements [Regs].
func (m *MemRegs) Write8(off int, v uint8) {
	if p := m.at(off, 1); p != nil {
		store8((*uint8)(p), v)
	}
}

// Write16 implements [Regs].
func (m *MemRegs) Write16(off int, v uint16) {
	if p := m.at(off, 2); p != nil {
		store16((*uint16)(p), v)
	}
}

// Write32 implements [Regs].
func (m *MemRegs) Write32(off int, v uint32) {
	if p := m.at(off, 4); p != nil {
		store32((*uint32)(p), v)
	}
}

//go:noinline
func load8(p *uint8) uint8 { return *p }

//go:noinline
func load16(p *uint16) uint16 { return *p }

//go:noinline
func load32(p *uint32) uint32 { return *p }

//go:noinline
func store8(p *uint8, v uint8) { *p = v }

//go:noinline
func store16(p *uint16, v uint16) { *p = v }

//go:noinline
func store32(p *uint32, v uint32) { *p = v }

// write64 writes a 64-bit register as two halves, the low one first.
func write64(r Regs, off int, v uint64) {
	r.Write32(off, uint32(v))
	r.Write32(off+4, uint32(v>>32))
}

// window is a part of a register block, bounds-checked against its own size.
type window struct {
	r         Regs
	base, len int
}

// Window returns the n bytes of r from off on as a block of their own. The
// caller checked that they lie in r.
func Window(r Regs, off, n int) Regs { return &window{r, off, n} }

func (w *window) ok(off, width int) bool { return off >= 0 && off <= w.len-width }

func (w *window) Len() int { return w.len }

func (w *window) Read8(off int) uint8 {
	if !w.ok(off, 1) {
		return ^uint8(0)
	}
	return w.r.Read8(w.base + off)
}

func (w *window) Read16(off int) uint16 {
	if !w.ok(off, 2) {
		return ^uint16(0)
	}
	return w.r.Read16(w.base + off)
}

func (w *window) Read32(off int) uint32 {
	if !w.ok(off, 4) {
		return ^uint32(0)
	}
	return w.r.Read32(w.base + off)
}

func (w *window) Write8(off int, v uint8) {
	if w.ok(off, 1) {
		w.r.Write8(w.base+off, v)
	}
}

func (w *window) Write16(off int, v uint16) {
	if w.ok(off, 2) {
		w.r.Write16(w.base+off, v)
	}
}

func (w *window) Write32(off int, v uint32) {
	if w.ok(off, 4) {
		w.r.Write32(w.base+off, v)
	}
}
