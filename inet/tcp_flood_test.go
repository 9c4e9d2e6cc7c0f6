package inet_test

import (
	"encoding/binary"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"barewire/inet/tcp"
	"barewire/skb"
	"barewire/skb/header"
)

// tcpFrame makes a TCP segment from an address to the host.
func tcpFrame(src header.Addr, f header.TCPFields, opts ...byte) []byte {
	f.HeaderLen = header.TCPMinLen + len(opts)
	p := make([]byte, f.HeaderLen)
	h := header.PutTCP(p, &f)
	copy(h.Options(), opts)
	h.SetChecksum(skb.CsumFold(skb.CsumPartial(p, header.PseudoSum(src, hostIP, header.ProtoTCP, len(p)))))
	return ethFrame(hostMAC, peerMAC, header.EthPIP, ipPacket(header.Fields{Src: src, Dst: hostIP, Protocol: header.ProtoTCP}, p))
}

// refresh makes the TCP checksum of a frame right again.
func refresh(frame []byte) []byte {
	ip, h := segmentOf(frame)
	h.SetChecksum(0)
	h.SetChecksum(skb.CsumFold(skb.CsumPartial(h, header.PseudoSum(ip.Src(), ip.Dst(), header.ProtoTCP, len(h)))))
	return frame
}

// segmentOf returns the TCP header of a frame.
func segmentOf(frame []byte) (header.IPv4, header.TCP) {
	ip := header.IPv4(frame[header.EthHLen:])
	return ip, header.TCP(ip[ip.HeaderLen():])
}

// counter reads one of the TcpExt line.
func (h *host) counter(name string) (n uint64) {
	lines := strings.Split(string(h.Netstat()), "\n")
	names, values := strings.Fields(lines[0]), strings.Fields(lines[1])
	for i, s := range names {
		if s == name {
			for _, c := range values[i] {
				n = n*10 + uint64(c-'0')
			}
			return n
		}
	}
	h.Fatalf("no counter %s", name)
	return 0
}

// TestTCP_synFlood_clientConnects floods a listener with 50 000 SYN/s from
// everywhere for two seconds. A client that comes meanwhile connects at once,
// and what is kept of the flood is the SYN queue.
func TestTCP_synFlood_clientConnects(t *testing.T) {
	for _, options := range []string{"", "with timestamps"} {
		synctest.Test(t, func(t *testing.T) { synFlood(t, options != "") })
	}
}

func synFlood(t *testing.T, timestamps bool) {
	h := newHost(t)
	h.know()
	const backlog, perMS = 128, 50
	l := h.tcpSocket(0, 80)
	check(t, l.Listen(backlog))
	client := header.AddrFrom4([4]byte{198, 51, 100, 77})
	var synack header.TCP
	h.port.onSend = func(f []byte) {
		if ip, s := segmentOf(f); ip.Dst() == client && s.Flags() == header.TCPSyn|header.TCPAck {
			synack = append(header.TCP(nil), s...)
		}
	}
	mss := []byte{2, 4, 5, 180}
	opts := func(tsecr uint32) []byte {
		if !timestamps {
			return nil
		}
		o := []byte{1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0}
		binary.BigEndian.PutUint32(o[8:], tsecr)
		return o
	}
	state, sent := uint32(1), uint64(0)
	frames := make([][]byte, perMS)
	flood := func() {
		for i := range frames {
			state = state*1664525 + 1013904223
			frames[i] = tcpFrame(header.Addr(state>>1|11<<24), header.TCPFields{SrcPort: uint16(state >> 16), DstPort: 80, Seq: state, Flags: header.TCPSyn, Window: 1000}, mss...)
		}
		sent += perMS
		h.inject(frames...)
		time.Sleep(time.Millisecond)
	}
	pages := h.net.SKB().Pool().InUse()
	var before, after runtime.MemStats
	for range 1000 {
		flood()
	}
	runtime.GC()
	runtime.ReadMemStats(&before)
	f := header.TCPFields{SrcPort: 4000, DstPort: 80, Seq: 1e9, Flags: header.TCPSyn, Window: 1000}
	h.inject(tcpFrame(client, f, append(mss, opts(0)...)...))
	if synack == nil {
		t.Fatal("no SYN-ACK for the client")
	}
	for range 1000 {
		flood()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("%d bytes more after 50 000 SYNs", grown)
	}
	if n := h.net.SKB().Pool().InUse() - pages; n > 4 {
		t.Errorf("%d pages in use", n)
	}
	f.Seq, f.Ack, f.Flags = f.Seq+1, synack.Seq()+1, header.TCPAck
	var tsval uint32
	if timestamps {
		o := synack.Options()
		tsval = binary.BigEndian.Uint32(o[len(o)-8:])
	}
	h.inject(tcpFrame(client, f, opts(tsval)...))
	c, err := l.Accept(syscall.O_NONBLOCK)
	if err != nil {
		t.Fatalf("accept: %v", err)
	}
	var info [8]byte
	c.GetSockOpt(syscall.SOL_TCP, syscall.TCP_INFO, info[:])
	if info[0] != tcp.Established || info[5]&1 != 0 != timestamps {
		t.Errorf("state %d, options %#x", info[0], info[5])
	}
	cookies := h.counter("SyncookiesSent")
	if cookies < sent*9/10 || h.counter("SyncookiesRecv") != 1 || h.counter("SyncookiesFailed") != 0 || h.counter("TCPReqQFullDoCookies") != cookies {
		t.Errorf("%d SYNs: %d cookies, %d came back, %d wrong", sent, cookies, h.counter("SyncookiesRecv"), h.counter("SyncookiesFailed"))
	}
	// A cookie is good for two minutes, then no more, and it is good for nobody
	// else.
	f.SrcPort = 4001
	h.inject(tcpFrame(client, f, opts(tsval)...))
	f.SrcPort = 4000
	gone := f
	gone.Flags = header.TCPRst
	h.inject(tcpFrame(client, gone, opts(tsval)...))
	check(t, c.Release())
	time.Sleep(3 * time.Minute)
	h.run()
	h.inject(tcpFrame(client, f, opts(tsval)...))
	if _, err := l.Accept(syscall.O_NONBLOCK); err != syscall.EAGAIN {
		t.Errorf("a wrong and an old cookie: %v", err)
	}
	if n := h.counter("SyncookiesFailed"); n != 1 {
		t.Errorf("%d wrong cookies, want 1: an old one is not looked at", n)
	}
	check(t, l.Release())
	h.run()
}
