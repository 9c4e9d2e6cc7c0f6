package vfs

import (
	"strings"
	"syscall"
)

// Time is a time stamp since 1970 UTC.
type Time struct{ Sec, Nsec int64 }

// Inode is a file, directory, link or device (Linux: struct inode, and the
// dentry of a directory).
type Inode struct {
	fs   *FS
	mnt  *Mount
	num  uint64
	rdev uint64
	node *Node // of a generated inode

	// The rest is guarded by fs.mu.

	mode, uid, gid      uint32
	nlink               uint32
	opens               int
	atime, mtime, ctime Time

	// Of a regular file, see data.go.
	size  int64
	base  []byte // initial contents, never written
	pages map[int64]*[PageSize]byte

	// Of a symbolic link.
	target string

	// Of a directory. parent and name lead back to the root; a directory has
	// one name. Generated inodes of any kind have them.
	parent    *Inode
	name      string
	names     map[string]*entry
	order     []*entry // by pos
	dropped   int      // entries of order that are gone
	nextPos   int64
	mountRoot bool
	dead      bool // removed (Linux: S_DEAD)

	over *Inode // what is mounted in this file's place

	sealed bool // may not be opened
	reaped bool // taken off the count of inodes
}

// entry is a name in a directory. pos is its place for readdir and never given
// twice, so that a reader misses nothing that stays while others go.
type entry struct {
	name string
	i    *Inode
	pos  int64
	gone bool
}

// newInode makes an inode of the tree with one link and counts it. fs.mu is
// held, except by New.
func (fs *FS) newInode(m *Mount, mode uint32) *Inode {
	fs.ino++
	fs.inodes++
	i := &Inode{fs: fs, mnt: m, num: fs.ino, mode: mode, nlink: 1, nextPos: firstPos}
	i.touch(true, true, true)
	return i
}

// touch sets time stamps to now.
func (i *Inode) touch(a, m, c bool) {
	s, ns := i.fs.cfg.Now()
	t := Time{s, ns}
	if a {
		i.atime = t
	}
	if m {
		i.mtime = t
	}
	if c {
		i.ctime = t
	}
}

func (i *Inode) kind() uint32    { return i.mode & syscall.S_IFMT }
func (i *Inode) isDir() bool     { return i.kind() == syscall.S_IFDIR }
func (i *Inode) isRegular() bool { return i.kind() == syscall.S_IFREG }
func (i *Inode) isLink() bool    { return i.kind() == syscall.S_IFLNK }

// Kind returns the file type, S_IFREG and so on. It never changes.
func (i *Inode) Kind() uint32 { return i.kind() }

// Rdev returns the number of a device node.
func (i *Inode) Rdev() uint64 { return i.rdev }

// Node returns what a generated inode was made of, nil for one of the tree.
func (i *Inode) Node() *Node { return i.node }

// IsMountRoot reports whether the inode is the root of a file system.
func (i *Inode) IsMountRoot() bool { return i.mountRoot }

// FS returns the file system of the inode.
func (i *Inode) FS() *FS { return i.fs }

// Stat is what stat tells (Linux: struct kstat).
type Stat struct {
	Dev, Ino, Rdev      uint64
	Mode, Nlink         uint32
	UID, GID            uint32
	Size, Blocks        int64 // bytes, and units of 512
	Atime, Mtime, Ctime Time
}

// Stat returns the attributes.
func (i *Inode) Stat() Stat {
	i.fs.mu.RLock()
	defer i.fs.mu.RUnlock()
	s := Stat{
		Dev: i.mnt.Dev, Ino: i.num, Rdev: i.rdev, Mode: i.mode, Nlink: i.nlink, UID: i.uid, GID: i.gid,
		Size: i.size, Atime: i.atime, Mtime: i.mtime, Ctime: i.ctime,
	}
	if i.node != nil {
		s.Size = i.node.size(i.mnt)
		return s
	}
	switch i.kind() {
	case syscall.S_IFREG:
		s.Blocks = int64(i.resident()) * (PageSize / 512)
	case syscall.S_IFLNK:
		s.Size = int64(len(i.target))
	case syscall.S_IFDIR:
		s.Size = int64(len(i.names)+2) * 20 // Linux: BOGO_DIRENT_SIZE
	}
	return s
}

