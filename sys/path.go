package sys

import (
	"syscall"
	"unsafe"

	"barewire/napi/proc"
	"barewire/sys/vfs"
)

// Paths: from the caller's string to an inode, and what open makes of it
// (Linux: fs/open.c, fs/stat.c). The tree is package vfs.

const (
	atFdcwd           = -100
	atSymlinkNofollow = 0x100
	atRemovedir       = 0x200
	atEaccess         = 0x200
	atSymlinkFollow   = 0x400
	atNoAutomount     = 0x800
	atEmptyPath       = 0x1000
	oPath             = 0x200000
	oTmpfile          = 0x400000
	oLargefile        = 0x8000 // what a 64-bit kernel sets in every open file
)

// atCwd is AT_FDCWD as an argument.
const atCwd = ^uintptr(99)

// at reads a path and returns the directory it starts from: EBADF or ENOTDIR
// for a relative one from a descriptor that is none.
func (k *Kernel) at(dirfd, addr uintptr) (*vfs.Inode, string, Errno) {
	s, e := k.userString(addr)
	if e != 0 {
		return nil, "", e
	}
	if s == "" {
		return nil, "", syscall.ENOENT
	}
	if s[0] == '/' {
		return nil, s, 0
	}
	if int32(dirfd) == atFdcwd {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.cwd, s, 0
	}
	f, e := k.files.get(dirfd)
	if e != 0 {
		return nil, "", e
	}
	defer f.put()
	if f.node == nil || f.node.Kind() != syscall.S_IFDIR {
		return nil, "", syscall.ENOTDIR
	}
	return f.node, s, 0
}

// lookup resolves a path of the caller. With atEmptyPath in flags an empty one
// means the descriptor itself, which need not have a path: the inode is then
// nil and the file, with a reference, is returned instead.
func (k *Kernel) lookup(dirfd, addr uintptr, follow bool, flags uint32) (*vfs.Inode, *File, Errno) {
	at, s, e := k.at(dirfd, addr)
	if e == syscall.ENOENT && flags&atEmptyPath != 0 {
		if int32(dirfd) == atFdcwd {
			k.mu.Lock()
			defer k.mu.Unlock()
			return k.cwd, nil, 0
		}
		f, e := k.files.get(dirfd)
		if e != 0 {
			return nil, nil, e
		}
		if f.node == nil {
			return nil, f, 0
		}
		defer f.put()
		return f.node, nil, 0
	}
	if e != 0 {
		return nil, nil, e
	}
	i, e := k.fs.Lookup(at, s, follow)
	return i, nil, e
}

// inode is lookup for calls that need an inode: others are EINVAL.
func (k *Kernel) inode(dirfd, addr uintptr, follow bool, flags uint32) (*vfs.Inode, Errno) {
	i, f, e := k.lookup(dirfd, addr, follow, flags)
	if f != nil {
		f.put()
		return nil, syscall.EINVAL
	}
	return i, e
}

func sysOpen(k *Kernel, a args) (uintptr, Errno) {
	return k.open(atCwd, a.a0, uint32(a.a1), uint32(a.a2))
}

func sysOpenat(k *Kernel, a args) (uintptr, Errno) {
	return k.open(a.a0, a.a1, uint32(a.a2), uint32(a.a3))
}

func sysCreat(k *Kernel, a args) (uintptr, Errno) {
	return k.open(atCwd, a.a0, syscall.O_CREAT|syscall.O_WRONLY|syscall.O_TRUNC, uint32(a.a1))
}

// open opens a path (Linux: do_sys_openat2).
func (k *Kernel) open(dirfd, addr uintptr, flags, perm uint32) (uintptr, Errno) {
	if flags&oTmpfile != 0 {
		return 0, syscall.EOPNOTSUPP
	}
	if flags&(syscall.O_CREAT|syscall.O_DIRECTORY) == syscall.O_CREAT|syscall.O_DIRECTORY && flags&oPath == 0 {
		return 0, syscall.EINVAL // build_open_flags, before the path is looked at
	}
	at, s, e := k.at(dirfd, addr)
	if e != 0 {
		return 0, e
	}
	if e := k.files.hasRoom(); e != 0 {
		return 0, e
	}
	i, e := k.fs.Open(at, s, flags, perm&^k.umask.Load())
	if e != 0 {
		return 0, e
	}
	ops, e := k.opsOf(i, flags)
	if e != 0 {
		i.Release()
		return 0, e
	}
	if flags&oPath != 0 {
		flags &= oPath | syscall.O_DIRECTORY | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	} else {
		flags |= oLargefile
	}
	f := k.newFile(ops, flags)
	f.node = i
	return k.installNew(f, flags&syscall.O_CLOEXEC != 0)
}

