package inet_test

import (
	"encoding/binary"
	"syscall"
	"testing"

	"barewire/inet/sock"
	"barewire/skb"
	"barewire/skb/header"
)

// tcpPacket makes a segment from the peer with a right checksum.
func tcpPacket(f header.TCPFields, opts, data []byte) []byte {
	f.HeaderLen = header.TCPMinLen + len(opts)
	m := make([]byte, f.HeaderLen+len(data))
	h := header.PutTCP(m, &f)
	copy(h.Options(), opts)
	copy(m[f.HeaderLen:], data)
	h.SetChecksum(skb.CsumFold(skb.CsumPartial(m, header.PseudoSum(peerIP, hostIP, header.ProtoTCP, len(m)))))
	return fromPeer(header.ProtoTCP, m)
}

// tcpPeer plays the other side of one connection: it knows what the host sent
// last.
type tcpPeer struct {
	h        *host
	port     uint16
	snd, rcv uint32 // next we send, next we expect
}

// listen looks at what the host sends. It checks what must hold of every segment.
func (p *tcpPeer) listen() {
	for _, f := range p.h.port.take() {
		if header.Ethernet(f).Type() != header.EthPIP {
			continue
		}
		d := parseIP(p.h, f)
		if d.ip.Protocol() != header.ProtoTCP {
			continue
		}
		h, ok := header.ParseTCP(d.data)
		if !ok || skb.CsumFold(skb.CsumPartial(d.data, header.PseudoSum(d.ip.Src(), d.ip.Dst(), header.ProtoTCP, len(d.data)))) != 0 {
			p.h.Fatalf("bad segment: %x", f)
		}
		if h.Flags()&header.TCPSyn != 0 && h.Flags()&(header.TCPFin|header.TCPRst) != 0 {
			p.h.Errorf("flags %#x", h.Flags())
		}
		n := uint32(len(d.data) - h.HeaderLen())
		if h.Flags()&(header.TCPSyn|header.TCPFin) != 0 {
			n++
		}
		if h.Flags()&header.TCPRst == 0 {
			p.rcv = h.Seq() + n
		}
		if h.Flags()&header.TCPAck != 0 && h.Flags()&header.TCPRst == 0 {
			p.snd = h.AckSeq()
		}
	}
}

func (p *tcpPeer) send(flags uint8, seq, ack uint32, win uint16, opts, data []byte) {
	p.h.inject(tcpPacket(header.TCPFields{SrcPort: p.port, DstPort: 80, Seq: seq, Ack: ack, Flags: flags, Window: win}, opts, data))
	p.listen()
}

// FuzzTCPSegments has a peer send anything to a connection in any state while
// the program does anything too. Each six bytes are one step.
func FuzzTCPSegments(f *testing.F) {
	f.Add([]byte{0, 16, 0, 0, 9, 1, 1, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 1, 4, 0, 0, 0, 0, 0})
	f.Add([]byte{1, 9, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 16, 128, 200, 3, 7, 0, 4, 0, 0, 0, 0})
	f.Add([]byte{3, 0, 0, 0, 0, 0, 0, 16, 0, 1, 0, 0, 0, 17, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0})
	f.Add([]byte{0, 24, 5, 0, 90, 2, 0, 24, 2, 0, 90, 2, 0, 24, 0, 0, 90, 2, 5, 0, 0, 0, 0, 0})
	f.Add([]byte{0, 2, 0, 0, 0, 3, 0, 56, 3, 0, 30, 0, 6, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, prog []byte) {
		if len(prog) > 600 {
			prog = prog[:600]
		}
		h := newHost(t)
		h.know()
		l := h.tcpSocket(0, 80)
		check(t, l.Listen(4))
		p := &tcpPeer{h: h, port: 1000, snd: 5}
		syn := []byte{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7}
		p.send(header.TCPSyn, 5, 0, 65535, syn, nil)
		var s *sock.Socket
		ts := []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0}
		for ; len(prog) >= 6; prog = prog[6:] {
			a := prog[1:6]
			if s == nil {
				if c, err := l.Accept(syscall.O_NONBLOCK); err == nil {
					s = c
					t.Cleanup(func() { s.Release() })
				}
			}
			if prog[0]%8 == 0 || s == nil {
				opts := [][]byte{nil, ts, {1, 1, 5, 10, 0, 0, 0, 0, 0, 0, 0, 0}, syn, {30, 40, 1, 1}}[int(a[4])%5]
				if opts != nil && opts[2] == 5 {
					opts = append([]byte(nil), opts...)
					binary.BigEndian.PutUint32(opts[4:], p.rcv-uint32(a[3]))
					binary.BigEndian.PutUint32(opts[8:], p.rcv-uint32(a[3])/2)
				}
				p.send(a[0], p.snd+uint32(int32(int8(a[1])))*uint32(1+a[3]%3), p.rcv+uint32(int32(int8(a[2]))), uint16(a[3])<<8, opts, make([]byte, int(a[3])*int(a[4]>>4)))
				continue
			}
			switch prog[0] % 8 {
			case 1:
				s.SendMsg(&sock.Msg{Iov: [][]byte{make([]byte, int(a[0])<<(a[1]%9))}}, syscall.MSG_DONTWAIT|int(a[2]&1)*syscall.MSG_OOB|int(a[2]>>1&1)*sock.MSG_MORE)
			case 2:
				s.RecvMsg(&sock.Msg{Iov: [][]byte{make([]byte, int(a[0])<<(a[1]%9))}}, syscall.MSG_DONTWAIT|int(a[2]&3))
			case 3:
				s.Shutdown(int(a[0] % 3))
			case 4:
				s.Release()
			case 5:
				s.SetSockOpt(syscall.SOL_TCP, int(a[0]%50), []byte{a[1], a[2], 0, 0})
			case 6:
				s.Connect([]byte{0, 0}, 0)
			case 7:
				buf := make([]byte, 256)
				s.GetSockOpt(syscall.SOL_TCP, int(a[0]%50), buf)
				s.Poll()
				s.Ioctl(uint(syscall.TIOCINQ), buf)
			}
			h.run()
			p.listen()
		}
		p.send(header.TCPAck, p.snd, p.rcv, 65535, nil, nil)
		if s != nil {
			s.Release()
		}
		l.Release()
		h.run()
		p.listen()
	})
}
