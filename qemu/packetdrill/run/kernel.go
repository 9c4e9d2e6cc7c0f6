package run

import (
	"syscall"
)

// Kernel is what a script is run against.
type Kernel interface {
	// Run calls the script's main line on a goroutine where all other methods
	// may be used.
	Run(f func()) error
	// Syscall makes a system call. Memory it points to is kept by the caller.
	Syscall(num uintptr, a [6]uintptr) (r uintptr, errno syscall.Errno)
	// Go runs a call that blocks beside the main line, done when it is over;
	// the main line may go on when it sleeps or has returned.
	Go(call, done func())
	// Wait blocks until ready says so or the time deadline has come. ready is
	// asked again after each done.
	Wait(deadline int64, ready func() bool)
	// Wall returns the time of day in nanoseconds.
	Wall() int64
	// Now returns the time in nanoseconds, SleepUntil waits for it.
	Now() int64
	SleepUntil(t int64)
	// Inject has an IP packet come in; with a size above 0 it stands for TCP
	// segments of so many bytes of data each, as a device merges them.
	Inject(packet []byte, size int) error
	// Packet returns the next packet that went out and when, waiting for it
	// until deadline; nil if there is none.
	Packet(deadline int64) (packet []byte, at int64)
	// Command runs shell commands in a folder.
	Command(line, dir string) error
	Close()
}

// outbox is what a kernel has sent and nobody has looked at.
type outbox []sent

type sent struct {
	packet []byte
	at     int64
}

// take removes the oldest packet; nil if there is none.
func (o *outbox) take() (packet []byte, at int64) {
	if len(*o) == 0 {
		return nil, 0
	}
	s := (*o)[0]
	*o = (*o)[1:]
	return s.packet, s.at
}
