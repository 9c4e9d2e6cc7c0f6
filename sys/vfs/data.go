package vfs

import (
	"syscall"
)

// Contents of regular files: the bytes an initramfs brought, below the pages
// that were written. What neither covers is a hole.

// resident returns the pages that are in memory for the file.
func (i *Inode) resident() int {
	n := len(i.pages)
	for p := range int64((len(i.base) + PageSize - 1) / PageSize) {
		if i.pages[p] == nil {
			n++
		}
	}
	return n
}

// ReadAt copies from the file at off (Linux: generic_file_read_iter). 0 bytes
// is the end of it.
func (i *Inode) ReadAt(p []byte, off int64) (n int) {
	i.fs.mu.RLock()
	defer i.fs.mu.RUnlock()
	if off >= i.size {
		return 0
	}
	p = p[:min(int64(len(p)), i.size-off)]
	for n < len(p) {
		page, in := off/PageSize, off%PageSize
		dst := p[n:min(len(p), n+int(PageSize-in))]
		if pg := i.pages[page]; pg != nil {
			copy(dst, pg[in:])
		} else {
			c := 0
			if off < int64(len(i.base)) {
				c = copy(dst, i.base[off:])
			}
			clear(dst[c:])
		}
		n += len(dst)
		off += int64(len(dst))
	}
	return n
}

// WriteAt copies into the file at off, or at its end if off is negative, and
// returns how many bytes there was room for and where the write ended. EFBIG
// beyond MaxFileSize, ENOSPC when there is room for none.
func (i *Inode) WriteAt(p []byte, off int64) (n int, end int64, e Errno) {
	fs := i.fs
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if off < 0 {
		off = i.size
	}
	if len(p) == 0 {
		return 0, off, 0
	}
	if off >= MaxFileSize {
		return 0, off, syscall.EFBIG
	}
	p = p[:min(int64(len(p)), MaxFileSize-off)]
	for n < len(p) {
		pg, e := i.page(off / PageSize)
		if e != 0 {
			if n == 0 {
				return 0, off, e
			}
			break
		}
		c := copy(pg[off%PageSize:], p[n:])
		n += c
		off += int64(c)
		i.size = max(i.size, off)
	}
	i.touch(false, true, true)
	return n, off, 0
}

// page returns a page for writing, with what the file shows there.
func (i *Inode) page(p int64) (*[PageSize]byte, Errno) {
	if pg := i.pages[p]; pg != nil {
		return pg, 0
	}
	if e := i.fs.charge(1); e != 0 {
		return nil, e
	}
	pg := new([PageSize]byte)
	if off := p * PageSize; off < int64(len(i.base)) {
		copy(pg[:], i.base[off:])
	}
	if i.pages == nil {
		i.pages = make(map[int64]*[PageSize]byte)
	}
	i.pages[p] = pg
	return pg, 0
}

// Truncate sets the length of a regular file; EISDIR for a directory, EINVAL
// for other types.
func (i *Inode) Truncate(size int64) Errno {
	switch {
	case i.isDir():
		return syscall.EISDIR
	case !i.isRegular() || size < 0:
		return syscall.EINVAL
	case i.node != nil:
		return 0 // written text does not add up
	}
	i.fs.mu.Lock()
	defer i.fs.mu.Unlock()
	i.truncate(size)
	return 0
}

func (i *Inode) truncate(size int64) {
	if size < i.size {
		keep := (size + PageSize - 1) / PageSize
		for p := range i.pages {
			if p >= keep {
				delete(i.pages, p)
				i.fs.uncharge(1)
			}
		}
		if in := size % PageSize; in != 0 { // what grows back is zero
			if pg := i.pages[keep-1]; pg != nil {
				clear(pg[in:])
			}
		}
		i.base = i.base[:min(int64(len(i.base)), size)]
	}
	i.size = size
	i.touch(false, true, true)
}

// Flags of Allocate (Linux: FALLOC_FL_*).
const (
	KeepSize  = 1
	PunchHole = 2
)

// Allocate makes room for n bytes at off, or with PunchHole gives it back
// (Linux: shmem_fallocate).
func (i *Inode) Allocate(flags uint32, off, n int64) Errno {
	end := off + n
	switch {
	case off < 0 || n <= 0:
		return syscall.EINVAL
	case flags&^(KeepSize|PunchHole) != 0 || flags == PunchHole:
		return syscall.EOPNOTSUPP
	case i.isDir():
		return syscall.EISDIR
	case !i.isRegular() || i.node != nil:
		return syscall.ENODEV
	case end < 0:
		return syscall.EFBIG
	}
	i.fs.mu.Lock()
	defer i.fs.mu.Unlock()
	if flags&PunchHole != 0 {
		return i.punch(off, min(end, i.size))
	}
	first, last := off/PageSize, (end-1)/PageSize
	need := last - first + 1
	if need > i.fs.cfg.MaxBytes/PageSize { // before anything is counted page by page
		return syscall.ENOSPC
	}
	for p := first; p <= last; p++ {
		if i.pages[p] != nil {
			need--
		}
	}
	if need > (i.fs.cfg.MaxBytes-i.fs.bytes)/PageSize {
		return syscall.ENOSPC
	}
	for p := first; p <= last; p++ {
		if _, e := i.page(p); e != 0 {
			return e
		}
	}
	if flags&KeepSize == 0 {
		i.size = max(i.size, end)
	}
	i.touch(false, true, true)
	return 0
}

// punch makes a range read as zeroes and gives whole pages back.
func (i *Inode) punch(off, end int64) Errno {
	// Pages are dropped by going over those that exist: the range may be huge.
	// Base pages inside it are written first, so that they can be zero.
	for p := off / PageSize; p*PageSize < min(end, int64(len(i.base))); p++ {
		if _, e := i.page(p); e != 0 {
			return e
		}
	}
	for p, pg := range i.pages {
		from, to := max(off, p*PageSize), min(end, (p+1)*PageSize)
		if from >= to {
			continue
		}
		if to-from == PageSize && p*PageSize >= int64(len(i.base)) {
			delete(i.pages, p)
			i.fs.uncharge(1)
			continue
		}
		clear(pg[from-p*PageSize : to-p*PageSize])
	}
	i.touch(false, true, true)
	return 0
}

// SeekData answers SEEK_DATA and SEEK_HOLE for a file by pages; ENXIO at or behind
// its end.
func (i *Inode) SeekData(off int64, hole bool) (int64, Errno) {
	i.fs.mu.RLock()
	defer i.fs.mu.RUnlock()
	if off < 0 || off >= i.size {
		return 0, syscall.ENXIO
	}
	data := func(p int64) bool { return i.pages[p] != nil || p*PageSize < int64(len(i.base)) }
	if hole {
		p := off / PageSize
		if !data(p) {
			return off, 0
		}
		for data(p) {
			p++
		}
		return min(p*PageSize, i.size), 0
	}
	if data(off / PageSize) {
		return off, 0
	}
	next := i.size
	for p := range i.pages { // a file may be all hole: go by what exists
		if at := p * PageSize; at > off && at < next {
			next = at
		}
	}
	if next == i.size {
		return 0, syscall.ENXIO
	}
	return next, 0
}

// Size returns the length of a regular file.
func (i *Inode) Size() int64 {
	i.fs.mu.RLock()
	defer i.fs.mu.RUnlock()
	return i.size
}
