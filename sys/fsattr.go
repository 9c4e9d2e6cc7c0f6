package sys

import (
	"syscall"

	"barewire/sys/vfs"
)

// Calls that change attributes, and those about a whole file system.

// ofFile calls fn with the inode of a descriptor. What has none (pipes,
// sockets) takes the change and forgets it, as Linux keeps it for an inode
// that nobody else can see.
func (k *Kernel) ofFile(fd uintptr, fn func(*vfs.Inode) Errno) (uintptr, Errno) {
	f, e := k.files.get(fd)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	switch {
	case f.flags.Load()&oPath != 0:
		return 0, syscall.EBADF
	case f.node == nil:
		return 0, 0
	}
	return 0, fn(f.node)
}

func sysChmod(k *Kernel, a args) (uintptr, Errno) { return k.chmod(atCwd, a.a0, a.a1, 0) }

func sysFchmodat(k *Kernel, a args) (uintptr, Errno) { return k.chmod(a.a0, a.a1, a.a2, 0) }

func sysFchmodat2(k *Kernel, a args) (uintptr, Errno) {
	return k.chmod(a.a0, a.a1, a.a2, uint32(a.a3))
}

func sysFchmod(k *Kernel, a args) (uintptr, Errno) {
	return k.ofFile(a.a0, func(i *vfs.Inode) Errno { return i.Chmod(uint32(a.a1)) })
}

// inodeAt is inode for the calls that take these two flags; others are EINVAL.
func (k *Kernel) inodeAt(dirfd, addr uintptr, flags uint32) (*vfs.Inode, Errno) {
	if flags&^(atSymlinkNofollow|atEmptyPath) != 0 {
		return nil, syscall.EINVAL
	}
	return k.inode(dirfd, addr, flags&atSymlinkNofollow == 0, flags)
}

func (k *Kernel) chmod(dirfd, addr, mode uintptr, flags uint32) (uintptr, Errno) {
	i, e := k.inodeAt(dirfd, addr, flags)
	if e != 0 {
		return 0, e
	}
	return 0, i.Chmod(uint32(mode))
}

func sysChown(k *Kernel, a args) (uintptr, Errno) { return k.chown(atCwd, a.a0, a.a1, a.a2, 0) }

func sysLchown(k *Kernel, a args) (uintptr, Errno) {
	return k.chown(atCwd, a.a0, a.a1, a.a2, atSymlinkNofollow)
}

func sysFchownat(k *Kernel, a args) (uintptr, Errno) {
	return k.chown(a.a0, a.a1, a.a2, a.a3, uint32(a.a4))
}

func sysFchown(k *Kernel, a args) (uintptr, Errno) {
	return k.ofFile(a.a0, func(i *vfs.Inode) Errno { return i.Chown(uint32(a.a1), uint32(a.a2)) })
}

func (k *Kernel) chown(dirfd, addr, uid, gid uintptr, flags uint32) (uintptr, Errno) {
	i, e := k.inodeAt(dirfd, addr, flags)
	if e != 0 {
		return 0, e
	}
	return 0, i.Chown(uint32(uid), uint32(gid))
}

func sysUtimes(k *Kernel, a args) (uintptr, Errno) {
	now := k.fs.Now()
	times := [2]*vfs.Time{&now, &now}
	if a.a1 != 0 {
		tv, e := copyFrom[[2]syscall.Timeval](k, a.a1)
		if e != 0 {
			return 0, e
		}
		for n, t := range tv {
			if t.Usec < 0 || t.Usec >= 1e6 {
				return 0, syscall.EINVAL
			}
			times[n] = &vfs.Time{Sec: t.Sec, Nsec: t.Usec * 1000}
		}
	}
	i, e := k.inode(atCwd, a.a0, true, 0)
	if e != 0 {
		return 0, e
	}
	return 0, i.SetTimes(times[0], times[1])
}

