//go:build tamago

package microvm

// CPUs is the number of processors that run: 1, and more where the machine has more that came up. It does not change after
// the board's init. Linux's parameters nosmp and maxcpus=N limit it.
func CPUs() int { return 1 }

// CPU is the index of the processor that the caller runs on now, from 0. It is a hint: a goroutine may be moved after the call.
func CPU() int { return 0 }

// apicID is the local APIC of a CPU.
func apicID(cpu int) uint32 { return apic.id }
