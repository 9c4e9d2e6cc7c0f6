package sys

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"syscall"
)

// nrOpenMax bounds a process's descriptors (Linux: sysctl fs.nr_open).
const nrOpenMax = 1024 * 1024

// fdTable is the descriptor table (Linux: struct files_struct). Lookups are
// lock-free against an array of slots; opening, closing and growing take the
// lock. An array that was outgrown is never written again, so a lookup checks
// that what it found is still in the current one.
type fdTable struct {
	slots atomic.Pointer[[]atomic.Pointer[File]]
	limit atomic.Int64 // RLIMIT_NOFILE, soft

	mu      sync.Mutex
	used    []uint64 // bit per descriptor
	cloexec []uint64
	hint    int // no word of used before this one has a free bit
}

func (t *fdTable) init(limit int) {
	s := make([]atomic.Pointer[File], 64)
	t.slots.Store(&s)
	t.used = make([]uint64, 1)
	t.cloexec = make([]uint64, 1)
	t.limit.Store(int64(limit))
}

// get returns the file of fd with a reference for the caller, or EBADF (Linux:
// fget). Descriptors are 32 bits at the ABI.
func (t *fdTable) get(fd uintptr) (*File, Errno) {
	n := uint32(fd)
	for {
		s := t.slots.Load()
		if n >= uint32(len(*s)) {
			return nil, syscall.EBADF
		}
		f := (*s)[n].Load()
		if f == nil {
			return nil, syscall.EBADF
		}
		if f.tryGet() {
			if cur := t.slots.Load(); (*cur)[n].Load() == f {
				return f, 0
			}
			f.put()
		}
	}
}

// getTwo is get for the calls that move bytes from one file to another.
func (t *fdTable) getTwo(a, b uintptr) (x, y *File, e Errno) {
	if x, e = t.get(a); e != 0 {
		return nil, nil, e
	}
	if y, e = t.get(b); e != 0 {
		x.put()
		return nil, nil, e
	}
	return x, y, 0
}

// install gives f, with the caller's reference, the lowest free descriptor that
// is at least min (Linux: get_unused_fd_flags, fd_install). On EMFILE the
// reference stays the caller's.
func (t *fdTable) install(f *File, min int, cloexec bool) (int, Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fd := t.lowestFree(min)
	if int64(fd) >= t.limit.Load() {
		return 0, syscall.EMFILE
	}
	t.put(fd, f, cloexec)
	return fd, 0
}

// hasRoom reports EMFILE early, for calls that check before they make the
// file.
func (t *fdTable) hasRoom() Errno {
	t.mu.Lock()
	defer t.mu.Unlock()
	if int64(t.lowestFree(0)) >= t.limit.Load() {
		return syscall.EMFILE
	}
	return 0
}

func (t *fdTable) lowestFree(min int) int {
	w := min / 64
	mask := uint64(1)<<(min%64) - 1 // below min counts as used
	if w < t.hint {
		w, mask = t.hint, 0
	}
	for ; w < len(t.used); w++ {
		if free := ^(t.used[w] | mask); free != 0 {
			if min == 0 {
				t.hint = w
			}
			return w*64 + bits.TrailingZeros64(free)
		}
		mask = 0
	}
	return max(min, len(t.used)*64)
}

// put stores f under fd, growing the table.
func (t *fdTable) put(fd int, f *File, cloexec bool) {
	s := t.slots.Load()
	if fd >= len(*s) {
		n := len(*s)
		for n <= fd {
			n *= 2
		}
		g := make([]atomic.Pointer[File], n)
		for i := range *s {
			g[i].Store((*s)[i].Load())
		}
		t.slots.Store(&g)
		s = &g
		t.used = append(t.used, make([]uint64, n/64-len(t.used))...)
		t.cloexec = append(t.cloexec, make([]uint64, n/64-len(t.cloexec))...)
	}
	t.used[fd/64] |= 1 << (fd % 64)
	t.cloexec[fd/64] &^= 1 << (fd % 64)
	if cloexec {
		t.cloexec[fd/64] |= 1 << (fd % 64)
	}
	(*s)[fd].Store(f)
}

// replace stores f under exactly fd and returns the file that was there, whose
// reference is now the caller's (Linux: do_dup2).
func (t *fdTable) replace(fd int, f *File, cloexec bool) (old *File) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.slots.Load(); fd < len(*s) {
		old = (*s)[fd].Load()
	}
	t.put(fd, f, cloexec)
	return old
}

// remove frees fd and returns its file, whose reference is now the caller's.
func (t *fdTable) remove(fd uintptr) (*File, Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := uint32(fd)
	s := t.slots.Load()
	if n >= uint32(len(*s)) {
		return nil, syscall.EBADF
	}
	f := (*s)[n].Load()
	if f == nil {
		return nil, syscall.EBADF
	}
	(*s)[n].Store(nil)
	t.used[n/64] &^= 1 << (n % 64)
	t.cloexec[n/64] &^= 1 << (n % 64)
	t.hint = min(t.hint, int(n/64))
	return f, 0
}

func (t *fdTable) setCloexec(fd uintptr, on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := uint32(fd)
	if n/64 >= uint32(len(t.cloexec)) {
		return
	}
	t.cloexec[n/64] &^= 1 << (n % 64)
	if on {
		t.cloexec[n/64] |= 1 << (n % 64)
	}
}

