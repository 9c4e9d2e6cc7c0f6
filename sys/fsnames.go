package sys

import (
	"syscall"

	"barewire/sys/vfs"
)

// Calls that change names.

func sysMkdir(k *Kernel, a args) (uintptr, Errno) { return k.mkdir(atCwd, a.a0, a.a1) }

func sysMkdirat(k *Kernel, a args) (uintptr, Errno) { return k.mkdir(a.a0, a.a1, a.a2) }

func (k *Kernel) mkdir(dirfd, addr, mode uintptr) (uintptr, Errno) {
	at, s, e := k.at(dirfd, addr)
	if e != 0 {
		return 0, e
	}
	return 0, k.fs.Mkdir(at, s, uint32(mode)&^k.umask.Load())
}

func sysMknod(k *Kernel, a args) (uintptr, Errno) { return k.mknod(atCwd, a.a0, a.a1, a.a2) }

func sysMknodat(k *Kernel, a args) (uintptr, Errno) { return k.mknod(a.a0, a.a1, a.a2, a.a3) }

// mknod makes files and character devices. Named pipes and sockets, and disks,
// there are none of: EPERM, as on a file system that has none.
func (k *Kernel) mknod(dirfd, addr, mode, rdev uintptr) (uintptr, Errno) {
	m := uint32(mode)
	switch m & syscall.S_IFMT {
	case 0:
		m |= syscall.S_IFREG
		rdev = 0
	case syscall.S_IFREG:
		rdev = 0
	case syscall.S_IFCHR:
	case syscall.S_IFIFO, syscall.S_IFSOCK, syscall.S_IFBLK, syscall.S_IFDIR:
		return 0, syscall.EPERM
	default:
		return 0, syscall.EINVAL
	}
	at, s, e := k.at(dirfd, addr)
	if e != 0 {
		return 0, e
	}
	m = m&syscall.S_IFMT | m&0o7777&^k.umask.Load()
	return 0, k.fs.Mknod(at, s, m, uint64(uint32(rdev)))
}

func sysRmdir(k *Kernel, a args) (uintptr, Errno) { return k.unlink(atCwd, a.a0, atRemovedir) }

func sysUnlink(k *Kernel, a args) (uintptr, Errno) { return k.unlink(atCwd, a.a0, 0) }

func sysUnlinkat(k *Kernel, a args) (uintptr, Errno) { return k.unlink(a.a0, a.a1, uint32(a.a2)) }

func (k *Kernel) unlink(dirfd, addr uintptr, flags uint32) (uintptr, Errno) {
	if flags&^atRemovedir != 0 {
		return 0, syscall.EINVAL
	}
	at, s, e := k.at(dirfd, addr)
	if e != 0 {
		return 0, e
	}
	if flags != 0 {
		return 0, k.fs.Rmdir(at, s)
	}
	return 0, k.fs.Unlink(at, s)
}

func sysRename(k *Kernel, a args) (uintptr, Errno) { return k.rename(atCwd, a.a0, atCwd, a.a1, 0) }

func sysRenameat(k *Kernel, a args) (uintptr, Errno) { return k.rename(a.a0, a.a1, a.a2, a.a3, 0) }

func sysRenameat2(k *Kernel, a args) (uintptr, Errno) {
	return k.rename(a.a0, a.a1, a.a2, a.a3, uint32(a.a4))
}

func (k *Kernel) rename(oldfd, oldAddr, newfd, newAddr uintptr, flags uint32) (uintptr, Errno) {
	const known = vfs.RenameNoreplace | vfs.RenameExchange
	if flags&^known != 0 || flags == known {
		return 0, syscall.EINVAL
	}
	oldAt, o, e := k.at(oldfd, oldAddr)
	if e != 0 {
		return 0, e
	}
	newAt, n, e := k.at(newfd, newAddr)
	if e != 0 {
		return 0, e
	}
	return 0, k.fs.Rename(oldAt, o, newAt, n, flags)
}

func sysLink(k *Kernel, a args) (uintptr, Errno) { return k.link(atCwd, a.a0, atCwd, a.a1, 0) }

func sysLinkat(k *Kernel, a args) (uintptr, Errno) {
	return k.link(a.a0, a.a1, a.a2, a.a3, uint32(a.a4))
}

func (k *Kernel) link(oldfd, oldAddr, newfd, newAddr uintptr, flags uint32) (uintptr, Errno) {
	if flags&^(atSymlinkFollow|atEmptyPath) != 0 {
		return 0, syscall.EINVAL
	}
	i, e := k.inode(oldfd, oldAddr, flags&atSymlinkFollow != 0, flags)
	if e != 0 {
		return 0, e
	}
	at, s, e := k.at(newfd, newAddr)
	if e != 0 {
		return 0, e
	}
	return 0, k.fs.Link(i, at, s)
}

func sysSymlink(k *Kernel, a args) (uintptr, Errno) { return k.symlink(a.a0, atCwd, a.a1) }

func sysSymlinkat(k *Kernel, a args) (uintptr, Errno) { return k.symlink(a.a0, a.a1, a.a2) }

func (k *Kernel) symlink(target, dirfd, addr uintptr) (uintptr, Errno) {
	t, e := k.userString(target)
	if e != 0 {
		return 0, e
	}
	if t == "" {
		return 0, syscall.ENOENT
	}
	at, s, e := k.at(dirfd, addr)
	if e != 0 {
		return 0, e
	}
	return 0, k.fs.Symlink(t, at, s)
}
