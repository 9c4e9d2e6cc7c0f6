// Package ipconfig reads the ip= parameter of the Linux kernel command line and
// configures a stack from it (Linux: net/ipv4/ipconfig.c;
// Documentation/admin-guide/nfs/nfsroot.rst).
//
//	ip=<client>:<server>:<gateway>:<netmask>:<hostname>:<device>:<autoconf>:<dns0>:<dns1>:<ntp0>
//	ip=off | none | on | any | dhcp
//
// The parameter may be given once for each device. on, any and dhcp, and a word
// without a client address, ask for DHCP; the client itself is above the system
// calls (package dhcp), and boot is told what it was given.
//
// Fields may be empty and trailing ones left out. Linux skips what it does not
// understand; here a field that makes no sense is an error that names it, since
// a host that silently has no address cannot be asked why.
package ipconfig
