//go:build tamago

package microvm

import (
	"sync"
	"unsafe"
)

// Page tables: four levels (Intel SDM vol. 3, 4.5), identity-mapped, built once at boot and added to by MapMMIO. They are only
// ever added to: a CPU keeps nothing in its TLB about what is not mapped (SDM vol. 3, 4.10.2), so no other CPU needs to be told.

// Bits of an entry.
const (
	ptePresent = 1 << 0
	pteWrite   = 1 << 1
	pteNoCache = 1<<4 | 1<<3 // PCD, PWT: uncached with the PAT as it is after reset
	pteLarge   = 1 << 7
	pteGlobal  = 1 << 8
	pteNX      = 1 << 63
	pteAddr    = 0x000ffffffffff000

	largePage = 2 << 20
)

type table [512]uint64

var (
	root   *table
	tables struct{ next, end uintptr } // memory for page tables, taken page by page

	tablesLock sync.Mutex // of what is added once the heap exists
)

// newTable takes a zeroed page. nil when the pool is used up.
func newTable() *table {
	if tables.next == tables.end {
		return nil
	}
	t := phys[table](tables.next)
	tables.next += page
	*t = table{}
	return t
}

// entry returns the entry for p at the given level (1 = 4 KiB, 2 = 2 MiB), making the tables above it.
// nil without memory, or where a large page is in the way.
func entry(p uintptr, level int) *uint64 {
	t := root
	for l := 4; l > level; l-- {
		e := &t[p>>(12+9*(l-1))&511]
		if *e == 0 {
			n := newTable()
			if n == nil {
				return nil
			}
			*e = uint64(uintptr(unsafe.Pointer(n))) | ptePresent | pteWrite
		}
		if *e&pteLarge != 0 {
			return nil
		}
		t = phys[table](uintptr(*e & pteAddr))
	}
	return &t[p>>(12+9*(level-1))&511]
}

// mapRange maps [lo, hi), page-aligned, with 2 MiB pages where they fit, in tables that are not in force yet. It reports whether
// there was room. A table of 4 KiB pages is looked up once, not for each page: boot waits for this.
func mapRange(lo, hi uintptr, flags uint64) bool {
	for lo < hi {
		if lo%largePage == 0 && hi-lo >= largePage {
			e := entry(lo, 2)
			if e == nil {
				return false
			}
			*e = uint64(lo) | flags | ptePresent | pteLarge
			lo += largePage
			continue
		}
		e := entry(lo, 1)
		if e == nil {
			return false
		}
		t := phys[table](uintptr(unsafe.Pointer(e)) &^ (page - 1))
		for end := min(hi, lo&^(largePage-1)+largePage); lo < end; lo += page {
			t[lo/page%512] = uint64(lo) | flags | ptePresent
		}
	}
	return true
}

// tablesFor is an upper bound of the pages that mapping n bytes in k pieces takes.
func tablesFor(n uint64, k int) uintptr {
	return uintptr(n>>30) + uintptr(k)*4 + 4
}

// MapMMIO maps the device registers at physical address p, size bytes, uncached and never executable, and returns
// their virtual address (p itself). It returns nil if there is no memory for page tables or p is memory of another kind.
func MapMMIO(p uintptr, size uintptr) unsafe.Pointer {
	lo := p &^ (page - 1)
	hi := (p + size + page - 1) &^ (page - 1)
	if size == 0 || hi <= lo || p == 0 || uint64(hi) > pteAddr {
		return nil
	}
	tablesLock.Lock()
	defer tablesLock.Unlock()
	for q := lo; q < hi; q += page {
		e := entry(q, 1)
		if e == nil {
			return nil
		}
		if *e&ptePresent != 0 && *e&pteNoCache == 0 {
			return nil
		}
		*e = uint64(q) | ptePresent | pteWrite | pteNoCache | pteNX
		invlpg(q)
	}
	return unsafe.Pointer(p)
}
