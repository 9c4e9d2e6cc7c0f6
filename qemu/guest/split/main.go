// Split spends its time where a profile can be held against it: three times as
// much in one function as in another, in turns of some microseconds, while a
// goroutine sleeps in milliseconds, so that most timer interrupts are for
// somebody else than the profiler, and packets to UDP port 7 are counted.
package main

import (
	"fmt"
	"net"
	"os"
	"time"
)

//go:noinline
func one(n int) (s int) {
	for i := range n {
		s += i ^ s
	}
	return s
}

//go:noinline
func three(n int) (s int) {
	for i := range 3 * n {
		s += i ^ s
	}
	return s
}

func main() {
	conn, err := net.ListenPacket("udp", ":7")
	if err != nil {
		fmt.Println("FAIL:", err)
		os.Exit(1)
	}
	go func() {
		for b := make([]byte, 2048); ; {
			if _, _, err := conn.ReadFrom(b); err != nil {
				fmt.Println("FAIL:", err)
				os.Exit(1)
			}
		}
	}()
	go func() {
		for {
			time.Sleep(time.Millisecond)
		}
	}()
	fmt.Println("split")
	for s := 0; ; {
		s += one(5000)
		s += three(5000)
	}
}
