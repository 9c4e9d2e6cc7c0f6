package sys

import "syscall"

// Device nodes (Linux: drivers/char/mem.c, random.c).

// memDevice is one of the memory devices.
type memDevice struct {
	baseFile
	minor uint64 // of major 1
}

const (
	minorNull    = 3
	minorZero    = 5
	minorFull    = 7
	minorRandom  = 8
	minorUrandom = 9
)

func (d *memDevice) read(f *File, iov [][]byte) (int, Errno) {
	switch d.minor {
	case minorNull:
		return 0, 0
	case minorRandom, minorUrandom:
		if f.k.cfg.Random == nil {
			return 0, syscall.EIO
		}
		for _, b := range iov {
			f.k.cfg.Random(b)
		}
	default:
		for _, b := range iov {
			clear(b)
		}
	}
	return iovLen(iov), 0
}

func (d *memDevice) write(_ *File, iov [][]byte) (int, Errno) {
	if d.minor == minorFull {
		return 0, syscall.ENOSPC
	}
	return iovLen(iov), 0 // random_write mixes it in: here nothing needs more
}

// These devices take any position.

func (d *memDevice) readAt(f *File, iov [][]byte, _ int64) (int, Errno) { return d.read(f, iov) }

func (d *memDevice) writeAt(f *File, iov [][]byte, _ int64) (int, Errno) { return d.write(f, iov) }

// seek is null_lseek, and noop_llseek with a position that never moved.
func (*memDevice) seek(*File, int64, uint32) (int64, Errno) { return 0, 0 }

func (d *memDevice) stat(_ *File, st *syscall.Stat_t) {
	st.Mode = syscall.S_IFCHR | 0o666
	st.Rdev = makedev(1, d.minor)
}

// makedev builds a device number as stat reports it (Linux: new_encode_dev).
func makedev(major, minor uint64) uint64 {
	return minor&0xff | major<<8 | minor&^0xff<<12
}
