package sys

import (
	"sync"
	"syscall"

	"barewire/napi/proc"
	"barewire/sys/vfs"
)

// Files of /proc/net that are written, or talked to.

// netNode is the entry of a file of /proc/net.
func netNode(f proc.File) vfs.Node {
	n := vfs.Node{Mode: f.Mode}
	if f.Show != nil {
		n.Text = func(b []byte) ([]byte, Errno) { return f.Show(b), 0 }
	}
	switch {
	case f.Open != nil:
		n.Priv = f.Open
		n.Write = func([]byte) Errno { return syscall.EINVAL } // so that it can be opened for writing
	case f.Write != nil:
		n.Write = func(p []byte) Errno { return errnoOf(f.Write(p)) }
	}
	return n
}

// talkFile is a file that is a conversation of its own each time it is opened.
type talkFile struct {
	baseFile
	mu sync.Mutex
	c  proc.Conversation
}

func (*talkFile) stat(*File, *syscall.Stat_t) {}

func (t *talkFile) read(_ *File, iov [][]byte) (total int, e Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range iov {
		n, err := t.c.Read(b)
		if total += n; err != nil {
			if total > 0 {
				return total, 0
			}
			return 0, errnoOf(err)
		}
		if n < len(b) {
			break
		}
	}
	return total, 0
}

// maxTalk is how much of one write is taken.
const maxTalk = 1 << 20

func (t *talkFile) write(_ *File, iov [][]byte) (int, Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := make([]byte, min(iovLen(iov), maxTalk))
	gather(p, iov)
	n, err := t.c.Write(p)
	return n, errnoOf(err)
}
