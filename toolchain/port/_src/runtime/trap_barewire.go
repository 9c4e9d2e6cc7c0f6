package runtime

import (
	"internal/abi"
	"internal/runtime/atomic"
	"unsafe"
)

// Exceptions are delivered as the signals a Linux kernel would send for them, through the stock handler: a nil
// dereference becomes SIGSEGV becomes sigpanic, and what is fatal prints the stock report.

// x86 exception vectors (Intel SDM vol. 3, table 6-1).
const (
	trapDivide     = 0
	trapDebug      = 1
	trapNMI        = 2
	trapBreakpoint = 3
	trapOverflow   = 4
	trapBound      = 5
	trapUndefined  = 6
	trapDouble     = 8
	trapGeneral    = 13
	trapPage       = 14
	trapX87        = 16
	trapAlignment  = 17
	trapMachine    = 18
	trapSIMD       = 19
)

// bwCrashG is the g of the stacks that nothing else may use: double fault, NMI, machine check.
var bwCrashG g

// bwCrashCPU is the CPU that makes the last part of a fatal report, plus one. A second fault there ends the machine at once,
// one on another CPU waits for that end.
var bwCrashCPU uint32

// bwCrashes makes the CPU that calls the one that reports. It reports whether it is already; another CPU halts here.
//
//go:nosplit
func bwCrashes() (again bool) {
	me := bwThis().id + 1
	if atomic.Cas(&bwCrashCPU, 0, me) {
		return false
	}
	for atomic.Load(&bwCrashCPU) != me {
		bwCliHlt()
	}
	return true
}

// bwTrapTable is the address of the 256 vector stubs, bwTrapStub bytes apart.
//
//go:linkname bwTrapTable
func bwTrapTable() uintptr { return abi.FuncPCABI0(bwTrapStubs) }

const bwTrapStub = 5

func bwTrapStubs()

// bwTrap runs on the exception stack with the interrupted g. ctx holds the registers and is what is
// restored on return.
//
//go:nosplit
//go:nowritebarrierrec
func bwTrap(ctx *ucontext) {
	r := (*sigcontext)(unsafe.Pointer(&ctx.uc_mcontext))
	crash := atomic.Load(&bwCrashCPU)
	if crash == 0 {
		bwLast = *(*trapWords)(unsafe.Pointer(r))
	}
	var info siginfo
	sig := uint32(_SIGSEGV)
	switch r.trapno {
	case trapPage:
		info.si_code, info.si_addr = _SEGV_MAPERR, r.cr2
		if r.err&1 != 0 { // the page is there, the access is not allowed
			info.si_code = _SEGV_ACCERR
		}
	case trapDivide:
		sig, info.si_code, info.si_addr = _SIGFPE, _FPE_INTDIV, r.rip
	case trapX87, trapSIMD:
		sig, info.si_code, info.si_addr = _SIGFPE, _FPE_FLTINV, r.rip
	case trapUndefined:
		sig, info.si_code, info.si_addr = _SIGILL, 1, r.rip
	case trapBreakpoint, trapDebug:
		sig, info.si_code, info.si_addr = _SIGTRAP, 1, r.rip
	case trapAlignment:
		sig, info.si_code = _SIGBUS, _BUS_ADRALN
	case trapDouble, trapNMI, trapMachine:
		bwAbort(ctx) // an NMI may be another CPU's, in whose way this one is
	default: // general protection and its kin, as Linux reports them: no address
		info.si_code = 0x80 // SI_KERNEL
	}
	info.si_signo = int32(sig)
	gp := getg()
	if crash != 0 || gp == nil || gp.m == nil || gp.m.gsignal == nil || gp == gp.m.gsignal {
		bwAbort(ctx)
	}
	sigtrampgo(sig, (*siginfo)(noescape(unsafe.Pointer(&info))), unsafe.Pointer(ctx))
}

// bwAbort reports a fault in the runtime's or the kernel's own foundations, or an NMI, and ends the machine.
//
//go:nosplit
//go:nowritebarrierrec
func bwAbort(ctx *ucontext) {
	atomic.Storeuintptr(&bwThis().stopped, uintptr(unsafe.Pointer(ctx)))
	again := bwCrashes()
	gp := getg()
	sp := uintptr(unsafe.Pointer(ctx))
	bwCrashG.stack.lo, bwCrashG.stack.hi = sp-8192, sp+512
	bwCrashG.stackguard0 = bwCrashG.stack.lo + stackGuard
	bwCrashG.stackguard1 = bwCrashG.stackguard0
	if gp != nil && gp.m != nil {
		*(*uintptr)(unsafe.Pointer(&bwCrashG.m)) = uintptr(unsafe.Pointer(gp.m))
	} else {
		*(*uintptr)(unsafe.Pointer(&bwCrashG.m)) = uintptr(unsafe.Pointer(&m0))
	}
	setg(&bwCrashG)
	bwAbort1(ctx, gp, again)
}

