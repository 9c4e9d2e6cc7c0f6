#include "go_asm.h"
#include "go_tls.h"
#include "textflag.h"

// The entry of every exception and interrupt. The CPU has switched to the vector's own stack (TSS, IST) and
// pushed SS, RSP, RFLAGS, CS, RIP and perhaps an error code. The stub's CALL adds an address that says which
// vector it was.

#define STUB	CALL bwTrapEntry<>(SB)
#define STUB4	STUB; STUB; STUB; STUB
#define STUB16	STUB4; STUB4; STUB4; STUB4
#define STUB64	STUB16; STUB16; STUB16; STUB16

TEXT ·bwTrapStubs(SB),NOSPLIT|NOFRAME,$0
	STUB64
	STUB64
	STUB64
	STUB64

// Offsets in the register frame, which is a Linux ucontext (sigcontext at 40) so that the stock signal code
// can read and change it. Behind it: saved CX and AX, vector, error code, and the CPU's own frame.
#define	UC_R8	40
#define	UC_R9	48
#define	UC_R10	56
#define	UC_R11	64
#define	UC_R12	72
#define	UC_R13	80
#define	UC_R14	88
#define	UC_R15	96
#define	UC_DI	104
#define	UC_SI	112
#define	UC_BP	120
#define	UC_BX	128
#define	UC_DX	136
#define	UC_AX	144
#define	UC_CX	152
#define	UC_SP	160
#define	UC_IP	168
#define	UC_FL	176
#define	UC_CS	184
#define	UC_ERR	192
#define	UC_TRAP	200
#define	UC_CR2	216
#define	UC_SIZE	304	// rounded up from 232 with room for the reserved words

#define	K_CX	0
#define	K_AX	8
#define	K_VEC	16
#define	K_ERR	24
#define	K_IP	32
#define	K_CS	40
#define	K_FL	48
#define	K_SP	56

// Exceptions that push an error code: 8, 10-14, 17, 21, 29, 30 (Intel SDM vol. 3, 6.13).
#define	ERRCODES	0x60227D00

