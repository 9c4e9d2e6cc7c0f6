package sys

import (
	"math/bits"
	"syscall"
	"unsafe"
)

// poll and select (Linux: fs/select.c).

// forever is the timeout that never comes.
const forever = -1

// pollOne is one file to wait for.
type pollOne struct {
	f       *File
	events  uint16 // wanted, with what is always reported
	revents uint16
}

// pollWait fills revents and returns how many files are ready, waiting up to
// timeout nanoseconds (forever: without end) for the first (Linux: do_poll). A
// nil file is skipped.
func (k *Kernel) pollWait(set []pollOne, timeout int64) int {
	if n := pollScan(set); n > 0 || timeout == 0 {
		return n
	}
	s := k.newSleeper()
	for i := range set {
		if f := set[i].f; f != nil {
			f.wait.add(s)
			defer f.wait.removeWaker(s)
		}
	}
	deadline := k.deadline(timeout)
	busyPoll(set)
	for {
		if n := pollScan(set); n > 0 {
			return n
		}
		if s.until(k.cfg.Clock, deadline) {
			return pollScan(set)
		}
	}
}

func pollScan(set []pollOne) int {
	n := 0
	for i := range set {
		p := &set[i]
		if p.f == nil {
			continue
		}
		if p.revents = p.f.ops.poll(p.f) & p.events; p.revents != 0 {
			n++
		}
	}
	return n
}

// pollfd is struct pollfd.
type pollfd struct {
	fd      int32
	events  uint16
	revents uint16
}

func sysPoll(k *Kernel, a args) (uintptr, Errno) {
	timeout := int64(forever)
	if ms := int32(a.a2); ms >= 0 {
		timeout = int64(ms) * 1e6
	}
	return k.poll(a.a0, uint32(a.a1), timeout)
}

func sysPpoll(k *Kernel, a args) (uintptr, Errno) {
	timeout, e := k.timeoutFrom(a.a2)
	if e != 0 {
		return 0, e
	}
	if e := k.signalMask(a.a3, a.a4); e != 0 {
		return 0, e
	}
	end := k.deadline(timeout)
	n, e := k.poll(a.a0, uint32(a.a1), timeout)
	k.timeLeft(a.a2, timeout, end, 1)
	return n, e
}

// signalMask checks the mask of a call that changes it while it waits (Linux:
// set_user_sigmask). No signal ever comes.
func (k *Kernel) signalMask(addr, size uintptr) Errno {
	const sigsetSize = 8
	if addr == 0 {
		return 0
	}
	if size != sigsetSize {
		return syscall.EINVAL
	}
	_, e := copyFrom[uint64](k, addr)
	return e
}

// timeLeft stores what is left of a timeout where it was read from, in seconds
// and units of so many nanoseconds (Linux: poll_select_finish). A timeout of
// zero stays as it is.
func (k *Kernel) timeLeft(addr uintptr, timeout, end, unit int64) {
	if timeout <= 0 {
		return
	}
	left := max(end-k.cfg.Clock.Now(), 0)
	copyTo(k, addr, syscall.Timespec{Sec: left / 1e9, Nsec: left % 1e9 / unit}) // of a timeval's size, too
}

// timeoutFrom reads a struct timespec as nanoseconds; a null one is forever.
func (k *Kernel) timeoutFrom(addr uintptr) (int64, Errno) {
	if addr == 0 {
		return forever, 0
	}
	ts, e := copyFrom[syscall.Timespec](k, addr)
	if e != 0 {
		return 0, e
	}
	return timespecNs(ts)
}

// timespecNs checks a relative time and returns it, saturated, in ns.
func timespecNs(ts syscall.Timespec) (int64, Errno) {
	if ts.Sec < 0 || ts.Nsec < 0 || ts.Nsec >= 1e9 {
		return 0, syscall.EINVAL
	}
	if ts.Sec >= 1<<33 { // 272 years
		ts.Sec = 1 << 33
	}
	return ts.Sec*1e9 + ts.Nsec, 0
}

func (k *Kernel) poll(addr uintptr, n uint32, timeout int64) (uintptr, Errno) {
	if int64(n) > k.files.limit.Load() {
		return 0, syscall.EINVAL
	}
	var fds []pollfd
	if n > 0 {
		if !k.accessOK(addr, uintptr(n)*unsafe.Sizeof(pollfd{})) {
			return 0, syscall.EFAULT
		}
		fds = unsafe.Slice((*pollfd)(userPtr(addr)), n)
	}
	set := make([]pollOne, n)
	bad := 0
	for i := range fds {
		fd := fds[i].fd
		fds[i].revents = 0
		if fd < 0 {
			continue
		}
		f, e := k.files.get(uintptr(fd))
		if e != 0 {
			fds[i].revents = pollNval
			bad++
			continue
		}
		defer f.put()
		set[i] = pollOne{f: f, events: fds[i].events | pollErr | pollHup}
	}
	if bad > 0 {
		timeout = 0
	}
	ready := k.pollWait(set, timeout)
	for i := range fds {
		if set[i].f != nil {
			fds[i].revents = set[i].revents
		}
	}
	return uintptr(ready + bad), 0
}

