package linux

import (
	"runtime/goos"
	"unsafe"
)

// Hook is the kernel: every system call of the program is a call of this function, on the caller's goroutine.
// r1 and r2 are the results, errno is 0 or the error. It may allocate and block. nil until the kernel is up; early
// then answers.
//
//go:linkname Hook
var Hook func(num, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr)

// syscall6 is Syscall6, reached from asm_barewire_amd64.s.
//
//go:nosplit
func syscall6(num, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr) {
	if Hook == nil {
		return early(num, a1, a2, a3)
	}
	r1, r2, errno = Hook(num, a1, a2, a3, a4, a5, a6)
	if errno != 0 {
		return ^uintptr(0), 0, errno
	}
	return r1, r2, 0
}

// early serves what runs before the kernel does: the runtime's own start with its checks of descriptors 0 to 2, what it
// prints if it dies, and packages that draw random numbers when they are initialised.
//
//go:nosplit
func early(num, a1, a2, a3 uintptr) (r1, r2, errno uintptr) {
	const (
		sysWrite     = 1
		sysExit      = 60
		sysExitGroup = 231
		sysGetrandom = 318
		enosys       = 38
	)
	switch num {
	case sysWrite:
		for i := uintptr(0); i < a3; i++ {
			goos.Printk(at(a2 + i))
		}
		return a3, 0, 0
	case SYS_FCNTL:
		return 2, 0, 0 // O_RDWR
	case sysGetrandom:
		if goos.GetRandomData != nil {
			goos.GetRandomData(unsafe.Slice((*byte)(unsafe.Pointer(a1)), a2))
			return a2, 0, 0
		}
	case sysExit, sysExitGroup:
		if goos.Exit != nil {
			goos.Exit(int32(a1))
		}
	}
	return ^uintptr(0), 0, enosys
}

// at is the byte at address p.
func at(p uintptr) byte