// opsOf returns what an opened inode does as a file. Character devices without
// a driver are ENXIO.
func (k *Kernel) opsOf(i *vfs.Inode, flags uint32) (fileOps, Errno) {
	if flags&oPath != 0 {
		return &pathFile{}, 0
	}
	switch i.Kind() {
	case syscall.S_IFDIR:
		return &dirFile{i: i}, 0
	case syscall.S_IFREG:
		if ns := netnsOf(i); ns != nil {
			return k.openNetns(ns)
		}
		if n := i.Node(); n != nil {
			if open, ok := n.Priv.(func() proc.Conversation); ok {
				return &talkFile{c: open()}, 0
			}
			return &genFile{i: i}, 0
		}
		return &regFile{i: i}, 0
	case syscall.S_IFCHR:
		return k.openDevice(i.Rdev())
	}
	return nil, syscall.ENXIO
}

// pathFile is what O_PATH opens: a place, not a file.
type pathFile struct{ baseFile }

func (*pathFile) stat(*File, *syscall.Stat_t) {}

func (*pathFile) ioctl(*File, uintptr, uintptr) (uintptr, Errno) { return 0, syscall.EBADF }

// statOf returns an inode's struct stat.
func statOf(i *vfs.Inode) syscall.Stat_t {
	s := i.Stat()
	return syscall.Stat_t{
		Dev: s.Dev, Ino: s.Ino, Nlink: uint64(s.Nlink), Mode: s.Mode, Uid: s.UID, Gid: s.GID, Rdev: s.Rdev,
		Size: s.Size, Blksize: pageSize, Blocks: s.Blocks,
		Atim: syscall.Timespec(s.Atime), Mtim: syscall.Timespec(s.Mtime), Ctim: syscall.Timespec(s.Ctime),
	}
}

func sysStat(k *Kernel, a args) (uintptr, Errno) { return k.fstatat(atCwd, a.a0, a.a1, 0) }

func sysLstat(k *Kernel, a args) (uintptr, Errno) {
	return k.fstatat(atCwd, a.a0, a.a1, atSymlinkNofollow)
}

func sysNewfstatat(k *Kernel, a args) (uintptr, Errno) {
	return k.fstatat(a.a0, a.a1, a.a2, uint32(a.a3))
}

// statAt is vfs_statx: the attributes of a path or a descriptor.
func (k *Kernel) statAt(dirfd, addr uintptr, flags uint32) (st syscall.Stat_t, e Errno) {
	i, f, e := k.lookup(dirfd, addr, flags&atSymlinkNofollow == 0, flags)
	if f != nil {
		defer f.put()
		return f.statOf(), 0
	}
	if e != 0 {
		return st, e
	}
	return statOf(i), 0
}

func (k *Kernel) fstatat(dirfd, addr, out uintptr, flags uint32) (uintptr, Errno) {
	if flags&^(atSymlinkNofollow|atEmptyPath|atNoAutomount) != 0 {
		return 0, syscall.EINVAL
	}
	st, e := k.statAt(dirfd, addr, flags)
	if e != 0 {
		return 0, e
	}
	return 0, copyTo(k, out, st)
}

// statxTime is struct statx_timestamp, statxBuf struct statx.
type statxTime struct {
	sec  int64
	nsec uint32
	_    int32
}

type statxBuf struct {
	mask, blksize                          uint32
	attributes                             uint64
	nlink, uid, gid                        uint32
	mode, _                                uint16
	ino, size, blocks, attributesMask      uint64
	atime, btime, ctime, mtime             statxTime
	rdevMajor, rdevMinor, devMajor, devMin uint32
	_                                      [14]uint64
}

// sysStatx fills the fields of the basic mask, whatever is asked for, as Linux
// does for those that cost nothing.
func sysStatx(k *Kernel, a args) (uintptr, Errno) {
	const (
		basic    = 0x7ff
		reserved = 0x80000000
		syncType = 0x6000
	)
	flags := uint32(a.a2)
	if uint32(a.a3)&reserved != 0 || flags&syncType == syncType ||
		flags&^(atSymlinkNofollow|atEmptyPath|atNoAutomount|syncType) != 0 {
		return 0, syscall.EINVAL
	}
	st, e := k.statAt(a.a0, a.a1, flags)
	if e != 0 {
		return 0, e
	}
	t := func(ts syscall.Timespec) statxTime { return statxTime{sec: ts.Sec, nsec: uint32(ts.Nsec)} }
	return 0, copyTo(k, a.a4, statxBuf{
		mask: basic, blksize: uint32(st.Blksize), nlink: uint32(st.Nlink), uid: st.Uid, gid: st.Gid, mode: uint16(st.Mode),
		ino: st.Ino, size: uint64(st.Size), blocks: uint64(st.Blocks),
		atime: t(st.Atim), ctime: t(st.Ctim), mtime: t(st.Mtim),
		rdevMajor: uint32(st.Rdev >> 8 & 0xfff), rdevMinor: uint32(st.Rdev&0xff | st.Rdev>>12&^0xff), devMin: uint32(st.Dev),
	})
}

