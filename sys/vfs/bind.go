package vfs

import "syscall"

// Special makes a generated file that stands in no directory: what a link with
// a Jump leads to.
func (fs *FS) Special(m *Mount, num uint64, n Node) *Inode {
	i := &Inode{fs: fs, mnt: m, num: num, node: &n, mode: n.mode(), nlink: 1}
	i.touch(true, true, true)
	return i
}

// Bind puts target in the place of the file at path, so that walks come to it
// (Linux: mount with MS_BIND). ENOTDIR when one of them is a directory, EBUSY
// when something is mounted there already, EINVAL for a generated place.
func (fs *FS) Bind(at *Inode, path string, target *Inode) Errno {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	i, e := fs.find(at, path, true)
	switch {
	case e != 0:
		return e
	case i.isDir() || target.isDir():
		return syscall.ENOTDIR
	}
	w, e := fs.walk(at, path, walkFollow)
	switch {
	case e != 0:
		return e
	case w.below != nil:
		return syscall.EBUSY
	case i.node != nil:
		return syscall.EINVAL
	}
	i.over = target
	return 0
}

// Unbind takes away what Bind put there and returns it; EINVAL when nothing
// was.
func (fs *FS) Unbind(at *Inode, path string) (*Inode, Errno) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	w, e := fs.walk(at, path, walkFollow)
	switch {
	case e != 0:
		return nil, e
	case w.i == nil:
		return nil, syscall.ENOENT
	case w.below == nil:
		return nil, syscall.EINVAL
	}
	target := w.below.over
	w.below.over = nil
	return target, 0
}
