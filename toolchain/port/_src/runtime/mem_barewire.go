package runtime

import (
	"runtime/goos"
	"unsafe"
)

// Memory is the machine's own: virtual addresses are physical ones, so that a device may be given any pointer.
// The board lists the usable ranges once, before the heap exists; what the runtime reserves is cut from the
// lowest range that has room. Nothing is given back to a host: sysUnused and sysUsed do nothing.
//
// Only what the runtime reserves for the whole of the address space, its summaries of free pages, is mapped as it
// comes into use: a megabyte, of which a small machine needs a few pages.
//
// RAM is not trusted to be zero (firmware may have used it). What is not heap is cleared when it becomes
// usable; heap arenas are marked as needing it span by span (sysAlloc's zeroedBase, see the edits), which costs
// nothing at boot.

const isSbrkPlatform = true

// A memRange is free memory [lo, hi), page-aligned.
type memRange struct{ lo, hi uintptr }

// The table is larger than reservations can fragment it: the runtime frees address space rarely (trimmed
// alignment, old tables). A range that finds no slot is lost, not an error.
var bwMem struct {
	lock  mutex
	n     int
	total uintptr
	free  [256]memRange // ascending, disjoint, never adjacent
}

// bwAddMemory gives [lo, hi) to the runtime. Called by the board from goos.Hwinit0 only.
//
//go:linkname bwAddMemory
func bwAddMemory(lo, hi uintptr) {
	lo, hi = alignUp(lo, 4096), alignDown(hi, 4096)
	if hi > 1<<heapAddrBits {
		hi = 1 << heapAddrBits
	}
	if lo >= hi {
		return
	}
	bwMem.total += hi - lo
	bwMemInsert(lo, hi)
}

// bwMemory is the RAM the runtime was given, in bytes.
func bwMemory() uintptr { return bwMem.total }

// bwMemLimit is how much memory the heap and what belongs to it can have in the end, in bytes: what they have, and the whole
// arenas of what is free. The rest of that is for the heap's own tables.
//
//go:linkname bwMemLimit
func bwMemLimit() (n uintptr) {
	systemstack(func() {
		lock(&bwMem.lock)
		n = bwMem.total
		for _, r := range bwMem.free[:bwMem.n] {
			n -= r.hi - r.lo
			if lo, hi := alignUp(r.lo, heapArenaBytes), alignDown(r.hi, heapArenaBytes); lo < hi {
				n += hi - lo
			}
		}
		unlock(&bwMem.lock)
	})
	return n
}

// bwMaxStack bounds one goroutine's stack: Linux's gigabyte, but never more than a quarter of RAM, so that
// runaway recursion ends as a stack overflow with a traceback and not as out of memory.
func bwMaxStack() uintptr {
	return min(1000000000, bwMem.total/4)
}

//go:systemstack
func bwMemInsert(lo, hi uintptr) {
	m := &bwMem
	i := 0
	for i < m.n && m.free[i].lo < lo {
		i++
	}
	if i > 0 && m.free[i-1].hi == lo { // grows the one before, perhaps up to the one after
		m.free[i-1].hi = hi
		if i < m.n && m.free[i].lo == hi {
			m.free[i-1].hi = m.free[i].hi
			m.n--
			copy(m.free[i:m.n], m.free[i+1:m.n+1])
		}
		return
	}
	if i < m.n && m.free[i].lo == hi {
		m.free[i].lo = lo
		return
	}
	if m.n == len(m.free) {
		return
	}
	copy(m.free[i+1:m.n+1], m.free[i:m.n])
	m.free[i] = memRange{lo, hi}
	m.n++
}

// bwMemCut takes [lo, hi) out of range i, which holds it.
//
//go:systemstack
func bwMemCut(i int, lo, hi uintptr) {
	r := bwMem.free[i]
	bwMem.n--
	copy(bwMem.free[i:bwMem.n], bwMem.free[i+1:bwMem.n+1])
	if r.lo < lo {
		bwMemInsert(r.lo, lo)
	}
	if hi < r.hi {
		bwMemInsert(hi, r.hi)
	}
}

