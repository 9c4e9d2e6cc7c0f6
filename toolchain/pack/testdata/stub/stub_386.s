#include "textflag.h"

// The first instructions of a packed image. A PVH loader enters at stub, which lies at 0x100000, in 32-bit protected mode,
// paging off, flat segments, BX = hvm_start_info. It unpacks the image and enters it in the same state.

// Params (of ../../elf.go).
#define ENTRY	0x100800	// of the image
#define LOW	0x100804	// where the image begins
#define DATA	0x100808	// where what is unpacked of it ends
#define TOP	0x10080c	// where the memory ends that is needed; from data on it is cleared
#define PACKED	0x100810	// where the packed data is
#define PADDED	0x100814	// where it ends, at 16 bytes from packed
#define SIZE	0x100818	// data - low
#define START	0x10081c	// scratch: BX as it was
#define SUM1	0x100820	// two sums of 16 bytes
#define SUM2	0x100830
#define CODE	0x100840	// machine code, without its last 4 bytes
#define CODEEND	0x100844
#define TABLES	0x100848	// pc-value tables, if the end is another place
#define TABEND	0x10084c
#define VALUES	0x100850	// how many bytes of the tables are values
#define SPARE	0x100854	// room for them, to 4 bytes
#define SMALL	0x100858	// messages: too little memory, something in the way, damaged
#define TAKEN	0x10085c
#define DAMAGED	0x100860
#define FUNCS	0x100864	// the table of functions, and how many there are
#define FUNCCOUNT	0x100868
#define FIRSTDIST	0x100a00	// slots of distances: the first distance, 31 - extra bits
#define DISTBITS	0x100a04
#define FIRSTLEN	0x100b90	// slots of long lengths
#define LENBITS	0x100b94

// Working memory.
#define WORK	0x110000
#define SYMTAB	0x110000	// 4096 entries: symbol<<8, bits
#define LENTAB	0x114000
#define TABSEND	0x118000
#define SIZES	0x118000	// bits of the codes, of 680 symbols and 42 long lengths
#define LENSIZES	0x1182a8
#define SIZESEND	0x1182d2
#define LAST0	0x118400	// the last three distances
#define LAST1	0x118404
#define LAST2	0x118408
#define LENGTH	0x11840c
#define SLOT	0x118410
#define OUT	0x118414
#define LIMIT	0x118418
#define COUNT	0x11841c
#define PC	0x118420	// of the function before: its pc, where its record is, what that says
#define RECORD	0x118424
#define FIRSTPC	0x118428
#define NAME	0x11842c
#define WORKEND	0x119000

// Jumps away when the address in AX is in the image's place.
#define FREE	\
	SUBL	$WORK, AX; \
	CMPL	AX, DX; \
	JCS	taken

// The next 25 bits or more, in DX from the highest on: bit BX of what is at SI.
#define PEEK	\
	MOVL	BX, DX; \
	SHRL	$3, DX; \
	MOVL	(SI)(DX*1), DX; \
	BSWAPL	DX; \
	MOVL	BX, CX; \
	ANDL	$7, CX; \
	SHLL	CX, DX

// A difference at place, to what was before, is undone; AX is what it is.
#define ADDTO(place, before)	\
	MOVL	place, AX; \
	ADDL	before, AX; \
	MOVL	AX, before; \
	MOVL	AX, place

// The symbol that DX begins with, in AX; its bits, which are used up, in CX.
#define SYMBOL(table)	\
	MOVL	DX, AX; \
	SHRL	$20, AX; \
	MOVL	table(AX*4), AX; \
	MOVBLZX	AX, CX; \
	ADDL	CX, BX; \
	SHRL	$8, AX

// The value in DX of slot AX, with its extra bits.
#define VALUE(first, bits)	\
	PEEK; \
	MOVL	bits(AX*8), CX; \
	ADDL	$31, BX; \
	SUBL	CX, BX; \
	SHRL	$1, DX; \
	SHRL	CX, DX; \
	ADDL	first(AX*8), DX

TEXT ·stub(SB),NOSPLIT,$0
	CLI
	CLD
	CMPL	(BX), $0x336ec578	// XEN_HVM_START_MAGIC_VALUE
	JNE	dead
	MOVL	BX, START

	// The image's place, from the working memory on, must be RAM, if there is a map (version 1), and all of it in one entry.
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
	CMPL	AX, $WORK
	JHI	map
	MOVL	12(DI), DX
	ADDL	8(DI), AX
	ADCL	$0, DX
	JNE	nomap			// ends above 4 GiB
	CMPL	AX, TOP
	JCS	map
