package vfs

import (
	"strings"
	"syscall"
)

// Changes of names (Linux: fs/namei.c). Checks come in Linux's order, since
// the first that fails is the error.

// mayCreate is the error of making a name in d (Linux: may_create, and the
// directory's own inode_operations).
func (d *Inode) mayCreate(atGenerated Errno) Errno {
	switch {
	case d.node != nil && d.mnt.AtCreate == syscall.ENOENT:
		return syscall.ENOENT // the lookup fails already
	case d.node != nil:
		return atGenerated
	case d.dead:
		return syscall.ENOENT
	}
	return 0
}

// newName is filename_create: the place for something new.
func (fs *FS) newName(at *Inode, path string, dir bool) (walked, Errno) {
	w, e := fs.walk(at, path, walkParent)
	switch {
	case e != 0:
		return w, e
	case w.last != lastNorm || w.i != nil:
		return w, syscall.EEXIST
	case w.slash && !dir:
		return w, syscall.ENOENT
	}
	return w, 0
}

// newPlace is newName where something may be made.
func (fs *FS) newPlace(at *Inode, path string, dir bool) (walked, Errno) {
	w, e := fs.newName(at, path, dir)
	if e == 0 {
		e = w.dir.mayCreate(syscall.EPERM)
	}
	return w, e
}

// enter puts i into d under name. fs.mu is held.
func (d *Inode) enter(name string, i *Inode) {
	// The path may be a slice of something long.
	en := &entry{name: strings.Clone(name), i: i, pos: d.nextPos}
	d.nextPos++
	if d.names == nil {
		d.names = make(map[string]*entry)
	}
	d.names[en.name] = en
	d.order = append(d.order, en)
	if i.isDir() {
		i.parent, i.name = d, en.name
		d.nlink++
	}
	d.touch(false, true, true)
}

// leave takes a name out of d.
func (d *Inode) leave(name string) {
	en := d.names[name]
	delete(d.names, name)
	en.gone = true
	if en.i.isDir() {
		d.nlink--
	}
	if d.dropped++; d.dropped > len(d.order)/2 {
		keep := make([]*entry, 0, len(d.names))
		for _, en := range d.order {
			if !en.gone {
				keep = append(keep, en)
			}
		}
		d.order, d.dropped = keep, 0
	}
	d.touch(false, true, true)
}

// create makes an inode in d. Directories that are set-gid pass their group on
// (Linux: inode_init_owner).
func (fs *FS) create(d *Inode, name string, mode uint32) (*Inode, Errno) {
	if fs.inodes >= fs.cfg.MaxInodes {
		return nil, syscall.ENOSPC
	}
	i := fs.newInode(d.mnt, mode)
	if d.mode&syscall.S_ISGID != 0 {
		i.gid = d.gid
		if i.isDir() {
			i.mode |= syscall.S_ISGID
		}
	}
	if i.isDir() {
		i.nlink = 2
	}
	d.enter(name, i)
	return i, 0
}

// Mkdir makes a directory with the permissions perm, which have been through
// the umask.
func (fs *FS) Mkdir(at *Inode, path string, perm uint32) Errno {
	_, e := fs.make(at, path, syscall.S_IFDIR|perm&0o1777, 0)
	return e
}

// Mknod makes a regular file or a device node; mode holds its type.
func (fs *FS) Mknod(at *Inode, path string, mode uint32, rdev uint64) Errno {
	_, e := fs.make(at, path, mode, rdev)
	return e
}

func (fs *FS) make(at *Inode, path string, mode uint32, rdev uint64) (*Inode, Errno) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	w, e := fs.newPlace(at, path, mode&syscall.S_IFMT == syscall.S_IFDIR)
	if e != 0 {
		return nil, e
	}
	i, e := fs.create(w.dir, w.name, mode)
	if e == 0 {
		i.rdev = rdev
	}
	return i, e
}

