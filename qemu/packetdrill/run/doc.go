// Package run makes a packetdrill script happen to a kernel and says whether the
// kernel did what the script wants.
//
// The [Kernel] under test is this stack in process and in virtual time
// ([NewBarewire]) or the Linux kernel of the machine, in a network namespace with
// a TUN device ([NewLinux]). The first judges the stack; the second shows that
// the runner and the scripts are right.
//
// Times, sequence numbers, ports and timestamps of a script are its own. The
// runner translates: the script's numbers are counted from the start of a
// connection, the kernel's from what it chose.
package run
