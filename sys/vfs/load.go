package vfs

import (
	"strings"
	"syscall"
)

// MkdirAll makes a directory and those above it.
func (fs *FS) MkdirAll(path string, perm uint32) Errno {
	for k := 1; k <= len(path); k++ {
		if k < len(path) && path[k] != '/' {
			continue
		}
		if e := fs.Mkdir(nil, path[:k], perm); e != 0 && e != syscall.EEXIST {
			return e
		}
	}
	return 0
}

// Attr is what an initramfs says of an entry beside its contents.
type Attr struct {
	Mode     uint32 // with the file type
	UID, GID uint32
	Mtime    int64 // seconds since 1970
	Rdev     uint64
}

// Place makes or replaces an entry at an absolute path, with the directories
// above it. Data is the contents of a file, which the file keeps and never
// changes, or the text of a link. EINVAL for types there are none of here.
func (fs *FS) Place(path string, a Attr, data []byte) Errno {
	path = "/" + strings.Trim(path, "/")
	if dir := path[:strings.LastIndexByte(path, '/')]; dir != "" {
		if e := fs.MkdirAll(dir, 0o755); e != 0 {
			return e
		}
	}
	var e Errno
	switch a.Mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		if e = fs.Mkdir(nil, path, 0o755); e == syscall.EEXIST {
			e = 0
		}
	case syscall.S_IFREG, syscall.S_IFCHR:
		fs.Unlink(nil, path)
		e = fs.Mknod(nil, path, a.Mode&(syscall.S_IFMT|0o7777), a.Rdev)
	case syscall.S_IFLNK:
		fs.Unlink(nil, path)
		e = fs.Symlink(string(data), nil, path)
	default:
		return syscall.EINVAL
	}
	if e != 0 {
		return e
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	i, e := fs.find(nil, path, false)
	if e != 0 {
		return e
	}
	if i.node != nil {
		return syscall.EPERM
	}
	if i.kind() != a.Mode&syscall.S_IFMT {
		return syscall.EEXIST // a directory in the way of a file, or the other way
	}
	i.uid, i.gid = a.UID, a.GID
	i.mtime = Time{Sec: a.Mtime}
	if !i.isLink() {
		i.mode = i.kind() | a.Mode&0o7777
	}
	if i.isRegular() {
		i.base, i.size = data, int64(len(data))
	}
	return 0
}
