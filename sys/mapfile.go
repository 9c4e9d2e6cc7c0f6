package sys

import (
	"syscall"
	"unsafe"
)

// Files whose memory the program shares (Linux: f_op->mmap, struct
// vm_operations_struct). With no page tables the memory appears where it lies:
// mapped twice it is twice at the same address, and a mapping cannot be moved
// or laid over others.

// mapper is what fileOps have that give memory to map.
type mapper interface {
	// mmap returns the n bytes from off on, whole pages of them; unmap is
	// called once they are no longer mapped, with no lock held.
	mmap(f *File, n uintptr, off int64) (mem []byte, unmap func(), e Errno)
}

func (d *sockFile) mmap(_ *File, n uintptr, off int64) ([]byte, func(), Errno) {
	if int(n) < 0 {
		return nil, nil, syscall.EINVAL
	}
	mem, unmap, err := d.s.Mmap(off, int(n))
	return mem, unmap, errno(err)
}

// sharing is one mapping of a file's memory, in as many pieces as munmap has
// made of it. Guarded by memory.mu.
type sharing struct {
	pieces int
	end    func()
}

// mapShared maps memory of f, which is held as long as any of it is mapped.
func (k *Kernel) mapShared(f *File, m mapper, n uintptr, off int64) (uintptr, Errno) {
	mem, unmap, e := m.mmap(f, n, off)
	if e != 0 {
		return 0, e
	}
	f.refs.Add(1)
	start := uintptr(unsafe.Pointer(unsafe.SliceData(mem)))
	k.mm.mu.Lock()
	k.mm.insert(vma{start, start + n, mem, &sharing{1, func() {
		unmap()
		f.put()
	}}})
	k.mm.mu.Unlock()
	return start, 0
}

// shared reports whether any of the range is a file's memory. The caller holds
// mu.
func (m *memory) shared(start, end uintptr) bool {
	for _, v := range m.vmas {
		if v.file != nil && v.start < end && start < v.end {
			return true
		}
	}
	return false
}
