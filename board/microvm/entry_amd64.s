//go:build tamago

#include "go_asm.h"
#include "textflag.h"

// The first instructions. A PVH loader (Xen's start-of-day ABI, docs/misc/pvh.pandoc) enters in 32-bit protected mode, paging
// off, flat segments, EBX = hvm_start_info. Go's assembler knows 64-bit mode only, so up to the far return every
// instruction here is one whose bytes mean the same in 32-bit mode; an address is had as the 32-bit reading of a
// RIP-relative one plus where we are.
//
// bootArea, aligned up to a page:
//	0x0000	PML4
//	0x1000	PDPT
//	0x2000	four page directories: the first 4 GiB, 2 MiB pages, read-write-execute
//	0x6000	guard page, unmapped once the final tables are in
//	0x7000	boot stack, later the stack of m0's g0 (64 KiB as rt0_go takes it, and a little)
//	0x18000	end

#define AREA	0x18000

GLOBL	·bootArea(SB), NOPTR, $(AREA+0x1000)
GLOBL	·startInfo(SB), NOPTR, $8

// null, 64-bit code, data
DATA	·earlyGDT+0x00(SB)/8, $0
DATA	·earlyGDT+0x08(SB)/8, $0x00209a0000000000
DATA	·earlyGDT+0x10(SB)/8, $0x0000920000000000
GLOBL	·earlyGDT(SB), NOPTR, $24
DATA	·earlyGDTR+0(SB)/2, $23
DATA	·earlyGDTR+2(SB)/8, $·earlyGDT(SB)
GLOBL	·earlyGDTR(SB), NOPTR, $10

// The return address, in SI.
TEXT getpc<>(SB),NOSPLIT|NOFRAME,$0
	MOVL	(SP), SI
	RET

TEXT cpuinit(SB),NOSPLIT|NOFRAME,$0
	CLI
	CLD
	CMPL	(BX), $0x336ec578	// XEN_HVM_START_MAGIC_VALUE
	JNE	dead
	MOVL	BX, BP
	LEAL	4(BX), SP		// a stack of one word, over the magic number just checked

	CALL	getpc<>(SB)
	MOVL	$·bootArea(SB), DI	// six bytes; reads as its distance from the next instruction
	ADDL	$(6+4095), SI
	ADDL	SI, DI
	ANDL	$~4095, DI
	MOVL	DI, BX
	MOVL	$0x336ec578, (BP)
	MOVL	DI, SP
	ADDL	$AREA, SP

	// clear the six tables
	XORL	AX, AX
	MOVL	$(0x6000/4), CX
	REP;	STOSL

	// PML4[0], PDPT[0..3]
	MOVL	BX, AX
	ADDL	$0x1003, AX
	MOVL	AX, (BX)
	ADDL	$0x1000, AX
	MOVL	AX, 0x1000(BX)
	ADDL	$0x1000, AX
	MOVL	AX, 0x1008(BX)
	ADDL	$0x1000, AX
	MOVL	AX, 0x1010(BX)
	ADDL	$0x1000, AX
	MOVL	AX, 0x1018(BX)
	// page directories: present, writable, 2 MiB
	MOVL	BX, DI
	ADDL	$0x2000, DI
	MOVL	$0x83, AX
	MOVL	$2048, CX
pd:
	MOVL	AX, (DI)
	ADDL	$0x200000, AX
	ADDL	$8, DI
	SUBL	$1, CX
	JNE	pd

	MOVL	BX, CR3
	MOVL	$0x6a0, AX		// PAE, PGE, OSFXSR, OSXMMEXCPT, MCE off
	MOVL	AX, CR4
	MOVL	$0xc0000080, CX		// IA32_EFER
	RDMSR
	ORL	$0x901, AX		// SCE, LME, NXE
	WRMSR
	MOVL	$0x80010033, AX		// PG, WP, NE, ET, MP, PE
	MOVL	AX, CR0

	CALL	getpc<>(SB)
	MOVL	$·earlyGDTR(SB), AX
	ADDL	$6, AX
	ADDL	SI, AX
	LGDT	(AX)
	CALL	getpc<>(SB)
	MOVL	$start64<>(SB), AX
	ADDL	$6, AX
	ADDL	SI, AX
	PUSHQ	$8
	PUSHQ	AX
	RETFQ				// 32-bit: DEC EAX; RETF
