// Package vfs is the file system of the image: a tree in memory whose errors
// are Linux's (fs/namei.c, mm/shmem.c), with parts that are made up when they
// are looked at (procfs, sysfs).
//
// # Two kinds of inode
//
// Inodes of the tree are what programs and the initramfs made: directories,
// files, symbolic links, device nodes. They live until the last name and the
// last opener are gone. Generated inodes stand for a [Node]: they are made by
// each lookup, and two of the same place compare equal by device and number,
// not by address.
//
// # Bounds
//
// Written bytes are counted by page and inodes by number, against the limits
// of [Config]; beyond is ENOSPC. Names have NameMax bytes, paths PathMax, a
// walk follows MaxSymlinks links. What an initramfs brought is not counted: it
// is in memory anyway, and files refer to it there until they are written.
//
// # Locks
//
// One lock guards the tree with everything in it, contents included. The
// functions of a Dir are called with it held and must not come back; Text and
// Write of a Node are called without.
package vfs

import (
	"sync"
	"syscall"
)

// Errno is the error of a call; 0 is success.
type Errno = syscall.Errno

// Bounds of names and walks, with Linux's values.
const (
	NameMax     = 255
	PathMax     = 4096 // with the NUL
	MaxSymlinks = 40
	MaxFileSize = 1<<63 - 1
	PageSize    = 4096
)

// Config says how large a file system may become.
type Config struct {
	// MaxBytes bounds what is written to files, counted by page.
	MaxBytes int64
	// MaxInodes bounds the inodes, hard links included (Linux: nr_inodes).
	MaxInodes int64
	// Now is the time of changes. Nil: always 0.
	Now func() (sec, nsec int64)
}

// Mount is one file system of the tree (Linux: struct super_block): names do
// not move between them (EXDEV).
type Mount struct {
	Dev   uint64 // st_dev
	Magic int64  // f_type of statfs
	// AtCreate is the error of making a name in a generated directory: ENOENT
	// in procfs, whose lookup fails first, EACCES in sysfs.
	AtCreate Errno
	// AtOpenWrite is the error of opening for writing a generated file without
	// a Write function; 0 lets the write fail instead, with EIO.
	AtOpenWrite Errno
}

// FS is a file system. All methods are safe for concurrent use.
type FS struct {
	cfg  Config
	root *Inode

	mu     sync.RWMutex
	bytes  int64 // of pages and long symlinks
	inodes int64
	ino    uint64 // last number given
}

// TmpfsMagic and others are f_type values (Linux: include/uapi/linux/magic.h).
const (
	TmpfsMagic = 0x01021994
	ProcMagic  = 0x9fa0
	SysfsMagic = 0x62656572
)

// New makes a file system with an empty root directory.
func New(cfg Config) *FS {
	if cfg.Now == nil {
		cfg.Now = func() (int64, int64) { return 0, 0 }
	}
	fs := &FS{cfg: cfg}
	fs.root = fs.newInode(&Mount{Dev: 1, Magic: TmpfsMagic}, syscall.S_IFDIR|0o755)
	fs.root.nlink = 2
	fs.root.parent = fs.root
	fs.root.mountRoot = true
	return fs
}

// Root returns the root directory.
func (fs *FS) Root() *Inode { return fs.root }

// Statfs is what statfs tells of the file system i belongs to.
type Statfs struct {
	Magic                        int64
	Dev                          uint64
	Blocks, Free, Files, Unnamed uint64 // pages and inodes: all and free
}

// Statfs returns the limits and what is left of them; a generated file system
// has none.
func (i *Inode) Statfs() Statfs {
	s := Statfs{Magic: i.mnt.Magic, Dev: i.mnt.Dev}
	if i.node == nil {
		fs := i.fs
		fs.mu.RLock()
		defer fs.mu.RUnlock()
		s.Blocks = uint64(fs.cfg.MaxBytes / PageSize)
		s.Free = uint64(max(0, fs.cfg.MaxBytes-fs.bytes)) / PageSize
		s.Files = uint64(fs.cfg.MaxInodes)
		s.Unnamed = uint64(max(0, fs.cfg.MaxInodes-fs.inodes))
	}
	return s
}

// Mount makes the empty directory at path the root of a file system. A nil dir
// means that it is part of the tree, otherwise its contents are generated.
func (fs *FS) Mount(path string, m *Mount, dir Dir) Errno {
	i, e := fs.Lookup(nil, path, true)
	if e != 0 {
		return e
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	switch {
	case !i.isDir() || i.node != nil:
		return syscall.ENOTDIR
	case i.mountRoot || len(i.names) != 0:
		return syscall.EBUSY
	}
	i.mnt, i.mountRoot = m, true
	if dir != nil {
		i.node = &Node{Mode: 0o555, Dir: dir}
		i.mode = syscall.S_IFDIR | 0o555
	}
	return 0
}

// charge takes pages of memory from what is left (Linux: shmem_inode_acct).
func (fs *FS) charge(pages int64) Errno {
	if pages > (fs.cfg.MaxBytes-fs.bytes)/PageSize {
		return syscall.ENOSPC
	}
	fs.bytes += pages * PageSize
	return 0
}

func (fs *FS) uncharge(pages int64) { fs.bytes -= pages * PageSize }

// Usage returns what is counted against the limits.
func (fs *FS) Usage() (bytes, inodes int64) {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	return fs.bytes, fs.inodes
}
