package qemu

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

var cpus = func() int { n, _ := strconv.Atoi(os.Getenv("ZZCPUS")); return n }()

func TestZZVnet(t *testing.T) {
	onEachMachine(t, func(t *testing.T, machine string) {
		for _, props := range []string{"", "mrg_rxbuf=on", "mrg_rxbuf=off", "packed=on,mq=on"} {
			if machine == Microvm && props == "vectors=0" {
				continue
			}
			t.Run(props, func(t *testing.T) {
				conn, end, err := NewWire(Dgram)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				start := time.Now()
				m := Start(t, Config{Machine: machine, Kernel: image(t, guests+"zzvnet"), CPUs: cpus, NICs: []NIC{{Backend: end, Props: props, NoPcap: true}}})
				if _, err := m.Console.WaitFor("READY", 10*time.Second); err != nil {
					t.Fatal(err, m.Console.Output())
				}
				fmt.Println("boot", time.Since(start))
				f := make([]byte, 2000)
				copy(f, cardMAC[:])
				copy(f[6:], "\x02\x00\x00\x00\x00\x01")
				f[12], f[13] = 0x88, 0xb5
				buf := make([]byte, 70000)
				for _, n := range []int{60, 61, 590, 1514} {
					for i := 14; i < n; i++ {
						f[i] = byte(i * n)
					}
					conn.SetReadDeadline(time.Now().Add(3 * time.Second))
					if err := conn.WriteFrame(f[:n]); err != nil {
						t.Fatal(err)
					}
					k, err := conn.ReadFrame(buf)
					if err != nil || k != n || !bytes.Equal(buf[14:k], f[14:n]) {
						t.Fatal(n, k, err, m.Console.Output())
					}
				}
				// latency
				start = time.Now()
				for range 2000 {
					conn.SetReadDeadline(time.Now().Add(3 * time.Second))
					conn.WriteFrame(f[:60])
					if _, err := conn.ReadFrame(buf); err != nil {
						t.Fatal(err, m.Console.Output())
					}
				}
				fmt.Println(machine, props, "rtt", time.Since(start)/2000)
				// window
				const total, win = 50000, 64
				start = time.Now()
				sent := 0
				for got := 0; got < total; got++ {
					for sent < total && sent-got < win {
						binary.LittleEndian.PutUint32(f[14:], uint32(sent))
						conn.WriteFrame(f[:1000])
						sent++
					}
					conn.SetReadDeadline(time.Now().Add(3 * time.Second))
					if _, err := conn.ReadFrame(buf); err != nil {
						t.Fatal(got, err, m.Console.Output())
					}
					if s := binary.LittleEndian.Uint32(buf[14:]); s != uint32(got) {
						t.Fatalf("frame %d, want %d", s, got)
					}
				}
				fmt.Println(machine, props, "windowed", time.Since(start)/total, "per frame")
				time.Sleep(2100 * time.Millisecond)
				fmt.Println(m.Console.Output())
			})
		}
	})
}