// What each of select's three sets waits for (Linux: POLLIN_SET and so on).
const (
	selectIn  = pollRdNorm | pollRdBand | pollIn | pollHup | pollErr
	selectOut = pollWrBand | pollWrNorm | pollOut | pollErr
	selectEx  = pollPri
)

func sysSelect(k *Kernel, a args) (uintptr, Errno) {
	timeout := int64(forever)
	if a.a4 != 0 {
		tv, e := copyFrom[syscall.Timeval](k, a.a4)
		if e != 0 {
			return 0, e
		}
		if tv.Sec < 0 || tv.Usec < 0 {
			return 0, syscall.EINVAL
		}
		tv.Sec, tv.Usec = tv.Sec+tv.Usec/1e6, tv.Usec%1e6
		timeout, e = timespecNs(syscall.Timespec{Sec: tv.Sec, Nsec: tv.Usec * 1e3})
		if e != 0 {
			return 0, e
		}
	}
	end := k.deadline(timeout)
	n, e := k.selectFds(int32(a.a0), [3]uintptr{a.a1, a.a2, a.a3}, timeout)
	k.timeLeft(a.a4, timeout, end, 1e3)
	return n, e
}

// sysPselect6 has its mask and the mask's size behind one pointer.
func sysPselect6(k *Kernel, a args) (uintptr, Errno) {
	var mask struct{ addr, size uintptr }
	if a.a5 != 0 {
		var e Errno
		if mask, e = copyFrom[struct{ addr, size uintptr }](k, a.a5); e != 0 {
			return 0, e
		}
	}
	timeout, e := k.timeoutFrom(a.a4)
	if e != 0 {
		return 0, e
	}
	if e := k.signalMask(mask.addr, mask.size); e != 0 {
		return 0, e
	}
	end := k.deadline(timeout)
	n, e := k.selectFds(int32(a.a0), [3]uintptr{a.a1, a.a2, a.a3}, timeout)
	k.timeLeft(a.a4, timeout, end, 1)
	return n, e
}

// selectFds is core_sys_select: three bit sets in, three out.
func (k *Kernel) selectFds(n int32, addrs [3]uintptr, timeout int64) (uintptr, Errno) {
	if n < 0 {
		return 0, syscall.EINVAL
	}
	// Bits beyond the descriptor table are not looked at.
	n = min(n, int32(len(*k.files.slots.Load())))
	words := (int(n) + 63) / 64
	want := [3]uint16{selectIn, selectOut, selectEx}
	var sets [3][]uint64
	for i, addr := range addrs {
		if addr == 0 || words == 0 {
			continue
		}
		if !k.accessOK(addr, uintptr(words)*8) {
			return 0, syscall.EFAULT
		}
		sets[i] = unsafe.Slice((*uint64)(userPtr(addr)), words)
	}
	var set []pollOne
	var fds []int
	for w := range words {
		var in [3]uint64
		for i := range sets {
			if sets[i] != nil {
				in[i] = sets[i][w]
			}
		}
		for all := in[0] | in[1] | in[2]; all != 0; all &= all - 1 {
			bit := bits.TrailingZeros64(all)
			fd := w*64 + bit
			if fd >= int(n) {
				break
			}
			f, e := k.files.get(uintptr(fd))
			if e != 0 {
				return 0, e
			}
			defer f.put()
			p := pollOne{f: f}
			for i := range in {
				if in[i]&(1<<bit) != 0 {
					p.events |= want[i]
				}
			}
			set = append(set, p)
			fds = append(fds, fd)
		}
	}
	k.pollWait(set, timeout)
	var out [3][]uint64
	for i := range sets {
		out[i] = make([]uint64, len(sets[i]))
	}
	total := 0
	for j := range set {
		w, bit := fds[j]/64, uint64(1)<<(fds[j]%64)
		for i := range sets {
			if sets[i] != nil && sets[i][w]&bit != 0 && set[j].revents&want[i] != 0 {
				out[i][w] |= bit
				total++
			}
		}
	}
	for i := range sets {
		copy(sets[i], out[i])
	}
	return uintptr(total), 0
}
