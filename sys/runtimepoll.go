package sys

import "syscall"

// pollDesc is the waker that stands for one runtime.pollDesc.
type pollDesc struct {
	k  *Kernel
	fd uint32
	pd uintptr
}

// wakeup marks the descriptor ready, mapping events to directions as the
// runtime does with epoll's (runtime/netpoll_epoll.go). The runtime takes
// readiness as an edge and tries again, so a spurious one costs one EAGAIN.
func (p *pollDesc) wakeup(events uint16) {
	var mode int32
	if events&(pollIn|pollRdHup|pollHup|pollErr) != 0 {
		mode += 'r'
	}
	if events&(pollOut|pollHup|pollErr) != 0 {
		mode += 'w'
	}
	if mode != 0 {
		p.k.cfg.PollReady(p.pd, mode)
	}
}

// PollOpen ties the runtime's poll descriptor pd to the file behind fd. It
// returns 0, EBADF, or EPERM for a file that cannot be polled. What the file is
// ready for now is reported before it returns.
func (k *Kernel) PollOpen(fd, pd uintptr) int32 {
	f, e := k.files.get(fd)
	if e != 0 {
		return int32(e)
	}
	defer f.put()
	if k.cfg.PollReady == nil || !f.ops.pollable() {
		return int32(syscall.EPERM)
	}
	p := &pollDesc{k: k, fd: uint32(fd), pd: pd}
	f.wait.add(p)
	// After add: an event in between is seen by one or the other.
	p.wakeup(f.ops.poll(f))
	return 0
}

// PollClose unties what PollOpen tied to fd. The runtime calls it before it
// closes the descriptor. It returns 0 or EBADF.
func (k *Kernel) PollClose(fd uintptr) int32 {
	f, e := k.files.get(fd)
	if e != 0 {
		return int32(e)
	}
	defer f.put()
	f.forgetFD(fd)
	return 0
}

// forgetFD drops the poll descriptors that were opened through fd, of which a
// file has one for each descriptor that was given to the runtime's poller.
func (f *File) forgetFD(fd uintptr) {
	for f.wait.remove(func(w waker) bool {
		p, ok := w.(*pollDesc)
		return ok && p.fd == uint32(fd)
	}) != nil {
	}
}
