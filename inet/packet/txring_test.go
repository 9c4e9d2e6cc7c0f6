package packet_test

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"

	"barewire/inet/sock"
)

const optTxRing, optLoss, optTxHasOff = 13, 14, 19

// Where a frame's header has its status, length and packet.
var txLayout = [3]struct{ status, length, off, data int }{
	{0, 8, 16, 32}, {0, 4, 12, 32}, {20, 16, 24, 48},
}

func txRequest(version uint32) []byte {
	if version == 2 {
		return request(4096, 2, 2048, 4, 0, 0, 0)
	}
	return request(4096, 2, 2048, 4)
}

// txSocket is a socket with a mapped transmit ring of four frames of 2048
// bytes, bound to w.a, and put writes and marks a frame.
func (w *world) txSocket(version uint32) (s *sock.Socket, mem []byte, put func(i int, data []byte)) {
	w.Helper()
	s = w.socket(syscall.SOCK_RAW, 0)
	must(w, s.Bind(ll(0, w.a)))
	must(w, s.SetSockOpt(solPacket, optVersion, word(version)))
	must(w, s.SetSockOpt(solPacket, optTxRing, txRequest(version)))
	mem, unmap, err := s.Mmap(0, 8192)
	must(w, err)
	w.Cleanup(unmap)
	return s, mem, func(i int, data []byte) {
		l, f := txLayout[version], mem[i*2048:]
		binary.LittleEndian.PutUint32(f[l.length:], uint32(len(data)))
		copy(f[l.data:], data)
		*status(mem, i*2048+l.status) = 1
	}
}

func kick(s *sock.Socket) (int, error) {
	return s.SendMsg(&sock.Msg{}, syscall.MSG_DONTWAIT)
}

func TestTxRing_markedFrames_areSentInOrder(t *testing.T) {
	for version := range uint32(3) {
		t.Run(fmt.Sprint(version+1), func(t *testing.T) {
			w := newWorld(t)
			rx := w.socket(syscall.SOCK_RAW, 0x88b5)
			s, mem, put := w.txSocket(version)
			if n, err := kick(s); n != 0 || err != nil {
				t.Errorf("with nothing marked: %d, %v", n, err)
			}
			next := 0
			for round := range 3 {
				total := 0
				for i := range 3 { // of four: the ring goes round
					f := ethernet(w, 60+i, byte(10*round+i))
					put((next+i)%4, f)
					total += len(f)
				}
				if n, err := kick(s); n != total || err != nil {
					t.Fatalf("sent %d of %d bytes, %v", n, total, err)
				}
				w.run()
				for i := range 3 {
					if st := *status(mem, (next+i)%4*2048+txLayout[version].status); st != 0 {
						t.Errorf("frame %d has status %#x", i, st)
					}
					_, got, err := recv(rx)
					if err != nil || string(got) != string(ethernet(w, 60+i, byte(10*round+i))) {
						t.Fatalf("round %d, frame %d: %x, %v", round, i, got, err)
					}
				}
				next = (next + 3) % 4
			}
			if s.Poll()&sock.EventOut == 0 {
				t.Error("not writable with every frame free")
			}
		})
	}
}

