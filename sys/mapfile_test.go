package sys

import (
	"syscall"
	"testing"
	"unsafe"

	"barewire/inet/sock"
)

// ringSocket is a socket with memory to map.
type ringSocket struct {
	fakeSocket
	mem    []byte
	mapped int
}

func (r *ringSocket) Mmap(off int64, n int) ([]byte, func(), error) {
	if off != 0 || n != len(r.mem) {
		return nil, nil, syscall.EINVAL
	}
	r.mapped++
	return r.mem, func() { r.mapped-- }, nil
}

func TestMmap_socketMemory_isSharedUntilTheLastPageIsUnmapped(t *testing.T) {
	b := make([]byte, 5*pageSize)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) % pageSize
	r := &ringSocket{mem: b[skip : skip+4*pageSize]}
	tk := newTestKernel(t, func(c *Config) {
		c.SockCreate = func(family, typ, protocol int) (*sock.Socket, error) {
			if family != syscall.AF_PACKET {
				return &sock.Socket{SK: new(sock.Sock), Ops: &fakeSocket{}}, nil
			}
			return &sock.Socket{SK: new(sock.Sock), Ops: r}, nil
		}
	})
	const rw, shared, size = syscall.PROT_READ | syscall.PROT_WRITE, syscall.MAP_SHARED, 4 * pageSize
	fd := tk.must(syscall.SYS_SOCKET, syscall.AF_PACKET, syscall.SOCK_RAW, 0)
	other := tk.must(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	tk.fails(syscall.ENODEV, syscall.SYS_MMAP, 0, size, rw, shared, other, 0)
	tk.fails(syscall.EINVAL, syscall.SYS_MMAP, 0, size/2, rw, shared, fd, 0)
	tk.fails(syscall.EINVAL, syscall.SYS_MMAP, 0, size, rw, shared, fd, pageSize)
	tk.fails(syscall.EINVAL, syscall.SYS_MMAP, 0, size, rw, shared, fd, 1)

	addr := tk.must(syscall.SYS_MMAP, 0, size, rw, shared, fd, 0)
	if addr != uintptr(unsafe.Pointer(&r.mem[0])) {
		t.Fatal("what is mapped is not the socket's memory")
	}
	r.mem[pageSize] = 7
	tk.must(syscall.SYS_MADVISE, addr, size, 4)
	if r.mem[pageSize] != 7 {
		t.Error("MADV_DONTNEED changed shared memory")
	}
	tk.fails(syscall.ENOMEM, syscall.SYS_MMAP, addr, pageSize, rw, syscall.MAP_PRIVATE|syscall.MAP_ANON|mapFixed, ^uintptr(0), 0)
	tk.fails(syscall.EFAULT, syscall.SYS_MREMAP, addr, size, 2*size, 1)

	again := tk.must(syscall.SYS_MMAP, 0, size, rw, shared, fd, 0)
	tk.must(syscall.SYS_CLOSE, fd)
	if r.mapped != 2 || r.freed != 0 {
		t.Fatalf("mapped %d times, released %d times", r.mapped, r.freed)
	}
	tk.must(syscall.SYS_MUNMAP, again, size)
	if r.mapped != 1 {
		t.Errorf("mapped %d times after one munmap of two", r.mapped)
	}
	tk.must(syscall.SYS_MUNMAP, addr+pageSize, pageSize) // leaves two pieces
	tk.must(syscall.SYS_MUNMAP, addr, pageSize)
	if r.mapped != 1 || r.freed != 0 {
		t.Errorf("mapped %d times, released %d times with pages still there", r.mapped, r.freed)
	}
	tk.must(syscall.SYS_MUNMAP, addr, size)
	if r.mapped != 0 || r.freed != 1 || len(tk.mm.vmas) != 0 || tk.mm.size != 0 {
		t.Errorf("mapped %d times, released %d times, %d mappings of %d bytes at the end", r.mapped, r.freed, len(tk.mm.vmas), tk.mm.size)
	}
}
