// Rt shows the quality of the runtime on the machine. Its argument is the test; each prints "PASS" or "FAIL: why" as
// its last line and ends with status 0 or 1.
//
//	rt sleep       time.Sleep(10 ms) is late by less than 2 ms at the median
//	rt spin        a goroutine that spins without calls stops neither timers nor other goroutines
//	rt gc          garbage collection under load, 4 goroutines, checked data
//	rt sched       goroutines, channels, select, timers, mutexes
//	rt args ...    prints os.Args and os.Environ, one "arg N text" or "env text" a line
//	rt clock       for 12 s, a line "t <nanoseconds since start>" every second: the host compares
//	rt wall        prints "wall <unix seconds>"
//	rt idle        sleeps for 10 s: the host measures its own CPU time
//	rt mem         prints "ram <bytes>" and allocates three quarters of it
//	rt vector      vector registers survive preemption
//	rt move        copies of all lengths, alignments and overlaps move what they should, and nothing else
//	rt early       a package drew random numbers before the kernel was up
package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"barewire/qemu/guest/rt/early"
)

func main() {
	tests := map[string]func() error{
		"sleep": sleep, "spin": spin, "gc": gc, "sched": sched, "args": args, "clock": clock, "wall": wall, "idle": idle,
		"mem": mem, "vector": vector, "move": move, "early": drawn,
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

// move compares copies with what a loop over the bytes says.
func move() error {
	const room = 9000
	before, got := make([]byte, room), make([]byte, room)
	for i := range before {
		before[i] = byte(i * 31 >> 3)
	}
	for n := 0; n < 4500; n += 1 + n/60 {
		for _, from := range []int{0, 1, 5, 8, 100} {
			for _, to := range []int{0, 3, 8, 64, 101, 4096} {
				if to+n > room {
					continue
				}
				copy(got, before)
				copy(got[to:to+n], got[from:from+n])
				for i, b := range got {
					want := before[i]
					if i >= to && i < to+n {
						want = before[i-to+from]
					}
					if b != want {
						return fmt.Errorf("%d bytes from %d to %d: byte %d is %#x, want %#x", n, from, to, i, b, want)
					}
				}
			}
		}
	}
	return nil
}

func drawn() error {
	if early.Drawn == [32]byte{} {
		return fmt.Errorf("nothing but zeros")
	}
	return nil
}

func sleep() error {
	const d = 10 * time.Millisecond
	var late []time.Duration
	for range 101 {
		t := time.Now()
		time.Sleep(d)
		late = append(late, time.Since(t)-d)
	}
	slices.Sort(late)
	fmt.Println("late: least", late[0], "median", late[50], "most", late[100])
	if late[0] < 0 {
		return fmt.Errorf("woke %v early", -late[0])
	}
	if late[50] > 2*time.Millisecond {
		return fmt.Errorf("the median is %v late", late[50])
	}
	return nil
}

var stop atomic.Bool

//go:noinline
func spinLoop() (n uint64) {
	for !stop.Load() {
		n = n*7 + 1
	}
	return n
}

func spin() error {
	done := make(chan uint64)
	for range 2 {
		go func() { done <- spinLoop() }()
	}
	var most time.Duration
	ticks := 0
	tick := time.NewTicker(20 * time.Millisecond)
	end := time.After(2 * time.Second)
	last := time.Now()
loop:
	for {
		select {
		case <-tick.C:
			ticks++
			most = max(most, time.Since(last))
			last = time.Now()
		case <-end:
			break loop
		}
	}
	stop.Store(true)
	<-done
	<-done
	fmt.Println("ticks", ticks, "longest gap", most)
	if ticks < 40 {
		return fmt.Errorf("%d ticks of 100 came through", ticks)
	}
	return nil
}

type node struct {
	next *node
	sum  uint64
	data []byte
}

func gc() error {
	debug.SetGCPercent(50)
	errs := make(chan error, 4)
	for w := range 4 {
		go func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			var list *node
			n := 0
			for range 20000 {
				p := &node{next: list, data: make([]byte, r.IntN(2000)+1)}
				for i := range p.data {
					p.data[i] = byte(i * w)
				}
				p.sum = uint64(len(p.data))
				list = p
				if n++; n == 500 {
					for p := list; p != nil; p = p.next {
						if p.sum != uint64(len(p.data)) {
							errs <- fmt.Errorf("a length changed")
							return
						}
						for i, b := range p.data {
							if b != byte(i*w) {
								errs <- fmt.Errorf("byte %d is %d, not %d", i, b, byte(i*w))
								return
							}
						}
					}
					list, n = nil, 0
				}
			}
			errs <- nil
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			return err
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Println("collections", m.NumGC, "heap", m.HeapSys>>20, "MiB")
	if m.NumGC < 5 {
		return fmt.Errorf("only %d collections", m.NumGC)
	}
	return nil
}

func sched() error {
	const workers, rounds = 50, 200
	var mu sync.Mutex
	var wg sync.WaitGroup
	total := 0
	in, out := make(chan int), make(chan int, 10)
	for range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for v := range in {
				select {
				case out <- v * 2:
				case <-time.After(5 * time.Second):
					panic("stuck")
				}
				mu.Lock()
				total++
				mu.Unlock()
				runtime.Gosched()
			}
		}()
	}
	go func() {
		for i := range workers * rounds {
			in <- i
		}
		close(in)
		wg.Wait()
		close(out)
	}()
	sum := 0
	for v := range out {
		sum += v
	}
	n := workers * rounds
	if total != n || sum != n*(n-1) {
		return fmt.Errorf("total %d of %d, sum %d of %d", total, n, sum, n*(n-1))
	}
	t := time.NewTimer(time.Hour)
	if !t.Stop() {
		return fmt.Errorf("a timer of an hour had fired")
	}
	start := time.Now()
	fired := make(chan error, 100)
	for i := range 100 {
		d := time.Duration(100-i) * time.Millisecond
		time.AfterFunc(d, func() {
			if e := time.Since(start); e < d {
				fired <- fmt.Errorf("a timer of %v fired after %v", d, e)
			}
			fired <- nil
		})
	}
	for range 100 {
		if err := <-fired; err != nil {
			return err
		}
	}
	return nil
}

func args() error {
	for i, a := range os.Args {
		fmt.Println("arg", i, a)
	}
	for _, e := range os.Environ() {
		fmt.Println("env", e)
	}
	return nil
}

func clock() error {
	start := time.Now()
	fmt.Println("t 0")
	for i := range 12 {
		time.Sleep(time.Until(start.Add(time.Duration(i+1) * time.Second)))
		fmt.Println("t", time.Since(start).Nanoseconds())
	}
	return nil
}

func wall() error {
	fmt.Println("wall", time.Now().Unix())
	return nil
}

func idle() error {
	time.Sleep(10 * time.Second)
	return nil
}

func mem() error {
	var m runtime.MemStats
	ram := debug.SetMaxStack(0) // the port bounds a stack to a quarter of RAM
	debug.SetMaxStack(ram)
	fmt.Println("stack limit", ram)
	var keep [][]byte
	want := ram * 3
	if ram == 1000000000 {
		want = 6 << 30
	}
	for n := 0; n < want; n += 1 << 20 {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			if b[i] != 0 {
				return fmt.Errorf("new memory holds %#x", b[i])
			}
			b[i] = byte(n >> 20)
		}
		keep = append(keep, b)
	}
	for i, b := range keep {
		if b[4096] != byte(i) {
			return fmt.Errorf("block %d holds %d", i, b[4096])
		}
	}
	runtime.ReadMemStats(&m)
	fmt.Println("allocated", len(keep), "MiB, heap", m.HeapSys>>20, "MiB")
	return nil
}

// vector runs float and copy loops in goroutines that preempt one another.
func vector() error {
	errs := make(chan error, 4)
	deadline := time.Now().Add(2 * time.Second)
	for w := range 4 {
		go func() {
			x := make([]byte, 5000)
			y := make([]byte, 5000)
			for i := range x {
				x[i] = byte(i * (w + 3))
			}
			for time.Now().Before(deadline) {
				f := 1.0
				for i := range 20000 {
					f = f*1.0000001 + float64(i)*1e-9*float64(w+1)
				}
				g := 1.0
				for i := range 20000 {
					g = g*1.0000001 + float64(i)*1e-9*float64(w+1)
				}
				copy(y, x)
				if f != g || string(x) != string(y) {
					errs <- fmt.Errorf("worker %d: %v and %v", w, f, g)
					return
				}
				clear(y)
			}
			errs <- nil
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}
