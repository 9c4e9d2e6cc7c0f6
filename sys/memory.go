package sys

import (
	"sort"
	"sync"
	"syscall"
	"unsafe"
)

// memory is the address space calls made (Linux: struct mm_struct). There is
// one flat space that belongs to the Go heap; an anonymous mapping is a piece
// of that heap, page-aligned, kept alive here until it is unmapped.
type memory struct {
	mu   sync.Mutex
	vmas []vma // sorted, not overlapping but where a file's memory is mapped more than once
	size uintptr
}

// vma is a mapped range and the heap object it lies in.
type vma struct {
	start, end uintptr
	backing    []byte
	file       *sharing // memory of a file; nil for anonymous
}

const (
	mapTypeMask       = 0x0f
	mapFixed          = 0x10
	mapAnonymous      = 0x20
	mapFixedNoreplace = 0x100000
)

func sysMmap(k *Kernel, a args) (uintptr, Errno) {
	addr, n, flags := a.a0, a.a1, uint32(a.a3)
	if a.a5%pageSize != 0 {
		return 0, syscall.EINVAL
	}
	var file *File
	if flags&mapAnonymous == 0 {
		f, e := k.files.get(a.a4)
		if e != 0 {
			return 0, e
		}
		defer f.put()
		if d, ok := f.ops.(*memDevice); !ok || d.minor != minorZero {
			file = f
		}
	}
	if t := flags & mapTypeMask; t == 0 || t > 3 || n == 0 {
		return 0, syscall.EINVAL
	}
	n, ok := pageAlign(n)
	if !ok {
		return 0, syscall.ENOMEM
	}
	if file != nil {
		if flags&(mapFixed|mapFixedNoreplace) != 0 {
			return 0, syscall.ENODEV
		}
		return k.mapFile(file, n, a.a2, uintptr(flags), int64(a.a5))
	}
	if flags&(mapFixed|mapFixedNoreplace) != 0 {
		return k.mm.mapFixed(addr, n, flags&mapFixedNoreplace != 0)
	}
	return k.mm.mapAnon(n, k.cfg.MemTotal/2)
}

// pageAlign rounds up to whole pages; false when that overflows.
func pageAlign(n uintptr) (uintptr, bool) {
	r := (n + pageSize - 1) &^ (pageSize - 1)
	return r, r >= n
}

// mapAnon maps n zeroed bytes anywhere. Mappings together may take up to limit
// bytes: the heap cannot refuse an allocation, so it is refused here.
func (m *memory) mapAnon(n uintptr, limit uint64) (uintptr, Errno) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if uint64(n) > limit || uint64(m.size) > limit-uint64(n) {
		return 0, syscall.ENOMEM
	}
	b := make([]byte, n+pageSize)
	base := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	start := (base + pageSize - 1) &^ (pageSize - 1)
	m.insert(vma{start, start + n, b, nil})
	return start, 0
}

func (m *memory) insert(v vma) {
	i := sort.Search(len(m.vmas), func(i int) bool { return m.vmas[i].start >= v.start })
	m.vmas = append(m.vmas, vma{})
	copy(m.vmas[i+1:], m.vmas[i:])
	m.vmas[i] = v
	m.size += v.end - v.start
}

