package packet_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"barewire/inet/sock"
	"golang.org/x/net/bpf"
)

const solPacket, optRxRing, optStatistics, optVersion, optHdrlen, optReserve = 263, 5, 6, 10, 11, 12

// request is a struct tpacket_req or tpacket_req3.
func request(words ...uint32) []byte {
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

func word(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

// ringSocket is a socket with a mapped ring.
func (w *world) ringSocket(typ int, proto uint16, version uint32, req []byte) (*sock.Socket, []byte) {
	w.Helper()
	s := w.socket(typ, proto)
	must(w, s.SetSockOpt(solPacket, optVersion, word(version)))
	must(w, s.SetSockOpt(solPacket, optRxRing, req))
	le := binary.LittleEndian
	mem, unmap, err := s.Mmap(0, int(le.Uint32(req)*le.Uint32(req[4:])))
	must(w, err)
	w.Cleanup(unmap)
	return s, mem
}

// status is an aligned status word, shared with the stack.
func status(mem []byte, at int) *uint32 { return (*uint32)(unsafe.Pointer(&mem[at])) }

func pollIn(s *sock.Socket) bool { return s.Poll()&sock.EventIn != 0 }

func ethernet(w *world, n int, fill byte) []byte {
	f := frame(w.b.HardwareAddr(), w.a.HardwareAddr(), 0x88b5, n)
	for i := range f[14:] {
		f[14+i] = fill
	}
	return f
}

func TestRing_framesOfVersions1And2_holdPacketsInOrder(t *testing.T) {
	for version := uint32(0); version < 2; version++ {
		for _, typ := range []int{syscall.SOCK_RAW, syscall.SOCK_DGRAM} {
			t.Run(fmt.Sprint(version+1, typ), func(t *testing.T) {
				w := newWorld(t)
				const frames, size = 8, 2048
				s, mem := w.ringSocket(typ, 0x88b5, version, request(4096, frames/2, size, frames))
				tx := w.socket(syscall.SOCK_RAW, 0)
				for i := range frames + 3 { // three more than there is room for
					must(t, send(tx, ethernet(w, 60+i, byte(i)), ll(0, w.a)))
					w.run()
				}
				le := binary.LittleEndian
				for i := range frames {
					if !pollIn(s) {
						t.Fatalf("not readable before frame %d", i)
					}
					f := mem[i*size : (i+1)*size]
					st := atomic.LoadUint32(status(mem, i*size))
					var length, snaplen, mac, net, sec, frac uint32
					if version == 0 {
						length, snaplen, sec, frac = le.Uint32(f[8:]), le.Uint32(f[12:]), le.Uint32(f[20:]), le.Uint32(f[24:])*1000
						mac, net = uint32(le.Uint16(f[16:])), uint32(le.Uint16(f[18:]))
					} else {
						length, snaplen, sec, frac = le.Uint32(f[4:]), le.Uint32(f[8:]), le.Uint32(f[16:]), le.Uint32(f[20:])
						mac, net = uint32(le.Uint16(f[12:])), uint32(le.Uint16(f[14:]))
					}
					want := ethernet(w, 60+i, byte(i))
					wantMac, wantNet := uint32(66), uint32(80) // as Linux lays it out
					if typ == syscall.SOCK_DGRAM {
						want, wantMac = want[14:], 80
					}
					if st&1 == 0 || int(length) != len(want) || length != snaplen || mac != wantMac || net != wantNet ||
						string(f[mac:mac+snaplen]) != string(want) {
						t.Fatalf("frame %d: status %#x, length %d and %d of %d, at %d, %d\n%x", i, st, length, snaplen, len(want), mac, net, f[:160])
					}
					if at := time.Since(time.Unix(int64(sec), int64(frac))); at < 0 || at > time.Minute {
						t.Errorf("frame %d is of %v ago", i, at)
					}
					name := ll(0x88b5, w.b, 0, 0, 0, 0, 0, 0, 0, 0)
					h := w.a.HardwareAddr()
					name[8], name[11] = 1, 6 // Ethernet
					copy(name[12:], h[:])
					if got := f[32:52]; string(got) != string(name) {
						t.Errorf("frame %d is from %x, want %x", i, got, name)
					}
					atomic.StoreUint32(status(mem, i*size), 0)
				}
				if pollIn(s) {
					t.Error("readable with every frame given back")
				}
				stats := make([]byte, 8)
				if _, err := s.GetSockOpt(solPacket, optStatistics, stats); err != nil || string(stats) != string(request(frames+3, 3)) {
					t.Errorf("statistics %x, %v", stats, err)
				}
				must(t, send(tx, ethernet(w, 60, 9), ll(0, w.a)))
				w.run()
				if !pollIn(s) || *status(mem, 0)&1 == 0 {
					t.Error("the ring did not go on with the frame that was given back first")
				}
			})
		}
	}
}

func TestRing_packetLongerThanFrame_isCut(t *testing.T) {
	w := newWorld(t)
	_, mem := w.ringSocket(syscall.SOCK_RAW, 0x88b5, 1, request(4096, 1, 128, 32))
	tx := w.socket(syscall.SOCK_RAW, 0)
	must(t, send(tx, ethernet(w, 1000, 7), ll(0, w.a)))
	w.run()
	le := binary.LittleEndian
	if length, snaplen := le.Uint32(mem[4:]), le.Uint32(mem[8:]); length != 1014 || snaplen != 128-66 {
		t.Errorf("length %d, of it %d", length, snaplen)
	}
	if *status(mem, 128) != 0 || mem[127] != 7 || mem[128] != 0 {
		t.Error("the next frame was written to")
	}
}

func TestRing_copyThreshold_cutPacketIsReceivedWhole(t *testing.T) {
	w := newWorld(t)
	s, mem := w.ringSocket(syscall.SOCK_RAW, 0x88b5, 1, request(4096, 1, 128, 32))
	must(t, s.SetSockOpt(solPacket, 7, word(1)))
	tx := w.socket(syscall.SOCK_RAW, 0)
	f := ethernet(w, 1000, 7)
	must(t, send(tx, f, ll(0, w.a)))
	must(t, send(tx, ethernet(w, 10, 8), ll(0, w.a)))
	w.run()
	if *status(mem, 0) != 3 || *status(mem, 128) != 1 {
		t.Errorf("states %#x, %#x", *status(mem, 0), *status(mem, 128))
	}
	if _, got, err := recv(s); err != nil || string(got) != string(f) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, got, err := recv(s); err != syscall.EAGAIN {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// assemble makes an array of struct sock_filter.
func assemble(t *testing.T, insns ...bpf.Instruction) (b []byte) {
	t.Helper()
	prog, err := bpf.Assemble(insns)
	must(t, err)
	for _, i := range prog {
		b = binary.LittleEndian.AppendUint16(b, i.Op)
		b = append(b, i.Jt, i.Jf)
		b = binary.LittleEndian.AppendUint32(b, i.K)
	}
	return b
}

func TestRing_filter_cutsAndKeepsOut(t *testing.T) {
	w := newWorld(t)
	s, mem := w.ringSocket(syscall.SOCK_RAW, 0x88b5, 1, request(4096, 1, 2048, 2))
	insns := assemble(t, bpf.LoadAbsolute{Off: 14, Size: 1}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: 5, SkipTrue: 1},
		bpf.RetConstant{Val: 0}, bpf.RetConstant{Val: 20})
	must(t, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_ATTACH_FILTER, insns))
	tx := w.socket(syscall.SOCK_RAW, 0)
	for _, fill := range []byte{4, 5, 6} {
		must(t, send(tx, ethernet(w, 100, fill), ll(0, w.a)))
	}
	w.run()
	le := binary.LittleEndian
	if length, snaplen := le.Uint32(mem[4:]), le.Uint32(mem[8:]); length != 114 || snaplen != 20 || mem[66+14] != 5 {
		t.Errorf("length %d, of it %d", length, snaplen)
	}
	if *status(mem, 2048) != 0 {
		t.Error("what the filter refused is in the ring")
	}
}

// block reads a block of version 3: the packets in it.
func block(t *testing.T, b []byte, version, seq int) (packets [][]byte) {
	t.Helper()
	le := binary.LittleEndian
	if le.Uint32(b) != uint32(version) || le.Uint32(b[4:]) != 48 || le.Uint64(b[24:]) != uint64(seq) {
		t.Fatalf("block begins with %x, want number %d", b[:48], seq)
	}
	next := int(le.Uint32(b[16:]))
	n := int(le.Uint32(b[12:]))
	at := next
	for i := range n {
		h := b[at:]
		mac, snaplen := int(le.Uint16(h[24:])), int(le.Uint32(h[12:]))
		packets = append(packets, h[mac:mac+snaplen])
		if next = int(le.Uint32(h)); next == 0 != (i == n-1) {
			t.Fatalf("packet %d of %d: the next is at %d", i, n, next)
		}
		if at%8 != 0 || h[20]&1 == 0 {
			t.Errorf("packet %d at %d, status %#x", i, at, h[20])
		}
		at += next
	}
	return packets
}

func TestRing_version3_blocksFullOrOld_areHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const size, blocks = 4096, 3
		s, mem := w.ringSocket(syscall.SOCK_RAW, 0x88b5, 2, request(size, blocks, 2048, 2*blocks, 20, 8, 0))
		tx := w.socket(syscall.SOCK_RAW, 0)
		sent := byte(0)
		more := func(n int) {
			for range n {
				sent++
				must(t, send(tx, ethernet(w, 1000, sent), ll(0, w.a)))
			}
			w.run()
		}
		st := func(i int) uint32 { return atomic.LoadUint32(status(mem, i*size+8)) }
		check := func(i, seq int, fills ...byte) {
			t.Helper()
			got := block(t, mem[i*size:(i+1)*size], 2, seq)
			if len(got) != len(fills) {
				t.Fatalf("block %d holds %d packets, want %d", i, len(got), len(fills))
			}
			for j, p := range got {
				if string(p) != string(ethernet(w, 1000, fills[j])) {
					t.Errorf("block %d, packet %d: %x…", i, j, p[:20])
				}
			}
		}
		more(2)
		if pollIn(s) || st(0) != 0 {
			t.Error("a young block was handed over")
		}
		time.Sleep(40 * time.Millisecond)
		w.run()
		if !pollIn(s) || st(0) != 1|1<<5 {
			t.Fatalf("an old block has status %#x", st(0))
		}
		check(0, 1, 1, 2)
		more(4) // three fill block 1
		if st(1) != 1 {
			t.Fatalf("a full block has status %#x", st(1))
		}
		check(1, 2, 3, 4, 5)
		more(4) // three fill block 2; block 0 is still ours
		if st(2) != 1 {
			t.Fatalf("a full block has status %#x", st(2))
		}
		check(2, 3, 6, 7, 8)
		more(1)
		stats := make([]byte, 12)
		if n, err := s.GetSockOpt(solPacket, optStatistics, stats); n != 12 || err != nil || string(stats) != string(request(11, 3, 1)) {
			t.Errorf("statistics %x, %v", stats, err)
		}
		for i := range blocks {
			atomic.StoreUint32(status(mem, i*size+8), 0)
		}
		more(1)
		time.Sleep(40 * time.Millisecond)
		w.run()
		check(0, 4, sent)
		if !pollIn(s) || st(0)&1 == 0 {
			t.Error("a thawed ring did not hand its block over")
		}
	})
}

