// Busy echoes UDP on port 7 while goroutines that never call anything spin: the
// timer interrupt must take the processor from them for packets to be
// answered.
package main

import (
	"fmt"
	"net"
	"os"
)

//go:noinline
func spin(n uint64) uint64 {
	for i := uint64(0); i != n; i++ {
	}
	return n
}

func main() {
	conn, err := net.ListenPacket("udp", ":7")
	if err != nil {
		fmt.Println("FAIL:", err)
		os.Exit(1)
	}
	for range 2 {
		go spin(1 << 63)
	}
	fmt.Println("busy")
	buf := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			fmt.Println("FAIL:", err)
			os.Exit(1)
		}
		conn.WriteTo(buf[:n], from)
	}
}
