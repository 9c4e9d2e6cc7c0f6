//go:build tamago

#include "textflag.h"

// func in8(port uint16) uint8
TEXT ·in8(SB),NOSPLIT,$0-9
	MOVW	port+0(FP), DX
	INB
	MOVB	AX, ret+8(FP)
	RET

// func ins8(port uint16, p *byte, n int)
TEXT ·ins8(SB),NOSPLIT,$0-24
	MOVW	port+0(FP), DX
	MOVQ	p+8(FP), DI
	MOVQ	n+16(FP), CX
	CLD
	REP
	INSB
	RET

// func out8(port uint16, v uint8)
TEXT ·out8(SB),NOSPLIT,$0-3
	MOVW	port+0(FP), DX
	MOVB	v+2(FP), AX
	OUTB
	RET

// func in32(port uint16) uint32
TEXT ·in32(SB),NOSPLIT,$0-12
	MOVW	port+0(FP), DX
	INL
	MOVL	AX, ret+8(FP)
	RET

// func out32(port uint16, v uint32)
TEXT ·out32(SB),NOSPLIT,$0-8
	MOVW	port+0(FP), DX
	MOVL	v+4(FP), AX
	OUTL
	RET

// func out16(port uint16, v uint16)
TEXT ·out16(SB),NOSPLIT,$0-4
	MOVW	port+0(FP), DX
	MOVW	v+2(FP), AX
	OUTW
	RET

// func cpuid(leaf, sub uint32) (a, b, c, d uint32)
TEXT ·cpuid(SB),NOSPLIT,$0-24
	MOVL	leaf+0(FP), AX
	MOVL	sub+4(FP), CX
	CPUID
	MOVL	AX, a+8(FP)
	MOVL	BX, b+12(FP)
	MOVL	CX, c+16(FP)
	MOVL	DX, d+20(FP)
	RET

// func rdmsr(reg uint32) uint64
TEXT ·rdmsr(SB),NOSPLIT,$0-16
	MOVL	reg+0(FP), CX
	RDMSR
	SHLQ	$32, DX
	ORQ	DX, AX
	MOVQ	AX, ret+8(FP)
	RET

// func wrmsr(reg uint32, v uint64)
TEXT ·wrmsr(SB),NOSPLIT,$0-16
	MOVL	reg+0(FP), CX
	MOVL	v+8(FP), AX
	MOVL	v+12(FP), DX
	WRMSR
	RET

// func rdtsc() uint64
// LFENCE keeps the read from being done before what precedes it (Intel SDM vol. 2, RDTSC).
TEXT ·rdtsc(SB),NOSPLIT,$0-8
	LFENCE
	RDTSC
	SHLQ	$32, DX
	ORQ	DX, AX
	MOVQ	AX, ret+0(FP)
	RET

// func xsetbv(v uint64)
TEXT ·xsetbv(SB),NOSPLIT,$0-8
	MOVQ	CR4, AX
	ORQ	$(1<<18), AX	// OSXSAVE
	MOVQ	AX, CR4
	XORL	CX, CX
	MOVL	v+0(FP), AX
	MOVL	v+4(FP), DX
	BYTE	$0x0f; BYTE $0x01; BYTE $0xd1	// XSETBV
	RET

// func lgdt(p *[10]byte)
// Loads the table, then CS and SS from it again.
TEXT ·lgdt(SB),NOSPLIT,$0-8
	MOVQ	p+0(FP), AX
	LGDT	(AX)
	MOVL	$0x10, AX
	MOVW	AX, SS
	LEAQ	reload<>(SB), AX
	PUSHQ	$8
	PUSHQ	AX
	RETFQ
TEXT reload<>(SB),NOSPLIT|NOFRAME,$0
	RET

// func lidt(p *[10]byte)
TEXT ·lidt(SB),NOSPLIT,$0-8
	MOVQ	p+0(FP), AX
	LIDT	(AX)
	RET

// func ltr(sel uint16)
TEXT ·ltr(SB),NOSPLIT,$0-2
	MOVW	sel+0(FP), AX
	BYTE	$0x0f; BYTE $0x00; BYTE $0xd8	// LTR AX
	RET

// func setCR3(v uintptr)
TEXT ·setCR3(SB),NOSPLIT,$0-8
	MOVQ	v+0(FP), AX
	MOVQ	AX, CR3
	RET

// func invlpg(p uintptr)
TEXT ·invlpg(SB),NOSPLIT,$0-8
	MOVQ	p+0(FP), AX
	INVLPG	(AX)
	RET

// func cli() (flags uint64)
TEXT ·cli(SB),NOSPLIT,$8-8
	PUSHFQ
	POPQ	AX
	MOVQ	AX, flags+0(FP)
	CLI
	RET

// func restore(flags uint64)
TEXT ·restore(SB),NOSPLIT,$8-8
	MOVQ	flags+0(FP), AX
	PUSHQ	AX
	POPFQ
	RET

// func tripleFault()
TEXT ·tripleFault(SB),NOSPLIT,$16-0
	CLI
	MOVQ	$0, 0(SP)
	MOVQ	$0, 8(SP)
	LIDT	(SP)
	INT	$3
	HLT
	JMP	-1(PC)

// func rdrand() (v uint64, ok bool)
TEXT ·rdrand(SB),NOSPLIT,$0-9
	MOVL	$10, CX
again:
	RDRANDQ	AX
	JCS	good
	SUBL	$1, CX
	JNE	again
	MOVQ	$0, v+0(FP)
	MOVB	$0, ok+8(FP)
	RET
good:
	MOVQ	AX, v+0(FP)
	MOVB	$1, ok+8(FP)
	RET

// func CPU() int
// The runtime has the number at this place of what GS points to (bwCPU).
TEXT ·CPU(SB),NOSPLIT,$0-8
	MOVL	8(GS), AX
	MOVQ	AX, ret+0(FP)
	RET

// func mmioRead32(p uintptr) uint32
TEXT ·mmioRead32(SB),NOSPLIT,$0-12
	MOVQ	p+0(FP), AX
	MOVL	(AX), AX
	MOVL	AX, ret+8(FP)
	RET

// func mmioWrite32(p uintptr, v uint32)
TEXT ·mmioWrite32(SB),NOSPLIT,$0-12
	MOVQ	p+0(FP), AX
	MOVL	v+8(FP), CX
	MOVL	CX, (AX)
	RET