TEXT bwTrapEntry<>(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	PUSHQ	AX
	PUSHQ	CX
	// vector = (return address - table) / 5 - 1; the product is exact below 64 Ki
	MOVQ	16(SP), AX
	LEAQ	·bwTrapStubs(SB), CX
	SUBQ	CX, AX
	IMULL	$52429, AX
	SHRL	$18, AX
	DECL	AX
	CMPL	AX, $32
	JAE	noerr
	MOVL	$ERRCODES, CX
	BTL	AX, CX
	JCS	haveerr
noerr:
	// make room for an error code of 0
	SUBQ	$8, SP
	MOVQ	8(SP), CX
	MOVQ	CX, K_CX(SP)
	MOVQ	16(SP), CX
	MOVQ	CX, K_AX(SP)
	MOVQ	$0, K_ERR(SP)
haveerr:
	MOVQ	AX, K_VEC(SP)
	CMPL	AX, $32
	JB	full

	// An interrupt. The tick:
	MOVQ	0(GS), CX
	CMPL	AX, ·irqTickVector(SB)
	JNE	ipi
	INCQ	bwCPU_ticks(CX)
	MOVQ	$const_bwNoTimer, AX
	MOVQ	AX, bwCPU_timerArmed(CX)
	JMP	eoi

ipi:
	CMPL	AX, $const_bwVectorWake
	JEQ	eoi
	CMPL	AX, $const_bwVectorPreempt
	JEQ	eoi
	CMPL	AX, $255	// spurious: no EOI (SDM vol. 3, 11.9)
	JNE	note
	INCQ	bwCPU_spurious(CX)
	JMP	out
note:
	INCQ	bwCPU_count(CX)
	LOCK
	BTSQ	AX, bwCPU_irqBits(CX)
	LOCK			// comes before the look at irqWaiter
	ORL	$1, bwCPU_irqWork(CX)
	CMPL	bwCPU_id(CX), $0
	JNE	eoi		// all lines come to CPU 0
	// mask a level-triggered line: it stays asserted until its device is served
	PUSHQ	DX
	SHLL	$4, AX
	LEAQ	·irqLines(SB), DX
	ADDQ	AX, DX
	MOVQ	irqLine_ioapic(DX), CX
	TESTQ	CX, CX
	JZ	unmasked
	MOVQ	irqLine_reg(DX), AX
	MOVL	$1, DX
iolock:
	XCHGL	DX, ·irqIOLock(SB)
	TESTL	DX, DX
	JNZ	iolock		// another CPU, which has its interrupts off
	MOVL	AX, 0(CX)	// IOREGSEL
	MOVL	16(CX), AX	// IOWIN
	ORL	$0x10000, AX
	MOVL	AX, 16(CX)
	MOVL	$0, ·irqIOLock(SB)
unmasked:
	POPQ	DX

eoi:
	MOVQ	·irqEOI(SB), CX
	TESTQ	CX, CX
	JZ	x2apic
	MOVL	$0, (CX)
	JMP	busy
x2apic:
	PUSHQ	DX
	XORL	AX, AX
	XORL	DX, DX
	MOVL	$0x80b, CX
	WRMSR
	POPQ	DX

busy:
	// Only a goroutine is asked to make way (it may be on the system stack now); the scheduler looks for itself.
	get_tls(CX)
	MOVQ	g(CX), AX
	TESTQ	AX, AX
	JZ	out
	MOVQ	g_m(AX), CX
	TESTQ	CX, CX
	JZ	out
	MOVL	K_VEC(SP), AX
	CMPL	AX, $const_bwVectorPreempt
	JEQ	full		// has to be answered in any case
	CMPL	AX, $const_bwVectorWake
	JEQ	out
	CMPQ	m_curg(CX), $0
	JNE	full
out:
	POPQ	CX
	POPQ	AX
	ADDQ	$16, SP
	IRETQ

full:
	MOVQ	SP, CX
	SUBQ	$UC_SIZE, SP
	ANDQ	$~15, SP
	CLD
	MOVQ	R8, UC_R8(SP)
	MOVQ	R9, UC_R9(SP)
	MOVQ	R10, UC_R10(SP)
	MOVQ	R11, UC_R11(SP)
	MOVQ	R12, UC_R12(SP)
	MOVQ	R13, UC_R13(SP)
	MOVQ	R14, UC_R14(SP)
	MOVQ	R15, UC_R15(SP)
	MOVQ	DI, UC_DI(SP)
	MOVQ	SI, UC_SI(SP)
	MOVQ	BP, UC_BP(SP)
	MOVQ	BX, UC_BX(SP)
	MOVQ	DX, UC_DX(SP)
	MOVQ	K_AX(CX), AX
	MOVQ	AX, UC_AX(SP)
	MOVQ	K_CX(CX), AX
	MOVQ	AX, UC_CX(SP)
	MOVQ	K_SP(CX), AX
	MOVQ	AX, UC_SP(SP)
	MOVQ	K_IP(CX), AX
	MOVQ	AX, UC_IP(SP)
	MOVQ	K_FL(CX), AX
	MOVQ	AX, UC_FL(SP)
	MOVQ	K_CS(CX), AX
	MOVQ	AX, UC_CS(SP)
	MOVQ	K_ERR(CX), AX
	MOVQ	AX, UC_ERR(SP)
	MOVQ	K_VEC(CX), AX
	MOVQ	AX, UC_TRAP(SP)
	MOVQ	CR2, AX
	MOVQ	AX, UC_CR2(SP)
	MOVQ	SP, BX
	MOVQ	CX, R12

	// The vector registers: Go's handlers use them (zeroing, memmove).
	SUBQ	·bwXsaveSize(SB), SP
	SUBQ	$(64+512), SP
	ANDQ	$~63, SP
	MOVQ	BX, 8(SP)
	MOVQ	R12, 16(SP)
	CMPQ	·bwXsaveSize(SB), $0
	JEQ	fxsave
	XORL	AX, AX
	MOVQ	AX, (64+512+0)(SP)	// the XSAVE header must be zero at first (SDM vol. 1, 13.4.2)
	MOVQ	AX, (64+512+8)(SP)
	MOVQ	AX, (64+512+16)(SP)
	MOVQ	AX, (64+512+24)(SP)
	MOVQ	AX, (64+512+32)(SP)
	MOVQ	AX, (64+512+40)(SP)
	MOVQ	AX, (64+512+48)(SP)
	MOVQ	AX, (64+512+56)(SP)
	MOVL	$-1, AX
	MOVL	$-1, DX
	LEAQ	64(SP), DI
	BYTE	$0x48; BYTE $0x0f; BYTE $0xae; BYTE $0x27	// XSAVE64 (RDI)
	JMP	saved
fxsave:
	FXSAVE64	64(SP)
saved:
	XORL	BP, BP
	MOVQ	BX, 0(SP)
	CMPQ	UC_TRAP(BX), $32
	JAE	interrupt
	CALL	·bwTrap(SB)
	JMP	restore
interrupt:
	CALL	·bwInterrupt(SB)

restore:
	MOVQ	8(SP), BX
	MOVQ	16(SP), R12
	CMPQ	·bwXsaveSize(SB), $0
	JEQ	fxrstor
	MOVL	$-1, AX
	MOVL	$-1, DX
	LEAQ	64(SP), DI
	BYTE	$0x48; BYTE $0x0f; BYTE $0xae; BYTE $0x2f	// XRSTOR64 (RDI)
	JMP	restored
fxrstor:
	FXRSTOR64	64(SP)
restored:
	MOVQ	R12, CX
	MOVQ	BX, SP
	MOVQ	UC_AX(SP), AX
	MOVQ	AX, K_AX(CX)
	MOVQ	UC_CX(SP), AX
	MOVQ	AX, K_CX(CX)
	MOVQ	UC_SP(SP), AX
	MOVQ	AX, K_SP(CX)
	MOVQ	UC_IP(SP), AX
	MOVQ	AX, K_IP(CX)
	MOVQ	UC_FL(SP), AX
	MOVQ	AX, K_FL(CX)
	MOVQ	UC_R8(SP), R8
	MOVQ	UC_R9(SP), R9
	MOVQ	UC_R10(SP), R10
	MOVQ	UC_R11(SP), R11
	MOVQ	UC_R12(SP), R12
	MOVQ	UC_R13(SP), R13
	MOVQ	UC_R14(SP), R14
	MOVQ	UC_R15(SP), R15
	MOVQ	UC_DI(SP), DI
	MOVQ	UC_SI(SP), SI
	MOVQ	UC_BP(SP), BP
	MOVQ	UC_BX(SP), BX
	MOVQ	UC_DX(SP), DX
	MOVQ	CX, SP
	POPQ	CX
	POPQ	AX
	ADDQ	$16, SP
	IRETQ

// func bwCliHlt()
TEXT ·bwCliHlt(SB),NOSPLIT,$0-0
	CLI
	HLT
	RET

// func bwCli()
TEXT ·bwCli(SB),NOSPLIT,$0-0
	CLI
	RET

// func bwSti()
TEXT ·bwSti(SB),NOSPLIT,$0-0
	STI
	RET

// func bwThis() *bwCPU
TEXT ·bwThis<ABIInternal>(SB),NOSPLIT,$0-8
	MOVQ	0(GS), AX
	RET

// bwAPRun waits for an M and becomes it, as the child of clone does. Interrupts are off until the M has its own stack.
TEXT ·bwAPRun(SB),NOSPLIT|NOFRAME,$0
wait:
	CLI
	MOVQ	0(GS), BX
	MOVQ	bwCPU_startM(BX), R13
	TESTQ	R13, R13
	JNZ	start
	STI
	HLT
	JMP	wait
start:
	MOVQ	bwCPU_startStk(BX), SP
	MOVQ	bwCPU_startG(BX), R9
	MOVQ	bwCPU_startFn(BX), R12
	LEAQ	m_tls(R13), DI
	CALL	runtime·settls(SB)
	get_tls(CX)
	MOVQ	R13, g_m(R9)
	MOVQ	R9, g(CX)
	MOVQ	R9, R14
	STI
	CALL	R12
	INT	$3

// func bwStiHlt(flags *uint64, mask uint64)
TEXT ·bwStiHlt(SB),NOSPLIT,$0-16
	MOVQ	flags+0(FP), AX
	MOVQ	mask+8(FP), CX
	TESTQ	CX, (AX)
	JNE	work
	STI	// takes effect after the next instruction: nothing can come in between
	HLT
	RET
work:
	STI
	RET

// The SYSCALL entry (IA32_LSTAR). Only golang.org/x/sys/unix's *NoError functions execute the instruction: they
// ask for identities. RCX holds the return address, R11 the flags.
TEXT ·bwSyscallEntry(SB),NOSPLIT|NOFRAME,$0
	CMPQ	AX, $39		// getpid
	JEQ	one
	CMPQ	AX, $186	// gettid
	JEQ	one
	CMPQ	AX, $111	// getpgrp
	JEQ	one
	CMPQ	AX, $102	// getuid
	JEQ	zero
	CMPQ	AX, $104	// getgid
	JEQ	zero
	CMPQ	AX, $107	// geteuid
	JEQ	zero
	CMPQ	AX, $108	// getegid
	JEQ	zero
	CMPQ	AX, $110	// getppid
	JEQ	zero
	CMPQ	AX, $95		// umask
	JEQ	mask
	MOVQ	$-38, AX	// ENOSYS
	JMP	back
one:
	MOVQ	$1, AX
	JMP	back
mask:
	MOVQ	$0x12, AX	// 022
	JMP	back
zero:
	XORL	AX, AX
back:
	PUSHQ	R11
	POPFQ
	JMP	CX

// func bwSyscallAddr() uintptr
TEXT ·bwSyscallAddr(SB),NOSPLIT,$0-8
	LEAQ	·bwSyscallEntry(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
