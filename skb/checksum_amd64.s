#include "textflag.h"

// func sumAVX2(p *byte, n int) (a, b uint64)
//
// The sums a and b of CsumPartial, four words at a time: n is a multiple of 128, and not 0.
TEXT ·sumAVX2(SB), NOSPLIT, $0-32
	MOVQ p+0(FP), SI
	MOVQ n+8(FP), CX
	VPXOR Y0, Y0, Y0 // a
	VPXOR Y1, Y1, Y1 // b
	VPXOR Y2, Y2, Y2 // a and b of every other 32 bytes, so that additions need not wait for each other
	VPXOR Y3, Y3, Y3
loop:
	VMOVDQU (SI), Y4
	VMOVDQU 32(SI), Y5
	VMOVDQU 64(SI), Y6
	VMOVDQU 96(SI), Y7
	VPADDQ Y4, Y0, Y0
	VPADDQ Y5, Y2, Y2
	VPSRLQ $32, Y4, Y4
	VPSRLQ $32, Y5, Y5
	VPADDQ Y6, Y0, Y0
	VPADDQ Y7, Y2, Y2
	VPSRLQ $32, Y6, Y6
	VPSRLQ $32, Y7, Y7
	VPADDQ Y4, Y1, Y1
	VPADDQ Y5, Y3, Y3
	VPADDQ Y6, Y1, Y1
	VPADDQ Y7, Y3, Y3
	ADDQ $128, SI
	SUBQ $128, CX
	JNE loop

	VPADDQ Y2, Y0, Y0
	VPADDQ Y3, Y1, Y1
	VEXTRACTI128 $1, Y0, X2
	VEXTRACTI128 $1, Y1, X3
	VPADDQ X2, X0, X0
	VPADDQ X3, X1, X1
	VPSRLDQ $8, X0, X2
	VPSRLDQ $8, X1, X3
	VPADDQ X2, X0, X0
	VPADDQ X3, X1, X1
	VMOVQ X0, a+16(FP)
	VMOVQ X1, b+24(FP)
	VZEROUPPER
	RET

// func cpuid(leaf, sub uint32) (eax, ebx, ecx, edx uint32)
TEXT ·cpuid(SB), NOSPLIT, $0-24
	MOVL leaf+0(FP), AX
	MOVL sub+4(FP), CX
	CPUID
	MOVL AX, eax+8(FP)
	MOVL BX, ebx+12(FP)
	MOVL CX, ecx+16(FP)
	MOVL DX, edx+20(FP)
	RET

// func xgetbv() uint32
TEXT ·xgetbv(SB), NOSPLIT, $0-4
	XORL CX, CX
	XGETBV
	MOVL AX, ret+0(FP)
	RET
