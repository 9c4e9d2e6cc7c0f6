//go:build tamago

package microvm

import (
	"runtime/goos"
	"time"
	"unsafe"
)

// QEMU's TCG looks addresses up in a table of its own, which takes pages of 4 KiB whatever ours are, has one place for each, and
// has 256 of them at first. It doubles the table when it is flushed and was nearly full. A system with processes flushes it all the
// time; here nothing ever does, and every collision is a walk through the page tables, which costs as much as a thousand
// instructions.

// tlbEntries is how large the table is made: the program, and as much of the heap again.
const tlbEntries = 4096

// tlbFirst is how large it is to begin with.
const tlbFirst = 256

// growTLB has TCG make the table of the CPU that calls larger, by filling and flushing it: some milliseconds.
//
//go:nosplit
func growTLB() {
	for n := uintptr(tlbFirst); n < tlbEntries && doubleTLB(n); n *= 2 {
	}
}

// growTLBLater does it for the only CPU when the program has had its start, in which little is asked for twice.
func growTLBLater() {
	time.Sleep(time.Second)
	for n := uintptr(tlbFirst); n < tlbEntries; n *= 2 {
		time.Sleep(10 * time.Millisecond) // interrupts wait for one step, not for all
		flags := cli()
		doubleTLB(n)
		restore(flags)
	}
}

// doubleTLB fills a table of n places and flushes it. It reports whether there is memory to fill it with, and an
// emulator.
//
//go:nosplit
func doubleTLB(n uintptr) bool {
	lo, pages := uintptr(goos.RamStart), uintptr(goos.RamSize)/page
	if !cpu.tcg || n > pages {
		return false
	}
	setCR3(uintptr(unsafe.Pointer(root))) // what is in it now need not have places of its own
	for i := range n {
		touch(lo + i*page)
	}
	setCR3(uintptr(unsafe.Pointer(root)))
	return true
}

// touch reads a byte of RAM that anybody may be writing.
//
//go:nosplit
//go:noinline
func touch(p uintptr) byte { return *phys[byte](p) }
