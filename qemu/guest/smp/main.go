// Smp shows what a program sees of several processors. Its argument is the test; each prints "PASS" or "FAIL: why" as its
// last line and ends with status 0 or 1.
//
//	smp count N      there are N processors, everywhere a program asks
//	smp speedup      loops on all processors at the same time take as long as one alone
//	smp stress D     goroutines, channels, locks, timers, collections, deep stacks, panics, stops of the world, for a time D
//	smp preempt      loops without calls on all processors stop nobody
//	smp wake         a goroutine that waits on another processor wakes soon
//	smp quiet D      wake-ups of all kinds, on a machine that has nothing else to do, for a time D: none is lost
//	smp clock        time goes forwards from one processor to another
//	smp crash        a fault on one processor while others print
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	tests := map[string]func() error{
		"count": count, "speedup": speedup, "stress": stress, "preempt": preempt, "wake": wake, "clock": clock, "crash": crash, "quiet": quiet,
	}
	if len(os.Args) < 2 || tests[os.Args[1]] == nil {
		fmt.Println("FAIL: no such test:", os.Args)
		os.Exit(1)
	}
	if err := tests[os.Args[1]](); err != nil {
		fmt.Println("FAIL:", err)
		os.Exit(1)
	}
	fmt.Println("PASS")
}

func count() error {
	want, err := strconv.Atoi(os.Args[2])
	if err != nil {
		return err
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return err
	}
	var set [128]byte
	n, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0, uintptr(len(set)), uintptr(unsafe.Pointer(&set)))
	if errno != 0 {
		return errno
	}
	affinity := 0
	for _, b := range set[:n] {
		for ; b != 0; b &= b - 1 {
			affinity++
		}
	}
	got := []int{runtime.NumCPU(), runtime.GOMAXPROCS(0), strings.Count(string(info), "processor\t:"), affinity}
	fmt.Println("NumCPU, GOMAXPROCS, /proc/cpuinfo, sched_getaffinity:", got)
	for _, n := range got {
		if n != want {
			return fmt.Errorf("not %d processors", want)
		}
	}
	return nil
}

//go:noinline
func work(n int) (x uint64) {
	for i := range n {
		x = x*6364136223846793005 + uint64(i)
	}
	return x
}

var sink atomic.Uint64

// speedup compares the work of all processors with the same by one of them. The host may have fewer.
func speedup() error {
	n := 1
	for {
		t := time.Now()
		sink.Add(work(n))
		if time.Since(t) > 200*time.Millisecond {
			break
		}
		n *= 2
	}
	best := 0.0
	for range 5 {
		t := time.Now()
		for range 2 {
			sink.Add(work(n))
		}
		alone := time.Since(t)
		var wg sync.WaitGroup
		t = time.Now()
		for range 2 {
			wg.Go(func() { sink.Add(work(n)) })
		}
		wg.Wait()
		together := time.Since(t)
		best = max(best, float64(alone)/float64(together))
	}
	fmt.Printf("two loops are %.2f times as fast together as one after the other\n", best)
	if runtime.NumCPU() > 1 && best < 1.3 {
		return fmt.Errorf("processors do not work at the same time")
	}
	return nil
}

var stop atomic.Bool

//go:noinline
func spin() (n uint64) {
	for !stop.Load() {
		n = n*7 + 1
	}
	return n
}

func preempt() error {
	for range runtime.NumCPU() {
		go spin()
	}
	for i := range 4 {
		t := time.Now()
		time.Sleep(20 * time.Millisecond)
		if late := time.Since(t); late > 2*time.Second {
			return fmt.Errorf("round %d: sleep of 20 ms took %v", i, late)
		}
		runtime.GC() // stops the world
	}
	stop.Store(true)
	return nil
}

func wake() error {
	ping, pong := make(chan int), make(chan int)
	go func() {
		for v := range ping {
			pong <- v
		}
	}()
	var took []time.Duration
	for i := range 2000 {
		if i%4 == 0 {
			time.Sleep(100 * time.Microsecond) // processors halt
		}
		t := time.Now()
		ping <- i
		<-pong
		took = append(took, time.Since(t))
	}
	slices.Sort(took)
	fmt.Println("there and back: median", took[len(took)/2], "99 %", took[len(took)*99/100], "most", took[len(took)-1])
	if m := took[len(took)/2]; m > 2*time.Millisecond {
		return fmt.Errorf("the median is %v", m)
	}
	return nil
}

func clock() error {
	var last atomic.Int64
	start := time.Now()
	var wg sync.WaitGroup
	var back atomic.Int64
	for range 2 * runtime.NumCPU() {
		wg.Go(func() {
			for i := 0; time.Since(start) < time.Second; i++ {
				seen := last.Load()
				now := int64(time.Since(start))
				if now < seen {
					back.Store(seen - now)
				}
				for old := last.Load(); old < now && !last.CompareAndSwap(old, now); old = last.Load() {
				}
				if i%1000 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	wg.Wait()
	if b := back.Load(); b != 0 {
		return fmt.Errorf("time went back by %d ns", b)
	}
	return nil
}

// crash has all processors print, allocate and wait while one reads where nothing is.
func crash() error {
	for i := range 2 * runtime.NumCPU() {
		go func() {
			for {
				fmt.Fprintln(os.Stderr, "busy", i, len(make([]byte, 1<<12)))
				println("busy", i)
			}
		}()
	}
	time.Sleep(50 * time.Millisecond)
	debug.SetTraceback("all")
	var p *int
	*p = 1
	return nil
}
