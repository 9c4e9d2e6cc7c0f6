package sys

import (
	"sync/atomic"
	"syscall"

	"barewire/sys/vfs"
)

const eagain = syscall.EAGAIN

// fileOps is what a file does (Linux: struct file_operations). The iov slices
// are the caller's memory and end with the call; none is empty. Reads and
// writes block unless f.nonblock().
type fileOps interface {
	read(f *File, iov [][]byte) (int, Errno)
	write(f *File, iov [][]byte) (int, Errno)
	// poll returns the current readiness. It must not block.
	poll(f *File) uint16
	// pollable reports whether readiness ever changes (Linux: file_can_poll).
	// epoll and the runtime's poller refuse files of which it does not.
	pollable() bool
	ioctl(f *File, cmd, arg uintptr) (uintptr, Errno)
	stat(f *File, st *syscall.Stat_t)
	// release runs once, after the last reference is gone.
	release(f *File)
}

// File is an open file (Linux: struct file). Descriptors and calls in progress
// each hold a reference.
type File struct {
	k     *Kernel
	ops   fileOps
	flags atomic.Uint32 // O_ACCMODE and the status flags of F_GETFL
	refs  atomic.Int32
	ino   uint64
	wait  *waitQueue // own, or one that all opens of a device share
	own   waitQueue
	node  *vfs.Inode // what was opened, held; nil for what has no path
}

// newFile makes a file with one reference, the caller's.
func (k *Kernel) newFile(ops fileOps, flags uint32) *File {
	f := &File{}
	k.initFile(f, ops, flags)
	return f
}

// initFile is newFile in memory that the caller has.
func (k *Kernel) initFile(f *File, ops fileOps, flags uint32) {
	f.k, f.ops, f.ino = k, ops, k.nextIno.Add(1)
	f.wait = &f.own
	if t, ok := ops.(*tty); ok {
		f.wait = &t.queue
	}
	f.flags.Store(flags &^ (syscall.O_CLOEXEC | syscall.O_CREAT | syscall.O_EXCL | syscall.O_NOCTTY | syscall.O_TRUNC))
	f.refs.Store(1)
}

func (f *File) nonblock() bool { return f.flags.Load()&syscall.O_NONBLOCK != 0 }

func (f *File) setNonblock(on bool) {
	if on {
		f.flags.Or(syscall.O_NONBLOCK)
	} else {
		f.flags.And(^uint32(syscall.O_NONBLOCK))
	}
}

func (f *File) readable() bool {
	fl := f.flags.Load()
	return fl&syscall.O_ACCMODE != syscall.O_WRONLY && fl&oPath == 0
}

func (f *File) writable() bool {
	fl := f.flags.Load()
	return fl&syscall.O_ACCMODE != syscall.O_RDONLY && fl&oPath == 0
}

