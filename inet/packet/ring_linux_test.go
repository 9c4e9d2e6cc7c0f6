package packet_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// linuxVeth makes a network namespace with a veth pair that has the addresses
// of w's, and stays in it until the test ends.
func linuxVeth(t *testing.T, w *world) (a, b int32) {
	if os.Geteuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	// The thread is lost to the namespace: it ends with the test's goroutine.
	runtime.LockOSThread()
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		t.Skip(err)
	}
	ha, hb := w.a.HardwareAddr(), w.b.HardwareAddr()
	mac := func(h [6]byte) string {
		return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", h[0], h[1], h[2], h[3], h[4], h[5])
	}
	for _, args := range [][]string{
		{"link", "add", "veth0", "address", mac(ha), "type", "veth", "peer", "name", "veth1", "address", mac(hb)},
		{"link", "set", "veth0", "up"}, {"link", "set", "veth1", "up"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Skipf("ip %v: %v %s", args, err, out)
		}
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	must(t, err)
	defer syscall.Close(fd)
	ask := func(name string, cmd uintptr) uint32 {
		var req [40]byte
		copy(req[:], name)
		if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), cmd, uintptr(unsafe.Pointer(&req))); e != 0 {
			t.Fatal(e)
		}
		return binary.LittleEndian.Uint32(req[16:])
	}
	index := func(name string) int32 {
		for range 500 { // what is sent before the carrier is known is lost
			if ask(name, syscall.SIOCGIFFLAGS)&syscall.IFF_RUNNING != 0 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		return int32(ask(name, syscall.SIOCGIFINDEX))
	}
	return index("veth0"), index("veth1")
}

// What a ring holds after packets of several kinds is Linux's, byte for byte,
// but for times and numbers of devices.
func TestRing_contents_asLinux(t *testing.T) {
	w := newWorld(t)
	ia, ib := linuxVeth(t, w)
	for version := range uint32(3) {
		for _, typ := range []int{syscall.SOCK_RAW, syscall.SOCK_DGRAM} {
			for _, reserve := range []uint32{0, 40} {
				compareRings(t, w, ia, ib, version, typ, reserve)
			}
		}
	}
}

func compareRings(t *testing.T, w *world, ia, ib int32, version uint32, typ int, reserve uint32) {
	const size, frameSize = 8192, 512
	req := request(size, 1, frameSize, size/frameSize)
	if version == 2 {
		req = request(size, 1, frameSize, size/frameSize, 400, 12, 0) // longer than sending takes
	}
	s := w.socket(typ, 0)
	must(t, s.SetSockOpt(solPacket, optVersion, word(version)))
	must(t, s.SetSockOpt(solPacket, optReserve, word(reserve)))
	must(t, s.SetSockOpt(solPacket, optRxRing, req))
	ours, unmap, err := s.Mmap(0, size)
	must(t, err)
	defer unmap()
	must(t, s.Bind(ll(0x88b5, w.b)))
	tx := w.socket(syscall.SOCK_RAW, 0)

	fd, err := syscall.Socket(syscall.AF_PACKET, typ, 0)
	must(t, err)
	defer syscall.Close(fd)
	must(t, setsockopt(fd, optVersion, word(version)))
	must(t, setsockopt(fd, optReserve, word(reserve)))
	must(t, setsockopt(fd, optRxRing, req))
	theirs, err := syscall.Mmap(fd, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	must(t, err)
	defer syscall.Munmap(theirs)
	must(t, syscall.Bind(fd, &syscall.SockaddrLinklayer{Protocol: uint16(be(0x88b5)), Ifindex: int(ib)}))
	out, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, 0)
	must(t, err)
	defer syscall.Close(out)

	frames := [][]byte{
		ethernet(w, 46, 1), ethernet(w, 47, 2), ethernet(w, 1000, 3), ethernet(w, 100, 4),
		frame([6]byte{255, 255, 255, 255, 255, 255}, w.a.HardwareAddr(), 0x88b5, 60),
		frame([6]byte{1, 0, 0x5e, 0, 0, 1}, w.a.HardwareAddr(), 0x88b5, 60),
		frame([6]byte{2, 9, 9, 9, 9, 9}, w.a.HardwareAddr(), 0x88b5, 60), // for somebody else
	}
	for _, f := range frames {
		must(t, send(tx, f, ll(0, w.a)))
		must(t, syscall.Sendto(out, f, 0, &syscall.SockaddrLinklayer{Ifindex: int(ia), Halen: 6}))
	}
	w.run()
	last := len(frames) - 1
	ready := func(mem []byte) bool {
		if version == 2 {
			return atomic.LoadUint32(status(mem, 8))&1 != 0
		}
		return atomic.LoadUint32(status(mem, last*frameSize))&1 != 0
	}
	for deadline := time.Now().Add(5 * time.Second); !ready(ours) || !ready(theirs); time.Sleep(5 * time.Millisecond) {
		w.run()
		if time.Now().After(deadline) {
			t.Fatalf("version %d, type %d: not all there: here %v, in Linux %v", version+1, typ, ready(ours), ready(theirs))
		}
	}
	// Times and device numbers are nobody's business, nor is whether somebody
	// else on this Linux wants the times of packets (TP_STATUS_TS_SOFTWARE).
	const stamped = 0xdf
	mask := func(mem []byte) []byte {
		b := append([]byte(nil), mem...)
		zero := func(at, n int) { clear(b[at : at+n]) }
		if version == 2 {
			zero(32, 16)
			for at, n := int(binary.LittleEndian.Uint32(b[16:])), binary.LittleEndian.Uint32(b[12:]); n > 0; n-- {
				next := int(binary.LittleEndian.Uint32(b[at:]))
				zero(at+4, 8)
				zero(at+48+4, 4)
				b[at+20+3] &= stamped
				at += next
			}
			return b
		}
		for i := range frames {
			at := i * frameSize
			zero(at+[]int{20, 16}[version], 8)
			zero(at+32+4, 4)
			b[at+3] &= stamped
		}
		return b
	}
	o, l := mask(ours), mask(theirs)
	for i := range o {
		if o[i] != l[i] {
			lo := i &^ 15
			t.Errorf("version %d, type %d, reserve %d: byte %d differs:\nhere  %x\nLinux %x", version+1, typ, reserve, i, o[lo:lo+48], l[lo:lo+48])
			return
		}
	}
}
