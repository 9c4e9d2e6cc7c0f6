// Package bench measures barewire beside what a user would run instead, in the
// same minutes on the same QEMU: a Linux guest with Debian's kernel, gVisor's
// netstack on barewire's board and driver, and a reflector that shows what QEMU
// and the ring can carry at all. It is a module of its own, so that what the
// peers depend on stays out of the product's.
package bench
