// Package sock is the protocol-independent socket layer: the [Socket] that a
// file descriptor stands for, the [Sock] below it that the protocols work on,
// and the table of address families (Linux: net/socket.c and net/core/sock.c).
//
// # Two halves
//
// A [Socket] is the half that faces system calls. It knows its family, type and
// protocol and sends every call through the [Ops] its family gave it (struct
// proto_ops). A [Sock] is the half that faces packets: queues, memory
// accounting, options, pending error, the owner lock.
//
// # Addresses and errors
//
// Socket addresses are raw bytes, laid out as the Linux ABI has them (struct
// sockaddr_in and so on), because each family has its own; the family parses
// them. Every error that leaves this package is a syscall.Errno with the value
// Linux would return.
//
// # Blocking
//
// A call that must wait blocks the calling goroutine, unless the message
// carries MSG_DONTWAIT: then it fails with EAGAIN. SO_RCVTIMEO and SO_SNDTIMEO
// bound the wait. No lock is held while waiting and none across a wake-up.
//
// # Readiness
//
// [Socket.Poll] returns the events that hold now, [Socket.SetNotify] installs a
// function called when one may have become true. Notifications are edges and
// may be spurious; they are never lost: whoever saw EAGAIN is told when to try
// again.
//
// # Error queue
//
// What a program reads with MSG_ERRQUEUE: ICMP errors with the packet they are
// about (IP_RECVERR), the times its packets were sent (SO_TIMESTAMPING,
// txtime.go), and that memory it sent from is free again (MSG_ZEROCOPY). The
// queue counts against SO_RCVBUF.
//
// # Contexts
//
// Packets arrive in softirq context, which must not block. The owner lock
// ([Sock.Lock]) belongs to system calls; softirq code takes [Sock.BHLock] and,
// when the sock is owned, leaves its packet on the backlog, which the owner
// works off in [Sock.Unlock]. UDP needs the owner lock only where a call
// changes addresses; its receive queue has its own short lock.
package sock
