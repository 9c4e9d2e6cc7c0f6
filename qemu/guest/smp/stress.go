package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// stress has every part of the scheduler used at once and checks what comes out.
func stress() error {
	d, err := time.ParseDuration(os.Args[2])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	parts := map[string]func(context.Context) error{
		"ring": ring, "lock": lock, "timers": timers, "garbage": garbage, "deep": deep, "panics": panics, "world": world, "loops": loops,
		"select": selects, "condition": condition,
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for name, part := range parts {
		wg.Go(func() {
			if err := part(ctx); err != nil {
				mu.Lock()
				failed = errors.Join(failed, fmt.Errorf("%s: %w", name, err))
				mu.Unlock()
				cancel()
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(d + 20*time.Second):
		buf := make([]byte, 1<<16)
		os.Stdout.Write(buf[:runtime.Stack(buf, true)])
		return errors.New("a part does not end")
	}
	return failed
}

// ring sends a token around through unbuffered channels.
func ring(ctx context.Context) error {
	const n = 20
	chans := make([]chan int, n)
	for i := range chans {
		chans[i] = make(chan int)
	}
	for i := range n - 1 {
		go func() {
			defer close(chans[i+1])
			for v := range chans[i] {
				chans[i+1] <- v + 1
			}
		}()
	}
	defer close(chans[0])
	for v := 0; ctx.Err() == nil; v++ {
		go func() { chans[0] <- v }()
		if got := <-chans[n-1]; got != v+n-1 {
			return fmt.Errorf("%d came round as %d", v, got)
		}
	}
	return nil
}

// lock counts under a mutex and with atomics.
func lock(ctx context.Context) error {
	var mu sync.Mutex
	var rw sync.RWMutex
	var plain, shared int
	var atom atomic.Int64
	var wg sync.WaitGroup
	for range 4 * runtime.NumCPU() {
		wg.Go(func() {
			for ctx.Err() == nil {
				for range 100 {
					mu.Lock()
					plain++
					mu.Unlock()
					atom.Add(1)
				}
				rw.RLock()
				_ = shared
				rw.RUnlock()
				rw.Lock()
				shared++
				rw.Unlock()
			}
		})
	}
	wg.Wait()
	if int64(plain) != atom.Load() || plain != 100*shared {
		return fmt.Errorf("%d, %d, %d", plain, atom.Load(), shared)
	}
	return nil
}

// timers sleep, are stopped and reset, on goroutines that move.
func timers(ctx context.Context) error {
	var wg sync.WaitGroup
	var late atomic.Int64
	for range 16 {
		wg.Go(func() {
			for ctx.Err() == nil {
				d := time.Duration(rand.IntN(3000)) * time.Microsecond
				t := time.Now()
				time.Sleep(d)
				if over := time.Since(t) - d; over < 0 {
					late.Store(int64(over))
				}
				a := time.AfterFunc(d, func() {})
				a.Reset(time.Millisecond)
				a.Stop()
			}
		})
	}
	wg.Wait()
	if l := late.Load(); l != 0 {
		return fmt.Errorf("woke %v early", time.Duration(-l))
	}
	return nil
}

type node struct {
	next *node
	v    [5]int
}

// garbage makes lists and checks them after others have made theirs.
func garbage(ctx context.Context) error {
	var wg sync.WaitGroup
	var bad atomic.Int64
	for g := range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				var head *node
				for i := range 2000 {
					head = &node{head, [5]int{g, i, g + i}}
				}
				n := 1999
				for ; head != nil; head = head.next {
					if head.v != [5]int{g, n, g + n} {
						bad.Add(1)
					}
					n--
				}
			}
		})
	}
	wg.Wait()
	if bad.Load() != 0 {
		return fmt.Errorf("%d nodes have changed", bad.Load())
	}
	return nil
}

//go:noinline
func down(n int) int {
	var pad [20]int
	if n == 0 {
		return 0
	}
	pad[n%20] = n
	return down(n-1) + pad[n%20] - n + 1
}

// deep grows stacks.
func deep(ctx context.Context) error {
	for ctx.Err() == nil {
		c := make(chan int)
		go func() { c <- down(5000) }()
		if got := <-c; got != 5000 {
			return fmt.Errorf("depth %d", got)
		}
	}
	return nil
}

// panics come from faults and are recovered.
func panics(ctx context.Context) error {
	try := func() (err error) {
		defer func() { err, _ = recover().(error) }()
		var p *node
		p.v[3] = 1
		return nil
	}
	for ctx.Err() == nil {
		for range 20 {
			if try() == nil {
				return errors.New("a nil pointer was written to")
			}
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// world stops it.
func world(ctx context.Context) error {
	var m runtime.MemStats
	buf := make([]byte, 1<<15)
	for ctx.Err() == nil {
		runtime.ReadMemStats(&m)
		runtime.Stack(buf, true)
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

// loops has goroutines that make no calls.
func loops(ctx context.Context) error {
	for ctx.Err() == nil {
		sink.Add(work(1e6))
		time.Sleep(3 * time.Millisecond)
	}
	return nil
}

// selects lets many wait for the same channels.
func selects(ctx context.Context) error {
	a, b := make(chan int, 3), make(chan int)
	var sum atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case v := <-a:
					sum.Add(int64(v))
				case v := <-b:
					sum.Add(int64(v))
				case <-ctx.Done():
					return
				}
			}
		})
	}
	sent := int64(0)
	for ctx.Err() == nil {
		select {
		case a <- 1:
		case b <- 1:
		case <-ctx.Done():
			sent--
		}
		sent++
	}
	wg.Wait()
	if got := sum.Load() + int64(len(a)); got != sent {
		return fmt.Errorf("%d of %d arrived", got, sent)
	}
	return nil
}

// condition wakes one of many sleepers at a time.
func condition(ctx context.Context) error {
	var mu sync.Mutex
	c := sync.NewCond(&mu)
	var wg sync.WaitGroup
	tokens, taken := 0, 0
	over := false
	for range 8 {
		wg.Go(func() {
			mu.Lock()
			defer mu.Unlock()
			for {
				for tokens == 0 && !over {
					c.Wait()
				}
				if tokens == 0 {
					return
				}
				tokens--
				taken++
			}
		})
	}
	given := 0
	for ctx.Err() == nil {
		mu.Lock()
		tokens++
		given++
		mu.Unlock()
		c.Signal()
		runtime.Gosched()
	}
	mu.Lock()
	over = true
	mu.Unlock()
	c.Broadcast()
	wg.Wait()
	if given != taken {
		return fmt.Errorf("%d of %d taken", taken, given)
	}
	return nil
}
