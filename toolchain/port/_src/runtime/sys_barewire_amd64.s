#include "go_asm.h"
#include "go_tls.h"
#include "textflag.h"

// The runtime's Linux layer declares its system calls as functions without a body. Each one goes on, with
// its arguments where they are, to the Go function in os_barewire.go that does the work.

TEXT runtime·exit(SB),NOSPLIT,$0-4
	JMP	·bwExit(SB)

TEXT runtime·exitThread(SB),NOSPLIT,$0-8
	JMP	·bwExitThread(SB)

TEXT runtime·open(SB),NOSPLIT,$0-20
	JMP	·bwOpen(SB)

TEXT runtime·closefd(SB),NOSPLIT,$0-12
	JMP	·bwClosefd(SB)

TEXT runtime·write1(SB),NOSPLIT,$0-28
	JMP	·bwWrite1(SB)

TEXT runtime·read(SB),NOSPLIT,$0-28
	JMP	·bwRead(SB)

TEXT runtime·pipe2(SB),NOSPLIT,$0-20
	JMP	·bwPipe2(SB)

TEXT runtime·usleep(SB),NOSPLIT,$0-4
	JMP	·bwUsleep(SB)

TEXT runtime·osyield(SB),NOSPLIT,$0-0
	PAUSE
	RET

TEXT runtime·gettid(SB),NOSPLIT,$0-4
	JMP	·bwGettid(SB)

TEXT ·getpid(SB),NOSPLIT,$0-8
	MOVQ	$1, ret+0(FP)
	RET

TEXT runtime·raise(SB),NOSPLIT,$0-4
	JMP	·bwRaise(SB)

TEXT runtime·raiseproc(SB),NOSPLIT,$0-4
	JMP	·bwRaise(SB)

TEXT ·tgkill(SB),NOSPLIT,$0-24
	JMP	·bwTgkill(SB)

TEXT runtime·setitimer(SB),NOSPLIT,$0-24
	RET

TEXT runtime·timer_create(SB),NOSPLIT,$0-28
	MOVL	$-38, ret+24(FP)	// ENOSYS: the profiler falls back on setitimer, that is on our tick
	RET

TEXT runtime·timer_settime(SB),NOSPLIT,$0-28
	MOVL	$-38, ret+24(FP)
	RET

TEXT runtime·timer_delete(SB),NOSPLIT,$0-12
	MOVL	$-38, ret+8(FP)
	RET

TEXT runtime·mincore(SB),NOSPLIT,$0-28
	MOVL	$-38, ret+24(FP)
	RET

TEXT runtime·nanotime1(SB),NOSPLIT,$0-8
	JMP	runtime∕goos·Nanotime(SB)

TEXT runtime·rtsigprocmask(SB),NOSPLIT,$0-28
	JMP	·bwSigprocmask(SB)

TEXT runtime·rt_sigaction(SB),NOSPLIT,$0-36
	JMP	·bwSigaction(SB)

TEXT runtime·callCgoSigaction(SB),NOSPLIT,$0-28
	INT	$3
	RET

TEXT runtime·sigfwd(SB),NOSPLIT,$0-32
	INT	$3
	RET

TEXT runtime·sigreturn__sigaction(SB),NOSPLIT,$0
	INT	$3
	RET

// A Linux kernel would enter a handler through sigtramp; here the exception entry calls sigtrampgo itself
// (trap_barewire_amd64.s). The symbols stay because the stock code takes their addresses.
TEXT runtime·sigtramp(SB),NOSPLIT|TOPFRAME|NOFRAME,$0
	INT	$3
	RET

TEXT runtime·cgoSigtramp(SB),NOSPLIT,$0
	INT	$3
	RET

// Pages are never mapped or unmapped one by one: the heap is the physical memory itself (mem_barewire.go).
TEXT runtime·sysMmap(SB),NOSPLIT,$0-48
	MOVQ	$0, p+32(FP)
	MOVQ	$38, err+40(FP)
	RET

TEXT runtime·callCgoMmap(SB),NOSPLIT,$0-40
	INT	$3
	RET

TEXT runtime·sysMunmap(SB),NOSPLIT,$0-16
	RET

TEXT runtime·callCgoMunmap(SB),NOSPLIT,$0-16
	INT	$3
	RET

TEXT runtime·madvise(SB),NOSPLIT,$0-28
	MOVL	$-38, ret+24(FP)
	RET

TEXT runtime·futex(SB),NOSPLIT,$0-44
	JMP	·bwFutex(SB)

TEXT runtime·clone(SB),NOSPLIT,$0-44
	JMP	·bwClone(SB)

TEXT runtime·sigaltstack(SB),NOSPLIT,$0-16
	JMP	·bwSigaltstack(SB)

// settls sets the FS base to DI+8: the linker places g at -8(FS).
TEXT runtime·settls(SB),NOSPLIT,$0
	ADDQ	$8, DI
	MOVQ	DI, AX
	MOVQ	DI, DX
	SHRQ	$32, DX
	MOVL	$0xc0000100, CX	// IA32_FS_BASE
	WRMSR
	RET

TEXT runtime·sched_getaffinity(SB),NOSPLIT,$0-28
	JMP	·bwSchedGetaffinity(SB)

TEXT runtime·access(SB),NOSPLIT,$0-20
	MOVL	$-2, ret+16(FP)
	RET

TEXT runtime·connect(SB),NOSPLIT,$0-28
	MOVL	$-38, ret+24(FP)
	RET

TEXT runtime·socket(SB),NOSPLIT,$0-20
	MOVL	$-38, ret+16(FP)
	RET

TEXT runtime·sbrk0(SB),NOSPLIT,$0-8
	MOVQ	$0, ret+0(FP)
	RET

// Never called: there is no vDSO.
TEXT runtime·vgetrandom1<ABIInternal>(SB),NOSPLIT,$0-48
	INT	$3
	RET