func TestRing_manyPackets_allocatesNothing(t *testing.T) {
	for version, req := range [][]byte{request(4096, 4, 2048, 8), request(4096, 4, 2048, 8), request(4096, 4, 2048, 8, 0, 0, 0)} {
		w := newWorld(t)
		s, mem := w.ringSocket(syscall.SOCK_RAW, 0x88b5, uint32(version), req)
		tx := w.socket(syscall.SOCK_RAW, 0)
		m := &sock.Msg{Iov: [][]byte{ethernet(w, 60, 1)}}
		m.NameLen = copy(m.Name[:], ll(0, w.a))
		work := func() {
			if _, err := tx.SendMsg(m, 0); err != nil {
				t.Fatal(err)
			}
			w.net.SoftNet().DoSoftirq()
			for at := 0; at < len(mem); at += 2048 {
				atomic.StoreUint32(status(mem, at), 0)
				if version == 2 {
					atomic.StoreUint32(status(mem, at+8), 0)
				}
			}
			s.Poll()
		}
		work()
		if n := testing.AllocsPerRun(200, work); n != 0 {
			t.Errorf("version %d: %g allocations per packet", version+1, n)
		}
	}
}

func TestRing_whileMappedOrThere_isBusy(t *testing.T) {
	w := newWorld(t)
	s := w.socket(syscall.SOCK_RAW, 0x88b5)
	req := request(4096, 2, 2048, 4)
	if _, _, err := s.Mmap(0, 8192); err != syscall.EINVAL {
		t.Errorf("mapping no ring: %v", err)
	}
	must(t, s.SetSockOpt(solPacket, optReserve, word(32)))
	must(t, s.SetSockOpt(solPacket, optRxRing, req))
	for what, err := range map[string]error{
		"a second ring": s.SetSockOpt(solPacket, optRxRing, req),
		"a version":     s.SetSockOpt(solPacket, optVersion, word(1)),
		"a reserve":     s.SetSockOpt(solPacket, optReserve, word(0)),
	} {
		if err != syscall.EBUSY {
			t.Errorf("%s while there is a ring: %v", what, err)
		}
	}
	for _, c := range []struct{ off, n int }{{0, 4096}, {0, 16384}, {4096, 4096}} {
		if _, _, err := s.Mmap(int64(c.off), c.n); err != syscall.EINVAL {
			t.Errorf("mapping %d bytes from %d: %v", c.n, c.off, err)
		}
	}
	_, unmap, err := s.Mmap(0, 8192)
	must(t, err)
	if err := s.SetSockOpt(solPacket, optRxRing, make([]byte, 16)); err != syscall.EBUSY {
		t.Errorf("the end of a mapped ring: %v", err)
	}
	unmap()
	must(t, s.SetSockOpt(solPacket, optRxRing, make([]byte, 16)))
	must(t, s.SetSockOpt(solPacket, optVersion, word(2)))
}

