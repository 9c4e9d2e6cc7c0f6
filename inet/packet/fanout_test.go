package packet_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"unsafe"

	"barewire/inet/sock"
	"golang.org/x/net/bpf"
)

const optFanout, optFanoutData, optRolloverStats = 18, 22, 21

// fanoutArg is what PACKET_FANOUT takes: number, type, flags.
func fanoutArg(id, typ, flags uint32) []byte { return word(id | typ<<16 | flags<<24) }

// group makes n sockets of a fanout group that receive IP on w.b.
func (w *world) group(n int, typ, flags uint32) (l []*sock.Socket) {
	w.Helper()
	for range n {
		s := w.socket(syscall.SOCK_RAW, 0x0800)
		must(w, s.Bind(ll(0x0800, w.b)))
		must(w, s.SetSockOpt(solPacket, optFanout, fanoutArg(7, typ, flags)))
		l = append(l, s)
	}
	return l
}

// datagram is a frame for w.b with a UDP datagram of one of many flows.
func datagram(w *world, from, to byte, sport, dport uint16, size int) []byte {
	f := make([]byte, 14+28+size)
	dst, src := w.b.HardwareAddr(), w.a.HardwareAddr()
	copy(f, dst[:])
	copy(f[6:], src[:])
	f[12] = 8
	be := binary.BigEndian
	ip := f[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, 17
	be.PutUint16(ip[2:], uint16(28+size))
	copy(ip[12:], []byte{10, 0, 0, from, 10, 0, 0, to})
	be.PutUint16(ip[20:], sport)
	be.PutUint16(ip[22:], dport)
	be.PutUint16(ip[24:], uint16(8+size))
	return f
}

// count empties a socket and returns how many packets there were.
func count(s *sock.Socket) (n int) {
	for {
		if _, _, err := recv(s); err != nil {
			return n
		}
		n++
	}
}

func counts(l []*sock.Socket) (c []int) {
	for _, s := range l {
		c = append(c, count(s))
	}
	return c
}

func TestFanout_types_everyPacketGoesToOne(t *testing.T) {
	for name, c := range map[string]struct {
		typ   uint32
		check func(flow int, c []int) error
	}{
		"hash": {0, func(flow int, c []int) error {
			if c[0] != 0 && c[0] != 60 || c[1] != 0 && c[1] != 60 {
				return fmt.Errorf("a flow is torn apart")
			}
			return nil
		}},
		"in turn": {1, func(_ int, c []int) error {
			if c[0] != 20 || c[1] != 20 {
				return fmt.Errorf("not in turn")
			}
			return nil
		}},
		"by processor": {2, func(_ int, c []int) error {
			if c[0] != 60 {
				return fmt.Errorf("there is one processor")
			}
			return nil
		}},
		"at random": {4, func(_ int, c []int) error {
			if c[0] < 5 || c[1] < 5 || c[2] < 5 {
				return fmt.Errorf("not at random")
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			l := w.group(3, c.typ, 0)
			tx := w.socket(syscall.SOCK_RAW, 0)
			spread := map[int]bool{}
			for flow := range 20 {
				for i := range 60 {
					f := datagram(w, 1, 2, uint16(1000+flow), 53, 10)
					if i%2 == 1 { // the other direction is the same flow
						f = datagram(w, 2, 1, 53, uint16(1000+flow), 10)
					}
					must(t, send(tx, f, ll(0, w.a)))
				}
				w.run()
				c1 := counts(l)
				if c1[0]+c1[1]+c1[2] != 60 {
					t.Fatalf("60 packets became %v", c1)
				}
				if err := c.check(flow, c1); err != nil {
					t.Fatalf("%v: %v", c1, err)
				}
				for i, n := range c1 {
					if n > 0 {
						spread[i] = true
					}
				}
			}
			if name != "by processor" && len(spread) != 3 {
				t.Errorf("only members %v ever got one", spread)
			}
		})
	}
}

func TestFanout_program_chooses(t *testing.T) {
	w := newWorld(t)
	l := w.group(3, 6, 0)
	tx := w.socket(syscall.SOCK_RAW, 0)
	must(t, send(tx, datagram(w, 1, 2, 1, 1, 10), ll(0, w.a)))
	w.run()
	if c := counts(l); c[0] != 1 {
		t.Errorf("without a program %v", c)
	}
	insns := assemble(t, bpf.LoadAbsolute{Off: 15, Size: 1}, bpf.RetA{}) // the source's last byte
	must(t, l[1].SetSockOpt(solPacket, optFanoutData, insns))
	for from := range byte(6) {
		must(t, send(tx, datagram(w, from, 2, 1, 1, 10), ll(0, w.a)))
	}
	w.run()
	if c := fmt.Sprint(counts(l)); c != "[2 2 2]" {
		t.Errorf("by source %v", c)
	}
	if err := l[0].SetSockOpt(solPacket, optFanoutData, insns[:4]); err != syscall.EINVAL {
		t.Errorf("half an instruction: %v", err)
	}
	if err := tx.SetSockOpt(solPacket, optFanoutData, insns); err != syscall.EINVAL {
		t.Errorf("outside of a group: %v", err)
	}
}

func TestFanout_rollover_fillsOneAfterTheOther(t *testing.T) {
	w := newWorld(t)
	l := w.group(2, 3, 0)
	for _, s := range l {
		must(t, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_RCVBUF, word(8192)))
	}
	tx := w.socket(syscall.SOCK_RAW, 0)
	for range 100 {
		must(t, send(tx, datagram(w, 1, 2, 1, 1, 100), ll(0, w.a)))
		w.run()
	}
	stats := make([]byte, 24)
	if n, err := l[0].GetSockOpt(solPacket, optRolloverStats, stats); n != 24 || err != nil {
		t.Fatal(n, err)
	}
	all, failed := binary.LittleEndian.Uint64(stats), binary.LittleEndian.Uint64(stats[16:])
	c := counts(l)
	if c[0] == 0 || c[1] == 0 || all == 0 || failed == 0 || all+failed != 100 {
		t.Errorf("members hold %v, %d passed on, %d not", c, all, failed)
	}
	if _, err := tx.GetSockOpt(solPacket, optRolloverStats, stats); err != syscall.EINVAL {
		t.Errorf("statistics of no rollover: %v", err)
	}

	w = newWorld(t)
	l = w.group(2, 0, 0x10) // by flow, but passed on when full
	for _, s := range l {
		must(t, s.SetSockOpt(syscall.SOL_SOCKET, syscall.SO_RCVBUF, word(8192)))
	}
	tx = w.socket(syscall.SOCK_RAW, 0)
	for range 60 {
		must(t, send(tx, datagram(w, 1, 2, 1, 1, 100), ll(0, w.a)))
		w.run()
	}
	if c := counts(l); c[0] == 0 || c[1] == 0 {
		t.Errorf("one flow fills %v", c)
	}
}

func TestFanout_memberLeaves_othersGoOn(t *testing.T) {
	w := newWorld(t)
	l := w.group(3, 1, 0)
	if err := l[0].Bind(ll(0x0800, w.a)); err != syscall.EINVAL {
		t.Errorf("bound elsewhere: %v", err)
	}
	tx := w.socket(syscall.SOCK_RAW, 0)
	burst := func() []int {
		for range 12 {
			must(t, send(tx, datagram(w, 1, 2, 1, 1, 10), ll(0, w.a)))
		}
		w.run()
		return counts(l)
	}
	if c := fmt.Sprint(burst()); c != "[4 4 4]" {
		t.Errorf("three members: %v", c)
	}
	must(t, l[0].Release())
	l = l[1:]
	if c := fmt.Sprint(burst()); c != "[6 6]" {
		t.Errorf("two members: %v", c)
	}
	w.b.Close()
	burst()
	must(t, w.b.Open())
	counts(l)
	if c := fmt.Sprint(burst()); c != "[6 6]" {
		t.Errorf("after the device was down: %v", c)
	}
	must(t, l[0].Release())
	must(t, l[1].Release())
	l = nil
	burst()
	// The group has gone: another may be of another type.
	l = w.group(1, 0, 0)
	if c := fmt.Sprint(burst()); c != "[12]" {
		t.Errorf("a new group: %v", c)
	}
}

func TestFanout_whatMembersSend_noMemberSees(t *testing.T) {
	w := newWorld(t)
	var l []*sock.Socket
	for range 2 {
		s := w.socket(syscall.SOCK_RAW, 3) // ETH_P_ALL, on any device
		must(t, s.SetSockOpt(solPacket, optFanout, fanoutArg(1, 1, 0)))
		l = append(l, s)
	}
	w.b.Close() // nothing arrives there
	must(t, send(l[0], datagram(w, 1, 2, 1, 1, 10), ll(0, w.a)))
	w.run()
	if c := fmt.Sprint(counts(l)); c != "[0 0]" {
		t.Errorf("saw %v of their own", c)
	}
}

func TestFanout_manyPackets_allocatesNothing(t *testing.T) {
	for _, typ := range []uint32{0, 1, 4} {
		w := newWorld(t)
		l := w.group(2, typ, 0x10)
		tx := w.socket(syscall.SOCK_RAW, 0)
		m := &sock.Msg{Iov: [][]byte{datagram(w, 1, 2, 1, 1, 10)}}
		m.NameLen = copy(m.Name[:], ll(0, w.a))
		r := &sock.Msg{Iov: [][]byte{make([]byte, 2000)}}
		work := func() {
			if _, err := tx.SendMsg(m, 0); err != nil {
				t.Fatal(err)
			}
			w.net.SoftNet().DoSoftirq()
			for _, s := range l {
				s.RecvMsg(r, syscall.MSG_DONTWAIT)
			}
		}
		work()
		if n := testing.AllocsPerRun(200, work); n != 0 {
			t.Errorf("type %d: %g allocations per packet", typ, n)
		}
	}
}

// Joining at random: the same is refused here and in Linux.
func TestFanout_joins_asLinux(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a packet socket of Linux needs root")
	}
	w := newWorld(t)
	rng := rand.New(rand.NewPCG(3, 4))
	pick := func(l ...uint32) uint32 { return l[rng.IntN(len(l))] }
	get := func(s *sock.Socket, fd int) (here, linux uint32) {
		b := make([]byte, 4)
		s.GetSockOpt(solPacket, optFanout, b)
		here = binary.LittleEndian.Uint32(b)
		n := uint32(4)
		syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), solPacket, optFanout, uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&n)), 0)
		return here, binary.LittleEndian.Uint32(b)
	}
	unique := fanoutArg(0, 1, 0x20)
	for i := range 3 { // numbers the kernel chooses, from 0 on
		s := w.socket(syscall.SOCK_RAW, 0x88b5)
		must(t, s.SetSockOpt(solPacket, optFanout, unique))
		if h, _ := get(s, -1); h != uint32(i)|1<<16 {
			t.Errorf("group %#x, want number %d", h, i)
		}
		defer s.Release()
	}
	if err := w.socket(syscall.SOCK_RAW, 0x88b5).SetSockOpt(solPacket, optFanout, fanoutArg(5, 1, 0x20)); err != syscall.EINVAL {
		t.Errorf("a number of its own and one to choose: %v", err)
	}
	w = newWorld(t)
	good := 0
	for range 30 {
		var ours []*sock.Socket
		var theirs []int
		for range 4 {
			proto := be(uint16(pick(0x88b5, 0x88b5, 0x88b6, 0)))
			s, err := w.fam.Create(syscall.AF_PACKET, syscall.SOCK_RAW, proto)
			must(t, err)
			fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, proto)
			if err != nil {
				t.Skip(err)
			}
			ours, theirs = append(ours, s), append(theirs, fd)
		}
		for range 10 {
			i := rng.IntN(4)
			arg := fanoutArg(pick(0, 0, 1), pick(0, 0, 0, 1, 3, 7, 8, 200), pick(0, 0, 0, 0x10, 0x40))
			if rng.IntN(3) == 0 {
				arg = append(arg, word(pick(0, 1, 2, 65536, 65537))...)
			}
			arg = arg[:min(len(arg), int(pick(8, 8, 8, 3, 6)))]
			h, l := ours[i].SetSockOpt(solPacket, optFanout, arg), setsockopt(theirs[i], optFanout, arg)
			if fmt.Sprint(h) != fmt.Sprint(l) {
				t.Errorf("join with %x: %v here, %v in Linux", arg, h, l)
			}
			if h == nil {
				good++
			}
			if h, l := get(ours[i], theirs[i]); h != l {
				t.Errorf("after a join with %x the group is %#x here, %#x in Linux", arg, h, l)
			}
		}
		for i := range ours {
			must(t, ours[i].Release())
			syscall.Close(theirs[i])
		}
	}
	if good < 10 {
		t.Errorf("only %d joins", good)
	}
}
