package dropmon

import (
	"encoding/binary"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/inet/sock"
	"barewire/napi"
	"barewire/skb"
	"barewire/sys/genl"
	"barewire/sys/netlink"
)

type world struct {
	testing.TB
	net *napi.Net
	m   *Monitor
	s   *sock.Socket
}

const family = 0x13 // the first that is given out

func newWorld(t testing.TB) *world {
	t.Helper()
	n, err := napi.New(napi.Config{Pages: skb.PageConfig{MaxPages: 64}})
	if err != nil {
		t.Fatal(err)
	}
	nl := netlink.New(n.Clock(), n.Rand, 1)
	g, err := genl.New(nl)
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(g, Config{Net: n, WallClock: func() (int64, int32) { return 12, 34 }})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, net: n, m: m, s: &sock.Socket{Family: syscall.AF_NETLINK, Type: syscall.SOCK_RAW}}
	if err := nl.Create(w.s, syscall.NETLINK_GENERIC); err != nil {
		t.Fatal(err)
	}
	// As dropwatch joins: the family's group has had number 1 since before
	// groups had names.
	if err := w.s.SetSockOpt(270, syscall.NETLINK_ADD_MEMBERSHIP, []byte{1, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close(); w.s.Release() })
	return w
}

// ask sends a command and returns its error and, if it has one, its answer.
func (w *world) ask(cmd uint8, put func(b *netlink.Builder)) (syscall.Errno, []byte) {
	w.Helper()
	var a netlink.Builder
	if put != nil {
		put(&a)
	}
	b := make([]byte, 20)
	b = append(b, a.Bytes()...)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], family)
	binary.NativeEndian.PutUint16(b[6:], netlink.FlagRequest|netlink.FlagAck)
	b[16] = cmd
	if _, err := w.s.SendMsg(&sock.Msg{Iov: [][]byte{b}}, 0); err != nil {
		w.Fatal(err)
	}
	var answer []byte
	for {
		m := w.recv()
		if m == nil {
			w.Fatal("no acknowledgement")
		}
		if binary.NativeEndian.Uint16(m[4:]) == netlink.TypeError {
			return syscall.Errno(-int32(binary.NativeEndian.Uint32(m[16:]))), answer
		}
		answer = m
	}
}

func (w *world) recv() []byte {
	b := make([]byte, 1<<17)
	n, err := w.s.RecvMsg(&sock.Msg{Iov: [][]byte{b}}, syscall.MSG_DONTWAIT)
	if err != nil {
		return nil
	}
	return b[:n]
}

// alert waits for the next alert.
func (w *world) alert() []byte {
	w.Helper()
	for range 1000 {
		if m := w.recv(); m != nil {
			return m
		}
		time.Sleep(time.Millisecond)
	}
	w.Fatal("no alert")
	return nil
}

func attrs(w *world, m []byte) netlink.Attrs {
	w.Helper()
	a, err := netlink.Parse(m[20:], &netlink.Policy{Items: make([]netlink.PolicyItem, attrMax+1)}, false, nil)
	if err != nil {
		w.Fatal(err)
	}
	return a
}

// drop makes a frame that came by dev, up to its network header, and drops it.
func (w *world) drop(dev *napi.NetDevice, n int, r skb.Reason) {
	b := w.net.SKB().Alloc(n)
	b.Put(n)
	for i := range b.Data() {
		b.Data()[i] = byte(i)
	}
	b.Protocol = 0x0800
	b.ResetMacHeader()
	b.Pull(14)
	if dev != nil {
		b.Dev = dev
	}
	b.Free(r)
}

func packetMode(b *netlink.Builder) { b.AttrU8(attrAlertMode, 1) }

func TestPacketMode_alertSaysWhereWhyAndWhat(t *testing.T) {
	w := newWorld(t)
	dev, err := napi.NewDummy(w.net, "d0")
	if err != nil {
		t.Fatal(err)
	}
	w.drop(dev, 60, skb.NoSocket) // before anybody asked
	if e, _ := w.ask(cmdConfig, func(b *netlink.Builder) { packetMode(b); b.AttrU32(attrTruncLen, 20) }); e != 0 {
		t.Fatal(e)
	}
	if e, _ := w.ask(cmdStart, nil); e != 0 {
		t.Fatal(e)
	}
	w.drop(dev, 60, skb.UDPCsum)
	m := w.alert()
	a := attrs(w, m)
	if m[16] != cmdPacketAlert || a.Str(attrReason) != "UDP_CSUM" || a.U32(attrOrigLen) != 60 || a.U16(attrProto) != 0x0800 {
		t.Errorf("alert %d: %x", m[16], m)
	}
	if p := a[attrPayload]; len(p) != 20 || p[0] != 0 || p[13] != 13 || p[19] != 19 {
		t.Errorf("payload %x", p)
	}
	if s := a.Str(attrSymbol); !strings.HasPrefix(s, "barewire/sys/dropmon.(*world).drop+0x") {
		t.Errorf("symbol %q", s)
	}
	if pc := binary.NativeEndian.Uint64(a[attrPC]); !strings.HasSuffix(runtime.FuncForPC(uintptr(pc)).Name(), ".drop") {
		t.Errorf("pc %#x", pc)
	}
	if ts := binary.NativeEndian.Uint64(a[attrTimestamp]); ts != 12_000_000_034 {
		t.Errorf("timestamp %d", ts)
	}
	port, err := netlink.Parse(a[attrInPort][8:], &netlink.Policy{Items: make([]netlink.PolicyItem, 2)}, false, nil)
	if err != nil || port.Str(portName) != "d0" || binary.NativeEndian.Uint32(a[attrInPort][4:]) != uint32(dev.Ifindex()) {
		t.Errorf("port %x %v", a[attrInPort], err)
	}
	if e, _ := w.ask(cmdStop, nil); e != 0 {
		t.Fatal(e)
	}
	w.drop(dev, 60, skb.UDPCsum)
	time.Sleep(5 * time.Millisecond)
	if m := w.recv(); m != nil {
		t.Errorf("after STOP: %x", m)
	}
}

