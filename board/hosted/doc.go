// Package hosted is the platform for running the stack inside a Linux process:
// network devices that need no virtual machine.
//
//   - [Wire] is a cable in memory between two or more stacks, with seeded loss,
//     duplication, reordering, corruption, delay and rate. It uses package time
//     and nothing else that waits, so inside a testing/synctest bubble it runs
//     in virtual time.
//   - [Tap] is a Linux TAP device with the vnet header: the host's kernel is at
//     the other end, and checksum and segmentation offloads pass through.
//
// # Contract
//
// Both give a [barewire/napi.NetDevice] that behaves as a driver's does. A
// frame that arrives is an skb in pages of the *receiving* stack's pool, with
// skb.Pad bytes of headroom, put on a bounded queue from any goroutine; NAPI
// takes it from there in softirq context. What is transmitted is copied out
// before StartXmit returns, so transmit queues never stop. Nothing is
// allocated per packet in the steady state.
//
// This package may import skb and napi, which the rest of board may not: a
// hosted platform has no device registers between it and the stack. What it
// has to offer is the network device itself.
package hosted
