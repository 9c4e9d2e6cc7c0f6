// Lab is a guest program that obeys: it reads commands of package lab on its standard input, the console, and answers each
// with lines that begin with "| " and then "lab: ok" or "lab: " and the error. Beside it echoes what comes to the UDP ports 7 and 17.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"

	"barewire/qemu/lab"
)

func main() {
	for _, port := range []int{7, 17} {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{Port: port})
		if err != nil {
			fmt.Println("lab:", err)
			os.Exit(1)
		}
		go echo(conn)
	}
	var l lab.Lab
	fmt.Println("lab: ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if lines.Text() == "quit" {
			return
		}
		var out bytes.Buffer
		err := l.Run(lines.Text(), &out)
		for line := range strings.Lines(out.String()) {
			fmt.Print("| ", line)
		}
		if err != nil {
			fmt.Println("lab:", err)
			continue
		}
		fmt.Println("lab: ok")
	}
}

func echo(conn *net.UDPConn) {
	b := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		conn.WriteToUDPAddrPort(b[:n], from)
	}
}
