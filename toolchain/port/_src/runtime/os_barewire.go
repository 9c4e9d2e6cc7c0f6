package runtime

import (
	"internal/runtime/atomic"
	"runtime/goos"
	"unsafe"
)

// The bottom of the Linux layer when there is no Linux: each function here stands for one system call that
// os_linux.go, lock_futex.go or signal_unix.go makes, with the kernel's signature and errors. They are reached
// from sys_barewire_amd64.s. What needs hardware goes through runtime/goos or a hook the board sets by linkname.

// Hooks, set by the board before the heap exists (goos.Hwinit0). Code behind them must not allocate.
var (
	// bwArgc and bwArgv are the Linux start block: argc; argv, envp and auxv behind one another.
	bwArgc int32
	bwArgv **byte

	// bwWallOffset is the wall clock (ns since the Unix epoch) at nanotime 0.
	bwWallOffset int64

	// bwSetStacks tells the CPU which stack [lo, hi) interrupts and exceptions run on.
	bwSetStacks func(lo, hi uintptr)

	bwPlainMove uint8 // 1: memmove uses words of 8 bytes, no vectors and no strings. Set by the board.

	// bwCrashReport prints what the machine says of a fatal trap: its name, the error code, the instruction at pc. It may
	// allocate only if heap is true.
	bwCrashReport func(heap bool, pc, trap, code, addr uintptr)
)

// bwArgs lets the board look around (memory, command line) before anything of the runtime needs an answer.
func bwArgs() (int32, **byte) {
	goos.Hwinit0()
	if disableMemoryProfiling {
		MemProfileRate = 0 // before the first allocation: one sample makes a table of 1.4 MB
	}
	return bwArgc, bwArgv
}

//go:nosplit
func bwExit(code int32) {
	if bwPause != nil && panicking.Load() == 0 {
		bwPause()
	}
	for {
		if goos.Exit != nil {
			goos.Exit(code)
		}
		bwCliHlt()
	}
}

//go:nosplit
func bwExitThread(wait *atomic.Uint32) {
	for {
		bwCliHlt()
	}
}

//go:nosplit
func bwOpen(name *byte, mode, perm int32) int32 { return -1 }

//go:nosplit
func bwClosefd(fd int32) int32 { return -1 }

//go:nosplit
func bwRead(fd int32, p unsafe.Pointer, n int32) int32 { return -_EBADF }

//go:nosplit
func bwWrite1(fd uintptr, p unsafe.Pointer, n int32) int32 {
	if fd != 1 && fd != 2 {
		return -_EBADF
	}
	barewire_console(p, n)
	return n
}

// bwConsole is held by the CPU that writes to the console.
var bwConsole uint32

// barewire_console writes n bytes to the console and keeps them together, whoever else writes. It waits for another CPU to
// end, but not for ever: that may be what has crashed.
//
//go:linkname barewire_console
//go:nosplit
func barewire_console(p unsafe.Pointer, n int32) {
	mp := getg().m
	if mp != nil {
		mp.locks++ // who has the console is not preempted
	}
	for i := 0; i < 1<<20 && !atomic.Cas(&bwConsole, 0, 1); i++ {
	}
	for i := int32(0); i < n; i++ {
		goos.Printk(*(*byte)(add(p, uintptr(i))))
	}
	atomic.Store(&bwConsole, 0) // whoever had it
	if mp != nil {
		mp.locks--
	}
}

//go:nosplit
func bwPipe2(flags int32) (r, w int32, errno int32) { return -1, -1, -_ENOSYS }

// bwRaise is a signal with its default action: the end of the program, status as a shell reports it.
//
//go:nosplit
func bwRaise(sig uint32) { bwExit(int32(128 + sig)) }

//go:nosplit
func bwSigprocmask(how int32, new, old *sigset, size int32) {
	if old != nil {
		*old = sigset{}
	}
}

// bwSigaction says SIG_DFL of everything, so initsig takes all signals for Go.
//
//go:nosplit
func bwSigaction(sig uintptr, new, old *sigactiont, size uintptr) int32 {
	if old != nil {
		*old = sigactiont{}
	}
	return 0
}

// bwSigaltstack: an M's signal stack is the CPU's interrupt and exception stack.
//
//go:nosplit
func bwSigaltstack(new, old *stackt) {
	if old != nil {
		old.ss_flags = _SS_DISABLE
	}
	if new != nil && new.ss_flags&_SS_DISABLE == 0 && bwSetStacks != nil {
		lo := uintptr(unsafe.Pointer(new.ss_sp))
		bwSetStacks(lo, lo+uintptr(new.ss_size))
	}
}

// bwNotetsleepg waits for a note without keeping the M: it looks after 20 us, and later every 10 ms.
func bwNotetsleepg(n *note, ns int64) bool {
	start := nanotime()
	for wait := int64(20e3); atomic.Load(key32(&n.key)) == 0; wait = min(2*wait, 10e6) {
		if ns >= 0 {
			left := start + ns - nanotime()
			if left <= 0 {
				return false
			}
			wait = min(wait, left)
		}
		timeSleep(wait)
	}
	return true
}

//go:nosplit
func bwUsleep(usec uint32) {
	until := nanotime() + int64(usec)*1000
	for nanotime() < until {
		if usec > 50 {
			bwIdle(until, bwKicked)
		} else {
			procyield(10)
		}
	}
}

//go:nosplit
func walltime() (sec int64, nsec int32) {
	t := nanotime() + bwWallOffset
	return t / 1e9, int32(t % 1e9)
}

const (
	_EBADF     = 9
	_EACCES    = 13
	_EINVAL    = 22
	_ETIMEDOUT = 110
)

// The board refers to these by linkname.
//
//go:linkname bwArgc
//go:linkname bwPlainMove
//go:linkname bwArgv
//go:linkname bwWallOffset
//go:linkname bwSetStacks
//go:linkname bwCrashReport
