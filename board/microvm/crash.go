//go:build tamago

package microvm

import (
	"runtime"
	"unsafe"

	"golang.org/x/arch/x86/x86asm"
)

// trapNames are the exceptions' names (Intel SDM vol. 3, table 6-1).
var trapNames = [...]string{
	0: "divide error", 1: "debug exception", 2: "non-maskable interrupt", 3: "breakpoint", 4: "overflow",
	5: "bound range exceeded", 6: "invalid opcode", 7: "device not available", 8: "double fault", 10: "invalid TSS",
	11: "segment not present", 12: "stack-segment fault", 13: "general protection", 14: "page fault",
	16: "x87 floating-point error", 17: "alignment check", 18: "machine check", 19: "SIMD floating-point exception",
	20: "virtualization exception", 21: "control protection exception",
}

// crashReport prints what the CPU knows of a fatal trap. It runs at the end of the runtime's own report.
func crashReport(heap bool, pc, trap, code, addr uintptr) {
	name := "unknown"
	if trap < uintptr(len(trapNames)) && trapNames[trap] != "" {
		name = trapNames[trap]
	}
	print("\ntrap ", trap, ": ", name, ", error code ", code)
	if trap == 14 {
		pageFault(code, addr)
	}
	print("\n")
	text, etext, _, _ := image()
	if pc < text || pc >= etext {
		print("instruction: none, PC is not in the program's code\n")
		return
	}
	b := unsafe.Slice(phys[byte](pc), min(16, etext-pc))
	print("instruction:")
	for _, c := range b {
		const digits = "0123456789abcdef"
		print(" ", digits[c>>4:c>>4+1], digits[c&15:c&15+1])
	}
	print("\n")
	if !heap {
		return
	}
	inst, err := x86asm.Decode(b, 64)
	if err != nil {
		print("instruction: ", err.Error(), "\n")
		return
	}
	print("instruction: ", x86asm.GoSyntax(inst, uint64(pc), symbol), " (", inst.Len, " bytes)\n")
}

// pageFault reads the error code of a page fault (Intel SDM vol. 3, 4.7).
func pageFault(code, addr uintptr) {
	what := "read of"
	switch {
	case code&16 != 0:
		what = "instruction fetch from"
	case code&2 != 0:
		what = "write to"
	}
	print(": ", what, " ", unsafe.Pointer(addr))
	guard := boot() + bootGuard
	switch {
	case addr < page:
		print(", page 0 (nil)")
	case addr >= guard && addr < guard+page:
		print(", the guard page under the system stack")
	case code&1 == 0:
		print(", not mapped")
	default:
		print(", not allowed there")
	}
}

// symbol names a function for the disassembler.
func symbol(addr uint64) (string, uint64) {
	if f := runtime.FuncForPC(uintptr(addr)); f != nil {
		return f.Name(), uint64(f.Entry())
	}
	return "", 0
}
