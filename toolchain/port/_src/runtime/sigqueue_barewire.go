package runtime

import (
	"internal/runtime/atomic"
	"unsafe"
)

// os/signal's receiver waits as a goroutine: there is no thread to block. The stock code has such notes for Darwin; the
// edits of sigqueue.go take that way here too.

// A note's key is 0, noteSet, or the waiting g.
const noteSet = 1

func sigNoteSetup(n *note) { atomic.Storeuintptr(&n.key, 0) }

func sigNoteSleep(n *note) {
	for atomic.Loaduintptr(&n.key) != noteSet {
		gopark(func(gp *g, lock unsafe.Pointer) bool {
			return atomic.Casuintptr(&(*note)(lock).key, 0, uintptr(unsafe.Pointer(gp)))
		}, unsafe.Pointer(n), waitReasonZero, traceBlockGeneric, 1)
	}
	atomic.Storeuintptr(&n.key, 0)
}

func sigNoteWakeup(n *note) {
	if old := atomic.Xchguintptr(&n.key, noteSet); old != 0 && old != noteSet {
		goready((*g)(unsafe.Pointer(old)), 1)
	}
}

// barewire_signal delivers signal s to os/signal's channels, as kill(getpid(), s) does. It reports false
// if nobody asked for s; the caller then takes the default action. Goroutine context only.
//
//go:linkname barewire_signal
func barewire_signal(s uint32) bool { return sigsend(s) }
