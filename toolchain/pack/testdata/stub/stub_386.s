#include "textflag.h"

// The first instructions of a packed image. A PVH loader enters at stub, which lies at 0x100000, in 32-bit protected mode,
// paging off, flat segments, BX = hvm_start_info. It unpacks the image and enters it in the same state.
//
// Params, from 0x100800 on (params of ../../elf.go):
//	0	entry of the image
//	4	low	where the image begins
//	8	data	where what is unpacked of it ends
//	12	high	where it ends; from data on it is zero
//	16	packed	where the packed data is
//	20	end	where it ends
//	24	padded	the same, to 16 bytes from packed
//	32	two sums of 16 bytes
//	64	scratch: BX as it was
//	72	messages: too little memory, something in the way, damaged
#define PARAMS	0x100800
#define STACK	0x101000
#define ENTRY	0(BP)
#define LOW	4(BP)
#define DATA	8(BP)
#define HIGH	12(BP)
#define PACKED	16(BP)
#define END	20(BP)
#define PADDED	24(BP)
#define SUM1	32(BP)
#define SUM2	48(BP)
#define START	64(BP)

// Jumps away when the address in AX is in the image's place.
#define FREE	\
	SUBL	LOW, AX; \
	CMPL	AX, DX; \
	JCS	taken

TEXT ·stub(SB),NOSPLIT,$0
	CLI
	CLD
	MOVL	$PARAMS, BP
	MOVL	$STACK, SP
	CMPL	(BX), $0x336ec578	// XEN_HVM_START_MAGIC_VALUE
	JNE	dead
	MOVL	BX, START

	// The image's place must be RAM, if there is a map (version 1), and all of it in one entry.
	CMPL	4(BX), $1
	JCS	nomap
	MOVL	40(BX), SI
	MOVL	48(BX), CX
map:
	SUBL	$1, CX
	JCS	small
	MOVL	SI, DI
	ADDL	$24, SI
	CMPL	16(DI), $1		// XEN_HVM_MEMMAP_TYPE_RAM
	JNE	map
	CMPL	4(DI), $0
	JNE	map
	MOVL	(DI), AX
	CMPL	AX, LOW
	JHI	map
	MOVL	12(DI), DX
	ADDL	8(DI), AX
	ADCL	$0, DX
	JNE	nomap			// ends above 4 GiB
	CMPL	AX, HIGH
	JCS	map
nomap:

	// Nothing the loader brought may be there.
	MOVL	HIGH, DX
	SUBL	LOW, DX
	MOVL	BX, AX
	FREE
	MOVL	16(BX), AX		// list of modules
	FREE
	MOVL	24(BX), AX		// command line
	FREE
	CMPL	4(BX), $1
	JCS	nomap2
	MOVL	40(BX), AX
	FREE
nomap2:
	MOVL	16(BX), SI
	MOVL	12(BX), CX
module:
	SUBL	$1, CX
	JCS	clear
	MOVL	SI, DI
	ADDL	$32, SI
	CMPL	4(DI), $0
	JNE	module
	MOVL	(DI), AX
	CMPL	AX, HIGH
	JCC	module
	ADDL	8(DI), AX
	JCS	taken
	CMPL	AX, LOW
	JHI	taken
	JMP	module
clear:

	MOVL	CR4, AX
	ORL	$0x200, AX		// OSFXSR: SSE
	MOVL	AX, CR4
	PXOR	X0, X0
	PXOR	X1, X1
	MOVL	PACKED, SI
	MOVL	PADDED, CX
sum:
	MOVOU	(SI), X2
	PADDL	X2, X0
	PADDL	X0, X1
	ADDL	$16, SI
	CMPL	SI, CX
	JCS	sum
	MOVOU	SUM1, X2
	PCMPEQL	X0, X2
	MOVOU	SUM2, X3
	PCMPEQL	X1, X3
	PAND	X3, X2
	PMOVMSKB	X2, AX
	CMPL	AX, $0xffff
	JNE	damaged

	// LZ4 blocks, whose offsets are 16 or more. The copies write up to 15 bytes too many; the packer made room.
	MOVL	PACKED, SI
	MOVL	LOW, DI
	MOVL	END, BX
token:
	MOVBLZX	(SI), AX
	ADDL	$1, SI
	MOVL	AX, CX
	SHRL	$4, CX
	CMPL	CX, $15
	JNE	literals
more:
	MOVBLZX	(SI), DX
	ADDL	$1, SI
	ADDL	DX, CX
	CMPL	DX, $255
	JEQ	more
literals:
	MOVOU	(SI), X0
	MOVOU	X0, (DI)
	CMPL	CX, $16
	JLS	literal
	ADDL	$16, SI
	ADDL	$16, DI
	SUBL	$16, CX
	JMP	literals
literal:
	ADDL	CX, SI
	ADDL	CX, DI
	CMPL	SI, BX
	JCC	unpacked
	MOVWLZX	(SI), CX
	ADDL	$2, SI
	MOVL	DI, DX
	SUBL	CX, DX
	ANDL	$15, AX
	CMPL	AX, $15
	JNE	matches
longer:
	MOVBLZX	(SI), CX
	ADDL	$1, SI
	ADDL	CX, AX
	CMPL	CX, $255
	JEQ	longer
matches:
	ADDL	$4, AX
match:
	MOVOU	(DX), X0
	MOVOU	X0, (DI)
	CMPL	AX, $16
	JLS	matched
	ADDL	$16, DX
	ADDL	$16, DI
	SUBL	$16, AX
	JMP	match
matched:
	ADDL	AX, DI
	JMP	token

unpacked:
	CMPL	DI, DATA
	JNE	damaged
	MOVL	HIGH, CX
	SUBL	DI, CX
	MOVL	CX, DX
	XORL	AX, AX
	SHRL	$2, CX
	REP;	STOSL
	MOVL	DX, CX
	ANDL	$3, CX
	REP;	STOSB
	MOVL	CR4, AX
	ANDL	$~0x200, AX
	MOVL	AX, CR4
	MOVL	START, BX
	MOVL	ENTRY, AX
	JMP	AX

small:
	MOVL	72(BP), SI
	JMP	say
taken:
	MOVL	76(BP), SI
	JMP	say
damaged:
	MOVL	80(BP), SI
say:
	MOVL	$0x3fd, DX		// COM1: wait for room, write
	INB
	TESTB	$0x20, AX
	JEQ	say
	MOVBLZX	(SI), AX
	TESTL	AX, AX
	JEQ	said
	MOVL	$0x3f8, DX
	OUTB
	ADDL	$1, SI
	JMP	say
said:
	MOVL	$0xf4, DX		// isa-debug-exit: status 2, as other failed boots have
	MOVL	$2, AX
	OUTB
dead:
	HLT
	JMP	dead
