// Package start is the kernel's entry: importing it links the kernel into a
// program. The image builder adds that import to the program's package main.
//
// On an image (build tag tamago) its init function hands the machine that
// board/microvm found to package boot and hangs the result into the runtime:
// system calls, the poller, interrupts. That happens during package
// initialisation, before main and before most of the program's packages; the
// board's own answers serve what comes earlier. For other targets the package
// does nothing, and there is no [System].
package start
