package vfs

import (
	"strings"
	"syscall"
)

// lastKind is what the last component of a path is (Linux: enum LAST_*).
type lastKind uint8

const (
	lastNorm lastKind = iota
	lastDot
	lastDotDot
	lastRoot
)

// walked is where a walk ended.
type walked struct {
	dir   *Inode // what the last component stands in
	name  string
	i     *Inode // nil: there is none
	last  lastKind
	slash bool   // slashes followed the last component
	below *Inode // what i is mounted over
}

// How a walk treats the last component.
type walkMode uint8

const (
	walkFollow   walkMode = iota // a link is followed
	walkNofollow                 // ... unless slashes follow it
	walkParent                   // ... is not, whatever follows (Linux: LOOKUP_PARENT)
	walkCreate                   // followed; where it leads to need not exist
)

// walk resolves path from the directory at, nil being the root (Linux:
// path_lookupat, link_path_walk). A last component that does not exist is no
// error: i is nil. fs.mu is held.
func (fs *FS) walk(at *Inode, path string, how walkMode) (w walked, e Errno) {
	if path == "" {
		return w, syscall.ENOENT
	}
	if len(path) >= PathMax {
		return w, syscall.ENAMETOOLONG
	}
	cur := at
	if cur == nil {
		cur = fs.root
	}
	links := 0
	for {
		if path != "" && path[0] == '/' {
			cur = fs.root
			path = strings.TrimLeft(path, "/")
			if path == "" {
				return walked{dir: cur, i: cur, last: lastRoot}, 0
			}
		}
		if !cur.isDir() {
			return w, syscall.ENOTDIR
		}
		comp, rest, slash := strings.Cut(path, "/")
		rest = strings.TrimLeft(rest, "/")
		if len(comp) > NameMax {
			return w, syscall.ENAMETOOLONG
		}
		last := rest == ""
		w = walked{dir: cur, name: comp, slash: slash && last}
		switch comp {
		case ".":
			w.i, w.last = cur, lastDot
		case "..":
			w.i, w.last = cur.parent, lastDotDot
		default:
			w.i = cur.child(comp)
			if w.i != nil && w.i.over != nil {
				w.i, w.below = w.i.over, w.i
			}
		}
		if w.i == nil {
			if last {
				return w, 0
			}
			return w, syscall.ENOENT
		}
		follow := !last || how == walkFollow || how == walkCreate && !w.slash || how == walkNofollow && w.slash
		if !w.i.isLink() || !follow {
			if last {
				return w, 0
			}
			cur, path = w.i, rest
			continue
		}
		if links++; links > MaxSymlinks {
			return w, syscall.ELOOP
		}
		if n := w.i.node; n != nil && n.Jump != nil {
			j, e := n.Jump()
			if e != 0 {
				return w, e
			}
			if last {
				w.i = j
				return w, 0
			}
			cur, path = j, rest
			continue
		}
		target, _ := w.i.Readlink()
		if target == "" {
			return w, syscall.ENOENT
		}
		if w.slash {
			target += "/"
		}
		if !last {
			target += "/" + rest
		}
		path = target
	}
}

// child looks up a name in a directory; nil if there is none.
func (d *Inode) child(name string) *Inode {
	if d.node == nil {
		if en := d.names[name]; en != nil {
			return en.i
		}
		return nil
	}
	n, ok := d.node.Dir.Lookup(name)
	if !ok {
		return nil
	}
	return d.generate(name, n)
}

// find is walk for what must exist.
func (fs *FS) find(at *Inode, path string, follow bool) (*Inode, Errno) {
	how := walkNofollow
	if follow {
		how = walkFollow
	}
	w, e := fs.walk(at, path, how)
	switch {
	case e != 0:
		return nil, e
	case w.i == nil:
		return nil, syscall.ENOENT
	case w.slash && !w.i.isDir():
		return nil, syscall.ENOTDIR
	}
	return w.i, 0
}

// Lookup returns what a path names, from the directory at (nil: the root).
// follow says whether a symbolic link in the last place is followed.
func (fs *FS) Lookup(at *Inode, path string, follow bool) (*Inode, Errno) {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	return fs.find(at, path, follow)
}