// Symlink makes a symbolic link with the text target.
func (fs *FS) Symlink(target string, at *Inode, path string) Errno {
	if target == "" {
		return syscall.ENOENT
	}
	if len(target) >= PathMax {
		return syscall.ENAMETOOLONG
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	w, e := fs.newPlace(at, path, false)
	if e != 0 {
		return e
	}
	pages := linkPages(target)
	if e := fs.charge(pages); e != 0 {
		return e
	}
	i, e := fs.create(w.dir, w.name, syscall.S_IFLNK|0o777)
	if e != 0 {
		fs.uncharge(pages)
		return e
	}
	i.target = strings.Clone(target)
	return 0
}

// Link gives an inode one more name. A hard link costs an inode, as in tmpfs.
func (fs *FS) Link(old *Inode, at *Inode, path string) Errno {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	w, e := fs.newName(at, path, false)
	switch {
	case e != 0:
		return e
	case w.dir.node != nil && w.dir.mnt.AtCreate == syscall.ENOENT:
		return syscall.ENOENT
	case w.dir.mnt != old.mnt:
		return syscall.EXDEV
	case w.dir.dead:
		return syscall.ENOENT
	case old.isDir() || w.dir.node != nil:
		return syscall.EPERM
	case old.nlink == 0:
		return syscall.ENOENT
	case fs.inodes >= fs.cfg.MaxInodes:
		return syscall.ENOSPC
	}
	fs.inodes++
	old.nlink++
	w.dir.enter(w.name, old)
	old.touch(false, false, true)
	return 0
}

// drop takes away a name and what hung on it alone.
func (d *Inode) drop(name string) {
	i := d.names[name].i
	d.leave(name)
	if i.isDir() {
		i.nlink, i.dead = 0, true
	} else {
		if i.nlink--; i.nlink > 0 {
			i.fs.inodes--
		}
	}
	i.touch(false, false, true)
	i.reap()
}

// Unlink removes a name that is not a directory's.
func (fs *FS) Unlink(at *Inode, path string) Errno {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	w, e := fs.walk(at, path, walkParent)
	switch {
	case e != 0:
		return e
	case w.last != lastNorm:
		return syscall.EISDIR
	case w.i == nil:
		return syscall.ENOENT
	case w.slash && !w.i.isDir():
		return syscall.ENOTDIR
	case w.slash:
		return syscall.EISDIR
	case w.dir.node != nil && !w.i.isDir():
		return syscall.EPERM
	case w.i.isDir():
		return syscall.EISDIR
	case w.below != nil:
		return syscall.EBUSY
	}
	w.dir.drop(w.name)
	return 0
}

// Rmdir removes an empty directory.
func (fs *FS) Rmdir(at *Inode, path string) Errno {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	w, e := fs.walk(at, path, walkParent)
	switch {
	case e != 0:
		return e
	case w.last == lastDotDot:
		return syscall.ENOTEMPTY
	case w.last == lastDot:
		return syscall.EINVAL
	case w.last == lastRoot:
		return syscall.EBUSY
	case w.i == nil:
		return syscall.ENOENT
	case !w.i.isDir():
		return syscall.ENOTDIR
	case w.i.mountRoot:
		return syscall.EBUSY
	case w.dir.node != nil:
		return syscall.EPERM
	case len(w.i.names) != 0:
		return syscall.ENOTEMPTY
	}
	w.dir.drop(w.name)
	return 0
}

// Flags of Rename (Linux: RENAME_*).
const (
	RenameNoreplace = 1
	RenameExchange  = 2
)

// contains reports whether d is i or above it.
func (d *Inode) contains(i *Inode) bool {
	for ; ; i = i.parent {
		if i == d {
			return true
		}
		if i.parent == nil || i.parent == i {
			return false
		}
	}
}

// Rename moves a name (Linux: do_renameat2, vfs_rename).
func (fs *FS) Rename(oldAt *Inode, oldPath string, newAt *Inode, newPath string, flags uint32) Errno {
	if flags&^(RenameNoreplace|RenameExchange) != 0 || flags == RenameNoreplace|RenameExchange {
		return syscall.EINVAL
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	o, e := fs.walk(oldAt, oldPath, walkParent)
	if e != 0 {
		return e
	}
	n, e := fs.walk(newAt, newPath, walkParent)
	if e != 0 {
		return e
	}
	exchange := flags == RenameExchange
	switch {
	case o.dir.mnt != n.dir.mnt && o.last == lastNorm && n.last == lastNorm:
		return syscall.EXDEV
	case o.last != lastNorm:
		return syscall.EBUSY
	case n.last != lastNorm && flags == RenameNoreplace:
		return syscall.EEXIST
	case n.last != lastNorm:
		return syscall.EBUSY
	case o.i == nil:
		return syscall.ENOENT
	case n.i != nil && flags == RenameNoreplace:
		return syscall.EEXIST
	case n.i == nil && exchange:
		return syscall.ENOENT
	case exchange && n.slash && !n.i.isDir():
		return syscall.ENOTDIR
	case !o.i.isDir() && (o.slash || !exchange && n.slash):
		return syscall.ENOTDIR
	case o.i.isDir() && o.dir != n.dir && o.i.contains(n.dir):
		return syscall.EINVAL
	case n.i != nil && n.i.isDir() && o.dir != n.dir && n.i.contains(o.dir):
		if exchange {
			return syscall.EINVAL
		}
		return syscall.ENOTEMPTY
	case o.dir.node != nil || n.dir.node != nil:
		return syscall.EPERM
	case o.i == n.i:
		return 0
	case n.dir.dead:
		return syscall.ENOENT
	case n.i != nil && !exchange && o.i.isDir() && !n.i.isDir():
		return syscall.ENOTDIR
	case n.i != nil && !exchange && !o.i.isDir() && n.i.isDir():
		return syscall.EISDIR
	case o.i.mountRoot || o.below != nil || n.below != nil || n.i != nil && n.i.mountRoot:
		return syscall.EBUSY
	case n.i != nil && !exchange && len(n.i.names) != 0:
		return syscall.ENOTEMPTY
	}
	o.dir.leave(o.name)
	if exchange {
		n.dir.leave(n.name)
		o.dir.enter(o.name, n.i)
		n.i.touch(false, false, true)
	} else if n.i != nil {
		n.dir.drop(n.name)
	}
	n.dir.enter(n.name, o.i)
	o.i.touch(false, false, true)
	return 0
}

// firstPos is where the entries of a directory begin: "." and ".." stand
// before them.
const firstPos = 2

// Dirent is one entry of a directory.
type Dirent struct {
	Name string
	Ino  uint64
	Kind uint32 // S_IFREG and so on
	Next int64  // where the one after it is looked for
}

// ReadDir calls emit for the entries of a directory from the position pos on,
// until it returns false (Linux: dcache_readdir). ENOENT for a directory that
// was removed.
func (d *Inode) ReadDir(pos int64, emit func(Dirent) bool) Errno {
	if !d.isDir() {
		return syscall.ENOTDIR
	}
	d.fs.mu.RLock()
	defer d.fs.mu.RUnlock()
	if d.dead {
		return syscall.ENOENT
	}
	for p, up := range [...]*Inode{d, d.parent} {
		if pos == int64(p) {
			if pos++; !emit(Dirent{Name: "..."[:p+1], Ino: up.num, Kind: syscall.S_IFDIR, Next: pos}) {
				return 0
			}
		}
	}
	if d.node != nil {
		// Generated lists are short and sorted: the position is the index.
		for k, name := range d.node.Dir.Names() {
			if int64(k) < pos-firstPos {
				continue
			}
			if i := d.child(name); i != nil && !emit(Dirent{Name: name, Ino: i.num, Kind: i.kind(), Next: int64(k) + firstPos + 1}) {
				return 0
			}
		}
		return 0
	}
	for _, en := range d.order {
		if en.gone || en.pos < pos {
			continue
		}
		if !emit(Dirent{Name: en.name, Ino: en.i.num, Kind: en.i.kind(), Next: en.pos + 1}) {
			return 0
		}
	}
	return 0
}