func sysReadlink(k *Kernel, a args) (uintptr, Errno) { return k.readlink(atCwd, a.a0, a.a1, a.a2) }

func sysReadlinkat(k *Kernel, a args) (uintptr, Errno) {
	return k.readlink(a.a0, a.a1, a.a2, a.a3)
}

func (k *Kernel) readlink(dirfd, addr, buf, size uintptr) (uintptr, Errno) {
	if int32(size) <= 0 {
		return 0, syscall.EINVAL
	}
	i, e := k.inode(dirfd, addr, false, atEmptyPath)
	if e != 0 {
		return 0, e
	}
	if s, _ := k.userString(addr); s == "" && i.Kind() != syscall.S_IFLNK {
		return 0, syscall.ENOENT
	}
	t, e := i.Readlink()
	if e != 0 {
		return 0, e
	}
	t = t[:min(len(t), int(int32(size)))]
	return uintptr(len(t)), k.copyBytesTo(buf, []byte(t))
}

func sysAccess(k *Kernel, a args) (uintptr, Errno) { return k.access(atCwd, a.a0, a.a1, 0) }

func sysFaccessat(k *Kernel, a args) (uintptr, Errno) { return k.access(a.a0, a.a1, a.a2, 0) }

func sysFaccessat2(k *Kernel, a args) (uintptr, Errno) {
	return k.access(a.a0, a.a1, a.a2, uint32(a.a3))
}

// access: root may do anything but execute what has no x bit at all.
func (k *Kernel) access(dirfd, addr, mode uintptr, flags uint32) (uintptr, Errno) {
	const r, w, x = 4, 2, 1
	if mode&^(r|w|x) != 0 || flags&^(atSymlinkNofollow|atEaccess|atEmptyPath) != 0 {
		return 0, syscall.EINVAL
	}
	i, f, e := k.lookup(dirfd, addr, flags&atSymlinkNofollow == 0, flags)
	if f != nil {
		f.put()
		return 0, 0
	}
	if e != 0 {
		return 0, e
	}
	if m := i.Stat().Mode; mode&x != 0 && i.Kind() != syscall.S_IFDIR && m&0o111 == 0 {
		return 0, syscall.EACCES
	}
	return 0, 0
}

// sysGetcwd returns the path and its length with the NUL.
func sysGetcwd(k *Kernel, a args) (uintptr, Errno) {
	k.mu.Lock()
	cwd := k.cwd
	k.mu.Unlock()
	dir, e := cwd.Path()
	if e != 0 {
		return 0, e
	}
	if a.a1 < uintptr(len(dir)+1) {
		return 0, syscall.ERANGE
	}
	return uintptr(len(dir) + 1), k.copyBytesTo(a.a0, []byte(dir+"\x00"))
}

func sysChdir(k *Kernel, a args) (uintptr, Errno) {
	i, e := k.inode(atCwd, a.a0, true, 0)
	if e != 0 {
		return 0, e
	}
	return 0, k.setCwd(i)
}

func sysFchdir(k *Kernel, a args) (uintptr, Errno) {
	f, e := k.files.get(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	if f.node == nil {
		return 0, syscall.ENOTDIR
	}
	return 0, k.setCwd(f.node)
}

func (k *Kernel) setCwd(i *vfs.Inode) Errno {
	if i.Kind() != syscall.S_IFDIR {
		return syscall.ENOTDIR
	}
	i.Hold()
	k.mu.Lock()
	old := k.cwd
	k.cwd = i
	k.mu.Unlock()
	old.Release()
	return 0
}

// sysGetdents64 lists a directory as struct linux_dirent64.
func sysGetdents64(k *Kernel, a args) (uintptr, Errno) {
	f, e := k.files.get(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	if f.flags.Load()&oPath != 0 {
		return 0, syscall.EBADF
	}
	d, ok := f.ops.(*dirFile)
	if !ok {
		return 0, syscall.ENOTDIR
	}
	buf, e := k.userBytes(a.a1, uintptr(uint32(a.a2)))
	if e != 0 {
		return 0, e
	}
	n, full := 0, false
	d.mu.Lock() // the position is shared by all descriptors of the file
	defer d.mu.Unlock()
	e = d.i.ReadDir(d.pos, func(de vfs.Dirent) bool {
		size := (19 + len(de.Name) + 1 + 7) &^ 7
		if n+size > len(buf) {
			full = true
			return false
		}
		ent := buf[n : n+size]
		clear(ent)
		// The caller's buffer need not be aligned.
		hdr := struct {
			ino, next uint64
			size      uint16
			kind      byte
		}{de.Ino, uint64(de.Next), uint16(size), byte(de.Kind >> 12)}
		copy(ent, unsafe.Slice((*byte)(unsafe.Pointer(&hdr)), 19))
		copy(ent[19:], de.Name)
		n += size
		d.pos = de.Next
		return true
	})
	if e == 0 && full && n == 0 {
		e = syscall.EINVAL
	}
	return uintptr(n), e
}
