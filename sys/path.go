package sys

import (
	"path"
	"sort"
	"strings"
	"sync"
	"syscall"
	"unsafe"
)

// Paths: until there is a file system, the tree is the device nodes and the
// directories they stand in, fixed.

// node is one entry of the tree.
type node struct {
	mode   uint32
	major  uint64
	minor  uint64
	target string // of a symbolic link
}

const (
	charDev = syscall.S_IFCHR | 0o666
	dirMode = syscall.S_IFDIR | 0o755
)

// lookup returns what stands at an absolute, clean path.
func lookup(p string) (node, Errno) {
	switch p {
	case "/", "/dev", "/proc", "/proc/self":
		return node{mode: dirMode}, 0
	case "/dev/null":
		return node{mode: charDev, major: 1, minor: minorNull}, 0
	case "/dev/zero":
		return node{mode: charDev, major: 1, minor: minorZero}, 0
	case "/dev/full":
		return node{mode: charDev, major: 1, minor: minorFull}, 0
	case "/dev/random":
		return node{mode: charDev, major: 1, minor: minorRandom}, 0
	case "/dev/urandom":
		return node{mode: charDev, major: 1, minor: minorUrandom}, 0
	case "/dev/tty":
		return node{mode: charDev, major: 5, minor: 0}, 0
	case "/dev/console":
		return node{mode: charDev, major: 5, minor: 1}, 0
	case "/init":
		return node{mode: syscall.S_IFREG | 0o555}, 0
	case "/proc/self/exe":
		return node{mode: syscall.S_IFLNK | 0o777, target: "/init"}, 0
	}
	if parent := path.Dir(p); parent != "/" {
		if n, e := lookup(parent); e == 0 && n.mode&syscall.S_IFMT != syscall.S_IFDIR {
			return node{}, syscall.ENOTDIR
		}
	}
	return node{}, syscall.ENOENT
}

// children returns the names in a directory, sorted.
func children(dir string) []string {
	var l []string
	switch dir {
	case "/":
		l = []string{"dev", "init", "proc"}
	case "/dev":
		l = []string{"console", "full", "null", "random", "tty", "urandom", "zero"}
	case "/proc":
		l = []string{"self"}
	case "/proc/self":
		l = []string{"exe"}
	}
	sort.Strings(l)
	return l
}

const (
	atFdcwd           = -100
	atSymlinkNofollow = 0x100
	atEmptyPath       = 0x1000
)

// resolve reads a path and makes it absolute: from "/", or from a directory
// that was opened. follow resolves a link in the last place.
func (k *Kernel) resolve(dirfd, addr uintptr, follow bool) (string, node, Errno) {
	s, e := k.userString(addr)
	if e != 0 {
		return "", node{}, e
	}
	if s == "" {
		return "", node{}, syscall.ENOENT
	}
	if !strings.HasPrefix(s, "/") {
		k.mu.Lock()
		base := k.cwd
		k.mu.Unlock()
		if int32(dirfd) != atFdcwd {
			f, e := k.files.get(dirfd)
			if e != 0 {
				return "", node{}, e
			}
			d, ok := f.ops.(*dirFile)
			f.put()
			if !ok {
				return "", node{}, syscall.ENOTDIR
			}
			base = d.path
		}
		s = base + "/" + s
	}
	slash := strings.HasSuffix(s, "/")
	s = path.Clean(s)
	n, e := lookup(s)
	if e == 0 && n.target != "" && (follow || slash) {
		s = n.target
		n, e = lookup(s)
	}
	if e == 0 && slash && n.mode&syscall.S_IFMT != syscall.S_IFDIR {
		e = syscall.ENOTDIR
	}
	return s, n, e
}

func sysOpen(k *Kernel, a args) (uintptr, Errno) {
	return k.open(atCwd, a.a0, uint32(a.a1))
}

func sysOpenat(k *Kernel, a args) (uintptr, Errno) {
	return k.open(a.a0, a.a1, uint32(a.a2))
}

// atCwd is AT_FDCWD as an argument.
const atCwd = ^uintptr(99)

