package sys

import (
	"io"
	"sync"
	"syscall"

	"barewire/inet/packet"
)

// minorPcapng is /dev/pcapng among the miscellaneous devices, in their range of
// numbers for local use.
const minorPcapng = 240

// pcapng is an open /dev/pcapng: a capture of its own on all devices of the
// namespace, from open to close, read as a stream that Wireshark and tcpdump
// understand. Who sends the stream over the network captures what he sends.
// The capture never holds up the network: beyond its buffer packets are counted
// and left out.
type pcapng struct {
	baseFile
	c    *packet.Capture
	once sync.Once
}

// tie has new packets wake those who wait for f.
func (d *pcapng) tie(f *File) {
	d.once.Do(func() { d.c.SetNotify(func() { f.wait.wake(pollIn | pollRdNorm) }) })
}

func (d *pcapng) read(f *File, iov [][]byte) (int, Errno) {
	d.tie(f)
	return f.k.block(f.wait, f.nonblock(), func() (int, Errno) {
		n := 0
		for _, p := range iov {
			m, err := d.c.TryRead(p)
			n += m
			if err == io.EOF || m < len(p) {
				if n == 0 && err == nil {
					return 0, eagain
				}
				break
			}
		}
		return n, 0
	})
}

func (*pcapng) pollable() bool { return true }

func (d *pcapng) poll(f *File) uint16 {
	d.tie(f)
	if d.c.Readable() {
		return pollIn | pollRdNorm
	}
	return 0
}

func (d *pcapng) stat(_ *File, st *syscall.Stat_t) {
	st.Mode = syscall.S_IFCHR | 0o400
	st.Rdev = makedev(10, minorPcapng)
}

func (d *pcapng) release(*File) { d.c.Close() }