nomap:

	// Nothing the loader brought may be there.
	MOVL	TOP, DX
	SUBL	$WORK, DX
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
	CMPL	AX, TOP
	JCC	module
	ADDL	8(DI), AX
	JCS	taken
	CMPL	AX, $WORK
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

	XORL	AX, AX
	MOVL	$WORK, DI
	MOVL	$((WORKEND-WORK)/4), CX
	REP;	STOSL
	MOVL	$1, AX
	MOVL	AX, LAST0
	MOVL	AX, LAST1
	MOVL	AX, LAST2
	MOVL	PACKED, SI
	XORL	BX, BX
	MOVL	LOW, DI

	// A block begins with the lengths of its codes: as before, one more, one less, or another.
block:
	CMPL	DI, DATA
	JCC	unpacked
	MOVL	$SIZES, BP
size:
	PEEK
	ADDL	$1, BX
	SHLL	$1, DX
	JCC	sized
	ADDL	$2, BX
	SHLL	$1, DX
	JCS	another
	SHLL	$1, DX
	JCS	less
	ADDB	$1, (BP)
	JMP	sized
less:
	SUBB	$1, (BP)
	JMP	sized
another:
	ADDL	$3, BX
	SHRL	$28, DX
	MOVB	DX, (BP)
sized:
	ADDL	$1, BP
	CMPL	BP, $SIZESEND
	JCS	size

	// The tables: canonical codes are their entries' order.
	MOVL	DI, OUT
	MOVL	$SYMTAB, DI
	MOVL	$SIZES, BP
	MOVL	$(LENSIZES-SIZES), COUNT
	MOVL	$LENTAB, LIMIT
table:
	MOVL	$1, CX
bits:
	XORL	AX, AX
code:
	CMPB	CX, (BP)(AX*1)
	JNE	coded
	MOVL	$4096, DX
	SHRL	CX, DX
	LEAL	(DI)(DX*4), SI
	CMPL	SI, LIMIT
	JHI	damaged
	MOVL	AX, SI
	SHLL	$8, SI
	ORL	CX, SI
entry:
	MOVL	SI, (DI)
	ADDL	$4, DI
	SUBL	$1, DX
	JNE	entry
coded:
	ADDL	$1, AX
	CMPL	AX, COUNT
	JCS	code
	ADDL	$1, CX
	CMPL	CX, $12
	JLS	bits
	CMPL	DI, LIMIT
	JNE	damaged
	MOVL	$LENSIZES, BP
	MOVL	$(SIZESEND-LENSIZES), COUNT
	MOVL	$TABSEND, LIMIT
	CMPL	DI, $TABSEND
	JNE	table
	MOVL	PACKED, SI
	MOVL	OUT, DI
	LEAL	0x20000(DI), BP
	CMPL	BP, DATA
	JLS	next
	MOVL	DATA, BP

	// Literals and matches up to BP. After one code PEEK has enough bits for a second.
next:
	PEEK
	SYMBOL(SYMTAB)
	CMPL	AX, $256
	JCC	match
	MOVB	AX, (DI)
	ADDL	$1, DI
	CMPL	DI, BP
	JCC	block
	SHLL	CX, DX
	SYMBOL(SYMTAB)
	CMPL	AX, $256
	JCC	match
	MOVB	AX, (DI)
	ADDL	$1, DI
	CMPL	DI, BP
	JCS	next
	JMP	block
match:
	SUBL	$256, AX
	MOVL	AX, CX
	ANDL	$7, AX
	SHRL	$3, CX
	ADDL	$2, AX
	CMPL	AX, $9
	JEQ	long
distance:
	MOVL	AX, LENGTH
	CMPL	CX, $3
	JCS	repeat
	LEAL	-3(CX), AX
	VALUE(FIRSTDIST, DISTBITS)
	MOVL	LAST1, AX
	MOVL	AX, LAST2
	MOVL	LAST0, AX
	MOVL	AX, LAST1
copy:
	MOVL	DX, LAST0
	MOVL	LENGTH, CX
	LEAL	(DI)(CX*1), AX
	CMPL	AX, BP
	JHI	damaged
	MOVL	DI, AX
	SUBL	DX, AX
	JCS	damaged
	CMPL	AX, LOW
	JCS	damaged
	CMPL	DX, $16
	JCS	bytes
sixteen:				// up to 15 bytes too many; the packer made room
	MOVOU	(AX), X0
	MOVOU	X0, (DI)
	CMPL	CX, $16
	JLS	copied
	ADDL	$16, AX
	ADDL	$16, DI
	SUBL	$16, CX
	JMP	sixteen
bytes:
	MOVB	(AX), DX
	MOVB	DX, (DI)
	ADDL	$1, AX
	ADDL	$1, DI
	SUBL	$1, CX
	JNE	bytes
copied:
	ADDL	CX, DI
	CMPL	DI, BP
	JCS	next
	JMP	block
