package sys

import (
	"syscall"
	"unsafe"
)

// Copies between descriptors within the kernel (Linux: do_sendfile,
// vfs_copy_file_range).

// copyChunk is how much is copied at once.
const copyChunk = 32 << 10

// position is a place in a file: the caller's, or the file's own.
func (k *Kernel) position(f *File, addr uintptr) (off int64, e Errno) {
	if addr != 0 {
		if off, e = copyFrom[int64](k, addr); e == 0 && off < 0 {
			e = syscall.EINVAL
		}
		return off, e
	}
	return f.ops.(seekable).seek(f, 0, seekCur)
}

// advance moves a position on.
func (k *Kernel) advance(f *File, addr uintptr, to int64) Errno {
	if addr != 0 {
		return copyTo(k, addr, to)
	}
	_, e := f.ops.(seekable).seek(f, to, seekSet)
	return e
}

// sysSendfile copies from a file to anything that is written.
func sysSendfile(k *Kernel, a args) (uintptr, Errno) {
	out, in, e := k.files.getTwo(a.a0, a.a1)
	if e != 0 {
		return 0, e
	}
	defer out.put()
	defer in.put()
	src, ok := in.ops.(seekable)
	switch {
	case !in.readable() || !out.writable():
		return 0, syscall.EBADF
	case !ok && a.a2 != 0:
		return 0, syscall.ESPIPE
	case !ok:
		return 0, syscall.EINVAL // splice from pipes and sockets is another call; io.Copy reads and writes then
	case in.node == nil || in.node.Kind() != syscall.S_IFREG || out.flags.Load()&syscall.O_APPEND != 0:
		return 0, syscall.EINVAL
	}
	off, e := k.position(in, a.a2)
	if e != 0 {
		return 0, e
	}
	total := 0
	left := min(a.a3, maxRWCount)
	buf := make([]byte, min(left, copyChunk))
	for left > 0 {
		n, re := src.readAt(in, [][]byte{buf[:min(left, copyChunk)]}, off)
		if n == 0 {
			e = re
			break
		}
		w, we := out.ops.write(out, [][]byte{buf[:n]})
		total += w
		off += int64(w)
		left -= uintptr(w)
		if e = we; e != 0 || w < n {
			break
		}
	}
	if total == 0 {
		return 0, e
	}
	return uintptr(total), k.advance(in, a.a2, off)
}

// sysCopyFileRange copies between two files of the tree.
func sysCopyFileRange(k *Kernel, a args) (uintptr, Errno) {
	in, out, e := k.files.getTwo(a.a0, a.a2)
	if e != 0 {
		return 0, e
	}
	defer in.put()
	defer out.put()
	for _, f := range []*File{in, out} {
		switch {
		case f.node == nil:
			return 0, syscall.EINVAL
		case f.node.Kind() == syscall.S_IFDIR:
			return 0, syscall.EISDIR
		}
	}
	src, ok1 := in.ops.(*regFile)
	dst, ok2 := out.ops.(*regFile)
	if !ok1 || !ok2 {
		return 0, syscall.EINVAL
	}
	from, e := k.position(in, a.a1)
	if e != 0 {
		return 0, e
	}
	to, e := k.position(out, a.a3)
	if e != 0 {
		return 0, e
	}
	left := min(a.a4, maxRWCount, uintptr(max(0, src.i.Size()-from)))
	switch {
	case a.a5 != 0:
		return 0, syscall.EINVAL
	case !in.readable() || !out.writable() || out.flags.Load()&syscall.O_APPEND != 0:
		return 0, syscall.EBADF
	case src.i == dst.i && from < to+int64(left) && to < from+int64(left):
		return 0, syscall.EINVAL // they overlap
	}
	total := 0
	buf := make([]byte, min(left, copyChunk))
	for left > 0 {
		n := src.i.ReadAt(buf[:min(left, copyChunk)], from)
		if n == 0 {
			break
		}
		var w int
		if w, to, e = dst.i.WriteAt(buf[:n], to); w == 0 {
			break
		}
		total += w
		from += int64(w)
		left -= uintptr(w)
	}
	if total == 0 {
		return 0, e
	}
	if e := k.advance(in, a.a1, from); e != 0 {
		return 0, e
	}
	return uintptr(total), k.advance(out, a.a3, to)
}

// mapFile maps the contents of a file as a private copy, which is what a
// mapping that is private or only read is, until the file changes. Shared
// writing is ENODEV: there are no page tables to see it by. Memory that a file
// gives away is shared (mapfile.go).
func (k *Kernel) mapFile(f *File, n uintptr, prot, flags uintptr, off int64) (uintptr, Errno) {
	if m, ok := f.ops.(mapper); ok {
		return k.mapShared(f, m, n, off)
	}
	d, ok := f.ops.(*regFile)
	switch {
	case !ok:
		return 0, syscall.ENODEV
	case !f.readable():
		return 0, syscall.EACCES
	case flags&mapTypeMask != syscall.MAP_PRIVATE && prot&syscall.PROT_WRITE != 0:
		if !f.writable() {
			return 0, syscall.EACCES
		}
		return 0, syscall.ENODEV
	}
	addr, e := k.mm.mapAnon(n, k.cfg.MemTotal/2)
	if e == 0 {
		d.i.ReadAt(unsafe.Slice((*byte)(userPtr(addr)), n), off)
	}
	return addr, e
}