func (t *fdTable) isCloexec(fd uintptr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := uint32(fd)
	return n/64 < uint32(len(t.cloexec)) && t.cloexec[n/64]&(1<<(n%64)) != 0
}

// installNew is install for a file just made: it goes when there is no
// descriptor for it.
func (k *Kernel) installNew(f *File, cloexec bool) (uintptr, Errno) {
	fd, e := k.files.install(f, 0, cloexec)
	if e != 0 {
		f.put()
		return 0, e
	}
	return uintptr(fd), 0
}

func sysClose(k *Kernel, a args) (uintptr, Errno) {
	f, e := k.files.remove(a.a0)
	if e != 0 {
		return 0, e
	}
	f.forgetFD(a.a0)
	f.put()
	return 0, 0
}

// sysCloseRange closes first to last inclusive; the flags UNSHARE (no effect
// with one process) and CLOEXEC are known.
func sysCloseRange(k *Kernel, a args) (uintptr, Errno) {
	const unshare, cloexec = 2, 4
	first, last, flags := uint32(a.a0), uint32(a.a1), uint32(a.a2)
	if flags&^(unshare|cloexec) != 0 || first > last {
		return 0, syscall.EINVAL
	}
	if n := uint32(len(*k.files.slots.Load())); last >= n {
		last = n - 1
	}
	for fd := uintptr(first); fd <= uintptr(last); fd++ {
		if flags&cloexec != 0 {
			k.files.setCloexec(fd, true)
		} else {
			sysClose(k, args{a0: fd})
		}
	}
	return 0, 0
}

func sysDup(k *Kernel, a args) (uintptr, Errno) {
	f, e := k.files.get(a.a0)
	if e != 0 {
		return 0, e
	}
	return k.installNew(f, false)
}

func sysDup2(k *Kernel, a args) (uintptr, Errno) {
	if uint32(a.a0) == uint32(a.a1) {
		f, e := k.files.get(a.a0)
		if e != 0 {
			return 0, e
		}
		f.put()
		return a.a1, 0
	}
	return k.dup3(a.a0, a.a1, 0)
}

func sysDup3(k *Kernel, a args) (uintptr, Errno) {
	flags := uint32(a.a2)
	if flags&^syscall.O_CLOEXEC != 0 || uint32(a.a0) == uint32(a.a1) {
		return 0, syscall.EINVAL
	}
	return k.dup3(a.a0, a.a1, flags)
}

func (k *Kernel) dup3(old, new uintptr, flags uint32) (uintptr, Errno) {
	if int64(uint32(new)) >= k.files.limit.Load() {
		return 0, syscall.EBADF
	}
	f, e := k.files.get(old)
	if e != 0 {
		return 0, e
	}
	if prev := k.files.replace(int(uint32(new)), f, flags&syscall.O_CLOEXEC != 0); prev != nil {
		prev.forgetFD(new)
		prev.put()
	}
	return uintptr(uint32(new)), 0
}

// settable are the status flags F_SETFL changes (Linux: SETFL_MASK).
const settable = syscall.O_APPEND | syscall.O_NONBLOCK | syscall.O_NDELAY | syscall.O_DIRECT | 0x40000 /* O_NOATIME */

func sysFcntl(k *Kernel, a args) (uintptr, Errno) {
	f, e := k.files.get(a.a0)
	if e != 0 {
		return 0, e
	}
	defer f.put()
	switch uint32(a.a1) {
	case syscall.F_DUPFD, syscall.F_DUPFD_CLOEXEC:
		if int64(a.a2) < 0 || int64(a.a2) >= k.files.limit.Load() {
			return 0, syscall.EINVAL
		}
		f.refs.Add(1) // the descriptor's
		fd, e := k.files.install(f, int(a.a2), uint32(a.a1) == syscall.F_DUPFD_CLOEXEC)
		if e != 0 {
			f.put()
			return 0, e
		}
		return uintptr(fd), 0
	case syscall.F_GETFD:
		if k.files.isCloexec(a.a0) {
			return syscall.FD_CLOEXEC, 0
		}
		return 0, 0
	case syscall.F_SETFD:
		k.files.setCloexec(a.a0, a.a2&syscall.FD_CLOEXEC != 0)
		return 0, 0
	case syscall.F_GETFL:
		return uintptr(f.flags.Load()), 0
	case syscall.F_SETFL:
		for {
			old := f.flags.Load()
			if f.flags.CompareAndSwap(old, old&^settable|uint32(a.a2)&settable) {
				return 0, 0
			}
		}
	case syscall.F_SETLK, syscall.F_SETLKW, fOfdSetlk, fOfdSetlkw: // nobody else to keep out
		if f.node == nil {
			return 0, syscall.EINVAL
		}
		_, e := copyFrom[syscall.Flock_t](k, a.a2)
		return 0, e
	case syscall.F_GETLK, fOfdGetlk:
		l, e := copyFrom[syscall.Flock_t](k, a.a2)
		if e != 0 {
			return 0, e
		}
		l.Type = syscall.F_UNLCK
		return 0, copyTo(k, a.a2, l)
	case fGetPipeSize:
		if _, ok := f.ops.(*pipeEnd); ok {
			return pipeSize, 0
		}
		return 0, syscall.EBADF
	}
	return 0, syscall.EINVAL
}

const (
	fGetPipeSize = 1032
	fOfdGetlk    = 36
	fOfdSetlk    = 37
	fOfdSetlkw   = 38
)
