#include "textflag.h"

// func Syscall6(num, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr)
TEXT ·Syscall6(SB),NOSPLIT,$0-80
	JMP	·syscall6(SB)

// func at(p uintptr) byte
TEXT ·at(SB),NOSPLIT,$0-9
	MOVQ	p+0(FP), AX
	MOVB	(AX), AX
	MOVB	AX, ret+8(FP)
	RET