func TestTxRing_badFrame_isMarkedOrPassedOver(t *testing.T) {
	for version := range uint32(3) {
		for _, c := range []struct {
			name  string
			spoil func(f []byte)
			want  error
		}{
			{"too long", func(f []byte) { binary.LittleEndian.PutUint32(f[txLayout[version].length:], 2048) }, syscall.EMSGSIZE},
			{"absurd", func(f []byte) { binary.LittleEndian.PutUint32(f[txLayout[version].length:], 1<<32-1) }, syscall.EMSGSIZE},
			{"shorter than a header", func(f []byte) { binary.LittleEndian.PutUint32(f[txLayout[version].length:], 13) }, syscall.EINVAL},
		} {
			t.Run(fmt.Sprint(version+1, c.name), func(t *testing.T) {
				w := newWorld(t)
				rx := w.socket(syscall.SOCK_RAW, 0x88b5)
				s, mem, put := w.txSocket(version)
				put(0, ethernet(w, 60, 1))
				c.spoil(mem)
				put(1, ethernet(w, 60, 2))
				at := txLayout[version].status
				if n, err := kick(s); n != 0 || err != c.want || *status(mem, at) != 4 || *status(mem, 2048+at) != 1 {
					t.Errorf("%d, %v, states %#x, %#x", n, err, *status(mem, at), *status(mem, 2048+at))
				}
				*status(mem, at) = 0
				if n, err := kick(s); n != 0 || err != nil { // it goes on where it stood
					t.Errorf("%d, %v", n, err)
				}
				put(0, ethernet(w, 60, 3))
				if n, err := kick(s); n != 148 || err != nil {
					t.Errorf("%d, %v", n, err)
				}
				w.run()
				for _, fill := range []byte{3, 2} {
					if _, got, err := recv(rx); err != nil || got[20] != fill {
						t.Errorf("%x, %v", got, err)
					}
				}
			})
		}
	}
	w := newWorld(t)
	rx, s := w.socket(syscall.SOCK_RAW, 0x88b5), w.socket(syscall.SOCK_RAW, 0)
	must(t, s.Bind(ll(0, w.a)))
	must(t, s.SetSockOpt(solPacket, optLoss, word(1)))
	must(t, s.SetSockOpt(solPacket, optTxRing, txRequest(0)))
	mem, unmap, err := s.Mmap(0, 8192)
	must(t, err)
	defer unmap()
	binary.LittleEndian.PutUint32(mem[8:], 5)
	*status(mem, 0) = 1
	f := ethernet(w, 60, 7)
	binary.LittleEndian.PutUint32(mem[2048+8:], uint32(len(f)))
	copy(mem[2048+32:], f)
	*status(mem, 2048) = 1
	if n, err := kick(s); n != len(f) || err != nil || *status(mem, 0) != 0 {
		t.Errorf("with PACKET_LOSS: %d, %v, state %#x", n, err, *status(mem, 0))
	}
	w.run()
	if _, got, err := recv(rx); err != nil || string(got) != string(f) {
		t.Errorf("%x, %v", got, err)
	}
}

func TestTxRing_offsets_whereTheHeaderSays(t *testing.T) {
	w := newWorld(t)
	rx, s := w.socket(syscall.SOCK_RAW, 0x88b5), w.socket(syscall.SOCK_RAW, 0)
	must(t, s.Bind(ll(0, w.a)))
	must(t, s.SetSockOpt(solPacket, optVersion, word(1)))
	must(t, s.SetSockOpt(solPacket, optTxHasOff, word(1)))
	must(t, s.SetSockOpt(solPacket, optTxRing, txRequest(1)))
	mem, unmap, err := s.Mmap(0, 8192)
	must(t, err)
	defer unmap()
	le := binary.LittleEndian
	f := ethernet(w, 60, 9)
	for _, c := range []struct {
		off  int
		want error
	}{{100, nil}, {31, syscall.EINVAL}, {2048 - len(f), nil}, {2048 - len(f) + 1, syscall.EINVAL}, {65535, syscall.EINVAL}} {
		must(t, s.SetSockOpt(solPacket, optTxHasOff, word(0))) // changes nothing now
		for i := range 4 {
			*status(mem, i*2048) = 0
		}
		for i := range 4 { // wherever the ring stands
			m := mem[i*2048 : (i+1)*2048]
			le.PutUint32(m[4:], uint32(len(f)))
			le.PutUint16(m[12:], uint16(c.off))
			if c.off+len(f) <= len(m) {
				copy(m[c.off:], f)
			}
			*status(mem, i*2048) = 1
		}
		if _, err := kick(s); err != c.want {
			t.Errorf("at %d: %v", c.off, err)
		}
		w.run()
		for range 4 {
			if _, got, err := recv(rx); c.want == nil && (err != nil || string(got) != string(f)) {
				t.Errorf("at %d: %x, %v", c.off, got, err)
			}
		}
	}
}