// sysUtimensat: a null path means the descriptor itself.
func sysUtimensat(k *Kernel, a args) (uintptr, Errno) {
	const now, omit = 1<<30 - 1, 1<<30 - 2 // UTIME_NOW, UTIME_OMIT
	t := k.fs.Now()
	times := [2]*vfs.Time{&t, &t}
	if a.a2 != 0 {
		ts, e := copyFrom[[2]syscall.Timespec](k, a.a2)
		if e != 0 {
			return 0, e
		}
		if ts[0].Nsec == omit && ts[1].Nsec == omit {
			return 0, 0
		}
		for n, v := range ts {
			switch {
			case v.Nsec == now:
			case v.Nsec == omit:
				times[n] = nil
			case v.Nsec < 0 || v.Nsec >= 1e9:
				return 0, syscall.EINVAL
			default:
				times[n] = &vfs.Time{Sec: v.Sec, Nsec: v.Nsec}
			}
		}
	}
	flags := uint32(a.a3)
	if a.a1 == 0 && int32(a.a0) != atFdcwd {
		if flags != 0 {
			return 0, syscall.EINVAL
		}
		return k.ofFile(a.a0, func(i *vfs.Inode) Errno { return i.SetTimes(times[0], times[1]) })
	}
	i, e := k.inodeAt(a.a0, a.a1, flags)
	if e != 0 {
		return 0, e
	}
	return 0, i.SetTimes(times[0], times[1])
}

func sysTruncate(k *Kernel, a args) (uintptr, Errno) {
	if int64(a.a1) < 0 {
		return 0, syscall.EINVAL
	}
	i, e := k.inode(atCwd, a.a0, true, 0)
	if e != 0 {
		return 0, e
	}
	return 0, i.Truncate(int64(a.a1))
}

func sysFtruncate(k *Kernel, a args) (uintptr, Errno) {
	if int64(a.a1) < 0 {
		return 0, syscall.EINVAL
	}
	f, e := k.files.get(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	switch {
	case f.flags.Load()&oPath != 0:
		return 0, syscall.EBADF
	case f.node == nil || f.node.Kind() != syscall.S_IFREG || !f.writable():
		return 0, syscall.EINVAL
	}
	return 0, f.node.Truncate(int64(a.a1))
}

func sysFallocate(k *Kernel, a args) (uintptr, Errno) {
	f, e := k.files.get(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	mode, off, n := uint32(a.a1), int64(a.a2), int64(a.a3)
	switch {
	case off < 0 || n <= 0:
		return 0, syscall.EINVAL
	case mode&^(vfs.KeepSize|vfs.PunchHole) != 0 || mode == vfs.PunchHole:
		return 0, syscall.EOPNOTSUPP
	case !f.writable():
		return 0, syscall.EBADF
	case f.node == nil:
		if _, ok := f.ops.(*sockFile); ok {
			return 0, syscall.ENODEV
		}
		return 0, syscall.ESPIPE
	}
	return 0, f.node.Allocate(mode, off, n)
}

// statfsBuf is struct statfs.
type statfsBuf struct {
	magic, bsize           int64
	blocks, bfree, bavail  uint64
	files, ffree, fsid     uint64
	namelen, frsize, flags int64
	_                      [4]int64
}

func (k *Kernel) putStatfs(i *vfs.Inode, addr uintptr) (uintptr, Errno) {
	s := i.Statfs()
	return 0, copyTo(k, addr, statfsBuf{
		magic: s.Magic, bsize: pageSize, blocks: s.Blocks, bfree: s.Free, bavail: s.Free, files: s.Files, ffree: s.Unnamed,
		fsid: s.Dev, namelen: vfs.NameMax, frsize: pageSize,
		flags: 0x20 | 0x400, // ST_VALID, ST_NOATIME
	})
}

func sysStatfs(k *Kernel, a args) (uintptr, Errno) {
	i, e := k.inode(atCwd, a.a0, true, 0)
	if e != 0 {
		return 0, e
	}
	return k.putStatfs(i, a.a1)
}

func sysFstatfs(k *Kernel, a args) (uintptr, Errno) {
	f, e := k.files.get(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	if f.node == nil {
		return 0, syscall.ENOSYS // pipefs and sockfs are not shown
	}
	return k.putStatfs(f.node, a.a1)
}

// sysFlock: one process has nobody to lock out.
func sysFlock(k *Kernel, a args) (uintptr, Errno) {
	const sh, ex, nb, un = 1, 2, 4, 8
	if op := uint32(a.a1) &^ nb; op != sh && op != ex && op != un {
		return 0, syscall.EINVAL
	}
	return k.ofFile(a.a0, func(*vfs.Inode) Errno { return 0 })
}

// sysFadvise64: everything is in memory, so no advice helps.
func sysFadvise64(k *Kernel, a args) (uintptr, Errno) {
	f, e := k.files.get(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	switch {
	case f.node == nil:
		return 0, syscall.ESPIPE
	case uint32(a.a3) > 5 || int64(a.a2) < 0:
		return 0, syscall.EINVAL
	}
	return 0, 0
}

// sysXattr: no file system here keeps attributes.
func sysXattr(*Kernel, args) (uintptr, Errno) { return 0, syscall.EOPNOTSUPP }
