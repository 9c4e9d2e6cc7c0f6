package sys

import (
	"sync"
	"syscall"
)

// Pipes (Linux: fs/pipe.c): a ring of 64 KiB between two files.

const (
	pipeSize = 64 << 10
	pipeBuf  = 4096 // PIPE_BUF: writes up to this size are not torn apart
)

// pipe is what both ends share.
type pipe struct {
	mu      sync.Mutex
	buf     []byte // made at the first write
	r, n    int    // first byte and bytes stored
	lent    int    // bytes whose room is kept (splice.go)
	readers int
	writers int
	rf, wf  *File // the ends, to wake
}

// pipeEnd is one end. Which of read and write it can do is the access mode of
// its file.
type pipeEnd struct {
	baseFile
	p   *pipe
	out bool // the writing end
}

func (*pipeEnd) pollable() bool { return true }

// wakeReaders and wakeWriters wake the waiters of one end while it is open.
func (p *pipe) wakeReaders(ev uint16) {
	p.mu.Lock()
	f := p.rf
	p.mu.Unlock()
	if f != nil {
		f.wait.wake(ev)
	}
}

func (p *pipe) wakeWriters(ev uint16) {
	p.mu.Lock()
	f := p.wf
	p.mu.Unlock()
	if f != nil {
		f.wait.wake(ev)
	}
}

func (d *pipeEnd) read(f *File, iov [][]byte) (int, Errno) {
	if len(iov) == 0 {
		return 0, 0
	}
	n, e := f.k.block(f.wait, f.nonblock(), func() (int, Errno) { return d.p.take(iov) })
	if n > 0 {
		d.p.wakeWriters(pollOut | pollWrNorm)
	}
	return n, e
}

// take moves bytes out: 0 at end of file, EAGAIN while there are writers.
func (p *pipe) take(iov [][]byte) (int, Errno) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.takeLocked(iov)
}

func (p *pipe) takeLocked(iov [][]byte) (int, Errno) {
	if p.n == 0 {
		if p.writers == 0 {
			return 0, 0
		}
		return 0, eagain
	}
	total := 0
	for _, b := range iov {
		for len(b) > 0 && p.n > 0 {
			c := copy(b, p.buf[p.r:min(p.r+p.n, pipeSize)])
			b = b[c:]
			p.r = (p.r + c) % pipeSize
			p.n -= c
			total += c
		}
	}
	return total, 0
}

func (d *pipeEnd) write(f *File, iov [][]byte) (int, Errno) {
	total, want := 0, iovLen(iov)
	for total < want {
		n, e := f.k.block(f.wait, f.nonblock(), func() (int, Errno) { return d.p.fill(iov, total, want) })
		if n > 0 {
			total += n
			d.p.wakeReaders(pollIn | pollRdNorm)
		}
		if e != 0 {
			if total > 0 {
				return total, 0
			}
			return 0, e
		}
	}
	return total, 0
}

// fill moves bytes in, skipping the first skip of iov: EPIPE without readers,
// EAGAIN without room. A write of up to PIPE_BUF goes in whole or not at all.
func (p *pipe) fill(iov [][]byte, skip, want int) (int, Errno) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readers == 0 {
		return 0, syscall.EPIPE
	}
	room := pipeSize - p.n - p.lent
	if room == 0 || want <= pipeBuf && room < want {
		return 0, eagain
	}
	if p.buf == nil {
		p.buf = make([]byte, pipeSize)
	}
	total := 0
	for _, b := range iov {
		if skip >= len(b) {
			skip -= len(b)
			continue
		}
		b, skip = b[skip:], 0
		for len(b) > 0 && room > 0 {
			w := (p.r + p.n) % pipeSize
			c := copy(p.buf[w:min(w+room, pipeSize)], b)
			b = b[c:]
			p.n += c
			room -= c
			total += c
		}
	}
	return total, 0
}

func (d *pipeEnd) poll(*File) uint16 {
	p := d.p
	p.mu.Lock()
	defer p.mu.Unlock()
	var m uint16
	if d.out {
		if p.n+p.lent < pipeSize {
			m |= pollOut | pollWrNorm
		}
		if p.readers == 0 {
			m |= pollErr
		}
		return m
	}
	if p.n > 0 {
		m |= pollIn | pollRdNorm
	}
	if p.writers == 0 {
		m |= pollHup
	}
	return m
}

func (d *pipeEnd) ioctl(f *File, cmd, arg uintptr) (uintptr, Errno) {
	if cmd != fioNread {
		return 0, syscall.ENOTTY
	}
	d.p.mu.Lock()
	n := d.p.n
	d.p.mu.Unlock()
	return 0, copyTo(f.k, arg, int32(n))
}

func (d *pipeEnd) stat(_ *File, st *syscall.Stat_t) { st.Mode = syscall.S_IFIFO | 0o600 }

func (d *pipeEnd) release(*File) {
	p := d.p
	p.mu.Lock()
	if d.out {
		p.writers--
		p.wf = nil
	} else {
		p.readers--
		p.rf = nil
		p.buf, p.n, p.r = nil, 0, 0
	}
	p.mu.Unlock()
	if d.out {
		p.wakeReaders(pollHup | pollIn)
	} else {
		p.wakeWriters(pollErr | pollOut)
	}
}

func sysPipe(k *Kernel, a args) (uintptr, Errno) { return k.pipe(a.a0, 0) }

func sysPipe2(k *Kernel, a args) (uintptr, Errno) { return k.pipe(a.a0, uint32(a.a1)) }

func (k *Kernel) pipe(out uintptr, flags uint32) (uintptr, Errno) {
	if flags&^(syscall.O_CLOEXEC|syscall.O_NONBLOCK|syscall.O_DIRECT) != 0 {
		return 0, syscall.EINVAL
	}
	if flags&syscall.O_DIRECT != 0 { // packet mode
		return 0, syscall.EINVAL
	}
	p := &pipe{readers: 1, writers: 1}
	p.rf = k.newFile(&pipeEnd{p: p}, flags|syscall.O_RDONLY)
	p.wf = k.newFile(&pipeEnd{p: p, out: true}, flags|syscall.O_WRONLY)
	rf, wf := p.rf, p.wf
	cloexec := flags&syscall.O_CLOEXEC != 0
	r, e := k.files.install(rf, 0, cloexec)
	if e != 0 {
		rf.put()
		wf.put()
		return 0, e
	}
	w, e := k.files.install(wf, 0, cloexec)
	if e == 0 {
		if e = copyTo(k, out, [2]int32{int32(r), int32(w)}); e == 0 {
			return 0, 0
		}
		sysClose(k, args{a0: uintptr(w)})
	} else {
		wf.put()
	}
	sysClose(k, args{a0: uintptr(r)})
	return 0, e
}