// Both rings are mapped together, the receive ring first, whatever came first.
func TestRings_ofBothKinds_areMappedTogether(t *testing.T) {
	for _, order := range [][2]int{{optRxRing, optTxRing}, {optTxRing, optRxRing}} {
		w := newWorld(t)
		s := w.socket(syscall.SOCK_RAW, 0x88b5)
		must(t, s.Bind(ll(0x88b5, w.a)))
		for _, o := range order {
			must(t, s.SetSockOpt(solPacket, o, txRequest(0)))
		}
		if _, _, err := s.Mmap(0, 8192); err != syscall.EINVAL {
			t.Errorf("half of it: %v", err)
		}
		mem, unmap, err := s.Mmap(0, 16384)
		must(t, err)
		f := ethernet(w, 60, 3)
		binary.LittleEndian.PutUint32(mem[8192+8:], uint32(len(f)))
		copy(mem[8192+32:], f)
		*status(mem, 8192) = 1
		if n, err := kick(s); n != len(f) || err != nil {
			t.Errorf("sent %d, %v", n, err)
		}
		back := w.socket(syscall.SOCK_RAW, 0)
		must(t, send(back, frame(w.a.HardwareAddr(), w.b.HardwareAddr(), 0x88b5, 60), ll(0, w.b)))
		w.run()
		if *status(mem, 0)&1 == 0 || *status(mem, 8192) != 0 {
			t.Errorf("states %#x of the receive ring, %#x of the transmit ring", *status(mem, 0), *status(mem, 8192))
		}
		if err := s.SetSockOpt(solPacket, optTxRing, make([]byte, 16)); err != syscall.EBUSY {
			t.Errorf("ended while mapped: %v", err)
		}
		unmap()
		must(t, s.SetSockOpt(solPacket, optTxRing, make([]byte, 16)))
		mem, unmap, err = s.Mmap(0, 8192)
		must(t, err)
		if *status(mem, 0)&1 == 0 {
			t.Error("the receive ring lost its packet")
		}
		unmap()
	}
}

func TestTxRing_manyFrames_allocateNothing(t *testing.T) {
	w := newWorld(t)
	s, _, put := w.txSocket(1)
	f := ethernet(w, 60, 1)
	i := 0
	m := &sock.Msg{}
	work := func() {
		put(i%4, f)
		i++
		if n, err := s.SendMsg(m, 0); n != len(f) || err != nil {
			t.Fatal(n, err)
		}
		w.net.SoftNet().DoSoftirq()
	}
	work()
	if n := testing.AllocsPerRun(200, work); n != 0 {
		t.Errorf("%g allocations per frame", n)
	}
}

// FuzzTxRing sends what any program may have written into its ring.
func FuzzTxRing(f *testing.F) {
	f.Add(uint8(0), false, []byte{1, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0})
	f.Add(uint8(1), true, []byte{1, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 200, 0, 200, 0})
	f.Add(uint8(2), true, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 1, 0, 0, 0, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, version uint8, offsets bool, contents []byte) {
		w := newWorld(t)
		s := w.socket(int(2+version/3%2), 0)
		must(t, s.Bind(ll(0x88b5, w.a)))
		must(t, s.SetSockOpt(solPacket, optVersion, word(uint32(version%3))))
		if offsets {
			must(t, s.SetSockOpt(solPacket, optTxHasOff, word(1)))
		}
		must(t, s.SetSockOpt(solPacket, optTxRing, txRequest(uint32(version%3))))
		mem, unmap, err := s.Mmap(0, 8192)
		must(t, err)
		defer unmap()
		for i := range 4 {
			copy(mem[i*2048:(i+1)*2048], contents)
		}
		for range 6 {
			m := &sock.Msg{}
			m.NameLen = copy(m.Name[:], ll(0x88b5, w.a, 2, 0, 0, 0, 0, 1))
			s.SendMsg(m, syscall.MSG_DONTWAIT)
			w.run()
			s.Poll()
		}
	})
}
