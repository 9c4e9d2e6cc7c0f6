// Package guest measures barewire beside what a user would run instead, in the
// same minutes on the same QEMU: a Linux guest with Debian's kernel, gVisor's
// netstack on barewire's board and driver, and a reflector that shows what QEMU
// and the ring can carry at all.
//
// All have the same virtual machine, the same cards with the same offloads, and
// the same load, made on the host's side of a TAP device in a network namespace
// of its own. They take turns, round by round, so that what else the host does
// meets all of them alike; medians are compared, and only with each other.
package guest
