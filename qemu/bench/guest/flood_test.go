package guest

import (
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"barewire/board/hosted"
	"barewire/qemu"
)

// openTap is a TAP device in a namespace, read and written by the test where
// QEMU would be.
func openTap(t *testing.T) (*qemu.Namespace, *os.File) {
	if err := qemu.CanNamespace(); err != nil {
		t.Skip(err)
	}
	ns, err := qemu.NewNamespace("flood")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	var f *os.File
	for _, err := range []error{
		ns.IP("tuntap", "add", "dev", "tap0", "mode", "tap"), ns.IP("addr", "add", hostAddr(0).String()+"/24", "dev", "tap0"),
		ns.IP("link", "set", "dev", "tap0", "txqueuelen", strconv.Itoa(tapQueue)),
		ns.Do(func() (err error) { f, err = hosted.OpenTap("tap0", false); return err }), ns.IP("link", "set", "dev", "tap0", "up"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { f.Close() })
	return ns, f
}

// However slow the reader, what the generator sent is read, and the device drops
// nothing.
func TestFlood_slowReader_losesNothing(t *testing.T) {
	ns, tap := openTap(t)
	frame := udpFrame(guestMAC, netip.AddrPortFrom(hostAddr(0), 1), netip.AddrPortFrom(guestAddr(0), 2))
	f, err := newFlood(ns, "tap0", [][]byte{frame}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	read := make(chan int)
	go func() {
		n := 0
		for b := make([]byte, 2048); ; n++ {
			k, err := tap.Read(b)
			if err != nil {
				read <- n
				return
			}
			if string(b[:k]) != string(frame) {
				n-- // the host's own
			}
			if n%500 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	taken, err := f.run(100 * time.Millisecond)
	if err == nil {
		err = f.drain()
	}
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	tap.Close()
	if n := <-read; n != f.sent || taken == 0 || taken > n {
		t.Errorf("%d frames sent, %d taken meanwhile, %d read", f.sent, taken, n)
	}
}

func TestCounter_countsWhatItShould(t *testing.T) {
	ns, tap := openTap(t)
	sink, err := drain(ns, 9)
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	c, err := newCounter(ns, "tap0", guestAddr(0), 9)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	to := qemu.Broadcast
	for range 1000 {
		for _, p := range [][]byte{
			udpFrame(to, netip.AddrPortFrom(guestAddr(0), 1), netip.AddrPortFrom(hostAddr(0), 9)), // this one
			udpFrame(to, netip.AddrPortFrom(guestAddr(0), 1), netip.AddrPortFrom(hostAddr(0), 8)),
			udpFrame(to, netip.AddrPortFrom(guestAddr(1), 1), netip.AddrPortFrom(hostAddr(0), 9)),
		} {
			if _, err := tap.Write(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	n := 0
	for range 100 {
		k, err := c.take()
		if err != nil {
			t.Fatal(err)
		}
		if n += k; n >= 1000 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n != 1000 {
		t.Errorf("%d counted, want 1000", n)
	}
}