// The memory of all rings together is bounded.
func TestRing_moreThanTheFamilyMay_isENOMEM(t *testing.T) {
	w := newWorld(t)
	room := uint32(w.net.SKB().Pool().MaxPages() * w.net.SKB().Pool().PageSize())
	s, o := w.socket(syscall.SOCK_RAW, 0), w.socket(syscall.SOCK_RAW, 0)
	if err := s.SetSockOpt(solPacket, optRxRing, request(4096, room/4096+1, 4096, room/4096+1)); err != syscall.ENOMEM {
		t.Errorf("too much: %v", err)
	}
	big := request(4096, room/8192+1, 4096, room/8192+1)
	must(t, s.SetSockOpt(solPacket, optRxRing, big))
	if err := o.SetSockOpt(solPacket, optRxRing, big); err != syscall.ENOMEM {
		t.Errorf("two together: %v", err)
	}
	must(t, s.Release())
	must(t, o.SetSockOpt(solPacket, optRxRing, big))
}

// Sizes at random: this stack and Linux refuse the same ones.
func TestRing_sizes_asLinux(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a packet socket of Linux needs root")
	}
	w := newWorld(t)
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func(l ...uint32) uint32 { return l[rng.IntN(len(l))] }
	good := 0
	for range 100 {
		version := rng.Uint32N(3)
		reserve := pick(0, 0, 0, 16, 17, 4000, 1<<31-1)
		req := request(
			pick(0, 1, 4095, 4096, 4096, 8192, 12288, 65536, 1<<31, 1<<32-4096), pick(0, 1, 2, 4),
			pick(0, 32, 48, 52, 64, 68, 80, 96, 2048, 4096, 8192, 8208, 65536), pick(0, 1, 2, 4, 8, 16, 32, 64, 128, 1<<31),
			pick(0, 0, 10), pick(0, 0, 8, 4000, 4095, 1<<31, 1<<32-1), pick(0, 1, 2))
		if rng.IntN(4) > 0 { // as many frames as there are
			le := binary.LittleEndian
			if f := le.Uint32(req[8:]); f != 0 {
				le.PutUint32(req[12:], le.Uint32(req)/f*le.Uint32(req[4:]))
			}
		}
		req = req[:pick(28, 28, 16, 12)]
		kind := int(pick(optRxRing, optRxRing, optTxRing))
		fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, 0)
		if err != nil {
			t.Skip(err)
		}
		s, err := w.fam.Create(syscall.AF_PACKET, syscall.SOCK_RAW, 0)
		must(t, err)
		var here, linux []error
		for _, o := range []struct {
			name int
			val  []byte
		}{{optVersion, word(version)}, {optReserve, word(reserve)}, {kind, req}, {optReserve, word(0)}, {kind, make([]byte, 28)}} {
			here = append(here, s.SetSockOpt(solPacket, o.name, o.val))
			linux = append(linux, setsockopt(fd, o.name, o.val))
		}
		must(t, s.Release())
		syscall.Close(fd)
		if h, l := fmt.Sprint(here), fmt.Sprint(linux); h != l && !strings.Contains(h+l, "cannot allocate memory") {
			t.Fatalf("version %d, reserve %d, ring %d, request %x: %v here, %v in Linux", version+1, reserve, kind, req, here, linux)
		}
		if here[2] == nil {
			good++
		}
	}
	if good < 4 {
		t.Errorf("only %d rings were made", good)
	}
}

