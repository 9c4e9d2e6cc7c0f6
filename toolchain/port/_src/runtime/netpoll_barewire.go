package runtime

import (
	"internal/runtime/atomic"
	"unsafe"
)

// The network poller without epoll. A descriptor's pollDesc is handed to the kernel (sys) when it is opened;
// the kernel calls barewire_pollReady where Linux would wake an epoll waiter. There is no ring of events in
// between: readiness makes the waiting goroutine runnable at once. netpoll itself is where an idle CPU waits for
// interrupts.

// Set by sys by linkname. They return 0 or an errno; EPERM says the descriptor cannot be polled.
//
//go:linkname pollOpenHook
//go:linkname pollCloseHook
var (
	pollOpenHook  func(fd uintptr, pd uintptr) int32
	pollCloseHook func(fd uintptr) int32
)

func netpollinit() {}

func netpollIsPollDescriptor(fd uintptr) bool { return false }

func netpollopen(fd uintptr, pd *pollDesc) int32 {
	if pollOpenHook == nil {
		return _EPERM
	}
	return pollOpenHook(fd, uintptr(unsafe.Pointer(pd)))
}

func netpollclose(fd uintptr) int32 {
	if pollCloseHook == nil {
		return 0
	}
	return pollCloseHook(fd)
}

func netpollarm(pd *pollDesc, mode int) { throw("runtime: netpollarm: not used") }

// barewire_pollReady wakes who waits on pd: mode is 'r', 'w' or 'r'+'w'. Call it from a goroutine, never from an
// interrupt. A pd that has been closed since is harmless: pollDescs are never freed, and waiters check again.
//
//go:linkname barewire_pollReady
func barewire_pollReady(pd uintptr, mode int32) {
	var list gList
	delta := netpollready(&list, (*pollDesc)(unsafe.Pointer(pd)), mode)
	netpollAdjustWaiters(delta)
	for !list.empty() {
		goready(list.pop(), 3)
	}
}

// netpollBreak ends another M's wait.
//
//go:nowritebarrierrec
func netpollBreak() {
	if bwNCPU == 1 {
		return // nobody else waits
	}
	atomic.Store(&bwPollBreak, 1)
	if cpu := atomic.Load(&bwPoller); cpu != 0 {
		bwKick(&bwCPUs[cpu-1])
	}
}

// netpoll waits for interrupts up to delay ns (for ever if negative) and returns this CPU's interrupt goroutine when
// there is work for it.
func netpoll(delay int64) (gList, int32) {
	var list gList
	c := bwThis()
	if delay != 0 {
		until := int64(maxWhen)
		if delay > 0 {
			until = nanotime() + delay
			if until < 0 || until > maxWhen {
				until = maxWhen
			}
		}
		atomic.Store(&bwPoller, c.id+1)
		if atomic.Load(&bwPollBreak) == 0 {
			bwIdle(until, bwKicked|bwPending)
		}
		atomic.Store(&bwPoller, 0)
		atomic.Store(&bwPollBreak, 0)
	}
	if gp := c.irqTake(); gp != nil {
		list.push(gp)
	}
	return list, 0
}

const _EPERM = 1
