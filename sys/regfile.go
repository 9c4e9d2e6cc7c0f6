package sys

import (
	"sync"
	"syscall"

	"barewire/sys/vfs"
)

// Files with contents, and directories, as descriptors see them.

// place is a position in what has no end to count from.
type place struct {
	mu  sync.Mutex
	pos int64
}

// seek moves it (Linux: dcache_dir_lseek, seq_lseek).
func (p *place) seek(_ *File, off int64, whence uint32) (int64, Errno) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if whence == seekCur {
		off += p.pos
	}
	if whence > seekCur || off < 0 {
		return 0, syscall.EINVAL
	}
	p.pos = off
	return off, 0
}

// dirFile is an open directory; its place is where getdents64 goes on.
type dirFile struct {
	baseFile
	place
	i *vfs.Inode
}

func (*dirFile) read(*File, [][]byte) (int, Errno) { return 0, syscall.EISDIR }

func (*dirFile) readAt(*File, [][]byte, int64) (int, Errno) { return 0, syscall.EISDIR }

func (*dirFile) writeAt(*File, [][]byte, int64) (int, Errno) { return 0, syscall.EBADF }

func (*dirFile) stat(*File, *syscall.Stat_t) {}

// regFile is an open file of the tree.
type regFile struct {
	baseFile
	i   *vfs.Inode
	mu  sync.Mutex // of pos: reads and writes that use it are one after the other
	pos int64
}

func (*regFile) stat(*File, *syscall.Stat_t) {}

func (d *regFile) read(f *File, iov [][]byte) (int, Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, e := d.readAt(f, iov, d.pos)
	d.pos += int64(n)
	return n, e
}

func (d *regFile) readAt(_ *File, iov [][]byte, off int64) (int, Errno) {
	total := 0
	if off+int64(iovLen(iov)) < 0 { // Linux: rw_verify_area
		return 0, syscall.EINVAL
	}
	for _, b := range iov {
		n := d.i.ReadAt(b, off+int64(total))
		total += n
		if n < len(b) {
			break
		}
	}
	return total, 0
}

func (d *regFile) write(f *File, iov [][]byte) (int, Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, end, e := d.put(f, iov, d.pos)
	if n > 0 {
		d.pos = end
	}
	return n, e
}

func (d *regFile) writeAt(f *File, iov [][]byte, off int64) (int, Errno) {
	n, _, e := d.put(f, iov, off)
	return n, e
}

// put writes at off, or at the end with O_APPEND, even where a position was
// given, as Linux does.
func (d *regFile) put(f *File, iov [][]byte, off int64) (total int, end int64, e Errno) {
	end = off
	if off+int64(iovLen(iov)) < 0 {
		return 0, off, syscall.EINVAL
	}
	if f.flags.Load()&syscall.O_APPEND != 0 {
		end = -1
	}
	for _, b := range iov {
		n, to, e := d.i.WriteAt(b, end)
		total += n
		end = to
		if e != 0 && total == 0 {
			return 0, end, e
		}
		if n < len(b) {
			break
		}
	}
	return total, end, 0
}

func (d *regFile) seek(_ *File, off int64, whence uint32) (int64, Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch whence {
	case seekCur:
		if off == 0 {
			return d.pos, 0
		}
		off += d.pos
	case seekEnd:
		off += d.i.Size()
	case seekData, seekHole:
		to, e := d.i.SeekData(off, whence == seekHole)
		if e != 0 {
			return 0, e
		}
		off = to
	}
	if off < 0 {
		return 0, syscall.EINVAL
	}
	d.pos = off
	return off, 0
}

// ioctl answers FIONREAD with what lies between the position and the end.
func (d *regFile) ioctl(f *File, cmd, arg uintptr) (uintptr, Errno) {
	if cmd != fioNread {
		return 0, syscall.ENOTTY
	}
	d.mu.Lock()
	n := d.i.Size() - d.pos
	d.mu.Unlock()
	return 0, copyTo(f.k, arg, int32(n))
}

// maxGenWrite bounds one write to a generated file (Linux: KMALLOC_MAX_SIZE
// for proc_sys_write, a page for sysfs).
const maxGenWrite = 1 << 16

// genFile is an open generated file. Its text is made by the first read and
// by each from the start, so that one pass over it sees one state (Linux:
// seq_file).
type genFile struct {
	baseFile
	place
	i    *vfs.Inode
	text []byte
	made bool
}

func (*genFile) stat(*File, *syscall.Stat_t) {}

func (d *genFile) read(_ *File, iov [][]byte) (int, Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, e := d.take(iov, d.pos)
	d.pos += int64(n)
	return n, e
}

func (d *genFile) readAt(_ *File, iov [][]byte, off int64) (int, Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.take(iov, off)
}

func (d *genFile) take(iov [][]byte, off int64) (int, Errno) {
	if len(iov) == 0 {
		return 0, 0
	}
	if !d.made || off == 0 {
		n := d.i.Node()
		if n.Text == nil {
			return 0, syscall.EIO
		}
		text, e := n.Text(d.text[:0])
		if e != 0 {
			return 0, e
		}
		d.text, d.made = text, true
	}
	total := 0
	for _, b := range iov {
		if off >= int64(len(d.text)) {
			break
		}
		n := copy(b, d.text[off:])
		off += int64(n)
		total += n
	}
	return total, 0
}

// write hands over what one call brought: a setting is written at once. A
// file that cannot be written is EIO (Linux: proc_reg_write).
func (d *genFile) write(f *File, iov [][]byte) (int, Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, e := d.writeAt(f, iov, d.pos)
	d.pos += int64(n)
	return n, e
}

func (d *genFile) writeAt(_ *File, iov [][]byte, _ int64) (int, Errno) {
	w := d.i.Node().Write
	if w == nil {
		return 0, syscall.EIO
	}
	n := iovLen(iov)
	if n > maxGenWrite {
		return 0, syscall.ENOMEM
	}
	p := make([]byte, n)
	gather(p, iov)
	if e := w(p); e != 0 {
		return 0, e
	}
	return n, 0
}
