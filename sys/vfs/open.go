package vfs

import "syscall"

// Open resolves a path for open(2) with its flags, creates the file with the
// permissions perm where O_CREAT says so, truncates it, and holds it: the
// caller ends with Release (Linux: do_filp_open). Flags that do not concern
// the path are ignored.
func (fs *FS) Open(at *Inode, path string, flags, perm uint32) (*Inode, Errno) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	i, e := fs.open(at, path, flags, perm)
	if e == 0 {
		i.opens++
	}
	return i, e
}

const oPath = 0x200000

func (fs *FS) open(at *Inode, path string, flags, perm uint32) (*Inode, Errno) {
	const excl = syscall.O_CREAT | syscall.O_EXCL
	creat := flags&syscall.O_CREAT != 0 && flags&oPath == 0
	nofollow := flags&syscall.O_NOFOLLOW != 0 || flags&excl == excl
	if creat && flags&syscall.O_DIRECTORY != 0 {
		return nil, syscall.EINVAL
	}
	how := walkFollow
	switch {
	case nofollow && creat:
		how = walkParent
	case nofollow:
		how = walkNofollow
	case creat:
		how = walkCreate
	}
	w, e := fs.walk(at, path, how)
	if e != 0 {
		return nil, e
	}
	if creat && w.slash && w.last == lastNorm {
		return nil, syscall.EISDIR
	}
	i := w.i
	if i == nil {
		if !creat {
			return nil, syscall.ENOENT
		}
		if e := w.dir.mayCreate(syscall.EACCES); e != 0 {
			return nil, e
		}
		return fs.create(w.dir, w.name, syscall.S_IFREG|perm&0o7777)
	}
	return i, fs.mayOpen(i, w.slash, flags, creat)
}

// mayOpen is do_open for what was there.
func (fs *FS) mayOpen(i *Inode, slash bool, flags uint32, creat bool) Errno {
	write := flags&syscall.O_ACCMODE != syscall.O_RDONLY
	switch {
	case creat && flags&syscall.O_EXCL != 0:
		return syscall.EEXIST
	case creat && i.isDir():
		return syscall.EISDIR
	case (slash || flags&syscall.O_DIRECTORY != 0) && !i.isDir():
		return syscall.ENOTDIR
	case flags&oPath != 0:
		return 0
	case i.isLink():
		return syscall.ELOOP
	case i.isDir() && (write || flags&syscall.O_TRUNC != 0):
		return syscall.EISDIR
	case i.sealed:
		return syscall.EACCES
	}
	if n := i.node; n != nil && write && n.Write == nil && i.isRegular() {
		if n.AtOpenWrite != 0 {
			return n.AtOpenWrite
		}
		if i.mnt.AtOpenWrite != 0 {
			return i.mnt.AtOpenWrite
		}
	}
	if flags&syscall.O_TRUNC != 0 && i.isRegular() && i.node == nil {
		i.truncate(0)
	}
	return 0
}

// Seal makes a file that can be looked at but not opened: EACCES.
func (i *Inode) Seal() { i.sealed = true }