// Readlink returns where a symbolic link points to; EINVAL for anything else.
func (i *Inode) Readlink() (string, Errno) {
	if !i.isLink() {
		return "", syscall.EINVAL
	}
	if i.node != nil {
		return i.node.Target(), 0
	}
	return i.target, 0
}

// Path returns the absolute path of a directory; ENOENT when it was removed
// (Linux: d_path).
func (i *Inode) Path() (string, Errno) {
	i.fs.mu.RLock()
	defer i.fs.mu.RUnlock()
	var parts []string
	for d := i; d != i.fs.root; d = d.parent {
		if d.dead || d.parent == nil {
			return "", syscall.ENOENT
		}
		parts = append(parts, d.name)
	}
	var b strings.Builder
	for n := len(parts) - 1; n >= 0; n-- {
		b.WriteByte('/')
		b.WriteString(parts[n])
	}
	if b.Len() == 0 {
		return "/", 0
	}
	return b.String(), 0
}

// changeable is EPERM for attributes of what is generated.
func (i *Inode) changeable() Errno {
	if i.node != nil {
		return syscall.EPERM
	}
	return 0
}

// Chmod sets the permission bits; EOPNOTSUPP for a symbolic link.
func (i *Inode) Chmod(mode uint32) Errno {
	if e := i.changeable(); e != 0 {
		return e
	}
	if i.isLink() {
		return syscall.EOPNOTSUPP
	}
	i.fs.mu.Lock()
	defer i.fs.mu.Unlock()
	i.mode = i.kind() | mode&0o7777
	i.touch(false, false, true)
	return 0
}

// Chown sets the owner and the group; ^uint32(0) leaves one alone. The set-id
// bits of anything but a directory go, as for every caller in Linux.
func (i *Inode) Chown(uid, gid uint32) Errno {
	if e := i.changeable(); e != 0 {
		return e
	}
	i.fs.mu.Lock()
	defer i.fs.mu.Unlock()
	if uid != ^uint32(0) {
		i.uid = uid
	}
	if gid != ^uint32(0) {
		i.gid = gid
	}
	if !i.isDir() {
		i.mode &^= syscall.S_ISUID
		if i.mode&syscall.S_IXGRP != 0 {
			i.mode &^= syscall.S_ISGID
		}
	}
	i.touch(false, false, true)
	return 0
}

// SetTimes sets the times of access and change; nil leaves one alone.
func (i *Inode) SetTimes(atime, mtime *Time) Errno {
	if e := i.changeable(); e != 0 {
		return e
	}
	i.fs.mu.Lock()
	defer i.fs.mu.Unlock()
	if atime != nil {
		i.atime = *atime
	}
	if mtime != nil {
		i.mtime = *mtime
	}
	i.touch(false, false, true)
	return 0
}

// Now returns the file system's time.
func (fs *FS) Now() Time {
	s, ns := fs.cfg.Now()
	return Time{s, ns}
}

// Hold keeps an inode whose last name may go, Release ends that: what has
// neither name nor holder gives its memory back (Linux: iget, iput).
func (i *Inode) Hold() {
	i.fs.mu.Lock()
	i.opens++
	i.fs.mu.Unlock()
}

// Release drops what Hold or Open took.
func (i *Inode) Release() {
	i.fs.mu.Lock()
	i.opens--
	i.reap()
	i.fs.mu.Unlock()
}

// reap takes an inode without names and openers off the accounts. fs.mu is
// held.
func (i *Inode) reap() {
	if i.opens != 0 || i.nlink != 0 || i.node != nil {
		return
	}
	switch i.kind() {
	case syscall.S_IFREG:
		i.fs.uncharge(int64(len(i.pages)))
		i.pages, i.base, i.size = nil, nil, 0
	case syscall.S_IFLNK:
		i.fs.uncharge(linkPages(i.target))
		i.target = ""
	}
	if !i.reaped { // who found it before its name went may hold it once more
		i.reaped = true
		i.fs.inodes--
	}
}

// linkPages is what the text of a symbolic link costs (Linux: shmem_symlink,
// SHORT_SYMLINK_LEN).
func linkPages(target string) int64 {
	if len(target) < 128 {
		return 0
	}
	return 1
}
