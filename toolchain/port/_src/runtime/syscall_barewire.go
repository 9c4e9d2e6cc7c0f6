package runtime

import (
	"internal/runtime/sys"
	"internal/runtime/syscall/linux"
	"unsafe"
)

// A system call runs Go code that may grow, and so move, the caller's stack. syscall's own functions are marked
// so that pointers passed as uintptr escape to the heap. golang.org/x/sys/unix reaches them from assembly: the compiler keeps what is
// pointed to alive, but it may lie on the stack, and nobody would correct the uintptr if that moved. So a call with an argument that
// points into the caller's stack is made aside, by a goroutine of its own, while the caller is parked in a
// way that keeps its stack where it is.

// bwStackArgs reports whether one of the arguments points into the current goroutine's stack.
//
//go:linkname bwStackArgs syscall.bwStackArgs
//go:nosplit
func bwStackArgs(a1, a2, a3, a4, a5, a6 uintptr) bool {
	gp := getg()
	lo, n := gp.stack.lo, gp.stack.hi-gp.stack.lo
	return a1-lo < n || a2-lo < n || a3-lo < n || a4-lo < n || a5-lo < n || a6-lo < n
}

// A bwCall is a call made aside. It lies on the caller's stack.
type bwCall struct {
	num, a1, a2, a3, a4, a5, a6 uintptr
	r1, r2, errno               uintptr
	caller                      guintptr
	pc                          uintptr
}

// bwSyscallAside makes a system call from another goroutine.
//
//go:linkname bwSyscallAside syscall.bwSyscallAside
//go:nosplit
func bwSyscallAside(num, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr) {
	gp := getg()
	c := bwCall{num: num, a1: a1, a2: a2, a3: a3, a4: a4, a5: a5, a6: a6, pc: sys.GetCallerPC()}
	c.caller.set(gp)
	*(*uintptr)(unsafe.Pointer(&gp.param)) = uintptr(unsafe.Pointer(&c))
	gp.parkingOnChan.Store(true) // no stack shrinking
	mcall(bwSyscallPark)
	gp.parkingOnChan.Store(false)
	return c.r1, c.r2, c.errno
}

// bwSyscallPark parks gp and starts the goroutine that makes its call.
func bwSyscallPark(gp *g) {
	c := (*bwCall)(gp.param)
	*(*uintptr)(unsafe.Pointer(&gp.param)) = 0
	gp.waitreason = waitReasonZero
	casgstatus(gp, _Grunning, _Gwaiting)
	dropg()
	fn := bwSyscallRun
	newg := newproc1(*(**funcval)(unsafe.Pointer(&fn)), gp, c.pc, false, waitReasonZero)
	*(*uintptr)(unsafe.Pointer(&newg.param)) = uintptr(unsafe.Pointer(c))
	runqput(getg().m.p.ptr(), newg, true)
	schedule()
}

// barewire_thread names the goroutine whose system call this is, whoever makes it: namespaces belong to goroutines.
//
//go:linkname barewire_thread
func barewire_thread() uint64 {
	gp := getg()
	fn := bwSyscallRun
	if gp.startpc == (*(**funcval)(unsafe.Pointer(&fn))).fn {
		return gp.parentGoid
	}
	return gp.goid
}

func bwSyscallRun() {
	gp := getg()
	c := (*bwCall)(gp.param)
	*(*uintptr)(unsafe.Pointer(&gp.param)) = 0
	c.r1, c.r2, c.errno = linux.Syscall6(c.num, c.a1, c.a2, c.a3, c.a4, c.a5, c.a6)
	goready(c.caller.ptr(), 1)
}
