// Embed is the stack as a C library: an instance in virtual time, its system
// calls, packets in and out.
//
//	go build -buildmode=c-shared -o libbarewire.so ./qemu/embed
//	cc -o demo qemu/embed/example/example.c -L. -lbarewire
//
// barewire.h says what there is. It is a small example of package sys/embed
// (docs/embedding.md); what it lacks is a line away.
package main

/*
#include <stddef.h>
#include <stdint.h>
typedef void (*bw_output)(void *arg, const void *packet, size_t len);
void bw_call_output(bw_output fn, void *arg, const void *packet, size_t len);
*/
import "C"

import (
	"errors"
	"net/netip"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"barewire/board/hosted"
	"barewire/sys/embed"
)

func main() {} // a library has none, but must

// instance is one stack with one TUN device.
type instance struct {
	mu    sync.Mutex // calls of a C program follow each other
	clock *hosted.VirtualClock
	in    *embed.Instance
	tun   *embed.Tun
}

// instances are those a C program has opened: C holds numbers, not pointers of
// Go.
var instances struct {
	sync.Mutex
	list []*instance
}

// get returns an instance, nil for a number that is none.
func get(id C.int) *instance {
	instances.Lock()
	defer instances.Unlock()
	if id < 0 || int(id) >= len(instances.list) {
		return nil
	}
	return instances.list[id]
}

// run calls f with the instance, in its time, and returns 0 or a negative errno.
func run(id C.int, f func(i *instance) error) C.int {
	i := get(id)
	if i == nil {
		return -C.int(syscall.EBADF)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	var err error
	if e := i.clock.Run(func() { err = f(i) }); e != nil {
		return -C.int(syscall.EDEADLK) // it waits for what can never come
	}
	return result(err)
}

func result(err error) C.int {
	if err == nil {
		return 0
	}
	var e syscall.Errno
	if !errors.As(err, &e) {
		e = syscall.EINVAL
	}
	return -C.int(e)
}

// bw_open makes an instance whose device tun0 has an address, "192.0.2.1/24",
// and gives what leaves to output. It returns the instance's number or a
// negative errno.
//
//export bw_open
func bw_open(address *C.char, output C.bw_output, arg unsafe.Pointer) C.int {
	prefix, err := netip.ParsePrefix(C.GoString(address))
	if err != nil || !prefix.Addr().Is4() {
		return -C.int(syscall.EINVAL)
	}
	i := &instance{clock: hosted.NewVirtualClock()}
	if i.in, err = embed.New(embed.Config{Clock: i.clock}); err != nil {
		return -C.int(syscall.ENOMEM)
	}
	i.tun, err = i.in.NewTun("tun0", func(p []byte) {
		C.bw_call_output(output, arg, unsafe.Pointer(unsafe.SliceData(p)), C.size_t(len(p)))
	})
	if err == nil {
		err = i.tun.Up(prefix)
	}
	if err != nil {
		i.in.Close()
		return result(err)
	}
	instances.Lock()
	defer instances.Unlock()
	instances.list = append(instances.list, i)
	return C.int(len(instances.list) - 1)
}

// bw_close ends an instance.
//
//export bw_close
func bw_close(id C.int) {
	if i := get(id); i != nil {
		instances.Lock()
		instances.list[id] = nil
		instances.Unlock()
		i.in.Close()
	}
}

// bw_syscall makes a system call. One that blocks lets the time pass until it is
// over. It returns what the call does, or a negative errno: EDEADLK for a call
// that would wait for ever.
//
//export bw_syscall
func bw_syscall(id C.int, num, a, b, c, d, e, f C.long) C.long {
	var r uintptr
	n := run(id, func(i *instance) error {
		var errno syscall.Errno
		r, errno = i.in.Syscall(uintptr(num), uintptr(a), uintptr(b), uintptr(c), uintptr(d), uintptr(e), uintptr(f))
		if errno != 0 {
			return errno
		}
		return nil
	})
	if n != 0 {
		return C.long(n)
	}
	return C.long(r)
}

// bw_input has an IP packet arrive.
//
//export bw_input
func bw_input(id C.int, packet unsafe.Pointer, n C.size_t) C.int {
	return run(id, func(i *instance) error { return i.tun.Receive(unsafe.Slice((*byte)(packet), n)) })
}

// bw_sysctl changes a setting, "net.ipv4.ip_default_ttl".
//
//export bw_sysctl
func bw_sysctl(id C.int, name, value *C.char) C.int {
	n, v := C.GoString(name), C.GoString(value)
	return run(id, func(i *instance) error { return i.in.SetSysctl(n, v) })
}

// bw_advance lets ns nanoseconds pass.
//
//export bw_advance
func bw_advance(id C.int, ns C.int64_t) C.int {
	return run(id, func(i *instance) error {
		i.clock.Sleep(time.Duration(ns))
		return nil
	})
}

// bw_now returns the time in nanoseconds.
//
//export bw_now
func bw_now(id C.int) C.int64_t {
	if i := get(id); i != nil {
		return C.int64_t(i.clock.Now())
	}
	return 0
}
