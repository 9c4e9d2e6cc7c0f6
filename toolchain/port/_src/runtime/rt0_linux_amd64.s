#include "textflag.h"

// The ELF entry point. A PVH loader enters here in 32-bit protected mode with paging off and
// EBX = hvm_start_info, so the only thing that may be done is a jump whose encoding is the same in 32 and 64
// bits; the board's cpuinit brings the CPU to long mode and jumps to runtime·rt0_go.
TEXT _rt0_amd64_linux(SB),NOSPLIT|NOFRAME,$0
	JMP	cpuinit(SB)
