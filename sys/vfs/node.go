package vfs

import (
	"sort"
	"sync"
	"syscall"
)

// Node describes an entry of a generated file system. What it is follows from
// the field that is set: Dir a directory, Target a symbolic link, otherwise a
// file.
type Node struct {
	// Mode is the permission bits; 0 means 0444, or 0644 with Write, 0555 for a
	// directory and 0777 for a link.
	Mode uint32
	// Text appends the contents to b. It is called by the first read and by
	// each read from the start, its error is the read's.
	Text func(b []byte) ([]byte, Errno)
	// Write takes what one call wrote.
	Write func(p []byte) Errno
	// Target returns the text of a link.
	Target func() string
	// Jump, for a link, returns what it leads to, whatever the text says
	// (Linux: nd_jump_link). Its error is the walk's.
	Jump func() (*Inode, Errno)
	// AtOpenWrite, if not 0, takes the place of the Mount's.
	AtOpenWrite Errno
	// Dir is the contents of a directory.
	Dir Dir
	// Priv is the owner's own.
	Priv any
}

// Dir is the contents of a generated directory. It is asked with the file
// system locked and must not use it.
type Dir interface {
	// Lookup returns the entry of that name.
	Lookup(name string) (Node, bool)
	// Names returns all names.
	Names() []string
}

// Tree is a directory with fixed entries.
type Tree map[string]Node

// Lookup implements Dir.
func (t Tree) Lookup(name string) (Node, bool) {
	n, ok := t[name]
	return n, ok
}

// Names implements Dir; they are sorted.
func (t Tree) Names() []string {
	l := make([]string, 0, len(t))
	for name := range t {
		l = append(l, name)
	}
	sort.Strings(l)
	return l
}

// Lazy is a directory whose contents are made when it is first looked into.
func Lazy(dir func() Dir) Dir { return lazyDir{sync.OnceValue(dir)} }

type lazyDir struct{ dir func() Dir }

// Lookup implements Dir.
func (l lazyDir) Lookup(name string) (Node, bool) { return l.dir().Lookup(name) }

// Names implements Dir.
func (l lazyDir) Names() []string { return l.dir().Names() }

// Text makes the Text of a file whose contents are at hand.
func Text(f func() string) func([]byte) ([]byte, Errno) {
	return func(b []byte) ([]byte, Errno) { return append(b, f()...), 0 }
}

// size is st_size: 0 in procfs, a page for attributes of sysfs.
func (n *Node) size(m *Mount) int64 {
	if m.Magic == SysfsMagic && n.Dir == nil && n.Target == nil {
		return PageSize
	}
	return 0
}

func (n *Node) mode() uint32 {
	kind, perm := uint32(syscall.S_IFREG), uint32(0o444)
	switch {
	case n.Dir != nil:
		kind, perm = syscall.S_IFDIR, 0o555
	case n.Target != nil:
		kind, perm = syscall.S_IFLNK, 0o777
	case n.Write != nil:
		perm = 0o644
	}
	if n.Mode != 0 {
		perm = n.Mode
	}
	return kind | perm
}

// generate makes the inode of node under name in the generated directory d.
// Its number depends on its place alone, so that it is the same every time.
func (d *Inode) generate(name string, n Node) *Inode {
	i := &Inode{fs: d.fs, mnt: d.mnt, node: &n, mode: n.mode(), nlink: 1, parent: d, name: name}
	if i.isDir() {
		i.nlink = 2
	}
	h := d.num*1099511628211 ^ 14695981039346656037
	for k := 0; k < len(name); k++ {
		h = (h ^ uint64(name[k])) * 1099511628211
	}
	i.num = h>>16 | 1
	i.touch(true, true, true)
	return i
}