// bwStopCPUs stops all other CPUs, wherever they are, and waits until they have.
func bwStopCPUs() {
	if bwNCPU == 1 || bwStopIPI == nil {
		return
	}
	bwStopIPI()
	for until := nanotime() + 1e9; nanotime() < until; {
		left := bwNCPU
		for i := range bwNCPU {
			if c := &bwCPUs[i]; c == bwThis() || atomic.Loaduintptr(&c.stopped) != 0 {
				left--
			}
		}
		if left == 0 {
			return
		}
	}
}

//go:nowritebarrierrec
func bwAbort1(ctx *ucontext, gp *g, again bool) {
	ct := sigctxt{nil, unsafe.Pointer(ctx)}
	c := (*sigctxt)(noescape(unsafe.Pointer(&ct)))
	r := c.regs()
	getg().m.printlock++ // never to be waited for again: whoever has the lock is stopped
	bwStopCPUs()
	if again {
		print("\nfatal error: fault during the crash report, trap ", r.trapno, " PC=", hex(r.rip), " addr=", hex(r.cr2), "\n")
		exit(2)
	}
	print("\nfatal error: ")
	switch r.trapno {
	case trapDouble:
		print("double fault (kernel stack overflow?)")
	case trapNMI:
		print("non-maskable interrupt")
	case trapMachine:
		print("machine check")
	default:
		print("fault in interrupt or exception context, trap ", r.trapno)
	}
	print("\nPC=", hex(r.rip), " SP=", hex(r.rsp), " addr=", hex(r.cr2), "\n\n")
	dumpregs(c)
	if gp != nil && gp.m != nil {
		getg().m.throwing = throwTypeRuntime
		print("\n")
		goroutineheader(gp)
		tracebacktrap(uintptr(r.rip), uintptr(r.rsp), 0, gp)
		if curg := gp.m.curg; curg != nil && curg != gp {
			print("\n")
			goroutineheader(curg)
			if u := (*ucontext)(unsafe.Pointer(bwThis().interrupted)); u != nil { // it was running
				r := (*sigcontext)(unsafe.Pointer(&u.uc_mcontext))
				tracebacktrap(uintptr(r.rip), uintptr(r.rsp), 0, curg)
			} else {
				traceback(^uintptr(0), ^uintptr(0), 0, curg)
			}
		}
		if r.trapno == trapNMI {
			bwTraceCPUs()
			tracebackothers(gp)
		}
	}
	if bwCrashReport != nil {
		bwCrashReport(false, uintptr(r.rip), uintptr(r.trapno), uintptr(r.err), uintptr(r.cr2))
	}
	exit(2)
}

// bwTraceCPUs prints what the other, stopped CPUs were doing.
func bwTraceCPUs() {
	for i := range bwNCPU {
		c := &bwCPUs[i]
		u := (*ucontext)(unsafe.Pointer(c.stopped))
		mp := (*m)(unsafe.Pointer(c.startM))
		if i == 0 {
			mp = &m0
		}
		if c == bwThis() || u == nil || mp == nil {
			continue
		}
		r := (*sigcontext)(unsafe.Pointer(&u.uc_mcontext))
		gp := mp.curg
		if gp == nil || uintptr(r.rsp) < gp.stack.lo || uintptr(r.rsp) >= gp.stack.hi {
			gp = mp.g0 // in the scheduler, or halted
		}
		print("\nCPU ", i, ":\n")
		goroutineheader(gp)
		tracebacktrap(uintptr(r.rip), uintptr(r.rsp), 0, gp)
	}
}

// A trapWords is a sigcontext without its pointer type: it is copied where write barriers are not allowed.
type trapWords [unsafe.Sizeof(sigcontext{}) / 8]uint64

// bwLast is the machine state of the latest exception.
var bwLast trapWords

// bwLastWords ends a fatal report with what the machine says of the trap: the registers if the report has not shown
// them, and the board's reading of error code and instruction. That last part may allocate, so it runs on a g that may, and
// not at all if the heap was in use. A fault in it ends the machine at once: nothing is lost that is printed already.
func bwLastWords(regs bool) {
	bwCrashes()
	r := (*sigcontext)(unsafe.Pointer(&bwLast))
	if regs {
		u := ucontext{}
		*(*trapWords)(unsafe.Pointer(&u.uc_mcontext)) = bwLast
		c := sigctxt{nil, noescape(unsafe.Pointer(&u))}
		print("\n")
		dumpregs((*sigctxt)(noescape(unsafe.Pointer(&c))))
	}
	if bwCrashReport == nil {
		return
	}
	gp := getg()
	mp := gp.m
	if gp == mp.gsignal {
		bwCrashG.stack = gp.stack
		bwCrashG.stackguard0 = gp.stackguard0
		bwCrashG.stackguard1 = gp.stackguard1
		*(*uintptr)(unsafe.Pointer(&bwCrashG.m)) = uintptr(unsafe.Pointer(mp))
		setg(&bwCrashG)
	}
	heap := mp.mallocing == 1 && mp.p != 0 // 1: startpanic_m, which forbids what is wanted here
	if heap {
		mp.mallocing = 0
	}
	bwCrashReport(heap, uintptr(r.rip), uintptr(r.trapno), uintptr(r.err), uintptr(r.cr2))
	setg(gp)
}
