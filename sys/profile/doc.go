// Package profile answers who asks where an image's time and memory go: it is
// the other end of "barewire profile".
//
// # Contract
//
// Like package dhcp it lives above the system call: a first process that uses
// package net and runtime/pprof as any program may, so that the program beside
// it stays unmodified. It is linked in only by "barewire build -profile", and
// does nothing unless the boot parameter barewire.pprof asks for it:
//
//	barewire.pprof=6060           listen on TCP port 6060 of every address
//	barewire.pprof=10.0.0.2:6060  ... of one address
//	barewire.pprof=console:10     profile the first 10 s, print the profiles on the console
//
// Whoever reaches the port may read profiles, which tell names of functions and
// the command line's effects but no data. It is said on the console.
//
// # The port
//
// It speaks as much HTTP as "go tool pprof", curl and a browser need, without
// package net/http: that would be most of a small image, and its pprof package
// would appear on the program's own port. The paths are those of net/http/pprof,
// below /debug/pprof/: profile (the processor), heap, allocs, goroutine,
// threadcreate, block, mutex and trace, with the parameters seconds, debug and
// gc. Two more are text: metrics, the pauses of the collector and the latency
// of the scheduler, and counters, what the kernel counts of interrupts, polls
// and notifications. With seconds=N metrics are of that time only, and block
// and mutex record for that long: nothing records them otherwise.
//
// # The clock of the profile
//
// Samples are taken by the timer interrupt, 100 a second of each processor that
// runs a goroutine: also in the goroutine that serves interrupts and softirqs,
// which shows as runtime.goexit ← barewire/board/microvm.irqThread. An idle
// processor gives none.
package profile
