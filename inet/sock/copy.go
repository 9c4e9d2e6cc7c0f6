package sock

import "barewire/skb"

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
