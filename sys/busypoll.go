package sys

import (
	"syscall"

	"barewire/inet/sock"
)

// Busy polling by calls that wait for packets; packages sock and napi do it.

// busyRead is called before a read from a socket. If busy polling is on and
// there is nothing to read, it polls the device for as long as the read would
// wait, at most the socket's time (Linux: sk_busy_loop in tcp_recvmsg and
// __skb_recv_datagram). A read that does not wait polls once; but that of a
// goroutine, which goes on to wait in the runtime's poller, is a read that waits,
// and net.core.busy_poll is for it too.
func (f *File) busyRead(s *sock.Socket, flags int) {
	if s.SK == nil {
		return
	}
	usecs := s.SK.BusyRead()
	dontwait := flags&syscall.MSG_DONTWAIT != 0
	if dontwait {
		if wait := s.SK.BusyWait(); wait > 0 && f.watched() {
			usecs = max(usecs, wait)
		}
	}
	if usecs == 0 || s.Poll()&pollIn != 0 {
		return
	}
	if dontwait && !f.watched() {
		usecs = 0
	}
	s.SK.BusyLoop(usecs, func() bool { return s.Poll()&(pollIn|pollErr|pollHup) != 0 })
}

// watched reports whether the runtime's poller waits for the file.
func (f *File) watched() bool {
	if l := f.wait.list.Load(); l != nil {
		for _, w := range *l {
			if _, ok := w.(*pollDesc); ok {
				return true
			}
		}
	}
	return false
}

// busyWaits returns for how many microseconds a wait for f is to poll its device
// first: net.core.busy_poll, or 0 if f is no socket or has no device yet.
func (f *File) busyWaits() int32 {
	if d, ok := f.ops.(*sockFile); ok && d.s.SK != nil && d.s.SK.HasNAPI() {
		return d.s.SK.BusyWait()
	}
	return 0
}

// busyPoll polls the device of the first file of set that is to be polled, until
// one is ready (Linux: POLL_BUSY_LOOP in do_poll).
func busyPoll(set []pollOne) {
	for i := range set {
		f := set[i].f
		if f == nil {
			continue
		}
		if usecs := f.busyWaits(); usecs > 0 {
			f.ops.(*sockFile).s.SK.BusyLoop(usecs, func() bool { return pollScan(set) > 0 })
			return
		}
	}
}

// busyPoll polls the device of a socket in the instance, until one is ready
// (Linux: ep_busy_loop).
func (ep *eventpoll) busyPoll() {
	var f *File
	usecs := int32(0)
	ep.mu.Lock()
	for _, it := range ep.items {
		if usecs = it.key.f.busyWaits(); usecs > 0 && !it.dead && it.key.f.tryGet() {
			f = it.key.f
			break
		}
		if d, ok := it.key.f.ops.(*sockFile); ok && d.s.SK != nil && d.s.SK.BusyWait() == 0 {
			break // it is off, for all of them
		}
	}
	ep.mu.Unlock()
	if f == nil {
		return
	}
	f.ops.(*sockFile).s.SK.BusyLoop(usecs, func() bool { return ep.poll(nil) != 0 })
	f.put()
}
