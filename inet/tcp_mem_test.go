package inet_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"barewire/inet"
	"barewire/inet/mib"
)

// tcpMem returns the pages that TCP of a stack holds, as sockstat says.
func tcpMem(t *testing.T, n *inet.Net) (pages int) {
	show, ok := n.Dev().Proc().Lookup("sockstat")
	if !ok {
		t.Fatal("no sockstat")
	}
	_, line, _ := strings.Cut(string(show(nil)), "\nTCP:")
	if _, err := fmt.Sscanf(line, " inuse %d orphan %d tw %d alloc %d mem %d", new(int), new(int), new(int), new(int), &pages); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return pages
}

func TestTCPMem_sysctl_threeNumbers(t *testing.T) {
	h := newHost(t)
	tab := h.net.Sysctl()
	check(t, tab.Set("net.ipv4.tcp_mem", "30 20 100"))
	if v, err := tab.Get("net.ipv4.tcp_mem"); err != nil || v != "30\t20\t100" {
		t.Errorf("%q, %v", v, err)
	}
	for _, bad := range []string{"-1 2 3", "1 x 3", "1 2 9999999999999999"} {
		if tab.Set("net.ipv4.tcp_mem", bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// TestTCPMem_shortage_boundedAndByteExact sends between stacks one of which has
// hardly any memory for TCP: it keeps to its limit, says that it is under
// pressure, and the transfer ends all the same.
func TestTCPMem_shortage_boundedAndByteExact(t *testing.T) {
	for _, x := range []struct {
		name     string
		receiver bool
	}{{"receiver", true}, {"sender", false}} {
		t.Run(x.name, func(t *testing.T) {
			p, q := vethPair(t)
			c, s := tcpConnected(t, p, q, 80)
			short := p
			if x.receiver {
				short = q
			}
			const high = 24
			check(t, short.Dev().Sysctl().Set("net.ipv4.tcp_mem", "8 16 24"))
			data := make([]byte, 1<<20)
			for i := range data {
				data[i] = byte(i * 7 >> 3)
			}
			go func() {
				if _, err := (conn{c}).Write(data); err != nil {
					t.Error(err)
				}
			}()
			// Nobody reads: what is in memory stays bounded.
			for range 20 {
				time.Sleep(time.Millisecond)
				if used := tcpMem(t, short); used > high+16 {
					t.Fatalf("%d pages held, the limit is %d", used, high)
				}
			}
			got := make([]byte, len(data))
			if _, err := io.ReadFull(conn{s}, got); err != nil || !bytes.Equal(got, data) {
				t.Fatalf("wrong data, or %v", err)
			}
			ext := &short.MIB().TCPExt
			if ext[mib.TCPMemoryPressures].Load() == 0 {
				t.Error("pressure was not counted")
			}
		})
	}
}
