//go:build tamago

package microvm

import (
	"runtime/goos"
	_ "unsafe" // for go:linkname

	"barewire/board/acpi"
	"barewire/board/pvh"
)

// setup is the board's first Go code: on the boot stack, before the heap, before interrupts. Nothing here
// may allocate.
//
//go:linkname setup runtime/goos.Hwinit0
func setup() {
	goos.Exit = exit
	hookSetStacks = setStacks
	hookCrash = crashReport
	hookIPI = sendIPI
	hookStop = stopOthers
	wrmsr(msrGSBase, uint64(cpuBase(0)))
	uartSetup()
	cpuSetup()
	descSetup()
	if err := pvh.Parse(early, startInfo, &info); err != nil {
		failErr(err)
	}
	if info.RSDP != 0 {
		acpi.Parse(acpi.Memory(early), info.RSDP, &platform) // without ACPI the PC's fixed places have to do
	}
	apicFind()
	clockSetup()
	argsSetup()
	memorySetup()
	if apic.base != 0 && MapMMIO(apic.base, page) == nil {
		fail("the local APIC cannot be mapped")
	}
	timerSetup()
	startCPUs()
	if CPUs() > 1 {
		growTLB() // now, for afterwards a goroutine does not know where it runs
	}
}

// The rest of what goos asks a board for has its place elsewhere here; these are called by nobody.

//go:linkname hwinit1 runtime/goos.Hwinit1
func hwinit1() {}

//go:linkname initRNG runtime/goos.InitRNG
func initRNG() {}

// fail ends a boot that cannot go on.
func fail(why string) {
	print("barewire: cannot boot: ", why, "\n")
	exit(2)
}

func failErr(err error) { fail(err.Error()) }