// mapFixed answers a request for a given address: over an existing mapping it
// is fresh zeroes, elsewhere the address is not to be had.
func (m *memory) mapFixed(addr, n uintptr, noreplace bool) (uintptr, Errno) {
	if addr%pageSize != 0 {
		return 0, syscall.EINVAL
	}
	if addr+n < addr {
		return 0, syscall.ENOMEM
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if noreplace && m.touches(addr, n) {
		return 0, syscall.EEXIST
	}
	if !m.covered(addr, n) || m.shared(addr, addr+n) {
		return 0, syscall.ENOMEM
	}
	m.zero(addr, n)
	return addr, 0
}

// touches reports whether any page of the range is mapped.
func (m *memory) touches(addr, n uintptr) bool {
	for _, v := range m.vmas {
		if v.start < addr+n && addr < v.end {
			return true
		}
	}
	return false
}

// covered reports whether all of the range is mapped.
func (m *memory) covered(addr, n uintptr) bool {
	end := addr + n
	if end < addr {
		return false
	}
	for _, v := range m.vmas {
		if v.start <= addr && addr < v.end {
			addr = v.end
		}
	}
	return addr >= end
}

// zero clears the anonymous part of the range.
func (m *memory) zero(addr, n uintptr) {
	for _, v := range m.vmas {
		if s, e := max(v.start, addr), min(v.end, addr+n); s < e && v.file == nil {
			base := uintptr(unsafe.Pointer(unsafe.SliceData(v.backing)))
			clear(v.backing[s-base : e-base])
		}
	}
}

func sysMunmap(k *Kernel, a args) (uintptr, Errno) {
	n, ok := pageAlign(a.a1)
	if a.a0%pageSize != 0 || n == 0 || !ok || a.a0+n < a.a0 {
		return 0, syscall.EINVAL
	}
	k.mm.unmap(a.a0, a.a0+n)
	return 0, 0
}

// unmap removes [start, end); what was not mapped is left alone, as in Linux.
// Of memory that is mapped more than once, one mapping goes.
func (m *memory) unmap(start, end uintptr) {
	var l, gone []vma
	var ended []func()
	m.mu.Lock()
next:
	for _, v := range m.vmas {
		cut := vma{start: max(v.start, start), end: min(v.end, end)}
		if cut.end <= cut.start {
			l = append(l, v)
			continue
		}
		if v.file != nil {
			for _, g := range gone {
				if g.start < cut.end && cut.start < g.end {
					l = append(l, v)
					continue next
				}
			}
			gone = append(gone, cut)
			v.file.pieces--
		}
		m.size -= cut.end - cut.start
		for _, rest := range []vma{{v.start, cut.start, v.backing, v.file}, {cut.end, v.end, v.backing, v.file}} {
			if rest.start < rest.end {
				l = append(l, rest)
				if rest.file != nil {
					rest.file.pieces++
				}
			}
		}
		if v.file != nil && v.file.pieces == 0 {
			ended = append(ended, v.file.end)
		}
	}
	m.vmas = l
	m.mu.Unlock()
	for _, f := range ended {
		f()
	}
}

// sysMremap moves a mapping when it must grow.
func sysMremap(k *Kernel, a args) (uintptr, Errno) {
	const mayMove = 1
	old, ok1 := pageAlign(a.a1)
	n, ok2 := pageAlign(a.a2)
	flags := a.a3
	if a.a0%pageSize != 0 || !ok1 || !ok2 || old == 0 || n == 0 || flags&^mayMove != 0 {
		return 0, syscall.EINVAL
	}
	m := &k.mm
	m.mu.Lock()
	covered, shared := m.covered(a.a0, old), m.shared(a.a0, a.a0+old)
	m.mu.Unlock()
	switch {
	case !covered, shared && n > old:
		return 0, syscall.EFAULT
	case n <= old:
		m.unmap(a.a0+n, a.a0+old)
		return a.a0, 0
	case flags&mayMove == 0:
		return 0, syscall.ENOMEM
	}
	addr, e := m.mapAnon(n, k.cfg.MemTotal/2)
	if e != 0 {
		return 0, e
	}
	copy(unsafe.Slice((*byte)(userPtr(addr)), old), unsafe.Slice((*byte)(userPtr(a.a0)), old))
	m.unmap(a.a0, a.a0+old)
	return addr, 0
}

// sysMprotect has one protection to give, and memory that is not from mmap is
// the program's too. Rights are not taken away, so nothing faults that Linux
// would let fault; execute is refused, which Linux would grant.
func sysMprotect(k *Kernel, a args) (uintptr, Errno) {
	if a.a0%pageSize != 0 {
		return 0, syscall.EINVAL
	}
	if a.a2&syscall.PROT_EXEC != 0 {
		return 0, syscall.EACCES
	}
	return k.needMemory(a.a0, a.a1)
}

// needMemory is ENOMEM for a range that is not user memory.
func (k *Kernel) needMemory(addr, n uintptr) (uintptr, Errno) {
	n, ok := pageAlign(n)
	if !ok || n > 0 && !k.accessOK(addr, n) {
		return 0, syscall.ENOMEM
	}
	return 0, 0
}

func sysMadvise(k *Kernel, a args) (uintptr, Errno) {
	const (
		random, sequential, willneed, dontneed, free     = 1, 2, 3, 4, 8
		dontfork, dofork                                 = 10, 11
		hugepage, nohugepage, dontdump, dodump, collapse = 14, 15, 16, 17, 25
	)
	if a.a0%pageSize != 0 {
		return 0, syscall.EINVAL
	}
	switch a.a2 {
	case 0, random, sequential, willneed, free, dontfork, dofork, hugepage, nohugepage, dontdump, dodump, collapse:
		return k.needMemory(a.a0, a.a1)
	case dontneed:
		// Anonymous memory reads as zero afterwards. Only what mmap gave can
		// be promised that.
		n, ok := pageAlign(a.a1)
		k.mm.mu.Lock()
		defer k.mm.mu.Unlock()
		if !ok || !k.mm.covered(a.a0, n) {
			return 0, syscall.ENOMEM
		}
		k.mm.zero(a.a0, n)
		return 0, 0
	}
	return 0, syscall.EINVAL
}

// sysBrk: there is no break to move, so it stays where it is.
func sysBrk(*Kernel, args) (uintptr, Errno) { return 0, 0 }

// sysMlock: nothing is ever paged out. It answers mlock and munlock.
func sysMlock(k *Kernel, a args) (uintptr, Errno) {
	return k.needMemory(a.a0&^(pageSize-1), a.a1+a.a0%pageSize)
}