func TestSummaryMode_countsByPlaceForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if e, _ := w.ask(cmdStart, nil); e != 0 {
			t.Fatal(e)
		}
		for range 3 {
			w.drop(nil, 60, skb.NoSocket)
		}
		b := w.net.SKB().Alloc(10)
		b.Free(skb.PktTooSmall) // another place
		synctest.Wait()
		if m := w.recv(); m != nil {
			t.Fatalf("at once: %x", m)
		}
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		m := w.recv()
		if m == nil || m[16] != cmdAlert || binary.NativeEndian.Uint16(m[22:]) != 0 || binary.NativeEndian.Uint32(m[24:]) != 2 {
			t.Fatalf("alert %x", m)
		}
		var counts []uint32
		for p := m[28:]; len(p) >= 12; p = p[12:] {
			counts = append(counts, binary.NativeEndian.Uint32(p[8:]))
		}
		if len(counts) != 2 || counts[0]+counts[1] != 4 || counts[0]*counts[1] != 3 {
			t.Errorf("counts %v", counts)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if m := w.recv(); m != nil {
			t.Errorf("an alert without drops: %x", m)
		}
		w.m.Close()
	})
}

func TestQueueFull_lostAreCounted(t *testing.T) {
	w := newWorld(t)
	if e, _ := w.ask(cmdConfig, func(b *netlink.Builder) { packetMode(b); b.AttrU32(attrQueueLen, 0) }); e != 0 {
		t.Fatal(e)
	}
	if e, _ := w.ask(cmdStart, nil); e != 0 {
		t.Fatal(e)
	}
	for range 5 {
		w.drop(nil, 60, skb.NoSocket)
	}
	e, m := w.ask(cmdStatsGet, nil)
	if e != 0 || m[16] != cmdStatsNew {
		t.Fatalf("%v %x", e, m)
	}
	if n := binary.NativeEndian.Uint64(attrs(w, m)[attrStats][4:]); n != 5 {
		t.Errorf("%d lost, want 5", n)
	}
}

func TestConfig_errorsAndAnswers(t *testing.T) {
	w := newWorld(t)
	flag := func(typ uint16) func(b *netlink.Builder) {
		return func(b *netlink.Builder) { b.Attr(typ) }
	}
	for _, c := range []struct {
		name string
		cmd  uint8
		put  func(b *netlink.Builder)
		want syscall.Errno
	}{
		{"bad mode", cmdConfig, func(b *netlink.Builder) { b.AttrU8(attrAlertMode, 2) }, syscall.EINVAL},
		{"stop", cmdStop, nil, syscall.EAGAIN},
		{"start", cmdStart, flag(attrSWDrops), 0},
		{"start again", cmdStart, nil, syscall.EAGAIN},
		{"config while on", cmdConfig, packetMode, syscall.EBUSY},
		{"stop", cmdStop, flag(attrSWDrops), 0},
		{"start hardware", cmdStart, flag(attrHWDrops), 0},
		{"config while hardware is on", cmdConfig, packetMode, syscall.EBUSY},
		{"start hardware again", cmdStart, flag(attrHWDrops), syscall.EAGAIN},
		{"stop hardware", cmdStop, flag(attrHWDrops), 0},
		{"config", cmdConfig, func(b *netlink.Builder) { packetMode(b); b.AttrU32(attrTruncLen, 9); b.AttrU32(attrQueueLen, 7) }, 0},
		{"no such command", 77, nil, syscall.EOPNOTSUPP},
	} {
		if e, _ := w.ask(c.cmd, c.put); e != c.want {
			t.Errorf("%s: %v, want %v", c.name, e, c.want)
		}
	}
	_, m := w.ask(cmdConfigGet, nil)
	if a := attrs(w, m); m[16] != cmdConfigNew || a.U8(attrAlertMode) != 1 || a.U32(attrTruncLen) != 9 || a.U32(attrQueueLen) != 7 {
		t.Errorf("configuration %x", m)
	}
}

// While nobody monitors a drop costs nothing more, and allocates nothing.
func TestOff_noAllocation(t *testing.T) {
	w := newWorld(t)
	if n := testing.AllocsPerRun(100, func() { w.drop(nil, 60, skb.NoSocket) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
