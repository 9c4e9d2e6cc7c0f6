package sys

import "syscall"

// splice(2): bytes move between a pipe and something else (Linux: fs/splice.c).
// net copies from one connection to another with it. Bytes are copied, pages do
// not change hands: a program sees no difference.

const (
	spliceMove, spliceNonblock, spliceMore, spliceGift = 1, 2, 4, 8
	spliceAll                                          = spliceMove | spliceNonblock | spliceMore | spliceGift
)

// sysSplice moves up to a.a4 bytes from a.a0 to a.a2, one of which is a pipe.
func sysSplice(k *Kernel, a args) (uintptr, Errno) {
	flags := uint32(a.a5)
	switch {
	case a.a4 == 0:
		return 0, 0
	case flags&^spliceAll != 0:
		return 0, syscall.EINVAL
	}
	in, out, e := k.files.getTwo(a.a0, a.a2)
	if e != 0 {
		return 0, e
	}
	defer in.put()
	defer out.put()
	ip, fromPipe := in.ops.(*pipeEnd)
	op, toPipe := out.ops.(*pipeEnd)
	nonblock := flags&spliceNonblock != 0
	switch {
	case fromPipe && a.a1 != 0 || toPipe && a.a3 != 0:
		return 0, syscall.ESPIPE
	case !in.readable() || !out.writable():
		return 0, syscall.EBADF
	case !fromPipe && !toPipe, fromPipe && toPipe && ip.p == op.p:
		return 0, syscall.EINVAL
	}
	n := int(min(a.a4, pipeSize))
	if toPipe {
		nonblock = nonblock || out.nonblock() || fromPipe && in.nonblock()
		return k.spliceIn(in, out, op.p, a.a1, n, nonblock)
	}
	return k.spliceOut(in, ip.p, out, a.a3, n, nonblock || in.nonblock(), flags&spliceMore != 0)
}

// spliceIn fills a pipe from in, which is read only once there is room. nonblock
// is about pipes; other files have their own O_NONBLOCK (Linux:
// splice_file_to_pipe).
func (k *Kernel) spliceIn(in, out *File, p *pipe, offAddr uintptr, n int, nonblock bool) (uintptr, Errno) {
	room, e := k.block(out.wait, nonblock, p.room)
	if e != 0 {
		return 0, e
	}
	buf := make([]byte, min(n, room, copyChunk))
	if src, ok := in.ops.(*pipeEnd); ok {
		n, e = k.block(in.wait, nonblock, func() (int, Errno) { return src.p.take([][]byte{buf}) })
		if n > 0 {
			src.p.wakeWriters(pollOut | pollWrNorm)
		}
	} else {
		n, e = k.spliceRead(in, buf, offAddr)
	}
	if n == 0 {
		return 0, e
	}
	// There is room, unless another writer came: then this one waits, for the
	// bytes are read and must not be lost.
	for done := 0; done < n; {
		w, e := k.block(out.wait, false, func() (int, Errno) { return p.fill([][]byte{buf[:n]}, done, pipeSize) })
		if e != 0 {
			if done == 0 {
				return 0, e
			}
			return uintptr(done), 0
		}
		done += w
		p.wakeReaders(pollIn | pollRdNorm)
	}
	return uintptr(n), 0
}

// spliceRead reads what is no pipe, at a position if it has one.
func (k *Kernel) spliceRead(in *File, buf []byte, offAddr uintptr) (int, Errno) {
	src, ok := in.ops.(seekable)
	switch {
	case ok && in.node != nil && in.node.Kind() == syscall.S_IFREG:
		off, e := k.position(in, offAddr)
		if e != 0 {
			return 0, e
		}
		n, e := src.readAt(in, [][]byte{buf}, off)
		if n == 0 {
			return 0, e
		}
		return n, k.advance(in, offAddr, off+int64(n))
	case offAddr != 0:
		return 0, syscall.EINVAL
	}
	switch ops := in.ops.(type) {
	case *sockFile:
		// Urgent data is not taken, and nothing behind it: a splice ends there.
		var mark [4]byte
		if ops.s.Ioctl(siocAtmark, mark[:]) == nil && mark[0] != 0 {
			return 0, 0
		}
		return in.ops.read(in, [][]byte{buf})
	case *tty:
		return in.ops.read(in, [][]byte{buf})
	}
	return 0, syscall.EINVAL
}

// spliceOut empties a pipe into out. What out does not take goes back.
func (k *Kernel) spliceOut(in *File, p *pipe, out *File, offAddr uintptr, n int, nonblock, more bool) (uintptr, Errno) {
	dst, ok := out.ops.(seekable)
	regular := ok && out.node != nil && out.node.Kind() == syscall.S_IFREG
	if offAddr != 0 && !regular || out.flags.Load()&syscall.O_APPEND != 0 {
		return 0, syscall.EINVAL
	}
	switch out.ops.(type) {
	case *sockFile, *tty:
	default:
		if !regular {
			return 0, syscall.EINVAL
		}
	}
	buf := make([]byte, min(n, copyChunk))
	n, e := k.block(in.wait, nonblock, func() (int, Errno) { return p.lend(buf) })
	if n == 0 {
		return 0, e
	}
	var w int
	if s, ok := out.ops.(*sockFile); ok && more {
		w, e = s.message(out, [][]byte{buf[:n]}, func(m *Msg, fl int) (int, error) { return s.s.SendMsg(m, fl|syscall.MSG_MORE) })
	} else if regular {
		var off int64
		if off, e = k.position(out, offAddr); e == 0 {
			if w, e = dst.writeAt(out, [][]byte{buf[:n]}, off); w > 0 {
				e = k.advance(out, offAddr, off+int64(w))
			}
		}
	} else {
		w, e = out.ops.write(out, [][]byte{buf[:n]})
	}
	p.settle(buf[w:n], n)
	if w == 0 {
		return 0, e
	}
	p.wakeWriters(pollOut | pollWrNorm)
	return uintptr(w), 0
}

// room tells how many bytes may be written: EPIPE without readers, EAGAIN if none.
func (p *pipe) room() (int, Errno) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readers == 0 {
		return 0, syscall.EPIPE
	}
	if r := pipeSize - p.n - p.lent; r > 0 {
		return r, 0
	}
	return 0, eagain
}

// lend takes bytes out like take, but keeps their room until settle: some may
// come back.
func (p *pipe) lend(b []byte) (int, Errno) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, e := p.takeLocked([][]byte{b})
	p.lent += n
	return n, e
}

// settle ends a loan of n bytes: back are those that were not used, which are the
// next to be read.
func (p *pipe) settle(back []byte, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent -= n
	if p.buf == nil { // the reading end was closed meanwhile
		return
	}
	for i := len(back) - 1; i >= 0; i-- {
		p.r = (p.r + pipeSize - 1) % pipeSize
		p.buf[p.r] = back[i]
	}
	p.n += len(back)
}
