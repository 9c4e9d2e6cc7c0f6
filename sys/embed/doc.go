// Package embed runs the stack inside another Go program: its system calls as
// functions, its wire as IP packets in and out, with the caller's clock and
// randomness. docs/embedding.md shows how.
//
//	clock := hosted.NewVirtualClock()
//	in, err := embed.New(embed.Config{Clock: clock})
//	tun, err := in.NewTun("tun0", func(packet []byte) { ... })
//	err = tun.Up(netip.MustParsePrefix("192.0.2.1/24"))
//	fd, err := in.Sys.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
//	r, errno := in.Syscall(syscall.SYS_LISTEN, uintptr(fd), 5, 0, 0, 0, 0)
//	err = tun.Receive(packet)
//	err = in.SetSysctl("net.ipv4.tcp_sack", "0")
//
// An Instance is one network namespace with one process above it. It shares
// nothing with others, so a program may have many, and tests may run in
// parallel.
//
// # Time
//
// With a clock of real time the stack has a goroutine of its own, calls block
// the goroutine that makes them, and packets leave on any goroutine. With a
// [barewire/board/hosted.VirtualClock] the softirqs run when everybody sleeps,
// within VirtualClock.Run: what blocks, or waits for packets or timers, happens
// there or on a goroutine started by VirtualClock.Go. Calls that do not block
// may be made from anywhere.
package embed
