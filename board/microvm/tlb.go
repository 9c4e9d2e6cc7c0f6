//go:build tamago

package microvm

import (
	"runtime/goos"
	"unsafe"
)

// QEMU's TCG looks addresses up in a table of its own, which takes pages of 4 KiB whatever ours are, has one place for each, and
// has 256 of them at first. It doubles the table when it is flushed and was nearly full. A system with processes flushes it all the
// time; here nothing ever does, and every collision is a walk through the page tables, which costs as much as a thousand
// instructions.

// tlbEntries is how large the table is made: the program, and as much of the heap again.
const tlbEntries = 4096

// growTLB has TCG make the table of the CPU that calls larger, by filling and flushing it: half a millisecond.
//
//go:nosplit
func growTLB() {
	if !cpu.tcg {
		return
	}
	const first = 256
	lo, pages := uintptr(goos.RamStart), uintptr(goos.RamSize)/page
	for n := uintptr(first); n < tlbEntries && n <= pages; n *= 2 {
		setCR3(uintptr(unsafe.Pointer(root))) // what is in it now need not have places of its own
		for i := range n {
			touch(lo + i*page)
		}
	}
	setCR3(uintptr(unsafe.Pointer(root)))
}

// touch reads a byte of RAM that anybody may be writing.
//
//go:nosplit
//go:noinline
func touch(p uintptr) byte { return *phys[byte](p) }
