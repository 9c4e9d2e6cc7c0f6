package sock

import (
	"slices"
	"syscall"

	"barewire/skb"
)

// CopyToIter copies n packet bytes from offset off into iov (Linux:
// skb_copy_datagram_msg) and returns how many fitted.
func CopyToIter(b *skb.Buff, off, n int, iov [][]byte) int {
	done := 0
	for _, v := range iov {
		if done == n {
			break
		}
		if len(v) > n-done {
			v = v[:n-done]
		}
		c := b.CopyBits(off+done, v)
		done += c
		if c < len(v) {
			break
		}
	}
	return done
}

// CopyDatagram copies a datagram, from offset off on, into m.Iov and sets
// MSG_TRUNC in m.Flags when it does not fit. It returns what recvmsg does: the
// bytes copied, or the datagram's length if flags has MSG_TRUNC. EFAULT when
// the packet has less than it says.
func (m *Msg) CopyDatagram(b *skb.Buff, off, flags int) (int, error) {
	n := b.Len()
	want := min(n-off, m.Len())
	if CopyToIter(b, off, want, m.Iov) < want {
		return 0, syscall.EFAULT
	}
	if want < n-off {
		m.Flags |= syscall.MSG_TRUNC
	}
	if flags&syscall.MSG_TRUNC != 0 {
		return n, nil
	}
	return want, nil
}

// Fill writes p to the front of m.Iov, as far as it goes, takes that off the
// vector and returns how much it was. The caller's slice of slices stays whole.
func (m *Msg) Fill(p []byte) int {
	if len(p) == 0 {
		return 0
	}
	m.Iov = slices.Clone(m.Iov)
	n := 0
	for n < len(p) && len(m.Iov) > 0 {
		c := copy(m.Iov[0], p[n:])
		n += c
		if m.Iov[0] = m.Iov[0][c:]; len(m.Iov[0]) == 0 {
			m.Iov = m.Iov[1:]
		}
	}
	return n
}

// Iter reads the Iov of a message as one run of bytes (Linux: struct
// iov_iter). Its zero value with Iov set is at the start.
type Iter struct {
	Iov [][]byte
	off int
}

// Read fills p as far as there is data and returns how much.
func (it *Iter) Read(p []byte) int {
	n := 0
	for n < len(p) && len(it.Iov) > 0 {
		v := it.Iov[0][it.off:]
		c := copy(p[n:], v)
		n += c
		if c == len(v) {
			it.Iov = it.Iov[1:]
			it.off = 0
		} else {
			it.off += c
		}
	}
	return n
}

// Next returns how many bytes are left of the piece that Read reads next.
func (it *Iter) Next() int {
	for len(it.Iov) > 0 && it.off == len(it.Iov[0]) {
		it.Iov, it.off = it.Iov[1:], 0
	}
	if len(it.Iov) == 0 {
		return 0
	}
	return len(it.Iov[0]) - it.off
}

// NewPacket copies n bytes of it into a packet with front bytes of headroom: one
// page, or a page and page fragments for what does not fit it. Nil when memory
// ran out.
func (it *Iter) NewPacket(c *skb.Cache, n, front int) *skb.Buff {
	pool := c.Pool()
	b := c.Alloc(min(front+n, pool.PageSize()))
	if b == nil {
		return nil
	}
	b.Reserve(front)
	linear := min(n, b.Tailroom())
	it.Read(b.Put(linear))
	for left := n - linear; left > 0; {
		p := pool.Alloc()
		if p == nil {
			b.Free(skb.NoMem)
			return nil
		}
		size := min(left, len(p.Bytes()))
		it.Read(p.Bytes()[:size])
		if !b.AddFrag(p, 0, size, len(p.Bytes())) {
			p.Put()
			b.Free(skb.NoMem)
			return nil
		}
		left -= size
	}
	return b
}