// bwMemAlloc takes n bytes aligned to align from the lowest range with room, or exactly at want if that is not 0.
//
//go:systemstack
func bwMemAlloc(want, n, align uintptr) uintptr {
	n = alignUp(n, physPageSize)
	for i := 0; i < bwMem.n; i++ {
		r := bwMem.free[i]
		lo := alignUp(r.lo, align)
		if want != 0 {
			lo = want
		}
		if lo < r.lo || lo > r.hi || r.hi-lo < n {
			continue
		}
		bwMemCut(i, lo, lo+n)
		return lo
	}
	return 0
}

func bwMemReserve(want, n, align uintptr) (p uintptr) {
	systemstack(func() {
		lock(&bwMem.lock)
		if bwMem.total == 0 { // a board in the way of TamaGo's: one range, the image at its start
			bwAddMemory(firstmoduledata.end, uintptr(goos.RamStart+goos.RamSize-goos.RamStackOffset))
		}
		p = bwMemAlloc(want, n, align)
		unlock(&bwMem.lock)
	})
	return p
}

func sysAllocOS(n uintptr, _ string) unsafe.Pointer {
	p := unsafe.Pointer(bwMemReserve(0, n, physPageSize))
	if p != nil {
		memclrNoHeapPointers(p, n)
	}
	return p
}

func sysFreeOS(v unsafe.Pointer, n uintptr) {
	if bwReserved.base != 0 && uintptr(v) >= bwReserved.base {
		return // only the runtime's own tests give reservations back
	}
	systemstack(func() {
		lock(&bwMem.lock)
		bwMemInsert(uintptr(v), uintptr(v)+alignUp(n, physPageSize))
		unlock(&bwMem.lock)
	})
}

// bwReserved is address space without memory: the board's page tables for it, and how much of it is used.
//
//go:linkname bwReserved
var bwReserved struct {
	base   uintptr
	tables *[4 * 512]uint64
	flags  uint64 // of an entry
	used   uintptr
}

func sysReserveOS(v unsafe.Pointer, n uintptr, _ string) unsafe.Pointer {
	r := &bwReserved
	if v == nil && r.tables != nil && r.used+n <= uintptr(len(r.tables))*physPageSize {
		p := r.base + r.used // at boot, so one at a time
		r.used += alignUp(n, physPageSize)
		return unsafe.Pointer(p)
	}
	return unsafe.Pointer(bwMemReserve(uintptr(v), n, physPageSize))
}

// bwMapReserved gives the pages of [p, p+n) memory. The runtime asks with its heap locked.
func bwMapReserved(p, n uintptr) {
	r := &bwReserved
	for i := (p - r.base) / physPageSize; i < (p-r.base+n+physPageSize-1)/physPageSize; i++ {
		page := bwMemReserve(0, physPageSize, physPageSize)
		if page == 0 {
			throw("out of memory: no page for the heap's own tables")
		}
		memclrNoHeapPointers(unsafe.Pointer(page), physPageSize)
		r.tables[i] = uint64(page) | r.flags
	}
}

func sysReserveAlignedSbrk(size, align uintptr) (unsafe.Pointer, uintptr) {
	p := bwMemReserve(0, size, align)
	if p == 0 {
		return nil, 0
	}
	return unsafe.Pointer(p), size
}

func sysMapOS(v unsafe.Pointer, n uintptr, vmaName string) {
	switch {
	case uintptr(v) >= bwReserved.base && bwReserved.base != 0:
		bwMapReserved(uintptr(v), n)
	case vmaName != "heap":
		memclrNoHeapPointers(v, n)
	}
}

func sysUnusedOS(v unsafe.Pointer, n uintptr)           {}
func sysUsedOS(v unsafe.Pointer, n uintptr)             {}
func sysHugePageOS(v unsafe.Pointer, n uintptr)         {}
func sysNoHugePageOS(v unsafe.Pointer, n uintptr)       {}
func sysHugePageCollapseOS(v unsafe.Pointer, n uintptr) {}
func sysFaultOS(v unsafe.Pointer, n uintptr)            {}

func needZeroAfterSysUnusedOS() bool { return true }