dead:
	HLT
	JMP	dead

TEXT start64<>(SB),NOSPLIT|NOFRAME,$0
	XORL	AX, AX
	MOVW	AX, DS
	MOVW	AX, ES
	MOVW	AX, FS
	MOVW	AX, GS
	MOVL	$0x10, AX
	MOVW	AX, SS
	MOVL	SP, SP			// the upper half is not defined after the switch
	MOVL	BP, BP
	MOVQ	BP, ·startInfo(SB)
	BYTE	$0xdb; BYTE $0xe3		// FNINIT
	XORL	DI, DI			// argc
	XORL	SI, SI			// argv: bwArgs brings the real ones
	JMP	runtime·rt0_go(SB)

// Where another CPU comes from the trampoline: 64-bit mode, interrupts off, the boot map, nothing else. starter is at rest until
// it says that it is up.
TEXT startAP<>(SB),NOSPLIT|NOFRAME,$0
	XORL	AX, AX
	MOVW	AX, DS
	MOVW	AX, ES
	MOVW	AX, FS
	MOVW	AX, GS
	MOVL	$0x10, AX
	MOVW	AX, SS
	MOVQ	·root(SB), AX
	MOVQ	AX, CR3
	BYTE	$0xdb; BYTE $0xe3		// FNINIT
	MOVL	·starter+16(SB), AX		// leaf
	XORL	CX, CX
	CPUID
	CMPL	·starter+16(SB), $1
	JNE	id
	MOVL	BX, DX
	SHRL	$24, DX
id:
	CMPL	DX, ·starter+20(SB)		// id
	JNE	late
	// FS: a g that is nil
	MOVQ	·starter+0(SB), BX		// area
	MOVQ	BX, AX
	ADDQ	$16, AX
	MOVQ	AX, DX
	SHRQ	$32, DX
	MOVL	$0xc0000100, CX			// IA32_FS_BASE
	WRMSR
	MOVQ	·starter+8(SB), AX		// gs
	MOVQ	AX, DX
	SHRQ	$32, DX
	MOVL	$0xc0000101, CX			// IA32_GS_BASE
	WRMSR
	MOVQ	BX, SP
	ADDQ	$const_apStack, SP
	XORL	BP, BP
	CALL	·apMain(SB)
	JMP	runtime·bwAPRun(SB)
late:
	HLT
	JMP	late

// func startAPAddr() uintptr
TEXT ·startAPAddr(SB),NOSPLIT,$0-8
	LEAQ	startAP<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

// func earlyTable() uintptr
TEXT ·earlyTable(SB),NOSPLIT,$0-8
	LEAQ	·earlyGDT(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

// func boot() (area uintptr)
TEXT ·boot(SB),NOSPLIT,$0-8
	LEAQ	·bootArea(SB), AX
	ADDQ	$4095, AX
	ANDQ	$~4095, AX
	MOVQ	AX, area+0(FP)
	RET

// func image() (text, etext, data, end uintptr)
TEXT ·image(SB),NOSPLIT,$0-32
	LEAQ	runtime·text(SB), AX
	MOVQ	AX, text+0(FP)
	LEAQ	runtime·etext(SB), AX
	MOVQ	AX, etext+8(FP)
	LEAQ	runtime·noptrdata(SB), AX
	MOVQ	AX, data+16(FP)
	LEAQ	runtime·end(SB), AX
	MOVQ	AX, end+24(FP)
	RET
