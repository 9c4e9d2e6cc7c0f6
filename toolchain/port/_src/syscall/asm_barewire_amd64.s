#include "textflag.h"

// func rawVforkSyscall(trap, a1, a2, a3 uintptr) (r1 uintptr, err Errno)
// There is one address space and one program: fork has no meaning.
TEXT ·rawVforkSyscall(SB),NOSPLIT,$0-48
	MOVQ	$-1, r1+32(FP)
	MOVQ	$38, err+40(FP)	// ENOSYS
	RET

// func rawSyscallNoError(trap, a1, a2, a3 uintptr) (r1, r2 uintptr)
TEXT ·rawSyscallNoError(SB),NOSPLIT,$0-48
	JMP	·bwRawSyscallNoError(SB)

// func gettimeofday(tv *Timeval) (err Errno)
TEXT ·gettimeofday(SB),NOSPLIT,$0-16
	JMP	·bwGettimeofday(SB)
