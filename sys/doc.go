// Package sys is the system-call layer: the table of Linux calls an unmodified
// Go program makes, the files behind its descriptors, and the way from a file's
// readiness to the Go runtime's poller.
//
// # A call
//
// The runtime port turns the SYSCALL instruction into a plain Go call of
// [Kernel.Syscall] on the goroutine of the caller:
//
//	syscall.Syscall6 → Kernel.Syscall → callTable[num] → one function per call
//
// Such a function may allocate and may block; blocking parks the goroutine and
// nothing else. Results and errnos are Linux's for amd64, checked in Linux's
// order. A number without a function is ENOSYS, counted ([Kernel.Stats]) and,
// with Config.Debug, reported once by name.
//
// # User memory
//
// "User" addresses are Go pointers of the same address space. They become
// slices in uaccess.go and nowhere else: null and everything else in page 0,
// wrapping ranges and addresses outside of Config.TaskStart and TaskSize are EFAULT; lengths are
// bounded by maxRWCount as in Linux. What is checked is copied first, so that
// a program changing it meanwhile fools only itself.
//
// # Files
//
// A descriptor table ([Kernel] has one: there is one process) holds *File with
// a reference count; what a file does is its fileOps: console, device node,
// pipe, eventfd, epoll, socket. Lookup takes no lock; closing a descriptor
// while another goroutine is in a call on it is safe, the file ends with the
// last call.
//
// # Paths
//
// The tree is package vfs: what initramfs archives brought (package cpio),
// /dev, a few files of /etc, and what is made when it is looked at: /proc,
// with /proc/net from the namespace's proc.Table and /proc/sys from its
// sysctl.Table, and /sys/class/net. A generated file's text is made by the
// first read. Files live in memory, bounded by Config.FilesMax and MaxInodes.
//
// # Readiness
//
// Every file has a waitQueue. A socket's comes to life from softirq context
// (Socket.SetNotify), so waking never blocks and holds no lock: the waiters are
// an immutable snapshot. Waiters are goroutines inside a blocking read, poll
// and select, epoll items, and the runtime's poll descriptors ([Kernel.PollOpen]),
// which are woken with Config.PollReady.
//
// # Not here
//
// There is one process and no signals: fork, exec, wait and signal delivery do
// not exist. Mounts, namespaces and users other than root are what boot made
// them: mount and setns are EPERM.
package sys
