// Queues echoes TCP and UDP on port 7, swallows TCP on port 9 and sends as much as
// asked for on port 19, for a card with a pair of queues for each processor. Port 11
// answers with what was counted.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
)

func main() {
	udp, err := net.ListenPacket("udp", ":7")
	fail(err)
	serve(":7", func(c net.Conn) { io.Copy(c, c) })
	serve(":9", func(c net.Conn) { io.Copy(io.Discard, c) })
	serve(":19", func(c net.Conn) {
		for b := make([]byte, 1<<16); err == nil; {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	})
	serve(":11", func(c net.Conn) {
		queues, _ := filepath.Glob("/sys/class/net/eth0/queues/*")
		fmt.Fprintln(c, "queues", len(queues))
		for _, name := range []string{"/proc/net/softnet_stat", "/proc/interrupts"} {
			text, err := os.ReadFile(name)
			fail(err)
			c.Write(text)
		}
	})
	fmt.Println("listening")
	for range 2 {
		go echo(udp)
	}
	echo(udp)
}

func serve(addr string, do func(net.Conn)) {
	l, err := net.Listen("tcp", addr)
	fail(err)
	go func() {
		for {
			c, err := l.Accept()
			fail(err)
			go func() {
				defer c.Close()
				do(c)
			}()
		}
	}()
}

func echo(udp net.PacketConn) {
	b := make([]byte, 2048)
	for {
		n, from, err := udp.ReadFrom(b)
		fail(err)
		udp.WriteTo(b[:n], from)
	}
}

func fail(err error) {
	if err != nil {
		fmt.Println("FAIL:", err)
		os.Exit(1)
	}
}
