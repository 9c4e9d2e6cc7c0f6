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
// # Namespaces
//
// A network namespace is a [Namespace], a stack of its own in the same image.
// unshare makes one and setns enters one, for the calling goroutine, which
// stands for a thread (netns.go); sockets, /proc/net, /proc/sys/net and
// /sys/class/net are those of the namespace the goroutine is in. Of the other
// kinds of namespaces there is one each.
//
// # Not here
//
// There is one process and no signals: fork, exec, wait and signal delivery do
// not exist. Users other than root do not either, nor mounts beside those boot
// made: mount is EPERM for all but a network namespace, which can be bound to a
// name.
package sys
