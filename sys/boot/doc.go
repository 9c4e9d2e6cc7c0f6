// Package boot is start_kernel without the machine: from the values and
// functions a board provides it makes the stack and the system-call interface,
// in Linux's order, and says on the console what it did.
//
//	command line → memory, clock, randomness → device layer, ksoftirqd
//	→ Internet family, netlink → virtio devices → interfaces up → ip= → system calls
//
// It is plain Go and runs under go test over a device model; package start
// feeds it the real machine.
//
// Nothing here ends the machine. What does not work is said in one line that
// names the cause and, where there is one, the cure; the program then runs
// without it, and finds its network calls failing as on a Linux host without a
// network.
//
// # Parameters
//
//	ip=...             address, gateway, netmask, host name, device, name servers
//	                   (package ipconfig); once for each device
//	ip=dhcp            the same from a DHCP server; the program waits up to 10 s
//	                   for it. Without any ip= the first device uses DHCP too,
//	                   and the program does not wait.
//	hostname=NAME      uname's node name
//	quiet              only what went wrong is printed
//	debug              system calls that are not implemented are reported, once each,
//	                   and what the machine is
//	sysctl.NAME=VALUE  a setting, as sysctl.net.ipv4.ip_forward=1
package boot