func setsockopt(fd, name int, val []byte) error {
	_, _, e := syscall.Syscall6(syscall.SYS_SETSOCKOPT, uintptr(fd), solPacket, uintptr(name), uintptr(unsafe.Pointer(unsafe.SliceData(val))), uintptr(len(val)), 0)
	if e != 0 {
		return e
	}
	return nil
}

// FuzzRing makes rings of any size, scribbles over their memory and receives
// into them: whatever the program writes, packets stay inside the ring.
func FuzzRing(f *testing.F) {
	f.Add(uint8(0), uint32(0), request(4096, 2, 2048, 4), []byte{0, 0, 1})
	f.Add(uint8(1), uint32(16), request(8192, 1, 4096, 2), []byte{1})
	f.Add(uint8(2), uint32(0), request(4096, 2, 2048, 4, 1, 8, 1), []byte{0xff, 0, 0xff, 0})
	f.Add(uint8(2), uint32(3000), request(4096, 1, 3072, 1, 1, 0, 0), []byte{})
	f.Fuzz(func(t *testing.T, version uint8, reserve uint32, req, scribble []byte) {
		w := newWorld(t)
		s := w.socket(int(2+version/3%2), 0x88b5) // SOCK_DGRAM or SOCK_RAW
		must(t, s.SetSockOpt(solPacket, optVersion, word(uint32(version%3))))
		s.SetSockOpt(solPacket, optReserve, word(reserve))
		if s.SetSockOpt(solPacket, optRxRing, req) != nil {
			return
		}
		le := binary.LittleEndian
		n := int(le.Uint32(req)) * int(le.Uint32(req[4:]))
		if n == 0 || n > 1<<20 {
			return
		}
		mem, unmap, err := s.Mmap(0, n)
		must(t, err)
		defer unmap()
		tx := w.socket(syscall.SOCK_RAW, 0)
		for i := range 12 {
			must(t, send(tx, ethernet(w, 14+i*123, byte(i)), ll(0, w.a)))
			w.run()
			s.Poll()
			for j, c := range scribble {
				mem[(j*1021+i*4096)%n] = c
			}
		}
	})
}
