package syscall

import (
	"internal/runtime/syscall/linux"
	"unsafe"
)

func bwRawSyscallNoError(trap, a1, a2, a3 uintptr) (r1, r2 uintptr) {
	r1, r2, _ = linux.Syscall6(trap, a1, a2, a3, 0, 0, 0)
	return r1, r2
}

func bwGettimeofday(tv *Timeval) (err Errno) {
	const sysGettimeofday = 96
	_, _, e := linux.Syscall6(sysGettimeofday, uintptr(unsafe.Pointer(tv)), 0, 0, 0, 0, 0)
	return Errno(e)
}

// Implemented in the runtime, see syscall_barewire.go there.

func bwStackArgs(a1, a2, a3, a4, a5, a6 uintptr) bool
func bwSyscallAside(num, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr)
