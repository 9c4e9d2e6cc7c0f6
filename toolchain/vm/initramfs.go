package vm

import (
	"fmt"
	"time"
)

// A File is a regular file of an initial file system. Folders on the way to it
// need no entry of their own.
type File struct {
	Name string // without a slash in front
	Data []byte
	Time time.Time // of its last change; may be zero
}

// Initramfs returns an initial file system for [Config].Initrd with the files, as a cpio
// archive in the newc format (Linux: Documentation/driver-api/early-userspace/buffer-format.rst).
func Initramfs(files []File) []byte {
	var b []byte
	pad := func() {
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	entry := func(name string, mode int, at time.Time, data []byte) {
		mtime := int64(0)
		if !at.IsZero() {
			mtime = at.Unix()
		}
		b = fmt.Appendf(b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
			0, mode, 0, 0, 1, uint32(mtime), len(data), 0, 0, 0, 0, len(name)+1, 0)
		b = append(append(b, name...), 0)
		pad()
		b = append(b, data...)
		pad()
	}
	for _, f := range files {
		entry(f.Name, 0o100644, f.Time, f.Data)
	}
	entry("TRAILER!!!", 0, time.Time{}, nil)
	return b
}
