// Package microvm is the board: it brings an x86-64 virtual machine (QEMU microvm and q35, Firecracker, Cloud
// Hypervisor) from the loader's first jump to a running Go program, and gives the kernel above it memory, time,
// interrupts, the console and a list of devices. Everything here is compiled for images only (build tag tamago).
//
// # Boot
//
// The loader enters cpuinit (entry_amd64.s) by the PVH protocol: long mode, an identity map of the first 4 GiB,
// the boot stack, then the runtime's rt0_go. The runtime calls [setup] (goos.Hwinit0) before its heap exists: start info,
// memory map, final page tables, descriptor tables, ACPI tables, clock, command line. Package init then starts
// the interrupt goroutine. tamago's goos, lapic and uart packages are used as they are; its amd64 package is not: its
// interrupts come through os/signal, its page tables need 1 GiB pages, its clock panics without kvmclock.
//
// # Processors
//
// setup also starts the other CPUs that ACPI lists (smp.go), one after another; each loads its own descriptor tables and
// halts until the runtime gives it an M. [CPUs] and [CPU] tell how many run and which one the caller is on. What they share here is either
// written before they start (tables, the clock's first rate), or has a lock: the I/O APICs' registers, PCI configuration, page tables.
//
// # Memory layout
//
// Virtual is physical everywhere (a device may be given any Go pointer; the heap does not move).
//
//	0                   not mapped: a nil dereference faults
//	0x1000-0x9ffff      conventional memory, read-write, not used but for one page that the other CPUs start in
//	0x200000-           the image: text read-execute, constants read-only, data read-write
//	                    within its data: the boot stack, with an unmapped guard page below it
//	all other RAM       read-write, never executable; 2 MiB pages, 4 KiB at edges; page tables first, then the Go heap;
//	                    modules (initrd) stay where the loader put them, outside of the heap
//	devices             mapped on request (MapMMIO), uncached, read-write, never executable
//
// # Interrupts
//
// A handler is a function run in goroutine context by its CPU's interrupt goroutine, never in the ISR:
//
//	err := dev.MMIO.RequestIRQ(func() bool { ... })          // a virtio-mmio slot's line, by RequestIRQ(IRQ{GSI: n}, ...)
//	err := dev.PCI.RequestVector(entry, cpu, func() { ... }) // an MSI-X table entry, by RequestMSI
//
// [Devices] returns the devices with these functions bound. A line's handler returns whether its device had asked (shared lines have several handlers; all are called). It may take locks
// and allocate, but should only acknowledge the device and schedule the rest (napi): all handlers of a round run one
// after another, then the function given to [IRQHooks] as exit runs once (the softirq exit). Nothing is lost: a level-triggered
// line is masked by the ISR and unmasked after its handlers have run, so an interrupt that comes in between comes again; a message
// (MSI-X) that comes while its handler runs makes another round. A line that nobody claims 1000 times in a row is
// shut off, with a message on the console.
//
// # Time
//
// runtime nanotime is the TSC scaled: the frequency comes from the hypervisor's CPUID leaf, pvclock, or a measurement against
// the PIT or ACPI PM timer that goes on while the machine runs, without ever stepping backwards. [WallClock] starts from the RTC.
//
// # Faults
//
// Exceptions become the signals Linux would send (toolchain/port/_src/runtime/trap_barewire.go): a nil dereference, a division by
// zero in a goroutine are panics. What is fatal ends with registers, the goroutine's traceback, the trap's name and the instruction, and
// status 2. Double fault, NMI and machine check have stacks of their own. An NMI (QEMU's "nmi" command) shows where a
// machine hangs: all goroutines, then the end.
//
// # Exit status
//
// [Exit] writes the code to QEMU's isa-debug-exit device at port 0xf4 if it is there (QEMU then ends with code<<1|1),
// else it prints "barewire: exit status N" and resets the machine, which -no-reboot turns into an end.
package microvm
