package packet_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"barewire/inet/bpf"
	"barewire/inet/packet"
	"barewire/napi"
)

// captured is what a stream says, read strictly.
type captured struct {
	ifaces  []string
	packets []capturedPacket
	stats   map[uint32][2]uint64 // received, dropped
}

type capturedPacket struct {
	iface  string
	flags  uint32
	length int
	data   []byte
	ns     uint64
}

// parseStream reads a pcapng stream and refuses whatever the format does not
// ask for.
func parseStream(p []byte) (c captured, err error) {
	le := binary.LittleEndian
	c.stats = map[uint32][2]uint64{}
	for first := true; len(p) > 0; first = false {
		if len(p) < 12 {
			return c, fmt.Errorf("%d bytes left over", len(p))
		}
		typ, n := le.Uint32(p), int(le.Uint32(p[4:]))
		if n < 12 || n%4 != 0 || n > len(p) || int(le.Uint32(p[n-4:])) != n {
			return c, fmt.Errorf("block %#x of %d bytes", typ, n)
		}
		body := p[8 : n-4]
		p = p[n:]
		if first != (typ == 0x0a0d0d0a) {
			return c, fmt.Errorf("block %#x in the wrong place", typ)
		}
		fixed, data := 0, 0
		switch typ {
		case 0x0a0d0d0a:
			fixed = 16
			if le.Uint32(body) != 0x1a2b3c4d || le.Uint32(body[4:]) != 1 || le.Uint64(body[8:]) != 1<<64-1 {
				return c, fmt.Errorf("section header %x", body)
			}
		case 1:
			fixed = 8
			if le.Uint16(body) != 1 {
				return c, fmt.Errorf("link type %d", le.Uint16(body))
			}
		case 6:
			fixed, data = 20, int(le.Uint32(body[12:]))
		case 5:
			fixed = 12
		default:
			return c, fmt.Errorf("block type %#x", typ)
		}
		opts := map[uint16][]byte{}
		o := body[fixed+(data+3)&^3:]
		for ended := false; !ended; {
			if len(o) < 4 {
				return c, fmt.Errorf("options of block %#x do not end", typ)
			}
			code, l := le.Uint16(o), int(le.Uint16(o[2:]))
			ended = code == 0
			opts[code] = o[4 : 4+l]
			o = o[4+(l+3)&^3:]
		}
		if len(o) != 0 {
			return c, fmt.Errorf("%d bytes behind the options", len(o))
		}
		switch typ {
		case 1:
			if len(opts[9]) != 1 || opts[9][0] != 9 {
				return c, fmt.Errorf("time resolution %x", opts[9])
			}
			c.ifaces = append(c.ifaces, string(opts[2]))
		case 6:
			id := int(le.Uint32(body))
			if id >= len(c.ifaces) {
				return c, fmt.Errorf("interface %d is not described", id)
			}
			c.packets = append(c.packets, capturedPacket{c.ifaces[id], le.Uint32(opts[2]), int(le.Uint32(body[16:])),
				body[20 : 20+data], uint64(le.Uint32(body[4:]))<<32 | uint64(le.Uint32(body[8:]))})
		case 5:
			c.stats[le.Uint32(body)] = [2]uint64{le.Uint64(opts[4]), le.Uint64(opts[5])}
		}
	}
	return c, nil
}

func TestCapture_bothDirections_readByStrictParserAndTcpdump(t *testing.T) {
	w := newWorld(t)
	k := packet.NewCapture(w.net, packet.CaptureConfig{})
	var stream bytes.Buffer
	done := make(chan error)
	go func() { _, err := k.WriteTo(&stream); done <- err }()
	tx := w.socket(syscall.SOCK_RAW, 0)
	// An ARP request and a broadcast of odd length.
	arp := frame(w.b.HardwareAddr(), w.a.HardwareAddr(), 0x806, 0)
	arp = append(arp, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 77)
	odd := frame([6]byte{255, 255, 255, 255, 255, 255}, w.a.HardwareAddr(), 0x88b5, 47)
	must(t, send(tx, arp, ll(0, w.a)))
	must(t, send(tx, odd, ll(0, w.a)))
	w.run()
	must(t, k.Close())
	must(t, <-done)
	c, err := parseStream(stream.Bytes())
	must(t, err)
	if strings.Join(c.ifaces, " ") != "veth0 veth1" || len(c.packets) != 4 {
		t.Fatalf("interfaces %v, %d packets", c.ifaces, len(c.packets))
	}
	for i, want := range []capturedPacket{{"veth0", 2, 42, arp, 0}, {"veth0", 2, 61, odd, 0}, {"veth1", 1 | 1<<2, 42, arp, 0}, {"veth1", 1 | 3<<2, 61, odd, 0}} {
		p := c.packets[i]
		if p.iface != want.iface || p.flags != want.flags || p.length != want.length || !bytes.Equal(p.data, want.data) || p.ns == 0 {
			t.Errorf("packet %d is %+v, want %+v", i, p, want)
		}
	}
	if c.stats[0] != [2]uint64{2, 0} || c.stats[1] != [2]uint64{2, 0} {
		t.Errorf("statistics %v", c.stats)
	}
	tcpdump, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skip("tcpdump is not installed; the strict parser read the stream")
	}
	name := filepath.Join(t.TempDir(), "stream.pcapng")
	must(t, os.WriteFile(name, stream.Bytes(), 0o600))
	out, err := exec.Command(tcpdump, "-nn", "-r", name).CombinedOutput()
	if n := strings.Count(string(out), "who-has 192.0.2.77 tell 192.0.2.1"); err != nil || n != 2 || !strings.Contains(string(out), "0x88b5") {
		t.Errorf("tcpdump: %v\n%s", err, out)
	}
}

