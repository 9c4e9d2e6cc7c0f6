package skb

import "unsafe"

// sumAVX2 is sumWords for n bytes at p, a multiple of 128 that is not 0.
//
//go:noescape
func sumAVX2(p *byte, n int) (a, b uint64)

// cpuid executes CPUID.
func cpuid(leaf, sub uint32) (eax, ebx, ecx, edx uint32)

// xgetbv returns the lower half of XCR0: what state the system keeps. Only where CPUID tells of OSXSAVE.
func xgetbv() uint32

// wideSum: the processor adds four words at a time. // read-only
var wideSum = hasAVX2()

// hasAVX2 reports whether AVX2 is there, and a processor to execute it: QEMU's emulator knows the instructions
// too, but calls a function for each.
func hasAVX2() bool {
	const osxsave, avx, hypervisor, ymm, avx2 = 1 << 27, 1 << 28, 1 << 31, 6, 1 << 5
	most, _, _, _ := cpuid(0, 0)
	_, _, c, _ := cpuid(1, 0)
	if most < 7 || c&(osxsave|avx) != osxsave|avx || xgetbv()&ymm != ymm {
		return false
	}
	if c&hypervisor != 0 {
		if _, b, c, d := cpuid(0x40000000, 0); b == 0x54474354 && c == 0x43544743 && d == 0x47435447 { // TCGTCGTCGTCG
			return false
		}
	}
	_, b, _, _ := cpuid(7, 0)
	return b&avx2 != 0
}

// sumMost adds what of p the processor's wide registers are worth, and returns the rest.
func sumMost(p []byte) (a, b uint64, rest []byte) {
	if n := len(p) &^ 127; wideSum && n >= 256 { // below, saving the call is worth more
		a, b = sumAVX2(unsafe.SliceData(p), n)
		return a, b, p[n:]
	}
	return 0, 0, p
}
