package sys

import (
	"bytes"
	"strings"
	"syscall"
	"testing"
	"time"

	"barewire/skb"
)

// A frame sent while /dev/pcapng is open is in its stream: a blocked reader gets
// it, and O_NONBLOCK says when there is nothing more. /dev/pcapng without a
// network is ENXIO.
func TestPcapng_frameSent_readFromTheDevice(t *testing.T) {
	tk, dev := newSysfs(t)
	if err := dev.Open(); err != nil {
		t.Fatal(err)
	}
	fd := tk.open("/dev/pcapng", syscall.O_RDONLY)
	head, _ := tk.readString(fd, 4096)
	if !strings.HasPrefix(head, "\x0a\x0d\x0d\x0a") {
		t.Fatalf("the stream begins with % x, want a section header block", head)
	}
	frame := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5}, "seen on the way out, sixty bytes or so of it"...)
	got := make(chan string, 1)
	go func() {
		s, _ := tk.readString(fd, 4096)
		got <- s
	}()
	time.Sleep(10 * time.Millisecond) // let it block; it must work either way
	b := dev.Net().SKB().Alloc(skb.MaxHeader + len(frame))
	b.Reserve(skb.MaxHeader)
	copy(b.Put(len(frame)), frame)
	b.ResetMacHeader()
	b.Dev = dev
	if err := dev.Net().DevQueueXmit(b); err != nil {
		t.Fatal(err)
	}
	dev.Net().SoftNet().DoSoftirq()
	select {
	case s := <-got:
		if !bytes.Contains([]byte(s), frame) {
			t.Errorf("the frame is not in what was read: % x", s)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the reader was not woken")
	}
	tk.must(syscall.SYS_FCNTL, fd, syscall.F_SETFL, syscall.O_NONBLOCK)
	if _, e := tk.readString(fd, 4096); e != syscall.EAGAIN {
		t.Errorf("read without a packet: %v, want EAGAIN", e)
	}
	tk.must(syscall.SYS_CLOSE, fd)

	newTestKernel(t).fails(syscall.ENXIO, syscall.SYS_OPEN, ptr(cstr("/dev/pcapng")), syscall.O_RDONLY)
}
