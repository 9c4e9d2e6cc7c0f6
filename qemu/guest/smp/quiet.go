package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"
)

// lost is how late a wake-up is that never came: nothing else ends the halt of a machine that has nothing else to do, but
// for the runtime's housekeeping every half minute. A host that is busy with something else is not late by that much.
const lost = 5 * time.Second

// quiet has goroutines wake each other in every way there is, on a machine that is idle otherwise, so that a wake-up that is lost
// is not made good by the next interrupt.
func quiet() error {
	d, err := time.ParseDuration(os.Args[2])
	if err != nil {
		return err
	}
	ways, err := wakeUps()
	if err != nil {
		return err
	}
	took := make([][]time.Duration, len(ways))
	for start := time.Now(); time.Since(start) < d; {
		i := rand.IntN(len(ways))
		for range 20 {
			for n := rand.IntN(3); n > 0; n-- { // how far the other processors are on their way to sleep
				sink.Add(work(rand.IntN(20000)))
			}
			t := time.Now()
			if err := ways[i].wake(); err != nil {
				return fmt.Errorf("%s: %w", ways[i].name, err)
			}
			d := time.Since(t)
			if took[i] = append(took[i], d); d > lost {
				return fmt.Errorf("%s took %v", ways[i].name, d)
			}
		}
	}
	for i, t := range took {
		if slices.Sort(t); len(t) > 0 {
			fmt.Println(ways[i].name, len(t), "times: median", t[len(t)/2], "99 %", t[len(t)*99/100], "most", t[len(t)-1])
		}
	}
	return nil
}

type wakeUp struct {
	name string
	wake func() error
}

func wakeUps() ([]wakeUp, error) {
	ping, pong := make(chan int), make(chan int)
	go func() {
		for v := range ping {
			pong <- v
		}
	}()
	stages := make([]chan int, 12)
	for i := range stages {
		stages[i] = make(chan int)
	}
	for i := range len(stages) - 1 {
		go func() {
			for v := range stages[i] {
				stages[i+1] <- v
			}
		}()
	}
	var mu sync.Mutex
	there := sync.NewCond(&mu)
	asked, answered := 0, 0
	go func() {
		mu.Lock()
		defer mu.Unlock()
		for {
			for asked == answered {
				there.Wait()
			}
			answered = asked
			there.Broadcast()
		}
	}()
	tcp, err := tcpEcho()
	if err != nil {
		return nil, err
	}
	udp, err := udpEcho()
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	r2, w2, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go io.Copy(w2, r)
	trip := func(w io.Writer, r io.Reader) func() error {
		buf := []byte{0}
		return func() error {
			if _, err := w.Write(buf); err != nil {
				return err
			}
			_, err := io.ReadFull(r, buf)
			return err
		}
	}
	return []wakeUp{
		{"a channel", func() error { ping <- 1; <-pong; return nil }},
		{"a chain of channels", func() error { go func() { stages[0] <- 1 }(); <-stages[len(stages)-1]; return nil }},
		{"new goroutines", func() error {
			var wg sync.WaitGroup
			for range 1 + rand.IntN(10) {
				wg.Go(func() { sink.Add(work(rand.IntN(30000))) })
			}
			wg.Wait()
			return nil
		}},
		{"a condition", func() error {
			mu.Lock()
			defer mu.Unlock()
			asked++
			there.Broadcast()
			for answered != asked {
				there.Wait()
			}
			return nil
		}},
		{"a mutex", func() error {
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					mu.Lock()
					sink.Add(work(rand.IntN(10000)))
					mu.Unlock()
				})
			}
			wg.Wait()
			return nil
		}},
		{"TCP", trip(tcp, tcp)},
		{"UDP", trip(udp, udp)},
		{"pipes", trip(w, r2)},
		{"a timer", func() error { time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond); return nil }},
		{"timers", func() error {
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() { time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond) })
			}
			wg.Wait()
			return nil
		}},
		{"a collection", func() error { runtime.GC(); return nil }},
		{"fewer processors", func() error {
			runtime.GOMAXPROCS(1 + rand.IntN(runtime.NumCPU()))
			go func() { stages[0] <- 1 }()
			<-stages[len(stages)-1]
			runtime.GOMAXPROCS(runtime.NumCPU())
			return nil
		}},
	}, nil
}

func tcpEcho() (net.Conn, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		if c, err := l.Accept(); err == nil {
			io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
		}
	}()
	return net.Dial("tcp", l.Addr().String())
}

func udpEcho() (net.Conn, error) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			c.WriteTo(buf[:n], from)
		}
	}()
	return net.Dial("udp", c.LocalAddr().String())
}