repeat:
	MOVL	LAST0, DX
	SUBL	$1, CX
	JCS	copy
	MOVL	LAST1, AX		// moves leave the flags
	MOVL	DX, LAST1
	MOVL	AX, DX
	JEQ	copy
	MOVL	LAST2, DX
	MOVL	AX, LAST2
	JMP	copy
long:
	MOVL	CX, SLOT
	PEEK
	SYMBOL(LENTAB)
	VALUE(FIRSTLEN, LENBITS)
	MOVL	DX, AX
	MOVL	SLOT, CX
	JMP	distance

unpacked:
	JNE	damaged

	// Addresses in the code become relative again. Four bytes at once are looked at for one that is E8 or, with its bits 3 to 5
	// cleared, 05: (x - 01010101) & ^x has bit 7 of the first byte set that is 0, and of none before it.
	MOVL	CODE, SI
	MOVL	CODEEND, BP
	MOVL	LOW, BX
scan:
	CMPL	SI, BP
	JCC	scanned
	MOVL	(SI), AX
	MOVL	AX, DX
	ANDL	$0xc7c7c7c7, DX
	XORL	$0x05050505, DX
	LEAL	-0x01010101(DX), CX
	NOTL	DX
	ANDL	DX, CX
	XORL	$0xe8e8e8e8, AX
	LEAL	-0x01010101(AX), DX
	NOTL	AX
	ANDL	AX, DX
	ORL	DX, CX
	ANDL	$0x80808080, CX
	JNE	address
	ADDL	$4, SI
	JMP	scan
address:
	BSFL	CX, CX
	SHRL	$3, CX
	ADDL	CX, SI
	CMPL	SI, BP
	JCC	scanned
	MOVL	1(SI), AX
	ADDL	$5, SI			// the next instruction
	MOVL	SI, DX
	SUBL	BX, DX
	CMPL	AX, SIZE
	JCS	relative
	LEAL	(AX)(DX*1), CX
	CMPL	CX, DX
	JCC	scan
	ADDL	SIZE, AX
	MOVL	AX, -4(SI)
	JMP	scan
relative:
	SUBL	DX, AX
	MOVL	AX, -4(SI)
	JMP	scan
scanned:

	// Places in the table of functions and in their records; BX is the furthest in the pc-value tables.
	MOVL	FUNCS, SI
	XORL	BX, BX
function:
	SUBL	$1, FUNCCOUNT
	JCS	functions
	ADDTO((SI), PC)
	ADDTO(4(SI), RECORD)
	ADDL	$8, SI
	MOVL	AX, DI
	ADDL	FUNCS, DI
	CMPL	DI, DATA
	JCC	damaged
	ADDTO((DI), FIRSTPC)
	ADDTO(4(DI), NAME)
	MOVL	28(DI), DX		// how many more than three places
	ADDL	$16, DI
	MOVL	$3, CX
place:
	MOVL	(DI), AX
	TESTL	AX, AX
	JEQ	placed			// there is none
	JMI	before
	ADDL	AX, BX
	MOVL	BX, (DI)
	JMP	placed
before:
	LEAL	1(BX)(AX*1), AX
	MOVL	AX, (DI)
placed:
	ADDL	$4, DI
	SUBL	$1, CX
	JNE	place
	ADDL	$16, DI			// they follow the record
	MOVL	DX, CX
	XORL	DX, DX
	TESTL	CX, CX
	JNE	place
	JMP	function
functions:

	// The tables' values and pcs, one after the other again.
	MOVL	TABLES, SI
	MOVL	TABEND, CX
	MOVL	CX, BP
	SUBL	SI, CX
	JEQ	joined
	ADDL	$3, CX
	SHRL	$2, CX
	MOVL	SPARE, DI
	REP;	MOVSL
	MOVL	SPARE, SI
	MOVL	SI, BX
	ADDL	VALUES, BX
	MOVL	TABLES, DI
value:
	MOVB	(SI), AX
	ADDL	$1, SI
	MOVB	AX, (DI)
	ADDL	$1, DI
	TESTB	$0x80, AX
	JNE	value
pc:
	MOVB	(BX), AX
	ADDL	$1, BX
	MOVB	AX, (DI)
	ADDL	$1, DI
	TESTB	$0x80, AX
	JNE	pc
	CMPL	DI, BP
	JCC	damaged
	CMPB	(SI), $0
	JNE	value
	MOVB	$0, (DI)
	ADDL	$1, SI
	ADDL	$1, DI
	CMPL	DI, BP
	JCS	value
joined:

	XORL	AX, AX
	MOVL	$WORK, DI
	MOVL	$((WORKEND-WORK)/4), CX
	REP;	STOSL
	MOVL	DATA, DI
	MOVL	TOP, CX
	SUBL	DI, CX
	MOVL	CX, DX
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
	MOVL	SMALL, SI
	JMP	say
taken:
	MOVL	TAKEN, SI
	JMP	say
damaged:
	MOVL	DAMAGED, SI
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
