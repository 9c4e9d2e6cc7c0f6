//go:build tamago

package microvm

import (
	"runtime/goos"
	"unsafe"

	"barewire/board/memmap"
	"barewire/board/pvh"
)

// What the loader told, copied before its memory is given away.
var (
	info pvh.Info
	ram  memmap.Set // all RAM of the map, page-aligned
	heap memmap.Set // what of it the runtime gets
)

// early reads physical memory while cpuinit's map of the first 4 GiB is in force.
func early(addr, n uint64) []byte {
	if addr == 0 || addr+n < addr || addr+n > 4<<30 {
		return nil
	}
	return unsafe.Slice(phys[byte](uintptr(addr)), n)
}

// memorySetup works out which RAM is free, builds the final page tables and hands the rest to the runtime.
func memorySetup() {
	for _, r := range info.Map() {
		if r.Type == pvh.RAM {
			ram.Add(r.Addr, r.Addr+r.Size)
		}
	}
	for _, r := range info.Map() { // entries may overlap: what is anything else is not RAM
		if r.Type != pvh.RAM {
			ram.Remove(r.Addr&^(page-1), (r.Addr+r.Size+page-1)&^(page-1))
		}
	}
	ram.Align(page)
	ram.Remove(maxPhys, 1<<63)
	text, etext, data, end := image()
	text, etext = text&^(page-1), (etext+page-1)&^(page-1)
	data, end = data&^(page-1), (end+page-1)&^(page-1)
	first := text - page // the ELF header's page

	heap = ram
	heap.Remove(0, 1<<20)
	heap.Remove(uint64(first), uint64(end))
	for _, m := range info.Modules() {
		heap.Remove(m.Addr&^(page-1), (m.Addr+m.Size+page-1)&^(page-1))
	}

	// Page tables come first in the first range that has room, with a reserve for devices: a MiB of RAM pays for one.
	devices := min(max(uintptr(ram.Size()>>20), 32), 256)
	need := (tablesFor(ram.Size(), len(ram.Ranges())+len(info.Modules())+8) + devices) * page
	for _, r := range heap.Ranges() {
		if r.Size() >= uint64(need) && r.Hi <= 4<<30 {
			tables.next, tables.end = uintptr(r.Lo), uintptr(r.Lo)+need
			break
		}
	}
	if tables.next == 0 {
		fail("not enough memory for page tables")
	}
	heap.Remove(uint64(tables.next), uint64(tables.end))
	areasSetup()

	root = newTable()
	const rw = pteWrite | pteNX | pteGlobal
	ok := true
	plain := ram
	plain.Remove(0, page)
	plain.Remove(uint64(first), uint64(end))
	for _, r := range plain.Ranges() {
		ok = ok && mapRange(uintptr(r.Lo), uintptr(r.Hi), rw)
	}
	ok = ok && mapRange(first, text, pteNX|pteGlobal) &&
		mapRange(text, etext, pteGlobal) &&
		mapRange(etext, data, pteNX|pteGlobal) &&
		mapRange(data, end, rw)
	if !ok {
		fail("page tables do not fit")
	}
	// A few more tables are the runtime's own, for what it reserves long before it is used.
	lo := newTable()
	for i, t := range [reservedTables]*table{lo, newTable(), newTable(), newTable()} {
		e := entry(reservedBase+uintptr(i)*largePage, 2)
		if ok = ok && e != nil && t != nil; ok {
			*e = uint64(uintptr(unsafe.Pointer(t))) | ptePresent | pteWrite
		}
	}
	if !ok {
		fail("page tables do not fit")
	}
	reserved.base, reserved.tables, reserved.flags = reservedBase, unsafe.Pointer(lo), rw|ptePresent
	if e := entry(boot()+bootGuard, 1); e != nil {
		*e = 0
	}
	setCR3(uintptr(unsafe.Pointer(root)))

	largest := memmap.Range{}
	for _, r := range heap.Ranges() {
		addMemory(uintptr(r.Lo), uintptr(r.Hi))
		if r.Size() > largest.Size() {
			largest = r
		}
	}
	goos.RamStart, goos.RamSize = uint(largest.Lo), uint(largest.Size())
}

// reservedBase is where the runtime's reservations begin, above all RAM and devices: in the upper half of the addresses.
const (
	reservedBase   = 0xffff800000000000
	reservedTables = 4
)

// maxPhys bounds the RAM that is used: the runtime's heap addresses have 38 bits.
const maxPhys = 1 << 38

// A Range is physical memory [Lo, Hi).
type Range = memmap.Range

// MemoryMap returns the machine's RAM, ascending, page-aligned.
func MemoryMap() []Range { return append([]Range(nil), ram.Ranges()...) }

// HeapLimit returns how much memory the Go heap and its tables can have in the end, in bytes: RAM without the image,
// the page tables and the loader's modules, in pieces as large as the heap grows by.
func HeapLimit() uint64 { return uint64(memLimit()) }

// A Module is a blob that the loader put into memory, such as an initrd.
type Module struct {
	Data    []byte // the memory itself, writable
	CmdLine string
}

// Modules returns the loader's modules that lie in RAM.
func Modules() []Module {
	var ms []Module
	for i := range info.Modules() {
		m := &info.Modules()[i]
		for _, r := range ram.Ranges() {
			if m.Size > 0 && m.Addr >= max(r.Lo, page) && m.Addr+m.Size <= r.Hi {
				ms = append(ms, Module{unsafe.Slice(phys[byte](uintptr(m.Addr)), m.Size), string(m.CmdLine())})
			}
		}
	}
	return ms
}
