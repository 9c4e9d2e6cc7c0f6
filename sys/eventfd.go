package sys

import (
	"math"
	"sync"
	"syscall"
	"unsafe"
)

// eventfd is a counter as a file (Linux: fs/eventfd.c).
type eventfd struct {
	baseFile
	mu        sync.Mutex
	count     uint64
	semaphore bool
}

func (*eventfd) pollable() bool { return true }

func (v *eventfd) read(f *File, iov [][]byte) (int, Errno) {
	if iovLen(iov) < 8 {
		return 0, syscall.EINVAL
	}
	var c uint64
	_, e := f.k.block(f.wait, f.nonblock(), func() (int, Errno) {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.count == 0 {
			return 0, eagain
		}
		c = v.count
		if v.semaphore {
			c = 1
		}
		v.count -= c
		return 0, 0
	})
	if e != 0 {
		return 0, e
	}
	scatter(iov, (*[8]byte)(unsafe.Pointer(&c))[:])
	f.wait.wake(pollOut | pollWrNorm)
	return 8, 0
}

func (v *eventfd) write(f *File, iov [][]byte) (int, Errno) {
	if iovLen(iov) < 8 {
		return 0, syscall.EINVAL
	}
	var b [8]byte
	gather(b[:], iov)
	c := *(*uint64)(unsafe.Pointer(&b))
	if c == math.MaxUint64 {
		return 0, syscall.EINVAL
	}
	_, e := f.k.block(f.wait, f.nonblock(), func() (int, Errno) {
		v.mu.Lock()
		defer v.mu.Unlock()
		if math.MaxUint64-1-v.count < c {
			return 0, eagain
		}
		v.count += c
		return 0, 0
	})
	if e != 0 {
		return 0, e
	}
	f.wait.wake(pollIn | pollRdNorm)
	return 8, 0
}

func (v *eventfd) poll(*File) uint16 {
	v.mu.Lock()
	defer v.mu.Unlock()
	var m uint16
	if v.count > 0 {
		m |= pollIn
	}
	if v.count < math.MaxUint64-1 {
		m |= pollOut
	}
	return m
}

func (v *eventfd) stat(_ *File, st *syscall.Stat_t) { st.Mode = 0o600 } // anonymous inode

// scatter copies p over iov, gather the other way.
func scatter(iov [][]byte, p []byte) {
	for _, b := range iov {
		p = p[copy(b, p):]
	}
}

func gather(p []byte, iov [][]byte) {
	for _, b := range iov {
		p = p[copy(p, b):]
	}
}

func sysEventfd(k *Kernel, a args) (uintptr, Errno) { return k.eventfd(a.a0, 0) }

func sysEventfd2(k *Kernel, a args) (uintptr, Errno) { return k.eventfd(a.a0, uint32(a.a1)) }

func (k *Kernel) eventfd(initval uintptr, flags uint32) (uintptr, Errno) {
	const semaphore = 1
	if flags&^(semaphore|syscall.O_CLOEXEC|syscall.O_NONBLOCK) != 0 {
		return 0, syscall.EINVAL
	}
	v := &eventfd{count: uint64(uint32(initval)), semaphore: flags&semaphore != 0}
	return k.installNew(k.newFile(v, flags&syscall.O_NONBLOCK|syscall.O_RDWR), flags&syscall.O_CLOEXEC != 0)
}