// tryGet takes a reference unless the file is already on its way out (Linux:
// get_file_rcu).
func (f *File) tryGet() bool {
	for {
		n := f.refs.Load()
		if n <= 0 {
			return false
		}
		if f.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// put drops a reference; the last one ends the file (Linux: fput).
func (f *File) put() {
	if f.refs.Add(-1) != 0 {
		return
	}
	f.detachEpoll()
	f.ops.release(f)
	if f.node != nil {
		f.node.Release()
	}
}

// baseFile is what a file does unless it says otherwise.
type baseFile struct{}

func (baseFile) read(*File, [][]byte) (int, Errno)              { return 0, syscall.EINVAL }
func (baseFile) write(*File, [][]byte) (int, Errno)             { return 0, syscall.EINVAL }
func (baseFile) poll(*File) uint16                              { return pollDefault }
func (baseFile) pollable() bool                                 { return false }
func (baseFile) ioctl(*File, uintptr, uintptr) (uintptr, Errno) { return 0, syscall.ENOTTY }
func (baseFile) release(*File)                                  {}

// iovLen returns the bytes in iov.
func iovLen(iov [][]byte) int {
	n := 0
	for _, b := range iov {
		n += len(b)
	}
	return n
}

// read and its family.

func sysRead(k *Kernel, a args) (uintptr, Errno) {
	return k.rw(a.a0, false, a.a1, a.a2, false)
}

func sysWrite(k *Kernel, a args) (uintptr, Errno) {
	return k.rw(a.a0, true, a.a1, a.a2, false)
}

func sysReadv(k *Kernel, a args) (uintptr, Errno) {
	return k.rw(a.a0, false, a.a1, a.a2, true)
}

func sysWritev(k *Kernel, a args) (uintptr, Errno) {
	return k.rw(a.a0, true, a.a1, a.a2, true)
}

// rw is read, write, readv and writev in Linux's order: descriptor, access
// mode, memory, file.
func (k *Kernel) rw(fd uintptr, write bool, addr, n uintptr, vec bool) (uintptr, Errno) {
	f, e := k.files.get(fd)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	if write && !f.writable() || !write && !f.readable() {
		return 0, syscall.EBADF
	}
	fr := k.getFrame()
	defer k.putFrame(fr)
	if vec {
		fr.iov, e = k.importIovec(addr, n, fr.iov)
	} else if int(n) < 0 {
		e = syscall.EINVAL
	} else {
		fr.iov, e = k.importUbuf(addr, n, fr.iov)
	}
	if e != 0 {
		return 0, e
	}
	var c int
	if write {
		c, e = f.ops.write(f, fr.iov)
	} else {
		c, e = f.ops.read(f, fr.iov)
	}
	return uintptr(c), e
}

// seekable is a file that has positions.
type seekable interface {
	readAt(f *File, iov [][]byte, off int64) (int, Errno)
	writeAt(f *File, iov [][]byte, off int64) (int, Errno)
	// seek is lseek; whence is at most SEEK_HOLE.
	seek(f *File, off int64, whence uint32) (int64, Errno)
}

func sysPread64(k *Kernel, a args) (uintptr, Errno) { return k.rwAt(a, false, false) }

func sysPwrite64(k *Kernel, a args) (uintptr, Errno) { return k.rwAt(a, true, false) }

func sysPreadv(k *Kernel, a args) (uintptr, Errno) { return k.rwAt(a, false, true) }

func sysPwritev(k *Kernel, a args) (uintptr, Errno) { return k.rwAt(a, true, true) }

// sysPreadv2 and sysPwritev2 take the position -1 for the file's own and no
// flags (RWF_*).
func sysPreadv2(k *Kernel, a args) (uintptr, Errno) { return k.rwv2(a, false) }

func sysPwritev2(k *Kernel, a args) (uintptr, Errno) { return k.rwv2(a, true) }

func (k *Kernel) rwv2(a args, write bool) (uintptr, Errno) {
	if a.a5 != 0 {
		return 0, syscall.EOPNOTSUPP
	}
	if a.a3 == ^uintptr(0) {
		return k.rw(a.a0, write, a.a1, a.a2, true)
	}
	return k.rwAt(a, write, true)
}

// rwAt is pread64, pwrite64, preadv and pwritev in Linux's order.
func (k *Kernel) rwAt(a args, write, vec bool) (uintptr, Errno) {
	off := int64(a.a3)
	if off < 0 {
		return 0, syscall.EINVAL
	}
	f, e := k.files.get(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	s, ok := f.ops.(seekable)
	switch {
	case f.flags.Load()&oPath != 0:
		return 0, syscall.EBADF
	case !ok:
		return 0, syscall.ESPIPE
	case write && !f.writable() || !write && !f.readable():
		return 0, syscall.EBADF
	}
	fr := k.getFrame()
	defer k.putFrame(fr)
	if vec {
		fr.iov, e = k.importIovec(a.a1, a.a2, fr.iov)
	} else if int(a.a2) < 0 {
		e = syscall.EINVAL
	} else {
		fr.iov, e = k.importUbuf(a.a1, a.a2, fr.iov)
	}
	if e != 0 {
		return 0, e
	}
	var c int
	if write {
		c, e = s.writeAt(f, fr.iov, off)
	} else {
		c, e = s.readAt(f, fr.iov, off)
	}
	return uintptr(c), e
}

func sysLseek(k *Kernel, a args) (uintptr, Errno) {
	f, e := k.files.get(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	s, ok := f.ops.(seekable)
	switch {
	case f.flags.Load()&oPath != 0:
		return 0, syscall.EBADF
	case uint32(a.a2) > seekHole:
		return 0, syscall.EINVAL
	case !ok:
		return 0, syscall.ESPIPE
	}
	off, e := s.seek(f, int64(a.a1), uint32(a.a2))
	return uintptr(off), e
}

// What lseek counts from.
const (
	seekSet  = 0
	seekCur  = 1
	seekEnd  = 2
	seekData = 3
	seekHole = 4
)

func sysIoctl(k *Kernel, a args) (uintptr, Errno) {
	f, e := k.files.get(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	cmd := uintptr(uint32(a.a1))
	switch cmd {
	case fioClex, fioNclex:
		k.files.setCloexec(a.a0, cmd == fioClex)
		return 0, 0
	case fioNbio:
		on, e := copyFrom[int32](k, a.a2)
		if e == 0 {
			f.setNonblock(on != 0)
		}
		return 0, e
	}
	return f.ops.ioctl(f, cmd, a.a2)
}

// ioctl commands every file knows, and FIONREAD.
const (
	fioClex  = 0x5451
	fioNclex = 0x5450
	fioNbio  = 0x5421
	fioNread = 0x541b
)

func sysFstat(k *Kernel, a args) (uintptr, Errno) {
	f, e := k.files.get(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	return 0, copyTo(k, a.a1, f.statOf())
}

// statOf returns fstat's answer for f.
func (f *File) statOf() syscall.Stat_t {
	if f.node != nil {
		return statOf(f.node)
	}
	st := syscall.Stat_t{Ino: f.ino, Nlink: 1, Blksize: pageSize}
	f.ops.stat(f, &st)
	return st
}

// sysFsync: what is written to a file is where it will ever be.
func sysFsync(k *Kernel, a args) (uintptr, Errno) {
	f, e := k.files.get(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	switch {
	case f.flags.Load()&oPath != 0:
		return 0, syscall.EBADF
	case f.node != nil && f.node.Kind() != syscall.S_IFCHR && f.node.Node() == nil:
		return 0, 0
	}
	return 0, syscall.EINVAL // as on pipes, sockets and terminals
}