// open opens a path (Linux: do_sys_openat2). Creating a file is EROFS.
func (k *Kernel) open(dirfd, addr uintptr, flags uint32) (uintptr, Errno) {
	p, n, e := k.resolve(dirfd, addr, flags&syscall.O_NOFOLLOW == 0)
	if e == syscall.ENOENT && flags&syscall.O_CREAT != 0 && p != "" {
		if dir, de := lookup(path.Dir(p)); de == 0 && dir.mode&syscall.S_IFMT == syscall.S_IFDIR {
			return 0, syscall.EROFS
		}
	}
	if e != 0 {
		return 0, e
	}
	if flags&(syscall.O_CREAT|syscall.O_EXCL) == syscall.O_CREAT|syscall.O_EXCL {
		return 0, syscall.EEXIST
	}
	write := flags&syscall.O_ACCMODE != syscall.O_RDONLY
	var ops fileOps
	switch n.mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		if write || flags&syscall.O_CREAT != 0 {
			return 0, syscall.EISDIR
		}
		ops = &dirFile{path: p}
	case syscall.S_IFLNK:
		return 0, syscall.ELOOP
	case syscall.S_IFREG: // /init: the program is not kept as a file
		if write {
			return 0, syscall.EROFS
		}
		return 0, syscall.EACCES
	default:
		if flags&syscall.O_DIRECTORY != 0 {
			return 0, syscall.ENOTDIR
		}
		if n.major == 5 {
			ops = k.console.ops
		} else {
			ops = &memDevice{minor: n.minor}
		}
	}
	return k.installNew(k.newFile(ops, flags), flags&syscall.O_CLOEXEC != 0)
}

// dirFile is an open directory.
type dirFile struct {
	baseFile
	path string
	mu   sync.Mutex
	pos  int // entries read
}

func (*dirFile) read(*File, [][]byte) (int, Errno) { return 0, syscall.EISDIR }

func (d *dirFile) stat(_ *File, st *syscall.Stat_t) { st.Mode, st.Nlink = dirMode, 2 }

