//go:build barewire

// Xsys makes system calls with pointers into the stack, through golang.org/x/sys/unix, to a kernel of its own
// that moves stacks about before it answers. It prints "PASS".
package main

import (
	"fmt"
	"os"
	"runtime"
	_ "unsafe" // for go:linkname

	"golang.org/x/sys/unix"
	"unsafe"
)

//go:linkname hook internal/runtime/syscall/linux.Hook
var hook func(num, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr)

const fill = 5000 // a call of ours: a1 = address, a2 = count; fills with a2

//go:noinline
func grow(n int) byte {
	var pad [1024]byte
	pad[n%1024] = byte(n)
	if n > 0 {
		return grow(n-1) + pad[(n*7)%1024]
	}
	return pad[0]
}

func call(round int) (ok bool) {
	var buf [64]byte
	if _, _, e := unix.Syscall(fill, uintptr(unsafe.Pointer(&buf)), uintptr(round&63), 0); e != 0 {
		fmt.Println("FAIL:", e)
		os.Exit(1)
	}
	for i, b := range buf {
		if i < round&63 && b != byte(round) || i >= round&63 && b != 0 {
			return false
		}
	}
	return true
}

func main() {
	old := hook
	hook = func(num, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr) {
		if num != fill {
			return old(num, a1, a2, a3, a4, a5, a6)
		}
		grow(20)
		if a2%8 == 3 {
			runtime.GC()
		}
		runtime.Gosched()
		p := unsafe.Slice((*byte)(unsafe.Pointer(a1)), a2)
		for i := range p {
			p[i] = byte(a2)
		}
		return 0, 0, 0
	}
	if old == nil {
		hook0 := hook
		hook = func(num, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr) {
			if num == fill {
				return hook0(num, a1, a2, a3, a4, a5, a6)
			}
			if num == unix.SYS_WRITE {
				for _, c := range unsafe.Slice((*byte)(unsafe.Pointer(a2)), a3) {
					print(string(rune(c)))
				}
				return a3, 0, 0
			}
			return 0, 0, uintptr(unix.ENOSYS)
		}
	}
	bad := make(chan int, 64)
	for round := range 64 {
		go func() {
			if !call(round) {
				bad <- round
				return
			}
			bad <- -1
		}()
	}
	for range 64 {
		if r := <-bad; r >= 0 {
			fmt.Println("FAIL: round", r)
			os.Exit(1)
		}
	}
	fmt.Println("ids", unix.Getpid(), unix.Getuid(), unix.Getgid(), unix.Getppid())
	fmt.Println("PASS")
}