func TestCapture_nobodyReads_bufferBoundsAndCounts(t *testing.T) {
	w := newWorld(t)
	k := packet.NewCapture(w.net, packet.CaptureConfig{Device: w.a, Buffer: 8192, Snaplen: 100, Promisc: true})
	if w.a.Promiscuity() != 1 {
		t.Error("not promiscuous")
	}
	tx := w.socket(syscall.SOCK_RAW, 0)
	f := frame(w.b.HardwareAddr(), w.a.HardwareAddr(), 0x88b5, 1000)
	for range 200 {
		must(t, send(tx, f, ll(0, w.a)))
		w.run()
	}
	if n := testing.AllocsPerRun(100, func() {
		buf := [144]byte{}
		k.TryRead(buf[:])
	}); n > 1 {
		t.Errorf("%g allocations per read", n)
	}
	received, dropped := k.Stats()
	must(t, k.Close())
	rest, err := io.ReadAll(k)
	must(t, err)
	if received != 200 || dropped < 100 || dropped > 180 || len(rest) > 8192+200 {
		t.Errorf("%d received, %d dropped, %d bytes left", received, dropped, len(rest))
	}
	if w.a.Promiscuity() != 0 {
		t.Error("still promiscuous")
	}
}

func TestCapture_filterAndSnaplen_wrapAround(t *testing.T) {
	w := newWorld(t)
	prog, err := bpf.New([]bpf.Insn{{Code: 0x28, K: 12}, {Code: 0x15, JF: 1, K: 0x88b5}, {Code: 6, K: 70}, {Code: 6}})
	must(t, err)
	k := packet.NewCapture(w.net, packet.CaptureConfig{Device: w.b, Buffer: 4096, Filter: prog})
	tx := w.socket(syscall.SOCK_RAW, 0)
	var stream []byte
	buf := make([]byte, 333) // no divisor of anything
	for i := range 300 {
		for _, typ := range []uint16{0x88b5, 0x88b6} {
			f := frame(w.b.HardwareAddr(), w.a.HardwareAddr(), typ, 40+i%60)
			f[14] = byte(i)
			must(t, send(tx, f, ll(0, w.a)))
		}
		w.run()
		n, err := k.TryRead(buf)
		must(t, err)
		stream = append(stream, buf[:n]...)
	}
	must(t, k.Close())
	rest, _ := io.ReadAll(k)
	c, err := parseStream(append(stream, rest...))
	must(t, err)
	if len(c.packets) != 300 || c.stats[0] != [2]uint64{300, 0} {
		t.Fatalf("%d packets, statistics %v", len(c.packets), c.stats)
	}
	for i, p := range c.packets {
		if p.data[14] != byte(i) || p.length != 54+i%60 || len(p.data) != min(70, p.length) {
			t.Fatalf("packet %d: %d of %d bytes, %x", i, len(p.data), p.length, p.data)
		}
	}
}

func TestCapture_allocatesNothing(t *testing.T) {
	w := newWorld(t)
	k := packet.NewCapture(w.net, packet.CaptureConfig{})
	defer k.Close()
	d, err := napi.NewDummy(w.net, "dummy0")
	must(t, err)
	defer w.net.UnregisterNetdev(d)
	must(t, d.Open())
	f := frame([6]byte{2}, [6]byte{2, 1}, 0x88b5, 100)
	tx := w.socket(syscall.SOCK_RAW, 0)
	must(t, tx.Bind(ll(0, d)))
	buf := make([]byte, 4096)
	work := func() {
		must(t, send(tx, f, nil))
		k.TryRead(buf)
	}
	base := testing.AllocsPerRun(100, func() { send(tx, f[:5], nil) }) // the message of the test
	work()
	if n := testing.AllocsPerRun(200, work); n > base {
		t.Errorf("%g allocations per packet", n-base)
	}
}