// sysGetdents64 lists a directory as struct linux_dirent64.
func sysGetdents64(k *Kernel, a args) (uintptr, Errno) {
	f, e := k.files.get(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	d, ok := f.ops.(*dirFile)
	if !ok {
		return 0, syscall.ENOTDIR
	}
	buf, e := k.userBytes(a.a1, uintptr(uint32(a.a2)))
	if e != 0 {
		return 0, e
	}
	names := append([]string{".", ".."}, children(d.path)...)
	n := 0
	d.mu.Lock() // the position is shared by all descriptors of the file
	defer d.mu.Unlock()
	for ; d.pos < len(names); d.pos++ {
		name := names[d.pos]
		size := (19 + len(name) + 1 + 7) &^ 7
		if n+size > len(buf) {
			if n == 0 {
				return 0, syscall.EINVAL
			}
			break
		}
		p := path.Join(d.path, name)
		nd, _ := lookup(p)
		ent := buf[n : n+size]
		clear(ent)
		*(*uint64)(unsafe.Pointer(&ent[0])) = inoOf(p)
		*(*uint64)(unsafe.Pointer(&ent[8])) = uint64(d.pos + 1)
		*(*uint16)(unsafe.Pointer(&ent[16])) = uint16(size)
		ent[18] = byte(nd.mode & syscall.S_IFMT >> 12)
		copy(ent[19:], name)
		n += size
	}
	return uintptr(n), 0
}

// inoOf gives a path of the fixed tree its inode number (FNV-1a).
func inoOf(p string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(p); i++ {
		h = (h ^ uint64(p[i])) * 1099511628211
	}
	return h>>16 | 1
}

func sysStat(k *Kernel, a args) (uintptr, Errno) { return k.fstatat(atCwd, a.a0, a.a1, 0) }

func sysLstat(k *Kernel, a args) (uintptr, Errno) {
	return k.fstatat(atCwd, a.a0, a.a1, atSymlinkNofollow)
}

func sysNewfstatat(k *Kernel, a args) (uintptr, Errno) {
	return k.fstatat(a.a0, a.a1, a.a2, uint32(a.a3))
}

func (k *Kernel) fstatat(dirfd, addr, out uintptr, flags uint32) (uintptr, Errno) {
	if flags&^(atSymlinkNofollow|atEmptyPath|0x800 /* AT_NO_AUTOMOUNT */) != 0 {
		return 0, syscall.EINVAL
	}
	if flags&atEmptyPath != 0 {
		if s, e := k.userString(addr); e == 0 && s == "" && int32(dirfd) != atFdcwd {
			return sysFstat(k, args{a0: dirfd, a1: out})
		}
	}
	p, n, e := k.resolve(dirfd, addr, flags&atSymlinkNofollow == 0)
	if e != 0 {
		return 0, e
	}
	st := syscall.Stat_t{Ino: inoOf(p), Nlink: 1, Mode: n.mode, Blksize: pageSize, Size: int64(len(n.target))}
	if n.mode&syscall.S_IFMT == syscall.S_IFCHR {
		st.Rdev = makedev(n.major, n.minor)
	}
	return 0, copyTo(k, out, st)
}

func sysReadlink(k *Kernel, a args) (uintptr, Errno) { return k.readlink(atCwd, a.a0, a.a1, a.a2) }

func sysReadlinkat(k *Kernel, a args) (uintptr, Errno) {
	return k.readlink(a.a0, a.a1, a.a2, a.a3)
}

func (k *Kernel) readlink(dirfd, addr, buf, size uintptr) (uintptr, Errno) {
	if int32(size) <= 0 {
		return 0, syscall.EINVAL
	}
	_, n, e := k.resolve(dirfd, addr, false)
	if e != 0 {
		return 0, e
	}
	if n.target == "" {
		return 0, syscall.EINVAL
	}
	t := n.target[:min(len(n.target), int(int32(size)))]
	return uintptr(len(t)), k.copyBytesTo(buf, []byte(t))
}

func sysAccess(k *Kernel, a args) (uintptr, Errno) { return k.access(atCwd, a.a0, a.a1) }

func sysFaccessat(k *Kernel, a args) (uintptr, Errno) { return k.access(a.a0, a.a1, a.a2) }

func (k *Kernel) access(dirfd, addr, mode uintptr) (uintptr, Errno) {
	const r, w, x = 4, 2, 1
	if mode&^(r|w|x) != 0 {
		return 0, syscall.EINVAL
	}
	_, n, e := k.resolve(dirfd, addr, true)
	if e != 0 {
		return 0, e
	}
	isDev := n.mode&syscall.S_IFMT == syscall.S_IFCHR
	if mode&w != 0 && !isDev {
		return 0, syscall.EROFS
	}
	if mode&x != 0 && isDev { // root needs one x bit
		return 0, syscall.EACCES
	}
	return 0, 0
}

// sysGetcwd returns the path and its length with the NUL.
func sysGetcwd(k *Kernel, a args) (uintptr, Errno) {
	k.mu.Lock()
	dir := k.cwd + "\x00"
	k.mu.Unlock()
	if a.a1 < uintptr(len(dir)) {
		return 0, syscall.ERANGE
	}
	return uintptr(len(dir)), k.copyBytesTo(a.a0, []byte(dir))
}

func sysChdir(k *Kernel, a args) (uintptr, Errno) {
	p, n, e := k.resolve(atCwd, a.a0, true)
	if e != 0 {
		return 0, e
	}
	if n.mode&syscall.S_IFMT != syscall.S_IFDIR {
		return 0, syscall.ENOTDIR
	}
	k.mu.Lock()
	k.cwd = p
	k.mu.Unlock()
	return 0, 0
}

func sysFchdir(k *Kernel, a args) (uintptr, Errno) {
	f, e := k.files.get(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	d, ok := f.ops.(*dirFile)
	if !ok {
		return 0, syscall.ENOTDIR
	}
	k.mu.Lock()
	k.cwd = d.path
	k.mu.Unlock()
	return 0, 0
}
