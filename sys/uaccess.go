package sys

import (
	"syscall"
	"unsafe"
)

// Bounds of what a call accepts from its caller.
const (
	pageSize   = 4096
	maxRWCount = 0x7fffffff &^ (pageSize - 1) // Linux: MAX_RW_COUNT
	uioMaxIov  = 1024                         // Linux: UIO_MAXIOV
	pathMax    = 4096                         // Linux: PATH_MAX
)

// Errno is the error of a system call; 0 is success.
type Errno = syscall.Errno

// userPtr turns an address of the caller into a pointer. The caller of
// Kernel.Syscall keeps the object alive and in place (uintptrescapes).
func userPtr(addr uintptr) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&addr))
}

// accessOK reports whether n bytes at addr may be user memory (Linux:
// access_ok, and the page that is never mapped).
func (k *Kernel) accessOK(addr, n uintptr) bool {
	return addr >= k.taskStart && n <= k.taskSize && addr <= k.taskSize-n
}

// userBytes returns the n bytes at addr. Nothing is EFAULT when n is 0, as
// copying nothing never faults.
func (k *Kernel) userBytes(addr, n uintptr) ([]byte, Errno) {
	if n == 0 {
		return nil, 0
	}
	if !k.accessOK(addr, n) {
		return nil, syscall.EFAULT
	}
	return unsafe.Slice((*byte)(userPtr(addr)), n), 0
}

// copyFrom reads a T of the caller (Linux: copy_from_user). T holds no
// pointers.
func copyFrom[T any](k *Kernel, addr uintptr) (v T, e Errno) {
	if !k.accessOK(addr, unsafe.Sizeof(v)) {
		return v, syscall.EFAULT
	}
	return *(*T)(userPtr(addr)), 0
}

// copyTo writes a T to the caller (Linux: copy_to_user). T holds no pointers.
func copyTo[T any](k *Kernel, addr uintptr, v T) Errno {
	if !k.accessOK(addr, unsafe.Sizeof(v)) {
		return syscall.EFAULT
	}
	*(*T)(userPtr(addr)) = v
	return 0
}

// copyBytesTo writes p to the caller.
func (k *Kernel) copyBytesTo(addr uintptr, p []byte) Errno {
	dst, e := k.userBytes(addr, uintptr(len(p)))
	if e == 0 {
		copy(dst, p)
	}
	return e
}

// userString reads a path (Linux: getname): EFAULT, or ENAMETOOLONG when no
// NUL comes within PATH_MAX. It looks at one byte after the other, because
// memory behind the NUL may not be there.
func (k *Kernel) userString(addr uintptr) (string, Errno) {
	if !k.accessOK(addr, 1) {
		return "", syscall.EFAULT
	}
	p := (*byte)(userPtr(addr))
	for n := uintptr(0); n < pathMax; n++ {
		if !k.accessOK(addr, n+1) {
			return "", syscall.EFAULT
		}
		if *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) == 0 {
			return string(unsafe.Slice(p, n)), 0
		}
	}
	return "", syscall.ENAMETOOLONG
}

// iovec is struct iovec as the caller lays it out.
type iovec struct {
	base uintptr
	len  uintptr
}

// importIovec checks an iovec array and appends its slices to dst (Linux:
// import_iovec): at most UIO_MAXIOV entries, no negative length, and a total
// cut to maxRWCount. Empty entries are left out.
func (k *Kernel) importIovec(addr, n uintptr, dst [][]byte) ([][]byte, Errno) {
	if n > uioMaxIov {
		return dst, syscall.EINVAL
	}
	if n == 0 {
		return dst, 0
	}
	if !k.accessOK(addr, n*unsafe.Sizeof(iovec{})) {
		return dst, syscall.EFAULT
	}
	vec := unsafe.Slice((*iovec)(userPtr(addr)), n)
	room := uintptr(maxRWCount)
	for i := range vec {
		v := vec[i]
		if int(v.len) < 0 {
			return dst, syscall.EINVAL
		}
		b, e := k.userBytes(v.base, min(v.len, room))
		if e != 0 {
			return dst, e
		}
		if len(b) > 0 {
			dst = append(dst, b)
			room -= uintptr(len(b))
		}
	}
	return dst, 0
}

// importUbuf is the one-buffer form for read, write, sendto and recvfrom
// (Linux: import_single_range, import_ubuf).
func (k *Kernel) importUbuf(addr, n uintptr, dst [][]byte) ([][]byte, Errno) {
	b, e := k.userBytes(addr, min(n, maxRWCount))
	if e != 0 || len(b) == 0 {
		return dst, e
	}
	return append(dst, b), 0
}
