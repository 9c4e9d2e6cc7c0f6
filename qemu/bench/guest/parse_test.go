package guest

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"barewire/qemu"
)

func TestIperfRate_reads(t *testing.T) {
	v, err := iperfRate([]byte(`{"end":{"sum_sent":{"bits_per_second":9e9},"sum_received":{"bits_per_second":1234500000}}}`))
	if v != 1234.5 || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	for _, bad := range []string{"", "iperf3: error", `{"error":"unable to connect","end":{}}`, `{"end":{}}`} {
		if _, err := iperfRate([]byte(bad)); err == nil {
			t.Errorf("%q is taken for a rate", bad)
		}
	}
}

func TestWrkRate_reads(t *testing.T) {
	const good = "Running 1s test @ http://10.77.0.1/\n  1 threads and 16 connections\n  2634 requests in 1.00s, 314.34KB read\nRequests/sec:   2631.58\nTransfer/sec:    314.06KB\n"
	if v, err := wrkRate(good); v != 2631.58 || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	for _, bad := range []string{"", "unable to connect to 10.77.0.1:80", strings.Replace(good, "Requests/sec", "  Socket errors: connect 0, read 5, write 0, timeout 0\nRequests/sec", 1)} {
		if _, err := wrkRate(bad); err == nil {
			t.Errorf("%q is taken for a rate", bad)
		}
	}
}

func TestTxCounters_reads(t *testing.T) {
	const text = "Inter-|   Receive                                                |  Transmit\n" +
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n" +
		"    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n" +
		"  tap0:    1420      10    0    1    0     0          0         0  6400000  100000    0   77    0     0       0          0\n"
	sent, dropped, err := txCounters(text, "tap0")
	if sent != 100000 || dropped != 77 || err != nil {
		t.Errorf("%d, %d, %v", sent, dropped, err)
	}
	if _, _, err := txCounters(text, "tap1"); err == nil {
		t.Error("a device that is not there has counters")
	}
}

func TestLibraryFiles_ofLdd(t *testing.T) {
	const out = "\tlinux-vdso.so.1 (0x00007f91e51b6000)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f91e4f1d000)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f91e51b8000)\n"
	if got := strings.Join(libraryFiles(out), " "); got != "/lib/x86_64-linux-gnu/libc.so.6 /lib64/ld-linux-x86-64.so.2" {
		t.Errorf("%q", got)
	}
}

// A frame of the generator is a good one, and with its checksum left out it is
// good again when a card has made it up.
func TestUDPFrame_isWellFormed(t *testing.T) {
	src, dst := netip.AddrPortFrom(hostAddr(0), 20000), netip.AddrPortFrom(guestAddr(0), 9)
	raw := udpFrame(guestMAC, src, dst)
	if f, err := qemu.ParseFrame(raw); err != nil || f.UDP == nil || f.UDP.Dst != 9 || len(raw) != 64 {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	p := partial(raw)
	start, off := binary.LittleEndian.Uint16(p[6:]), binary.LittleEndian.Uint16(p[8:])
	frame := p[10:]
	sum := qemu.Checksum(frame[start:])
	binary.BigEndian.PutUint16(frame[start+off:], sum)
	if _, err := qemu.ParseFrame(frame); err != nil {
		t.Error(err)
	}
}

func TestSetting_props(t *testing.T) {
	for _, c := range []struct {
		s    Setting
		want string
	}{
		{one(true), ""}, {one(false), noOffloads},
		{Setting{Machine: qemu.Q35, CPUs: 2, Offloads: true}, "mq=on,vectors=6"}, {Setting{CPUs: 4, Offloads: true}, "mq=on"},
	} {
		if got := c.s.props(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.s, got, c.want)
		}
	}
}

func TestAnswered_agentsAnswer(t *testing.T) {
	const good = "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello"
	for n := range len(good) + 1 {
		if done, err := answered(append(make([]byte, 0, 8192), good[:n]...)); done != (n == len(good)) || err != nil {
			t.Errorf("%q: %v, %v", good[:n], done, err)
		}
	}
	for _, bad := range []string{
		strings.Replace(good, "200", "500", 1), strings.Replace(good, "hello", "hallo", 1), good + "x", strings.Replace(good, "Length: 5", "Length: x", 1),
	} {
		if done, err := answered([]byte(bad)); done || err == nil {
			t.Errorf("%q is taken for an answer", bad)
		}
	}
}
