// Fault shows what becomes of faults. Without arguments it makes each recoverable one in a goroutine, recovers and prints "ok"
// lines, then "PASS". With an argument it ends the machine in the named way; the harness looks at the console and the status.
//
//	fault            PASS, status 0
//	fault panic      "panic: unrecovered", "goroutine", status 2
//	fault stack      "goroutine stack exceeds", "stack overflow", status 2
//	fault wild       "unexpected fault address", the crash report's "instruction:" line, status 2
//	fault exit N     status N
//	fault nx         a jump into data: "unexpected fault address", status 2
//	fault text       a write to code: "unexpected fault address", status 2
//	fault rodata     a write to constants: "unexpected fault address", status 2
//	fault oom        "out of memory", status 2
//	fault g0         a nil dereference in the scheduler: "SIGSEGV", registers, "instruction:", status 2
//	fault double     an exception without a stack: "fatal error: double fault", registers, goroutine, status 2
//	fault irq        a fault in the interrupt entry's Go code: "fault in interrupt or exception context", status 2
//	CPU=N            in the environment: all of this on processor N
//	fault hang       prints "HANGING" and spins with a goroutine: the harness sends an NMI and finds "non-maskable interrupt"
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"unsafe"
)

type pair struct{ a, b int }

//go:noinline
func deref(p *pair) int { return p.b }

//go:noinline
func divide(a, b int) int { return a / b }

//go:noinline
func index(s []int, i int) int { return s[i] }

//go:noinline
func recurse(n int) int { return recurse(n+1) + n }

// catch runs f in a goroutine and returns what it panicked with.
func catch(f func()) (err any) {
	done := make(chan any)
	go func() {
		defer func() { done <- recover() }()
		f()
	}()
	return <-done
}

var data = [16]byte{0xc3}

func main() {
	if len(os.Args) > 1 {
		if cpu, err := strconv.Atoi(os.Getenv("CPU")); err == nil {
			on(uint32(cpu), func() { end(os.Args[1]) })
		}
		end(os.Args[1])
		fmt.Println("FAIL: still alive")
		os.Exit(99)
	}
	ok := true
	for _, c := range []struct {
		name string
		f    func()
		want string
	}{
		{"nil", func() { deref(nil) }, "runtime error: invalid memory address or nil pointer dereference"},
		{"nil write", func() { var p *pair; p.b = 1 }, "runtime error: invalid memory address or nil pointer dereference"},
		{"nil func", func() { var f func(); f() }, "runtime error: invalid memory address or nil pointer dereference"},
		{"divide", func() { divide(1, 0) }, "runtime error: integer divide by zero"},
		{"index", func() { index([]int{1}, 5) }, "runtime error: index out of range [5] with length 1"},
	} {
		for i := range 100 {
			err := catch(c.f)
			e, isErr := err.(runtime.Error)
			if !isErr || e.Error() != c.want {
				fmt.Printf("FAIL %s, round %d: %v\n", c.name, i, err)
				ok = false
				break
			}
		}
		fmt.Println("ok", c.name)
	}
	if !ok {
		os.Exit(1)
	}
	fmt.Println("PASS")
}

// on calls f on a processor: the others are kept busy until a goroutine finds itself there.
func on(cpu uint32, f func()) {
	var found atomic.Bool
	for range 2 * runtime.NumCPU() {
		go func() {
			for !found.Load() {
				var this uint32 // getcpu
				if syscall.RawSyscall(309, uintptr(unsafe.Pointer(&this)), 0, 0); this == cpu && found.CompareAndSwap(false, true) {
					println("on processor", this)
					f()
				}
				runtime.Gosched()
			}
		}()
	}
	select {}
}

func end(how string) {
	switch how {
	case "panic":
		panic("unrecovered")
	case "stack":
		recurse(0)
	case "wild":
		wild := uintptr(0x7f0000001234)
		**(**int)(unsafe.Pointer(&wild)) = 1
	case "exit":
		n, _ := strconv.Atoi(os.Args[2])
		os.Exit(n)
	case "nx":
		p := unsafe.Pointer(&data)
		f := *(*func())(unsafe.Pointer(&p))
		pp := &p
		f = *(*func())(unsafe.Pointer(&pp))
		f()
	case "text":
		f := main
		*(*byte)(**(**unsafe.Pointer)(unsafe.Pointer(&f))) = 0
	case "rodata":
		s := "constant"
		*unsafe.StringData(s) = 'C'
	case "oom":
		var keep [][]byte
		for {
			keep = append(keep, make([]byte, 1<<20))
		}
	case "hang":
		fmt.Println("HANGING")
		for {
		}
	default:
		deep(how)
	}
}
