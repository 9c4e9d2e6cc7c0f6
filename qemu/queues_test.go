package qemu

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A card with a pair of queues for each processor, with guest/queues behind a TAP
// device of as many queues.

const queuesGuest = "10.9.0.2"

// startQueues boots the guest with so many processors and pairs of queues.
func startQueues(t *testing.T, machine string, cpus, pairs int, props string) (*VM, *Namespace) {
	t.Helper()
	ns := needNamespace(t, "mq")
	tap, err := ns.TapQueues("tap0", netip.MustParsePrefix("10.9.0.1/24"), pairs)
	if err != nil {
		t.Skip(err)
	}
	nic := NIC{Backend: tap, NoPcap: true, Props: props}
	if pairs > 1 {
		nic.Props = strings.Trim("mq=on,"+props, ",")
	}
	m := Start(t, Config{Machine: machine, CPUs: cpus, Kernel: image(t, guests+"queues"), Append: staticIP(queuesGuest + ",10.9.0.1"), NICs: []NIC{nic}})
	if _, err := m.Console.WaitFor("listening", bootTime); err != nil {
		t.Fatal(err)
	}
	return m, ns
}

// counted asks the guest for its counters: how many queues its card has, and the
// packets that each processor received.
func counted(t *testing.T, ns *Namespace) (queues int, processed []int, text string) {
	t.Helper()
	c, err := ns.connect("tcp", queuesGuest+":11")
	must(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	b, err := io.ReadAll(c)
	must(t, err)
	for line := range strings.Lines(string(b)) {
		var n int
		if _, err := fmt.Sscanf(line, "queues %d", &n); err == nil {
			queues = n
		} else if f := strings.Fields(line); len(f) == 15 && len(f[0]) == 8 {
			fmt.Sscanf(f[0], "%x", &n)
			processed = append(processed, n)
		}
	}
	return queues, processed, string(b)
}

// Flows of both protocols are echoed byte for byte, and every processor takes part.
func TestQueues_EachProcessorItsPair(t *testing.T) {
	for _, c := range []struct {
		machine, props    string
		cpus, pairs, want int
	}{
		{Q35, "vectors=6", 2, 2, 2},
		{Q35, "vectors=3", 2, 2, 2}, // a vector for a pair
		{Q35, "vectors=2", 2, 2, 2}, // one for all
		{Microvm, "", 2, 2, 2},
		{Q35, "vectors=10", 2, 4, 2},
		{Q35, "vectors=6", 4, 2, 2},
		{Q35, "vectors=6", 1, 2, 1},
	} {
		t.Run(fmt.Sprintf("%s %d CPUs %d pairs %s", c.machine, c.cpus, c.pairs, c.props), func(t *testing.T) {
			_, ns := startQueues(t, c.machine, c.cpus, c.pairs, c.props)
			var all sync.WaitGroup
			for i := range 12 {
				all.Go(func() {
					conn, err := ns.connect([]string{"tcp", "udp"}[i%2], queuesGuest+":7")
					if err != nil {
						t.Error(err)
						return
					}
					defer conn.Close()
					for k := range 40 {
						data := pattern(i*100+k, 1+(i*37+k*101)%1400)
						if err := echoOver(conn, data); err != nil {
							t.Errorf("connection %d: %v", i, err)
							return
						}
					}
				})
			}
			all.Wait()
			queues, processed, text := counted(t, ns)
			used := 0
			for _, n := range processed {
				if n > 20 {
					used++
				}
			}
			if queues != 2*c.want || len(processed) != c.cpus || used != c.want {
				t.Errorf("%d queues, packets by processor %v\n%s", queues, processed, text)
			}
		})
	}
}

// echoOver sends data and reads it back; a datagram may be lost.
func echoOver(c net.Conn, data []byte) (err error) {
	got := make([]byte, len(data))
	for try := 0; try < 5; try++ {
		if _, err = c.Write(data); err != nil {
			return err
		}
		c.SetReadDeadline(time.Now().Add(2 * time.Second))
		if _, err = io.ReadFull(c, got); err == nil && !bytes.Equal(got, data) {
			err = fmt.Errorf("other bytes came back")
		}
		if err == nil || c.LocalAddr().Network() == "tcp" {
			return err
		}
	}
	return err
}

// Eight streams in and then eight out move on, on one processor and on two. How
// fast is logged; make bench judges it.
func TestQueues_StreamsOnTwo(t *testing.T) {
	const each = 500 * time.Millisecond
	for _, c := range []struct{ cpus, pairs int }{{1, 1}, {2, 2}, {2, 1}} {
		_, ns := startQueues(t, Q35, c.cpus, c.pairs, "")
		for _, port := range []string{"9", "19"} {
			var bytes atomic.Int64
			var all sync.WaitGroup
			end := time.Now().Add(each)
			for range 8 {
				all.Go(func() {
					conn, err := ns.connect("tcp", queuesGuest+":"+port)
					if err != nil {
						t.Error(err)
						return
					}
					defer conn.Close()
					conn.SetDeadline(end)
					b := make([]byte, 1<<16)
					for n := 0; err == nil; bytes.Add(int64(n)) {
						if port == "9" {
							n, err = conn.Write(b)
						} else {
							n, err = conn.Read(b)
						}
					}
				})
			}
			all.Wait()
			n := bytes.Load()
			t.Logf("%d processors, %d pairs, port %s: %d Mbit/s", c.cpus, c.pairs, port, n*8*int64(time.Second)/int64(each)/1e6)
			if n < 8<<16 {
				t.Errorf("%d processors, %d pairs, port %s: %d bytes in %v", c.cpus, c.pairs, port, n, each)
			}
		}
		_, processed, _ := counted(t, ns)
		t.Logf("packets by processor: %v", processed)
	}
}
